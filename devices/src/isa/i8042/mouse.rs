//! The PS/2 mouse: three buttons, or with a wheel, or with a wheel and five buttons.

use std::collections::VecDeque;

use board::{MILLISECOND, Pointer, SECOND, Tick};

const ACK: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const ERROR: u8 = 0xfc;
const SMALLEST_COMMAND: u8 = 0xe6;
const BAT_TIME: Tick = MILLISECOND;
/// What the user did and no packet has told yet. Movement merges; each change of buttons is kept.
const MOST_WAITING: usize = 64;
/// Sample rates that turn on the wheel, and then the two more buttons.
const WHEEL: [u8; 3] = [200, 100, 80];
const FIVE: [u8; 3] = [200, 200, 80];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mouse {
    pub replies: VecDeque<u8>,
    pub packet: VecDeque<u8>,
    /// The last answer or packet, for Resend.
    pub last: Vec<u8>,
    pub waiting: VecDeque<Pointer>,
    /// Buttons as last told.
    pub buttons: u8,
    pub reporting: bool,
    pub remote: bool,
    pub wrap: bool,
    pub double: bool,
    pub resolution: u8,
    pub rate: u8,
    /// 0, 3 with wheel, 4 with five buttons.
    pub id: u8,
    /// The last three sample rates.
    pub knock: [u8; 3],
    pub expects: Option<u8>,
    pub erred: bool,
    /// No packet before this.
    pub sample_at: Tick,
    pub bat_at: Option<Tick>,
}

impl Mouse {
    pub fn new() -> Self {
        Self {
            replies: VecDeque::new(),
            packet: VecDeque::new(),
            last: Vec::new(),
            waiting: VecDeque::new(),
            buttons: 0,
            reporting: false,
            remote: false,
            wrap: false,
            double: false,
            resolution: 2,
            rate: 100,
            id: 0,
            knock: [0; 3],
            expects: None,
            erred: false,
            sample_at: 0,
            bat_at: None,
        }
    }

    fn defaults(&mut self) {
        self.reporting = false;
        self.remote = false;
        self.double = false;
        self.resolution = 2;
        self.rate = 100;
        self.forget_movement();
    }

    /// Movement counters go to 0; buttons are as they are.
    fn forget_movement(&mut self) {
        if let Some(p) = self.waiting.back() {
            self.buttons = p.buttons;
        }
        self.waiting.clear();
    }

    pub fn has_byte(&self) -> bool {
        !self.replies.is_empty() || !self.packet.is_empty()
    }

    pub fn pop(&mut self) -> Option<u8> {
        self.replies.pop_front().or_else(|| self.packet.pop_front())
    }

    fn answer(&mut self, bytes: &[u8]) {
        self.replies.extend(bytes);
        self.last = bytes.to_vec();
        self.erred = false;
    }

    /// A byte from the host. It ends a packet that was on its way.
    pub fn command(&mut self, v: u8, now: Tick) {
        self.replies.clear();
        self.packet.clear();
        if self.wrap && v != 0xff && v != 0xec {
            return self.replies.push_back(v);
        }
        // No parameter is as large as the smallest command: such a byte begins anew.
        if let Some(c) = self.expects.take()
            && v < SMALLEST_COMMAND
        {
            return self.parameter(c, v);
        }
        match v {
            0xe6 => self.double = false,
            0xe7 => self.double = true,
            0xe8 | 0xf3 => self.expects = Some(v),
            0xe9 => {
                let status = [ACK, self.status(), self.resolution, self.rate];
                return self.answer(&status);
            }
            0xea => {
                self.remote = false;
                self.forget_movement();
            }
            0xeb => {
                let mut bytes = vec![ACK];
                bytes.extend(self.take_packet(false));
                return self.answer(&bytes);
            }
            0xec => self.wrap = false,
            0xee => {
                self.wrap = true;
                self.forget_movement();
            }
            0xf0 => {
                self.remote = true;
                self.forget_movement();
            }
            0xf2 => return self.answer(&[ACK, self.id]),
            0xf4 => {
                self.reporting = true;
                self.forget_movement();
            }
            0xf5 => {
                self.reporting = false;
                self.forget_movement();
            }
            0xf6 => self.defaults(),
            0xfe => return self.replies.extend(self.last.iter()),
            0xff => {
                *self = Self { bat_at: Some(now + BAT_TIME), ..Self::new() };
            }
            _ => return self.refuse(),
        }
        self.answer(&[ACK]);
    }

    /// FEh the first time, FCh when the next byte is wrong too.
    fn refuse(&mut self) {
        self.replies.push_back(if self.erred { ERROR } else { RESEND });
        self.erred = !self.erred;
    }

