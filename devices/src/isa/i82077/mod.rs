//! The floppy controller of the Super-I/O: an i82077AA with the commands that the 82078 adds, and its drives.
//!
//! Windows: [`LOW`], 3F0h-3F5h (SRA, SRB, DOR, TDR, MSR/DSR, FIFO), and [`HIGH`], 3F7h (DIR/CCR); 3F6h between them is
//! the IDE controller's. Registers in `regs.rs`, formats of diskettes and kinds of drives in `media.rs`.
//!
//! - A command's bytes are collected in `commands.rs`, which also answers the commands that move no data; `seek.rs`
//!   moves heads; `run.rs` and `transfer.rs` carry out the data commands, by DMA (DREQ 2) or bytes through the FIFO.
//! - Sectors come from the host as [`board::DiskJob`]s: a track side at a time where it reads, one by one where it
//!   writes. A command goes on when its sector has both come from the host and passed under the head.
//! - Nothing is instant, nothing as slow as a real drive: a step takes [`STEP`], a sector [`SECTOR`], to find nothing
//!   [`SEARCH`].
//!
//! Not emulated: deleted data marks (images have none: they are written as data), sector sizes other than 512 bytes,
//! formats other than the image's own, PS/2 and Model 30 register sets, tape drives, overruns of a slow processor in
//! non-DMA mode. PART ID and the 82078's commands answer as on Virtual PC, where drivers take the chip for an 82078.
//!
//! Page: docs/devices/i82077.md. Sources: Intel 82077AA (290166) and 82078 (290475) data sheets.

mod commands;
mod drive;
pub mod media;
mod regs;
mod run;
mod seek;
mod state;
#[cfg(test)]
mod tests;
mod transfer;

use board::{
    At, Cx, Decode, Device, Dreq, HostEvent, Line, MICROSECOND, MILLISECOND, Reset, StateError, StateIn,
    StateOut, Tick, TimerId, Width, Win, WinSpec,
};

use drive::Drive;
use media::FloppySpec;
use regs::{Config, DIR_OPEN, DSKCHG, DSR_RESET, Dor, Msr, RATE, RATE_RESET, SRA, SRB, TDR_OPEN, st0};
use run::{Run, Step};

/// 3F0h-3F5h.
pub const LOW: Win = Win(0);
/// 3F7h.
pub const HIGH: Win = Win(1);
/// First port of each window.
pub const PORTS: [Decode; 2] = [Decode::Pio(0x3f0), Decode::Pio(0x3f7)];

const WINDOWS: &[WinSpec] = &[WinSpec::pio(LOW, 6, Width::B), WinSpec::pio(HIGH, 1, Width::B)];

const DREQ: Dreq = Dreq(2);
/// Units that the drive select lines can name.
const UNITS: usize = 4;

/// From the end of a reset to the first command.
const AWAKE: Tick = 20 * MICROSECOND;
/// From there to the interrupt of polling: time for CONFIGURE to switch polling off.
const POLLED: Tick = 100 * MICROSECOND;
/// One step of the head, and its rest at the end.
const STEP: Tick = 200 * MICROSECOND;
const SETTLE: Tick = 300 * MICROSECOND;
/// A sector passes under the head.
const SECTOR: Tick = 400 * MICROSECOND;
/// Until the controller gives up to find something on a track.
const SEARCH: Tick = 50 * MILLISECOND;
/// How often it looks whether a DMA channel is there, and how long.
const DMA_RETRY: Tick = 50 * MICROSECOND;
const DMA_PATIENCE: Tick = 200 * MILLISECOND;

/// Timers: 0 to 3 are the seeks of the units.
const T_AWAKE: usize = 4;
const T_POLL: usize = 5;
const T_RUN: usize = 6;
const TIMERS: usize = 7;

/// What the FIFO is for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for a command, or in the middle of one's bytes.
    Command,
    Execution,
    Result,
}

/// Registers of the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Regs {
    dor: Dor,
    tdr: u8,
    dsr: u8,
    rate: u8,
    /// False in the time after a reset: no command is taken.
    awake: bool,
    phase: Phase,
    /// Bytes of the command so far.
    command: Vec<u8>,
    /// Result bytes, and how many were read.
    result: Vec<u8>,
    taken: usize,
    /// What the FIFO read last.
    last: u8,
    int: bool,
    /// SPECIFY's bytes: SRT and HUT; HLT and ND.
    specify: [u8; 2],
    config: Config,
    pretrk: u8,
    perpendicular: u8,
    lock: bool,
    /// SC or EOT of the last data command, for DUMPREG.
    eot: u8,
    /// DRIVE SPECIFICATION, OPTION and POWERDOWN MODE: kept for their read-back.
    drive_spec: [u8; UNITS],
    option: u8,
    powerdown: u8,
    /// Of the last host job: answers to others are stale.
    tag: u32,
    due: [Option<Tick>; TIMERS],
}

