//! A bench for one chip: its windows on a bus, wires to look at, a clock to move, jobs to take.
//!
//! ```
//! # use board::{testkit::Bench, *};
//! # struct Latch(u8);
//! # const SPEC: &[WinSpec] = &[WinSpec::pio(Win(0), 1, Width::B)];
//! # impl Device for Latch {
//! #     fn name(&self) -> &'static str { "latch" }
//! #     fn windows(&self) -> &'static [WinSpec] { SPEC }
//! #     fn reset(&mut self, _: &mut Cx<'_>, _: Reset) { self.0 = 0 }
//! #     fn read(&mut self, _: &mut Cx<'_>, _: At) -> u32 { u32::from(self.0) }
//! #     fn write(&mut self, _: &mut Cx<'_>, _: At, v: u32) { self.0 = v as u8 }
//! #     fn save(&self, out: &mut StateOut) { out.put(1, &self.0) }
//! #     fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> { self.0 = s.get(1)?; Ok(()) }
//! # }
//! let mut b = Bench::new(|_lines| Latch(0));
//! b.place(Win(0), Decode::Pio(0x80));
//! b.out8(0x80, 0x55);
//! assert_eq!(b.in8(0x80), 0x55);
//! ```

use std::sync::Arc;

use ram::GuestRam;

use crate::{
    At, Cx, Decode, Decoder, Device, Dir, Dreq, Effects, HostEvent, HostJob, IsaDma, Line, Lines, Moved,
    Power, Reset, SlotId, StateIn, StateOut, Tick, Width, Win,
};

const SLOT: SlotId = SlotId(0);
const RAM: u64 = 16 << 20;
const EXTRA: u64 = 32 << 20;

/// An 8237 stand-in: what the device gives lands in `taken`; what it takes comes from `given`.
#[derive(Debug, Default)]
pub struct FakeDma {
    pub given: Vec<u8>,
    pub taken: Vec<u8>,
    /// Bytes until TC.
    pub left: usize,
    pub masked: bool,
}

impl IsaDma for FakeDma {
    fn transfer(&mut self, _: Dreq, _: &GuestRam, buf: &mut [u8], dir: Dir) -> Moved {
        if self.masked {
            return Moved::default();
        }
        let n = buf.len().min(self.left);
        match dir {
            Dir::ToMemory => self.taken.extend_from_slice(&buf[..n]),
            Dir::FromMemory => {
                for b in &mut buf[..n] {
                    *b = if self.given.is_empty() { 0 } else { self.given.remove(0) };
                }
            }
            Dir::Verify => {}
        }
        self.left -= n;
        Moved { bytes: n, terminal: self.left == 0 && n > 0 }
    }

    fn left(&self, _: Dreq) -> Option<usize> {
        (!self.masked).then_some(self.left)
    }
}

/// One chip and everything it can reach.
pub struct Bench<D> {
    pub dev: D,
    pub lines: Lines,
    pub ram: Arc<GuestRam>,
    pub dma: FakeDma,
    now: Tick,
    fx: Effects,
    decoder: Decoder,
    power: Option<Power>,
    jobs: Vec<HostJob>,
}

impl<D: Device> Bench<D> {
    /// Builds the chip (which may connect wires), and powers it on.
    pub fn new(build: impl FnOnce(&mut Lines) -> D) -> Self {
        Self::with_ram(|lines, _| build(lines))
    }

    /// As `new`, for a chip that takes memory slots.
    ///
    /// # Panics
    /// If the host has no memory for 48 MiB of guest.
    pub fn with_ram(build: impl FnOnce(&mut Lines, &Arc<GuestRam>) -> D) -> Self {
        let ram = Arc::new(GuestRam::new(RAM, EXTRA).unwrap_or_else(|e| panic!("{e}")));
        let mut lines = Lines::default();
        let dev = build(&mut lines, &ram);
        let mut b = Self {
            dev,
            lines,
            ram,
            dma: FakeDma::default(),
            now: 0,
            fx: Effects::default(),
            decoder: Decoder::default(),
            power: None,
            jobs: Vec::new(),
        };
        b.call(|d, cx| d.reset(cx, Reset::PowerOn));
        b
    }

