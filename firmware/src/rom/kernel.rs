//! The guest's half of the trap: entry, micro-operations, exit. Plain 16-bit code without privileged
//! instructions other than what each operation is for, the same bytes at the same offset in both ROMs.
//!
//! Drivers run the video services in an emulator of their own. X.Org's (x86emu) reads what OUTS sends from ES, sends one
//! doubleword for any count, and repeats string instructions of doublewords ECX times: so ES is DS around OUTS, and
//! doublewords go one by one.
//!
//! A caller's context lives at its own pair of ports, so that a preempted service (V86 monitors switch tasks in
//! the middle of a BIOS call) never meets another's data: BP holds the data port, BP + 4 gives the next operation.

use std::collections::BTreeMap;

use iced_x86::IcedError;
use iced_x86::code_asm::*;

use crate::frame::FRAME_BYTES;
use crate::rom::asm::Block;

/// Where the kernel lies in its segment.
pub const KERNEL: u16 = 0x4000;
/// Reading this gives a fresh context's data port.
pub const TRAP_BASE: u16 = 0x0580;
/// Ports of one context.
pub const CTX_PORTS: u16 = 8;
/// Offset of the operation port in a context.
pub const CTX_OP: u16 = 4;
pub const CONTEXTS: u16 = 15;
pub const TRAP_PORTS: u16 = CTX_PORTS * (CONTEXTS + 1);

/// A micro-operation. What each reads from the data port is written beside it (dwords, low word first).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Op {
    /// port | value << 16
    Out8,
    Out16,
    /// port, value
    Out32,
    /// port; gives the value back
    In8,
    In16,
    In32,
    /// port | mask << 16 | value << 24, tries; gives the last status back
    Poll8,
    /// port | count << 16, then count words index | data << 8
    OutPairs,
    /// port | count << 16, then bytes
    OutBytes,
    OutWords,
    /// port | count << 16; gives bytes, words back
    InBytes,
    InWords,
    /// far pointer, count of elements; gives them back
    Read8,
    Read16,
    Read32,
    /// far pointer, count, then the elements
    Write8,
    Write16,
    Write32,
    /// to, stride | read-first << 16, count, then bytes, each `stride` after the last
    WriteStride,
    /// from, to, count | down << 16
    Move8,
    Move16,
    /// to, count | value << 16
    Fill8,
    Fill16,
    /// port | count << 16, far pointer
    PioIn16,
    PioIn32,
    PioOut16,
    /// target, di | es << 16, ax | cx << 16, bx | dx << 16; gives ax, flags back
    Call,
    CallInt,
    /// words 1 | 0 << 16, words 3 | 2 << 16, target
    CallWords,
    /// stack, target, di and es, si and ds, ax | dx << 16
    Leave,
    /// Interrupts on for two instructions.
    Relax,
    /// STI, HLT, CLI.
    Halt,
    /// Nothing: asks again.
    #[default]
    Pause,
    /// Takes the frame back and returns to the caller.
    Done,
}

/// Labels of the kernel.
#[derive(Debug, Clone)]
pub struct Kernel {
    pub code: Vec<u8>,
    /// Entry for services whose caller's mode matters: SP at the pushed service number.
    pub enter: u16,
    /// Entry for the video services: nothing that an x86 emulator or a V86 monitor may lack.
    pub enter_plain: u16,
    ops: BTreeMap<Op, u16>,
}

impl Kernel {
    pub fn address(&self, op: Op) -> u16 {
        self.ops.get(&op).copied().unwrap_or(0)
    }

    /// The operation at an address; used by tests that execute operations in Rust.
    pub fn op_at(&self, address: u16) -> Option<Op> {
        self.ops.iter().find(|(_, a)| **a == address).map(|(o, _)| *o)
    }

