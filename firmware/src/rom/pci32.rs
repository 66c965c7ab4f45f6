//! The 32-bit entries: BIOS32 service directory and PCI BIOS. PCI BIOS 2.1, section 3; BIOS32 proposal 0.4.
//!
//! The caller's code segment may begin at F0000h or be flat: no absolute jump, no write through CS. The kernel's
//! operations are recognised by their 16-bit address and done here with 32-bit registers; only port I/O occurs.

use iced_x86::IcedError;
use iced_x86::code_asm::*;

use crate::frame::FRAME_BYTES;
use crate::rom::asm::Block;
use crate::rom::kernel::{CTX_OP, Kernel, Op, TRAP_BASE};
use crate::services::svc;

pub const PCI32: u16 = 0x5400;

pub struct Pci32 {
    pub code: Vec<u8>,
    /// Offsets in the F segment.
    pub directory: u16,
    pub entry: u16,
}

impl Pci32 {
    pub fn assemble() -> Result<Self, IcedError> {
        let kernel = Kernel::assemble()?;
        let mut a = CodeAssembler::new(32)?;
        let mut directory = a.create_label();
        let mut found = a.create_label();
        let mut bad = a.create_label();
        let mut entry = a.create_label();
        let mut next = a.create_label();
        let mut done = a.create_label();

        a.set_label(&mut entry)?;
        a.pushfd()?;
        a.pushad()?;
        a.mov(edx, u32::from(TRAP_BASE))?;
        a.xor(eax, eax)?;
        a.in_(ax, dx)?;
        a.mov(ebp, eax)?;
        a.mov(edx, eax)?;
        // The frame of frame.rs: MSW says protected mode, no segments.
        a.mov(eax, 1)?;
        a.out(dx, eax)?;
        a.xor(eax, eax)?;
        a.out(dx, eax)?;
        a.out(dx, eax)?;
        for i in 0..8 {
            a.mov(eax, dword_ptr(esp + 4 * i))?;
            a.out(dx, eax)?;
        }
        a.mov(eax, u32::from(svc::PCI32))?;
        a.out(dx, eax)?;
        a.mov(eax, dword_ptr(esp + 32))?;
        a.shl(eax, 16)?;
        a.out(dx, eax)?;

        a.set_label(&mut next)?;
        a.lea(edx, dword_ptr(ebp + u32::from(CTX_OP)))?;
        a.in_(ax, dx)?;
        a.mov(edx, ebp)?;
        for op in [Op::Out8, Op::Out16, Op::Out32, Op::In8, Op::In16, Op::In32, Op::Done] {
            let mut other = a.create_label();
            a.cmp(ax, i32::from(kernel.address(op) as i16))?;
            if op == Op::Done {
                a.je(done)?;
                continue;
            }
            a.jne(other)?;
            a.in_(eax, dx)?;
            a.movzx(ecx, ax)?;
            match op {
                Op::Out8 | Op::Out16 => {
                    a.shr(eax, 16)?;
                    a.mov(edx, ecx)?;
                    if op == Op::Out8 { a.out(dx, al)? } else { a.out(dx, ax)? }
                }
                Op::Out32 => {
                    a.in_(eax, dx)?;
                    a.mov(edx, ecx)?;
                    a.out(dx, eax)?;
                }
                Op::In8 => {
                    a.mov(edx, ecx)?;
                    a.in_(al, dx)?;
                    a.mov(edx, ebp)?;
                    a.out(dx, al)?;
                }
                Op::In16 => {
                    a.mov(edx, ecx)?;
                    a.in_(ax, dx)?;
                    a.mov(edx, ebp)?;
                    a.out(dx, ax)?;
                }
                _ => {
                    a.mov(edx, ecx)?;
                    a.in_(eax, dx)?;
                    a.mov(edx, ebp)?;
                    a.out(dx, eax)?;
                }
            }
            a.jmp(next)?;
            a.set_label(&mut other)?;
        }
        a.jmp(next)?;

        a.set_label(&mut done)?;
        for _ in 0..3 {
            a.in_(eax, dx)?;
        }
        for i in 0..8 {
            a.in_(eax, dx)?;
            a.mov(dword_ptr(esp + 4 * i), eax)?;
        }
        a.in_(eax, dx)?;
        a.in_(eax, dx)?;
        a.shr(eax, 16)?;
        a.mov(word_ptr(esp + 32), ax)?;
        a.popad()?;
        a.popfd()?;
        a.retf()?;

        a.set_label(&mut directory)?;
        a.test(bl, bl)?;
        a.jne(bad)?;
        a.cmp(eax, u32::from_le_bytes(*b"$PCI") as i32)?;
        a.mov(al, 0x80)?;
        a.je(found)?;
        a.retf()?;
        a.set_label(&mut bad)?;
        a.mov(al, 0x81)?;
        a.retf()?;
        a.set_label(&mut found)?;
        a.mov(ebx, 0xf_0000)?;
        a.mov(ecx, 0x1_0000)?;
        a.mov(edx, u32::from(PCI32))?;
        a.xor(al, al)?;
        a.retf()?;

        const { assert!(FRAME_BYTES == 52) };

        let block = Block::assemble(&mut a, PCI32)?;
        Ok(Self { directory: block.address(&directory)?, entry: block.address(&entry)?, code: block.code })
    }
}
