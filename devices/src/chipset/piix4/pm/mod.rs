//! PIIX4 function 3, power management: PCI 8086:7113 rev 03, device 7 function 3.
//!
//! Windows: [`CONFIG`]; [`PM`], the 64-byte ACPI block at PMBA while PMREGMISC.PMIOSE is set; [`SMB`], the SMBus host
//! at SMBBA while COMMAND.IOSE and SMBHSTCFG.SMB_HST_EN are set; [`APM`] (B2h, B3h). What it does:
//! - The ACPI fixed registers: PMSTS, PMEN, PMCNTRL, a 32-bit PMTMR, GPSTS, GPEN; the SCI is a level on IRQ9.
//! - Sleep: SUS_EN with SUS_TYP 0 is S5, 1 is S4, 4 is S1; other types do nothing. The power button sets
//!   PWRBTN_STS, and wakes from S1.
//! - APMC takes the two commands that the FADT names: [`ACPI_ENABLE`] sets SCI_EN, [`ACPI_DISABLE`] clears it, as
//!   a BIOS's SMI handler would; this board has no SMM.
//! - The SMBus host runs every protocol to the end that an empty bus gives: no slave acknowledges, DEV_ERR.
//!
//! Not emulated: device monitors and their traps (registers keep what is written; no SMI), clock control and
//! throttling (P_LVL2/3 read 0), general purpose inputs (none is wired: GPI reads ones), SMBus slave.
//!
//! Page: docs/devices/piix4-pm.md. Sources: 82371AB (290562) chapter 7; ACPI 1.0b 4.7; what Virtual PC's successor
//! shows for the sleep types and the 32-bit timer.

mod power;
mod regs;
mod smbus;
mod state;
#[cfg(test)]
mod tests;

use board::{
    At, ConfigSpace, Cx, Decode, Device, HostEvent, Line, Reset, StateError, StateIn, StateOut, TimerId,
    Width, Win, WinSpec,
};

use power::PowerBlock;
use regs::{Pmsts, config_reset};
use smbus::Smbus;

pub const CONFIG: Win = Win(0);
pub const PM: Win = Win(1);
pub const SMB: Win = Win(2);
pub const APM: Win = Win(3);

const WINDOWS: &[WinSpec] = &[
    WinSpec::config(CONFIG),
    WinSpec::pio(PM, 64, Width::D),
    WinSpec::pio(SMB, 16, Width::B),
    WinSpec::pio(APM, 2, Width::B),
];

/// What the FADT tells an ACPI system to write to port B2h.
pub const ACPI_ENABLE: u8 = 0xe1;
pub const ACPI_DISABLE: u8 = 0x1e;

const OVERFLOW: TimerId = TimerId(0);

pub struct Piix4Pm {
    sci: Line,
    config: ConfigSpace,
    power: PowerBlock,
    smbus: Smbus,
    /// APMC and APMS.
    apm: [u8; 2],
}

impl Piix4Pm {
    /// `sci`: the wire to IRQ9.
    pub fn new(sci: Line) -> Self {
        Self {
            sci,
            config: config_reset(),
            power: PowerBlock::default(),
            smbus: Smbus::default(),
            apm: [0; 2],
        }
    }

    /// Puts the I/O blocks where the configuration registers say.
    fn decode(&self, cx: &mut Cx<'_>) {
        let c = &self.config;
        let pm = u32::from(c.get16(regs::PMBA) & 0xffc0);
        let pm_on = c.get8(regs::PMREGMISC) & 1 != 0 && pm != 0;
        cx.remap(PM, pm_on.then_some(Decode::Pio(pm as u16)));
        let smb = c.get16(regs::SMBBA) & 0xfff0;
        let smb_on = c.io_enabled() && c.get8(regs::SMBHSTCFG) & 1 != 0 && smb != 0;
        cx.remap(SMB, smb_on.then_some(Decode::Pio(smb)));
    }

    /// Drives the SCI, and arms the timer for the next overflow that somebody waits for.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        let smbus = self.smbus.interrupts() && self.config.get8(regs::SMBHSTCFG) >> 1 & 7 == 4;
        cx.lines.set(self.sci, self.power.sci() || smbus);
        match self.power.next_overflow(cx.now()) {
            Some(t) => cx.wake_at(OVERFLOW, t),
            None => cx.cancel(OVERFLOW),
        }
        self.power.act(cx);
    }
}

impl Device for Piix4Pm {
    fn name(&self) -> &'static str {
        "piix4-pm"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _kind: Reset) {
        self.config = config_reset();
        self.power = PowerBlock::default();
        self.smbus = Smbus::default();
        self.apm = [0; 2];
        self.decode(cx);
        self.settle(cx);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        match at.win {
            CONFIG => self.config.read(at),
            PM => {
                self.power.sync(cx.now());
                let v = self.power.read(cx.now(), at.off, at.width);
                self.settle(cx);
                v.unwrap_or_else(|| cx.open_bus(at))
            }
            SMB => self.smbus.read(at.off).map_or_else(|| cx.open_bus(at), u32::from),
            _ => u32::from(self.apm[at.off as usize & 1]),
        }
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        match at.win {
            CONFIG => {
                self.config.write(at, v);
                self.decode(cx);
            }
            PM => {
                self.power.sync(cx.now());
                if !self.power.write(at.off, at.width, v) {
                    cx.open_bus(at);
                }
            }
            SMB => {
                if !self.smbus.write(at.off, v as u8) {
                    cx.open_bus(at);
                }
            }
            _ => {
                self.apm[at.off as usize & 1] = v as u8;
                match (at.off, v as u8) {
                    (0, ACPI_ENABLE) => self.power.set_sci_en(true),
                    (0, ACPI_DISABLE) => self.power.set_sci_en(false),
                    _ => {}
                }
            }
        }
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _id: TimerId) {
        self.power.sync(cx.now());
        self.settle(cx);
    }

    fn host(&mut self, cx: &mut Cx<'_>, ev: HostEvent) {
        if ev == HostEvent::PowerButton {
            self.power.raise(Pmsts::new().with_pwrbtn_sts(true));
            self.settle(cx);
        }
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        self.decode(cx);
        self.settle(cx);
    }
}
