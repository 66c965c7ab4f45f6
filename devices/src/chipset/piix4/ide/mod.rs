//! Function 1 of the 82371AB (PIIX4): the IDE controller, 8086:7111, with two channels and up to four drives.
//!
//! Windows: [`CONFIG`] 256 bytes of configuration space; [`CMD0`]/[`CTL0`] the primary channel's command block
//! (1F0h-1F7h) and control block (3F6h), [`CMD1`]/[`CTL1`] the secondary's (170h-177h, 376h); [`BM`] the bus
//! master block, 16 ports where BMIBA says. The chip places all but `CONFIG` itself: the legacy ports answer
//! while PCICMD.IOSE and the channel's IDETIM.IDE (bit 15) are set, `BM` while PCICMD.IOSE and BME are.
//! After power-on all of it is off, as the datasheet has it; firmware turns it on (see the list below).
//!
//! Registers: `regs.rs`. Bus master: `bus_master.rs`. Drives: `ata/`.
//!
//! Interrupts: INTRQ of each channel drives IRQ14 and IRQ15 (legacy mode only; no PCI pin). A rising edge also
//! sets BMISX.IDEINTS, for PIO commands too.
//!
//! What firmware has to write: PCICMD = 0005h, IDETIM (40h, 42h) = 8000h, BMIBA (20h), and in each BMISX the
//! DMA-capable bits 5 and 6 of the drives it found: NT takes them as the leave to use DMA.
//!
//! Timing registers (IDETIM, SIDETIM, UDMACTL, UDMATIM) read back and change nothing: transfers take no time.
//! Two cases are decided for the guest's good where the datasheet lets it hang until its time-out: a PRD table
//! that ends before the drive's data lets the command end (`ata/hard_disk/transfer.rs`), and a memory failure
//! sets ERROR and makes the drive abort.
//!
//! Source: 82371AB datasheet (290562-001), chapter 5; "Bus Master Programming Interface for IDE ATA
//! Controllers" revision 1.0.
//! Page: docs/devices/piix4-ide.md.

mod bus_master;
mod regs;
mod state;

#[cfg(test)]
mod tests;

use board::{
    At, Cx, Decode, Device, HostEvent, Line, Reset, StateError, StateIn, StateOut, Width, Win, WinSpec,
};

use self::bus_master::{BusMaster, Ran};
use self::regs::config_space;
use crate::ata::task_file::{AtaCmd, Flow};
use crate::ata::{Channel, DriveSpec};

pub const CONFIG: Win = Win(0);
pub const CMD0: Win = Win(1);
pub const CTL0: Win = Win(2);
pub const CMD1: Win = Win(3);
pub const CTL1: Win = Win(4);
pub const BM: Win = Win(5);

const WINDOWS: &[WinSpec] = &[
    WinSpec::config(CONFIG),
    WinSpec::pio(CMD0, 8, Width::D),
    WinSpec::pio(CTL0, 1, Width::B),
    WinSpec::pio(CMD1, 8, Width::D),
    WinSpec::pio(CTL1, 1, Width::B),
    WinSpec::pio(BM, 16, Width::D),
];

/// Where legacy mode puts the channels.
pub const COMMAND_PORTS: [u16; 2] = [0x1f0, 0x170];
pub const CONTROL_PORTS: [u16; 2] = [0x3f6, 0x376];

/// Fixed when the board is built.
#[derive(Clone, Copy, Debug)]
pub struct Wiring {
    pub irq14: Line,
    pub irq15: Line,
}

/// Counters for `ctl metrics`.
#[derive(Clone, Copy, Default)]
struct Seen {
    commands: u64,
    jobs: u64,
    dma_bytes: u64,
    interrupts: u64,
}

/// One channel: cable, bus master, and the level of INTRQ when we last looked.
struct Side {
    cable: Channel,
    bm: BusMaster,
    intrq: bool,
}

pub struct Piix4Ide {
    wiring: Wiring,
    /// See [`Piix4Ide::with_wide_bmiba`].
    wide_bmiba: bool,
    config: board::ConfigSpace,
    sides: [Side; 2],
    seen: Seen,
}

