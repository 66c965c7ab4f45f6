use board::HostEvent;

use super::Card;

const MDC: u32 = 1 << 16;
const MDO: u32 = 1 << 17;
const LISTEN: u32 = 1 << 18;
const MDI: u32 = 1 << 19;

fn out(c: &mut Card, bits: u32, n: u32) {
    for i in (0..n).rev() {
        let mdo = if bits >> i & 1 != 0 { MDO } else { 0 };
        c.w(9, mdo);
        c.w(9, mdo | MDC);
    }
}

/// As Linux's tulip: looks at MDI before the clock rises.
fn linux(c: &mut Card, phy: u32, register: u32) -> u16 {
    out(c, u32::MAX, 32);
    out(c, 1, 1);
    out(c, 0xf6 << 10 | phy << 5 | register, 16);
    let mut got = 0_u32;
    for _ in 0..19 {
        c.w(9, LISTEN);
        got = got << 1 | u32::from(c.r(9) & MDI != 0);
        c.w(9, LISTEN | MDC);
    }
    (got >> 1) as u16
}

/// As ReactOS's dc21x4: looks after the clock rose; the turnaround must be 0.
fn reactos(c: &mut Card, phy: u32, register: u32) -> Option<u16> {
    out(c, u32::MAX, 32);
    out(c, 0b0110 << 10 | phy << 5 | register, 14);
    let mut next = || {
        c.w(9, LISTEN);
        c.w(9, LISTEN | MDC);
        u16::from(c.r(9) & MDI != 0)
    };
    let there = next() == 0;
    let got = (0..16).fold(0, |v, _| v << 1 | next());
    next();
    there.then_some(got)
}

fn write(c: &mut Card, phy: u32, register: u32, v: u32) {
    out(c, u32::MAX, 32);
    out(c, 0b0101 << 28 | phy << 23 | register << 18 | 0b10 << 16 | v, 32);
    c.w(9, LISTEN);
    c.w(9, LISTEN | MDC);
}

#[test]
fn both_ways_of_reading_give_what_virtual_pc_had() {
    let mut c = Card::new();
    let values = [(0, 0x3100), (1, 0x782c), (2, 0x0fff), (3, 0xfc41), (4, 0x01e1), (5, 0x41e1)];
    for (register, v) in values.into_iter().chain([(16, 0x0400), (17, 0x8008), (18, 0x7800), (31, 0)]) {
        assert_eq!(linux(&mut c, 1, register), v, "register {register}");
        assert_eq!(reactos(&mut c, 1, register), Some(v), "register {register}");
    }
}

#[test]
fn no_other_phy_answers() {
    let mut c = Card::new();
    for phy in (0..32).filter(|p| *p != 1) {
        assert_eq!(linux(&mut c, phy, 1), 0xffff);
        assert_eq!(reactos(&mut c, phy, 1), None);
    }
    assert_eq!(linux(&mut c, 1, 0), 0x3100, "and it is no trouble for the one that does");
}

#[test]
fn what_may_be_written_is_kept_until_the_phy_is_reset() {
    let mut c = Card::new();
    write(&mut c, 1, 4, 0x0061);
    write(&mut c, 1, 0, 0x2300);
    write(&mut c, 2, 4, 0x01e1);
    write(&mut c, 1, 1, 0xffff);
    assert_eq!(linux(&mut c, 1, 4), 0x0061);
    assert_eq!(linux(&mut c, 1, 0), 0x2100, "negotiation was restarted and is through");
    assert_eq!(linux(&mut c, 1, 1), 0x782c);
    write(&mut c, 1, 0, 0x8000);
    assert_eq!(linux(&mut c, 1, 0), 0x3100);
    assert_eq!(linux(&mut c, 1, 4), 0x01e1);
}

#[test]
fn a_lost_link_shows_once_after_it_is_back() {
    let mut c = Card::new();
    c.wire.ends().unplugged = true;
    assert_eq!(linux(&mut c, 1, 1) & 4, 0);
    assert_eq!(linux(&mut c, 1, 5), 0);
    c.wire.ends().unplugged = false;
    assert_eq!(linux(&mut c, 1, 1) & 4, 0, "latched");
    assert_eq!(linux(&mut c, 1, 1) & 4, 4);
}

/// The host says that something changed, both times.
#[test]
fn a_link_that_was_lost_between_two_looks_shows() {
    let mut c = Card::new();
    assert_eq!(linux(&mut c, 1, 1) & 4, 4);
    c.wire.ends().unplugged = true;
    c.b.host(HostEvent::Network);
    c.wire.ends().unplugged = false;
    c.b.host(HostEvent::Network);
    assert_eq!(linux(&mut c, 1, 1) & 4, 0);
    assert_eq!(linux(&mut c, 1, 1) & 4, 4);
}
