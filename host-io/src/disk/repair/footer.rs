//! A footer or a header made good: what it must hold is put in its place, and the checksum, if it is one of what was
//! there before the damage, proves it.

use std::io;

use crate::disk::SECTOR;
use crate::disk::store::Store;
use crate::disk::vhd::{
    FOOTER, Footer, HEADER, Header, MAX_BLOCK, MIN_BLOCK, UNUSED, Uuid, VhdType, bitmap_bytes, covered,
    geometry, round_up,
};

/// What every footer holds.
const CONSTANTS: [(usize, &[u8]); 3] = [(0, b"conectix"), (8, &[0, 0, 0, 2]), (12, &[0, 1, 0, 0])];
const RESERVED: std::ops::Range<usize> = 85..FOOTER;

fn whole(f: &Footer) -> bool {
    let (got, want) = f.checksum();
    got == want
}

/// The variants of some bytes in which any of the changes are made, the first as they are.
fn variants(bytes: &[u8], changes: &[(usize, Vec<u8>)]) -> impl Iterator<Item = Vec<u8>> {
    (0..1_usize << changes.len()).map(move |which| {
        let mut b = bytes.to_vec();
        for (n, (at, new)) in changes.iter().enumerate() {
            if which & 1 << n != 0 {
                b[*at..*at + new.len()].copy_from_slice(new);
            }
        }
        b
    })
}

fn footer_of(b: &[u8]) -> Footer {
    let mut bytes = [0; FOOTER];
    bytes.copy_from_slice(b);
    Footer { bytes }
}

fn read_footer(s: &mut dyn Store, at: u64) -> io::Result<Footer> {
    let mut bytes = [0; FOOTER];
    s.read_at(at, &mut bytes)?;
    Ok(Footer { bytes })
}

/// Does it look like a fixed disk's footer that was damaged?
fn resembles(f: &Footer, place: u64) -> bool {
    let same = |at: usize, want: &[u8]| f.bytes[at..].starts_with(want);
    let signs = [
        same(0, b"conectix"),
        same(8, &[0, 0, 0, 2, 0, 1, 0, 0]),
        same(16, &[0xff; 8]),
        same(36, b"Wi2k") || same(36, b"Mac "),
        f.current_size() == place,
        f.disk_type() == 2,
        f.bytes[RESERVED].iter().all(|b| *b == 0) && f.bytes[..64] != [0; 64],
    ];
    signs.iter().filter(|s| **s).count() >= 3
}

/// A damaged footer of a dynamic disk, as its checksum says it was.
pub(super) fn dynamic(s: &mut dyn Store, at: u64) -> io::Result<Option<Footer>> {
    let damaged = read_footer(s, at)?;
    let mut changes: Vec<(usize, Vec<u8>)> = CONSTANTS.iter().map(|(at, b)| (*at, b.to_vec())).collect();
    changes.push((RESERVED.start, vec![0; RESERVED.len()]));
    // The header's usual place.
    changes.push((16, (FOOTER as u64).to_be_bytes().to_vec()));
    let mut all = variants(&damaged.bytes, &changes).map(|b| footer_of(&b));
    Ok(all.find(|f| Footer::is_there(&f.bytes) && whole(f) && matches!(f.disk_type(), 3 | 4)))
}

/// What can be said of a fixed disk without a good footer: the footer, its place, how it was found.
pub(super) fn fixed(s: &mut dyn Store) -> io::Result<Option<(Footer, u64, &'static str)>> {
    let Some(last) = s.len().checked_sub(FOOTER as u64).filter(|n| n.is_multiple_of(SECTOR) && *n > 0) else {
        return Ok(None);
    };
    // A dynamic disk whose footers are beyond help is none.
    let mut cookie = [0; 8];
    s.read_at(0, &mut cookie)?;
    let copy = cookie == *b"conectix";
    if last >= (FOOTER + HEADER) as u64 {
        s.read_at(FOOTER as u64, &mut cookie)?;
    }
    if copy || cookie == *b"cxsparse" {
        return Ok(None);
    }
    let damaged = read_footer(s, last)?;
    if resembles(&damaged, last) && !matches!(damaged.disk_type(), 3 | 4) {
        return Ok(Some(rebuild(&damaged, last)));
    }
    // Something was put behind it.
    const BACK: u64 = 1 << 20;
    let mut at = last;
    while at >= SECTOR && last - at < BACK {
        at -= SECTOR;
        let f = read_footer(s, at)?;
        if Footer::is_there(&f.bytes) && whole(&f) && f.disk_type() == 2 && f.current_size() == at {
            return Ok(Some((f, at, "what lies behind the footer is cut off")));
        }
    }
    // A disk with partitions, of a size that disks have: the footer lacks, or was overwritten.
    let mut first = [0; SECTOR as usize];
    s.read_at(0, &mut first)?;
    let usual = |bytes: u64| {
        bytes >= 1 << 20 && (bytes.is_multiple_of(1 << 20) || round_up(bytes / SECTOR) * SECTOR == bytes)
    };
    if first[510..] != [0x55, 0xaa] {
        return Ok(None);
    }
    Ok(match (usual(last), usual(s.len())) {
        (true, false) => Some((new(last), last, "the footer, which was overwritten, is made anew")),
        (false, true) => Some((new(s.len()), s.len(), "a footer is made for the file's size")),
        _ => None,
    })
}

