//! The ACPI block: status, enable, control, timer, general purpose events. 82371AB 7.2.

use board::{Cx, Power, SECOND, Tick, TimerId, Width, end_of, periods};

use super::regs::{
    BIOS_STS, GLBEN_MASK, GLBSTS_MASK, GP_STS, GPEN_MASK, GPO_RESET, GPSTS_MASK, IRQ_RSM_EN, IRQ_RSM_STS,
    PCNTRL_MASK, PM1_STS, PMEN_MASK, PMSTS_MASK, Pmcntrl, Pmsts, TMROF_EN,
};

/// PMTMR's clock: three times the 8254's.
const TIMER_HZ: u64 = 3_579_545;

/// SUS_TYP as our tables use it.
const S5: u8 = 0;
const S4: u8 = 1;
const S1: u8 = 4;

/// A power button that is held so long switches off, whatever the system thinks of it.
const OVERRIDE: Tick = 4 * SECOND;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PowerBlock {
    pub(super) pmsts: Pmsts,
    pub(super) pmen: u16,
    pub(super) pmcntrl: Pmcntrl,
    pub(super) gpsts: u16,
    pub(super) gpen: u16,
    pub(super) pcntrl: u32,
    /// GLBSTS without the sums.
    pub(super) glbsts: u16,
    /// GLBEN, GLBCTL, DEVCTL: kept as written where they can be.
    pub(super) glben: u16,
    pub(super) glbctl: u32,
    pub(super) devctl: u32,
    pub(super) gpo: u32,
    /// Bit 31 of the timer when we last looked: its toggles set TMROF_STS.
    pub(super) top: bool,
    pub(super) asleep: bool,
    /// When the power button's override comes, while it is held.
    pub(super) held_until: Option<Tick>,
    /// What the machine must be told after this access.
    pub(super) wish: Option<Power>,
}

impl Default for PowerBlock {
    fn default() -> Self {
        Self {
            pmsts: Pmsts::new(),
            pmen: 0,
            pmcntrl: Pmcntrl::new(),
            gpsts: 0,
            gpen: 0,
            pcntrl: 0,
            glbsts: 0,
            glben: 0,
            glbctl: 0,
            devctl: 0,
            gpo: GPO_RESET,
            top: false,
            asleep: false,
            held_until: None,
            wish: None,
        }
    }
}

/// PMTMR at a time.
pub(super) fn pmtmr(now: Tick) -> u32 {
    periods(now, TIMER_HZ) as u32
}

impl PowerBlock {
    /// Notes what the timer did since the last call.
    pub(super) fn sync(&mut self, now: Tick) {
        let top = pmtmr(now) >> 31 == 1;
        if top != self.top {
            self.top = top;
            self.raise(Pmsts::new().with_tmrof_sts(true));
        }
    }

    pub(super) fn raise(&mut self, s: Pmsts) {
        self.pmsts = Pmsts::from_bits(self.pmsts.into_bits() | s.into_bits());
        // The button needs no enable to wake.
        if s.pwrbtn_sts() || self.pmsts.into_bits() & self.pmen != 0 {
            self.wake();
        }
    }

    fn wake(&mut self) {
        if std::mem::take(&mut self.asleep) {
            self.pmsts.set_wak_sts(true);
            self.wish = Some(Power::Wake);
        }
    }

    /// PWRBTN#, from outside.
    pub(super) fn button(&mut self, down: bool, now: Tick) {
        match down {
            true if self.held_until.is_none() => {
                self.held_until = Some(now + OVERRIDE);
                self.raise(Pmsts::new().with_pwrbtn_sts(true));
            }
            true => {}
            false => self.held_until = None,
        }
    }

    /// IRQ8#, from the clock chip.
    pub(super) fn rtc(&mut self) {
        self.raise(Pmsts::new().with_rtc_sts(true));
    }

    /// An interrupt other than the timer's waits.
    pub(super) fn interrupt(&mut self) {
        if self.asleep && self.glben & IRQ_RSM_EN != 0 {
            self.glbsts |= IRQ_RSM_STS;
            self.wake();
        }
    }

    /// Arms the override of a button that is held, and carries it out.
    pub(super) fn hold(&mut self, cx: &mut Cx<'_>, timer: TimerId) {
        match self.held_until {
            Some(t) if t <= cx.now() => {
                self.held_until = None;
                self.pmsts.set_pwrbtn_sts(false);
                self.pmsts.set_pwrbtnor_sts(true);
                self.wish = Some(Power::Off);
                cx.cancel(timer);
            }
            Some(t) => cx.wake_at(timer, t),
            None => cx.cancel(timer),
        }
    }

    pub(super) fn set_sci_en(&mut self, on: bool) {
        self.pmcntrl.set_sci_en(on);
    }

    /// The SCI's level: ACPI 1.0b 4.7.2.2.
    pub(super) fn sci(&self) -> bool {
        let fixed = self.pmsts.into_bits() & self.pmen & PMEN_MASK;
        self.pmcntrl.sci_en() && (fixed != 0 || self.gpsts & self.gpen != 0)
    }

