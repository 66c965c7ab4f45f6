//! The Sound Blaster 16 of Virtual PC: an ISA Plug and Play card (tBA03b0 with one device PNPB003) that is active from
//! power-on at 220h, 330h and 388h, IRQ 5, DMA 1 and 5.
//!
//! Windows: [`DSP`] (16 ports: synthesizer 0-3 and 8-9, mixer 4-5, DSP 6, Ah, Ch, Eh, Fh), [`MPU`] (2), [`OPL`] (4), and
//! the three of Plug and Play; the first three lie where the card's Plug and Play registers say.
//!
//! - `dsp.rs`, `commands.rs`: the DSP; `lane.rs`: its DMA transfers; `adpcm.rs`.
//! - `mixer.rs`: CT1745; `mpu401.rs`; the synthesizer is [`super::opl3`], Plug and Play [`crate::isa::pnp`].
//! - `render.rs`: what is heard, for the [`SoundPort`].
//!
//! Nothing runs by itself: samples, DMA transfers and frames of sound are made up to now whenever a register is written,
//! somebody looks at the DMA controller ([`Device::catch_up`]), a block ends (its interrupt is at the exact time), or
//! [`CHUNK`] has passed.
//!
//! Not emulated: inputs (recording gives silence; CD, line and microphone volumes are registers only), MIDI in and out, the
//! signal processor (ASP) of some cards, the speaker's input (it has a way out of its own), the joystick port (Virtual PC's card had none).
//!
//! Page: docs/devices/sb16.md. Sources: Creative, Sound Blaster Series Hardware Programming Guide; Plug and Play ISA
//! Specification 1.0a; Yamaha YMF262.

mod adpcm;
mod commands;
mod dsp;
mod lane;
mod mixer;
mod mpu401;
mod render;
mod state;
#[cfg(test)]
mod tests;

use board::{
    At, Cx, Decode, Device, Dreq, Line, MILLISECOND, Reset, SoundPort, StateError, StateIn, StateOut, Tick,
    TimerId, Width, Win, WinSpec,
};

use super::opl3::Opl3;
use crate::isa::pnp::{self, Card, Identity, NO_DMA};
use dsp::{AWAKE, Dsp, EIGHT, SIXTEEN, VERSION_BITS};
use mixer::{DMA_SETUP, IRQ_SETUP, IRQ_STATUS, MPU_SETUP, Mixer};
use mpu401::Mpu401;
use render::Output;

pub const DSP: Win = Win(0);
pub const MPU: Win = Win(1);
pub const OPL: Win = Win(2);
/// 279h and A79h, and what software chooses for reads.
pub const PNP_ADDRESS: Win = Win(3);
pub const PNP_WRITE: Win = Win(4);
pub const PNP_READ: Win = Win(5);

const WINDOWS: &[WinSpec] = &[
    WinSpec::pio(DSP, 16, Width::B),
    WinSpec::pio(MPU, 2, Width::B),
    WinSpec::pio(OPL, 4, Width::B),
    WinSpec::pio(PNP_ADDRESS, 1, Width::B),
    WinSpec::pio(PNP_WRITE, 1, Width::B),
    WinSpec::pio(PNP_READ, 1, Width::B),
];

/// Interrupts that the card can drive, in the order of the mixer's bits.
pub const IRQS: [u8; 4] = [9, 5, 7, 10];
/// 8-bit and 16-bit channels by the mixer's bits.
const DMA_BITS: [(u8, u8); 6] = [(0x01, 0), (0x02, 1), (0x08, 3), (0x20, 5), (0x40, 6), (0x80, 7)];

/// Offset of the DSP's write port.
const WRITE_PORT: u32 = 0x0c;

/// How often sound goes to the port.
const CHUNK: Tick = 5 * MILLISECOND;
/// How often a lane whose DMA channel gives nothing is looked at.
const STARVED: Tick = MILLISECOND;
/// Drivers mask the DMA channel for the moment in which they read its count. A busy host may make that moment long: what is
/// due waits for so long until the channel gives again, and then comes without a gap.
const PATIENCE: Tick = 20 * MILLISECOND;
/// What is caught up with at most: after a longer stall the card goes on as if the rest had not been.
const MOST: Tick = 500 * MILLISECOND;

const RUN: TimerId = TimerId(0);
const FORCE: TimerId = TimerId(1);

/// Bits of interrupts in the mixer's 82h.
const IRQ_8: u8 = 1;
const IRQ_16: u8 = 2;
const IRQ_MPU: u8 = 4;

const HOME: pnp::Device = pnp::Device {
    active: true,
    range_check: 0,
    io: [0x220, 0x330, 0x388, 0, 0, 0, 0, 0],
    // Edge, active high.
    irq: [(5, 2), (0, 0)],
    dma: [1, 5],
};

