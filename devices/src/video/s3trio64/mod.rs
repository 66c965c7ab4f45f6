//! The S3 Trio64 (86C764), the display adapter of the Virtual PC board: PCI 0:8.0, 5333:8811 revision 0.
//!
//! - Windows: VGA ports and memory, the ports 102h, 46E8h, 42E8h, 4AE8h and the engine's, BAR0 (64 MiB as Virtual PC's, where
//!   the chip on a card decoded 8), configuration space. The chip puts all but the last on the bus itself, as the PCI
//!   command register and MISC b1 say.
//! - Registers: the VGA's (`video/vga`), CR2D-CR7F and SR08-SR1C (`crtc_ext.rs`, `regs.rs`), the drawing engine's
//!   (`engine`), which are ports and, with CR53 b4, memory at A0000h.
//! - Video memory is a slot of guest memory: the linear window is that slot, and so is A0000h-AFFFFh while the
//!   registers leave nothing to do between the processor and memory ([`Vga::direct`]).
//! - Frames: `video/screen.rs`, sixty a second while somebody looks.
//! - The hardware cursor (`cursor.rs`) is laid over the picture, in frames and screenshots alike.
//! - Interrupts: INTA# from vertical retrace, while CR32 b4 and CR11 b5 allow it, and from what 42E8h enables: vertical
//!   retrace, engine done, FIFO empty.
//!
//! Never: streams processor, new MMIO, DDC (Trio64V+), reads of PIX_TRANS (no chip since the 864 has them), 24 bits a pixel
//! (Virtual PC has none), external DACs.
//!
//! Sources: see `docs/devices/s3trio64.md`.

mod crtc_ext;
mod cursor;
pub mod engine;
pub mod regs;
mod state;

use board::{
    At, Bar, ConfigSpace, Cx, Decode, Device, HostEvent, Line, Reset, Scanout, StateError, StateIn, StateOut,
    TimerId, VideoMode, Width, Win, WinSpec,
};
use ram::{GuestRam, LowTarget, Slot};

use self::crtc_ext::{CrtcExt, reserved_cr, reserved_sr};
use self::engine::Engine;
use self::engine::regs::subsys;
use super::screen::{IDLE, REFRESH, Screen, snapshot};
use super::vga::{Port, Vga, Vram};

pub const CONFIG: Win = Win(0);
/// 3B0h-3BBh: the CRTC while MISC b0 = 0.
pub const MONO: Win = Win(1);
/// 3C0h-3CFh.
pub const VGA: Win = Win(2);
/// 46E8h, Video Subsystem Enable.
pub const SETUP: Win = Win(3);
/// 102h, Option Select.
pub const OPTION: Win = Win(4);
/// 42E8h, Subsystem Status and Control.
pub const SUBSYS: Win = Win(5);
/// 4AE8h, Advanced Function Control.
pub const ADVFUNC: Win = Win(6);
/// A0000h-BFFFFh.
pub const MEMORY: Win = Win(7);
pub const APERTURE: Win = Win(8);
/// 3D0h-3DFh: the CRTC while MISC b0 = 1.
pub const COLOUR: Win = Win(9);

const APERTURE_LEN: u32 = 64 << 20;
const ROM_LEN: u32 = 32 << 10;
const EXPANSION_ROM: u8 = 0x30;

/// The engine's ports: number, bytes.
const ENGINE: [(u16, u32); 17] = [
    (0x82e8, 4),
    (0x86e8, 4),
    (0x8ae8, 4),
    (0x8ee8, 4),
    (0x92e8, 4),
    (0x96e8, 4),
    (0x9ae8, 4),
    (0x9ee8, 2),
    (0xa2e8, 4),
    (0xa6e8, 4),
    (0xaae8, 4),
    (0xaee8, 4),
    (0xb2e8, 4),
    (0xb6e8, 2),
    (0xbae8, 2),
    (0xbee8, 2),
    (0xe2e8, 4),
];

/// The first window of the engine; the others follow in the order of `ENGINE`.
pub const ENGINE_WINDOWS: Win = Win(10);

const fn engine(n: usize) -> WinSpec {
    WinSpec::pio(Win(ENGINE_WINDOWS.0 + n as u8), ENGINE[n].1, Width::D)
}