    /// When the timer's top bit toggles next, if that is to interrupt.
    pub(super) fn next_overflow(&self, now: Tick) -> Option<Tick> {
        if !self.pmcntrl.sci_en() || self.pmen & TMROF_EN == 0 || self.pmsts.tmrof_sts() {
            return None;
        }
        let count = periods(now, TIMER_HZ);
        let next = ((count >> 31) + 1) << 31;
        Some(end_of(next, TIMER_HZ))
    }

    /// Carries out what a write asked of the machine.
    pub(super) fn act(&mut self, cx: &mut Cx<'_>) {
        if let Some(p) = self.wish.take() {
            cx.power(p);
        }
    }

    /// The doubleword register that holds an offset.
    fn dword(&self, now: Tick, reg: u32) -> Option<u32> {
        Some(match reg {
            0x00 => u32::from(self.pmsts.into_bits()) | u32::from(self.pmen) << 16,
            0x04 => u32::from(self.pmcntrl.into_bits()),
            0x08 => pmtmr(now),
            0x0c => u32::from(self.gpsts) | u32::from(self.gpen) << 16,
            0x10 => self.pcntrl,
            // P_LVL2 and P_LVL3: the stop states end at once.
            0x14 => 0,
            // DEV_STS sums up DEVSTS, in which nothing is ever set.
            0x18 => {
                let sum = |on: bool, bit: u16| if on { bit } else { 0 };
                let pm1 = sum(self.pmsts.into_bits() & self.pmen != 0, PM1_STS);
                u32::from(self.glbsts | pm1 | sum(self.gpsts & self.gpen != 0, GP_STS))
            }
            // DEVSTS: no monitor runs.
            0x1c => 0,
            0x20 => u32::from(self.glben),
            0x28 => self.glbctl,
            0x2c => self.devctl,
            // GPI: nothing is wired to the pins, which are pulled up.
            0x30 => 0x00ff_ffff,
            0x34 => self.gpo,
            _ => return None,
        })
    }

    pub(super) fn read(&self, now: Tick, off: u32, width: Width) -> Option<u32> {
        self.dword(now, off & !3).map(|v| v >> (8 * (off & 3)) & width.ones())
    }

    /// False if no register is there.
    pub(super) fn write(&mut self, off: u32, width: Width, v: u32) -> bool {
        let shift = 8 * (off & 3);
        let (mask, v) = (width.ones() << shift, v << shift);
        // What a plain register holds after the write.
        let merge = |old: u32, writable: u32| old & !(mask & writable) | v & mask & writable;
        let low = (v & mask) as u16;
        match off & !3 {
            0x00 => {
                self.pmsts = Pmsts::from_bits(self.pmsts.into_bits() & !(low & PMSTS_MASK));
                self.pmen = (merge(u32::from(self.pmen) << 16, u32::from(PMEN_MASK) << 16) >> 16) as u16;
            }
            0x04 => self.write_pmcntrl(merge(u32::from(self.pmcntrl.into_bits()), 0x1c03) as u16, v & mask),
            // PMTMR is read-only.
            0x08 => {}
            0x0c => {
                self.gpsts &= !(low & GPSTS_MASK);
                self.gpen = (merge(u32::from(self.gpen) << 16, u32::from(GPEN_MASK) << 16) >> 16) as u16;
            }
            0x10 => self.pcntrl = merge(self.pcntrl, PCNTRL_MASK),
            0x18 => self.glbsts &= !(low & GLBSTS_MASK),
            0x14 | 0x1c | 0x30 => {}
            0x20 => self.glben = merge(u32::from(self.glben), u32::from(GLBEN_MASK)) as u16,
            0x28 => {
                self.glbctl = merge(self.glbctl, 0x0701_ff05);
                // BIOS_RLS tells the system: GBL_STS.
                if v & mask & 2 != 0 {
                    self.raise(Pmsts::new().with_gbl_sts(true));
                }
            }
            0x2c => self.devctl = merge(self.devctl, 0x1ff7_ffff),
            0x34 => self.gpo = merge(self.gpo, GPO_RESET),
            _ => return false,
        }
        true
    }

    fn write_pmcntrl(&mut self, kept: u16, written: u32) {
        self.pmcntrl = Pmcntrl::from_bits(kept);
        if Pmcntrl::from_bits(written as u16).gbl_rls() {
            // Tells a BIOS that the global lock is free; ours never waits for it.
            self.glbsts |= BIOS_STS;
        }
        if !Pmcntrl::from_bits(written as u16).sus_en() {
            return;
        }
        match self.pmcntrl.sus_typ() {
            S5 => self.wish = Some(Power::Off),
            S4 => self.wish = Some(Power::S4),
            S1 => {
                // An event that is already there ends the sleep at once.
                if self.pmsts.into_bits() & self.pmen == 0 {
                    self.asleep = true;
                    self.wish = Some(Power::S1);
                } else {
                    self.pmsts.set_wak_sts(true);
                }
            }
            _ => {}
        }
    }
}