/// Version 1.0; the name; device PNPB003 with IRQ 5, DMA 1 (8-bit, counts bytes) and 5 (16-bit, counts words), 16 ports
/// at 220h, 2 at 330h, 4 at 388h, all decoded whole. One combination, as Virtual PC had it.
static RESOURCES: [u8; 67] = with_checksum([
    0x0a, 0x10, 0x00, //
    0x82, 20, 0, b'S', b'o', b'u', b'n', b'd', b' ', b'B', b'l', b'a', b's', b't', b'e', b'r', b' ', b'1',
    b'6', b' ', b'P', b'n', b'P', //
    0x15, 0x41, 0xd0, 0xb0, 0x03, 0x00, //
    0x22, 0x20, 0x00, //
    0x2a, 0x02, 0x08, //
    0x2a, 0x20, 0x12, //
    0x47, 0x01, 0x20, 0x02, 0x20, 0x02, 0x01, 0x10, //
    0x47, 0x01, 0x30, 0x03, 0x30, 0x03, 0x01, 0x02, //
    0x47, 0x01, 0x88, 0x03, 0x88, 0x03, 0x01, 0x04, //
    0x79, 0x00,
]);

static IDENTITY: Identity =
    Identity { serial: [0xd0, 0x41, 0x03, 0xb0, 0, 0, 0, 0], resources: &RESOURCES, device: HOME };

/// The end tag makes the sum of all bytes 0.
const fn with_checksum<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    let (mut n, mut sum) = (0, 0_u8);
    while n < N {
        sum = sum.wrapping_add(bytes[n]);
        n += 1;
    }
    bytes[N - 1] = sum.wrapping_neg();
    bytes
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    commands: u64,
    interrupts: u64,
}

pub struct Sb16 {
    /// Wires to [`IRQS`].
    irqs: [Line; 4],
    output: Output,
    dsp: Dsp,
    mixer: Mixer,
    mpu: Mpu401,
    opl: Opl3,
    pnp: Card,
    /// Interrupts that wait to be acknowledged.
    pending: u8,
    /// Up to when everything has happened.
    last: Tick,
    /// A channel has given nothing for longer than [`PATIENCE`].
    starving: bool,
    /// Where the windows are now: DSP, MPU, OPL, read data port.
    placed: [Option<u16>; 4],
    seen: Seen,
}

impl Sb16 {
    /// `irqs`: wires to [`IRQS`]. `port`: nobody listens if there is none.
    pub fn new(irqs: [Line; 4], port: Option<Box<dyn SoundPort>>) -> Self {
        Self {
            irqs,
            output: Output::new(port),
            dsp: Dsp::new(),
            mixer: Mixer::new(),
            mpu: Mpu401::default(),
            opl: Opl3::new(),
            pnp: Card::new(&IDENTITY),
            pending: 0,
            last: 0,
            starving: false,
            placed: [None; 4],
            seen: Seen::default(),
        }
    }

    /// The channel of a lane. Without a 16-bit one the 8-bit one carries both halves of each sample.
    fn dreq(&self, lane: usize) -> Dreq {
        let [low, high] = self.pnp.device.dma;
        Dreq(if lane == SIXTEEN && high != NO_DMA { high } else { low })
    }

    /// The wire that the card's interrupt goes to.
    fn line(&self) -> Option<Line> {
        let d = &self.pnp.device;
        let n = if d.irq[0].0 == 2 { 9 } else { d.irq[0].0 };
        IRQS.iter().position(|&i| d.active && i == n).map(|n| self.irqs[n])
    }

    fn drive_lines(&self, cx: &mut Cx<'_>) {
        let line = self.line();
        for l in self.irqs {
            cx.lines.set(l, line == Some(l) && self.pending != 0);
        }
    }

    /// An interrupt with an edge, even while another one waits.
    fn interrupt(&mut self, cx: &mut Cx<'_>, bit: u8) {
        self.pending |= bit;
        self.seen.interrupts += 1;
        if let Some(line) = self.line() {
            cx.lines.pulse(line);
        }
    }

    fn acknowledge(&mut self, cx: &mut Cx<'_>, bit: u8) {
        self.pending &= !bit;
        self.drive_lines(cx);
    }

    /// Brings everything to now.
    fn sync(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        let elapsed = now.saturating_sub(self.last).min(MOST);
        self.last = now;
        if elapsed == 0 {
            return;
        }
        self.output.begin();
        for lane in [EIGHT, SIXTEEN] {
            let dreq = self.dreq(lane);
            let frames = &mut self.output.frames[lane];
            if self.dsp.lanes[lane].advance(cx, dreq, elapsed, frames) {
                self.interrupt(cx, [IRQ_8, IRQ_16][lane]);
            }
        }
        self.output.render(now, elapsed, &mut self.dsp, &self.mixer, &mut self.opl);
    }