const WINDOWS: &[WinSpec] = &[
    WinSpec::config(CONFIG),
    WinSpec::pio(MONO, 12, Width::B),
    WinSpec::pio(VGA, 16, Width::B),
    WinSpec::pio(COLOUR, 16, Width::B),
    WinSpec::pio(SETUP, 2, Width::B),
    WinSpec::pio(OPTION, 1, Width::B),
    WinSpec::pio(SUBSYS, 2, Width::B),
    WinSpec::pio(ADVFUNC, 2, Width::B),
    WinSpec::mmio(MEMORY, 0x2_0000, Width::D),
    WinSpec::mmio(APERTURE, APERTURE_LEN, Width::D),
    engine(0),
    engine(1),
    engine(2),
    engine(3),
    engine(4),
    engine(5),
    engine(6),
    engine(7),
    engine(8),
    engine(9),
    engine(10),
    engine(11),
    engine(12),
    engine(13),
    engine(14),
    engine(15),
    engine(16),
];

const PORTS: [(Win, u16); 5] =
    [(VGA, 0x3c0), (SETUP, 0x46e8), (OPTION, 0x102), (SUBSYS, 0x42e8), (ADVFUNC, 0x4ae8)];

const REFRESH_TIMER: TimerId = TimerId(0);
const RETRACE_TIMER: TimerId = TimerId(1);

/// What of the chip is on the bus, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Placed {
    ports: bool,
    /// The CRTC's ports, in colour or not.
    crtc: Option<bool>,
    memory: bool,
    /// The engine's registers lie over A0000h-AFFFFh.
    mmio: bool,
    aperture: Option<u32>,
    linear: Option<u32>,
    /// The video memory offset that A0000h-AFFFFh shows as plain memory.
    direct: Option<u32>,
    rom: Option<u32>,
}

pub struct S3Trio64 {
    inta: Line,
    slot: Slot,
    vram: u32,
    scanout: Box<dyn Scanout>,
    screen: Screen,
    placed: Placed,
    vga: Vga,
    ext: CrtcExt,
    engine: Engine,
    /// 42E8h b11-8 as written: which interrupts reach the pin.
    enables: u8,
    /// When the vertical interrupt of 42E8h was last cleared, in guest time.
    vsy_cleared: u64,
    /// 46E8h and 102h as written: decoding is the PCI command register's business here.
    setup: [u8; 2],
    config: ConfigSpace,
    /// Bytes behind the expansion ROM register, if the card has a ROM.
    rom: Option<Slot>,
}

fn config_space(rom: bool) -> ConfigSpace {
    // BIOS ROM base address and its enable.
    let rom = if rom { !(ROM_LEN - 1) | 1 } else { 0 };
    ConfigSpace::new(0x5333, 0x8811, 0x03_0000, 0)
        // I/O, memory, master and palette snoop; DEVSEL# fast, as Virtual PC's.
        .reg(0x04, Width::W, 0, 0x0027)
        .bar(0, Bar::Mem { len: APERTURE_LEN, prefetch: false })
        .reg(EXPANSION_ROM, Width::D, 0, rom)
        .interrupt(1)
}

impl S3Trio64 {
    /// Takes `vram` bytes (1, 2, 4 or 8 MiB) of guest memory.
    ///
    /// # Panics
    /// For another size: the board is fixed.
    pub fn new(ram: &GuestRam, vram: u32, inta: Line, scanout: Box<dyn Scanout>) -> Self {
        assert!(matches!(vram >> 20, 1 | 2 | 4 | 8) && vram.is_power_of_two(), "no Trio64 has {vram} bytes");
        Self {
            inta,
            slot: ram.allocate(vram, true),
            vram,
            scanout,
            screen: Screen::default(),
            placed: Placed::default(),
            vga: Vga::default(),
            ext: CrtcExt::new(vram),
            engine: Engine::default(),
            enables: 0,
            vsy_cleared: 0,
            setup: [0; 2],
            config: config_space(false),
            rom: None,
        }
    }

