//! PIIX4 function 3, power management: PCI 8086:7113 rev 03, device 7 function 3.
//!
//! Windows: [`CONFIG`]; [`PM`], the 64-byte ACPI block at PMBA while PMREGMISC.PMIOSE is set; [`SMB`], the SMBus host
//! at SMBBA while COMMAND.IOSE and SMBHSTCFG.SMB_HST_EN are set; [`APM`] (B2h, B3h). What it does:
//! - The ACPI fixed registers: PMSTS, PMEN, PMCNTRL, a 32-bit PMTMR, GPSTS, GPEN; the SCI is a level on IRQ9.
//! - Sleep: SUS_EN with SUS_TYP 0 is S5, 1 is S4, 4 is S1; other types do nothing. What wakes from S1: the power button,
//!   IRQ8# with RTC_EN, the timer with TMROF_EN, any other interrupt with GLBEN.IRQ_RSM_EN.
//! - The power button sets PWRBTN_STS; held for four seconds it switches off (PWRBTNOR_STS).
//! - APMC takes the two commands that the FADT names, while DEVACTB.APMC_EN is set: [`ACPI_ENABLE`] sets SCI_EN,
//!   [`ACPI_DISABLE`] clears it, as a BIOS's SMI handler would; this board has no SMM.
//! - The SMBus host with the modules' EEPROMs behind it: `smbus.rs`, `crate::smbus`.
//!
//! Not emulated: device monitors and their traps (registers keep what is written; no SMI), clock control and
//! throttling (P_LVL2/3 read 0), general purpose inputs, LID, RI# and THRM# (none is wired: GPI reads ones), the SMBus
//! as a slave (there is no other master).
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

use crate::smbus::Bus;
use power::PowerBlock;
use regs::config_reset;
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
const OVERRIDE: TimerId = TimerId(1);
const TRANSFER: TimerId = TimerId(2);

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
            smbus: Smbus::new(Bus::default()),
            apm: [0; 2],
        }
    }

    /// With something on the SMBus.
    #[must_use]
    pub fn with_smbus(mut self, bus: Bus) -> Self {
        self.smbus = Smbus::new(bus);
        self
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
        self.smbus.advance(cx, TRANSFER);
        self.power.hold(cx, OVERRIDE);
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
        self.smbus.reset();
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
            SMB => {
                self.settle(cx);
                self.smbus.read(at.off).map_or_else(|| cx.open_bus(at), u32::from)
            }
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
                self.smbus.advance(cx, TRANSFER);
                if !self.smbus.write(cx.now(), at.off, v as u8) {
                    cx.open_bus(at);
                }
            }
            _ => {
                self.apm[at.off as usize & 1] = v as u8;
                let taken = self.config.get32(regs::DEVACTB) & regs::APMC_EN != 0;
                match (at.off, v as u8) {
                    _ if !taken => {}
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
        match ev {
            HostEvent::PowerButton { down } => self.power.button(down, cx.now()),
            HostEvent::RtcAlarm => self.power.rtc(),
            HostEvent::Interrupt => self.power.interrupt(),
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
        self.decode(cx);
        self.settle(cx);
    }
}
