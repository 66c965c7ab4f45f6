//! The IA-32 processor in software: a Pentium 4 of the first kind, interpreted.
//!
//! [`Software`] is the engine that needs nothing from the host. Guest code is decoded into basic blocks (`decode.rs`
//! by `optable/`, kept by `block.rs`), whose instructions are handlers (`exec/`, `x87/`, ...) on one [`cpu::Cpu`];
//! `run.rs` strings them together and does what lies between instructions. Memory goes through `mem/`.
//!
//! It counts instructions exactly: with the clock taken from that count, a run repeats bit by bit.

mod block;
#[cfg(test)]
mod block_tests;
mod cpu;
mod debug;
mod decode;
mod exec;
mod far;
mod fault;
mod flags;
mod fpu;
mod insn;
mod interrupt;
#[cfg_attr(not(target_arch = "x86_64"), path = "no_jit.rs")]
mod jit;
mod mem;
mod mmx;
mod msr;
mod optable;
mod run;
mod seen;
mod seg;
pub mod softfloat;
mod sse;
mod state;
mod system;
mod task;
mod x87;

use std::sync::Arc;

pub use decode::{Decoding, decode_bytes};
pub use optable::{Row, coverage, coverage_page};

use hv_vcpu::{
    Caps, CpuState, CpuidTable, GuestIo, HvError, Hypervisor, Kicker, Stop, Unavailable, Vcpu, Vm,
};
use ram::GuestRam;

const NAME: &str = "software";

/// The engine, and how it runs its guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Software {
    /// Bytes of translated code to keep at most; 0: everything is interpreted.
    pub jit_cache: usize,
    /// Executions of a block after which it is translated.
    pub jit_threshold: u8,
    /// How often the budget has to end in a block before it is translated for speed instead of size; 0: at once.
    pub jit_hot: u8,
    /// Instructions that a user program runs before its memory is mapped for it by the host's paging;
    /// [`Self::NO_VIEWS`]: never.
    pub view_after: u64,
    /// Instructions that are kept decoded at most; others are decoded again when they run, or when code asks for them.
    pub decoded: usize,
    /// Writes `/tmp/perf-PID.map`, by which Linux's `perf` names translated blocks.
    pub perf_map: bool,
}

impl Software {
    pub const JIT_CACHE: usize = 64 << 20;

    /// So few decoded instructions that most code outlives those that it was made of.
    const FEW_DECODED: usize = 3 * block::MAX_INSNS;

    pub const NO_VIEWS: u64 = u64::MAX;

    /// Translates what runs often.
    pub const fn new() -> Self {
        Self {
            jit_cache: Self::JIT_CACHE,
            jit_threshold: 16,
            jit_hot: 3,
            view_after: 10_000_000,
            decoded: block::RING,
            perf_map: false,
        }
    }

    /// Interprets everything.
    pub const fn interpreter() -> Self {
        Self { jit_cache: 0, view_after: Self::NO_VIEWS, ..Self::new() }
    }

    /// Translates everything at once, for size, and soon forgets what the code was made of: for tests.
    pub const fn eager() -> Self {
        let decoded = Self::FEW_DECODED;
        Self { jit_threshold: 1, jit_hot: u8::MAX, view_after: Self::NO_VIEWS, decoded, ..Self::new() }
    }

    /// The same with the memory of all user programs mapped by the host's paging: for tests.
    pub const fn eager_views() -> Self {
        Self { view_after: 0, ..Self::eager() }
    }

    /// Translates everything at once, for speed: for tests.
    pub const fn eager_hot() -> Self {
        Self { jit_threshold: 1, jit_hot: 0, ..Self::eager() }
    }
}

impl Software {
    /// One of those for tests, by its name: `interpreter`, `size`, `speed` or `views`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "interpreter" => Self::interpreter(),
            "size" => Self::eager(),
            "speed" => Self::eager_hot(),
            "views" => Self::eager_views(),
            _ => return None,
        })
    }

    /// The one that `HEIRLOOM_CPU` names, else that which translates for size: for tests.
    ///
    /// # Panics
    /// If it names none.
    pub fn under_test() -> Self {
        let Ok(name) = std::env::var("HEIRLOOM_CPU") else { return Self::eager() };
        Self::named(&name).unwrap_or_else(|| panic!("HEIRLOOM_CPU={name}: no such processor"))
    }
}

impl Default for Software {
    fn default() -> Self {
        Self::new()
    }
}

impl Hypervisor for Software {
    type Vm = SoftVm;

    fn probe(&self) -> Result<Caps, Unavailable> {
        Ok(Caps {
            summary: "software: interprets IA-32, works everywhere".to_owned(),
            counts_instructions: true,
            paging: true,
        })
    }

    fn create(&self, ram: Arc<GuestRam>, cpuid: &CpuidTable) -> Result<SoftVm, HvError> {
        Ok(SoftVm { options: *self, ram, cpuid: cpuid.clone() })
    }
}

pub struct SoftVm {
    options: Software,
    ram: Arc<GuestRam>,
    cpuid: CpuidTable,
}

impl Vm for SoftVm {
    type Vcpu = SoftCpu;

    fn vcpu(&mut self) -> Result<SoftCpu, HvError> {
        let wanted = self.options.jit_cache != 0;
        // A host that can't run translated code interprets.
        let jit = wanted.then(|| jit::Jit::new(&self.options).ok().map(Box::new)).flatten();
        let view_after = if jit.is_some() { self.options.view_after } else { Software::NO_VIEWS };
        Ok(SoftCpu {
            engine: run::Engine {
                jit,
                hot: jit::Hot::default(),
                insns: Vec::new(),
                cpu: cpu::Cpu::new(self.ram.clone(), &self.cpuid, view_after),
                cache: block::Cache::new(self.options.decoded),
                kicker: Kicker::new(),
            },
        })
    }
}

/// One processor, as RESET# leaves it until `set_state`.
pub struct SoftCpu {
    engine: run::Engine,
}

impl Vcpu for SoftCpu {
    fn run(&mut self, io: &mut dyn GuestIo) -> Result<Stop, HvError> {
        self.engine.run(io)
    }

    fn kicker(&self) -> Kicker {
        self.engine.kicker.clone()
    }

    fn state(&mut self) -> Result<CpuState, HvError> {
        Ok(self.engine.cpu.save())
    }

    fn set_state(&mut self, s: &CpuState) -> Result<(), HvError> {
        let run::Engine { cpu, cache, .. } = &mut self.engine;
        cpu.check(s).map_err(|what| HvError::BadState { engine: NAME, what })?;
        cpu.restore(s);
        // Whoever sets the state may have filled memory behind our back.
        cache.flush(&mut cpu.code, cpu.ram.arena());
        self.engine.retire_dropped();
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let run::Engine { cpu, cache, jit, .. } = &self.engine;
        let mut all = vec![
            ("instructions", cpu.icount),
            ("blocks_decoded", cache.built),
            ("blocks_dropped", cache.dropped),
            ("block_cache_flushes", cache.flushes),
            ("tlb_fills", cpu.tlb.fills),
            ("tlb_flushes", cpu.tlb.flushes),
        ];
        all.extend(cpu.views.metrics());
        if let Some(jit) = jit {
            all.extend(jit.metrics());
        }
        all
    }
}
