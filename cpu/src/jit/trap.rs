//! Accesses in a view that the host refused: the page is not mapped there, or not for writing.
//!
//! The host's signal handler changes nothing but where translated code goes on: at a thunk, as if it had called it.
//! From there on it is a slow path like that of the TLB.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use super::calls::RETRY;
use super::{Exit, pack};
use crate::mem::InView;
use crate::run::Engine;

/// So many accesses of a block may be refused before it is translated without a view.
const MOST_REFUSED: u32 = 4;
/// ... within so many instructions.
const LATELY: u64 = 2_000_000;

/// Accesses that a view refused a translation, and since when (in instructions retired).
#[derive(Default)]
pub(super) struct Refusals {
    count: u32,
    since: u64,
}

/// What the handler found, and the registers that translated code uses within an instruction.
#[repr(C)]
#[derive(Default)]
pub(super) struct Trapped {
    pub(super) rax: u64,
    pub(super) rcx: u64,
    pub(super) rdx: u64,
    pub(super) rflags: u64,
    address: u64,
    /// The host's page-fault error code; 0 if it was no page fault.
    code: u64,
}

/// W of a page-fault error code.
const WRITE: u64 = 1 << 1;

/// Translated code of one processor, and its thunk.
struct Range {
    from: AtomicU64,
    to: AtomicU64,
    thunk: AtomicU64,
}

/// Of all processors in this process. The handler may find a thread in any state, so there are no locks and nothing of
/// the thread's own.
static RANGES: [Range; 64] =
    [const { Range { from: AtomicU64::new(0), to: AtomicU64::new(0), thunk: AtomicU64::new(0) } }; 64];

/// The thunk of the code that `at` lies in.
fn thunk_of(at: u64) -> Option<u64> {
    let r = RANGES
        .iter()
        .find(|r| (r.from.load(Ordering::Acquire)..r.to.load(Ordering::Acquire)).contains(&at))?;
    Some(r.thunk.load(Ordering::Acquire))
}

