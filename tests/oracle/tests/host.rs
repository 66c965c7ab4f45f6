//! The host side by itself: known results, so that a disagreement later is the other side's.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use oracle::host::Host;
use oracle::layout::{CODE, CS32, DATA, DS32, EXIT, Memory, STACK};
use oracle::ldt;
use oracle::snapshot::{EAX, EBX, ECX, ESP, RF, Regs, Stop};

/// `None` where the kernel does not let programs do this.
fn host() -> Option<Host> {
    Host::new().inspect_err(|e| eprintln!("skipped: {e}")).ok()
}

fn regs() -> Regs {
    let mut r =
        Regs { eip: CODE, eflags: 0x202, seg: [DS32, CS32, DS32, DS32, DS32, DS32], ..Regs::default() };
    r.gpr[ESP] = STACK + 0x1000;
    r
}

/// `code`, then the jump to the exit.
fn memory(code: &[u8]) -> Memory {
    let mut m = Memory::default();
    m.code[..code.len()].copy_from_slice(code);
    let n = code.len();
    m.code[n] = 0xe9;
    let rel = EXIT.wrapping_sub(CODE + n as u32 + 5);
    m.code[n + 1..n + 5].copy_from_slice(&rel.to_le_bytes());
    m
}

fn run(host: &mut Host, code: &[u8], r: &Regs) -> oracle::snapshot::Snapshot {
    host.reload(&memory(code));
    host.run(r)
}

#[test]
fn known_results() {
    let Some(mut host) = host() else { return };
    // add eax, ecx
    let mut r = regs();
    (r.gpr[EAX], r.gpr[ECX]) = (0x7fff_ffff, 1);
    let s = run(&mut host, &[0x01, 0xc8], &r);
    assert_eq!(s.stop, Stop::Exit);
    assert_eq!(s.regs.gpr[EAX], 0x8000_0000);
    assert_eq!(s.regs.eflags & 0xcd5, 0x894 & 0xcd5);
    assert_eq!(s.regs.seg, r.seg);
    // ud2
    let s = run(&mut host, &[0x90, 0x0f, 0x0b], &r);
    assert_eq!(s.stop, Stop::Fault { vector: 6, error: 0, address: 0 });
    assert_eq!(s.regs.eip, CODE + 1);
    // div cl by zero
    r.gpr[ECX] = 0;
    let s = run(&mut host, &[0xf6, 0xf1], &r);
    assert_eq!(s.stop, Stop::Fault { vector: 0, error: 0, address: 0 });
    // Write to the read-only page: mov [ebx], eax; RF is in the image of a fault.
    r.gpr[EBX] = DATA + 0x3000;
    let s = run(&mut host, &[0x89, 0x03], &r);
    assert_eq!(s.stop, Stop::Fault { vector: 14, error: 7, address: DATA + 0x3000 });
    assert_ne!(s.regs.eflags & RF, 0);
    // hlt
    let s = run(&mut host, &[0xf4], &r);
    assert_eq!(s.stop, Stop::Fault { vector: 13, error: 0, address: 0 });
    // int3, int 20h
    let s = run(&mut host, &[0xcc], &r);
    assert_eq!((s.stop, s.regs.eip), (Stop::Fault { vector: 3, error: 0, address: 0 }, CODE + 1));
    let s = run(&mut host, &[0xcd, 0x20], &r);
    assert_eq!((s.stop, s.regs.eip), (Stop::Fault { vector: 13, error: 0x102, address: 0 }, CODE));
    // jmp $ is stopped by the watchdog; a 32-bit system call is refused (int 80h with EAX = getpid).
    let s = run(&mut host, &[0xeb, 0xfe], &r);
    assert_eq!(s.stop, Stop::Runaway);
    r.gpr[EAX] = 20;
    let s = run(&mut host, &[0xcd, 0x80], &r);
    assert_eq!(s.stop, Stop::Broken);
    // fld1; fldz; fdivp st1 masked: infinity and ZE; SSE: addps with MXCSR default.
    let s = run(&mut host, &[0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9], &r);
    assert_eq!(s.stop, Stop::Exit);
    assert_eq!(s.regs.fx.st(0), (1 << 63, 0x7fff));
    assert_ne!(s.regs.fx.u16(2) & 4, 0);
    // pushfd; or dword [esp], 100h; popfd; nop: single-step trap.
    let s = run(&mut host, &[0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x90, 0x90], &r);
    assert_eq!(s.stop, Stop::Fault { vector: 1, error: 0, address: 0 });
    assert_eq!(s.regs.eip, CODE + 10);
}

#[test]
fn local_descriptors() {
    let Some(mut host) = host() else { return };
    let mut r = regs();
    r.seg[3] = ldt::selector(2);
    // mov al, [0ffdh]; mov ax, [0ffdh]: the limit.
    let s = run(&mut host, &[0xa0, 0xfd, 0x0f, 0, 0], &r);
    assert_eq!(s.stop, Stop::Exit);
    let s = run(&mut host, &[0x66, 0xa1, 0xfd, 0x0f, 0, 0], &r);
    assert_eq!(s.stop, Stop::Fault { vector: 13, error: 0, address: 0 });
    // 16-bit stack: push eax at SP = 2 with junk above wraps to FFFEh, beyond the limit: #SS.
    let mut r = regs();
    r.seg[2] = ldt::selector(0);
    r.gpr[ESP] = 0x1234_0002;
    let s = run(&mut host, &[0x50], &r);
    assert_eq!(s.stop, Stop::Fault { vector: 12, error: 0, address: 0 });
    assert_eq!((s.regs.gpr[ESP], s.regs.seg[2]), (0x1234_0002, ldt::selector(0)));
    // 16-bit code: 66h is 32-bit there. mov ax, 1234h; jmp far 23h:EXIT.
    let mut r = regs();
    r.seg[1] = ldt::selector(7);
    r.eip = 0;
    let mut m = Memory::default();
    m.code[..11].copy_from_slice(&[0xb8, 0x34, 0x12, 0x66, 0xea, 0, 0, 0, 0, CS32 as u8, 0]);
    m.code[5..9].copy_from_slice(&EXIT.to_le_bytes());
    host.reload(&m);
    r.gpr[EAX] = 0x5555_5555;
    let s = host.run(&r);
    assert_eq!((s.stop, s.regs.gpr[EAX]), (Stop::Exit, 0x5555_1234));
}
