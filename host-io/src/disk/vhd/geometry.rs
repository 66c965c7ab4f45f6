//! Cylinders, heads and sectors of a VHD, and the size that follows. VHD specification, appendix "CHS Calculation".

use board::Geometry;

/// The most that the geometry field describes: 65535 cylinders, 16 heads, 255 sectors; 127.5 GiB.
pub(crate) const MOST: u64 = 65535 * 16 * 255;

/// The specification's algorithm.
pub fn geometry(sectors: u64) -> Geometry {
    let total = sectors.min(MOST);
    let (mut spt, mut heads, mut tracks);
    if total >= 65535 * 16 * 63 {
        (spt, heads) = (255, 16);
        tracks = total / spt;
    } else {
        spt = 17;
        tracks = total / spt;
        heads = tracks.div_ceil(1024).max(4);
        if tracks >= heads * 1024 || heads > 16 {
            (spt, heads) = (31, 16);
            tracks = total / spt;
        }
        if tracks >= heads * 1024 {
            (spt, heads) = (63, 16);
            tracks = total / spt;
        }
    }
    Geometry { cylinders: (tracks / heads) as u16, heads: heads as u8, sectors: spt as u8 }
}

/// Sectors that a geometry covers.
pub(crate) fn covered(g: Geometry) -> u64 {
    u64::from(g.cylinders) * u64::from(g.heads) * u64::from(g.sectors)
}

/// The size, not below `sectors`, that its own geometry covers exactly: readers that go by geometry (Virtual PC)
/// and those that go by the size field then agree. Beyond what a geometry can say, `sectors` itself.
pub fn round_up(sectors: u64) -> u64 {
    if sectors > MOST {
        return sectors;
    }
    let mut ask = sectors;
    loop {
        let got = covered(geometry(ask));
        if got >= sectors || ask >= MOST {
            return got.max(sectors);
        }
        // A geometry covers all but less than a cylinder of what was asked.
        ask += (sectors - got).max(1);
    }
}
