//! The data that packet commands answer with.

/// CDs end here: 80 minutes. What is larger is a DVD.
const CD_BLOCKS: u32 = 80 * 60 * 75;
const CD_ROM: u16 = 0x0008;
const DVD_ROM: u16 = 0x0010;

pub(super) fn is_dvd(blocks: u32) -> bool {
    blocks > CD_BLOCKS
}

/// Minute, second and frame, or a block number, in four bytes.
pub(super) fn address(lba: u32, msf: bool) -> [u8; 4] {
    if !msf {
        return lba.to_be_bytes();
    }
    let f = lba.saturating_add(150);
    [0, (f / 75 / 60).min(255) as u8, (f / 75 % 60) as u8, (f % 75) as u8]
}

/// SFF-8020i 10.8.1.
pub(super) fn inquiry() -> Vec<u8> {
    let mut b = vec![0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0];
    b.extend(format!("{:8}{:16}{:4}", "MS", "C/DVD-ROM", super::FIRMWARE).bytes());
    b
}

/// READ FORMAT CAPACITIES: the current capacity alone, type 2 (formatted) or 3 (no medium).
pub(super) fn format_capacities(blocks: Option<u32>) -> Vec<u8> {
    let mut b = vec![0, 0, 0, 8];
    b.extend(blocks.unwrap_or(0).to_be_bytes());
    b.extend([if blocks.is_some() { 2 } else { 3 }, 0, 0x08, 0]);
    b
}

/// READ SUB-CHANNEL: no audio status, position at the beginning. None: no such format.
pub(super) fn subchannel(data: bool, format: u8, msf: bool) -> Option<Vec<u8>> {
    const NO_STATUS: u8 = 0x15;
    if !data {
        return Some(vec![0, NO_STATUS, 0, 0]);
    }
    Some(match format {
        1 => {
            let mut b = vec![0, NO_STATUS, 0, 12, 1, 0x14, 1, 1];
            b.extend(address(0, msf));
            b.extend(address(0, false));
            b
        }
        // No catalogue number, no ISRC.
        2 | 3 => {
            let mut b = vec![0, NO_STATUS, 0, 20, format];
            b.resize(24, 0);
            b
        }
        _ => return None,
    })
}

/// READ TOC. SFF-8020i 10.8.27, MMC-2 9.1.31. None: no such format or track.
pub(super) fn toc(format: u8, start: u8, msf: bool, blocks: u32) -> Option<Vec<u8>> {
    const LEAD_OUT: u8 = 0xaa;
    let mut b = vec![0, 0, 1, 1];
    match format {
        0 => {
            if start > 1 && start != LEAD_OUT {
                return None;
            }
            let tracks = [(1, 0), (LEAD_OUT, blocks)];
            for (track, lba) in tracks.into_iter().filter(|(t, _)| *t >= start) {
                b.extend([0, 0x14, track, 0]);
                b.extend(address(lba, msf));
            }
        }
        1 => {
            b.extend([0, 0x14, 1, 0]);
            b.extend(address(0, msf));
        }
        2 => {
            // Points A0 (first track, disc type), A1 (last track), A2 (lead-out), then track 1.
            let out = address(blocks, true);
            for (point, p) in
                [(0xa0, [1, 0, 0]), (0xa1, [1, 0, 0]), (0xa2, [out[1], out[2], out[3]]), (1, [0, 2, 0])]
            {
                b.extend([1, 0x14, 0, point, 0, 0, 0, 0]);
                b.extend(p);
            }
        }
        _ => return None,
    }
    let len = (b.len() - 2) as u16;
    b[..2].copy_from_slice(&len.to_be_bytes());
    Some(b)
}

/// READ DISC INFORMATION: complete, one session, one track, CD-ROM. MMC-2 9.1.25.
pub(super) fn disc_information() -> Vec<u8> {
    let mut b = vec![0, 0x20, 0x0e, 1, 1, 1, 1, 0x20];
    b.resize(16, 0);
    // Nothing can be appended: no next lead-in and lead-out.
    b.extend([0xff; 8]);
    b.resize(34, 0);
    b
}

/// READ TRACK INFORMATION of the one track, by block, track or session number.
pub(super) fn track_information(cdb: &[u8; 12], blocks: u32) -> Option<Vec<u8>> {
    let n = u32::from_be_bytes([cdb[2], cdb[3], cdb[4], cdb[5]]);
    let found = match cdb[1] & 3 {
        0 => n < blocks,
        1 | 2 => n == 1,
        _ => false,
    };
    found.then(|| {
        let mut b = vec![0, 34, 1, 1, 0, 0x04, 0x01, 0];
        b.extend(0_u32.to_be_bytes()); // start
        b.extend([0; 12]);
        b.extend(blocks.to_be_bytes());
        b.resize(36, 0);
        b
    })
}

pub(super) fn mechanism_status(open: bool) -> Vec<u8> {
    vec![0, u8::from(open) << 4, 0, 0, 0, 0, 0, 0]
}