impl Regs {
    fn new() -> Self {
        Self {
            dor: Dor::new(),
            tdr: 0,
            dsr: RATE_RESET,
            rate: RATE_RESET,
            awake: false,
            phase: Phase::Command,
            command: Vec::new(),
            result: Vec::new(),
            taken: 0,
            last: 0,
            int: false,
            specify: [0; 2],
            config: Config::RESET,
            pretrk: 0,
            perpendicular: 0,
            lock: false,
            eot: 0,
            drive_spec: [0; UNITS],
            option: 0,
            powerdown: 0,
            tag: 0,
            due: [None; TIMERS],
        }
    }
}

/// Counters for `ctl metrics`.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    commands: u64,
    sectors: u64,
    jobs: u64,
    failures: u64,
}

pub struct I82077 {
    irq: Line,
    drives: [Drive; UNITS],
    regs: Regs,
    run: Option<Run>,
    seen: Seen,
}

impl I82077 {
    /// With drives 0 and 1.
    pub fn new(irq: Line, drives: [Option<FloppySpec>; 2]) -> Self {
        let [a, b] = drives;
        Self {
            irq,
            drives: [Drive::new(a), Drive::new(b), Drive::default(), Drive::default()],
            regs: Regs::new(),
            run: None,
            seen: Seen::default(),
        }
    }

    fn arm(&mut self, cx: &mut Cx<'_>, timer: usize, at: Tick) {
        self.regs.due[timer] = Some(at);
        cx.wake_at(TimerId(timer as u8), at);
    }

    fn disarm(&mut self, cx: &mut Cx<'_>, timer: usize) {
        self.regs.due[timer] = None;
        cx.cancel(TimerId(timer as u8));
    }

    /// INT as it gets out of the chip.
    fn drive_line(&self, cx: &mut Cx<'_>) {
        cx.lines.set(self.irq, self.regs.int && self.regs.dor.dmagate());
    }

    /// Raises INT with an edge, even if software has not taken the last one back.
    fn interrupt(&mut self, cx: &mut Cx<'_>) {
        self.regs.int = true;
        if self.regs.dor.dmagate() {
            cx.lines.pulse(self.irq);
        }
    }

    fn withdraw(&mut self, cx: &mut Cx<'_>) {
        self.regs.int = false;
        self.drive_line(cx);
    }

    /// The controller's part of any reset: whatever it did ends. Heads stay where they are. 82077AA 4.0, "Reset".
    fn stop(&mut self, cx: &mut Cx<'_>) {
        self.run = None;
        for t in 0..TIMERS {
            self.disarm(cx, t);
        }
        for d in &mut self.drives {
            (d.seek, d.pending, d.pcn) = (None, None, 0);
        }
        let r = &mut self.regs;
        r.awake = false;
        r.phase = Phase::Command;
        r.command.clear();
        r.result.clear();
        r.taken = 0;
        let kept = r.config;
        r.config = Config::RESET;
        if r.lock {
            // LOCK keeps the FIFO's parameters from software resets.
            r.config = r.config.with_efifo(kept.efifo()).with_fifothr(kept.fifothr());
        } else {
            r.pretrk = 0;
        }
        // GAP and WGATE go with a software reset, the drive bits stay.
        r.perpendicular &= !3;
        self.withdraw(cx);
    }

    fn write_dor(&mut self, cx: &mut Cx<'_>, v: u8) {
        let (old, new) = (self.regs.dor, Dor::from_bits(v));
        self.regs.dor = new;
        if !new.nreset() && old.nreset() {
            self.stop(cx);
        } else if new.nreset() && !old.nreset() {
            self.arm(cx, T_AWAKE, cx.now() + AWAKE);
        }
        self.drive_line(cx);
    }

    fn write_dsr(&mut self, cx: &mut Cx<'_>, v: u8) {
        self.regs.dsr = v & !DSR_RESET;
        self.regs.rate = v & RATE;
        if v & DSR_RESET != 0 && self.regs.dor.nreset() {
            self.stop(cx);
            self.arm(cx, T_AWAKE, cx.now() + AWAKE);
        }
    }

    /// Can commands be taken?
    fn takes_commands(&self) -> bool {
        self.regs.dor.nreset() && self.regs.awake
    }

