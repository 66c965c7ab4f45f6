//! Turns a form into bytes: prefixes, ModRM, SIB, displacement, immediate.

use super::builder::Build;
use super::forms::{Form, Imm, ModRm};
use super::values::int32;
use crate::layout::{CODE, CODE_LEN, CS32, DATA, DATA_LEN, DATA_RW, DS32, STACK, STACK_LEN};
use crate::ldt;
use crate::snapshot::{EBP, EBX, EDI, ESI, ESP};

/// A byte string under construction; longer than 15 is thrown away later.
#[derive(Clone, Copy, Default)]
pub(super) struct Bytes {
    pub(super) b: [u8; 32],
    pub(super) len: usize,
}

impl Bytes {
    pub(super) fn push(&mut self, v: u8) {
        if self.len < self.b.len() {
            self.b[self.len] = v;
            self.len += 1;
        }
    }
    pub(super) fn push16(&mut self, v: u16) {
        v.to_le_bytes().into_iter().for_each(|b| self.push(b));
    }
    pub(super) fn push32(&mut self, v: u32) {
        v.to_le_bytes().into_iter().for_each(|b| self.push(b));
    }
    pub(super) fn of(v: &[u8]) -> Self {
        let mut out = Self::default();
        v.iter().for_each(|&b| out.push(b));
        out
    }
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.b[..self.len]
    }
}

pub(super) const SEG_PREFIX: [u8; 6] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