    fn parameter(&mut self, command: u8, v: u8) {
        match (command, v) {
            (0xe8, 0..=3) => self.resolution = v,
            (0xf3, 10 | 20 | 40 | 60 | 80 | 100 | 200) => {
                self.rate = v;
                self.knock = [self.knock[1], self.knock[2], v];
                match self.knock {
                    WHEEL if self.id == 0 => self.id = 3,
                    FIVE if self.id == 3 => self.id = 4,
                    _ => {}
                }
            }
            _ => {
                // After RESEND the host may try another value; ERROR ends the command.
                self.expects = (!self.erred).then_some(command);
                return self.refuse();
            }
        }
        self.answer(&[ACK]);
    }

    fn status(&self) -> u8 {
        let b = self.waiting.back().map_or(self.buttons, |p| p.buttons);
        // Left is bit 2 here, middle 1, right 0.
        let buttons = (b & 1) << 2 | (b & 4) >> 1 | (b & 2) >> 1;
        u8::from(self.remote) << 6 | u8::from(self.reporting) << 5 | u8::from(self.double) << 4 | buttons
    }

    /// The user moved or clicked.
    pub fn moved(&mut self, p: Pointer, now: Tick) {
        let told = self.waiting.back().map_or(self.buttons, |p| p.buttons);
        let listening = self.bat_at.is_none() && !self.wrap && (self.reporting || self.remote);
        if !listening {
            self.buttons = p.buttons;
            return;
        }
        if p == (Pointer { buttons: told, ..Pointer::default() }) {
            return;
        }
        let full = self.waiting.len() >= MOST_WAITING;
        match self.waiting.back_mut() {
            Some(last) if last.buttons == p.buttons && !turns(last, &p) || full => {
                last.dx = last.dx.saturating_add(p.dx);
                last.dy = last.dy.saturating_add(p.dy);
                last.wheel = last.wheel.saturating_add(p.wheel);
                last.buttons = p.buttons;
            }
            _ => self.waiting.push_back(p),
        }
        self.advance(now);
    }

    /// Does what is due: self test, the next sample.
    pub fn advance(&mut self, now: Tick) {
        if self.bat_at.is_some_and(|t| t <= now) {
            self.bat_at = None;
            self.answer(&[0xaa, 0x00]);
        }
        if self.sampling() && self.sample_at <= now {
            let packet = self.take_packet(self.double);
            self.last.clone_from(&packet);
            self.packet.extend(packet);
            self.sample_at = now + SECOND / Tick::from(self.rate.max(1));
        }
    }

    /// Stream mode has something to tell and the link is free for it.
    fn sampling(&self) -> bool {
        let streams = self.reporting && !self.remote && !self.wrap;
        streams && !self.waiting.is_empty() && !self.has_byte()
    }

    /// When `advance` has something to do by itself.
    pub fn next(&self) -> Option<Tick> {
        let sample = self.sampling().then_some(self.sample_at);
        self.bat_at.into_iter().chain(sample).min()
    }

    /// As much of what waits as a packet holds: no overflow, the rest comes with the next.
    fn take_packet(&mut self, double: bool) -> Vec<u8> {
        let idle = Pointer { buttons: self.buttons, ..Pointer::default() };
        let mut p = self.waiting.pop_front().unwrap_or(idle);
        let most = if double { 127 } else { 255 };
        let (dx, dy) = (p.dx.clamp(-most, most), p.dy.clamp(-most, most));
        // A mouse without a wheel tells nothing of it.
        let dz = if self.id == 0 { p.wheel } else { p.wheel.clamp(-8, 7) };
        self.buttons = p.buttons;
        p = Pointer { dx: p.dx - dx, dy: p.dy - dy, wheel: p.wheel - dz, ..p };
        if p != (Pointer { buttons: p.buttons, ..Pointer::default() }) {
            self.waiting.push_front(p);
        }
        let (x, y) = if double { (doubled(dx), doubled(-dy)) } else { (dx, -dy) };
        let first = p.buttons & 7 | 8 | u8::from(x < 0) << 4 | u8::from(y < 0) << 5;
        let mut packet = vec![first, x as u8, y as u8];
        match self.id {
            3 => packet.push(dz as u8),
            4 => packet.push(dz as u8 & 0x0f | (p.buttons & 0x18) << 1),
            _ => {}
        }
        packet
    }
}

/// More than a packet's worth waits to go one way, and now it goes back. A pointer that is sent to the edge of a screen first,
/// to know where it is, must get there.
fn turns(waiting: &Pointer, p: &Pointer) -> bool {
    let back = |a: i32, b: i32| a.abs() > 255 && a.signum() == -b.signum();
    back(waiting.dx, p.dx) || back(waiting.dy, p.dy)
}

/// Scaling 2:1.
fn doubled(v: i32) -> i32 {
    let n = match v.abs() {
        n @ 0..=1 => n,
        2 => 1,
        3 => 3,
        4 => 6,
        5 => 9,
        n => 2 * n,
    };
    n * v.signum()
}