    /// With a video BIOS of 32 KiB at the expansion ROM register, as on a card. Virtual PC's has none: its system ROM
    /// holds the video BIOS too.
    ///
    /// # Panics
    /// If the image has another size: the board is fixed.
    #[must_use]
    pub fn with_rom(self, ram: &GuestRam, image: &[u8]) -> Self {
        assert_eq!(image.len(), ROM_LEN as usize, "the size of a video BIOS");
        let slot = ram.allocate(ROM_LEN, false);
        ram.arena().copy_in(ram.extent(slot).start, image);
        Self { rom: Some(slot), config: config_space(true), ..self }
    }

    fn memory<'a>(&self, ram: &'a GuestRam) -> Vram<'a> {
        Vram::new(ram, self.slot)
    }

    /// The picture as it would be drawn at guest time `now` (it decides whether the cursor is lit).
    pub fn snapshot(&self, ram: &GuestRam, now: board::Tick) -> (VideoMode, Vec<u32>) {
        let v = self.memory(ram);
        snapshot(&self.vga, v, cursor::sprite(&self.ext, &self.vga, v).as_ref(), now)
    }

    /// The slot of video memory, for saved state.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// After a change of registers: raster, windows, interrupt.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        self.vga.set_ext(self.ext.ext(self.vram));
        self.place(cx);
    }

    fn place(&mut self, cx: &mut Cx<'_>) {
        let bar = self.config.get32(0x10) & !0xf;
        let on = self.config.memory_enabled();
        let aperture = (on && bar != 0).then_some(bar);
        let mmio = on && self.ext.mmio();
        let vga = on && self.vga.misc().enable_ram();
        let memory = vga || mmio;
        let linear = self.ext.cr58().ena_la() || self.ext.advfunc().la();
        let to = Placed {
            ports: self.config.io_enabled(),
            crtc: self.config.io_enabled().then(|| self.vga.misc().io_address()),
            memory,
            mmio,
            aperture,
            linear: aperture.filter(|_| linear).map(|bar| bar | self.linear_offset()),
            direct: if vga && !mmio { self.vga.direct(self.memory(cx.ram)) } else { None },
            rom: self.rom.and(self.expansion_rom()).filter(|_| on),
        };
        let was = std::mem::replace(&mut self.placed, to);
        if was.ports != to.ports {
            for (win, base) in PORTS {
                cx.remap(win, to.ports.then_some(Decode::Pio(base)));
            }
            for (n, (base, _)) in (ENGINE_WINDOWS.0..).zip(ENGINE) {
                cx.remap(Win(n), to.ports.then_some(Decode::Pio(base)));
            }
        }
        if was.crtc != to.crtc {
            // The other range is not ours then: another adapter may live there, or nobody.
            cx.remap(MONO, (to.crtc == Some(false)).then_some(Decode::Pio(0x3b0)));
            cx.remap(COLOUR, (to.crtc == Some(true)).then_some(Decode::Pio(0x3d0)));
        }
        if was.memory != to.memory {
            cx.remap(MEMORY, to.memory.then_some(Decode::Mmio(0xa_0000)));
        }
        if was.aperture != to.aperture {
            cx.remap(APERTURE, to.aperture.map(Decode::Mmio));
        }
        if was.linear != to.linear {
            cx.ram.place(self.slot, to.linear);
        }
        if was.direct != to.direct {
            let target = to.direct.map_or(LowTarget::Device, |at| LowTarget::Slot(self.slot, at));
            cx.ram.set_low(0xa0..=0xaf, target, target);
        }
        if was.rom != to.rom
            && let Some(slot) = self.rom
        {
            cx.ram.place(slot, to.rom);
        }
    }

    /// Where the expansion ROM is to answer.
    fn expansion_rom(&self) -> Option<u32> {
        let bar = self.config.get32(EXPANSION_ROM);
        (bar & 1 != 0 && bar > 1).then_some(bar & !(ROM_LEN - 1))
    }

    /// Where in BAR0 the linear window begins: CR59 b1-0 and CR5A, aligned to the window and kept inside.
    fn linear_offset(&self) -> u32 {
        let at = u32::from(self.ext.cr[0x59] & 3) << 24 | u32::from(self.ext.cr[0x5a]) << 16;
        let at = at & !(self.ext.cr58().bytes() - 1);
        at.min(APERTURE_LEN - self.vram)
    }

    /// BAR0 b31-26 and CR59 b7-2 are one latch.
    fn bar_written(&mut self) {
        self.ext.cr[0x59] = (self.config.get32(0x10) >> 24) as u8;
        self.ext.cr[0x5a] = 0;
    }

    /// SUBSYS_STAT b3-0.
    fn pending(&self, now: board::Tick) -> u8 {
        let timing = self.vga.timing();
        let vsy = timing.retraces(now) > timing.retraces(self.vsy_cleared);
        self.engine.pending() | if vsy { subsys::VSY } else { 0 }
    }

    fn interrupt(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        let retrace = self.ext.cr32().int_en() && self.vga.interrupt_enabled();
        let retraced = retrace && self.vga.interrupt_pending(now);
        let pending = self.pending(now);
        cx.lines.set(self.inta, retraced || pending & self.enables != 0);
        if retrace && !retraced || self.enables & !pending & subsys::VSY != 0 {
            cx.wake_at(RETRACE_TIMER, self.vga.timing().next_retrace(now));
        } else {
            cx.cancel(RETRACE_TIMER);
        }
    }

    /// SUBSYS_STAT, low byte: b6-4 no monitor, b7 as CR3A b4 has it. The high byte reads the enables back.
    fn read_subsys(&self, cx: &Cx<'_>, off: u32) -> u8 {
        if off == 1 {
            return self.enables;
        }
        self.pending(cx.now()) | 0x70 | (self.ext.cr[0x3a] & 0x10) << 3
    }

    /// SUBSYS_CNTL.
    fn write_subsys(&mut self, cx: &mut Cx<'_>, off: u32, v: u8) {
        if off == 0 {
            self.engine.clear(v & subsys::ALL);
            if v & subsys::VSY != 0 {
                self.vsy_cleared = cx.now();
            }
        } else {
            self.enables = v & subsys::ALL;
            match v >> 6 {
                1 => self.engine.hold(self.ext.engine_reset()),
                2 => self.engine.hold(true),
                _ => {}
            }
        }
        self.interrupt(cx);
    }

    /// The port behind an engine window, while its ports answer.
    fn engine_port(&self, at: At) -> Option<u16> {
        let n = at.win.0.checked_sub(ENGINE_WINDOWS.0)?;
        let (port, _) = ENGINE.get(usize::from(n))?;
        (self.ext.engine_on() && !self.ext.mmio_only()).then_some(port + at.off as u16)
    }

    fn read_engine(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        // CR40 b0 = 0: nobody is there, as on a card that has no engine.
        let Some(port) = self.engine_port(at) else { return at.width.ones() };
        let (v, g) = (self.memory(cx.ram), self.ext.geometry());
        let cntl = u16::from(self.enables) << 8;
        let got = self.engine.read_port(v, g, port, at.width.bytes(), cntl, self.setup[0]);
        got.unwrap_or_else(|| cx.open_bus(at))
    }

    fn write_engine(&mut self, cx: &mut Cx<'_>, at: At, data: u32) {
        let Some(port) = self.engine_port(at) else { return };
        let (v, g) = (self.memory(cx.ram), self.ext.geometry());
        let before = self.engine.pending();
        if !self.engine.write_port(v, g, port, at.width.bytes(), data) {
            cx.open_bus(at);
        }
        self.engine_interrupt(cx, before);
    }

    /// The wire moves only if something new is pending and enabled.
    fn engine_interrupt(&mut self, cx: &mut Cx<'_>, before: u8) {
        if self.engine.pending() & !before & self.enables != 0 {
            self.interrupt(cx);
        }
    }

    fn read_mmio(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        if !self.ext.engine_on() {
            return at.width.ones();
        }
        let (v, g) = (self.memory(cx.ram), self.ext.geometry());
        let cntl = u16::from(self.enables) << 8;
        let got = self.engine.read_memory(v, g, at.off, at.width.bytes(), cntl, self.setup[0]);
        got.unwrap_or_else(|| cx.open_bus(at))
    }

    fn write_mmio(&mut self, cx: &mut Cx<'_>, at: At, data: u32) {
        if !self.ext.engine_on() {
            return;
        }
        let (v, g) = (self.memory(cx.ram), self.ext.geometry());
        let before = self.engine.pending();
        if !self.engine.write_memory(v, g, at.off, at.width.bytes(), data) {
            cx.open_bus(at);
        }
        self.engine_interrupt(cx, before);
    }

    fn read_port(&mut self, cx: &mut Cx<'_>, at: At, port: u16) -> u32 {
        let Some(p) = Port::at(port, self.vga.misc()) else { return cx.open_bus(at) };
        let got = match p {
            Port::CrtcData if reserved_cr(self.vga.crtc_index() & 0x7f) => Some(0xff),
            Port::SeqData if reserved_sr(self.vga.seq_index()) => Some(0xff),
            Port::CrtcData if self.vga.crtc_index() & 0x7f > 0x26 => {
                self.ext.read_cr(self.vga.crtc_index() & 0x7f, self.vga.misc().clock_select())
            }
            Port::SeqData if self.vga.seq_index() > 7 => self.ext.read_sr(self.vga.seq_index()),
            _ => self.vga.read_port(p, cx.now()),
        };
        got.map_or_else(|| cx.open_bus(at), u32::from)
    }

    fn write_port(&mut self, cx: &mut Cx<'_>, at: At, port: u16, v: u8) {
        let Some(p) = Port::at(port, self.vga.misc()) else {
            cx.open_bus(at);
            return;
        };
        let known = match p {
            Port::CrtcData if reserved_cr(self.vga.crtc_index() & 0x7f) => true,
            Port::SeqData if reserved_sr(self.vga.seq_index()) => true,
            Port::CrtcData if self.vga.crtc_index() & 0x7f > 0x26 => {
                let n = self.vga.crtc_index() & 0x7f;
                let (g, reset) = (self.ext.geometry(), self.ext.engine_reset());
                let known = self.ext.write_cr(n, v);
                if n == 0x59 {
                    let bar = self.config.get32(0x10) & 0x03ff_ffff;
                    self.config.set32(0x10, bar | u32::from(self.ext.cr[0x59] & 0xfc) << 24);
                }
                if self.ext.geometry().bytes != g.bytes {
                    self.engine.pixel_length_changed();
                }
                if self.ext.engine_reset() != reset {
                    self.engine.hold(!reset);
                }
                if n == 0x32 {
                    self.interrupt(cx);
                }
                known
            }
            Port::SeqData if self.vga.seq_index() > 7 => self.ext.write_sr(self.vga.seq_index(), v),
            Port::DacData | Port::DacMask if self.ext.dac_locked() => true,
            Port::Attribute
                if self.ext.palette_locked() && matches!(self.vga.attr_pending(), Some(0..=0xf | 0x11)) =>
            {
                self.vga.skip_attr();
                true
            }
            _ => {
                let known = self.vga.write_port(p, self.unlocked(p, v), cx.now());
                if p == Port::CrtcData && self.vga.crtc_index() == 0x11 {
                    self.interrupt(cx);
                }
                known
            }
        };
        if !known {
            cx.open_bus(at);
        }
        if matches!(p, Port::CrtcData | Port::SeqData | Port::GfxData | Port::Misc) {
            self.settle(cx);
        }
    }

    /// A write to a VGA register with the bits that S3's locks hold as they were.
    fn unlocked(&self, p: Port, v: u8) -> u8 {
        let keep = |old: u8, locked: u8| v & !locked | old & locked;
        let n = self.vga.crtc_index();
        match p {
            Port::CrtcData if n <= 0x18 => keep(self.vga.crtc(usize::from(n)), self.ext.locked_crtc(n)),
            Port::SeqData if self.vga.seq_index() == 1 => keep(self.vga.seq(1), self.ext.locked_dots()),
            Port::Misc => keep(self.vga.misc().into_bits(), self.ext.locked_clock()),
            _ => v,
        }
    }

    fn refresh(&mut self, cx: &mut Cx<'_>) {
        let v = self.memory(cx.ram);
        let sprite = cursor::sprite(&self.ext, &self.vga, v);
        self.screen.refresh(&self.vga, cx.ram, v, sprite, cx.now(), &mut *self.scanout);
    }

    fn config_write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        let bar = self.config.get32(0x10);
        self.config.write(at, v);
        if self.config.get32(0x10) != bar {
            self.bar_written();
        }
        self.settle(cx);
    }
}

