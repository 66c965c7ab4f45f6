//! The 8042 keyboard controller with a keyboard and a wheel mouse behind it.
//!
//! Windows: [`DATA`] (60h), [`COMMAND`] (64h). Registers, commands and the translation: `regs.rs`; the keyboard with
//! scan code sets 1, 2 and 3: `keyboard.rs`, `keys.rs`; the mouse: `mouse.rs`. IRQ1 and IRQ12 are up while the output
//! buffer holds a byte of theirs and the command byte lets them through, so each byte is an edge.
//!
//! Pacing: the controller itself answers at once; a byte of a device needs [`BYTE`] on its link after the last one was
//! read. A device whose clock is held (command byte bits 4, 5) keeps its bytes. Keys come by [`HostEvent::Key`],
//! movement by [`HostEvent::Pointer`]; typematic and sampling run on guest time.
//!
//! P2 bit 1 is A20 (one latch with port 92h), P2 bit 0 low is INIT#.
//!
//! Not emulated: the password (A4h says there is none), the firmware's RAM beyond 20h-3Fh, parity errors and
//! timeouts of the links, power-on self test bytes of the devices (they are ready before the first instruction).
//!
//! Page: docs/devices/i8042.md. Sources: IBM PS/2 Hardware Interface Technical Reference (keyboard and auxiliary device controller, keyboards);
//! Microsoft's description of the IntelliMouse protocol; 82371AB for KBRST# and A20.

mod keyboard;
mod keys;
mod mouse;
mod regs;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use board::{
    At, Cx, Device, HostEvent, Lamps, Leds, Line, MICROSECOND, Power, Reset, StateError, StateIn, StateOut,
    Tick, TimerId, Width, Win, WinSpec,
};

use keyboard::Keyboard;
use mouse::Mouse;
use regs::{Command, Ctr, P1, P2, Status, translate};

pub const DATA: Win = Win(0);
pub const COMMAND: Win = Win(1);

const WINDOWS: &[WinSpec] = &[WinSpec::pio(DATA, 1, Width::B), WinSpec::pio(COMMAND, 1, Width::B)];

/// A link may deliver its next byte.
const LINK: TimerId = TimerId(0);
/// Typematic, samples, self tests.
const DEVICES: TimerId = TimerId(1);
/// Time on the link for a byte: eleven bits, at a bit more than the fastest clock that devices have.
const BYTE: Tick = 500 * MICROSECOND;

pub struct I8042 {
    irq1: Line,
    irq12: Line,
    keyboard: Keyboard,
    mouse: Mouse,
    regs: Regs,
    lamps: Option<Box<dyn Lamps>>,
    /// What the lamps show.
    shown: u8,
    seen: Counters,
}

struct Regs {
    ctr: Ctr,
    /// Internal RAM 20h-3Fh; 20h is `ctr`.
    ram: [u8; 32],
    /// The last write was a command.
    cd: bool,
    sys: bool,
    out: u8,
    obf: bool,
    aux: bool,
    /// Bytes of the controller itself that wait for the output buffer, and whose they pretend to be.
    replies: VecDeque<(u8, bool)>,
    /// Command that takes the next byte at 60h.
    expects: Option<u8>,
    /// F0h came from the keyboard and the next code is a break.
    broke: bool,
    /// No byte of a device before this.
    link_at: Tick,
}

impl Default for Regs {
    fn default() -> Self {
        Self {
            ctr: Ctr::new().with_kbd_off(true).with_aux_off(true).with_xlat(true),
            ram: [0; 32],
            cd: false,
            sys: false,
            out: 0,
            obf: false,
            aux: false,
            replies: VecDeque::new(),
            expects: None,
            broke: false,
            link_at: 0,
        }
    }
}

#[derive(Default)]
struct Counters {
    keys_dropped: u64,
}

impl I8042 {
    /// `irq1`, `irq12`: the wires to IRQ1 and IRQ12.
    pub fn new(irq1: Line, irq12: Line) -> Self {
        Self {
            irq1,
            irq12,
            keyboard: Keyboard::new(),
            mouse: Mouse::new(),
            regs: Regs::default(),
            lamps: None,
            shown: 0,
            seen: Counters::default(),
        }
    }