    /// The same when nobody touches the card: what has to wait for a DMA channel may.
    fn follow(&mut self, cx: &mut Cx<'_>) {
        let masked = [EIGHT, SIXTEEN].into_iter().any(|n| {
            let waits = self.dsp.lanes[n].wants_data();
            waits && cx.dma.left(self.dreq(n)).is_none()
        });
        let late = cx.now().saturating_sub(self.last) >= PATIENCE;
        self.starving = masked && (self.starving || late);
        if !masked || self.starving {
            self.sync(cx);
        }
    }

    /// After everything that can have changed it: when to look again.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        let ends = self.dsp.lanes.iter().filter_map(|l| {
            let end = l.block_end()?;
            Some(if l.owed > 0 { end.max(STARVED) } else { end })
        });
        let chunk = self.output.waits(&self.dsp, &self.opl).then_some(CHUNK);
        match ends.chain(chunk).min() {
            Some(t) if self.last < cx.now() => {
                cx.wake_at(RUN, self.last.saturating_add(t).max(cx.now() + STARVED));
            }
            Some(t) => cx.wake_at(RUN, cx.now().saturating_add(t)),
            None => cx.cancel(RUN),
        }
        match self.dsp.forced.into_iter().flatten().min() {
            Some(t) => cx.wake_at(FORCE, t),
            None => cx.cancel(FORCE),
        }
    }

    /// Moves the windows to where the Plug and Play registers say.
    fn place(&mut self, cx: &mut Cx<'_>) {
        let d = &self.pnp.device;
        let there = d.active || d.check_pattern().is_some();
        let at = |n: usize, align: u16| Some(d.io[n] & !(align - 1)).filter(|p| there && *p != 0);
        let want = [at(0, 16), at(1, 2), at(2, 4), self.pnp.read_window()];
        for ((win, now), want) in [DSP, MPU, OPL, PNP_READ].into_iter().zip(&mut self.placed).zip(want) {
            if *now != want {
                *now = want;
                cx.remap(win, want.map(Decode::Pio));
            }
        }
        self.drive_lines(cx);
    }

    fn read_mixer(&mut self, cx: &mut Cx<'_>, at: At) -> u8 {
        let d = &self.pnp.device;
        match self.mixer.index {
            IRQ_SETUP => {
                let n = if d.irq[0].0 == 2 { 9 } else { d.irq[0].0 };
                IRQS.iter().position(|&i| i == n).map_or(0, |n| 1 << n)
            }
            DMA_SETUP => DMA_BITS.iter().filter(|(_, n)| d.dma.contains(n)).fold(0, |v, (bit, _)| v | bit),
            IRQ_STATUS => self.pending | VERSION_BITS,
            MPU_SETUP => match d.io[1] {
                0x330 => 0,
                0x300 => 4,
                _ => 2,
            },
            _ => self.mixer.read().unwrap_or_else(|| cx.open_bus(at) as u8),
        }
    }

    fn write_mixer(&mut self, cx: &mut Cx<'_>, at: At, v: u8) {
        let d = &mut self.pnp.device;
        match self.mixer.index {
            IRQ_SETUP => {
                let n = (0..4).find(|n| v >> n & 1 != 0);
                d.irq[0].0 = n.map_or(0, |n| IRQS[n]);
                self.place(cx);
            }
            DMA_SETUP => {
                let first =
                    |bits: u8| DMA_BITS.iter().find(|(bit, _)| v & bits & bit != 0).map_or(NO_DMA, |c| c.1);
                d.dma = [first(0x0b), first(0xe0)];
            }
            // Status.
            IRQ_STATUS => {}
            MPU_SETUP => {
                d.io[1] = match v & 6 {
                    0 => 0x330,
                    4 => 0x300,
                    _ => 0,
                };
                self.place(cx);
            }
            _ => {
                if !self.mixer.write(v) {
                    cx.open_bus(at);
                }
            }
        }
    }

    fn read_dsp(&mut self, cx: &mut Cx<'_>, at: At) -> u8 {
        let now = cx.now();
        match at.off {
            0..=3 => self.opl.read(now, at.off),
            8 | 9 => self.opl.read(now, at.off - 8),
            4 => self.mixer.index,
            5 => self.read_mixer(cx, at),
            0x0a => self.dsp.take(now),
            // The rest of a status byte is ones.
            0x0c => 0x7f | u8::from(now < self.dsp.busy_until) << 7,
            0x0e => {
                self.acknowledge(cx, IRQ_8);
                0x7f | u8::from(self.dsp.has_data(now)) << 7
            }
            0x0f => {
                self.acknowledge(cx, IRQ_16);
                0xff
            }
            // Ports that nothing drives on a read: programs look at them for noise.
            _ => 0xff,
        }
    }

    fn write_dsp(&mut self, cx: &mut Cx<'_>, at: At, v: u8) {
        let now = cx.now();
        match at.off {
            0..=3 => self.opl.write(now, at.off, v),
            8 | 9 => self.opl.write(now, at.off - 8, v),
            4 => self.mixer.index = v,
            5 => self.write_mixer(cx, at, v),
            6 => self.reset_port(cx, v),
            0x0c => self.command_byte(cx, v),
            // Read-only.
            _ => {}
        }
    }

    /// Port 6: 1 and then 0 resets the DSP, which says AAh.
    fn reset_port(&mut self, cx: &mut Cx<'_>, v: u8) {
        let was = self.dsp.held;
        if v & 1 != 0 {
            self.dsp.reset();
            self.dsp.held = true;
            self.acknowledge(cx, IRQ_8 | IRQ_16);
        } else if was {
            self.dsp.held = false;
            self.dsp.ready_at = cx.now() + AWAKE;
            self.dsp.give(&[0xaa]);
        }
    }

    fn read_mpu(&mut self, cx: &mut Cx<'_>, off: u32) -> u8 {
        if off == 1 {
            return self.mpu.status();
        }
        let v = self.mpu.read();
        if !self.mpu.waits() {
            self.acknowledge(cx, IRQ_MPU);
        }
        v
    }

    fn write_mpu(&mut self, cx: &mut Cx<'_>, off: u32, v: u8) {
        if off == 0 {
            return self.mpu.write(v);
        }
        let before = self.mpu.input.len();
        self.mpu.command(v);
        if self.mpu.input.len() > before {
            self.interrupt(cx, IRQ_MPU);
        } else if !self.mpu.waits() {
            self.acknowledge(cx, IRQ_MPU);
        }
    }
}

