//! What translated code calls: one instruction by the interpreter, and the slow path of memory.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Exit, VIEW, effects, layout, pack, unpack};
use crate::cpu::eflags;
use crate::flags::Flags;
use crate::run::Engine;

/// The instruction can be tried again.
pub(super) const RETRY: u32 = 0;
/// The interpreter has done it.
const DONE: u32 = 1;
/// Code goes on at [`super::Hot::resume`].
pub(super) const ELSEWHERE: u32 = 1;
/// The lookup's answer is in [`super::Hot::lin`].
pub(super) const FOUND: u32 = Exit::LAST + 1;

impl Engine {
    /// Instruction `k` of block `id`, all of which has been taken off [`super::Hot::left`]. All guest registers are in
    /// `cpu`. 0: go on behind it.
    pub(super) fn interpret_site(&mut self, id: u32, k: usize) -> u32 {
        let Some(io) = self.hot.io else { return Exit::Boundary as u32 };
        // SAFETY: set by `Engine::enter`, which holds the borrow until translated code returns; nothing else uses it.
        let io = unsafe { &mut *io };
        self.decoded(id);
        let b = self.cache.block(id);
        let (leaves, start) = (b.leaves(), self.cpu.code.eip(b));
        let insns = self.cache.insns(id);
        let (n, insn) = (insns.len(), insns[k]);
        self.count_site(n, k);
        let cpu = &mut self.cpu;
        cpu.eip = start.wrapping_add(u32::from(insn.end));
        cpu.flags = Flags::unpack(unpack(self.hot.flags));
        if let Some(j) = &mut self.jit {
            j.counters.interpreted += 1;
        }
        // Filling the TLB on the way here may have called out.
        let waiting = cpu.end_block;
        let generation = cpu.ram_generation;
        let r = (insn.exec)(cpu, io, &insn);
        self.hot.flags = pack(cpu.flags.pack());
        // The last one may have gone anywhere.
        let gone = match r {
            Ok(()) if effects::goes_on(&insn) => {
                // The shadow of STI keeps nothing away where nothing waits, and nothing comes before the next call out:
                // which must not be the poll that is due right behind it.
                let due = cpu.icount.wrapping_add(k as u64 + 1) >= cpu.poll_at;
                self.hot.intr = io.intr_pending();
                cpu.sti_shadow &= due || self.hot.intr;
                let quiet = !waiting && cpu.ram_generation == generation && self.is_quiet();
                self.cpu.end_block = !quiet;
                k + 1 == n && !quiet
            }
            Ok(()) => k + 1 == n,
            Err(f) if f.is_jump() => true,
            Err(f) => {
                cpu.insn_eip = start.wrapping_add(u32::from(insn.end)).wrapping_sub(u32::from(insn.len));
                self.hot.fault = Some((k, f));
                return Exit::Fault as u32;
            }
        };
        if gone || self.cpu.end_block {
            self.leave_after(k + 1);
            return if leaves && k + 1 == n || self.cpu.end_block { Exit::Boundary } else { Exit::Next }
                as u32;
        }
        // A repeated instruction has counted its elements.
        self.hot.left = self.hot.until.wrapping_sub(self.cpu.icount) as i64 - n as i64;
        0
    }

    /// Nothing waits that the run loop would look at before the next instruction, and that is translated for the mode
    /// that there is.
    fn is_quiet(&self) -> bool {
        let cpu = &self.cpu;
        self.nothing_waits()
            && std::ptr::eq(cpu.tlb.set(), self.hot.set)
            && (!cpu.viewed || cpu.views.base() == Some(self.hot.view))
    }

    /// The run loop would go on with translated code of any mode. [`super::Hot::intr`] is up to date.
    fn nothing_waits(&self) -> bool {
        let cpu = &self.cpu;
        let shadow = cpu.mov_ss_shadow || cpu.sti_shadow;
        let intr = cpu.eflags & eflags::IF != 0 && self.hot.intr;
        !shadow
            && !intr
            && !self.kicker.is_kicked()
            && !cpu.halted
            && cpu.pending_debug == 0
            && cpu.eflags & (eflags::TF | eflags::RF) == 0
            && !cpu.code.anything_written()
            && cpu.flat()
    }

    /// Before instruction `k` of block `id`, which may change the privilege: what ran goes on its view's account.
    fn settle(&mut self, id: u32, k: usize) {
        let b = self.cache.block(id);
        let (n, leaves) = (usize::from(b.n), b.leaves());
        if !(leaves && k + 1 == n) {
            return;
        }
        self.decoded(id);
        if !self.cache.insns(id).get(k).is_some_and(effects::goes_on) {
            self.count_site(n, k);
            let now = self.cpu.retired();
            self.cpu.ran(now - self.hot.since);
            self.hot.since = now;
        }
    }

