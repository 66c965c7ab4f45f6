//! The guest's floating point state on the host's units: when it is there, how it gets there and back.
//!
//! While translated code runs, each of the two units (x87 with MMX; XMM with MXCSR) is either live, which is to say
//! the host's registers are the guest's, or as Rust wants it, with the guest's state in [`Fpu`]. Code asks for a unit
//! before its first instruction that needs it, and again behind instructions that the interpreter ran. Every call of
//! Rust and every way out writes back what is live ([`emit_spill`]), and what goes on in the middle of a block gets it
//! again ([`emit_fill`]).
//!
//! A unit is given only where nothing that runs on it can fault: all exceptions are masked, none is pending, CR0 and
//! CR4 allow it. Everything else is the interpreter's.

use std::arch::asm;
use std::mem::offset_of;

use super::asm::{Asm, RBP, Reg, Rm, Size, cond};
use super::{Exit, effects, layout as at, x87};
use crate::cpu::{CS, Cpu, cr0, cr4};
use crate::fpu::{FXSAVE_LEN, Fpu, MXCSR_MASK, MXCSR_RESET, sw};
use crate::run::Engine;
use crate::softfloat::F80;

/// Bits of [`Units::live`].
pub(super) const X87: u8 = 1 << 0;
pub(super) const SSE: u8 = 1 << 1;

/// MXCSR's masks.
pub(super) const MXCSR_MASKED: u32 = 0x1f80;

/// No x87 instruction with a memory operand has run since the unit was given.
const NO_SEGMENT: u8 = 0xff;
/// Its segment register was loaded since: the selector is kept in [`Units::fds`].
const KEPT: u8 = 0xfe;

/// What FXSAVE writes and FXRSTOR reads.
#[repr(C, align(16))]
struct Image([u8; FXSAVE_LEN]);

#[repr(C)]
pub(super) struct Units {
    live: u8,
    /// `fip` is that of an instruction that ran since the unit was given. The segment of `fdp` follows it.
    noted: u8,
    data_seg: u8,
    host_cw: u16,
    host_mxcsr: u32,
    /// FIP, FDP and FDS. The host's own lead to translated code.
    fip: u32,
    fdp: u32,
    fds: u16,
    image: Image,
}

impl Default for Units {
    fn default() -> Self {
        Self {
            live: 0,
            noted: 0,
            data_seg: NO_SEGMENT,
            host_cw: 0,
            host_mxcsr: MXCSR_RESET,
            fip: 0,
            fdp: 0,
            fds: 0,
            image: Image([0; FXSAVE_LEN]),
        }
    }
}

pub(super) const LIVE: i32 = at::UNITS + offset_of!(Units, live) as i32;
pub(super) const NOTED: i32 = at::UNITS + offset_of!(Units, noted) as i32;
pub(super) const FIP: i32 = at::UNITS + offset_of!(Units, fip) as i32;
pub(super) const FDP: i32 = at::UNITS + offset_of!(Units, fdp) as i32;
const DATA_SEG: i32 = at::UNITS + offset_of!(Units, data_seg) as i32;
const FDS: i32 = at::UNITS + offset_of!(Units, fds) as i32;
const HOST_CW: i32 = at::UNITS + offset_of!(Units, host_cw) as i32;
const HOST_MXCSR: i32 = at::UNITS + offset_of!(Units, host_mxcsr) as i32;
const IMAGE: i32 = at::UNITS + offset_of!(Units, image) as i32;

// A word at NOTED sets the segment too.
const _: () = assert!(offset_of!(Units, data_seg) == offset_of!(Units, noted) + 1);

/// Takes the units from the guest, if they are live: what they held goes to the image (x87) and to [`Fpu`] (SSE).
/// Called; leaves all registers but XMM alone.
pub(super) fn emit_spill(a: &mut Asm) {
    let (no_x87, no_sse, none) = (a.label(), a.label(), a.label());
    a.alu_imm(Size::B, 7, Rm::Base(RBP, LIVE), 0);
    a.jcc(cond::E, none);
    emit_test_live(a, X87);
    a.jcc(cond::E, no_x87);
    a.rm(Size::Q, &[0x0f, 0xae], 0, Rm::Base(RBP, IMAGE));
    // FNINIT; FLDCW
    a.bytes(&[0xdb, 0xe3]);
    a.rm(Size::D, &[0xd9], 5, Rm::Base(RBP, HOST_CW));
    a.bind(no_x87);
    emit_test_live(a, SSE);
    a.jcc(cond::E, no_sse);
    for i in 0..8 {
        a.rm(Size::D, &[0x0f, 0x11], i, Rm::Base(RBP, at::xmm(i)));
    }
    a.rm(Size::D, &[0x0f, 0xae], 3, Rm::Base(RBP, at::MXCSR));
    a.bind(no_sse);
    a.rm(Size::D, &[0x0f, 0xae], 2, Rm::Base(RBP, HOST_MXCSR));
    a.bind(none);
    a.ret();
}