    fn msr(&self) -> u8 {
        if !self.takes_commands() {
            return 0;
        }
        let busy = |d: &Drive| d.seek.is_some() || d.pending.is_some_and(|s| s & st0::SEEK_END != 0);
        let busy = (0..UNITS).filter(|&n| busy(&self.drives[n])).fold(0, |m, n| m | 1 << n);
        let m = Msr::new().with_busy(busy);
        match self.regs.phase {
            Phase::Command => m.with_rqm(true).with_cmd_busy(!self.regs.command.is_empty()),
            Phase::Result => m.with_rqm(true).with_dio(true).with_cmd_busy(true),
            Phase::Execution => {
                let by_bytes = self.by_bytes();
                let ready = self.run.as_ref().filter(|r| by_bytes && r.step == Step::Data);
                m.with_cmd_busy(true)
                    .with_non_dma(by_bytes)
                    .with_rqm(ready.is_some())
                    .with_dio(ready.is_some_and(|r| !r.op.takes()))
            }
        }
        .into_bits()
    }

    /// SPECIFY's ND: data goes through the FIFO.
    fn by_bytes(&self) -> bool {
        self.regs.specify[1] & 1 != 0
    }

    fn motor(&self, unit: usize) -> bool {
        self.regs.dor.motors() >> unit & 1 != 0
    }

    fn dir(&self) -> u8 {
        let n = usize::from(self.regs.dor.select());
        let changed = self.motor(n) && self.drives[n].changed && self.drives[n].kind.is_some();
        DIR_OPEN | if changed { DSKCHG } else { 0 }
    }

    fn read_fifo(&mut self, cx: &mut Cx<'_>) -> u8 {
        match self.regs.phase {
            Phase::Result if self.takes_commands() => self.read_result(cx),
            Phase::Execution if self.by_bytes() => self.give_byte(cx),
            _ => {}
        }
        self.regs.last
    }

    fn write_fifo(&mut self, cx: &mut Cx<'_>, v: u8) {
        match self.regs.phase {
            Phase::Command if self.takes_commands() => self.command_byte(cx, v),
            Phase::Execution if self.by_bytes() => self.take_byte(cx, v),
            _ => {}
        }
    }
}

impl Device for I82077 {
    fn name(&self) -> &'static str {
        "i82077"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, kind: Reset) {
        self.stop(cx);
        // Jobs of before may still come back.
        let tag = self.regs.tag;
        self.regs = Regs { tag, ..Regs::new() };
        if kind == Reset::PowerOn {
            for d in &mut self.drives {
                (d.track, d.changed) = (0, d.kind.is_some());
            }
        }
        self.drive_line(cx);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        u32::from(match (at.win, at.off) {
            (LOW, 0) => SRA,
            (LOW, 1) => SRB,
            (LOW, 2) => self.regs.dor.into_bits(),
            (LOW, 3) => TDR_OPEN | self.regs.tdr,
            (LOW, 4) => self.msr(),
            (LOW, 5) => self.read_fifo(cx),
            (HIGH, 0) => self.dir(),
            _ => return cx.open_bus(at),
        })
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        let v = v as u8;
        match (at.win, at.off) {
            // Status registers.
            (LOW, 0 | 1) => {}
            (LOW, 2) => self.write_dor(cx, v),
            (LOW, 3) => self.regs.tdr = v & 3,
            (LOW, 4) => self.write_dsr(cx, v),
            (LOW, 5) => self.write_fifo(cx, v),
            (HIGH, 0) => self.regs.rate = v & RATE,
            _ => {
                cx.open_bus(at);
            }
        }
    }

    fn timer(&mut self, cx: &mut Cx<'_>, id: TimerId) {
        let n = usize::from(id.0);
        if self.regs.due.get(n).copied().flatten().is_none() {
            return;
        }
        self.regs.due[n] = None;
        match n {
            T_AWAKE => {
                self.regs.awake = true;
                self.arm(cx, T_POLL, cx.now() + POLLED);
            }
            T_POLL => self.polled(cx),
            T_RUN => self.go_on(cx),
            unit => self.seek_ended(cx, unit),
        }
    }

    fn host(&mut self, cx: &mut Cx<'_>, ev: HostEvent) {
        match ev {
            HostEvent::Disk(done) => {
                self.seen.jobs += 1;
                self.host_done(cx, done);
            }
            HostEvent::Media { unit, media, .. } => {
                if let Some(d) = self.drives.get_mut(usize::from(unit))
                    && d.kind.is_some()
                {
                    (d.media, d.changed) = (media, true);
                }
            }
            _ => {}
        }
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        for t in 0..TIMERS {
            match self.regs.due[t] {
                Some(at) => cx.wake_at(TimerId(t as u8), at),
                None => cx.cancel(TimerId(t as u8)),
            }
        }
        self.resubmit(cx);
        self.drive_line(cx);
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let Seen { commands, sectors, jobs, failures } = self.seen;
        vec![("commands", commands), ("sectors", sectors), ("host_jobs", jobs), ("failures", failures)]
    }
}