impl Build<'_> {
    /// A linear address worth accessing, for an operand that likes `align`.
    fn target(&mut self, align: u32) -> u32 {
        let r = &mut self.rng;
        let align = if align > 1 && r.per_mille(50) { 1 } else { align };
        match r.below(100) {
            0..=69 => (DATA + r.below(DATA_RW as u32)) & !(align - 1),
            70..=79 => DATA + 0x1000 * (1 + r.below(2)) - r.below(16),
            80..=82 => (DATA + DATA_RW as u32 + r.below(0x1000)) & !(align - 1),
            83..=84 => DATA + DATA_RW as u32 - r.below(16),
            85..=86 => DATA + DATA_LEN as u32 - r.below(20),
            87 => DATA - r.below(16),
            88..=97 => (STACK + r.below(STACK_LEN as u32)) & !(align - 1),
            98 => CODE + r.below(CODE_LEN as u32),
            _ => int32(r),
        }
    }

    pub(super) fn seg_base(&self, seg: usize) -> u32 {
        let s = self.segs[seg];
        if s & 4 != 0 { ldt::ENTRIES.get(usize::from(s >> 3)).map_or(0, |e| e.base) } else { 0 }
    }

    fn known_register(&mut self, allow_esp: bool) -> Option<usize> {
        let first = self.rng.index(8);
        (0..8).map(|i| (first + i) % 8).find(|&i| self.known[i].is_some() && (allow_esp || i != ESP))
    }

    /// ModRM with a memory operand. `overridden`: the segment prefix in front, if any.
    fn memory(&mut self, out: &mut Bytes, reg: u8, addr16: bool, overridden: Option<usize>, align: u32) {
        if addr16 {
            self.memory16(out, reg, overridden, align)
        } else {
            self.memory32(out, reg, overridden, align)
        }
    }

    fn memory32(&mut self, out: &mut Bytes, reg: u8, overridden: Option<usize>, align: u32) {
        let base = match self.rng.below(100) {
            0..=79 => self.known_register(true),
            80..=98 => None,
            _ => Some(self.rng.index(8)),
        };
        let index = if self.rng.per_mille(250) {
            if self.rng.per_mille(970) {
                self.known_register(false)
            } else {
                Some(self.rng.index(8)).filter(|&i| i != ESP)
            }
        } else {
            None
        };
        let scale = if index.is_some() { self.rng.below(4) } else { 0 };
        let stack_like = matches!(base, Some(ESP | EBP));
        let seg = overridden.unwrap_or(if stack_like { 2 } else { 3 });
        let seg_base = self.seg_base(seg);
        let sum = base
            .map_or(0, |b| self.known[b].unwrap_or(0))
            .wrapping_add(index.map_or(0, |i| self.known[i].unwrap_or(0) << scale));
        let near = base.is_some() && index.is_none() && self.rng.per_mille(500);
        let disp = if near {
            let d = self.rng.u8() as i8 as u32;
            let t = seg_base.wrapping_add(sum).wrapping_add(d);
            d.wrapping_sub(t & (align - 1))
        } else {
            self.target(align).wrapping_sub(seg_base).wrapping_sub(sum)
        };
        let small = disp as i8 as u32 == disp;
        let sib = index.is_some() || base == Some(ESP) || (base.is_none() && self.rng.per_mille(100));
        let (mode, disp_len) = match base {
            None => (0, 4),
            Some(b) if disp == 0 && b != EBP => (0, 0),
            Some(_) if small => (1, 1),
            Some(_) => (2, 4),
        };
        let low = if sib { 4 } else { base.map_or(5, |b| b as u8) };
        out.push(mode << 6 | reg << 3 | low);
        if sib {
            // Index 100b is none; its scale means nothing.
            let scale = if index.is_none() { self.rng.below(4) } else { scale };
            out.push((scale as u8) << 6 | index.map_or(4, |i| i as u8) << 3 | base.map_or(5, |b| b as u8));
        }
        match disp_len {
            1 => out.push(disp as u8),
            4 => out.push32(disp),
            _ => {}
        }
    }

    fn memory16(&mut self, out: &mut Bytes, reg: u8, overridden: Option<usize>, align: u32) {
        const PARTS: [&[usize]; 8] =
            [&[EBX, ESI], &[EBX, EDI], &[EBP, ESI], &[EBP, EDI], &[ESI], &[EDI], &[EBP], &[EBX]];
        let low = self.rng.index(8);
        let mode = self.rng.below(3) as u8;
        let parts: &[usize] = if mode == 0 && low == 6 { &[] } else { PARTS[low] };
        let stack_like = parts.contains(&EBP);
        let seg_base = self.seg_base(overridden.unwrap_or(if stack_like { 2 } else { 3 }));
        let sum = parts.iter().fold(0u32, |s, &p| s.wrapping_add(self.known[p].unwrap_or(0)));
        let disp = self.target(align).wrapping_sub(seg_base).wrapping_sub(sum) as u16;
        out.push(mode << 6 | reg << 3 | low as u8);
        match mode {
            0 if low == 6 => out.push16(disp),
            1 => out.push(disp as u8),
            2 => out.push16(disp),
            _ => {}
        }
    }

    /// A selector: mostly one that loads.
    pub(super) fn selector(&mut self) -> u16 {
        let r = &mut self.rng;
        match r.below(10) {
            0..=2 => DS32,
            3 => CS32,
            4 => r.below(4) as u16,
            5..=7 => ldt::selector(r.index(ldt::ENTRIES.len())),
            8 => ldt::selector(r.index(24)) & !3 | r.below(4) as u16,
            // Beyond the host's GDT, or its system entries (never 33h: that would be 64-bit code).
            _ => r.pick(&[
                0x08, 0x10, 0x18, 0x2a, 0x29, 0x28, 0x20, 0x40, 0x43, 0x50, 0x60, 0x80, 0x83, 0x1000, 0xfff8,
                0xffff,
            ]),
        }
    }

    pub(super) fn immediate(&mut self, len: u8) -> u32 {
        let r = &mut self.rng;
        match len {
            1 => match r.below(3) {
                0 => r.pick(&[0, 1, 0xff, 0x80, 0x7f, 8, 16, 31, 32, 33, 7, 9, 17, 24]),
                1 => r.below(34),
                _ => r.u32() & 0xff,
            },
            _ if r.per_mille(100) => DATA + r.below(DATA_LEN as u32),
            _ => int32(r),
        }
    }

    /// One random encoding of the form; it may turn out to be something else or nothing.
    pub(super) fn encode(&mut self, form: &Form) -> Bytes {
        let code16 = self.code16;
        let mut prefixes = Bytes::default();
        let mut overridden = None;
        if self.rng.per_mille(if self.segments { 200 } else { 60 }) {
            let seg = self.rng.index(6);
            overridden = Some(seg);
            prefixes.push(SEG_PREFIX[seg]);
        }
        let addr67 = self.rng.per_mille(if self.segments { 200 } else { 15 });
        if addr67 {
            prefixes.push(0x67);
        }
        let addr16 = addr67 != code16;
        if form.size != 0 && (form.size == 16) != code16 {
            prefixes.push(0x66);
        }
        if form.lock && self.rng.per_mille(80) {
            prefixes.push(0xf0);
        }
        if form.rep && self.rng.per_mille(600) {
            prefixes.push(if self.rng.per_mille(500) { 0xf3 } else { 0xf2 });
        }
        // Something without a meaning, or a surprise; the decoder tells which.
        if !form.no_prefix && form.mandatory == 0 && self.rng.per_mille(25) {
            let p = self.rng.pick(&[0x66, 0xf2, 0xf3, 0xf0, 0x2e, 0x64, 0x36]);
            prefixes.push(p);
            if let Some(seg) = SEG_PREFIX.iter().position(|&x| x == p) {
                overridden = Some(seg);
            }
        }
        if form.mandatory != 0 {
            prefixes.push(form.mandatory);
        }
        let mut out = Bytes::default();
        // Any order means the same, but for two of a kind, where the last one counts.
        let kinds_differ = prefixes.as_slice().iter().filter(|p| SEG_PREFIX.contains(p)).count() < 2
            && prefixes.as_slice().iter().filter(|&&p| p == 0xf2 || p == 0xf3).count() < 2;
        let turn = if kinds_differ && prefixes.len > 1 { self.rng.index(prefixes.len) } else { 0 };
        for i in 0..prefixes.len {
            out.push(prefixes.b[(i + turn) % prefixes.len]);
        }
        form.map.iter().for_each(|&b| out.push(b));
        let low =
            if form.plus_r && !matches!(form.modrm, ModRm::Fixed(_)) { self.rng.below(8) as u8 } else { 0 };
        out.push(form.opcode | low);
        let reg = form.group.unwrap_or_else(|| self.rng.below(8) as u8);
        let align = match form.family {
            super::Family::SseFloat
            | super::Family::SseMove
            | super::Family::Sse2Float
            | super::Family::Sse2Integer
            | super::Family::Sse2Move => 16,
            _ => 1 << self.rng.below(4),
        };
        let sse = align == 16;
        match form.modrm {
            ModRm::None => {}
            ModRm::Fixed(b) => out.push(b | if form.plus_r { self.rng.below(8) as u8 } else { 0 }),
            ModRm::Reg => out.push(0xc0 | reg << 3 | self.rng.below(8) as u8),
            ModRm::Mem => self.memory(&mut out, reg, addr16, overridden, align),
            ModRm::Any if self.rng.per_mille(if sse { 500 } else { 400 }) => {
                out.push(0xc0 | reg << 3 | self.rng.below(8) as u8);
            }
            ModRm::Any => self.memory(&mut out, reg, addr16, overridden, align),
        }
        match form.imm {
            Imm::None => {}
            Imm::One => {
                let v = self.immediate(1);
                out.push(v as u8);
            }
            Imm::Two => {
                let v = self.immediate(2);
                out.push16(v as u16);
            }
            Imm::Four => {
                let v = self.immediate(4);
                out.push32(v);
            }
            Imm::TwoOne => {
                let (v, l) = (self.rng.below(64) as u16, self.rng.pick(&[0, 0, 0, 1, 2, 3, 31, 33]));
                out.push16(v);
                out.push(l);
            }
            // Filled in when the targets are known.
            Imm::Rel(n) => (0..n).for_each(|_| out.push(0)),
            Imm::Far(n) => {
                let sel = self.selector();
                let to = int32(&mut self.rng);
                if n == 2 {
                    out.push16(to as u16)
                } else {
                    out.push32(to)
                }
                out.push16(sel);
            }
            Imm::Offset => {
                let seg_base = self.seg_base(overridden.unwrap_or(3));
                let t = self.target(align).wrapping_sub(seg_base);
                if addr16 { out.push16(t as u16) } else { out.push32(t) }
            }
        }
        out
    }
}
