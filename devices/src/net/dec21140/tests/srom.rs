use super::{Card, MAC};
use crate::net::dec21140::srom::image;

const SELECT: u32 = 0x4800;
const CS: u32 = 1;
const SK: u32 = 2;
const DI: u32 = 4;
const DO: u32 = 8;

/// As Linux's tulip reads: looks at DO while SK is high. All the bits that came.
fn linux(c: &mut Card, location: u32, address_bits: u32) -> u32 {
    let command = location | 6 << address_bits;
    let (mut got, select) = (0_u32, SELECT | CS);
    c.w(9, SELECT);
    c.w(9, select);
    for i in (0..=4 + address_bits).rev() {
        let di = if command >> i & 1 != 0 { DI } else { 0 };
        c.w(9, select | di);
        c.w(9, select | di | SK);
        got = got << 1 | u32::from(c.r(9) & DO != 0);
    }
    c.w(9, select);
    for _ in 0..16 {
        c.w(9, select | SK);
        got = got << 1 | u32::from(c.r(9) & DO != 0);
        c.w(9, select);
    }
    c.w(9, SELECT);
    got
}

fn word(c: &mut Card, at: u32) -> u16 {
    linux(c, at, 6) as u16
}

/// As drivers of Windows read: clocks bit by bit, looks at DO while SK is low again.
fn clock(c: &mut Card, di: bool) -> bool {
    let di = if di { DI } else { 0 };
    c.w(9, SELECT | CS | di);
    c.w(9, SELECT | CS | di | SK);
    c.w(9, SELECT | CS | di);
    c.r(9) & DO != 0
}

fn begin(c: &mut Card, bits: &[bool]) -> bool {
    c.w(9, SELECT);
    c.w(9, SELECT | CS);
    bits.iter().fold(true, |_, &b| clock(c, b))
}

fn command(c: &mut Card, code: u32) -> bool {
    let bits: Vec<bool> = (0..9).rev().map(|i| code >> i & 1 != 0).collect();
    begin(c, &bits)
}

fn put(c: &mut Card, code: u32, v: u16) {
    command(c, code);
    (0..16).rev().for_each(|i| {
        clock(c, v >> i & 1 != 0);
    });
    c.w(9, SELECT);
}

#[test]
fn the_image_has_what_drivers_check() {
    let words = image(0, MAC);
    let b: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let head = [0x00, 0x0a, 0x14, 0x21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x1d, 0, 1, 1];
    assert_eq!(b[..20], head);
    assert_eq!(b[20..26], MAC);
    assert_eq!(b[26..43], [0, 0x1e, 0, 0, 0x05, 0x02, 0, 2, 3, 0, 0x6d, 0, 5, 0, 0x6d, 0, 0]);
    assert_eq!(b[126..], [0x6e, 0x4a], "worked out elsewhere");
    for (func, crc) in [(0, 0x1d), (1, 0x1f), (2, 0x19), (3, 0x1b)] {
        assert_eq!(image(func, MAC)[8], crc);
    }
}

#[test]
fn linux_finds_six_address_bits_and_reads_all_words() {
    let mut c = Card::new();
    assert_eq!(linux(&mut c, 0xff, 8) & 0x4_0000, 0, "the zero before the data is where six bits have it");
    let words = image(0, MAC);
    for at in 0..64 {
        assert_eq!(word(&mut c, at), words[at as usize], "word {at}");
    }
}

#[test]
fn a_windows_driver_finds_the_size_by_the_dummy_zero() {
    let mut c = Card::new();
    assert_ne!(c.r(9) & DO, 0, "nobody drives it");
    let mut idle = begin(&mut c, &[true, true, false]);
    for n in 1..=6 {
        assert!(idle, "before address bit {n}");
        idle = clock(&mut c, n > 4);
    }
    assert!(!idle);
    let got = (0..16).fold(0, |v, _| v << 1 | u16::from(clock(&mut c, false)));
    assert_eq!(got, image(0, MAC)[3]);
    let next = (0..16).fold(0, |v, _| v << 1 | u16::from(clock(&mut c, false)));
    assert_eq!(next, image(0, MAC)[4], "reading goes on");
    c.w(9, SELECT);
    assert_ne!(c.r(9) & DO, 0);
}

#[test]
fn without_its_select_the_rom_is_silent() {
    let mut c = Card::new();
    for di in [DI, DI, 0, 0, 0, 0, 0, 0, 0] {
        c.w(9, CS | di);
        c.w(9, CS | SK | di);
    }
    assert_ne!(c.r(9) & DO, 0);
}

#[test]
fn words_change_while_writing_is_enabled() {
    let mut c = Card::new();
    let old = word(&mut c, 5);
    put(&mut c, 0x145, 0x1234);
    assert_eq!(word(&mut c, 5), old);
    command(&mut c, 0x130);
    put(&mut c, 0x145, 0x1234);
    assert_eq!(word(&mut c, 5), 0x1234);
    assert!(command(&mut c, 0x1c5), "ready");
    assert_eq!(word(&mut c, 5), 0xffff, "erased");
    command(&mut c, 0x100);
    put(&mut c, 0x145, 0x5678);
    assert_eq!(word(&mut c, 5), 0xffff);
    command(&mut c, 0x130);
    put(&mut c, 0x110, 0xabcd);
    assert_eq!((word(&mut c, 0), word(&mut c, 63)), (0xabcd, 0xabcd), "all of them");
}
