//! The IDE function by its registers, as drivers use it.

mod bus_master;
mod cache;
mod cdrom;
mod config;
mod disk;
mod presence;
mod saved;
mod straight;
mod trim;
mod wild;

use board::testkit::Bench;
use board::{DiskDone, DiskFault, DiskJob, DiskOp, HostEvent, HostJob, Line, Route, Width, pieces};

use super::{CONFIG, Piix4Ide, Wiring};
use crate::ata::DriveSpec;
use crate::ata::atapi::CdSpec;
use crate::ata::hard_disk::DiskSpec;

pub(super) const BMBA: u16 = 0xffa0;
pub(super) const P: u16 = 0x1f0;
pub(super) const S: u16 = 0x170;
pub(super) const IRQ14: Line = Line(0);
pub(super) const IRQ15: Line = Line(1);

/// A controller on a bench whose host answers jobs from memory when told to.
pub(super) struct Ide {
    pub(super) b: Bench<Piix4Ide>,
    pub(super) images: [Vec<u8>; 4],
    /// Sectors of unit 0 that the host can't read or write.
    pub(super) bad: Vec<u64>,
    pub(super) read_only: bool,
    pub(super) flush_fails: bool,
    pub(super) log: Vec<DiskJob>,
    /// Answer jobs after every access.
    pub(super) auto: bool,
    /// The host moves data between image and memory by itself.
    pub(super) straight: bool,
}

/// A sector's content tells where it is.
pub(super) fn pattern(sectors: usize) -> Vec<u8> {
    (0..sectors as u32).flat_map(|s| (0..128_u32).flat_map(move |i| (s << 8 | i).to_le_bytes())).collect()
}

pub(super) fn disk(sectors: u64) -> Option<DriveSpec> {
    Some(DriveSpec::Disk(spec(sectors)))
}

pub(super) fn spec(sectors: u64) -> DiskSpec {
    DiskSpec { sectors, serial: "HL-0001".into(), geometry: None, write_cache: true, trim: false }
}

pub(super) fn cd() -> Option<DriveSpec> {
    Some(DriveSpec::Cd(CdSpec { serial: "CD-0001".into(), media: None }))
}

pub(super) const SECTORS: u64 = 4096;

impl Ide {
    /// As firmware leaves it.
    pub(super) fn with(drives: [Option<DriveSpec>; 4]) -> Self {
        let mut b = Bench::new(|l| {
            let wiring = Wiring { irq14: l.connect(Route::Isa(14)), irq15: l.connect(Route::Isa(15)) };
            Piix4Ide::new(wiring, drives)
        });
        b.cfg_write(CONFIG, 0x20, Width::D, u32::from(BMBA));
        b.cfg_write(CONFIG, 0x04, Width::W, 5);
        b.cfg_write(CONFIG, 0x40, Width::D, 0x8000_8000);
        Self {
            b,
            images: [pattern(SECTORS as usize), Vec::new(), Vec::new(), Vec::new()],
            bad: Vec::new(),
            read_only: false,
            flush_fails: false,
            log: Vec::new(),
            auto: true,
            straight: true,
        }
    }

    pub(super) fn one_disk() -> Self {
        Self::with([disk(SECTORS), None, None, None])
    }

    /// The same, with a host that takes data only through the drive's buffer.
    pub(super) fn buffered() -> Self {
        Self { straight: false, ..Self::one_disk() }
    }

