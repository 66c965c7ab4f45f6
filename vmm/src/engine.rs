//! Which engine executes the guest: probing, choosing, creating.

use std::sync::Arc;

use cpu::Software;
use hv_vcpu::{Caps, CpuidTable, HvError, Hypervisor, Unavailable, Vcpu, Vm};
use ram::GuestRam;

/// The engines that this build has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Software,
    Kvm,
}

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The fastest that can run XP-class guests here.
    #[default]
    Auto,
    This(Engine),
}

/// What `doctor` tells of one engine.
#[derive(Debug, Clone)]
pub struct EngineReport {
    pub engine: Engine,
    pub found: Result<Caps, Unavailable>,
}

impl Engine {
    pub const ALL: [Self; 2] = [Self::Kvm, Self::Software];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Kvm => "kvm",
        }
    }

    pub fn from_name(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.name() == s)
    }

    /// The guest's TSC is the machine's clock; else it is the host's own.
    pub(crate) const fn keeps_tsc(self) -> bool {
        match self {
            Self::Software => true,
            Self::Kvm => false,
        }
    }

    /// Tries the engine with a tiny guest; bounded in time.
    pub fn probe(self) -> Result<Caps, Unavailable> {
        match self {
            Self::Software => Software::new().probe(),
            Self::Kvm => hv_kvm::Kvm.probe(),
        }
    }

    pub(crate) fn create(
        self,
        ram: Arc<GuestRam>,
        cpuid: &CpuidTable,
        software: &Software,
    ) -> Result<Box<dyn Vcpu>, HvError> {
        Ok(match self {
            Self::Software => Box::new(software.create(ram, cpuid)?.vcpu()?),
            Self::Kvm => Box::new(hv_kvm::Kvm.create(ram, cpuid)?.vcpu()?),
        })
    }
}

/// Probes every engine, the fastest first.
pub fn engines() -> Vec<EngineReport> {
    Engine::ALL.into_iter().map(|engine| EngineReport { engine, found: engine.probe() }).collect()
}

/// The engine to use, or why the one that was asked for can't be. `counted`: the run needs an instruction clock.
pub fn pick(choice: Choice, counted: bool) -> Result<Engine, Unavailable> {
    match choice {
        Choice::This(e) => {
            let caps = e.probe()?;
            if !caps.paging {
                return Err(Unavailable {
                    reason: caps.summary,
                    mend: Some("use --engine software, or a host whose kernel runs 32-bit guests".into()),
                });
            }
            if counted && !caps.counts_instructions {
                return Err(Unavailable {
                    reason: format!("the {} engine does not count instructions", e.name()),
                    mend: Some("use --engine software with --clock instructions".into()),
                });
            }
            Ok(e)
        }
        Choice::Auto => {
            // KVM does not count instructions; and nobody waits for the reasons of a refusal here.
            let kvm = !counted && hv_kvm::Kvm.pages();
            Ok(if kvm { Engine::Kvm } else { Engine::Software })
        }
    }
}
