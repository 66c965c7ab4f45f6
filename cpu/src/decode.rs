//! Bytes to [`Insn`]. SDM vol. 2, chapter 2.
//!
//! An encoding that does not exist becomes an instruction whose handler raises #UD, so that the fault comes in its
//! place in the program. So does one of more than 15 bytes (#GP).

use crate::exec::misc;
use crate::insn::{Insn, ZERO};
use crate::optable::{Entry, Imm, ONE, Op, TWO, attr};

/// The longest instruction. SDM vol. 2, 2.3.11.
pub(crate) const MAX_LEN: usize = 15;

/// An instruction and what block building needs to know about it.
#[derive(Clone, Copy)]
pub(crate) struct Decoded {
    pub(crate) insn: Insn,
    pub(crate) attr: u16,
    pub(crate) name: &'static str,
}

/// More bytes are needed than there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short;

/// What [`decode_bytes`] says about an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoding {
    /// Bytes; of an encoding that does not exist, those that decided it.
    pub len: usize,
    pub name: &'static str,
    /// It exists: executing it does not raise #UD for its encoding alone.
    pub valid: bool,
}

/// Decodes the first instruction of `bytes` for a code segment of 32 bits (`big`) or 16. `None`: it goes on beyond
/// the bytes given. Never panics, whatever the bytes.
pub fn decode_bytes(bytes: &[u8], big: bool) -> Option<Decoding> {
    let d = decode(bytes, big).ok()?;
    let valid = d.name != UNDEFINED && d.name != TOO_LONG;
    Some(Decoding { len: usize::from(d.insn.len), name: d.name, valid })
}

struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bytes<'_> {
    #[inline(always)]
    fn u8(&mut self) -> Result<u8, Short> {
        let b = *self.bytes.get(self.at).ok_or(Short)?;
        self.at += 1;
        Ok(b)
    }

    fn u16(&mut self) -> Result<u32, Short> {
        Ok(u32::from(self.u8()?) | u32::from(self.u8()?) << 8)
    }

    fn u32(&mut self) -> Result<u32, Short> {
        Ok(self.u16()? | self.u16()? << 16)
    }

    fn sized(&mut self, wide: bool) -> Result<u32, Short> {
        if wide { self.u32() } else { self.u16() }
    }
}

fn sext8(v: u8) -> u32 {
    v as i8 as i32 as u32
}

fn sext16(v: u32) -> u32 {
    v as u16 as i16 as i32 as u32
}

/// Decodes the first instruction of `bytes` in a code segment whose D bit is `big`.
pub(crate) fn decode(bytes: &[u8], big: bool) -> Result<Decoded, Short> {
    let usable = bytes.len().min(MAX_LEN);
    match parse(&bytes[..usable], big) {
        Err(Short) if usable == MAX_LEN => Ok(faulting(misc::too_long, MAX_LEN, TOO_LONG)),
        r => r,
    }
}

pub(crate) fn blank() -> Insn {
    Insn {
        exec: misc::ud,
        imm: 0,
        disp: 0,
        amask: u32::MAX,
        rm: 0,
        index: ZERO,
        scale: 0,
        seg: 3,
        reg: 0,
        len: 0,
        modrm: 0,
        flags: 0,
        opcode: 0,
        end: 0,
    }
}

fn faulting(exec: crate::insn::Handler, len: usize, name: &'static str) -> Decoded {
    Decoded { insn: Insn { exec, len: len as u8, opcode: NO_OPCODE, ..blank() }, attr: attr::LEAVE, name }
}

/// The opcode of what is none.
const NO_OPCODE: u16 = 0xffff;

const UNDEFINED: &str = "(undefined)";
const TOO_LONG: &str = "(too long)";

