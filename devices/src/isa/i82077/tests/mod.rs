//! The controller as drivers use it. Registers and status bits stand here as the data sheet's numbers, not as the
//! chip's own constants.

mod data;
mod format;
mod pio;
mod probe;
mod random;
mod seeks;
mod state;

use board::testkit::Bench;
use board::{DiskDone, DiskFault, DiskOp, HostEvent, HostJob, Line, Media, Route};

use super::media::{DriveKind, FloppySpec, Format};
use super::*;

const DOR: u16 = 0x3f2;
const MSR: u16 = 0x3f4;
const DSR: u16 = 0x3f4;
const FIFO: u16 = 0x3f5;
const DIR: u16 = 0x3f7;
const CCR: u16 = 0x3f7;
const MS: Tick = MILLISECOND;

/// A controller, its drives, and the images in them.
pub(super) struct Rig {
    pub(super) b: Bench<I82077>,
    pub(super) images: [Option<Vec<u8>>; 2],
    /// The host's next answers are faults.
    pub(super) broken: bool,
    /// Low to high of IRQ 6 so far.
    pub(super) edges: u32,
    high: bool,
}

/// Bytes that differ from sector to sector.
pub(super) fn pattern(sectors: u64) -> Vec<u8> {
    (0..sectors * 512).map(|i| (i * 7 + i / 512 * 13) as u8).collect()
}

fn spec(sectors: Option<u64>, read_only: bool) -> Option<FloppySpec> {
    let f = sectors.and_then(Format::of);
    let media = sectors.map(|sectors| Media { sectors, read_only });
    Some(FloppySpec { kind: DriveKind::of(f), media })
}

impl Rig {
    /// Drive 0 with a diskette of so many sectors, drive 1 empty.
    pub(super) fn new(sectors: u64) -> Self {
        Self::with([spec(Some(sectors), false), spec(None, false)])
    }

    pub(super) fn with(drives: [Option<FloppySpec>; 2]) -> Self {
        let images = drives.map(|d| d.and_then(|d| d.media).map(|m| pattern(m.sectors)));
        let mut b = Bench::new(|l| I82077::new(l.connect(Route::Isa(6)), drives));
        b.place(LOW, PORTS[0]);
        b.place(HIGH, PORTS[1]);
        Self { b, images, broken: false, edges: 0, high: false }
    }

    /// As a BIOS leaves it: out of reset, polled, DMA, motor of drive 0 on, 500 kbit/s, head at track 0, disk change seen.
    pub(super) fn ready(sectors: u64) -> Self {
        let mut r = Self::new(sectors);
        r.start_up();
        r
    }

    pub(super) fn start_up(&mut self) {
        self.reset();
        self.command(&[0x03, 0xdf, 0x02]);
        self.b.out8(DOR, 0x1c);
        let rate =
            self.b.dev.drives[0].format().map_or(0, |f| self.b.dev.drives[0].kind.unwrap().rate(f.density));
        self.b.out8(CCR, rate);
        self.seek(0, 1);
        self.seek(0, 0);
    }

    fn note(&mut self) {
        let high = self.irq();
        self.edges += u32::from(high && !self.high);
        self.high = high;
    }

    pub(super) fn irq(&self) -> bool {
        self.b.level(Line(0))
    }

    /// Serves what the chip asked the host for.
    fn serve(&mut self) {
        for HostJob::Disk(job) in self.b.jobs() {
            let image = self.images[usize::from(job.unit)].as_mut();
            let result = match (image, job.op) {
                _ if self.broken => Err(DiskFault::Io),
                (None, _) => Err(DiskFault::Absent),
                (Some(i), DiskOp::Read { lba, count }) => i
                    .get(lba as usize * 512..(lba as usize + count as usize) * 512)
                    .map(<[u8]>::to_vec)
                    .ok_or(DiskFault::Range),
                (Some(i), DiskOp::Write { lba, data }) => {
                    i[lba as usize * 512..][..data.len()].copy_from_slice(&data);
                    Ok(Vec::new())
                }
                (Some(_), _) => Ok(Vec::new()),
            };
            self.b.host(HostEvent::Disk(DiskDone { unit: job.unit, tag: job.tag, result }));
            self.note();
        }
    }

    /// Lets time pass, with a host that answers.
    pub(super) fn pass(&mut self, by: Tick) {
        let mut left = by;
        while left > 0 {
            let step = left.min(20 * MICROSECOND);
            self.b.advance(step);
            self.note();
            self.serve();
            left -= step;
        }
    }

    /// Waits for IRQ 6.
    pub(super) fn interrupt(&mut self) {
        for _ in 0..100_000 {
            if self.irq() {
                return;
            }
            self.pass(20 * MICROSECOND);
        }
        panic!("no interrupt within 2 s; MSR {:02x}", self.b.in8(MSR));
    }

    /// Bytes of a command, each with the handshake that drivers make.
    pub(super) fn command(&mut self, bytes: &[u8]) {
        for &v in bytes {
            assert_eq!(self.b.in8(MSR) & 0xc0, 0x80, "ready for byte {v:02x} of {bytes:02x?}");
            self.b.out8(FIFO, v);
            self.note();
        }
    }

    /// All result bytes that there are.
    pub(super) fn result(&mut self) -> Vec<u8> {
        let mut v = Vec::new();
        while self.b.in8(MSR) & 0xd0 == 0xd0 && v.len() < 20 {
            v.push(self.b.in8(FIFO));
            self.note();
        }
        assert_eq!(self.b.in8(MSR) & 0xf0, 0x80, "idle after the result {v:02x?}");
        v
    }

    pub(super) fn ask(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.command(bytes);
        self.result()
    }

    /// A command that ends with an interrupt and results.
    pub(super) fn run(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.command(bytes);
        self.interrupt();
        self.result()
    }

    pub(super) fn reset(&mut self) {
        self.b.out8(DOR, 0x08);
        self.b.out8(DOR, 0x0c);
        self.interrupt();
        for n in 0..4 {
            assert_eq!(self.ask(&[0x08]), [0xc0 | n, 0], "drive {n} was polled");
        }
        assert!(!self.irq());
    }

    pub(super) fn seek(&mut self, unit: u8, cylinder: u8) {
        self.command(&[0x0f, unit, cylinder]);
        self.interrupt();
        assert_eq!(self.ask(&[0x08]), [0x20 | unit, cylinder]);
    }

    /// The 8237's channel, for so many bytes to memory.
    pub(super) fn dma_to_memory(&mut self, bytes: usize) {
        self.b.dma.left = bytes;
        self.b.dma.taken.clear();
    }

    pub(super) fn dma_from_memory(&mut self, data: &[u8]) {
        self.b.dma.left = data.len();
        self.b.dma.given = data.to_vec();
    }

    pub(super) fn media(&mut self, unit: u8, image: Option<Vec<u8>>, read_only: bool) {
        let media = image.as_ref().map(|i| Media { sectors: i.len() as u64 / 512, read_only });
        self.images[usize::from(unit)] = image;
        self.b.host(HostEvent::Media { unit, media, forced: true });
    }
}
