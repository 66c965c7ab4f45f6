//! Getting a thread out of `KVM_RUN`: a signal whose handler sets `immediate_exit`, and a timer that sends it.
#![allow(unsafe_code, reason = "signals, a POSIX timer, and the kvm_run page that the handler writes")]

use std::cell::Cell;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use hv_vcpu::HvError;
use libc::{c_int, c_void, siginfo_t};
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

use crate::ENGINE;

thread_local! {
    /// `immediate_exit` of the processor that this thread is running, or null.
    static IMMEDIATE_EXIT: Cell<*mut u8> = const { Cell::new(std::ptr::null_mut()) };
}

extern "C" fn on_signal(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let _ = IMMEDIATE_EXIT.try_with(|p| {
        let p = p.get();
        if !p.is_null() {
            // SAFETY: non-null only between `enter` and `leave` on this very thread, while the kvm_run mapping
            // that it points into is borrowed by the running processor. A byte store is all that happens.
            unsafe { p.write_volatile(1) }
        }
    });
}

fn os_error(call: &'static str) -> HvError {
    HvError::Call { engine: ENGINE, call, source: std::io::Error::last_os_error() }
}

/// Which thread runs the processor now; 0 if none. Shared with every kicker.
#[derive(Clone, Default)]
pub(crate) struct Runner(Arc<AtomicI32>);

impl Runner {
    /// Interrupts the running thread, if one runs.
    pub(crate) fn wake(&self) {
        let tid = self.0.load(Ordering::Acquire);
        if tid != 0 {
            // SAFETY: tgkill with a thread id of this process has no memory effects; a stale id yields ESRCH.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, SIGRTMIN()) };
        }
    }

    /// From now on the handler sets `flag` on this thread.
    pub(crate) fn enter(&self, flag: *mut u8) {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            // Without a handler the signal would end the process; it is only ever sent after this.
            if let Err(e) = register_signal_handler(SIGRTMIN(), on_signal) {
                panic!("cannot install a signal handler: {e}");
            }
        });
        IMMEDIATE_EXIT.with(|p| p.set(flag));
        // SAFETY: gettid has no memory effects.
        self.0.store(unsafe { libc::syscall(libc::SYS_gettid) } as i32, Ordering::Release);
    }

    pub(crate) fn leave(&self) {
        self.0.store(0, Ordering::Release);
        IMMEDIATE_EXIT.with(|p| p.set(std::ptr::null_mut()));
    }
}

/// A one-shot timer that signals the thread it was made on.
pub(crate) struct Alarm {
    timer: libc::timer_t,
    tid: i32,
}

// SAFETY: a timer_t is a number to the kernel; any thread may set or delete it.
unsafe impl Send for Alarm {}

impl Alarm {
    /// For the calling thread.
    pub(crate) fn new() -> Result<Self, HvError> {
        // SAFETY: all-zero is a valid sigevent; the fields used below are then set.
        let mut ev: libc::sigevent = unsafe { std::mem::zeroed() };
        // SAFETY: gettid has no memory effects.
        let tid = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
        ev.sigev_notify = libc::SIGEV_THREAD_ID;
        ev.sigev_signo = SIGRTMIN();
        ev.sigev_notify_thread_id = tid;
        let mut timer: libc::timer_t = std::ptr::null_mut();
        // SAFETY: both pointers are to live locals of the right type.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut ev, &raw mut timer) } != 0 {
            return Err(os_error("timer_create"));
        }
        Ok(Self { timer, tid })
    }

    /// Was it made on the calling thread?
    pub(crate) fn is_mine(&self) -> bool {
        // SAFETY: gettid has no memory effects.
        self.tid == unsafe { libc::syscall(libc::SYS_gettid) } as i32
    }

    /// Goes off after `d`; None: never.
    pub(crate) fn set(&self, d: Option<Duration>) -> Result<(), HvError> {
        // A zero time would disarm it.
        let d = d.map_or(Duration::ZERO, |d| d.max(Duration::from_nanos(1)));
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let value = libc::timespec { tv_sec: d.as_secs() as i64, tv_nsec: i64::from(d.subsec_nanos()) };
        let spec = libc::itimerspec { it_interval: zero, it_value: value };
        // SAFETY: the timer lives as long as self; the pointer is to a live local.
        if unsafe { libc::timer_settime(self.timer, 0, &raw const spec, std::ptr::null_mut()) } != 0 {
            return Err(os_error("timer_settime"));
        }
        Ok(())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: the timer was created by `new` and is deleted once.
        unsafe { libc::timer_delete(self.timer) };
    }
}
