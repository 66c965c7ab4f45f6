use board::{MICROSECOND, MILLISECOND, Power, Reset};

use super::{aux, bench, bytes, drain, kbd, key, ready};

#[test]
fn the_command_byte_reads_back_and_drives_sys() {
    let mut b = bench();
    b.out8(0x64, 0x60);
    assert_eq!(b.in8(0x64) & 0x08, 0x08, "C/D");
    b.out8(0x60, 0x47);
    assert_eq!(b.in8(0x64), 0x14, "unlocked, SYS, nothing there, last write was data");
    b.out8(0x64, 0x20);
    assert_eq!(b.in8(0x64) & 0x21, 0x01);
    assert_eq!(b.in8(0x60), 0x47);
    assert_eq!(b.in8(0x64) & 0x01, 0);
}

#[test]
fn internal_ram_keeps_bytes() {
    let mut b = bench();
    b.out8(0x64, 0x7f);
    b.out8(0x60, 0x12);
    b.out8(0x64, 0x61);
    b.out8(0x60, 0x34);
    b.out8(0x64, 0x3f);
    assert_eq!(b.in8(0x60), 0x12);
    b.out8(0x64, 0x21);
    assert_eq!(b.in8(0x60), 0x34);
}

#[test]
fn the_tests_pass() {
    let mut b = bench();
    for (command, answer) in [(0xaa, 0x55), (0xab, 0x00), (0xa9, 0x00), (0xa4, 0xf1), (0xc0, 0x80)] {
        b.out8(0x64, command);
        assert_eq!(b.in8(0x64) & 0x21, 0x01, "{command:02x}: no auxiliary bit");
        assert_eq!(b.in8(0x60), answer, "{command:02x}");
    }
    assert_eq!(b.in8(0x64) & 0x04, 0x04, "SYS after the self test");
}

#[test]
fn ports_switch_off_and_on_in_the_command_byte() {
    let mut b = ready(0x47);
    for (command, ctr) in [(0xa7, 0x67), (0xad, 0x77), (0xa8, 0x57), (0xae, 0x47)] {
        b.out8(0x64, command);
        b.out8(0x64, 0x20);
        assert_eq!(b.in8(0x60), ctr, "{command:02x}");
    }
}

#[test]
fn loopbacks_raise_their_own_interrupt() {
    let mut b = ready(0x47);
    b.out8(0x64, 0xd2);
    b.out8(0x60, 0x5a);
    assert_eq!(b.lines.irqs(), 1 << 1);
    assert_eq!(b.in8(0x64) & 0x21, 0x01);
    assert_eq!(b.in8(0x60), 0x5a);
    assert_eq!(b.lines.irqs(), 0);
    b.out8(0x64, 0xd3);
    b.out8(0x60, 0xa5);
    assert_eq!(b.lines.irqs(), 1 << 12);
    assert_eq!(b.in8(0x64) & 0x21, 0x21);
    assert_eq!(b.in8(0x60), 0xa5);
    assert_eq!(b.lines.irqs(), 0);
}

#[test]
fn loopbacks_are_silent_with_interrupts_off() {
    let mut b = ready(0x44);
    b.out8(0x64, 0xd3);
    b.out8(0x60, 0x5a);
    assert_eq!(b.lines.irqs(), 0);
    assert_eq!(b.in8(0x64) & 0x21, 0x21);
}

#[test]
fn the_output_port_is_a20_and_reset() {
    let mut b = ready(0x47);
    b.out8(0x64, 0xd1);
    b.out8(0x60, 0xdd);
    assert!(!b.ram.a20());
    b.out8(0x64, 0xd0);
    assert_eq!(b.in8(0x60) & 0x03, 0x01);
    b.out8(0x64, 0xd1);
    b.out8(0x60, 0xdf);
    assert!(b.ram.a20());
    b.out8(0x64, 0xff); // pulse nothing: how drivers wait for the port
    assert_eq!(b.power(), None);
    b.out8(0x64, 0xdd);
    assert!(!b.ram.a20());
    b.out8(0x64, 0xdf);
    assert!(b.ram.a20());
    b.ram.set_a20(false);
    b.out8(0x64, 0xd0);
    assert_eq!(b.in8(0x60) & 0x02, 0, "port 92h's doing shows here");
    b.out8(0x64, 0xd1);
    b.out8(0x60, 0xde);
    assert_eq!(b.power(), Some(Power::Init));
}

