//! Why an instruction did not finish: an exception to deliver, or a reason to leave that is not the guest's.

use std::num::NonZeroU32;

/// One exception with its error code, packed so that `Result<(), Fault>` is four bytes.
///
/// The linear address of a page fault waits in [`crate::cpu::Cpu::fault_lin`]; CR2 is written at delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault(NonZeroU32);

/// What a handler returns. `Err`: registers, flags and memory are as before the instruction, except where the
/// SDM says otherwise (REP, task switches).
pub(crate) type Exec = Result<(), Fault>;

const HAS_CODE: u32 = 1 << 8;
const TRAP: u32 = 1 << 9;
const RETRY: u32 = 1 << 10;
const NEW_TASK: u32 = 1 << 11;
const JUMP: u32 = 1 << 12;
const MARK: u32 = 1 << 15;

impl Fault {
    pub(crate) const DE: u8 = 0;
    pub(crate) const DB: u8 = 1;
    pub(crate) const BP: u8 = 3;
    pub(crate) const OF: u8 = 4;
    pub(crate) const BR: u8 = 5;
    pub(crate) const UD: u8 = 6;
    pub(crate) const NM: u8 = 7;
    pub(crate) const DF: u8 = 8;
    pub(crate) const TS: u8 = 10;
    pub(crate) const NP: u8 = 11;
    pub(crate) const SS: u8 = 12;
    pub(crate) const GP: u8 = 13;
    pub(crate) const PF: u8 = 14;
    pub(crate) const MF: u8 = 16;
    pub(crate) const AC: u8 = 17;
    pub(crate) const XM: u8 = 19;

    const fn pack(v: u32) -> Self {
        match NonZeroU32::new(v | MARK) {
            Some(n) => Self(n),
            None => unreachable!(),
        }
    }

    const fn plain(vector: u8) -> Self {
        Self::pack(vector as u32)
    }

    const fn coded(vector: u8, code: u32) -> Self {
        Self::pack(vector as u32 | HAS_CODE | code << 16)
    }

    pub(crate) const fn de() -> Self {
        Self::plain(Self::DE)
    }

    /// #DB as a fault: a code breakpoint or general detect. DR6 has been updated.
    pub(crate) const fn db_fault() -> Self {
        Self::plain(Self::DB)
    }

    /// #DB as a trap: EIP is that of the next instruction.
    pub(crate) const fn db_trap() -> Self {
        Self::pack(Self::DB as u32 | TRAP)
    }

    pub(crate) const fn br() -> Self {
        Self::plain(Self::BR)
    }

    pub(crate) const fn ud() -> Self {
        Self::plain(Self::UD)
    }

    pub(crate) const fn nm() -> Self {
        Self::plain(Self::NM)
    }

    pub(crate) const fn df() -> Self {
        Self::coded(Self::DF, 0)
    }

    pub(crate) const fn ts(code: u16) -> Self {
        Self::coded(Self::TS, code as u32)
    }

    pub(crate) const fn np(code: u16) -> Self {
        Self::coded(Self::NP, code as u32)
    }

    pub(crate) const fn ss(code: u16) -> Self {
        Self::coded(Self::SS, code as u32)
    }

    pub(crate) const fn gp(code: u16) -> Self {
        Self::coded(Self::GP, code as u32)
    }

    /// Page fault with its error code; the address is in `Cpu::fault_lin`.
    pub(crate) const fn pf(code: u16) -> Self {
        Self::coded(Self::PF, code as u32)
    }

    pub(crate) const fn mf() -> Self {
        Self::plain(Self::MF)
    }

    pub(crate) const fn ac() -> Self {
        Self::coded(Self::AC, 0)
    }

    pub(crate) const fn xm() -> Self {
        Self::plain(Self::XM)
    }

    /// No exception: go back to the start of this instruction and to the run loop's boundary (interrupts, poll),
    /// then try again. For an x87 instruction that waits for IGNNE# (CR0.NE = 0) and the like.
    pub(crate) const fn retry() -> Self {
        Self::pack(RETRY)
    }

    /// No exception: the instruction is done and went elsewhere than to the next one. Conditional jumps in the middle
    /// of a decoded block leave it in this way.
    pub(crate) const fn jump() -> Self {
        Self::pack(JUMP)
    }

    pub(crate) const fn is_jump(self) -> bool {
        self.0.get() & JUMP != 0
    }

    pub(crate) const fn is_retry(self) -> bool {
        self.0.get() & RETRY != 0
    }

    /// The same after a task switch has committed: EIP is the new task's already.
    pub(crate) const fn in_new_task(self) -> Self {
        Self(match NonZeroU32::new(self.0.get() | NEW_TASK) {
            Some(n) => n,
            None => unreachable!(),
        })
    }

    /// EIP must go back to the start of the instruction.
    pub(crate) const fn restarts(self) -> bool {
        self.0.get() & (TRAP | NEW_TASK) == 0
    }

    /// The saved EIP is that of the next instruction, and RF is not set in the pushed image.
    pub(crate) const fn is_trap(self) -> bool {
        self.0.get() & TRAP != 0
    }

    pub(crate) const fn vector(self) -> u8 {
        self.0.get() as u8
    }

    pub(crate) const fn code(self) -> Option<u16> {
        if self.0.get() & HAS_CODE != 0 { Some((self.0.get() >> 16) as u16) } else { None }
    }

    /// The same with the EXT bit, if its error code names a selector: it came up while delivering an event from
    /// outside the program. SDM vol. 3, 6.13.
    pub(crate) const fn with_ext(self) -> Self {
        match self.vector() {
            Self::TS..=Self::GP => Self(match NonZeroU32::new(self.0.get() | 1 << 16) {
                Some(n) => n,
                None => unreachable!(),
            }),
            _ => self,
        }
    }
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_retry() {
            return f.write_str("retry");
        }
        if self.is_jump() {
            return f.write_str("jump");
        }
        write!(f, "#{}", self.vector())?;
        match self.code() {
            Some(c) => write!(f, "({c:#x})"),
            None => Ok(()),
        }
    }
}
