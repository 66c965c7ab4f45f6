//! No guest, however wild, makes the controller panic, hang, or ask the host for what is not on the disk; and a
//! saved state comes back as it was.

use board::{
    Device, DiskDone, DiskFault, DiskJob, DiskOp, HostEvent, HostJob, Media, Reset, StateOut, Width,
};
use seeded::Rng;

use super::{BMBA, CONFIG, DiskSpec, Ide, SECTORS, disk, spec};
use crate::ata::DriveSpec;
use crate::ata::atapi::CdSpec;

const BLOCKS: u64 = 500;
/// The bench's.
const RAM: u64 = 16 << 20;

const COMMANDS: [u8; 42] = [
    0x00, 0x06, 0x06, 0x08, 0x10, 0x20, 0x20, 0x21, 0x22, 0x24, 0x30, 0x30, 0x31, 0x3c, 0x40, 0x50, 0x70,
    0x90, 0x91, 0xa0, 0xa0, 0xa0, 0xa0, 0xa1, 0xb0, 0xc4, 0xc5, 0xc6, 0xc8, 0xc8, 0xc9, 0xca, 0xca, 0xe0,
    0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xec, 0xef, 0xff,
];

const PACKETS: [u8; 36] = [
    0x00, 0x03, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x23, 0x25, 0x28, 0x28, 0x28, 0x2b, 0x42, 0x43, 0x44, 0x45,
    0x46, 0x47, 0x48, 0x4a, 0x4b, 0x4e, 0x51, 0x52, 0x55, 0x5a, 0xa4, 0xa5, 0xa8, 0xad, 0xb9, 0xbb, 0xbd,
    0xbe, 0xff,
];

fn answer(r: &mut Rng, job: &DiskJob, written: &mut u64, straight: &mut u64) -> Result<Vec<u8>, DiskFault> {
    let size = if job.unit < 2 { SECTORS } else { BLOCKS * 4 };
    let inside = |lba: u64, n: u64| assert!(n <= 0x1_0000 && n > 0 && lba + n <= size, "{job:?}");
    match &job.op {
        DiskOp::Read { lba, count } => inside(*lba, u64::from(*count)),
        DiskOp::Write { lba, data } => {
            assert!(job.unit < 2, "a CD was written");
            inside(*lba, data.len() as u64 / 512);
            *written += 1;
        }
        DiskOp::ReadTo { lba, to: ranges } | DiskOp::WriteFrom { lba, from: ranges } => {
            assert!(job.unit < 2, "a CD's data came straight");
            assert!(ranges.iter().all(|r| u64::from(r.end) <= RAM && !r.is_empty()), "{job:?}");
            let bytes = ranges.iter().map(|r| r.len() as u64).sum::<u64>();
            assert_eq!(bytes % 512, 0);
            inside(*lba, bytes / 512);
            if r.one_in(2) {
                return Err(DiskFault::Later);
            }
            *straight += 1;
        }
        DiskOp::Discard { runs } => {
            assert!(job.unit == 0, "a drive without it took TRIM");
            assert!(runs.iter().all(|(lba, n)| *n > 0 && lba + u64::from(*n) <= size), "{job:?}");
        }
        DiskOp::Flush | DiskOp::Eject => {}
    }
    if r.one_in(16) {
        return Err(r.pick(&[DiskFault::Absent, DiskFault::Range, DiskFault::ReadOnly, DiskFault::Io]));
    }
    Ok(match &job.op {
        // Now and then a host that gives too little.
        DiskOp::Read { count, .. } => vec![r.next() as u8; *count as usize * 512 - usize::from(r.one_in(64))],
        _ => Vec::new(),
    })
}

fn saved(i: &Ide) -> Vec<u8> {
    let mut out = StateOut::default();
    i.b.dev.save(&mut out);
    out.into_body().unwrap().1
}