    pub fn assemble() -> Result<Self, IcedError> {
        let mut a = CodeAssembler::new(16)?;
        let mut enter = a.create_label();
        let mut enter_plain = a.create_label();
        let mut go = a.create_label();
        let mut next = a.create_label();

        a.set_label(&mut enter)?;
        push_registers(&mut a)?;
        a.smsw(ax)?;
        a.push(ax)?;
        a.jmp(go)?;

        a.set_label(&mut enter_plain)?;
        push_registers(&mut a)?;
        a.push(1)?;

        a.set_label(&mut go)?;
        a.cld()?;
        a.push(ss)?;
        a.pop(ds)?;
        a.push(ss)?;
        a.pop(es)?;
        a.mov(si, sp)?;
        a.mov(dx, u32::from(TRAP_BASE))?;
        a.in_(ax, dx)?;
        a.mov(bp, ax)?;
        a.mov(dx, ax)?;
        a.mov(cx, FRAME_BYTES as u32 / 2)?;
        a.rep().outsw()?;

        a.set_label(&mut next)?;
        a.mov(dx, bp)?;
        a.add(dx, u32::from(CTX_OP))?;
        a.in_(ax, dx)?;
        a.mov(dx, bp)?;
        a.jmp(ax)?;

        let mut labels = Vec::new();
        for op in OPS {
            let mut l = a.create_label();
            a.set_label(&mut l)?;
            operation(&mut a, *op, next)?;
            labels.push((*op, l));
        }
        let block = Block::assemble(&mut a, KERNEL)?;
        let mut ops = BTreeMap::new();
        for (op, l) in labels {
            ops.insert(op, block.address(&l)?);
        }
        Ok(Self {
            enter: block.address(&enter)?,
            enter_plain: block.address(&enter_plain)?,
            ops,
            code: block.code,
        })
    }
}

const OPS: &[Op] = &[
    Op::Out8,
    Op::Out16,
    Op::Out32,
    Op::In8,
    Op::In16,
    Op::In32,
    Op::Poll8,
    Op::OutPairs,
    Op::OutBytes,
    Op::OutWords,
    Op::InBytes,
    Op::InWords,
    Op::Read8,
    Op::Read16,
    Op::Read32,
    Op::Write8,
    Op::Write16,
    Op::Write32,
    Op::WriteStride,
    Op::Move8,
    Op::Move16,
    Op::Fill8,
    Op::Fill16,
    Op::PioIn16,
    Op::PioIn32,
    Op::PioOut16,
    Op::Call,
    Op::CallInt,
    Op::CallWords,
    Op::Leave,
    Op::Relax,
    Op::Halt,
    Op::Pause,
    Op::Done,
];

fn push_registers(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.pushad()?;
    a.push(ds)?;
    a.push(es)?;
    a.push(fs)?;
    a.push(gs)?;
    a.push(ss)
}

/// Reads a far pointer from the data port: offset to `off`, segment to AX.
fn far(a: &mut CodeAssembler, off: AsmRegister16) -> Result<(), IcedError> {
    a.in_(eax, dx)?;
    a.mov(off, ax)?;
    a.shr(eax, 16)
}

/// Reads port and count: BX and CX.
fn port_count(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.in_(eax, dx)?;
    a.mov(bx, ax)?;
    a.shr(eax, 16)?;
    a.mov(cx, ax)
}

