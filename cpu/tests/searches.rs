//! REPNE SCASB over pages: registers, flags and counts are what one comparison after the other leaves, whoever runs it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::CpuidTable;
use iced_x86::code_asm::*;

const BUFFER: u32 = 0x20_0000;
const BYTES: u32 = 0x4000;
/// Start and count of each search.
const LIST: u32 = 0x10_0000;
const CF: u32 = 1;

/// Searches that stop at a byte, at the end of a page and of the count, begin anywhere in a line, and look at nothing.
fn searches() -> Vec<(u32, u32)> {
    let mut all = vec![(0, 0), (0, 1), (77, 1), (0, u32::MAX)];
    for start in [0, 1, 15, 16, 17, 31, 61, 0xfc0, 0xfef, 0xff0, 0xfff, 0x1000, 0x2345] {
        for count in [2, 3, 15, 16, 17, 40, 63, 64, 65, 130, 0x1000, 0x1001, BYTES] {
            all.push((start, count));
        }
    }
    all
}

/// EDI, ECX and the arithmetic flags after a search for 0, which leaves what there was if it looks at nothing.
fn expected(memory: &[u8], start: u32, count: u32) -> [u32; 3] {
    let looked =
        memory[start as usize..].iter().position(|&b| b == 0).map_or(count, |n| count.min(n as u32 + 1));
    let Some(last) = looked.checked_sub(1) else { return [BUFFER + start, 0, CF] };
    let b = memory[(start + last) as usize];
    let r = b.wrapping_neg();
    let parity = u32::from(r.count_ones().is_multiple_of(2)) << 2;
    let overflow = u32::from(b & r & 0x80 != 0) << 11;
    let borrow = u32::from(b != 0) | u32::from(b & 15 != 0) << 4;
    let flags = borrow | parity | u32::from(b == 0) << 6 | u32::from(r & 0x80) | overflow;
    [BUFFER + start + looked, count - looked, flags]
}

/// All searches, one after the other, a few times; returns what was logged and how many instructions ran.
fn run(zeros: &[u32], map: impl Fn(&mut Machine)) -> (Vec<u32>, u64, Caught, Vec<u8>) {
    let mut memory: Vec<u8> = (0..BYTES).map(|n| (n * 7 % 251) as u8 | 1 << (n % 8)).collect();
    for &z in zeros {
        memory[z as usize] = 0;
    }
    let left = on_each_processor(|_, engine| {
        let mut m = Machine::with(engine, &CpuidTable::pentium4(false));
        m.io.limit = 20_000_000;
        m.catch_all();
        m.load(BUFFER, &memory);
        for (n, (start, count)) in (0..).zip(searches()) {
            m.w32(LIST + 8 * n, BUFFER + start);
            m.w32(LIST + 8 * n + 4, count);
        }
        m.flat_code(|a| {
            rounds(a, 3, |a| {
                let mut next = a.create_label();
                a.push(ecx).unwrap();
                a.mov(esi, LIST).unwrap();
                a.set_label(&mut next).unwrap();
                a.mov(edi, dword_ptr(esi)).unwrap();
                a.mov(ecx, dword_ptr(esi + 4)).unwrap();
                a.mov(eax, 0x1234_5600).unwrap();
                a.cmp(al, 1).unwrap();
                a.stc().unwrap();
                // All flags clear but CF.
                a.mov(edx, 1).unwrap();
                a.inc(edx).unwrap();
                a.repne().scasb().unwrap();
                a.pushfd().unwrap();
                a.mov(eax, edi).unwrap();
                log(a);
                a.mov(eax, ecx).unwrap();
                log(a);
                a.pop(eax).unwrap();
                a.and(eax, 0x8d5).unwrap();
                log(a);
                a.add(esi, 8).unwrap();
                a.cmp(esi, LIST + 8 * searches().len() as u32).unwrap();
                a.jne(next).unwrap();
                a.pop(ecx).unwrap();
            });
        });
        map(&mut m);
        m.run();
        (m.io.log.clone(), m.io.retired, m.caught())
    });
    (left.0, left.1, left.2, memory)
}

#[test]
fn a_search_ends_where_comparisons_would() {
    for zeros in
        [&[BYTES - 1][..], &[0, 62, 0xfff, 0x1000, 0x2fff, BYTES - 1], &[15, 16, 130, 0x1fef, BYTES - 1]]
    {
        let (log, _, _, memory) = run(zeros, |_| ());
        let want: Vec<u32> =
            searches().into_iter().flat_map(|(start, count)| expected(&memory, start, count)).collect();
        assert_eq!(log.len(), 3 * want.len());
        for (n, (got, want)) in log.chunks(3).zip(want.chunks(3).cycle()).enumerate() {
            let (start, count) = searches()[n % searches().len()];
            assert_eq!(got, want, "{count} bytes from {start:#x}, zeros at {zeros:x?}");
        }
    }
}

#[test]
fn a_page_that_is_missing_faults_at_its_first_byte() {
    const PD: u32 = 0x30_0000;
    const PT0: u32 = 0x30_1000;
    let missing = BUFFER + 0x3000;
    let (_, _, caught, _) = run(&[], |m| {
        for (t, n) in (0..3_u32).map(|n| (PT0 + 0x1000 * n, n)) {
            m.w32(PD + 4 * n, t | 7);
            for i in 0..1024 {
                let page = n << 22 | i << 12;
                m.w32(t + 4 * i, if page == missing { 0 } else { page | 7 });
            }
        }
        m.edit(|s| {
            s.cr3 = PD;
            s.cr0 |= 0x8000_0000;
        });
    });
    assert_eq!((caught.vector, caught.cr2), (14, missing));
}