    /// After the last instruction of a block, which may have gone anywhere, as into the kernel or out of it: what the run
    /// loop would do if nothing waits and there is code at EIP. Code is at [`super::Hot::resume`] then.
    fn goes_elsewhere(&mut self) -> bool {
        let Some(io) = self.hot.io else { return false };
        // SAFETY: as in `interpret_site`.
        let io = unsafe { &mut *io };
        let cpu = &mut self.cpu;
        let quiet = cpu.icount < cpu.poll_at && !cpu.breakpoints.code && !cpu.tlb.alignment_checks();
        self.hot.intr = io.intr_pending();
        if self.hot.left <= 0 || !quiet || !self.nothing_waits() {
            return false;
        }
        self.cpu.end_block = false;
        if !self.select_world() {
            return false;
        }
        // A return with the right address in the wrong world would go on there: two processes may share a page of code, and
        // only one of them has a view. Its code would find the memory of the other.
        let world = self.cpu.world();
        if self.hot.worlds & 1 << (world ^ VIEW) != 0 {
            return false;
        }
        self.hot.worlds |= 1 << world;
        let Some(code) = self.find_translation() else { return false };
        let Some(jit) = &mut self.jit else { return false };
        self.hot.resume = jit.buffer.address(code);
        jit.counters.elsewhere += 1;
        true
    }

    /// Brings the count of instructions to that of instruction `k` of a block of `n`.
    pub(super) fn count_site(&mut self, n: usize, k: usize) {
        let cpu = &mut self.cpu;
        cpu.icount = self.hot.until.wrapping_sub((self.hot.left + n as i64) as u64);
        cpu.done = k as u32;
    }

    /// The block is left after so many of its instructions.
    pub(super) fn leave_after(&mut self, executed: usize) {
        let cpu = &mut self.cpu;
        cpu.icount = cpu.icount.wrapping_add(executed as u64);
        cpu.done = 0;
        self.hot.left = self.hot.until.wrapping_sub(cpu.icount) as i64;
    }

    fn memory_site(&mut self, lin: u32, access: u32, ret: *const u8) -> u32 {
        let Some((jit, io)) = self.jit.as_mut().zip(self.hot.io) else { return Exit::Boundary as u32 };
        if let Some((len, true)) = layout::access_parts(access)
            && let Some(at) = self.cpu.beside_code(lin, len)
        {
            self.hot.lin = at;
            return FOUND;
        }
        jit.counters.tlb_misses += 1;
        if let Some((len, write)) = layout::access_parts(access)
            && self.cpu.tables_are_memory(lin)
        {
            // Nothing calls out, so nobody wants to know where the program is.
            // SAFETY: as in `interpret_site`.
            let io = unsafe { &mut *io };
            if self.cpu.fill_tlb(io, lin, len, write) && !self.cpu.end_block {
                return RETRY;
            }
        }
        let Some((id, site, done)) = self.jit.as_ref().and_then(|j| j.site(ret)) else {
            return Exit::Boundary as u32;
        };
        let k = usize::from(site.k);
        // Before anything is written.
        self.decoded(id);
        if let Some((len, write)) = layout::access_parts(access) {
            let n = self.cache.insns(id).len();
            self.count_site(n, k);
            // SAFETY: as in `interpret_site`.
            let io = unsafe { &mut *io };
            if self.cpu.fill_tlb(io, lin, len, write) && !self.cpu.end_block {
                return RETRY;
            }
        }
        self.interpret_instead(id, k, done)
    }

    /// The interpreter does what code could not, and code goes on at `done`.
    pub(super) fn interpret_instead(&mut self, id: u32, k: usize, done: *const u8) -> u32 {
        self.hot.resume = done;
        let live = self.take_units(Some((id, k)));
        let r = self.interpret_site(id, k);
        match self.keep_units(live, k, r) {
            0 => DONE,
            exit => exit,
        }
    }

    /// A panic must not run through frames that have no tables to unwind them by.
    pub(super) fn guarded(&mut self, f: impl FnOnce(&mut Self) -> u32) -> u32 {
        match catch_unwind(AssertUnwindSafe(|| f(self))) {
            Ok(r) => r,
            Err(p) => {
                self.hot.panic = Some(p);
                Exit::Panic as u32
            }
        }
    }
}

/// # Safety
/// `engine` is the one that runs the calling code.
pub(super) unsafe extern "sysv64" fn interpret(engine: *mut Engine, site: u32) -> u32 {
    let (id, k) = layout::site_parts(site);
    // SAFETY: translated code got its engine's address from `Engine::enter`, which uses nothing of it until the code
    // returns.
    unsafe { &mut *engine }.guarded(|e| {
        e.take_units(Some((id, k)));
        e.settle(id, k);
        let r = e.interpret_site(id, k);
        if r == Exit::Boundary as u32 && e.goes_elsewhere() { ELSEWHERE } else { r }
    })
}

/// # Safety
/// As above.
pub(super) unsafe extern "sysv64" fn interpret_keep(engine: *mut Engine, site: u32) -> u32 {
    let (id, k) = layout::site_parts(site);
    // SAFETY: as above.
    unsafe { &mut *engine }.guarded(|e| {
        let live = e.take_units(Some((id, k)));
        let r = e.interpret_site(id, k);
        e.keep_units(live, k, r)
    })
}

/// # Safety
/// As above.
pub(super) unsafe extern "sysv64" fn want_units(engine: *mut Engine, site: u32, unit: u32) -> u32 {
    let (id, k) = layout::site_parts(site);
    // SAFETY: as above.
    unsafe { &mut *engine }.guarded(|e| e.want_units(id, k, unit as u8))
}

/// # Safety
/// As above; `ret` leads back to that code.
pub(super) unsafe extern "sysv64" fn memory(
    engine: *mut Engine,
    lin: u32,
    access: u32,
    ret: *const u8,
) -> u32 {
    // SAFETY: as above.
    unsafe { &mut *engine }.guarded(|e| e.memory_site(lin, access, ret))
}
