//! The two timers, 80 and 320 us a step: registers 02h to 04h and the status byte.

use board::{MICROSECOND, Tick};

/// Status and register 04h: IRQ or its reset 7, timer 1 6, timer 2 5; start bits 1:0.
const IRQ: u8 = 0x80;
const FLAGS: [u8; 2] = [0x40, 0x20];
const STEP: [Tick; 2] = [80 * MICROSECOND, 320 * MICROSECOND];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Timers {
    pub preset: [u8; 2],
    /// Masks, in the place of the flags.
    pub mask: u8,
    pub flags: u8,
    /// When each runs over next; `None`: stopped.
    pub next: [Option<Tick>; 2],
}

impl Timers {
    fn period(&self, n: usize) -> Tick {
        (256 - Tick::from(self.preset[n])) * STEP[n]
    }

    fn catch_up(&mut self, now: Tick) {
        for (n, flag) in FLAGS.into_iter().enumerate() {
            let period = self.period(n);
            if let Some(next) = &mut self.next[n]
                && *next <= now
            {
                *next += ((now - *next) / period + 1) * period;
                if self.mask & flag == 0 {
                    self.flags |= flag;
                }
            }
        }
    }

    pub(super) fn status(&mut self, now: Tick) -> u8 {
        self.catch_up(now);
        self.flags | if self.flags != 0 { IRQ } else { 0 }
    }

    pub(super) fn write(&mut self, now: Tick, reg: usize, v: u8) {
        self.catch_up(now);
        match reg {
            2 | 3 => self.preset[reg - 2] = v,
            // The reset bit is alone: the others of that write don't count.
            _ if v & IRQ != 0 => self.flags = 0,
            _ => {
                self.mask = v & (FLAGS[0] | FLAGS[1]);
                for n in 0..2 {
                    self.next[n] = match (v >> n & 1 != 0, self.next[n]) {
                        (false, _) => None,
                        (true, Some(t)) => Some(t),
                        (true, None) => Some(now + self.period(n)),
                    };
                }
            }
        }
    }
}
