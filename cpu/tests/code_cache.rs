//! More code than the cache of translations holds: it is made anew, again and again, and the program does not see it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use cpu::Software;
use harness::*;
use hv_vcpu::{CpuidTable, Vcpu};
use iced_x86::code_asm::*;

const MIB: usize = 1 << 20;
/// Functions of 16 bytes, called one after the other; ESI counts.
const FUNCTIONS: u32 = 0x40_0000;
const COUNT: u32 = 40_000;
const ROUNDS: u32 = 3;

fn program() -> Vec<u8> {
    asm(32, CODE, |a| {
        let (mut round, mut next) = (a.create_label(), a.create_label());
        a.xor(esi, esi).unwrap();
        a.mov(ebp, ROUNDS).unwrap();
        a.set_label(&mut round).unwrap();
        a.mov(edi, FUNCTIONS).unwrap();
        a.set_label(&mut next).unwrap();
        a.call(edi).unwrap();
        a.add(edi, 16).unwrap();
        a.cmp(edi, FUNCTIONS + 16 * COUNT).unwrap();
        a.jne(next).unwrap();
        a.mov(eax, esi).unwrap();
        log(a);
        a.dec(ebp).unwrap();
        a.jne(round).unwrap();
        exit(a);
    })
}

/// What the program logs, instructions, and how often all translations went.
fn run(engine: &Software) -> (Vec<u32>, u64, u64) {
    let mut m = Machine::with(engine, &CpuidTable::pentium4(false));
    m.catch_all();
    m.load(CODE, &program());
    for n in 0..COUNT {
        let at = FUNCTIONS + 16 * n;
        let function = asm(32, at, |a| {
            a.mov(eax, dword_ptr(at)).unwrap();
            a.lea(esi, dword_ptr(esi + esi * 2 + n)).unwrap();
            a.ret().unwrap();
        });
        assert!(function.len() <= 16);
        m.load(at, &function);
    }
    m.flat(CODE);
    m.run();
    let flushes = m.cpu.metrics().iter().find(|(n, _)| *n == "jit_flushes").map_or(0, |(_, v)| *v);
    (m.io.log.clone(), m.io.retired, flushes)
}

#[test]
fn code_that_does_not_fit_is_made_anew() {
    let (log, retired, _) = run(&Software::interpreter());
    assert_eq!(log.len(), ROUNDS as usize);
    // All of it fits: what goes is what was before the start.
    let (l, r, once) = run(&Software::eager());
    assert_eq!((l, r), (log.clone(), retired));
    assert!(once <= 1, "{once}");
    for name in ["size", "speed", "views"] {
        let engine = Software { jit_cache: MIB, ..Software::named(name).unwrap() };
        let (l, r, flushes) = run(&engine);
        assert_eq!((l, r), (log.clone(), retired), "{name}");
        assert!(
            flushes >= once + 3 || !cfg!(all(target_arch = "x86_64", target_os = "linux")),
            "{name}: {flushes}"
        );
    }
}