/// A new footer that stands for this size to all readers.
fn new(bytes: u64) -> Footer {
    let mut f = Footer::new(VhdType::Fixed, bytes, geometry(bytes / SECTOR), Uuid::random(), super::now());
    if round_up(bytes / SECTOR) * SECTOR != bytes {
        // A creator whose size is the truth, not the geometry.
        f.bytes[28..32].copy_from_slice(b"win ");
        f.sum();
    }
    f
}

fn rebuild(damaged: &Footer, size: u64) -> (Footer, u64, &'static str) {
    let fresh = new(size);
    let field = |r: std::ops::Range<usize>| (r.start, fresh.bytes[r].to_vec());
    let changes = [
        field(0..8),
        field(8..12),
        field(12..16),
        field(16..24),
        field(40..48),
        field(48..56),
        field(56..60),
        field(60..64),
        field(84..85),
        field(RESERVED),
    ];
    let fits = |f: &Footer| {
        let b = &f.bytes;
        whole(f)
            && b[..24] == fresh.bytes[..24]
            && b[60..64] == fresh.bytes[60..64]
            && f.current_size() <= size
    };
    if let Some(f) = variants(&damaged.bytes, &changes).map(|b| footer_of(&b)).find(fits) {
        return (f, size, "the footer is made good, its checksum proves it");
    }
    // Its origin stays if it is one that stands for this size, else nobody knows what readers take it for.
    let mut f = fresh.clone();
    f.bytes[24..28].copy_from_slice(&damaged.bytes[24..28]);
    f.bytes[68..84].copy_from_slice(&damaged.bytes[68..84]);
    let mut as_was = f.clone();
    for kept in [28..40, 56..60] {
        as_was.bytes[kept.clone()].copy_from_slice(&damaged.bytes[kept]);
    }
    let known = as_was.bytes[36..40] == *b"Wi2k" || as_was.bytes[36..40] == *b"Mac ";
    let covered = covered(as_was.geometry()) * SECTOR;
    // Geometries leave out less than a cylinder.
    if known && covered <= size && size - covered < 16 * 255 * SECTOR {
        f = as_was;
    }
    f.sum();
    (f, size, "the footer is made anew for the file's size")
}

/// Headers that may have been there before the damage: by the checksum, then by what the table says, then with nothing but
/// the checksum changed.
pub(super) fn headers(damaged: &Header, kind: VhdType, sectors: u64) -> Vec<(Header, &'static str)> {
    let mut found = Vec::new();
    let header = |bytes: Vec<u8>| Header { bytes };
    let whole = |h: &Header| {
        let (got, want) = h.checksum();
        got == want
    };
    let fresh = |block: u32| {
        let entries = (sectors * SECTOR).div_ceil(u64::from(block));
        Header::new(u32::try_from(entries).unwrap_or(u32::MAX), block)
    };
    let own = damaged.block_size();
    let own = (own.is_power_of_two() && (MIN_BLOCK..=MAX_BLOCK).contains(&own)).then_some(own);
    for block in own.into_iter().chain([2 << 20, 512 << 10]) {
        let fresh = fresh(block);
        let field = |r: std::ops::Range<usize>| (r.start, fresh.bytes[r].to_vec());
        let mut changes =
            vec![field(0..8), field(8..16), field(16..24), field(24..28), field(28..32), field(32..36)];
        if kind == VhdType::Dynamic {
            // It has no parent.
            changes.push(field(40..HEADER));
        }
        let good = variants(&damaged.bytes, &changes).map(header).filter(|h| h.is_there() && whole(h));
        found.extend(good.map(|h| (h, "the dynamic header is made good, its checksum proves it")));
    }
    if damaged.is_there() {
        let mut summed = damaged.clone();
        summed.sum();
        found.push((summed, "the dynamic header's checksum is made right, its fields fit the file"));
    }
    if kind == VhdType::Dynamic {
        let anew = "the dynamic header is made anew, as the block table needs it";
        found.extend([2 << 20, 512 << 10].map(|block| (fresh(block), anew)));
    }
    found
}

/// Do all blocks lie as far from each other as blocks of this size do?
pub(super) fn in_step(bat: &[u32], block: u32) -> bool {
    let mut used: Vec<u32> = bat.iter().copied().filter(|s| *s != UNUSED).collect();
    used.sort_unstable();
    let step = (u64::from(block) + u64::from(bitmap_bytes(block))) / SECTOR;
    used.windows(2).all(|w| u64::from(w[1] - w[0]).is_multiple_of(step))
}
