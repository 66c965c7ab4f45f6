//! Interrupts and exceptions: through the IVT, gates and task gates, and what happens when that faults.
//!
//! SDM vol. 3, chapter 6; vol. 2, INT n. One attempt ([`Cpu::vector_through`]) reads and writes memory first and
//! changes registers last, so a faulting attempt leaves the program where it was (task switches excepted, which
//! commit in the middle by design). [`Cpu::deliver`] drives attempts: a second fault replaces the first or makes a
//! double fault of it; a fault in the double fault's delivery shuts the processor down.

use hv_vcpu::{GuestIo, Stop};

use crate::cpu::{CS, Cpu, DS, ES, ESP, FS, GS, Mode, SS, SegReg, TR, eflags};
use crate::debug::{dr6, dr7};
use crate::fault::{Exec, Fault};
use crate::mem::Priv;
use crate::seg::{Desc, code_of, is_null, sys};
use crate::task::Switch;

/// Where an interrupt comes from: who may use the gate, and what the image of EFLAGS says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// INT n: checks the gate's DPL, and IOPL in V86 mode.
    Int,
    /// INT3 and INTO: check the gate's DPL.
    Int3,
    /// INT1 (F1): no check.
    Int1,
    /// The processor or the outside.
    Hardware,
}

/// Bit 1 of an error code: the index is into the IDT.
const IDT: u16 = 2;

#[derive(PartialEq, Eq)]
enum Class {
    Benign,
    Contributory,
    PageFault,
}

fn class(vector: u8) -> Class {
    match vector {
        Fault::DE | Fault::TS..=Fault::GP => Class::Contributory,
        Fault::PF => Class::PageFault,
        _ => Class::Benign,
    }
}

/// Second fault `b` while `a` was being delivered. SDM vol. 3, table 6-5. `None`: shutdown.
fn combine(a: Fault, b: Fault) -> Option<Fault> {
    let (ca, cb) = (class(a.vector()), class(b.vector()));
    if a.vector() == Fault::DF {
        return None;
    }
    Some(match (ca, cb) {
        (Class::Contributory, Class::Contributory)
        | (Class::PageFault, Class::Contributory | Class::PageFault) => Fault::df(),
        _ => b.with_ext(),
    })
}

impl Cpu {
    /// Delivers what a handler returned. EIP and the rest are as the fault found them.
    pub(crate) fn deliver(&mut self, io: &mut dyn GuestIo, fault: Fault) -> Result<(), Stop> {
        if fault.restarts() {
            self.eip = self.insn_eip;
            // Data breakpoints of an instruction that did not happen.
            self.pending_debug &= dr6::BT;
        }
        self.deliver_from_here(io, fault)
    }

    /// An interrupt from outside, at an instruction boundary: `vector` from the 8259.
    pub(crate) fn deliver_external(&mut self, io: &mut dyn GuestIo, vector: u8) -> Result<(), Stop> {
        match self.vector_through(io, vector, Source::Hardware, None) {
            Ok(()) => Ok(()),
            Err(second) => self.deliver_from_here(io, second.with_ext()),
        }
    }

    fn deliver_from_here(&mut self, io: &mut dyn GuestIo, first: Fault) -> Result<(), Stop> {
        let mut fault = first;
        loop {
            if fault.vector() == Fault::PF {
                self.cr2 = self.fault_lin;
            }
            if fault.vector() == Fault::DB {
                self.dr[7] &= !dr7::GD;
            }
            // Faults push an image with RF set, so that the return does not meet the same code breakpoint.
            let rf = self.eflags & eflags::RF;
            if !fault.is_trap() {
                self.eflags |= eflags::RF;
            }
            match self.vector_through(io, fault.vector(), Source::Hardware, fault.code()) {
                Ok(()) => return Ok(()),
                Err(second) => {
                    self.eflags = self.eflags & !eflags::RF | rf;
                    fault = combine(fault, second).ok_or(Stop::TripleFault)?;
                }
            }
        }
    }

    /// INT n, INT3, INTO, INT1. EIP is that of the next instruction.
    pub(crate) fn software_int(&mut self, io: &mut dyn GuestIo, vector: u8, source: Source) -> Exec {
        if source == Source::Int && self.v86() && self.iopl() < 3 {
            return Err(Fault::gp(0));
        }
        let r = self.vector_through(io, vector, source, None);
        if source == Source::Int1 { r.map_err(Fault::with_ext) } else { r }
    }

