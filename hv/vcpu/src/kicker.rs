//! Stopping a running processor from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes [`crate::Vcpu::run`] leave at the next instruction boundary, from any thread.
///
/// An engine that can't look at the flag while the guest runs (KVM, WHP) adds a `wake` that interrupts it.
#[derive(Clone)]
pub struct Kicker {
    flag: Arc<AtomicU32>,
    wake: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Default for Kicker {
    fn default() -> Self {
        Self::new()
    }
}

impl Kicker {
    pub fn new() -> Self {
        Self { flag: Arc::default(), wake: None }
    }

    pub fn with_wake(wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { flag: Arc::default(), wake: Some(wake) }
    }

    pub fn kick(&self) {
        self.flag.store(1, Ordering::Release);
        if let Some(w) = &self.wake {
            w();
        }
    }

    /// For the engine's hot path.
    #[inline(always)]
    pub fn is_kicked(&self) -> bool {
        self.flag.load(Ordering::Relaxed) != 0
    }

    /// For the engine, as it leaves: true if there was a kick, which is now used up.
    pub fn take(&self) -> bool {
        self.flag.swap(0, Ordering::Acquire) != 0
    }

    /// The flag itself, for code that polls it without this type.
    pub fn flag(&self) -> &AtomicU32 {
        &self.flag
    }
}
