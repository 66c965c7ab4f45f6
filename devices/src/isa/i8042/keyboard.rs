//! The keyboard: commands, scan codes, typematic.

use std::collections::VecDeque;

use board::{Key, MILLISECOND, Tick};

use super::keys::{
    ALT, BREAKS, CTRL, Code, KEYPAD_DIVIDE, LEFT_SHIFT, PAUSE, PRINT_SCREEN, REPEATS, RIGHT_SHIFT,
    is_grey_navigation, set3, set3_types,
};

const ACK: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const BAT_PASSED: u8 = 0xaa;
/// Buffer of scan codes; keys beyond wait in the user's fingers.
const BUFFER: usize = 16;
/// The longest sequence of one event.
const LONGEST: usize = 8;
const MOST_WAITING: usize = 1024;
/// How long the self test takes. Real ones take half a second; drivers wait for the byte.
const BAT_TIME: Tick = MILLISECOND;
/// 500 ms, 10.9 a second.
const DEFAULT_RATE: u8 = 0x2b;
const NUM_LOCK: u8 = 2;

/// A key that is down, and which pretended shift keys are to be put back when it goes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub key: Key,
    pub undo: Vec<Code>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keyboard {
    /// Answers to commands; they go before scan codes.
    pub replies: VecDeque<u8>,
    pub codes: VecDeque<u8>,
    /// What the user did and the buffer has no room for yet.
    pub waiting: VecDeque<(Key, bool)>,
    pub set: u8,
    pub scanning: bool,
    pub leds: u8,
    pub rate: u8,
    /// Command that waits for its parameter.
    pub expects: Option<u8>,
    pub last: u8,
    /// Break and repeat by set 3 code.
    pub types: [u8; 256],
    pub held: Vec<Held>,
    /// The key that repeats, and when next.
    pub repeat: Option<(Key, Tick)>,
    pub bat_at: Option<Tick>,
}

impl Keyboard {
    pub fn new() -> Self {
        Self {
            replies: VecDeque::new(),
            codes: VecDeque::new(),
            waiting: VecDeque::new(),
            set: 2,
            scanning: true,
            leds: 0,
            rate: DEFAULT_RATE,
            expects: None,
            last: 0,
            types: set3_types(),
            held: Vec::new(),
            repeat: None,
            bat_at: None,
        }
    }

    fn defaults(&mut self) {
        self.codes.clear();
        self.set = 2;
        self.rate = DEFAULT_RATE;
        self.types = set3_types();
        self.repeat = None;
    }

    pub fn has_byte(&self) -> bool {
        !self.replies.is_empty() || !self.codes.is_empty()
    }

    /// The next byte on the link.
    pub fn pop(&mut self) -> Option<u8> {
        let v = self.replies.pop_front().or_else(|| self.codes.pop_front())?;
        if v != RESEND {
            self.last = v;
        }
        Some(v)
    }

    /// A byte from the host.
    pub fn command(&mut self, v: u8, now: Tick) {
        self.replies.clear();
        if let Some(c) = self.expects.take()
            && v < 0xed
        {
            return self.parameter(c, v);
        }
        match v {
            0xed | 0xf3 => {
                self.expects = Some(v);
                self.replies.push_back(ACK);
            }
            0xee => self.replies.push_back(0xee),
            0xf0 | 0xfb..=0xfd => {
                self.codes.clear();
                self.expects = Some(v);
                self.replies.push_back(ACK);
            }
            0xf2 => self.replies.extend([ACK, 0xab, 0x83]),
            0xf4 => {
                self.codes.clear();
                self.scanning = true;
                self.replies.push_back(ACK);
            }
            0xf5 => {
                self.defaults();
                self.scanning = false;
                self.release_all();
                self.replies.push_back(ACK);
            }
            0xf6 => {
                self.defaults();
                self.replies.push_back(ACK);
            }
            0xf7..=0xfa => {
                let kind = [REPEATS, BREAKS, 0, REPEATS | BREAKS][usize::from(v - 0xf7)];
                self.types = [kind; 256];
                self.replies.push_back(ACK);
            }
            0xfe => self.replies.push_back(self.last),
            0xff => {
                *self = Self { bat_at: Some(now + BAT_TIME), waiting: VecDeque::new(), ..Self::new() };
                self.replies.push_back(ACK);
            }
            _ => self.replies.push_back(RESEND),
        }
    }

    fn parameter(&mut self, command: u8, v: u8) {
        match command {
            0xed => self.leds = v & 7,
            0xf3 => self.rate = v & 0x7f,
            0xf0 if v == 0 => {
                self.replies.extend([ACK, self.set]);
                return;
            }
            0xf0 if v <= 3 => self.set = v,
            0xfb..=0xfd => {
                // More keys may follow, up to the next command.
                self.types[usize::from(v)] = [REPEATS, BREAKS, 0][usize::from(command - 0xfb)];
                self.expects = Some(command);
            }
            _ => {
                self.replies.push_back(RESEND);
                return;
            }
        }
        self.replies.push_back(ACK);
    }

    fn release_all(&mut self) {
        self.held.clear();
        self.waiting.clear();
        self.repeat = None;
    }

    /// The user pressed or released a key. False if it had to be dropped.
    pub fn key(&mut self, key: Key, down: bool, now: Tick) -> bool {
        if !self.scanning || self.bat_at.is_some() || self.waiting.len() >= MOST_WAITING {
            return false;
        }
        self.waiting.push_back((key, down));
        self.advance(now);
        true
    }