    /// One attempt to enter the handler of `vector`, with EIP as the return address.
    fn vector_through(
        &mut self,
        io: &mut dyn GuestIo,
        vector: u8,
        source: Source,
        code: Option<u16>,
    ) -> Exec {
        if self.mode == Mode::Real {
            self.real_vector(io, vector)
        } else {
            self.gate(io, vector, source, code)
        }
    }

    fn real_vector(&mut self, io: &mut dyn GuestIo, vector: u8) -> Exec {
        let at = u32::from(vector) * 4;
        if at + 3 > u32::from(self.idtr.limit) {
            return Err(Fault::gp(u16::from(vector) * 8 + IDT));
        }
        let target = self.lin_read32(io, self.idtr.base.wrapping_add(at), Priv::Supervisor)?;
        let image = self.eflags();
        let frame = [image, u32::from(self.seg[CS].selector), self.eip];
        let sp = self.push_frame(io, &self.seg[SS].clone(), self.gpr[ESP], &frame, false, false, 0)?;
        self.set_sp(sp);
        self.eflags &= !(eflags::IF | eflags::TF | eflags::AC | eflags::RF);
        let cs = self.seg[CS].real((target >> 16) as u16, CS);
        self.set_cs(cs, 0, target & 0xffff);
        // Real mode keeps the whole selector.
        self.seg[CS].selector = (target >> 16) as u16;
        Ok(())
    }

    fn gate(&mut self, io: &mut dyn GuestIo, vector: u8, source: Source, code: Option<u16>) -> Exec {
        let at = u32::from(vector) * 8;
        let bad_gate = u16::from(vector) * 8 + IDT;
        if at + 7 > u32::from(self.idtr.limit) {
            return Err(Fault::gp(bad_gate));
        }
        let at = self.idtr.base.wrapping_add(at);
        let v = self.lin_read64(io, at, Priv::Supervisor)?;
        let gate = Desc { lo: v as u32, hi: (v >> 32) as u32, at };
        let known = !gate.is_segment()
            && matches!(gate.kind(), sys::TASK_GATE | sys::INT16 | sys::TRAP16 | sys::INT32 | sys::TRAP32);
        let guarded = matches!(source, Source::Int | Source::Int3);
        if !known || guarded && gate.dpl() < self.cpl {
            return Err(Fault::gp(bad_gate));
        }
        if !gate.present() {
            return Err(Fault::np(bad_gate));
        }
        if gate.kind() == sys::TASK_GATE {
            return self.interrupt_task(io, gate.gate_selector(), code);
        }
        self.interrupt_gate(io, &gate, code)
    }

    fn interrupt_task(&mut self, io: &mut dyn GuestIo, selector: u16, code: Option<u16>) -> Exec {
        let tss = self.available_tss(io, selector, Fault::gp)?;
        self.switch_task(io, selector, &tss, Switch::Call)?;
        let Some(code) = code else { return Ok(()) };
        let wide = self.seg[TR].attr & 8 != 0;
        let ss = self.seg[SS];
        let sp = self.push_frame(io, &ss, self.gpr[ESP], &[u32::from(code)], wide, self.cpl == 3, 0);
        self.set_sp(sp.map_err(Fault::in_new_task)?);
        Ok(())
    }

    fn interrupt_gate(&mut self, io: &mut dyn GuestIo, gate: &Desc, code: Option<u16>) -> Exec {
        let selector = gate.gate_selector();
        if is_null(selector) {
            return Err(Fault::gp(0));
        }
        let bad = Fault::gp(code_of(selector));
        let d = self.descriptor(io, selector)?.ok_or(bad)?;
        if !d.is_code() || d.dpl() > self.cpl {
            return Err(bad);
        }
        if !d.present() {
            return Err(Fault::np(code_of(selector)));
        }
        let wide = gate.kind() & 8 != 0;
        let offset = gate.gate_offset();
        let vm = self.v86();
        let inner = !d.is_conforming() && d.dpl() < self.cpl;
        if vm && (!inner || d.dpl() != 0) || !inner && !d.is_conforming() && d.dpl() != self.cpl {
            return Err(bad);
        }
        let mut items = [0; 10];
        let mut n = 0;
        let mut put = |v: u32| {
            items[n] = v;
            n += 1;
        };
        let sel = |i: usize| u32::from(self.seg[i].selector);
        if vm {
            for s in [GS, FS, DS, ES] {
                put(sel(s));
            }
        }
        if inner {
            put(sel(SS));
            put(self.gpr[ESP]);
        }
        put(self.eflags());
        put(sel(CS));
        put(self.eip);
        if let Some(c) = code {
            put(u32::from(c));
        }
        let cpl = if inner { d.dpl() } else { self.cpl };
        let (ss, esp) = if inner {
            let (selector, esp) = self.stack_of(io, cpl)?;
            (self.check_ss(io, selector, cpl, Fault::ts)?, esp)
        } else {
            (self.seg[SS], self.gpr[ESP])
        };
        self.mark_accessed(io, &d)?;
        if offset > d.limit() {
            return Err(Fault::gp(0));
        }
        let ss_code = if inner { code_of(ss.selector) } else { 0 };
        let esp = self.push_frame(io, &ss, esp, &items[..n], wide, cpl == 3, ss_code)?;

        // Nothing faults from here on.
        let clear = eflags::TF | eflags::VM | eflags::RF | eflags::NT;
        self.eflags &= !clear;
        if gate.kind() & 1 == 0 {
            self.eflags &= !eflags::IF;
        }
        if inner {
            self.seg[SS] = ss;
        }
        self.set_sp(esp);
        if vm {
            for s in [GS, FS, DS, ES] {
                self.seg[s] = SegReg::null(0);
            }
        }
        self.set_cs(d.load(selector), cpl, offset);
        if vm {
            self.mode_changed();
        }
        Ok(())
    }