/// A processor's place in [`RANGES`].
pub(super) struct Registered(&'static Range);

impl Registered {
    /// `None`: there are too many.
    pub(super) fn new(from: u64, len: u64, thunk: u64) -> Option<Self> {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(host::install);
        let free = |r: &&Range| r.from.compare_exchange(0, from, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let r = RANGES.iter().find(free)?;
        r.thunk.store(thunk, Ordering::Release);
        r.to.store(from + len, Ordering::Release);
        Some(Self(r))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.0.to.store(0, Ordering::Release);
        self.0.from.store(0, Ordering::Release);
    }
}

#[cfg(target_os = "linux")]
mod host {
    use std::arch::asm;
    use std::ffi::{c_int, c_void};
    use std::mem::MaybeUninit;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use super::{Trapped, thunk_of};
    use crate::jit::Hot;

    /// What handled the signal before us.
    static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(std::ptr::null_mut());

    const PAGE_FAULT: i64 = 14;
    const GENERAL_PROTECTION: i64 = 13;

    /// Sets the base of GS, which nothing of Rust's or the C library's uses on this system.
    pub(super) fn set_gs(base: u64) {
        /// In AT_HWCAP2: WRGSBASE works.
        const FSGSBASE: u64 = 1 << 1;
        const ARCH_SET_GS: c_int = 0x1001;
        // SAFETY: reads a number.
        if unsafe { libc::getauxval(libc::AT_HWCAP2) } & FSGSBASE != 0 {
            let now: u64;
            // SAFETY: the instructions are there by the check above; nobody uses what they change.
            unsafe {
                asm!("rdgsbase {}", out(reg) now, options(nomem, nostack, preserves_flags));
                if now != base {
                    asm!("wrgsbase {}", in(reg) base, options(nostack, preserves_flags));
                }
            }
        } else {
            // SAFETY: as above.
            unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, base) };
        }
    }

    pub(super) fn install() {
        let mut new: libc::sigaction = {
            // SAFETY: all fields may be zero.
            unsafe { MaybeUninit::zeroed().assume_init() }
        };
        new.sa_sigaction = handler as *const () as usize;
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        let old = Box::into_raw(Box::new(new));
        // SAFETY: both point to values that live; the old one is never freed.
        unsafe {
            libc::sigaction(libc::SIGSEGV, &new, old);
        }
        PREVIOUS.store(old, Ordering::Release);
    }

    /// # Safety
    /// Called by the host's kernel.
    unsafe extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        // SAFETY: with SA_SIGINFO this is what the kernel passes.
        let context_ref = unsafe { &mut *context.cast::<libc::ucontext_t>() };
        let regs = &mut context_ref.uc_mcontext.gregs;
        let reg = |r: c_int| r as usize;
        let rip = regs[reg(libc::REG_RIP)] as u64;
        let trap = regs[reg(libc::REG_TRAPNO)];
        if let Some(thunk) = thunk_of(rip)
            && matches!(trap, PAGE_FAULT | GENERAL_PROTECTION)
        {
            // SAFETY: in translated code RBP is the `Hot` that it was entered with, and nothing else uses that then.
            let hot = unsafe { &mut *(regs[reg(libc::REG_RBP)] as *mut Hot) };
            hot.resume = rip as *const u8;
            // SAFETY: as above, for this signal.
            let address = unsafe { (*info).si_addr() } as u64;
            hot.trap = Trapped {
                rax: regs[reg(libc::REG_RAX)] as u64,
                rcx: regs[reg(libc::REG_RCX)] as u64,
                rdx: regs[reg(libc::REG_RDX)] as u64,
                rflags: regs[reg(libc::REG_EFL)] as u64,
                address,
                code: if trap == PAGE_FAULT { regs[reg(libc::REG_ERR)] as u64 | 1 << 63 } else { 0 },
            };
            regs[reg(libc::REG_RIP)] = thunk as i64;
            return;
        }
        // SAFETY: set by `install` before any translated code runs, never freed.
        let previous = unsafe { PREVIOUS.load(Ordering::Acquire).as_ref() };
        match previous {
            Some(p) if p.sa_flags & libc::SA_SIGINFO != 0 => {
                // SAFETY: the handler that was there was installed with this signature.
                unsafe {
                    let f: unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                        std::mem::transmute(p.sa_sigaction);
                    f(signal, info, context);
                }
            }
            Some(p) if p.sa_sigaction != libc::SIG_DFL && p.sa_sigaction != libc::SIG_IGN => {
                // SAFETY: as above, without SA_SIGINFO.
                unsafe {
                    let f: unsafe extern "C" fn(c_int) = std::mem::transmute(p.sa_sigaction);
                    f(signal);
                }
            }
            _ => {
                // The instruction faults again, and ends the process as it would have.
                // SAFETY: a plain call.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod host {
    pub(super) fn set_gs(_: u64) {}
    pub(super) fn install() {}
}

impl Engine {
    /// The view of the user code that is about to run. False: it has none any more.
    pub(super) fn select_view(&mut self) -> bool {
        let cpu = &mut self.cpu;
        cpu.views.settle(cpu.ram.arena());
        let (Some(base), Some(jit)) = (cpu.views.base(), &mut self.jit) else {
            cpu.view_changed();
            return false;
        };
        if jit.registered.is_none() {
            let from = jit.buffer.address(0) as u64;
            let thunk = jit.buffer.address(jit.thunks.trap) as u64;
            jit.registered = Registered::new(from, jit.buffer.len() as u64, thunk);
            if jit.registered.is_none() {
                cpu.views.forbid(cpu.ram.arena());
                cpu.view_changed();
                return false;
            }
        }
        self.hot.view = base;
        host::set_gs(base);
        true
    }

    /// The access that [`super::Hot::resume`] makes was refused.
    pub(super) fn view_trap(&mut self) -> u32 {
        let rip = self.hot.resume;
        let Some((jit, io)) = self.jit.as_mut().zip(self.hot.io) else { return Exit::Boundary as u32 };
        jit.counters.traps += 1;
        let Some((number, site, done)) = jit.trap_site(rip) else {
            unreachable!("an access that no block makes")
        };
        let (id, k) = (jit.codes.get(number).id, usize::from(site.k));
        if site.unsaved {
            self.hot.flags = pack(self.hot.trap.rflags as u32);
        }
        // Before anything is written.
        self.decoded(id);
        let n = self.cache.insns(id).len();
        self.count_site(n, k);
        // SAFETY: as in `interpret_site`.
        let io = unsafe { &mut *io };
        let lin = self.hot.trap.address.wrapping_sub(self.hot.view);
        self.cpu.views.trapped();
        let found = match u32::try_from(lin) {
            Ok(lin) if self.hot.trap.code != 0 => {
                self.cpu.map_in_view(io, lin, self.hot.trap.code & WRITE != 0)
            }
            _ => InView::Refused,
        };
        if found == InView::Mapped && !self.cpu.end_block {
            return RETRY;
        }
        if self.cpu.views.base() != Some(self.hot.view) {
            // What follows in this code relies on it.
            self.cpu.end_block = true;
        }
        if found == InView::Refused {
            self.refused(number);
        }
        self.interpret_instead(id, k, done)
    }

    /// Blocks that often access what can't be in a view go without one.
    fn refused(&mut self, number: u32) {
        let Some(jit) = &mut self.jit else { return };
        let c = jit.codes.get(number);
        let (id, live, now) = (c.id, c.live, self.cpu.icount);
        let r = jit.refusals.entry(number).or_default();
        if now.wrapping_sub(r.since) > LATELY {
            *r = Refusals { count: 0, since: now };
        }
        r.count += 1;
        if r.count >= MOST_REFUSED && live {
            jit.refusals.remove(&number);
            let b = self.cache.block_mut(id);
            // Its code stays until the buffer is flushed, so it can be left as usual.
            jit.retire(number, b.arena());
            b.be_careful();
            b.code = 0;
            b.heat = u8::MAX;
            // Its own code may be a loop that goes on without another look.
            self.cpu.end_block = true;
        }
    }
}

/// # Safety
/// As for [`super::calls::interpret`].
pub(super) unsafe extern "sysv64" fn view(engine: *mut Engine) -> u32 {
    // SAFETY: as there.
    unsafe { &mut *engine }.guarded(Engine::view_trap)
}