/// Gives the units to the guest as `live` says. Called; leaves all registers but XMM alone.
pub(super) fn emit_fill(a: &mut Asm) {
    let (no_x87, none) = (a.label(), a.label());
    a.alu_imm(Size::B, 7, Rm::Base(RBP, LIVE), 0);
    a.jcc(cond::E, none);
    a.rm(Size::D, &[0x0f, 0xae], 3, Rm::Base(RBP, HOST_MXCSR));
    emit_test_live(a, X87);
    a.jcc(cond::E, no_x87);
    // FNSTCW; FXRSTOR, of MXCSR too.
    a.rm(Size::D, &[0xd9], 7, Rm::Base(RBP, HOST_CW));
    a.rm(Size::Q, &[0x0f, 0xae], 1, Rm::Base(RBP, IMAGE));
    a.bind(no_x87);
    emit_test_live(a, SSE);
    a.jcc(cond::E, none);
    for i in 0..8 {
        a.rm(Size::D, &[0x0f, 0x10], i, Rm::Base(RBP, at::xmm(i)));
    }
    a.rm(Size::D, &[0x0f, 0xae], 2, Rm::Base(RBP, at::MXCSR));
    a.bind(none);
    a.ret();
}

/// The zero flag is set if `unit` is not live.
pub(super) fn emit_test_live(a: &mut Asm, unit: u8) {
    a.rm(Size::B, &[0xf6], 0, Rm::Base(RBP, LIVE));
    a.bytes(&[unit]);
}

/// What may be given to the guest now.
fn allowed(cpu: &Cpu) -> u8 {
    let f = &cpu.fpu;
    if cpu.cr0 & (cr0::EM | cr0::TS) != 0 {
        return 0;
    }
    let x87 = quiet(f) && !f.ferr && !cpu.notes_opcodes();
    let masked = f.mxcsr & MXCSR_MASKED == MXCSR_MASKED && f.mxcsr & !MXCSR_MASK == 0;
    let sse = masked && cpu.cr4 & cr4::OSFXSR != 0;
    u8::from(x87) * X87 | u8::from(sse) * SSE
}

impl Image {
    /// The x87 half of `f`; the other is what the host has when nobody uses it.
    fn set(&mut self, f: &Fpu) {
        let b = &mut self.0;
        b[0..2].copy_from_slice(&f.cw.to_le_bytes());
        b[2..4].copy_from_slice(&f.status_word().to_le_bytes());
        b[4] = f.tags;
        b[24..28].copy_from_slice(&MXCSR_RESET.to_le_bytes());
        for (i, slot) in b[32..160].chunks_exact_mut(16).enumerate() {
            let r = f.regs[usize::from(f.top) + i & 7];
            slot[..10].copy_from_slice(&r.to_bytes());
        }
    }

    fn get(&self, f: &mut Fpu) {
        let b = &self.0;
        f.cw = u16::from_le_bytes([b[0], b[1]]);
        f.set_status_word(u16::from_le_bytes([b[2], b[3]]));
        f.tags = b[4];
        for (i, slot) in b[32..160].chunks_exact(16).enumerate() {
            let mut r = [0; 10];
            r.copy_from_slice(&slot[..10]);
            f.regs[usize::from(f.top) + i & 7] = F80::from_bytes(r);
        }
    }
}

/// Runs one of the transcendental instructions, D9 `modrm`, on the host. False: with an exception unmasked or pending
/// nothing was done. The last bits of their results are the processor's own, and translated code has the host's: the
/// interpreter must leave the same.
pub(crate) fn on_host(f: &mut Fpu, modrm: u8) -> bool {
    if !quiet(f) {
        return false;
    }
    let mut image = Image([0; FXSAVE_LEN]);
    image.set(f);
    // MXCSR and control word, both of which Rust wants as they are.
    let mut kept = [0_u32; 2];
    macro_rules! run {
        ($op:literal) => {
            // SAFETY: the image is 512 bytes, aligned, and with a valid MXCSR. All exceptions are masked. What Rust may
            // keep in registers that the image loads is declared as lost (XMM, the x87 stack) or put back.
            unsafe {
                asm!(
                    "stmxcsr [{kept}]",
                    "fnstcw [{kept} + 4]",
                    "fxrstor64 [{image}]",
                    $op,
                    "fxsave64 [{image}]",
                    "fninit",
                    "fldcw [{kept} + 4]",
                    "ldmxcsr [{kept}]",
                    image = in(reg) &raw mut image,
                    kept = in(reg) &raw mut kept,
                    clobber_abi("sysv64"),
                )
            }
        };
    }
    match modrm {
        0xf0 => run!("f2xm1"),
        0xf1 => run!("fyl2x"),
        0xf2 => run!("fptan"),
        0xf3 => run!("fpatan"),
        0xf9 => run!("fyl2xp1"),
        0xfb => run!("fsincos"),
        0xfe => run!("fsin"),
        0xff => run!("fcos"),
        _ => return false,
    }
    image.get(f);
    true
}