    /// SS and ESP for privilege `cpl` out of the task state segment. SDM vol. 3, 7.2.1, 7.6.
    pub(crate) fn stack_of(&mut self, io: &mut dyn GuestIo, cpl: u8) -> Result<(u16, u32), Fault> {
        let tss = self.seg[TR];
        let wide = tss.attr & 8 != 0;
        let at = if wide { u32::from(cpl) * 8 + 4 } else { u32::from(cpl) * 4 + 2 };
        let last = if wide { 7 } else { 3 };
        if at + last > tss.limit {
            return Err(Fault::ts(code_of(tss.selector)));
        }
        let lin = tss.base.wrapping_add(at);
        if wide {
            let esp = self.lin_read32(io, lin, Priv::Supervisor)?;
            Ok((self.lin_read16(io, lin.wrapping_add(4), Priv::Supervisor)?, esp))
        } else {
            let v = self.lin_read32(io, lin, Priv::Supervisor)?;
            Ok(((v >> 16) as u16, v & 0xffff))
        }
    }

    /// Pushes `items`, first one first, on a stack that need not be the current one. Nothing is written unless all
    /// can be. Returns the new stack pointer; `code` is that of #SS.
    #[expect(
        clippy::too_many_arguments,
        reason = "a stack is a segment, a pointer, a privilege and an error code"
    )]
    pub(crate) fn push_frame(
        &mut self,
        io: &mut dyn GuestIo,
        ss: &SegReg,
        esp: u32,
        items: &[u32],
        wide: bool,
        user: bool,
        code: u16,
    ) -> Result<u32, Fault> {
        let size = if wide { 4 } else { 2 };
        let mask = if ss.big() { u32::MAX } else { 0xffff };
        let total = size * items.len() as u32;
        let low = esp.wrapping_sub(total) & mask;
        // The usual case: the frame lies in one piece.
        if total <= 256 && low <= mask - (total - 1) {
            ss.check_stack(low, total).map_err(|()| Fault::ss(code))?;
            let mut image = [0; 256];
            for (i, v) in items.iter().rev().enumerate() {
                let at = i * size as usize;
                image[at..at + size as usize].copy_from_slice(&v.to_le_bytes()[..size as usize]);
            }
            let lin = ss.base.wrapping_add(low);
            if self.lin_write(io, lin, &image[..total as usize], user).is_ok() {
                self.watch(lin, total, true);
                return Ok(low);
            }
            // Slot by slot finds the fault that the first push in order meets.
        }
        for pass in [false, true] {
            let mut sp = esp & mask;
            for v in items {
                sp = sp.wrapping_sub(size) & mask;
                ss.check_stack(sp, size).map_err(|()| Fault::ss(code))?;
                let lin = ss.base.wrapping_add(sp);
                if pass {
                    self.lin_write(io, lin, &v.to_le_bytes()[..size as usize], user)?;
                } else {
                    self.lin_probe(io, lin, size, crate::mem::Access::Write, user)?;
                }
            }
        }
        Ok(low)
    }
}

impl SegReg {
    /// Is `off..off + len` inside this stack segment?
    pub(crate) fn check_stack(&self, off: u32, len: u32) -> Result<(), ()> {
        let last = u64::from(off) + u64::from(len) - 1;
        let inside = if self.expands_down() {
            off > self.limit && last <= if self.big() { u64::from(u32::MAX) } else { 0xffff }
        } else {
            self.unlimited() || last <= u64::from(self.limit)
        };
        if inside { Ok(()) } else { Err(()) }
    }
}
