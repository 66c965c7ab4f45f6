//! Faults of the 32-bit code come as signals: note them and send the thread to the exit.
//!
//! The handler runs with whatever FS base the 32-bit code left, so it must not touch thread-local storage: it
//! only reads and writes the context, the frame and plain memory. A signal that does not come from 32-bit
//! code is a fault of this program: the handler restores the default action and lets it happen again.

use std::io;
use std::mem::zeroed;
use std::ptr::null_mut;

use libc::{c_int, c_void, siginfo_t, ucontext_t};

use super::entry::{HEIRLOOM_ORACLE_FRAME, RUN, STEP_SLOWLY, heirloom_oracle_leave};

const FAULTS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP];
const STACK: usize = 256 << 10;
const CS64: u16 = 0x33;
/// Of the thread's own time. Two ticks of the watchdog in one sequence end it.
const TICK_NS: i64 = 20_000_000;

/// Vectors outside the processor's own for what the kernel did to the sequence.
pub(super) const VECTOR_RUNAWAY: u32 = 0x100;
pub(super) const VECTOR_SYSCALL: u32 = 0x101;

extern "C" fn on_fault(signal: c_int, _: *mut siginfo_t, context: *mut c_void) {
    let frame = HEIRLOOM_ORACLE_FRAME.get();
    // SAFETY: the kernel passes a valid context for the life of the handler, and the frame belongs to this
    // thread while it is inside `heirloom_oracle_enter` (see `FrameCell`).
    unsafe {
        let context = context.cast::<ucontext_t>();
        let regs = &mut (*context).uc_mcontext.gregs;
        let segs = regs[libc::REG_CSGSFS as usize] as u64;
        let cs = segs as u16;
        // A sequence may have found its way into 64-bit code (selector 33h), but not above 4 GiB.
        let low = regs[libc::REG_RIP as usize] as u64 >> 32 == 0;
        let on_the_way = (*frame).inside != 0 && cs == CS64 && !low;
        if (*frame).entering != RUN && signal != libc::SIGALRM {
            if (*frame).entering == STEP_SLOWLY && signal == libc::SIGTRAP {
                // The last of these traps lies before the first instruction of the sequence.
                if !on_the_way {
                    (*frame).entering = RUN;
                }
                return;
            }
            (*frame).entering = RUN;
            if on_the_way {
                // The first instruction lies beyond the limit of its segment: the way there faults.
                let trap = &mut (*frame).trap;
                trap.taken = 1;
                trap.vector = regs[libc::REG_TRAPNO as usize] as u32;
                trap.error = regs[libc::REG_ERR as usize] as u32;
                (trap.eip, trap.cs, trap.ss) = ((*frame).eip, (*frame).cs, (*frame).seg_in[2]);
                trap.eflags = regs[libc::REG_EFL as usize] as u32;
                regs[libc::REG_RIP as usize] = heirloom_oracle_leave as *const () as i64;
                regs[libc::REG_EFL as usize] = 0x202;
                return;
            }
        }
        if (cs == CS64 && !low) || (*frame).inside == 0 {
            if signal == libc::SIGALRM {
                return;
            }
            libc::signal(signal, libc::SIG_DFL);
            return;
        }
        let trap = &mut (*frame).trap;
        let vector = if signal == libc::SIGALRM {
            trap.ticks += 1;
            if trap.ticks < 3 {
                return;
            }
            VECTOR_RUNAWAY
        } else if signal == libc::SIGSYS || cs == CS64 {
            VECTOR_SYSCALL
        } else {
            regs[libc::REG_TRAPNO as usize] as u32
        };
        trap.taken = 1;
        trap.vector = vector;
        trap.error = regs[libc::REG_ERR as usize] as u32;
        trap.address = regs[libc::REG_CR2 as usize] as u32;
        trap.eip = regs[libc::REG_RIP as usize] as u32;
        trap.eflags = regs[libc::REG_EFL as usize] as u32;
        trap.cs = u32::from(cs);
        trap.ss = (segs >> 48) as u32;
        regs[libc::REG_RIP as usize] = heirloom_oracle_leave as *const () as i64;
        regs[libc::REG_EFL as usize] = 0x202;
        let segs = segs & 0x0000_ffff_ffff_0000 | u64::from(CS64) | 0x2b << 48;
        regs[libc::REG_CSGSFS as usize] = segs as i64;
    }
}

/// Puts the handlers in place for the process.
pub(super) fn install() -> io::Result<()> {
    // SAFETY: plain system calls with valid arguments; the handler keeps the rules in the module's text.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigfillset(&raw mut action.sa_mask);
        for signal in FAULTS.into_iter().chain([libc::SIGALRM, libc::SIGSYS]) {
            if libc::sigaction(signal, &raw const action, null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// What a thread needs to run 32-bit code: a signal stack and a watchdog.
pub(super) struct ThreadSetup {
    stack: *mut c_void,
    timer: libc::timer_t,
}

impl ThreadSetup {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: plain system calls with valid arguments. The stack stays mapped until `drop`, which takes it
        // out of use first.
        unsafe {
            let stack = libc::mmap(
                null_mut(),
                STACK,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if stack == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let alt = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: STACK };
            if libc::sigaltstack(&raw const alt, null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let mut event: libc::sigevent = zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGALRM;
            event.sigev_notify_thread_id = libc::gettid();
            let mut timer: libc::timer_t = null_mut();
            if libc::timer_create(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut event, &raw mut timer) != 0 {
                return Err(io::Error::last_os_error());
            }
            let tick = libc::timespec { tv_sec: 0, tv_nsec: TICK_NS };
            let every = libc::itimerspec { it_interval: tick, it_value: tick };
            if libc::timer_settime(timer, 0, &raw const every, null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { stack, timer })
        }
    }
}

impl Drop for ThreadSetup {
    fn drop(&mut self) {
        // SAFETY: undoes `new` on the same thread (`Host` is not Send).
        unsafe {
            libc::timer_delete(self.timer);
            let off = libc::stack_t { ss_sp: null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            libc::sigaltstack(&raw const off, null_mut());
            libc::munmap(self.stack, STACK);
        }
    }
}

/// Turns system calls from 32-bit code (INT 80h, SYSENTER in a sequence that rewrote itself) into SIGSYS. Cannot
/// be undone for the thread.
pub(super) fn forbid_32bit_syscalls() -> io::Result<()> {
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    let stmt = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = [
        // The architecture is at offset 4 of seccomp_data.
        stmt(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 4, 0, 0),
        stmt(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, AUDIT_ARCH_X86_64, 0, 1),
        stmt(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
        stmt(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_TRAP, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: `program` and the filter it points to are valid for both calls.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
