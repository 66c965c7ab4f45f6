//! Time as the host tells it.

use std::time::Instant;

/// What [`super::pace`] knows of the host. Called on the machine thread only.
pub(super) trait HostTime: Send {
    /// Nanoseconds since some moment; never goes back.
    fn now(&self) -> u64;

    /// Processor time that the calling thread had, in nanoseconds; None where the host tells it too coarsely.
    fn thread(&self) -> Option<u64>;
}

/// The clock of a machine whose time is all its own. Where the host has such a clock it counts on while the host is
/// suspended, so that a suspension shows as a gap.
pub(super) struct Even(#[cfg(not(target_os = "linux"))] Instant);

#[cfg(target_os = "linux")]
mod linux {
    use rustix::time::{ClockId, Timespec, clock_gettime};

    use super::{Even, HostTime};

    fn ns(t: Timespec) -> u64 {
        t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
    }

    impl Even {
        pub(in super::super) fn new() -> Self {
            Self()
        }
    }

    impl HostTime for Even {
        fn now(&self) -> u64 {
            ns(clock_gettime(ClockId::Boottime))
        }

        fn thread(&self) -> Option<u64> {
            Some(ns(clock_gettime(ClockId::ThreadCPUTime)))
        }
    }
}

/// Windows counts thread time in steps of 15.6 ms, which tells nothing of a time slice. Its performance counter does
/// count suspensions.
#[cfg(not(target_os = "linux"))]
mod other {
    use std::time::Instant;

    use super::{Even, HostTime};

    impl Even {
        pub(in super::super) fn new() -> Self {
            Self(Instant::now())
        }
    }

    impl HostTime for Even {
        fn now(&self) -> u64 {
            self.0.elapsed().as_nanos() as u64
        }

        fn thread(&self) -> Option<u64> {
            None
        }
    }
}

/// The monotonic clock, for machines that read the host's TSC beside it: neither counts suspensions.
pub(super) struct Plain(Instant);

impl Plain {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }
}

impl HostTime for Plain {
    fn now(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }

    fn thread(&self) -> Option<u64> {
        None
    }
}
