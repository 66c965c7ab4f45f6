//! The host's own processor as the oracle: runs 32-bit user code in compatibility mode of a 64-bit process.
//!
//! The memory of [`crate::layout`] is mapped at its real addresses. One `Host` exists at a time in a process,
//! on one thread. Not usable where the kernel hides the 32-bit selectors, FSGSBASE or low addresses;
//! [`Host::new`] then says why.
#![allow(
    unsafe_code,
    reason = "running foreign machine code needs fixed mappings, signal handlers and assembly"
)]

mod entry;
mod ldt;
mod signals;

use std::io;
use std::marker::PhantomData;
use std::ptr::copy_nonoverlapping;
use std::sync::{Mutex, MutexGuard, PoisonError};

use entry::{
    HEIRLOOM_ORACLE_FRAME, RUN, STEP, STEP_SLOWLY, Trap, heirloom_oracle_enter, heirloom_oracle_leave,
};
use signals::ThreadSetup;

use crate::layout::{
    ALIAS, CODE, CODE_LEN, CS32, DATA, DATA_LEN, DATA_RW, EXIT, Memory, PAGE, STACK, STACK_LEN,
};
use crate::snapshot::{Regs, Snapshot, Stop, TF};

static ONE: Mutex<()> = Mutex::new(());

const HWCAP2_FSGSBASE: u64 = 1 << 1;

pub struct Host {
    _thread: ThreadSetup,
    _one: MutexGuard<'static, ()>,
    _not_send: PhantomData<*mut ()>,
}

