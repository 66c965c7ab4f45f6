//! Address decoding: ports, memory and configuration space to windows of chips.

use crate::{SlotId, Width, Win, WinKind, WinSpec};

/// Where a window is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decode {
    /// First port.
    Pio(u16),
    /// First physical address.
    Mmio(u32),
    /// PCI device and function of bus 0.
    Config { dev: u8, func: u8 },
}

/// Who answers an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    pub slot: SlotId,
    pub win: Win,
    /// Offset into the window.
    pub off: u32,
    /// Bytes left in the window from `off`.
    pub left: u32,
    pub widest: Width,
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    slot: SlotId,
    spec: WinSpec,
    base: u32,
}

/// The board's decoder. Where windows overlap, the one placed last answers, and the other again when that leaves.
pub struct Decoder {
    placed: Vec<Placed>,
    /// Index into `placed` plus one for each port; 0 = nobody.
    ports: Vec<u8>,
    config: [Option<(SlotId, Win)>; 256],
}

impl Default for Decoder {
    fn default() -> Self {
        Self { placed: Vec::new(), ports: vec![0; 0x1_0000], config: [None; 256] }
    }
}

impl Decoder {
    /// Puts a window somewhere, takes it from where it was, or (None) off the bus. A place of another kind
    /// than the window's takes it off the bus too.
    pub fn place(&mut self, slot: SlotId, spec: WinSpec, to: Option<Decode>) {
        let before = self.placed.len();
        self.placed.retain(|p| (p.slot, p.spec.win) != (slot, spec.win));
        // The port table holds places in `placed`, which a window of any kind moves when it leaves.
        let moved = self.placed.len() != before;
        match (spec.kind, to) {
            (WinKind::Pio, Some(Decode::Pio(base))) => {
                self.placed.push(Placed { slot, spec, base: u32::from(base) });
            }
            (WinKind::Mmio, Some(Decode::Mmio(base))) => self.placed.push(Placed { slot, spec, base }),
            (WinKind::Config, to) => {
                self.config.iter_mut().filter(|c| **c == Some((slot, spec.win))).for_each(|c| *c = None);
                if let Some(Decode::Config { dev, func }) = to {
                    self.config[usize::from(dev & 31) << 3 | usize::from(func & 7)] = Some((slot, spec.win));
                }
                return;
            }
            _ => {}
        }
        if moved || spec.kind == WinKind::Pio {
            self.rebuild_ports();
        }
    }

    fn rebuild_ports(&mut self) {
        self.ports.fill(0);
        for (i, p) in self.placed.iter().enumerate().filter(|(_, p)| p.spec.kind == WinKind::Pio) {
            let end = (p.base + p.spec.len).min(0x1_0000);
            // A board has far fewer than 255 windows; one beyond would not decode.
            let n = u8::try_from(i + 1).unwrap_or(0);
            self.ports[p.base as usize..end as usize].fill(n);
        }
    }

    #[inline]
    pub fn port(&self, port: u16) -> Option<Hit> {
        let p = self.placed.get(usize::from(self.ports[usize::from(port)]).checked_sub(1)?)?;
        Some(hit(p, u32::from(port)))
    }

    pub fn memory(&self, gpa: u64) -> Option<Hit> {
        let gpa = u32::try_from(gpa).ok()?;
        let mut of = self.placed.iter().rev();
        of.find(|p| p.spec.kind == WinKind::Mmio && gpa >= p.base && gpa - p.base < p.spec.len)
            .map(|p| hit(p, gpa))
    }

    /// The function that answers configuration cycles to this device and function of bus 0.
    pub fn config(&self, dev: u8, func: u8) -> Option<(SlotId, Win)> {
        self.config[usize::from(dev & 31) << 3 | usize::from(func & 7)]
    }

    /// All placed windows, for `ctl` and tests.
    pub fn placed(&self) -> impl Iterator<Item = (SlotId, WinSpec, u32)> + '_ {
        self.placed.iter().map(|p| (p.slot, p.spec, p.base))
    }
}

fn hit(p: &Placed, at: u32) -> Hit {
    let off = at - p.base;
    Hit { slot: p.slot, win: p.spec.win, off, left: p.spec.len - off, widest: p.spec.widest }
}

/// Splits an access of `len` bytes at `off` into what a window takes: calls `f` with (offset, byte position, width).
pub(crate) fn split(off: u32, len: u32, left: u32, widest: Width, mut f: impl FnMut(u32, u32, Width)) -> u32 {
    let mut done = 0;
    let len = len.min(left);
    while done < len {
        let at = off + done;
        let rest = len - done;
        let w = if rest >= 4 && widest >= Width::D && at.is_multiple_of(4) {
            Width::D
        } else if rest >= 2 && widest >= Width::W && at.is_multiple_of(2) {
            Width::W
        } else {
            Width::B
        };
        f(at, done, w);
        done += w.bytes();
    }
    len
}

impl Hit {
    /// Splits an access of `len` bytes that begins at this hit into the widths the window takes; calls `f` with
    /// offset, byte position and width of each part. Returns how many bytes lie inside the window.
    pub fn parts(&self, len: u32, f: impl FnMut(u32, u32, Width)) -> u32 {
        split(self.off, len, self.left, self.widest, f)
    }
}