    /// With lamps that show what the guest sets; they are dark at power-on.
    #[must_use]
    pub fn with_lamps(mut self, lamps: Box<dyn Lamps>) -> Self {
        self.lamps = Some(lamps);
        self
    }

    /// Scroll Lock, Num Lock, Caps Lock in bits 0 to 2, as the guest set them.
    pub fn leds(&self) -> u8 {
        self.keyboard.leds
    }

    fn status(&self) -> Status {
        Status::new()
            .with_obf(self.regs.obf)
            .with_sys(self.regs.sys)
            .with_cd(self.regs.cd)
            .with_unlocked(true)
            .with_aux(self.regs.aux)
    }

    fn put(&mut self, v: u8, aux: bool) {
        self.regs.out = v;
        self.regs.obf = true;
        self.regs.aux = aux;
    }

    fn reply(&mut self, v: u8) {
        self.regs.replies.push_back((v, false));
    }

    /// After any change: fills the output buffer, drives the wires, arms the timers.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        self.keyboard.advance(cx.now());
        self.mouse.advance(cx.now());
        self.fill(cx);
        self.drive(cx);
        let leds = self.leds();
        if leds != std::mem::replace(&mut self.shown, leds)
            && let Some(l) = &mut self.lamps
        {
            l.show(Leds::from_bits(leds));
        }
        let next = self.keyboard.next().into_iter().chain(self.mouse.next()).min();
        match next {
            Some(t) => cx.wake_at(DEVICES, t.max(cx.now())),
            None => cx.cancel(DEVICES),
        }
    }

    fn drive(&self, cx: &mut Cx<'_>) {
        let r = &self.regs;
        cx.lines.set(self.irq1, r.obf && !r.aux && r.ctr.int1());
        cx.lines.set(self.irq12, r.obf && r.aux && r.ctr.int12());
    }

    fn fill(&mut self, cx: &mut Cx<'_>) {
        cx.cancel(LINK);
        if self.regs.obf {
            return;
        }
        if let Some((v, aux)) = self.regs.replies.pop_front() {
            return self.put(v, aux);
        }
        let keyboard = !self.regs.ctr.kbd_off() && self.keyboard.has_byte();
        let mouse = !self.regs.ctr.aux_off() && self.mouse.has_byte();
        if !keyboard && !mouse {
            return;
        }
        if cx.now() < self.regs.link_at {
            return cx.wake_at(LINK, self.regs.link_at);
        }
        if keyboard && let Some(v) = self.keyboard.pop() {
            if !self.regs.ctr.xlat() {
                self.put(v, false);
            } else if v == 0xf0 {
                // Becomes bit 7 of the next code, which takes its own time on the link.
                self.regs.broke = true;
                self.regs.link_at = cx.now() + BYTE;
                self.fill(cx);
            } else {
                let broke = if std::mem::take(&mut self.regs.broke) { 0x80 } else { 0 };
                self.put(translate(v) | broke, false);
            }
        } else if mouse && let Some(v) = self.mouse.pop() {
            self.put(v, true);
        }
    }

    fn read_data(&mut self, cx: &mut Cx<'_>) -> u8 {
        if self.regs.obf {
            self.regs.obf = false;
            self.regs.aux = false;
            self.regs.link_at = self.regs.link_at.max(cx.now() + BYTE);
            self.drive(cx); // the line drops before the next byte raises it
        }
        self.regs.out
    }

    fn write_data(&mut self, cx: &mut Cx<'_>, v: u8) {
        self.regs.cd = false;
        match self.regs.expects.take() {
            Some(0x60) => self.write_ctr(v),
            Some(c @ 0x61..=0x7f) => self.regs.ram[usize::from(c & 0x1f)] = v,
            Some(0xd1) => self.write_p2(cx, P2::from_bits(v)),
            Some(0xd2) => self.regs.replies.push_back((v, false)),
            Some(0xd3) => self.regs.replies.push_back((v, true)),
            Some(0xd4) => {
                // Sending needs the clock.
                self.regs.ctr.set_aux_off(false);
                self.regs.link_at = cx.now() + BYTE;
                self.mouse.command(v, cx.now());
            }
            _ => {
                self.regs.ctr.set_kbd_off(false);
                self.regs.link_at = cx.now() + BYTE;
                self.regs.broke = false;
                self.keyboard.command(v, cx.now());
            }
        }
    }

    fn write_ctr(&mut self, v: u8) {
        self.regs.ctr = Ctr::from_bits(v & 0x7f);
        self.regs.sys = self.regs.ctr.sys();
    }

    fn write_p2(&mut self, cx: &mut Cx<'_>, v: P2) {
        cx.ram.set_a20(v.a20());
        if !v.reset_n() {
            cx.power(Power::Init);
        }
    }

    fn read_p2(&self, cx: &Cx<'_>) -> P2 {
        P2::new()
            .with_reset_n(true)
            .with_a20(cx.ram.a20())
            .with_irq1(cx.lines.level(self.irq1))
            .with_irq12(cx.lines.level(self.irq12))
            .with_links(3)
    }

    fn command(&mut self, cx: &mut Cx<'_>, at: At, c: Command) {
        self.regs.cd = true;
        self.regs.expects = None;
        match c {
            Command(0x20) => self.reply(self.regs.ctr.into_bits()),
            Command(0x21..=0x3f) => self.reply(self.regs.ram[usize::from(c.0 & 0x1f)]),
            Command(0x60..=0x7f) | Command::WRITE_P2 | Command::WRITE_KBD_OUT | Command::WRITE_AUX_OUT => {
                self.regs.expects = Some(c.0);
            }
            Command::WRITE_AUX => self.regs.expects = Some(c.0),
            Command::VERSION => self.reply(b'H'),
            Command::PASSWORD_INSTALLED => self.reply(0xf1),
            Command::AUX_OFF => self.regs.ctr.set_aux_off(true),
            Command::AUX_ON => self.regs.ctr.set_aux_off(false),
            Command::AUX_TEST | Command::KBD_TEST => self.reply(0x00),
            Command::SELF_TEST => {
                self.regs.sys = true;
                self.regs.ctr.set_sys(true);
                self.reply(0x55);
            }
            Command::KBD_OFF => self.regs.ctr.set_kbd_off(true),
            Command::KBD_ON => self.regs.ctr.set_kbd_off(false),
            Command::READ_P1 => self.reply(P1),
            // They copy P1 into the status register until the next command; nobody waits for it.
            Command::POLL_P1_LOW | Command::POLL_P1_HIGH => {}
            Command::READ_P2 => self.reply(self.read_p2(cx).into_bits()),
            Command::A20_OFF => cx.ram.set_a20(false),
            Command::A20_ON => cx.ram.set_a20(true),
            // T0 and T1: both clocks are released unless held.
            Command::READ_TESTS => {
                let ctr = self.regs.ctr;
                self.reply(u8::from(!ctr.kbd_off()) | u8::from(!ctr.aux_off()) << 1);
            }
            // Pulses the low bits of P2 that are 0 here; bit 0 is the reset.
            Command(0xf0..=0xff) => {
                if c.0 & 1 == 0 {
                    cx.power(Power::Init);
                }
            }
            _ => {
                cx.open_bus(at);
            }
        }
    }
}