/// All x87 exceptions are masked and none is pending.
fn quiet(f: &Fpu) -> bool {
    f.cw & sw::EXCEPTIONS == sw::EXCEPTIONS && f.sw & sw::ES == 0
}

/// A segment register is about to be loaded that FDS may be that of. Uses `free`; the flags are lost.
pub(super) fn emit_keep_selector(a: &mut Asm, seg: usize, free: Reg) {
    let other = a.label();
    a.alu_imm(Size::B, 7, Rm::Base(RBP, DATA_SEG), seg as u32);
    a.jcc(cond::NE, other);
    a.load(Size::W, free, Rm::Base(RBP, at::segment_selector(seg)));
    a.store(Size::W, Rm::Base(RBP, FDS), free);
    a.store_imm(Size::B, Rm::Base(RBP, DATA_SEG), u32::from(KEPT));
    a.bind(other);
}

impl Engine {
    /// After [`emit_spill`]: the guest's state is in `cpu` again. With the instruction that is about to run, if code
    /// is still in its block. Returns what was live.
    pub(super) fn take_units(&mut self, site: Option<(u32, usize)>) -> u8 {
        let live = std::mem::take(&mut self.hot.units.live);
        if live & X87 == 0 {
            return live;
        }
        if let Some((id, k)) = site {
            self.note_before(id, k);
        }
        let (u, cpu) = (&self.hot.units, &mut self.cpu);
        u.image.get(&mut cpu.fpu);
        if u.noted != 0 {
            cpu.fpu.fip = u.fip;
            cpu.fpu.fcs = cpu.seg[CS].selector;
        }
        if u.data_seg != NO_SEGMENT {
            cpu.fpu.fdp = u.fdp;
            cpu.fpu.fds = match u.data_seg {
                KEPT => u.fds,
                seg => cpu.seg[usize::from(seg & 7)].selector,
            };
        }
        live
    }

    /// FIP, and the segment of FDP, as instructions of block `id` before instruction `k` left them. Code itself tells
    /// of them when it leaves the block.
    fn note_before(&mut self, id: u32, k: usize) {
        self.decoded(id);
        let start = self.cpu.code.eip(self.cache.block(id));
        let u = &mut self.hot.units;
        let mut found = false;
        for i in self.cache.insns(id)[..k].iter().rev() {
            // The interpreter ran it, and had the units; or code has told of what came before.
            if effects::effects(i).is_none() || effects::loads_selector(i) {
                return;
            }
            if !x87::is_noted(i) {
                continue;
            }
            if !std::mem::replace(&mut found, true) {
                u.fip = start.wrapping_add(u32::from(i.end)).wrapping_sub(u32::from(i.len));
                u.noted = 1;
            }
            if i.is_mem() {
                u.data_seg = i.seg;
                return;
            }
        }
    }

    /// Makes units live, which [`emit_fill`] sees to. False: they may not be.
    pub(super) fn give_units(&mut self, units: u8) -> bool {
        if units & !allowed(&self.cpu) != 0 {
            return false;
        }
        let (u, f) = (&mut self.hot.units, &self.cpu.fpu);
        u.live = units;
        if units & X87 != 0 {
            u.image.set(f);
            (u.fip, u.fdp) = (f.fip, f.fdp);
            (u.noted, u.data_seg) = (0, NO_SEGMENT);
        }
        true
    }

    /// Instruction `k` of block `id` is about to need `unit`.
    pub(super) fn want_units(&mut self, id: u32, k: usize, unit: u8) -> u32 {
        let live = self.take_units(Some((id, k)));
        // What was live may stay so.
        if self.give_units(live | unit) {
            return 0;
        }
        // Code is kept longer than what it was made of.
        self.decoded(id);
        let b = self.cache.block(id);
        let (start, n) = (self.cpu.code.eip(b), self.cache.insns(id).len());
        let i = self.cache.insns(id)[k];
        self.cpu.eip = start.wrapping_add(u32::from(i.end)).wrapping_sub(u32::from(i.len));
        self.count_site(n, k);
        self.leave_after(k);
        Exit::Refused as u32
    }

    /// The interpreter has run instruction `k` and code would go on behind it if `r` is 0. What was live must be so
    /// again, else the block is left.
    pub(super) fn keep_units(&mut self, live: u8, k: usize, r: u32) -> u32 {
        if r != 0 || live == 0 || self.give_units(live) {
            return r;
        }
        self.leave_after(k + 1);
        Exit::Next as u32
    }
}
