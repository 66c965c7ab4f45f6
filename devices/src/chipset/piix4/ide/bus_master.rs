//! One channel's bus master: its registers and the walk over the PRD table. 82371AB 5.2.

use std::ops::Range;

use ram::GuestRam;

use super::regs::{Bmicx, Bmisx, Prd};

/// Why a transfer paused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ran {
    /// All the drive's data moved.
    Moved,
    /// The table ended first.
    TableEnd,
    /// Table or buffer lie where no memory answers.
    Fault,
}

/// Where in the table we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Walk {
    /// Address of the next descriptor.
    pub(super) next: u32,
    /// What is left of the current region.
    pub(super) at: u32,
    pub(super) left: u32,
    /// The current region is the table's last.
    pub(super) last: bool,
}

impl Walk {
    fn ended(self) -> bool {
        self.last && self.left == 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct BusMaster {
    pub(super) bmicx: Bmicx,
    pub(super) bmisx: Bmisx,
    /// Bus Master IDE Descriptor Table Pointer, 5.2.3.
    pub(super) bmidtpx: u32,
    pub(super) walk: Walk,
    /// While the host moves data by itself: where the walk will be, and their length.
    pub(super) plan: Option<(Walk, usize)>,
}

/// The most pieces of memory that the host moves data of by itself.
const MOST_PIECES: usize = 256;

const PAGE: u32 = 4096;

impl BusMaster {
    /// None: a register that does not exist.
    pub(super) fn read(&self, off: u32) -> Option<u8> {
        match off {
            0 => Some(self.bmicx.into_bits()),
            2 => Some(self.bmisx.into_bits()),
            4..=7 => Some((self.bmidtpx >> (8 * (off - 4))) as u8),
            _ => Some(0), // 1 and 3 are reserved, read 0
        }
    }

    /// Bytes of the table pointer merge: OS/2 writes it in halves.
    pub(super) fn write(&mut self, off: u32, v: u8) {
        match off {
            0 => self.write_bmicx(v),
            2 => {
                let w = Bmisx::from(v);
                let s = &mut self.bmisx;
                s.set_error(s.error() && !w.error());
                s.set_ideints(s.ideints() && !w.ideints());
                s.set_dma0cap(w.dma0cap());
                s.set_dma1cap(w.dma1cap());
            }
            4..=7 => {
                let shift = 8 * (off - 4);
                self.bmidtpx = (self.bmidtpx & !(0xff << shift) | u32::from(v) << shift) & !3;
            }
            _ => {}
        }
    }

    /// BMICX, 5.2.1. Setting SSBM begins at the table's base; clearing it drops the transfer's state. RWCON
    /// can't change while a transfer is active (same section): such a change is not taken.
    fn write_bmicx(&mut self, v: u8) {
        let w = Bmicx::from(v & 0x09);
        let was = self.bmicx;
        self.bmicx = if was.ssbm() && w.ssbm() && self.bmisx.bmidea() { was } else { w };
        if w.ssbm() && !was.ssbm() {
            self.walk = Walk { next: self.bmidtpx, ..Walk::default() };
            self.plan = None;
            self.bmisx.set_bmidea(true);
        }
        if !w.ssbm() {
            self.plan = None;
            self.bmisx.set_bmidea(false);
        }
    }

    pub(super) fn active(self) -> bool {
        self.bmisx.bmidea()
    }

    pub(super) fn to_memory(self) -> bool {
        self.bmicx.rwcon()
    }

    /// The rising edge of INTRQ.
    pub(super) fn interrupt(&mut self) {
        self.bmisx.set_ideints(true);
    }

    /// The drive is done: BMIDEA falls if the table is used up too. 5.2.2, table of interrupt and active bits.
    pub(super) fn device_done(&mut self) {
        if self.walk.ended() {
            self.bmisx.set_bmidea(false);
        }
    }

    /// What the table says of the next `len` bytes, if all of it is main RAM and the table is long enough: then the host can
    /// move them by itself. All else goes piece by piece, and fails where it must.
    pub(super) fn plan(&mut self, ram: &GuestRam, len: usize) -> Option<Vec<Range<u32>>> {
        let (mut ahead, mut ranges, mut plain) = (*self, Vec::<Range<u32>>::new(), true);
        let (_, ran) = ahead.run(ram, len, |at, part| {
            plain &= ranges.len() < MOST_PIECES && ram.is_plain(at);
            if plain {
                let end = at + part.len() as u32;
                match ranges.last_mut() {
                    Some(r) if r.end == at => r.end = end,
                    _ => ranges.push(at..end),
                }
            }
        });
        // A table that its own data overwrite is read as they come.
        let (first, next) = (self.walk.next, ahead.walk.next);
        let table = if first <= next { first..=next } else { first & !0xffff..=first | 0xffff };
        let apart = |r: &Range<u32>| r.end <= *table.start() || r.start > *table.end();
        let usable = ran == Ran::Moved && plain && (!self.to_memory() || ranges.iter().all(apart));
        usable.then(|| {
            self.plan = Some((ahead.walk, len));
            ranges
        })
    }

    /// The host has done as planned, or not: how many bytes it moved. A plan that the driver stopped is none any more.
    pub(super) fn planned(&mut self, moved: bool) -> u64 {
        let Some((walk, len)) = self.plan.take().filter(|_| moved) else { return 0 };
        self.walk = walk;
        len as u64
    }

    /// Drive to memory: how many bytes of `data` the table took.
    pub(super) fn store(&mut self, ram: &GuestRam, data: &[u8]) -> (usize, Ran) {
        self.run(ram, data.len(), |at, part| ram.write(u64::from(at), &data[part]))
    }

    /// Memory to drive: how many bytes of `data` were filled.
    pub(super) fn fetch(&mut self, ram: &GuestRam, data: &mut [u8]) -> (usize, Ran) {
        self.run(ram, data.len(), |at, part| ram.read(u64::from(at), &mut data[part]))
    }

    /// Walks the table for `len` bytes; `f` moves one piece, which lies within a page.
    fn run(
        &mut self,
        ram: &GuestRam,
        len: usize,
        mut f: impl FnMut(u32, std::ops::Range<usize>),
    ) -> (usize, Ran) {
        let mut done = 0;
        while done < len {
            if self.walk.left == 0 {
                if self.walk.last {
                    return (done, Ran::TableEnd);
                }
                if !self.load_prd(ram) {
                    return (done, self.fault());
                }
            }
            let w = &mut self.walk;
            let n = w.left.min(PAGE - w.at % PAGE).min((len - done).min(PAGE as usize) as u32);
            if !answers(ram, w.at) {
                return (done, self.fault());
            }
            f(w.at, done..done + n as usize);
            w.at = w.at.wrapping_add(n);
            w.left -= n;
            done += n as usize;
        }
        (done, Ran::Moved)
    }

    fn load_prd(&mut self, ram: &GuestRam) -> bool {
        if !answers(ram, self.walk.next) {
            return false;
        }
        let mut b = [0; 8];
        ram.read(u64::from(self.walk.next), &mut b);
        let prd = Prd::from_bits(u64::from_le_bytes(b));
        let count = u32::from(prd.count() & !1);
        self.walk = Walk {
            // The table does not cross 64 KiB: its address counts within them.
            next: self.walk.next & !0xffff | self.walk.next.wrapping_add(8) & 0xffff,
            at: prd.base() & !1,
            left: if count == 0 { 0x1_0000 } else { count },
            last: prd.eot(),
        };
        true
    }

    fn fault(&mut self) -> Ran {
        self.bmisx.set_error(true);
        self.bmisx.set_bmidea(false);
        Ran::Fault
    }
}

/// Is there memory? ROM and RAM that PAM hides take what is written and drop it, as on the board.
fn answers(ram: &GuestRam, at: u32) -> bool {
    let m = ram.resolve(u64::from(at));
    m.read.is_some() || m.write.is_some()
}
