//! How many instructions a second the interpreter does, on flat 32-bit code without and with paging.
//!
//! `cargo run --release -p cpu --example mips`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people")]

use std::sync::Arc;
use std::time::Instant;

use hv_vcpu::{CpuState, CpuidTable, GuestIo, Hypervisor, Segment, Stop, Vcpu, Vm, Width};
use iced_x86::code_asm::*;
use ram::GuestRam;

struct NoIo;

impl GuestIo for NoIo {
    fn pio_read(&mut self, _: u16, width: Width) -> u32 {
        width.ones()
    }
    fn pio_write(&mut self, _: u16, _: Width, _: u32) {}
    fn mmio_read(&mut self, _: u64, buf: &mut [u8]) {
        buf.fill(0xff);
    }
    fn mmio_write(&mut self, _: u64, _: &[u8]) {}
    fn intr_pending(&self) -> bool {
        false
    }
    fn ack_intr(&mut self) -> u8 {
        0xff
    }
    fn retired(&mut self, _: u64) {}
    fn poll(&mut self) -> u64 {
        100_000
    }
    fn deadline_ns(&mut self) -> Option<u64> {
        None
    }
    fn tsc(&mut self) -> u64 {
        0
    }
    fn ferr(&mut self, _: bool) {}
    fn ignne(&self) -> bool {
        false
    }
}

const CODE: u32 = 0x10_0000;
const STACK: u32 = 0x20_0000;
const DIRECTORY: u32 = 0x1000;
const TABLES: u32 = 0x2000;

const GDT: u32 = 0x7000;
const IDT: u32 = 0x8000;

/// A code and a data descriptor; an interrupt gate for INT 80h without its offset.
fn ram_gates(ram: &GuestRam) {
    ram.write(u64::from(GDT) + 8, &0x00cf_9b00_0000_ffff_u64.to_le_bytes());
    ram.write(u64::from(GDT) + 16, &0x00cf_9300_0000_ffff_u64.to_le_bytes());
    ram.write(u64::from(IDT) + 8 * 0x80, &0x0000_8e00_0008_0000_u64.to_le_bytes());
}

type Program = fn(&mut CodeAssembler) -> Result<(), IcedError>;

fn alu(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut top = a.create_label();
    a.mov(ecx, 30_000_000)?;
    a.set_label(&mut top)?;
    a.add(eax, ecx)?;
    a.xor(edx, eax)?;
    a.shl(edx, 1)?;
    a.dec(ecx)?;
    a.jne(top)?;
    a.hlt()
}

fn fib(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let (mut f, mut out) = (a.create_label(), a.create_label());
    a.mov(eax, 30)?;
    a.call(f)?;
    a.hlt()?;
    a.set_label(&mut f)?;
    a.push(ebx)?;
    a.push(esi)?;
    a.mov(ebx, eax)?;
    a.cmp(ebx, 2)?;
    a.jb(out)?;
    a.lea(eax, ebx - 1)?;
    a.call(f)?;
    a.mov(esi, eax)?;
    a.lea(eax, ebx - 2)?;
    a.call(f)?;
    a.add(eax, esi)?;
    a.set_label(&mut out)?;
    a.pop(esi)?;
    a.pop(ebx)?;
    a.ret()
}

fn sieve(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let (mut outer, mut inner, mut next, mut again) =
        (a.create_label(), a.create_label(), a.create_label(), a.create_label());
    a.mov(ebp, 8)?;
    a.set_label(&mut again)?;
    a.mov(edi, 0x40_0000)?;
    a.mov(ecx, 0x10_0000)?;
    a.mov(al, 1)?;
    a.cld()?;
    a.rep().stosb()?;
    a.mov(esi, 2)?;
    a.set_label(&mut outer)?;
    a.cmp(byte_ptr(esi + 0x40_0000), 0)?;
    a.je(next)?;
    a.mov(edi, esi)?;
    a.imul_2(edi, esi)?;
    a.set_label(&mut inner)?;
    a.mov(byte_ptr(edi + 0x40_0000), 0)?;
    a.add(edi, esi)?;
    a.cmp(edi, 0x10_0000)?;
    a.jb(inner)?;
    a.set_label(&mut next)?;
    a.inc(esi)?;
    a.cmp(esi, 1024)?;
    a.jb(outer)?;
    a.dec(ebp)?;
    a.jne(again)?;
    a.hlt()
}

fn crc(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut top = a.create_label();
    a.mov(ecx, 20_000_000)?;
    a.mov(esi, 0x40_0000)?;
    a.set_label(&mut top)?;
    a.movzx(edx, byte_ptr(esi))?;
    a.mov(edi, eax)?;
    a.and(edi, 0xff)?;
    a.xor(edi, edx)?;
    a.shr(eax, 8)?;
    a.xor(eax, dword_ptr(edi * 4 + 0x41_0000))?;
    a.inc(esi)?;
    a.and(esi, 0x40_ffff)?;
    a.dec(ecx)?;
    a.jne(top)?;
    a.hlt()
}

fn indirect(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let (mut top, mut over_f, mut over_g) = (a.create_label(), a.create_label(), a.create_label());
    a.mov(ecx, 10_000_000)?;
    a.call(over_f)?; // pushes the address of the function that follows
    a.inc(eax)?;
    a.ret()?;
    a.set_label(&mut over_f)?;
    a.pop(esi)?;
    a.call(over_g)?;
    a.dec(eax)?;
    a.ret()?;
    a.set_label(&mut over_g)?;
    a.pop(edi)?;
    a.set_label(&mut top)?;
    a.call(esi)?;
    a.xchg(esi, edi)?;
    a.dec(ecx)?;
    a.jne(top)?;
    a.hlt()
}

