//! String instructions. SDM vol. 2, REP.

use iced_x86::code_asm::*;

use crate::machine::{CODE, DATA, Machine};

const ESI: usize = 6;
const EDI: usize = 7;
const ECX: usize = 1;

#[test]
fn overlapping_copies_replicate_what_they_wrote() {
    for (size, distance) in [(1_u32, 1_u32), (1, 3), (4, 1), (4, 4), (4, 6), (2, 3)] {
        let mut m = Machine::new(&move |a| {
            a.mov(esi, DATA)?;
            a.mov(edi, DATA + distance)?;
            a.mov(ecx, 64)?;
            a.cld()?;
            match size {
                1 => a.rep().movsb()?,
                2 => a.rep().movsw()?,
                _ => a.rep().movsd()?,
            }
            a.hlt()
        });
        let mut expected: Vec<u8> = (0..=255).cycle().take(0x400).collect();
        m.load(DATA, &expected);
        let size = size as usize;
        for from in (0..64 * size).step_by(size) {
            // An element is read whole before it is written.
            expected.copy_within(from..from + size, from + distance as usize);
        }
        m.run();
        assert_eq!(m.read(DATA, 0x400), expected, "size {size}, distance {distance}");
    }
}

#[test]
fn copies_downwards_and_between_pages_are_whole() {
    let mut m = Machine::new(&|a| {
        a.mov(esi, DATA + 0x2ffc)?;
        a.mov(edi, DATA + 0x7ff9)?;
        a.mov(ecx, 0x900)?;
        a.std()?;
        a.rep().movsd()?;
        a.hlt()
    });
    let bytes: Vec<u8> = (0..0x3000_u32).map(|n| (n * 7 / 8) as u8).collect();
    m.load(DATA, &bytes);
    let s = m.run();
    assert_eq!(m.read(DATA + 0x7ffd - 0x2400, 0x2400), bytes[0xc00..]);
    assert_eq!((s.gpr[ECX], s.gpr[ESI]), (0, DATA + 0x2ffc - 0x2400));
}

#[test]
fn each_element_counts_as_one_instruction() {
    for count in [0_u32, 1, 2, 5000] {
        let mut m = Machine::new(&move |a| {
            a.mov(ecx, count)?;
            a.mov(edi, DATA)?;
            a.rep().stosb()?;
            a.hlt()
        });
        m.run();
        assert_eq!(m.metric("instructions"), 3 + u64::from(count.max(1)), "count {count}");
    }
}

#[test]
fn a_fault_in_the_middle_leaves_the_registers_of_the_last_element() {
    let mut m = Machine::new(&|a| {
        a.mov(esi, 0)?;
        a.mov(edi, 0xff0)?;
        a.mov(ecx, 0x100)?;
        a.rep().movsd()?;
        a.hlt()
    });
    m.edit(|s| s.seg[0].limit = 0xfff);
    m.edit(|s| s.seg[0].attr = 0x4093);
    let s = m.run();
    assert_eq!(m.fault(), Some(13));
    assert_eq!((s.gpr[ECX], s.gpr[ESI], s.gpr[EDI]), (0xfc, 0x10, 0x1000));
}

#[test]
fn input_to_a_bad_address_does_not_take_from_the_port() {
    let mut m = Machine::new(&|a| {
        a.mov(edi, 0xffc)?;
        a.mov(ecx, 8)?;
        a.rep().insb()?;
        a.hlt()
    });
    m.edit(|s| s.seg[0].limit = 0xfff);
    m.edit(|s| s.seg[0].attr = 0x4093);
    let s = m.run();
    assert_eq!(m.fault(), Some(13));
    assert_eq!((m.io.reads, s.gpr[ECX], s.gpr[EDI]), (4, 4, 0x1000));
    assert_eq!(m.read(0xffc, 4), [1, 2, 3, 4]);
}

#[test]
fn sixteen_bit_addresses_use_and_wrap_the_low_halves() {
    let mut m = Machine::real(&|a| {
        a.mov(ecx, 0xabcd_0004_u32)?;
        a.mov(edi, 0x1234_fffe_u32)?;
        a.mov(al, 0x5a)?;
        a.rep().stosb()?;
        a.hlt()
    });
    m.edit(|s| s.seg[0] = hv_vcpu::Segment::real(0x4000));
    let s = m.run();
    assert_eq!((s.gpr[ECX], s.gpr[EDI]), (0xabcd_0000, 0x1234_0002));
    assert_eq!(m.read(0x4_fffe, 2), [0x5a; 2]);
    assert_eq!(m.read(0x4_0000, 3), [0x5a, 0x5a, 0]);
}

#[test]
fn searches_stop_after_the_element_that_decides() {
    let mut m = Machine::new(&|a| {
        a.mov(edi, DATA)?;
        a.mov(ecx, 0x2000)?;
        a.mov(al, 0x77)?;
        a.repne().scasb()?;
        a.hlt()
    });
    m.load(DATA + 0x1803, &[0x77]);
    let s = m.run();
    assert_eq!((s.gpr[EDI], s.gpr[ECX]), (DATA + 0x1804, 0x2000 - 0x1804));
    assert_ne!(s.eflags & 0x40, 0);
}

#[test]
fn comparisons_find_the_first_difference_and_a_count_of_zero_leaves_the_flags() {
    let mut m = Machine::new(&|a| {
        a.mov(esi, DATA)?;
        a.mov(edi, DATA + 0x4000)?;
        a.mov(ecx, 0x1000)?;
        a.repe().cmpsd()?;
        a.mov(ebx, ecx)?;
        a.setb(dl)?;
        a.xor(ecx, ecx)?; // ZF
        a.repne().cmpsb()?;
        a.setne(dh)?;
        a.hlt()
    });
    m.load(DATA + 0x4000 + 4 * 0x801, &[1]);
    let s = m.run();
    assert_eq!(s.gpr[3], 0x1000 - 0x802);
    assert_eq!(s.gpr[2], 1);
}

#[test]
fn a_zero_count_does_not_touch_memory() {
    let mut m = Machine::new(&|a| {
        a.mov(edi, 0xffff_fff0_u32)?;
        a.xor(ecx, ecx)?;
        a.rep().stosd()?;
        a.hlt()
    });
    m.edit(|s| s.seg[0].attr = 0x1_0000);
    assert_eq!(m.run().eip, CODE + 10);
}