fn operation(a: &mut CodeAssembler, op: Op, next: CodeLabel) -> Result<(), IcedError> {
    let mut top = a.create_label();
    let mut end = a.create_label();
    match op {
        Op::Out8 | Op::Out16 => {
            a.in_(eax, dx)?;
            a.mov(dx, ax)?;
            a.shr(eax, 16)?;
            if op == Op::Out8 { a.out(dx, al)? } else { a.out(dx, ax)? }
        }
        Op::Out32 => {
            a.in_(eax, dx)?;
            a.mov(bx, ax)?;
            a.in_(eax, dx)?;
            a.mov(dx, bx)?;
            a.out(dx, eax)?;
        }
        Op::In8 | Op::In16 | Op::In32 => {
            a.in_(eax, dx)?;
            a.mov(dx, ax)?;
            match op {
                Op::In8 => a.in_(al, dx)?,
                Op::In16 => a.in_(ax, dx)?,
                _ => a.in_(eax, dx)?,
            }
            a.mov(dx, bp)?;
            match op {
                Op::In8 => a.out(dx, al)?,
                Op::In16 => a.out(dx, ax)?,
                _ => a.out(dx, eax)?,
            }
        }
        Op::Poll8 => {
            a.in_(eax, dx)?;
            a.mov(di, ax)?;
            a.shr(eax, 16)?;
            a.mov(bx, ax)?; // BL mask, BH value
            a.in_(eax, dx)?;
            a.mov(cx, ax)?;
            a.mov(dx, di)?;
            a.set_label(&mut top)?;
            a.in_(al, dx)?;
            a.mov(ah, al)?;
            a.and(al, bl)?;
            a.cmp(al, bh)?;
            a.je(end)?;
            a.dec(cx)?;
            a.jne(top)?;
            a.set_label(&mut end)?;
            a.mov(dx, bp)?;
            a.mov(al, ah)?;
            a.out(dx, al)?;
        }
        Op::OutPairs | Op::OutWords | Op::OutBytes => {
            port_count(a)?;
            a.set_label(&mut top)?;
            a.mov(dx, bp)?;
            if op == Op::OutBytes {
                a.in_(al, dx)?
            } else {
                a.in_(ax, dx)?
            }
            a.mov(dx, bx)?;
            if op == Op::OutBytes {
                a.out(dx, al)?
            } else {
                a.out(dx, ax)?
            }
            a.dec(cx)?;
            a.jne(top)?;
        }
        Op::InBytes | Op::InWords => {
            port_count(a)?;
            a.set_label(&mut top)?;
            a.mov(dx, bx)?;
            if op == Op::InBytes {
                a.in_(al, dx)?
            } else {
                a.in_(ax, dx)?
            }
            a.mov(dx, bp)?;
            if op == Op::InBytes {
                a.out(dx, al)?
            } else {
                a.out(dx, ax)?
            }
            a.dec(cx)?;
            a.jne(top)?;
        }
        Op::Read8 | Op::Read16 | Op::Read32 => {
            far(a, si)?;
            a.mov(ds, ax)?;
            a.mov(es, ax)?;
            a.in_(eax, dx)?;
            a.mov(cx, ax)?;
            match op {
                Op::Read8 => a.rep().outsb()?,
                Op::Read16 => a.rep().outsw()?,
                _ => {
                    a.jcxz(end)?;
                    a.set_label(&mut top)?;
                    a.lodsd()?;
                    a.out(dx, eax)?;
                    a.dec(cx)?;
                    a.jne(top)?;
                    a.set_label(&mut end)?;
                }
            }
        }
        Op::Write8 | Op::Write16 | Op::Write32 => {
            far(a, di)?;
            a.mov(es, ax)?;
            a.in_(eax, dx)?;
            a.mov(cx, ax)?;
            match op {
                Op::Write8 => a.rep().insb()?,
                Op::Write16 => a.rep().insw()?,
                _ => {
                    a.jcxz(end)?;
                    a.set_label(&mut top)?;
                    a.in_(eax, dx)?;
                    a.stosd()?;
                    a.dec(cx)?;
                    a.jne(top)?;
                    a.set_label(&mut end)?;
                }
            }
        }
        Op::WriteStride => {
            far(a, di)?;
            a.mov(es, ax)?;
            a.in_(eax, dx)?;
            a.mov(bx, ax)?;
            a.shr(eax, 16)?;
            a.mov(si, ax)?;
            a.in_(eax, dx)?;
            a.mov(cx, ax)?;
            a.set_label(&mut top)?;
            a.test(si, si)?;
            a.je(end)?;
            a.mov(al, byte_ptr(di).es())?;
            a.set_label(&mut end)?;
            a.in_(al, dx)?;
            a.mov(byte_ptr(di).es(), al)?;
            a.add(di, bx)?;
            a.dec(cx)?;
            a.jne(top)?;
        }
        Op::Move8 | Op::Move16 => {
            far(a, si)?;
            a.mov(ds, ax)?;
            far(a, di)?;
            a.mov(es, ax)?;
            a.in_(eax, dx)?;
            a.mov(cx, ax)?;
            a.shr(eax, 16)?;
            a.test(al, 1)?;
            a.je(top)?;
            a.std()?;
            a.set_label(&mut top)?;
            if op == Op::Move8 {
                a.rep().movsb()?
            } else {
                a.rep().movsw()?
            }
            a.cld()?;
        }
        Op::Fill8 | Op::Fill16 => {
            far(a, di)?;
            a.mov(es, ax)?;
            a.in_(eax, dx)?;
            a.mov(cx, ax)?;
            a.shr(eax, 16)?;
            if op == Op::Fill8 { a.rep().stosb()? } else { a.rep().stosw()? }
        }
        Op::PioIn16 | Op::PioIn32 => {
            port_count(a)?;
            far(a, di)?;
            a.mov(es, ax)?;
            a.mov(dx, bx)?;
            if op == Op::PioIn16 { a.rep().insw()? } else { a.rep().insd()? }
        }
        Op::PioOut16 => {
            port_count(a)?;
            far(a, si)?;
            a.mov(ds, ax)?;
            a.mov(es, ax)?;
            a.mov(dx, bx)?;
            a.rep().outsw()?;
        }
        Op::Call | Op::CallInt => {
            a.push(bp)?;
            a.in_(eax, dx)?;
            a.push(eax)?;
            far(a, di)?;
            a.mov(es, ax)?;
            a.in_(eax, dx)?;
            a.mov(si, ax)?;
            a.shr(eax, 16)?;
            a.mov(cx, ax)?;
            a.in_(eax, dx)?;
            a.mov(bx, ax)?;
            a.shr(eax, 16)?;
            a.mov(dx, ax)?;
            a.mov(ax, si)?;
            a.mov(bp, sp)?;
            if op == Op::CallInt {
                a.pushf()?;
            }
            a.call(dword_ptr(bp))?;
            a.cld()?;
            a.pushf()?;
            a.pop(cx)?;
            a.pop(edx)?;
            a.pop(bp)?;
            a.mov(dx, bp)?;
            a.out(dx, ax)?;
            a.mov(ax, cx)?;
            a.out(dx, ax)?;
        }
        Op::CallWords => {
            a.push(bp)?;
            a.in_(eax, dx)?;
            a.mov(bx, ax)?;
            a.shr(eax, 16)?;
            a.push(ax)?;
            a.push(bx)?;
            a.in_(eax, dx)?;
            a.mov(bx, ax)?;
            a.shr(eax, 16)?;
            a.push(ax)?;
            a.push(bx)?;
            a.in_(eax, dx)?;
            // The target goes under the words, so that the handler finds them right above its return address.
            a.push(cs)?;
            a.call(top)?;
            a.jmp(end)?;
            a.set_label(&mut top)?;
            a.push(eax)?;
            a.retf()?;
            a.set_label(&mut end)?;
            a.cld()?;
            a.add(sp, 8)?;
            a.pop(bp)?;
        }
        Op::Leave => {
            a.in_(eax, dx)?;
            a.mov(bx, ax)?;
            a.shr(eax, 16)?;
            a.mov(ss, ax)?;
            a.mov(sp, bx)?;
            a.in_(eax, dx)?;
            a.push(eax)?;
            far(a, di)?;
            a.mov(es, ax)?;
            far(a, si)?;
            a.mov(ds, ax)?;
            a.in_(eax, dx)?;
            a.mov(ecx, eax)?;
            a.shr(ecx, 16)?;
            a.mov(dx, cx)?;
            a.xor(ebx, ebx)?;
            a.xor(ecx, ecx)?;
            a.xor(ebp, ebp)?;
            a.movzx(edx, dx)?;
            a.movzx(eax, ax)?;
            a.movzx(edi, di)?;
            a.movzx(esi, si)?;
            a.movzx(esp, sp)?;
            a.mov(fs, bx)?;
            a.mov(gs, bx)?;
            a.sti()?;
            return a.retf();
        }
        Op::Relax => {
            a.sti()?;
            a.nop()?;
            a.nop()?;
            a.cli()?;
        }
        Op::Halt => {
            a.sti()?;
            a.hlt()?;
            a.cli()?;
        }
        Op::Pause => {}
        Op::Done => {
            a.mov(di, sp)?;
            a.push(ss)?;
            a.pop(es)?;
            a.mov(cx, FRAME_BYTES as u32 / 2)?;
            a.rep().insw()?;
            a.add(sp, 4)?; // MSW, SS
            a.pop(gs)?;
            a.pop(fs)?;
            a.pop(es)?;
            a.pop(ds)?;
            a.popad()?;
            a.add(sp, 2)?; // service number; the flags come with IRET
            return a.iret();
        }
    }
    a.jmp(next)
}
