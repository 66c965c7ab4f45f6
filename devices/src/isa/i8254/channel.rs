//! One counter, brought up to date by arithmetic and not tick by tick.
//!
//! Time here is the number of CLK pulses since power-on. [`Channel::advance`] moves the state to a later CLK and
//! says how often OUT rose on the way; whole periods are divided out.

use super::regs::{Control, Status};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Channel {
    pub control: Control,
    /// Count register as written.
    pub cr: u16,
    /// Low byte of a pair whose high one is still to come: CR changes as a whole.
    pub low: u8,
    /// The next byte written, or read, is the high one of a pair.
    pub write_high: bool,
    pub read_high: bool,
    pub latch: Option<u16>,
    pub status: Option<u8>,
    /// CR holds a count that CE has not taken.
    pub null: bool,
    pub gate: bool,
    pub out: bool,
    /// A count was written since the control word.
    pub armed: bool,
    /// CE holds a count of this control word.
    pub loaded: bool,
    /// CR goes to CE with the next CLK.
    pub load: bool,
    /// Mode 0 between the two bytes of a count.
    pub halted: bool,
    /// Modes 0, 1, 4, 5: the terminal count is still to come.
    pub live: bool,
    /// Modes 4, 5: OUT is low for this CLK.
    pub strobe: bool,
    /// Mode 3: the count in CE was odd.
    pub odd: bool,
    /// Counting element in binary: 1..=modulus after a load, then down; shown modulo the modulus.
    pub ce: u32,
    /// CLK that all this is true for.
    pub at: u64,
}

impl Channel {
    pub fn new(gate: bool, at: u64) -> Self {
        Self {
            control: Control::new().with_rw(3),
            cr: 0,
            low: 0,
            write_high: false,
            read_high: false,
            latch: None,
            status: None,
            null: true,
            gate,
            out: false,
            armed: false,
            loaded: false,
            load: false,
            halted: false,
            live: false,
            strobe: false,
            odd: false,
            ce: 0,
            at,
        }
    }

    /// 0-5: the top bit of the mode field means nothing for modes 2 and 3.
    pub fn mode(&self) -> u8 {
        match self.control.m() {
            6 => 2,
            7 => 3,
            m => m,
        }
    }

    pub fn periodic(&self) -> bool {
        matches!(self.mode(), 2 | 3)
    }

    fn modulus(&self) -> u32 {
        if self.control.bcd() { 10_000 } else { 0x1_0000 }
    }

    /// What CR says, in binary; 0 means the modulus.
    pub fn count(&self) -> u32 {
        let cr = u32::from(self.cr);
        let n = if self.control.bcd() {
            (0..4).rev().fold(0, |n, digit| n * 10 + (cr >> (4 * digit) & 15)) % 10_000
        } else {
            cr
        };
        if n == 0 { self.modulus() } else { n }
    }

    /// CE as the bus sees it.
    fn shown(&self) -> u16 {
        let n = self.ce % self.modulus();
        if self.control.bcd() {
            (0..4).rev().fold(0, |bcd, digit| bcd << 4 | (n / 10u32.pow(digit) % 10) as u16)
        } else {
            n as u16
        }
    }

    /// CLK pulses move CE.
    fn counting(&self) -> bool {
        let gated = !matches!(self.mode(), 1 | 5);
        // A count of 1 is illegal in modes 2 and 3: OUT stays high.
        let legal = !self.periodic() || self.count() > 1;
        self.loaded && !self.halted && legal && (self.gate || !gated)
    }

    fn set_out(&mut self, out: bool) -> u64 {
        u64::from(!std::mem::replace(&mut self.out, out) && out)
    }

    fn take_count(&mut self) {
        let n = self.count();
        self.null = false;
        self.odd = n & 1 == 1;
        self.ce = if self.mode() == 3 { n & !1 } else { n };
    }

    /// CLK pulses until OUT changes, from a counting state.
    fn left(&self) -> u64 {
        let ce = u64::from(self.ce);
        match self.mode() {
            2 if self.out => ce.saturating_sub(1),
            2 => 1,
            3 => ce / 2 + u64::from(self.odd && self.out),
            _ => ce,
        }
    }

    /// Moves to CLK `to`. Returns how many times OUT rose.
    pub fn advance(&mut self, to: u64) -> u64 {
        let mut rises = 0;
        while self.at < to {
            let room = to - self.at;
            if self.load {
                self.at += 1;
                self.load = false;
                self.loaded = true;
                self.live = true;
                self.take_count();
                rises += match self.mode() {
                    1 => self.set_out(false),
                    2 | 3 => self.set_out(true),
                    _ => 0,
                };
            } else if self.strobe {
                self.at += 1;
                self.strobe = false;
                if self.counting() {
                    self.ce = self.modulus() - 1;
                }
                rises += self.set_out(true);
            } else if !self.counting() {
                self.at = to;
            } else if self.periodic() {
                rises += self.advance_periodic(room);
            } else if self.live {
                let step = room.min(self.left());
                self.at += step;
                self.ce -= step as u32;
                if self.ce == 0 {
                    self.live = false;
                    rises += match self.mode() {
                        0 | 1 => self.set_out(true),
                        _ => {
                            self.strobe = true;
                            self.set_out(false)
                        }
                    };
                }
            } else {
                // After the terminal count CE wraps and goes on.
                let m = u64::from(self.modulus());
                self.at = to;
                self.ce = ((u64::from(self.ce) + m - room % m) % m) as u32;
            }
        }
        rises
    }