impl Device for S3Trio64 {
    fn name(&self) -> &'static str {
        "s3trio64"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _: Reset) {
        self.vga = Vga::default();
        self.ext = CrtcExt::new(self.vram);
        self.engine.reset();
        (self.enables, self.vsy_cleared) = (0, cx.now());
        self.setup = [0; 2];
        self.config = config_space(self.rom.is_some());
        self.settle(cx);
        self.interrupt(cx);
        self.screen.forget();
        cx.wake_at(REFRESH_TIMER, cx.now() + REFRESH);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        match at.win {
            CONFIG => self.config.read(at),
            MONO => self.read_port(cx, at, 0x3b0 + at.off as u16),
            VGA => self.read_port(cx, at, 0x3c0 + at.off as u16),
            COLOUR => self.read_port(cx, at, 0x3d0 + at.off as u16),
            SETUP if at.off == 0 => u32::from(self.setup[0]),
            OPTION => u32::from(self.setup[1]),
            SUBSYS => u32::from(self.read_subsys(cx, at.off)),
            ADVFUNC => u32::from(if at.off == 0 { self.ext.advfunc } else { 0 }),
            MEMORY if self.placed.mmio && at.off < 0x1_0000 => self.read_mmio(cx, at),
            MEMORY if !self.vga.misc().enable_ram() => at.width.ones(),
            MEMORY => {
                let v = self.memory(cx.ram);
                (0..at.width.bytes())
                    .map(|i| u32::from(self.vga.read_memory(v, at.off + i)) << (8 * i))
                    .fold(0, |a, b| a | b)
            }
            // Nothing lies behind video memory: Linux's s3fb looks for the Trio64V+'s DDC port there all the same.
            APERTURE => at.width.ones(),
            Win(n) if n >= ENGINE_WINDOWS.0 => self.read_engine(cx, at),
            _ => cx.open_bus(at),
        }
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        match at.win {
            CONFIG => self.config_write(cx, at, v),
            MONO => self.write_port(cx, at, 0x3b0 + at.off as u16, v as u8),
            VGA => self.write_port(cx, at, 0x3c0 + at.off as u16, v as u8),
            COLOUR => self.write_port(cx, at, 0x3d0 + at.off as u16, v as u8),
            SETUP if at.off == 0 => self.setup[0] = v as u8,
            OPTION => self.setup[1] = v as u8,
            SUBSYS => self.write_subsys(cx, at.off, v as u8),
            ADVFUNC => {
                if at.off == 0 {
                    self.ext.write_advfunc(v as u8);
                    self.settle(cx);
                }
            }
            MEMORY if self.placed.mmio && at.off < 0x1_0000 => self.write_mmio(cx, at, v),
            MEMORY if !self.vga.misc().enable_ram() => {}
            MEMORY => {
                let m = self.memory(cx.ram);
                for i in 0..at.width.bytes() {
                    self.vga.write_memory(m, at.off + i, (v >> (8 * i)) as u8);
                }
            }
            APERTURE => {}
            Win(n) if n >= ENGINE_WINDOWS.0 => self.write_engine(cx, at, v),
            _ => {
                cx.open_bus(at);
            }
        }
    }

    fn timer(&mut self, cx: &mut Cx<'_>, id: TimerId) {
        if id == RETRACE_TIMER {
            self.interrupt(cx);
            return;
        }
        let wait = if self.scanout.wanted() {
            self.refresh(cx);
            REFRESH
        } else {
            // Who comes next has seen nothing of what changes until then.
            self.screen.forget();
            IDLE
        };
        cx.wake_at(REFRESH_TIMER, cx.now() + wait);
    }

    fn host(&mut self, cx: &mut Cx<'_>, ev: HostEvent) {
        if ev == HostEvent::Redraw {
            self.screen.forget();
            self.refresh(cx);
            cx.wake_at(REFRESH_TIMER, cx.now() + REFRESH);
        }
    }

    fn save(&self, out: &mut StateOut) {
        out.put(1, &self.state());
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        self.set_state(s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        self.settle(cx);
        self.interrupt(cx);
        self.screen.forget();
        cx.wake_at(REFRESH_TIMER, cx.now() + REFRESH);
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("frames", self.screen.frames),
            ("lines", self.screen.lines),
            ("engine_commands", self.engine.commands),
        ]
    }
}