    fn answer(&self, job: &DiskJob) -> Result<Vec<u8>, DiskFault> {
        let image = &self.images[usize::from(job.unit)];
        let (lba, n) = match &job.op {
            DiskOp::Read { lba, count } => (*lba, u64::from(*count)),
            DiskOp::Write { lba, data } => (*lba, data.len() as u64 / 512),
            DiskOp::ReadTo { lba, to: ranges } | DiskOp::WriteFrom { lba, from: ranges } => {
                if !self.straight {
                    return Err(DiskFault::Later);
                }
                (*lba, ranges.iter().map(|r| r.len() as u64).sum::<u64>() / 512)
            }
            DiskOp::Flush if self.flush_fails => return Err(DiskFault::Io),
            DiskOp::Discard { .. } if self.read_only => return Err(DiskFault::ReadOnly),
            DiskOp::Flush | DiskOp::Discard { .. } | DiskOp::Eject => return Ok(Vec::new()),
        };
        let (from, to) = (lba as usize * 512, (lba + n) as usize * 512);
        if to > image.len() {
            return Err(DiskFault::Range);
        }
        if job.unit == 0 && (lba..lba + n).any(|s| self.bad.contains(&s)) {
            return Err(DiskFault::Io);
        }
        match &job.op {
            DiskOp::Write { .. } | DiskOp::WriteFrom { .. } if self.read_only => Err(DiskFault::ReadOnly),
            DiskOp::Read { .. } => Ok(image[from..to].to_vec()),
            DiskOp::ReadTo { to: ranges, .. } => {
                self.b.ram.fill(ranges, |p| pieces::put(p, &image[from..to]));
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Serves what the controller asked for, until it asks no more.
    pub(super) fn serve(&mut self) {
        while self.step() {}
    }

    /// Serves what the controller asks for now. False: nothing.
    pub(super) fn step(&mut self) -> bool {
        let jobs = self.b.jobs();
        let some = !jobs.is_empty();
        for HostJob::Disk(job) in jobs {
            let result = self.answer(&job);
            let written = match &job.op {
                DiskOp::Write { lba, data } => Some((*lba, data.to_vec())),
                DiskOp::WriteFrom { lba, from } => Some((*lba, self.b.ram.lend(from, pieces::get))),
                _ => None,
            };
            if let (Some((lba, data)), Ok(_)) = (written, &result) {
                let at = lba as usize * 512;
                self.images[usize::from(job.unit)][at..at + data.len()].copy_from_slice(&data);
            }
            if let (DiskOp::Discard { runs }, Ok(_)) = (&job.op, &result) {
                for (lba, count) in runs {
                    self.images[usize::from(job.unit)][*lba as usize * 512..][..*count as usize * 512]
                        .fill(0);
                }
            }
            let done = DiskDone { unit: job.unit, tag: job.tag, result };
            self.log.push(job);
            self.b.host(HostEvent::Disk(done));
        }
        some
    }

    fn auto(&mut self) {
        if self.auto {
            self.serve();
        }
    }

    pub(super) fn out8(&mut self, port: u16, v: u8) {
        self.b.out8(port, v);
        self.auto();
    }

    pub(super) fn out16(&mut self, port: u16, v: u16) {
        self.b.out16(port, v);
        self.auto();
    }

    pub(super) fn in8(&mut self, port: u16) -> u8 {
        let v = self.b.in8(port);
        self.auto();
        v
    }

    pub(super) fn in16(&mut self, port: u16) -> u16 {
        let v = self.b.in16(port);
        self.auto();
        v
    }

    /// Task file with an LBA, then the command.
    pub(super) fn lba_command(&mut self, base: u16, lba: u32, count: u8, cmd: u8) {
        self.b.out8(base + 6, 0xe0 | (lba >> 24) as u8);
        self.b.out8(base + 2, count);
        self.b.out8(base + 3, lba as u8);
        self.b.out8(base + 4, (lba >> 8) as u8);
        self.b.out8(base + 5, (lba >> 16) as u8);
        self.out8(base + 7, cmd);
    }

    /// The same with 48 bits of address and 16 of count: the high order bytes first.
    pub(super) fn ext_command(&mut self, base: u16, lba: u64, count: u16, cmd: u8) {
        let ([l0, l1, l2, l3, l4, l5, ..], [c0, c1]) = (lba.to_le_bytes(), count.to_le_bytes());
        self.b.out8(base + 6, 0xe0);
        for [count, low, mid, high] in [[c1, l3, l4, l5], [c0, l0, l1, l2]] {
            self.b.out8(base + 2, count);
            self.b.out8(base + 3, low);
            self.b.out8(base + 4, mid);
            self.b.out8(base + 5, high);
        }
        self.out8(base + 7, cmd);
    }

    pub(super) fn read_words(&mut self, base: u16, n: usize) -> Vec<u8> {
        (0..n).flat_map(|_| self.in16(base).to_le_bytes()).collect()
    }

    pub(super) fn write_words(&mut self, base: u16, data: &[u8]) {
        for w in data.chunks(2) {
            self.out16(base, u16::from_le_bytes([w[0], w[1]]));
        }
    }

    pub(super) fn identify(&mut self, base: u16, cmd: u8) -> Vec<u16> {
        self.out8(base + 7, cmd);
        assert_eq!(self.in8(base + 7), 0x58);
        self.read_words(base, 256).chunks(2).map(|w| u16::from_le_bytes([w[0], w[1]])).collect()
    }

    pub(super) fn irq(&self, line: Line) -> bool {
        self.b.level(line)
    }
}