    fn advance_periodic(&mut self, room: u64) -> u64 {
        let full = if self.mode() == 3 { self.count() & !1 } else { self.count() };
        let period = u64::from(self.count());
        if self.out && !self.null && self.ce == full && room >= period {
            self.at += room / period * period;
            return room / period;
        }
        let left = self.left();
        let step = room.min(left);
        self.at += step;
        if self.mode() == 2 {
            if self.out {
                self.ce -= step as u32;
                if step == left {
                    self.set_out(false);
                }
                return 0;
            }
            self.take_count();
            return self.set_out(true);
        }
        if step == left {
            self.take_count();
            return self.set_out(!self.out);
        }
        self.ce = self.ce.saturating_sub(2 * step as u32);
        0
    }

    /// A CLK up to which OUT stays as it is, if nobody touches the counter.
    pub fn steady_until(&self) -> Option<u64> {
        if self.load || self.strobe {
            return Some(self.at + 1);
        }
        let moves = self.counting() && (self.periodic() || self.live);
        moves.then(|| self.at + self.left().max(1))
    }

    /// The CLK of OUT's next rise, if nobody touches the counter.
    pub fn next_rise(&self) -> Option<u64> {
        let n = u64::from(self.count());
        if self.load {
            let gated = !matches!(self.mode(), 1 | 5) && !self.gate;
            return match self.mode() {
                2 | 3 if !self.out => Some(self.at + 1),
                2 | 3 if n == 1 => None,
                _ if gated => None,
                4 | 5 => Some(self.at + n + 2),
                _ => Some(self.at + n + 1),
            };
        }
        if self.strobe {
            return Some(self.at + 1);
        }
        if !self.counting() {
            return None;
        }
        match self.mode() {
            2 if self.out => Some(self.at + self.left() + 1),
            3 if self.out => Some(self.at + self.left() + n / 2),
            2 | 3 => Some(self.at + self.left()),
            0 | 1 if self.live => Some(self.at + self.left()),
            4 | 5 if self.live => Some(self.at + self.left() + 1),
            _ => None,
        }
    }

    /// A control word for this counter (not a latch command).
    pub fn set_control(&mut self, v: Control) -> u64 {
        let Self { gate, out, ce, at, cr, .. } = *self;
        *self = Self { control: v, out, ce, cr, ..Self::new(gate, at) };
        self.set_out(self.mode() != 0)
    }

    pub fn latch_count(&mut self) {
        self.latch = self.latch.or(Some(self.shown()));
    }

    pub fn latch_status(&mut self) {
        let c = self.control;
        let now = Status::new()
            .with_bcd(c.bcd())
            .with_m(c.m())
            .with_rw(c.rw())
            .with_null_count(self.null)
            .with_output(self.out);
        self.status = self.status.or(Some(now.into_bits()));
    }

    pub fn read(&mut self) -> u8 {
        if let Some(s) = self.status.take() {
            return s;
        }
        let v = self.latch.unwrap_or_else(|| self.shown());
        let [low, high] = v.to_le_bytes();
        let (byte, last) = match self.control.rw() {
            1 => (low, true),
            2 => (high, true),
            _ => {
                self.read_high = !self.read_high;
                if self.read_high { (low, false) } else { (high, true) }
            }
        };
        if last {
            self.latch = None;
        }
        byte
    }

    pub fn write(&mut self, v: u8) -> u64 {
        let mode = self.mode();
        match self.control.rw() {
            1 => self.cr = u16::from(v),
            2 => self.cr = u16::from(v) << 8,
            _ => {
                self.write_high = !self.write_high;
                if self.write_high {
                    self.low = v;
                    if mode == 0 {
                        // Half a count stops mode 0 and drops OUT at once.
                        self.halted = true;
                        self.load = false;
                        self.set_out(false);
                    }
                    return 0;
                }
                self.cr = u16::from_le_bytes([self.low, v]);
            }
        }
        self.null = true;
        self.armed = true;
        match mode {
            0 => {
                self.halted = false;
                self.load = true;
                self.set_out(false)
            }
            4 => {
                self.load = true;
                0
            }
            2 | 3 if !self.loaded => {
                self.load = true;
                0
            }
            // Taken at the end of the (half) period, or at the next trigger.
            _ => 0,
        }
    }

    pub fn set_gate(&mut self, gate: bool) -> u64 {
        let was = std::mem::replace(&mut self.gate, gate);
        match self.mode() {
            1 | 5 if gate && !was && self.armed => self.load = true,
            2 | 3 if gate && !was && self.armed => self.load = true,
            2 | 3 if !gate && was => return self.set_out(true),
            _ => {}
        }
        0
    }
}