fn parse(bytes: &[u8], big: bool) -> Result<Decoded, Short> {
    let mut b = Bytes { bytes, at: 0 };
    let mut i = blank();
    let (mut o32, mut a32) = (big, big);
    let mut seg = None;
    let mut op = loop {
        let c = b.u8()?;
        match c {
            0x26 | 0x2e | 0x36 | 0x3e => seg = Some(c >> 3 & 3),
            0x64 | 0x65 => seg = Some(c & 7),
            0x66 => {
                o32 = !big;
                i.flags |= Insn::P66;
            }
            0x67 => a32 = !big,
            0xf0 => i.flags |= Insn::LOCK,
            0xf2 => i.flags = i.flags & !Insn::REP | Insn::REPNE,
            0xf3 => i.flags = i.flags & !Insn::REPNE | Insn::REP,
            _ => break c,
        }
    };
    i.opcode = u16::from(op);
    let mut table = &ONE;
    if op == 0x0f {
        op = b.u8()?;
        i.opcode = 0x0f00 | u16::from(op);
        table = &TWO;
    }
    if o32 {
        i.flags |= Insn::O32;
    }
    if a32 {
        i.flags |= Insn::A32;
    } else {
        i.amask = 0xffff;
    }
    if let Some(s) = seg {
        i.seg = s;
        i.flags |= Insn::OVERRIDE;
    }

    let mut modrm = None;
    let mut entry = &table[usize::from(op)];
    let found: &Op = loop {
        if let Entry::Op(o) = entry {
            break o;
        }
        if matches!(entry, Entry::Undefined | Entry::Decoder(_)) {
            return Ok(faulting(misc::ud, b.at, UNDEFINED));
        }
        if let Entry::Prefix(p) = entry {
            entry = &p[mandatory(i.flags)];
            continue;
        }
        let m = match modrm {
            Some(m) => m,
            None => *modrm.insert(b.u8()?),
        };
        entry = match entry {
            Entry::Group(g) => &g[usize::from(m >> 3 & 7)],
            Entry::Low(g) => &g[usize::from(m & 7)],
            Entry::Form { mem, reg } => {
                if m < 0xc0 {
                    mem
                } else {
                    reg
                }
            }
            Entry::Op(_) | Entry::Undefined | Entry::Decoder(_) | Entry::Prefix(_) => entry,
        };
    };

    if found.attr & attr::MODRM != 0 {
        let m = match modrm {
            Some(m) => m,
            None => b.u8()?,
        };
        i.modrm = m;
        i.reg = m >> 3 & 7;
        i.rm = m & 7;
        if m < 0xc0 && found.attr & attr::ANY_MOD == 0 {
            i.flags |= Insn::MEM;
            if a32 { address32(&mut b, &mut i, m)? } else { address16(&mut b, &mut i, m)? }
        }
    } else if found.attr & attr::LOW3 != 0 {
        i.rm = op & 7;
    }
    immediate(&mut b, &mut i, found.imm)?;
    i.len = b.at as u8;

    let mem = i.is_mem();
    let wrong_form = if mem { found.attr & attr::REG } else { found.attr & attr::MEM } != 0;
    let wrong_lock = i.flags & Insn::LOCK != 0 && (!mem || found.attr & attr::LOCK == 0);
    if wrong_form || wrong_lock {
        return Ok(faulting(misc::ud, b.at, UNDEFINED));
    }
    i.exec = found.h[usize::from(o32) * 2 + usize::from(!mem)];
    Ok(Decoded { insn: i, attr: found.attr, name: found.name })
}

/// Column of [`Entry::Prefix`]: F2 and F3 hide 66. SDM vol. 2, 2.1.2.
fn mandatory(flags: u8) -> usize {
    if flags & Insn::REP != 0 {
        2
    } else if flags & Insn::REPNE != 0 {
        3
    } else {
        usize::from(flags & Insn::P66 != 0)
    }
}

const SS: u8 = 2;
const BX: u8 = 3;
const BP: u8 = 5;
const SI: u8 = 6;
const DI: u8 = 7;

/// SDM vol. 2, table 2-1.
fn address16(b: &mut Bytes<'_>, i: &mut Insn, m: u8) -> Result<(), Short> {
    let (base, index) = match m & 7 {
        0 => (BX, SI),
        1 => (BX, DI),
        2 => (BP, SI),
        3 => (BP, DI),
        4 => (SI, ZERO),
        5 => (DI, ZERO),
        6 if m < 0x40 => (ZERO, ZERO),
        6 => (BP, ZERO),
        _ => (BX, ZERO),
    };
    i.rm = base;
    i.index = index;
    if base == BP {
        default_stack(i);
    }
    i.disp = match m >> 6 {
        0 if base == ZERO => b.u16()?,
        0 => 0,
        1 => sext8(b.u8()?),
        _ => b.u16()?,
    };
    Ok(())
}

/// SDM vol. 2, tables 2-2 and 2-3.
fn address32(b: &mut Bytes<'_>, i: &mut Insn, m: u8) -> Result<(), Short> {
    let mut base = m & 7;
    if base == 4 {
        let sib = b.u8()?;
        base = sib & 7;
        let index = sib >> 3 & 7;
        if index != 4 {
            i.index = index;
            i.scale = sib >> 6;
        }
    }
    if base == BP && m < 0x40 {
        i.rm = ZERO;
        i.disp = b.u32()?;
        return Ok(());
    }
    i.rm = base;
    if base == BP || base == 4 {
        default_stack(i);
    }
    i.disp = match m >> 6 {
        0 => 0,
        1 => sext8(b.u8()?),
        _ => b.u32()?,
    };
    Ok(())
}

fn default_stack(i: &mut Insn) {
    if i.flags & Insn::OVERRIDE == 0 {
        i.seg = SS;
    }
}

fn immediate(b: &mut Bytes<'_>, i: &mut Insn, imm: Imm) -> Result<(), Short> {
    let o32 = i.o32();
    match imm {
        Imm::None => {}
        Imm::Ib => i.imm = u32::from(b.u8()?),
        Imm::Is | Imm::Jb => i.imm = sext8(b.u8()?),
        Imm::Iw => i.imm = b.u16()?,
        Imm::Iz => i.imm = b.sized(o32)?,
        Imm::Jz => {
            let v = b.sized(o32)?;
            i.imm = if o32 { v } else { sext16(v) };
        }
        Imm::Ap => {
            i.imm = b.sized(o32)?;
            i.disp = b.u16()?;
        }
        Imm::IwIb => {
            i.imm = b.u16()?;
            i.disp = u32::from(b.u8()?);
        }
        Imm::Moffs => {
            i.disp = b.sized(i.a32())?;
            i.rm = ZERO;
            i.flags |= Insn::MEM;
        }
    }
    Ok(())
}