    /// Does what is due: self test, waiting keys, typematic.
    pub fn advance(&mut self, now: Tick) {
        if self.bat_at.is_some_and(|t| t <= now) {
            self.bat_at = None;
            self.replies.push_back(BAT_PASSED);
        }
        while self.codes.len() + LONGEST <= BUFFER
            && let Some((key, down)) = self.waiting.pop_front()
        {
            if down { self.press(key, now) } else { self.release(key) }
        }
        if let Some((key, at)) = self.repeat
            && at <= now
        {
            // A key that nobody reads does not fill the buffer with itself.
            if self.codes.is_empty() {
                self.send(&[Code::of(key, true)], key);
            }
            self.repeat = Some((key, now + self.period()));
        }
    }

    /// When `advance` has something to do by itself.
    pub fn next(&self) -> Option<Tick> {
        let repeat = self.repeat.map(|(_, t)| t);
        self.bat_at.into_iter().chain(repeat).min()
    }

    fn delay(&self) -> Tick {
        250 * MILLISECOND * Tick::from((self.rate >> 5 & 3) + 1)
    }

    /// (8 + A) * 2^B * 4.17 ms.
    fn period(&self) -> Tick {
        let (a, b) = (Tick::from(self.rate & 7), self.rate >> 3 & 3);
        ((8 + a) << b) * 4_170_000
    }

    fn is_down(&self, key: Key) -> bool {
        self.held.iter().any(|h| h.key == key)
    }

    fn press(&mut self, key: Key, now: Tick) {
        if self.is_down(key) {
            return; // the host's own repeat
        }
        let undo = self.shifts_to_pretend(key);
        let mut codes: Vec<Code> = undo.iter().rev().map(|c| Code { down: !c.down, ..*c }).collect();
        codes.push(Code::of(key, true));
        self.send(&codes, key);
        self.held.push(Held { key, undo });
        let repeats = key != PAUSE && (self.set != 3 || self.kind(key) & REPEATS != 0);
        self.repeat = repeats.then(|| (key, now + self.delay()));
    }

    fn release(&mut self, key: Key) {
        let Some(n) = self.held.iter().position(|h| h.key == key) else { return };
        let held = self.held.remove(n);
        if self.repeat.is_some_and(|(k, _)| k == key) {
            self.repeat = None;
        }
        let mut codes = vec![Code::of(key, false)];
        codes.extend(held.undo);
        self.send(&codes, key);
    }

    fn kind(&self, key: Key) -> u8 {
        set3(key).map_or(0, |c| self.types[usize::from(c)])
    }

    /// Keys that an 84-key keyboard had on its keypad pretend the shift state that they need there: what has to be
    /// sent when the key goes up (and the reverse of it before the key goes down).
    fn shifts_to_pretend(&self, key: Key) -> Vec<Code> {
        let left = Code { extended: true, ..Code::of(LEFT_SHIFT, false) };
        let shifts = [LEFT_SHIFT, RIGHT_SHIFT].into_iter().filter(|k| self.is_down(*k));
        let held: Vec<Code> = shifts.map(|k| Code { extended: true, ..Code::of(k, true) }).collect();
        let num_lock = self.leds & NUM_LOCK != 0;
        match key {
            PRINT_SCREEN if held.is_empty() && !self.any(&ALT) && !self.any(&CTRL) => vec![left],
            KEYPAD_DIVIDE => held,
            k if is_grey_navigation(k) => match (num_lock, held.is_empty()) {
                (true, true) => vec![left],
                (false, false) => held,
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn any(&self, keys: &[Key]) -> bool {
        keys.iter().any(|k| self.is_down(*k))
    }

    /// Puts the codes of one event into the buffer, in the current set.
    fn send(&mut self, codes: &[Code], key: Key) {
        let mut out = Vec::with_capacity(LONGEST);
        let down = codes.iter().any(|c| c.make == key.0 as u8 & 0x7f && c.down);
        match self.set {
            3 => {
                if let Some(code) = set3(key) {
                    if !down && self.types[usize::from(code)] & BREAKS != 0 {
                        out.extend([0xf0, code]);
                    } else if down {
                        out.push(code);
                    }
                }
            }
            set => {
                let render = |c: Code, out: &mut Vec<u8>| if set == 1 { c.set1(out) } else { c.set2(out) };
                if key == PAUSE {
                    self.pause(down, set, &mut out);
                } else if key == PRINT_SCREEN && self.any(&ALT) {
                    render(Code { extended: false, make: 0x54, down }, &mut out);
                } else {
                    codes.iter().for_each(|c| render(*c, &mut out));
                }
            }
        }
        self.codes.extend(out);
    }

    /// Pause sends make and break at once; with Ctrl it is Break.
    fn pause(&self, down: bool, set: u8, out: &mut Vec<u8>) {
        if !down {
            return;
        }
        out.extend_from_slice(match (self.any(&CTRL), set) {
            (true, 1) => &[0xe0, 0x46, 0xe0, 0xc6],
            (true, _) => &[0xe0, 0x7e, 0xe0, 0xf0, 0x7e],
            (false, 1) => &[0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5],
            (false, _) => &[0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77],
        });
    }
}