/// READ DVD STRUCTURE; None: no such format or layer.
pub(super) fn dvd_structure(format: u8, layer: u8, blocks: u32) -> Option<Vec<u8>> {
    if layer != 0 {
        return None;
    }
    let mut b = vec![0; 4];
    match format {
        // Physical: DVD-ROM part 1, 120 mm, one layer, first sector 30000h.
        0 => {
            b.extend([0x01, 0x0f, 0x01, 0x00]);
            b.extend(0x3_0000_u32.to_be_bytes());
            b.extend(0x3_0000_u32.saturating_add(blocks.saturating_sub(1)).to_be_bytes());
            b.resize(4 + 2048, 0);
        }
        // Copyright: none, all regions.
        1 => b.resize(8, 0),
        // Manufacturing: empty.
        4 => b.resize(4 + 2048, 0),
        // The list of these.
        0xff => {
            for (code, len) in [(0, 2052_u16), (1, 8), (4, 2052), (0xff, 16)] {
                b.extend([code, 0x40]);
                b.extend(len.to_be_bytes());
            }
        }
        _ => return None,
    }
    let len = (b.len() - 2) as u16;
    b[..2].copy_from_slice(&len.to_be_bytes());
    Some(b)
}

/// GET CONFIGURATION. `how`: 0 all features, 1 the current ones, 2 the one named. INF-8090 13.8.
pub(super) fn configuration(how: u8, first: u16, blocks: Option<u32>) -> Vec<u8> {
    let dvd = blocks.is_some_and(is_dvd);
    let cd = blocks.is_some() && !dvd;
    let profile = if dvd {
        DVD_ROM
    } else if cd {
        CD_ROM
    } else {
        0
    };
    let mut b = vec![0, 0, 0, 0, 0, 0];
    b.extend(profile.to_be_bytes());
    let mut profiles = Vec::new();
    for (p, current) in [(DVD_ROM, dvd), (CD_ROM, cd)] {
        profiles.extend(p.to_be_bytes());
        profiles.extend([u8::from(current), 0]);
    }
    // Feature, current, persistent, version, data.
    let features: [(u16, bool, bool, u8, Vec<u8>); 6] = [
        (0x0000, true, true, 0, profiles),
        (0x0001, true, true, 0, vec![0, 0, 0, 2]),    // core: ATAPI
        (0x0003, true, true, 0, vec![0x29, 0, 0, 0]), // removable: tray, eject, lock
        (0x0010, blocks.is_some(), false, 0, vec![0, 0, 8, 0, 0, 1, 0, 0]), // random read, 2048 bytes
        (0x001e, cd, false, 0, vec![]),
        (0x001f, dvd, false, 0, vec![]),
    ];
    for (code, current, persistent, version, data) in features {
        let wanted = match how {
            0 => code >= first,
            1 => code >= first && current,
            _ => code == first,
        };
        if wanted {
            b.extend(code.to_be_bytes());
            b.extend([version << 2 | u8::from(persistent) << 1 | u8::from(current), data.len() as u8]);
            b.extend(data);
        }
    }
    let len = (b.len() - 4) as u32;
    b[..4].copy_from_slice(&len.to_be_bytes());
    b
}

/// What mode pages show.
pub(super) struct Settings {
    pub(super) recovery: [u8; 2],
    pub(super) volume: [u8; 8],
    pub(super) locked: bool,
    /// Page control 1: masks of what MODE SELECT may change.
    pub(super) changeable: bool,
    /// Page control 2.
    pub(super) default: bool,
}

/// Mode pages 01h, 0Eh, 2Ah, or all (3Fh). SFF-8020i 10.8.6. None: no such page.
pub(super) fn mode_pages(page: u8, s: &Settings) -> Option<Vec<u8>> {
    let pick = |now, default, mask| {
        if s.changeable {
            mask
        } else if s.default {
            default
        } else {
            now
        }
    };
    let recovery = pick(s.recovery, super::RETRIES, [0xff; 2]);
    let mut volume = s.volume;
    if s.changeable || s.default {
        volume = if s.changeable { [0xff; 8] } else { super::FULL_VOLUME };
    }
    let mut error = vec![0x01, 6, recovery[0], recovery[1]];
    error.resize(8, 0);
    let mut audio = vec![0x0e, 14, if s.changeable { 0 } else { 0x04 }, 0, 0, 0, 0, 0];
    audio.extend(volume);
    let mut caps = vec![0x2a, 18];
    if s.changeable {
        caps.resize(20, 0);
    } else {
        const SPEED: [u8; 2] = 4234_u16.to_be_bytes(); // kB/s: 24x
        caps.extend([0x0b, 0x00]); // reads CD-R, CD-RW, DVD-ROM; writes nothing
        caps.extend([0x40, 0x00]); // multi-session commands; no audio
        caps.extend([0x29 | u8::from(s.locked) << 1, 0x00]); // tray, eject, lock
        caps.extend(SPEED);
        caps.extend([0, 0, 0x02, 0x00]); // no volume levels; buffer of 512 KiB
        caps.extend(SPEED);
        caps.resize(20, 0);
    }
    match page {
        0x01 => Some(error),
        0x0e => Some(audio),
        0x2a => Some(caps),
        0x3f => Some([error, audio, caps].concat()),
        _ => None,
    }
}
