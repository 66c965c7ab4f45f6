//! The seam between the machine and what executes its instructions.
//!
//! An engine (`cpu`, `hv/kvm`, `hv/whp`) implements [`Hypervisor`], [`Vm`] and [`Vcpu`]; the machine
//! implements [`GuestIo`]. [`Vcpu::run`] executes until the guest's life cycle changes; everything else that
//! the guest does to the outside is a call into [`GuestIo`] in the middle of an instruction. Memory is shared
//! through [`ram::GuestRam`]: an engine never asks the machine for a byte of RAM.
//!
//! The order of things inside `run`, which every engine keeps:
//! 1. At an instruction boundary where [`Kicker`] was kicked: leave with [`Stop::Kicked`].
//! 2. When the budget of the last [`GuestIo::poll`] is used up: call `poll` again. It fires timers and takes in
//!    host events; it may raise interrupts.
//! 3. Where IF, the shadow of STI and MOV SS allow it and [`GuestIo::intr_pending`] says so: take
//!    [`GuestIo::ack_intr`] and deliver that vector.
//! 4. On HLT: leave with [`Stop::Halted`]. Called again, `run` stays halted until an interrupt can be taken.
//! 5. After every call out, compare [`ram::GuestRam::generation`]: the map, A20 or code may have moved.

mod cpuid;
mod kicker;
mod state;

use std::sync::Arc;

pub use cpuid::{CpuidLeaf, CpuidTable};
pub use kicker::Kicker;
pub use state::{CpuState, DescTable, FXSAVE_LEN, Msrs, Segment};

use ram::GuestRam;

/// Size of one port access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Width {
    Byte = 1,
    Word = 2,
    Dword = 4,
}

impl Width {
    pub const fn bytes(self) -> u32 {
        self as u32
    }

    /// All ones in this width: what an open bus reads.
    pub const fn ones(self) -> u32 {
        match self {
            Self::Byte => 0xff,
            Self::Word => 0xffff,
            Self::Dword => 0xffff_ffff,
        }
    }
}

/// What the machine does for the processor. Called on the machine thread only.
pub trait GuestIo {
    fn pio_read(&mut self, port: u16, width: Width) -> u32;
    fn pio_write(&mut self, port: u16, width: Width, v: u32);
    /// A load that [`GuestRam::resolve`] does not map: 1 to 16 bytes that do not cross a 4 KiB page.
    fn mmio_read(&mut self, gpa: u64, buf: &mut [u8]);
    fn mmio_write(&mut self, gpa: u64, buf: &[u8]);

    /// The 8259's INTR.
    fn intr_pending(&self) -> bool;
    /// The INTA cycle: the vector. Only called when `intr_pending` was true; a request that vanished
    /// meanwhile yields the spurious vector.
    fn ack_intr(&mut self) -> u8;

    /// How many guest instructions retired since the last call of this. Engines that count call it before every
    /// other call here that may look at the clock (all but `intr_pending`, `ignne`); engines that can't count never call it.
    fn retired(&mut self, instructions: u64);
    /// Fires due timers, takes in what the host sent. Returns after how many instructions it wants to be
    /// called again at the latest (never 0). Engines that can't count instructions use [`GuestIo::deadline_ns`].
    fn poll(&mut self) -> u64;
    /// [`GuestIo::poll`] must come exactly then, so that a run repeats. Else it may come a few instructions early.
    fn polls_are_exact(&self) -> bool {
        true
    }
    /// Nanoseconds of host time until the next timer is due, if one is armed.
    fn deadline_ns(&mut self) -> Option<u64>;

    /// The time-stamp counter before the guest's own offset: guest time in units of [`CpuidTable::TSC_HZ`].
    fn tsc(&mut self) -> u64;

    /// FERR#: an unmasked x87 exception is pending while CR0.NE is 0. The board turns it into IRQ 13.
    fn ferr(&mut self, asserted: bool);
    /// IGNNE#: the guest wrote port F0h; x87 instructions go on in spite of the pending exception.
    fn ignne(&self) -> bool;
}

/// Why [`Vcpu::run`] came back. Life cycle only; I/O never leaves `run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Somebody used the [`Kicker`].
    Kicked,
    /// HLT, and no interrupt to take. The caller sleeps until an event, then calls `run` again.
    Halted,
    /// HLT with interrupts off: nothing but a reset wakes this processor.
    HaltedForGood,
    /// A fault while delivering a double fault. On a PC that resets the machine.
    TripleFault,
    /// A debugger's stop.
    Debug(DebugStop),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebugStop {
    Step,
    Breakpoint,
}

/// What went wrong on the host's side of an engine.
#[derive(Debug, thiserror::Error)]
pub enum HvError {
    #[error("{engine}: {call} failed")]
    Call {
        engine: &'static str,
        call: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{engine}: cannot go on at EIP {eip:#010x}: {reason}")]
    Stuck { engine: &'static str, eip: u32, reason: String },
    #[error("{engine}: cannot take this processor state: {what}")]
    BadState { engine: &'static str, what: &'static str },
}

/// Why an engine can't be used on this host, in words for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unavailable {
    pub reason: String,
    /// What the user can do about it, if anything.
    pub mend: Option<String>,
}

/// What an engine found on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// One line for `doctor`.
    pub summary: String,
    /// It counts instructions, so `--clock instructions` works.
    pub counts_instructions: bool,
    /// It runs 32-bit code with paging on.
    pub paging: bool,
}

pub trait Hypervisor {
    type Vm: Vm;
    /// Tries the engine with a tiny guest. Never hangs: bounded in time.
    fn probe(&self) -> Result<Caps, Unavailable>;
    fn create(&self, ram: Arc<GuestRam>, cpuid: &CpuidTable) -> Result<Self::Vm, HvError>;
}

pub trait Vm: Send {
    type Vcpu: Vcpu;
    fn vcpu(&mut self) -> Result<Self::Vcpu, HvError>;
}

pub trait Vcpu: Send {
    fn run(&mut self, io: &mut dyn GuestIo) -> Result<Stop, HvError>;
    /// Makes `run` leave soon, from any thread.
    fn kicker(&self) -> Kicker;
    fn state(&mut self) -> Result<CpuState, HvError>;
    fn set_state(&mut self, s: &CpuState) -> Result<(), HvError>;
    /// Brings dirty bits that the host kernel keeps into [`GuestRam`]'s. Nothing to do for engines that set them there.
    fn collect_dirty(&mut self) -> Result<(), HvError> {
        Ok(())
    }
    /// Name and value pairs for `ctl metrics`.
    fn metrics(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