fn access(i: &mut Ide, r: &mut Rng) {
    let base = r.pick(&[0x1f0, 0x170]);
    let v = r.next();
    match r.below(30) {
        // A command as a driver gives it, its data perhaps, and the bus master perhaps.
        24..=29 => {
            i.b.out8(if base == 0x1f0 { 0x3f6 } else { 0x376 }, 0);
            i.b.out8(base + 6, r.pick(&[0xe0, 0xf0]));
            for (reg, v) in [
                (1, r.below(2) as u8),
                (2, r.pick(&[1, 2, 9, 0])),
                (3, v as u8),
                (4, r.below(16) as u8),
                (5, 0),
            ] {
                i.b.out8(base + reg, v);
            }
            i.b.out8(base + 7, r.pick(&COMMANDS));
            if r.one_in(2) {
                i.b.out8(BMBA + if base == 0x1f0 { 0 } else { 8 }, r.pick(&[1, 9]));
            }
            for _ in 0..r.pick(&[0, 256, 256, 512, 5000]) {
                if i.b.in8(base + 7) & 0x88 != 0x08 {
                    break;
                }
                i.b.out16(base, r.next() as u16);
            }
        }
        0..=3 => i.b.out8(base + 7, if r.one_in(8) { v as u8 } else { r.pick(&COMMANDS) }),
        4..=6 => i.b.out8(base + 1 + r.below(6) as u16, v as u8),
        7 => i.b.out8(base + 6, r.pick(&[0xa0, 0xb0, 0xe0, 0xf0])),
        // Addresses that are on the disk, more often than not.
        8 | 9 => {
            i.b.out8(base + 2, r.pick(&[0, 1, 2, 8, 200]));
            i.b.out8(base + 4, r.below(17) as u8);
            i.b.out8(base + 5, 0);
            i.b.out8(base + 1, r.pick(&[0, 1, 3, 0xd0, 0xda]));
        }
        10 => {
            i.b.in8(base + r.below(8) as u16);
        }
        11 => {
            i.b.in8(if base == 0x1f0 { 0x3f6 } else { 0x376 });
        }
        12 => i.b.out8(if base == 0x1f0 { 0x3f6 } else { 0x376 }, r.pick(&[0, 0, 0, 2, 4, v as u8])),
        13 => {
            for _ in 0..r.below(2000) {
                match r.below(3) {
                    0 => i.b.in32(base),
                    1 => u32::from(i.b.in16(base)),
                    _ => u32::from(i.b.in8(base)),
                };
            }
        }
        14 => {
            for _ in 0..r.below(2000) {
                i.b.out16(base, r.next() as u16);
            }
        }
        // A packet.
        15..=17 => {
            let mut cdb = [0; 12];
            cdb.fill_with(|| r.pick(&[0, 0, 0, 1, 2, 8, 0x10, 0x3f, 0xf8, 0xff, v as u8]));
            cdb[0] = r.pick(&PACKETS);
            if r.one_in(2) {
                cdb[2..4].fill(0);
                cdb[7] = 0;
            }
            for w in cdb.chunks(2) {
                i.b.out16(base, u16::from_le_bytes([w[0], w[1]]));
            }
        }
        // A descriptor, sometimes to nowhere.
        18 | 19 => {
            let at = 0x1_0000 + r.below(8) as u32 * 8;
            i.b.write32(at, r.pick(&[0x2_0000, 0x2_fffe, 0x3_0001, 0x1_0000, 0xa_0000, 0xf_0000, v as u32]));
            i.b.write32(at + 4, r.pick(&[0x8000_0000, 0, 512, 0x8000_0200, 4096, v as u32]));
        }
        20 => i.b.out32(BMBA + r.pick(&[4, 12]), r.pick(&[0x1_0000, 0x1_0008, 0x1_fff8, v as u32])),
        21 | 22 => i.b.out8(BMBA + r.pick(&[0, 8]), r.pick(&[0, 1, 8, 9, v as u8])),
        _ => {
            let off = r.below(16) as u16;
            match r.below(3) {
                0 => i.b.out8(BMBA + off, v as u8),
                1 => i.b.out16(BMBA + off, v as u16),
                _ => {
                    i.b.in32(BMBA + off);
                }
            }
        }
    }
}

fn run(seed: u64, rounds: u32) {
    let mut r = Rng::new(seed);
    let media = Some(Media { sectors: BLOCKS * 4, read_only: true });
    let cd = || Some(DriveSpec::Cd(CdSpec { serial: String::new(), media }));
    let trims = Some(DriveSpec::Disk(DiskSpec { trim: true, ..spec(SECTORS) }));
    let mut i = Ide::with([trims, disk(SECTORS), cd(), cd()]);
    i.auto = false;
    let mut waiting: Vec<DiskJob> = Vec::new();
    let (mut reads, mut writes, mut straight) = (0_u64, 0, 0);
    for _ in 0..rounds {
        access(&mut i, &mut r);
        waiting.extend(i.b.jobs().into_iter().map(|HostJob::Disk(j)| j));
        while !waiting.is_empty() && r.one_in(2) {
            let job = waiting.remove(0);
            reads += u64::from(matches!(job.op, DiskOp::Read { .. }));
            let result = answer(&mut r, &job, &mut writes, &mut straight);
            i.b.host(HostEvent::Disk(DiskDone { unit: job.unit, tag: job.tag, result }));
            waiting.extend(i.b.jobs().into_iter().map(|HostJob::Disk(j)| j));
        }
        match r.below(400) {
            0 => i.b.host(HostEvent::Media { unit: r.below(6) as u8, media, forced: r.one_in(2) }),
            1 => i.b.host(HostEvent::Media { unit: r.below(6) as u8, media: None, forced: r.one_in(2) }),
            2 => i.b.host(HostEvent::Disk(DiskDone {
                unit: r.next() as u8,
                tag: r.next() as u32 & 3,
                result: Ok(vec![0; r.below(3000) as usize]),
            })),
            3 => i.b.cfg_write(CONFIG, r.next() as u8 & 0xfc, Width::D, r.next() as u32),
            4 if r.one_in(8) => i.b.reset(Reset::Hard),
            5..=8 => {
                let before = saved(&i);
                i.b.save_and_load();
                // Jobs in flight went to the host again, under new tags; else nothing changed.
                waiting = i.b.jobs().into_iter().map(|HostJob::Disk(j)| j).collect();
                if waiting.is_empty() {
                    assert_eq!(before, saved(&i));
                }
            }
            _ => {}
        }
        // Firmware's settings again, so that most accesses go somewhere.
        if r.one_in(50) {
            i.b.cfg_write(CONFIG, 0x20, Width::D, u32::from(BMBA));
            i.b.cfg_write(CONFIG, 0x04, Width::W, 5);
            i.b.cfg_write(CONFIG, 0x40, Width::D, 0x8000_8000);
        }
    }
    assert!(
        reads > 20 && writes > 5 && straight > 5,
        "the stream does its job: {reads} reads, {writes} writes, {straight} straight"
    );
}

/// `HEIRLOOM_FUZZ_SEEDS` makes it longer.
#[test]
fn the_controller_takes_anything() {
    let seeds = std::env::var("HEIRLOOM_FUZZ_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    for seed in 1..=seeds {
        run(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed), 20_000);
    }
}