/// The number of the CPU shows in a segment limit; it must not change in the middle.
fn stay_on_this_cpu() -> io::Result<()> {
    // SAFETY: plain system calls with a valid set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu().max(0) as usize, &mut set);
        if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn map(at: u32, len: usize, prot: i32) -> io::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: MAP_FIXED_NOREPLACE never replaces a mapping that Rust knows of.
    let p = unsafe { libc::mmap(at as usize as *mut _, len, prot, flags, -1, 0) };
    if p as usize != at as usize {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The same memory at two addresses.
fn map_twice(at: u32, prot: i32, again: u32, prot_again: i32, len: usize) -> io::Result<()> {
    // SAFETY: plain system calls; as in `map`, nothing of Rust's is replaced. The file descriptor is ours alone.
    unsafe {
        let fd = libc::memfd_create(c"code".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 || libc::ftruncate(fd, len as libc::off_t) != 0 {
            return Err(io::Error::last_os_error());
        }
        let flags = libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE;
        for (at, prot) in [(at, prot), (again, prot_again)] {
            let p = libc::mmap(at as usize as *mut _, len, prot, flags, fd, 0);
            if p as usize != at as usize {
                return Err(io::Error::last_os_error());
            }
        }
        libc::close(fd);
    }
    Ok(())
}

fn unmap(at: u32, len: usize) {
    // SAFETY: only called for what `map` mapped.
    unsafe { libc::munmap(at as usize as *mut _, len) };
}

fn protect(at: u32, len: usize, prot: i32) -> io::Result<()> {
    // SAFETY: the range is one of our own fixed mappings, to which no Rust reference exists.
    if unsafe { libc::mprotect(at as usize as *mut _, len, prot) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The bytes of the exit page: `jmp far 33h:next`, then in 64-bit mode `jmp [rip + 3]` to the assembly.
/// The pointer is aligned because EFLAGS.AC may be set.
fn exit_code() -> [u8; 24] {
    let mut code = [0xcc; 24];
    code[0] = 0xea;
    code[1..5].copy_from_slice(&(EXIT + 7).to_le_bytes());
    code[5..7].copy_from_slice(&0x33_u16.to_le_bytes());
    code[7..13].copy_from_slice(&[0xff, 0x25, 3, 0, 0, 0]);
    code[16..24].copy_from_slice(&(heirloom_oracle_leave as *const () as u64).to_le_bytes());
    code
}

impl Host {
    pub fn new() -> io::Result<Self> {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: reads the auxiliary vector.
        if unsafe { libc::getauxval(libc::AT_HWCAP2) } & HWCAP2_FSGSBASE == 0 {
            return Err(io::Error::other("this kernel does not let programs use WRFSBASE"));
        }
        stay_on_this_cpu()?;
        let rw = libc::PROT_READ | libc::PROT_WRITE;
        map_twice(CODE, rw | libc::PROT_EXEC, ALIAS, rw, CODE_LEN)?;
        map(DATA, DATA_LEN, rw)?;
        map(STACK, STACK_LEN, rw)?;
        map(EXIT, PAGE, rw)?;
        let exit = exit_code();
        // SAFETY: the exit page was just mapped, writable, and is larger than the code.
        unsafe { copy_nonoverlapping(exit.as_ptr(), EXIT as usize as *mut u8, exit.len()) };
        protect(EXIT, PAGE, libc::PROT_READ | libc::PROT_EXEC)?;
        signals::install()?;
        signals::forbid_32bit_syscalls()?;
        ldt::install()?;
        let thread = ThreadSetup::new()?;
        let mut host = Self { _thread: thread, _one: one, _not_send: PhantomData };
        host.load(&Memory::default())?;
        Ok(host)
    }

    /// Writes the whole memory, the read-only page too.
    pub fn load(&mut self, memory: &Memory) -> io::Result<()> {
        protect(DATA, DATA_LEN, libc::PROT_READ | libc::PROT_WRITE)?;
        for (at, bytes) in memory.pieces() {
            // SAFETY: each piece is mapped writable at its address with its length; nobody else refers to it.
            unsafe { copy_nonoverlapping(bytes.as_ptr(), at as usize as *mut u8, bytes.len()) };
        }
        protect(DATA + DATA_RW as u32, DATA_LEN - DATA_RW, libc::PROT_READ)
    }

    /// Writes all but the read-only page.
    pub fn reload(&mut self, memory: &Memory) {
        for (at, bytes) in memory.pieces() {
            let len = if at == DATA { DATA_RW } else { bytes.len() };
            // SAFETY: as in `load`, without the page that is not writable.
            unsafe { copy_nonoverlapping(bytes.as_ptr(), at as usize as *mut u8, len) };
        }
    }

    /// What the sequence left behind.
    pub fn store(&self, memory: &mut Memory) {
        for (at, bytes) in memory.pieces_mut() {
            // SAFETY: each piece is mapped readable at its address with its length.
            unsafe { copy_nonoverlapping(at as usize as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        }
    }

    /// Runs from `regs` until the exit or a fault.
    pub fn run(&mut self, regs: &Regs) -> Snapshot {
        self.enter(regs, RUN)
    }

    /// Runs one instruction (two if the first loads SS): it ends with a single-step trap, or another fault.
    pub fn step(&mut self, regs: &Regs) -> Snapshot {
        let small = crate::ldt::of_selector(regs.seg[2]).is_some_and(|e| !e.big);
        self.enter(regs, if small { STEP_SLOWLY } else { STEP })
    }

    fn enter(&mut self, regs: &Regs, how: u32) -> Snapshot {
        let frame = HEIRLOOM_ORACLE_FRAME.get();
        // SAFETY: this thread owns the frame (`ONE`). The code at the far pointer is foreign by purpose: it runs
        // with user rights in its own mappings below 4 GiB; what it can't do without a fault it can't do. What
        // it could do to this process is a system call, which the filter refuses.
        unsafe {
            (*frame).fx_in = regs.fx;
            (*frame).gpr_in = regs.gpr;
            (*frame).flags_in = u64::from(if how == RUN { regs.eflags } else { regs.eflags | TF });
            (*frame).entering = how;
            (*frame).eip = regs.eip;
            (*frame).cs = u32::from(regs.seg[1]);
            (*frame).seg_in = regs.seg.map(u32::from);
            (*frame).trap = Trap::NONE;
            heirloom_oracle_enter();
            let trap = (*frame).trap;
            let mut out = Regs {
                gpr: (*frame).gpr_out,
                eip: EXIT,
                eflags: (*frame).flags_out as u32,
                seg: (*frame).seg_out.map(|s| s as u16),
                fx: (*frame).fx_out,
            };
            out.seg[1] = CS32;
            let mut stop = Stop::Exit;
            if trap.taken != 0 {
                out.eip = trap.eip;
                out.eflags = trap.eflags;
                out.seg[1] = trap.cs as u16;
                out.seg[2] = trap.ss as u16;
                stop = match trap.vector {
                    signals::VECTOR_RUNAWAY => Stop::Runaway,
                    signals::VECTOR_SYSCALL => Stop::Broken,
                    v => {
                        let has_error = matches!(v, 8 | 10..=14 | 17);
                        Stop::Fault {
                            vector: v as u8,
                            error: if has_error { trap.error } else { 0 },
                            address: if v == 14 { trap.address } else { 0 },
                        }
                    }
                };
            }
            Snapshot { stop, regs: out }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for (at, len) in
            [(CODE, CODE_LEN), (ALIAS, CODE_LEN), (DATA, DATA_LEN), (STACK, STACK_LEN), (EXIT, PAGE)]
        {
            unmap(at, len);
        }
    }
}