#[test]
fn reset_pulses() {
    for (command, resets) in [(0xfe, true), (0xf0, true), (0xfc, true), (0xfd, false), (0xff, false)] {
        let mut b = ready(0x47);
        b.out8(0x64, command);
        assert_eq!(b.power(), resets.then_some(Power::Init), "{command:02x}");
    }
}

#[test]
fn a_byte_at_a_time_with_an_edge_each() {
    let mut b = ready(0x45);
    key(&mut b, 0xe048, true); // E0 48
    assert_eq!(b.lines.take_moved(), Some((0, 2)));
    assert_eq!(b.in8(0x60), 0xe0);
    assert_eq!(b.lines.take_moved(), Some((0, 0)));
    b.advance(499 * MICROSECOND);
    assert_eq!(b.in8(0x64) & 1, 0, "the next takes its time");
    b.advance(2 * MICROSECOND);
    assert_eq!(b.lines.irqs(), 2);
    assert_eq!(b.in8(0x60), 0x48);
    b.advance(MILLISECOND);
    assert_eq!(b.in8(0x64) & 1, 0);
    assert_eq!(b.in8(0x60), 0x48, "an empty buffer reads its last byte");
}

#[test]
fn a_held_clock_keeps_the_devices_bytes() {
    let mut b = ready(0x57); // keyboard off
    key(&mut b, 0x1e, true);
    b.advance(10 * MILLISECOND);
    assert_eq!(b.in8(0x64) & 1, 0);
    b.out8(0x64, 0xae);
    assert_eq!(bytes(&mut b), [0x1e]);
}

#[test]
fn sending_to_a_device_lets_its_clock_go() {
    let mut b = ready(0x77);
    assert_eq!(kbd(&mut b, 0xee), [0xee]);
    assert_eq!(aux(&mut b, 0xf2), [0xfa, 0x00]);
    b.out8(0x64, 0x20);
    assert_eq!(b.in8(0x60), 0x47);
}

#[test]
fn both_devices_share_the_buffer_and_keep_their_names() {
    let mut b = ready(0x47);
    assert_eq!(aux(&mut b, 0xf4), [0xfa]);
    key(&mut b, 0x1e, true);
    super::point(&mut b, 1, 0, 0, 0);
    assert_eq!(drain(&mut b), [(0x1e, false), (0x08, true), (0x01, true), (0x00, true)]);
}

#[test]
fn an_unknown_command_is_counted_and_answers_nothing() {
    let mut b = bench();
    b.out8(0x64, 0xb8);
    assert_eq!(b.unknowns(), 1);
    assert_eq!(b.in8(0x64) & 1, 0);
}

#[test]
fn a_reset_drops_lines_and_forgets_half_a_command() {
    let mut b = ready(0x47);
    key(&mut b, 0x1e, true);
    assert_eq!(b.lines.irqs(), 2);
    b.out8(0x64, 0xd1);
    b.reset(Reset::Hard);
    assert_eq!(b.lines.irqs(), 0);
    b.out8(0x60, 0xfe); // to the keyboard, not to P2
    assert_eq!(b.power(), None);
}

#[test]
fn state_survives() {
    let mut b = ready(0x47);
    for v in [0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf4] {
        assert_eq!(aux(&mut b, v), [0xfa]);
    }
    kbd(&mut b, 0xed);
    kbd(&mut b, 0x02);
    key(&mut b, 0xe04b, true);
    super::point(&mut b, 3, -4, 1, 1);
    b.save_and_load();
    assert_eq!(b.dev.leds(), 2);
    let got = drain(&mut b);
    let keys: Vec<u8> = got.iter().filter(|g| !g.1).map(|g| g.0).collect();
    let mouse: Vec<u8> = got.iter().filter(|g| g.1).map(|g| g.0).collect();
    assert_eq!(keys, [0xe0, 0x2a, 0xe0, 0x4b]);
    assert_eq!(mouse, [0x09, 3, 4, 1]);
    key(&mut b, 0xe04b, false);
    assert_eq!(bytes(&mut b), [0xe0, 0xcb, 0xe0, 0xaa]);
}