    /// Calls the chip and carries out what it asked for.
    pub fn call<R>(&mut self, f: impl FnOnce(&mut D, &mut Cx<'_>) -> R) -> R {
        let now = self.now;
        let r = f(
            &mut self.dev,
            &mut Cx::new(SLOT, &|| now, &mut self.lines, &self.ram, &mut self.dma, &mut self.fx),
        );
        for (_, win, to) in std::mem::take(&mut self.fx.remaps) {
            self.put(win, to);
        }
        self.jobs.extend(self.fx.jobs.drain(..).map(|(_, j)| j));
        self.power = self.fx.power.take().or(self.power);
        r
    }

    fn put(&mut self, win: Win, to: Option<Decode>) {
        let spec = self.dev.windows().iter().find(|s| s.win == win);
        let spec = *spec.unwrap_or_else(|| panic!("{} has no window {win:?}", self.dev.name()));
        self.decoder.place(SLOT, spec, to);
    }

    /// Puts a window on the bench's bus.
    pub fn place(&mut self, win: Win, to: Decode) {
        self.put(win, Some(to));
    }

    pub fn now(&self) -> Tick {
        self.now
    }

    /// Lets guest time pass; timers fire at their own time.
    pub fn advance(&mut self, by: Tick) {
        let end = self.now + by;
        while let Some((t, _, id)) = self.fx.timers.pop(end) {
            self.now = self.now.max(t);
            self.call(|d, cx| d.timer(cx, id));
        }
        self.now = end;
    }

    /// Lets guest time pass at once, as when the host was busy: timers fire late, all with the new time.
    pub fn stall(&mut self, by: Tick) {
        self.now += by;
        while let Some((_, _, id)) = self.fx.timers.pop(self.now) {
            self.call(|d, cx| d.timer(cx, id));
        }
    }

    /// When the chip's next timer is due.
    pub fn next_timer(&self) -> Option<Tick> {
        self.fx.timers.next()
    }

    pub fn reset(&mut self, kind: Reset) {
        self.call(|d, cx| d.reset(cx, kind));
    }

    pub fn host(&mut self, ev: HostEvent) {
        self.call(|d, cx| d.host(cx, ev));
    }

    /// Jobs handed to the host since the last call.
    pub fn jobs(&mut self) -> Vec<HostJob> {
        std::mem::take(&mut self.jobs)
    }

    /// The last power wish, once.
    pub fn power(&mut self) -> Option<Power> {
        self.power.take()
    }

    pub fn level(&self, line: Line) -> bool {
        self.lines.level(line)
    }

    /// How many accesses no register answered.
    pub fn unknowns(&self) -> u64 {
        self.fx.unknowns.iter().map(|(.., n)| n).sum()
    }

    /// Is the window decoded, and where?
    pub fn placed(&self, win: Win) -> Option<u32> {
        self.decoder.placed().find(|(_, s, _)| s.win == win).map(|(.., base)| base)
    }

    /// Saves, builds nothing new, loads into the same chip after a reset: state must survive.
    ///
    /// # Panics
    /// If the chip saves nothing or refuses its own state.
    pub fn save_and_load(&mut self) {
        self.call(|d, cx| d.catch_up(cx));
        let mut out = StateOut::default();
        self.dev.save(&mut out);
        let (version, body) = out.into_body().unwrap_or_else(|| panic!("{} saves nothing", self.dev.name()));
        self.reset(Reset::PowerOn);
        let name = self.dev.name();
        self.dev.load(&StateIn::new(name, version, &body)).unwrap_or_else(|e| panic!("{e}"));
        self.call(|d, cx| d.restored(cx));
    }

    fn pio(&mut self, port: u16, len: u32, mut v: u32, write: bool) -> u32 {
        let Some(hit) = self.decoder.port(port) else {
            return Width::from_bytes(len).map_or(u32::MAX, Width::ones);
        };
        self.access(hit, len, &mut v, write);
        v
    }

    fn access(&mut self, hit: crate::Hit, len: u32, v: &mut u32, write: bool) {
        let mut parts = Vec::new();
        hit.parts(len, |off, pos, width| parts.push((off, pos, width)));
        let mut got = 0;
        for (off, pos, width) in parts {
            let at = At { win: hit.win, off, width };
            if write {
                let part = *v >> (8 * pos) & width.ones();
                self.call(|d, cx| d.write(cx, at, part));
            } else {
                got |= (self.call(|d, cx| d.read(cx, at)) & width.ones()) << (8 * pos);
            }
        }
        if !write {
            *v = got;
        }
    }

    pub fn out8(&mut self, port: u16, v: u8) {
        self.pio(port, 1, u32::from(v), true);
    }

    pub fn out16(&mut self, port: u16, v: u16) {
        self.pio(port, 2, u32::from(v), true);
    }

    pub fn out32(&mut self, port: u16, v: u32) {
        self.pio(port, 4, v, true);
    }

    pub fn in8(&mut self, port: u16) -> u8 {
        self.pio(port, 1, 0, false) as u8
    }

    pub fn in16(&mut self, port: u16) -> u16 {
        self.pio(port, 2, 0, false) as u16
    }

    pub fn in32(&mut self, port: u16) -> u32 {
        self.pio(port, 4, 0, false)
    }

    fn mem(&mut self, gpa: u32, len: u32, mut v: u32, write: bool) -> u32 {
        match self.ram.resolve(u64::from(gpa)) {
            ram::Mapping { read: Some(_), .. } if !write => {
                let mut b = [0; 4];
                self.ram.read(u64::from(gpa), &mut b[..len as usize]);
                return u32::from_le_bytes(b);
            }
            ram::Mapping { write: Some(_), .. } if write => {
                self.ram.write(u64::from(gpa), &v.to_le_bytes()[..len as usize]);
                return v;
            }
            _ => {}
        }
        let Some(hit) = self.decoder.memory(u64::from(gpa)) else { return u32::MAX };
        self.access(hit, len, &mut v, write);
        v
    }

    pub fn write8(&mut self, gpa: u32, v: u8) {
        self.mem(gpa, 1, u32::from(v), true);
    }

    pub fn write16(&mut self, gpa: u32, v: u16) {
        self.mem(gpa, 2, u32::from(v), true);
    }

    pub fn write32(&mut self, gpa: u32, v: u32) {
        self.mem(gpa, 4, v, true);
    }

    pub fn read8(&mut self, gpa: u32) -> u8 {
        self.mem(gpa, 1, 0, false) as u8
    }

    pub fn read16(&mut self, gpa: u32) -> u16 {
        self.mem(gpa, 2, 0, false) as u16
    }

    pub fn read32(&mut self, gpa: u32) -> u32 {
        self.mem(gpa, 4, 0, false)
    }

    /// Configuration access to a `Config` window.
    pub fn cfg_read(&mut self, win: Win, off: u8, width: Width) -> u32 {
        self.call(|d, cx| d.read(cx, At { win, off: u32::from(off), width })) & width.ones()
    }

    pub fn cfg_write(&mut self, win: Win, off: u8, width: Width, v: u32) {
        self.call(|d, cx| d.write(cx, At { win, off: u32::from(off), width }, v & width.ones()));
    }
}
