//! PIIX4 function 0, the ISA bridge: PCI 8086:7110, device 7 function 0.
//!
//! Windows: [`CONFIG`]; [`POST80`] (80h), [`POST84`] (84h-86h), [`POST88`] (88h), [`POST8C`] (8Ch-8Eh), the page
//! registers that no DMA channel uses; [`PORT92`] (92h); [`COPROC`] (F0h-F1h); [`RESET_CONTROL`] (CF9h).
//! What it does:
//! - PIRQRC[A:D] route PCI interrupts ([`board::Lines::set_pirq_route`]); a level moves with its route.
//! - Port 92h: fast A20 and fast INIT. A20 is one latch for this port and the keyboard controller: the last writer
//!   wins, and a read shows what is.
//! - CF9h: RCPU rising resets the processor, with SRST the machine.
//! - FERR# becomes IRQ13; a write to F0h answers with IGNNE# until FERR# goes away.
//! - 80h is the POST latch.
//!
//! Not emulated: what steers ISA cycles (XBCS, GENCFG, TOM, IORT, distributed DMA: plain registers, every window
//! of the board always decodes), serial IRQ, the alias of the page registers at 90h-9Fh, NMI.
//!
//! Page: docs/devices/piix4-isa.md. Sources: Intel 82371AB datasheet (290562), PCI to ISA bridge registers.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use board::{
    At, ConfigSpace, Cx, Device, Line, Power, Reset, StateError, StateIn, StateOut, Width, Win, WinSpec,
};

use regs::{P92, PIRQRCA, Pirqrc, Rc, reset_values};

pub const CONFIG: Win = Win(0);
pub const POST80: Win = Win(1);
pub const POST84: Win = Win(2);
pub const POST88: Win = Win(3);
pub const POST8C: Win = Win(4);
pub const PORT92: Win = Win(5);
pub const COPROC: Win = Win(6);
pub const RESET_CONTROL: Win = Win(7);

const WINDOWS: &[WinSpec] = &[
    WinSpec::config(CONFIG),
    WinSpec::pio(POST80, 1, Width::B),
    WinSpec::pio(POST84, 3, Width::B),
    WinSpec::pio(POST88, 1, Width::B),
    WinSpec::pio(POST8C, 3, Width::B),
    WinSpec::pio(PORT92, 1, Width::B),
    WinSpec::pio(COPROC, 2, Width::B),
    WinSpec::pio(RESET_CONTROL, 1, Width::B),
];

pub struct Piix4Isa {
    irq13: Line,
    regs: Regs,
}

struct Regs {
    config: ConfigSpace,
    /// 80h, 84h-86h, 88h, 8Ch-8Eh.
    post: [u8; 8],
    p92: P92,
    rc: Rc,
    ferr: bool,
    ignne: bool,
}

impl Default for Regs {
    fn default() -> Self {
        Self {
            config: reset_values(),
            post: [0; 8],
            p92: P92::new(),
            rc: Rc::new(),
            ferr: false,
            ignne: false,
        }
    }
}

impl Piix4Isa {
    /// `irq13`: the wire to IRQ13.
    pub fn new(irq13: Line) -> Self {
        Self { irq13, regs: Regs::default() }
    }

    /// FERR# from the processor: an x87 error is pending and CR0.NE is 0.
    pub fn ferr(&mut self, cx: &mut Cx<'_>, asserted: bool) {
        self.regs.ferr = asserted;
        self.regs.ignne &= asserted;
        self.drive_irq13(cx);
    }

    /// IGNNE# to the processor.
    pub fn ignne(&self) -> bool {
        self.regs.ignne
    }

    /// What was last written to port 80h.
    pub fn post_code(&self) -> u8 {
        self.regs.post[0]
    }

    fn drive_irq13(&self, cx: &mut Cx<'_>) {
        cx.lines.set(self.irq13, self.regs.ferr && !self.regs.ignne);
    }

    fn route(&self, cx: &mut Cx<'_>) {
        for n in 0..4 {
            let rc = Pirqrc::from_bits(self.regs.config.get8(PIRQRCA + n));
            cx.lines.set_pirq_route(n, rc.route());
        }
    }

    fn write_p92(&mut self, cx: &mut Cx<'_>, v: u8) {
        let new = P92::from_bits(v & 3);
        cx.ram.set_a20(new.fast_a20());
        if new.fast_init() && !self.regs.p92.fast_init() {
            cx.power(Power::Init);
        }
        self.regs.p92 = new;
    }

    fn write_rc(&mut self, cx: &mut Cx<'_>, v: u8) {
        let new = Rc::from_bits(v & 6);
        let old = std::mem::replace(&mut self.regs.rc, new);
        if new.rcpu() && !old.rcpu() {
            cx.power(if new.srst() { Power::Reset } else { Power::Init });
        }
    }
}

/// Where a POST window's byte is kept.
fn post_index(at: At) -> Option<usize> {
    let first = match at.win {
        POST80 => 0,
        POST84 => 1,
        POST88 => 4,
        POST8C => 5,
        _ => return None,
    };
    Some((first + at.off as usize) & 7)
}

impl Device for Piix4Isa {
    fn name(&self) -> &'static str {
        "piix4-isa"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _kind: Reset) {
        self.regs = Regs::default();
        cx.ram.set_a20(true); // the keyboard controller's P21 comes up high
        self.route(cx);
        self.drive_irq13(cx);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        if let Some(n) = post_index(at) {
            return u32::from(self.regs.post[n]);
        }
        match at.win {
            CONFIG => self.regs.config.read(at),
            PORT92 => u32::from(self.regs.p92.with_fast_a20(cx.ram.a20()).into_bits()),
            RESET_CONTROL => u32::from(self.regs.rc.into_bits()),
            COPROC => at.width.ones(), // reads go to the ISA bus, where nobody answers
            _ => cx.open_bus(at),
        }
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        if let Some(n) = post_index(at) {
            self.regs.post[n] = v as u8;
            return;
        }
        match at.win {
            CONFIG => {
                self.regs.config.write(at, v);
                if at.off & !3 == u32::from(PIRQRCA) {
                    self.route(cx);
                }
            }
            PORT92 => self.write_p92(cx, v as u8),
            RESET_CONTROL => self.write_rc(cx, v as u8),
            COPROC => {
                // F1h reset the 80287 that had a pin for it.
                if at.off == 0 && self.regs.ferr {
                    self.regs.ignne = true;
                    self.drive_irq13(cx);
                }
            }
            _ => {
                cx.open_bus(at);
            }
        }
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        self.route(cx);
        self.drive_irq13(cx);
    }
}