impl Piix4Ide {
    /// Drives in the order of their units: primary master and slave, secondary master and slave.
    pub fn new(wiring: Wiring, drives: [Option<DriveSpec>; 4]) -> Self {
        let [a, b, c, d] = drives;
        let side = |n, of| Side { cable: Channel::new(n, of), bm: BusMaster::default(), intrq: false };
        Self {
            wiring,
            config: config_space(false),
            wide_bmiba: false,
            sides: [side(0, [a, b]), side(1, [c, d])],
            seen: Seen::default(),
        }
    }

    /// BMIBA's upper half can be written too, where the chip has zeros. For a BIOS that measures I/O ranges in 32 bits
    /// (SeaBIOS): to it the chip's own BMIBA is a range of 4 GiB.
    #[must_use]
    pub fn with_wide_bmiba(self) -> Self {
        Self { wide_bmiba: true, config: config_space(true), ..self }
    }

    fn line(&self, ch: usize) -> Line {
        if ch == 0 { self.wiring.irq14 } else { self.wiring.irq15 }
    }

    /// The registers that `decode` goes by.
    fn decoded_by(&self) -> (u16, u16, bool, bool) {
        let ide = |ch| regs::idetim(&self.config, ch).ide();
        (self.config.get16(0x04), self.config.get16(regs::BMIBA), ide(0), ide(1))
    }

    /// Places the windows as the configuration registers say. 82371AB 5.1.3, 5.1.9, 5.1.11.
    fn decode(&self, cx: &mut Cx<'_>) {
        let io = self.config.io_enabled();
        for (ch, (cmd, ctl)) in [(CMD0, CTL0), (CMD1, CTL1)].into_iter().enumerate() {
            let on = io && regs::idetim(&self.config, ch).ide();
            cx.remap(cmd, on.then_some(Decode::Pio(COMMAND_PORTS[ch])));
            cx.remap(ctl, on.then_some(Decode::Pio(CONTROL_PORTS[ch])));
        }
        let base = self.config.get16(regs::BMIBA) & 0xfff0;
        let on = io && self.config.bus_master_enabled() && base != 0;
        cx.remap(BM, on.then_some(Decode::Pio(base)));
    }

    /// Moves what can be moved by DMA, then drives the interrupt line.
    fn settle(&mut self, cx: &mut Cx<'_>, ch: usize) {
        let may = self.config.bus_master_enabled();
        let side = &mut self.sides[ch];
        while may && side.bm.active() {
            let Some(drive) = side.cable.dma_drive() else { break };
            let Some(flow) = drive.dmarq() else { break };
            // A transfer programmed the other way round moves nothing; the driver's time-out ends it.
            if side.bm.to_memory() != (flow == Flow::DmaIn) {
                break;
            }
            if let Some(len) = drive.dma_ahead() {
                let ranges = side.bm.plan(cx.ram, len);
                drive.dma_begin(cx, ranges);
                continue;
            }
            let data = drive.dma_data();
            let (n, ran) = match flow {
                Flow::DmaIn => side.bm.store(cx.ram, data),
                _ => side.bm.fetch(cx.ram, data),
            };
            self.seen.dma_bytes += n as u64;
            drive.dma_moved(cx, n, ran == Ran::Fault);
        }
        let intrq = side.cable.intrq();
        if !side.cable.busy() {
            side.bm.device_done();
        }
        if intrq && !side.intrq {
            side.bm.interrupt();
            self.seen.interrupts += 1;
        }
        side.intrq = intrq;
        let line = self.line(ch);
        cx.lines.set(line, intrq);
    }

    fn read_command_block(&mut self, cx: &mut Cx<'_>, ch: usize, at: At) -> u32 {
        let n = at.width.bytes();
        if at.off == 0 {
            let (v, ended) = self.sides[ch].cable.read_data(cx, n as usize);
            // Between the ends of DRQ blocks no line moves: millions of words pass here.
            if ended {
                self.settle(cx, ch);
            }
            return v & at.width.ones();
        }
        let v = (0..n).map(|i| u32::from(self.sides[ch].cable.read_reg(at.off + i)) << (8 * i)).sum();
        self.settle(cx, ch);
        v
    }