impl Device for I8042 {
    fn name(&self) -> &'static str {
        "i8042"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _kind: Reset) {
        self.regs = Regs::default();
        // The devices have no reset wire; every BIOS resets them by command first thing. We spare it the wait.
        self.keyboard = Keyboard::new();
        self.mouse = Mouse::new();
        self.settle(cx);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        self.settle(cx);
        let v = match at.win {
            DATA => self.read_data(cx),
            COMMAND => return u32::from(self.status().into_bits()),
            _ => return cx.open_bus(at),
        };
        self.settle(cx);
        u32::from(v)
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        match at.win {
            DATA => self.write_data(cx, v as u8),
            COMMAND => self.command(cx, at, Command(v as u8)),
            _ => {
                cx.open_bus(at);
            }
        }
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _id: TimerId) {
        self.settle(cx);
    }

    fn host(&mut self, cx: &mut Cx<'_>, ev: HostEvent) {
        match ev {
            HostEvent::Key { key, down } => {
                let taken = self.keyboard.key(key, down, cx.now());
                self.seen.keys_dropped += u64::from(!taken);
            }
            HostEvent::Pointer(p) => self.mouse.moved(p, cx.now()),
            _ => {}
        }
        self.settle(cx);
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        self.settle(cx);
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![("keys_dropped", self.seen.keys_dropped)]
    }
}