impl Device for Sb16 {
    fn name(&self) -> &'static str {
        "sb16"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _kind: Reset) {
        self.sync(cx);
        self.dsp.reset();
        (self.dsp.level, self.dsp.level_at, *self.dsp.ram) = (0, 0, [0; 256]);
        (self.mixer, self.mpu, self.pnp) = (Mixer::new(), Mpu401::default(), Card::new(&IDENTITY));
        self.opl.reset();
        self.pending = 0;
        // Another reset may have taken the windows away.
        self.placed = [None; 4];
        cx.remap(PNP_READ, None);
        self.place(cx);
        self.settle(cx);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        if matches!(at.win, DSP | MPU | OPL)
            && let Some(pattern) = self.pnp.device.check_pattern()
        {
            return pattern.into();
        }
        u32::from(match at.win {
            DSP => self.read_dsp(cx, at),
            MPU => self.read_mpu(cx, at.off),
            OPL => self.opl.read(cx.now(), at.off),
            PNP_READ => self.pnp.read_data(),
            // Write-only.
            _ => 0xff,
        })
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        let v = v as u8;
        if matches!(at.win, DSP | MPU | OPL) && !self.pnp.device.active {
            return;
        }
        self.sync(cx);
        match at.win {
            DSP => self.write_dsp(cx, at, v),
            MPU => self.write_mpu(cx, at.off, v),
            OPL => self.opl.write(cx.now(), at.off, v),
            PNP_ADDRESS => {
                self.pnp.write_address(v);
                self.place(cx);
            }
            PNP_WRITE => {
                self.pnp.write_data(v);
                self.place(cx);
            }
            // The read data port only reads.
            _ => {}
        }
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, id: TimerId) {
        self.follow(cx);
        if id == FORCE {
            for lane in [EIGHT, SIXTEEN] {
                if self.dsp.forced[lane].is_some_and(|t| t <= cx.now()) {
                    self.dsp.forced[lane] = None;
                    self.interrupt(cx, [IRQ_8, IRQ_16][lane]);
                }
            }
        }
        self.settle(cx);
    }

    fn catch_up(&mut self, cx: &mut Cx<'_>) {
        if self.dsp.lanes.iter().any(|l| l.run.is_some()) {
            self.follow(cx);
            self.settle(cx);
        }
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        for win in [DSP, MPU, OPL, PNP_READ] {
            cx.remap(win, None);
        }
        self.placed = [None; 4];
        self.place(cx);
        self.output.restored();
        self.settle(cx);
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let Seen { commands, interrupts } = self.seen;
        let [low, high] = [EIGHT, SIXTEEN].map(|n| self.dsp.lanes[n].bytes);
        vec![
            ("commands", commands),
            ("interrupts", interrupts),
            ("bytes_8", low),
            ("bytes_16", high),
            ("midi_bytes", self.mpu.sent),
            ("frames", self.output.played),
        ]
    }
}
