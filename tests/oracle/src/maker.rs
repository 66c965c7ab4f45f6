//! What processors of the host's maker do differently from the one that is emulated, which is Intel's.
//!
//! A rule says what the maker's processor leaves of one instruction; the host must have left exactly that.
//! docs/cpu-oracle.md lists them.

use std::arch::x86_64::__cpuid;

use iced_x86::{Instruction, Mnemonic};

use crate::amd;
use crate::layout::Memory;
use crate::snapshot::{ESP, Fx, Regs, Snapshot, Stop};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    Intel,
    Amd,
    /// Nothing is known to differ.
    Other,
}

/// One instruction on both processors.
pub struct Step<'a> {
    /// It, and the next one if it loads SS.
    pub instructions: &'a [Instruction],
    pub before: &'a Regs,
    pub host: &'a Snapshot,
    pub guest: &'a Snapshot,
    pub memory: &'a Memory,
    pub guest_memory: &'a Memory,
}

impl Maker {
    /// By EBX, EDX and ECX of CPUID leaf 0.
    pub const fn of(vendor: [u32; 3]) -> Self {
        match vendor {
            [0x756e_6547, 0x4965_6e69, 0x6c65_746e] => Self::Intel,
            // AuthenticAMD; HygonGenuine is the same design.
            [0x6874_7541, 0x6974_6e65, 0x444d_4163] | [0x6f67_7948, 0x6e65_476e, 0x656e_6975] => Self::Amd,
            _ => Self::Other,
        }
    }

    pub fn of_host() -> Self {
        let id = __cpuid(0);
        Self::of([id.ebx, id.edx, id.ecx])
    }

    /// Whether there are rules at all.
    pub const fn differs(self) -> bool {
        matches!(self, Self::Amd)
    }

    /// Whether this image that the host's FXSAVE wrote holds the instruction pointer: AMD's stores 0 while no x87
    /// exception is pending (APM vol. 5, FXSAVE).
    pub fn keeps_fip(self, host: &Fx) -> bool {
        const ES: u16 = 1 << 7;
        self != Self::Amd || host.u16(2) & ES != 0
    }

    /// Removes what would be lost anyway when the host's kernel saves and restores it.
    pub fn forget_pointers(self, fx: &mut Fx) {
        if !self.keeps_fip(fx) {
            fx.0[6..24].fill(0);
        }
    }

    /// The rule by which the host may leave what it left. `same` compares the host with what it is given.
    pub fn rule(self, step: &Step<'_>, same: impl Fn(&Snapshot, &Memory) -> bool) -> Option<&'static str> {
        if self != Self::Amd {
            return None;
        }
        amd::rule(step, &same)
    }
}

impl Step<'_> {
    /// The instruction at which they part.
    pub(crate) fn subject(&self) -> Option<&Instruction> {
        let stayed = self.host.regs.eip == self.before.eip && matches!(self.host.stop, Stop::Fault { .. });
        if stayed { self.instructions.first() } else { self.instructions.last() }
    }

    /// The registers that the subject found: with SS loaded, if it is the second.
    pub(crate) fn found(&self) -> Regs {
        let mut r = *self.before;
        if let [first, second] = self.instructions
            && self.subject().is_some_and(|i| i.ip() == second.ip())
        {
            r.eip = second.ip32();
            r.seg[2] = self.host.regs.seg[2];
            if first.mnemonic() == Mnemonic::Pop {
                r.gpr[ESP] = r.gpr[ESP].wrapping_add_signed(first.stack_pointer_increment());
            }
        }
        r
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers() {
        let of = |s: &[u8; 12]| {
            let word = |n: usize| u32::from_le_bytes([s[n], s[n + 1], s[n + 2], s[n + 3]]);
            Maker::of([word(0), word(4), word(8)])
        };
        assert_eq!(of(b"GenuineIntel"), Maker::Intel);
        assert_eq!(of(b"AuthenticAMD"), Maker::Amd);
        assert_eq!(of(b"HygonGenuine"), Maker::Amd);
        assert_eq!(of(b"CentaurHauls"), Maker::Other);
        assert!(!Maker::Intel.differs() && !Maker::Other.differs());
    }

    #[test]
    fn only_amd_forgets_the_pointer() {
        let mut fx = Fx::default();
        fx.set32(8, 0x1234);
        assert!(!Maker::Amd.keeps_fip(&fx) && Maker::Intel.keeps_fip(&fx));
        fx.set16(2, 0x80);
        assert!(Maker::Amd.keeps_fip(&fx));
    }
}