/// Copies 64 KiB 4000 times.
fn copy(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut top = a.create_label();
    a.mov(ebx, 4000)?;
    a.cld()?;
    a.set_label(&mut top)?;
    a.mov(esi, 0x40_0000)?;
    a.mov(edi, 0x42_0000)?;
    a.mov(ecx, 0x4000)?;
    a.rep().movsd()?;
    a.dec(ebx)?;
    a.jne(top)?;
    a.hlt()
}

/// Writes a constant into the next instruction and runs it.
fn patch(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let (mut top, mut here) = (a.create_label(), a.create_label());
    a.mov(ecx, 300_000)?;
    a.set_label(&mut top)?;
    a.call(here)?;
    a.set_label(&mut here)?;
    a.pop(edi)?;
    a.mov(dword_ptr(edi + 5), ecx)?; // 1 + 3 bytes, then the opcode of MOV
    a.mov(eax, 0x1234_5678)?;
    a.add(ebx, eax)?;
    a.dec(ecx)?;
    a.jne(top)?;
    a.hlt()
}

/// Counts in a word that shares its page with the code.
fn near(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut top = a.create_label();
    a.mov(ecx, 2_000_000)?;
    a.set_label(&mut top)?;
    a.add(dword_ptr(CODE + 0x800), ecx)?;
    a.mov(dword_ptr(CODE + 0x804), ecx)?;
    a.dec(ecx)?;
    a.jne(top)?;
    a.hlt()
}

/// A system call by INT and IRET to the same ring.
fn int(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let (mut top, mut over) = (a.create_label(), a.create_label());
    a.call(over)?;
    a.inc(eax)?;
    a.iretd()?;
    a.set_label(&mut over)?;
    a.pop(eax)?;
    a.mov(word_ptr(IDT + 8 * 0x80), ax)?;
    a.shr(eax, 16)?;
    a.mov(word_ptr(IDT + 8 * 0x80 + 6), ax)?;
    a.mov(ecx, 1_000_000)?;
    a.set_label(&mut top)?;
    a.int(0x80)?;
    a.dec(ecx)?;
    a.jne(top)?;
    a.hlt()
}

fn run(name: &str, program: Program, paging: bool) {
    let ram = Arc::new(GuestRam::new(16 << 20, 0).unwrap());
    let mut a = CodeAssembler::new(32).unwrap();
    program(&mut a).unwrap();
    ram.write(u64::from(CODE), &a.assemble(u64::from(CODE)).unwrap());
    for i in 0..0x10000_u32 {
        ram.write(u64::from(0x40_0000 + i * 4), &i.wrapping_mul(0x9e37_79b1).to_le_bytes());
    }
    for n in 0..4 {
        let table = TABLES + n * 0x1000;
        ram.write(u64::from(DIRECTORY + n * 4), &(table | 3).to_le_bytes());
        for k in 0..1024 {
            ram.write(u64::from(table + k * 4), &((n << 22 | k << 12) | 3).to_le_bytes());
        }
    }
    let mut cpu =
        cpu::Software::new().create(ram.clone(), &CpuidTable::pentium4(false)).unwrap().vcpu().unwrap();
    let mut s = CpuState::reset(0);
    let flat =
        |attr| Segment { selector: if attr & 8 == 0 { 16 } else { 8 }, base: 0, limit: u32::MAX, attr };
    s.seg = [flat(0xc093); 6];
    s.seg[CpuState::CS] = flat(0xc09b);
    s.cr0 = if paging { 0x8000_0011 } else { 0x11 };
    s.cr3 = DIRECTORY;
    ram_gates(&ram);
    s.gdtr.base = GDT;
    s.gdtr.limit = 0xff;
    s.idtr.base = IDT;
    s.idtr.limit = 0x7ff;
    s.eip = CODE;
    s.gpr = [0, 0, 0, 0, STACK, 0, 0, 0];
    cpu.set_state(&s).unwrap();
    let start = Instant::now();
    let stop = cpu.run(&mut NoIo).unwrap();
    let t = start.elapsed().as_secs_f64();
    assert_eq!(stop, Stop::HaltedForGood);
    let metrics = cpu.metrics();
    let n = metrics.iter().find(|m| m.0 == "instructions").unwrap().1;
    let s = cpu.state().unwrap();
    println!(
        "{name:10} paging {:3}  {n:11} instructions  {t:6.3} s  {:8.1} M/s   eax {:08x} ebx {:08x}",
        if paging { "on" } else { "off" },
        n as f64 / t / 1e6,
        s.gpr[0],
        s.gpr[3],
    );
}

fn main() {
    let only = std::env::args().nth(1);
    let all: [(&str, Program); 9] = [
        ("alu", alu),
        ("fib", fib),
        ("sieve", sieve),
        ("crc", crc),
        ("indirect", indirect),
        ("copy", copy),
        ("patch", patch),
        ("near", near),
        ("int", int),
    ];
    for (name, program) in all {
        if only.as_deref().is_none_or(|o| o == name) {
            run(name, program, false);
            run(name, program, true);
        }
    }
}