    fn write_command_block(&mut self, cx: &mut Cx<'_>, ch: usize, at: At, v: u32) {
        if at.off == 0 {
            if self.sides[ch].cable.write_data(cx, at.width.bytes() as usize, v) {
                self.settle(cx, ch);
            }
            return;
        }
        for i in 0..at.width.bytes() {
            let b = (v >> (8 * i)) as u8;
            let side = &mut self.sides[ch];
            if at.off + i != 7 {
                side.cable.write_reg(at.off + i, b);
            } else {
                self.seen.commands += 1;
                // Writing the command register takes INTRQ back (ATA-4 7.2.1), seen by the line even if
                // the command asks for an interrupt at once.
                if let Some(d) = side.cable.selected() {
                    d.core.intrq = false;
                }
                self.settle(cx, ch);
                self.sides[ch].cable.command(cx, AtaCmd(b));
            }
            self.settle(cx, ch);
        }
    }

    fn read_bus_master(&self, cx: &mut Cx<'_>, at: At) -> u32 {
        (0..at.width.bytes())
            .map(|i| {
                let off = at.off + i;
                let bm = &self.sides[off as usize >> 3 & 1].bm;
                let v =
                    bm.read(off & 7).unwrap_or_else(|| cx.open_bus(At { off, width: Width::B, ..at }) as u8);
                u32::from(v) << (8 * i)
            })
            .sum()
    }

    fn write_bus_master(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        for i in 0..at.width.bytes() {
            let off = at.off + i;
            let ch = off as usize >> 3 & 1;
            self.sides[ch].bm.write(off & 7, (v >> (8 * i)) as u8);
        }
        let ch = at.off as usize >> 3 & 1;
        self.settle(cx, ch);
    }
}

impl Device for Piix4Ide {
    fn name(&self) -> &'static str {
        "piix4-ide"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _kind: Reset) {
        self.config = config_space(self.wide_bmiba);
        for side in &mut self.sides {
            side.bm = BusMaster::default();
            side.cable.hard_reset();
            side.intrq = false;
        }
        self.decode(cx);
        self.settle(cx, 0);
        self.settle(cx, 1);
    }

    #[inline]
    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        match at.win {
            CMD0 => self.read_command_block(cx, 0, at),
            CMD1 => self.read_command_block(cx, 1, at),
            CTL0 => u32::from(self.sides[0].cable.alternate_status()),
            CTL1 => u32::from(self.sides[1].cable.alternate_status()),
            BM => self.read_bus_master(cx, at),
            CONFIG => self.config.read(at),
            _ => cx.open_bus(at),
        }
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        match at.win {
            CMD0 => self.write_command_block(cx, 0, at, v),
            CMD1 => self.write_command_block(cx, 1, at, v),
            CTL0 | CTL1 => {
                let ch = usize::from(at.win == CTL1);
                self.sides[ch].cable.write_control(v as u8);
                self.settle(cx, ch);
            }
            BM => self.write_bus_master(cx, at, v),
            CONFIG => {
                let before = self.decoded_by();
                self.config.write(at, v);
                if self.decoded_by() != before {
                    self.decode(cx);
                }
                // BME may have let a waiting transfer go.
                self.settle(cx, 0);
                self.settle(cx, 1);
            }
            _ => {
                cx.open_bus(at);
            }
        }
    }

    fn host(&mut self, cx: &mut Cx<'_>, ev: HostEvent) {
        let unit = match &ev {
            HostEvent::Disk(done) => done.unit,
            HostEvent::Media { unit, .. } => *unit,
            _ => return,
        };
        let ch = usize::from(unit >> 1 & 1);
        match ev {
            HostEvent::Disk(done) if unit < 4 => {
                self.seen.jobs += 1;
                let side = &mut self.sides[ch];
                if let Some(moved) = side.cable.host_done(cx, done) {
                    self.seen.dma_bytes += side.bm.planned(moved);
                }
            }
            HostEvent::Media { media, forced, .. } if unit < 4 => {
                self.sides[ch].cable.media(cx, unit & 1, media, forced);
            }
            _ => return,
        }
        self.settle(cx, ch);
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        self.decode(cx);
        for ch in 0..2 {
            for d in self.sides[ch].cable.drives.iter_mut().flatten() {
                d.core.resubmit(cx);
            }
            self.settle(cx, ch);
        }
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let Seen { commands, jobs, dma_bytes, interrupts } = self.seen;
        vec![
            ("commands", commands),
            ("host_jobs", jobs),
            ("dma_bytes", dma_bytes),
            ("interrupts", interrupts),
        ]
    }
}
