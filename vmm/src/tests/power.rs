//! The power button and S1 on the board.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use board::Key;

use super::*;
use crate::Pressed;

const PM: u16 = 0x400;

/// To S1, then "W", then a halt for good.
fn sleeper() -> Vec<u8> {
    // cli; mov dx, 404h; mov ax, 3001h; out dx, ax: SUS_EN, type 4, SCI_EN
    let mut c = vec![0xfa, 0xba, 0x04, 0x04, 0xb8, 0x01, 0x30, 0xef];
    c.extend(print(b'W'));
    c.push(0xf4);
    c
}

/// A machine whose power management block is at 400h, and on.
fn with_pm(code: &[u8]) -> (Machine, Tape) {
    let (mut m, tape) = machine(code, ClockKind::Host);
    for (register, v) in [(0x40, 0x401), (0x80, 1)] {
        m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 0x8000_3b00 | register);
        m.board.pio_write(CONFIG_DATA, Width::Dword, v);
    }
    (m, tape)
}

fn out(m: &mut Machine, port: u16, v: u32) {
    m.board.pio_write(port, Width::Word, v);
}

fn start(mut m: Machine) -> (Handle, JoinHandle<Machine>) {
    let h = m.handle();
    let run = move || {
        assert_eq!(m.run().unwrap(), Outcome::PoweredOff);
        m
    };
    (h, std::thread::spawn(run))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn it_is_told_when_the_guest_takes_note_of_the_button() {
    // cli; mov dx, 400h; in ax, dx; test ah, 1; jz in; mov ax, 100h; out dx, ax; hlt
    let takes = [0xfa, 0xba, 0, 4, 0xed, 0xf6, 0xc4, 1, 0x74, 0xfa, 0xb8, 0, 1, 0xef, 0xf4];
    let (mut m, _) = with_pm(&takes);
    out(&mut m, PM + 4, 1);
    out(&mut m, PM + 2, 0x100);
    let events = m.handle().events();
    let (h, running) = start(m);
    assert_eq!(h.press_power_button(), Ok(Pressed::Told));
    let told = || -> Vec<Event> { events.after(0, 100).records.into_iter().map(|r| r.event).collect() };
    until("the guest does not take the button", || told().contains(&Event::ButtonTaken));
    let told_but_for_the_halt: Vec<Event> = told().into_iter().filter(|e| *e != Event::Stuck).collect();
    assert_eq!(
        told_but_for_the_halt,
        [Event::Phase(Phase::Running), Event::Button(Pressed::Told), Event::ButtonTaken]
    );
    h.power_off().unwrap();
    running.join().unwrap();
    assert_eq!(told().last(), Some(&Event::Phase(Phase::Off)));
}

#[test]
fn the_button_says_who_listens() {
    let (mut m, _) = with_pm(&[0xfa, 0xf4]);
    assert_eq!(m.press_power_button(), Pressed::NoAcpi);
    out(&mut m, PM + 4, 1);
    assert_eq!(m.press_power_button(), Pressed::Deaf);
    assert_eq!(m.board.pio_read(PM, Width::Word), 0, "left alone");
    out(&mut m, PM + 2, 0x100);
    assert!(m.status().acpi && !m.status().button_waits);
    assert_eq!(m.press_power_button(), Pressed::Told);
    assert_eq!(m.board.pio_read(PM, Width::Word), 0x100);
    assert!(m.status().button_waits);
    let (h, thread) = start(m);
    h.pause().unwrap();
    assert_eq!(h.press_power_button().unwrap(), Pressed::Paused);
    h.power_off().unwrap();
    thread.join().unwrap();
}

#[test]
fn the_button_held_switches_off() {
    let (m, _) = with_pm(&[0xfa, 0xf4]);
    let begun = Instant::now();
    let (h, thread) = start(m);
    h.hold_power_button(true).unwrap();
    thread.join().unwrap();
    assert!(begun.elapsed() > Duration::from_millis(3900));
}

#[test]
fn the_button_wakes_from_s1() {
    let (m, tape) = with_pm(&sleeper());
    let (h, thread) = start(m);
    until("S1", || h.status().unwrap().asleep);
    assert_eq!(tape.text(), "");
    assert_eq!(h.press_power_button().unwrap(), Pressed::Woke);
    until("awake", || tape.text() == "W");
    assert!(!h.status().unwrap().asleep);
    h.power_off().unwrap();
    thread.join().unwrap();
}

#[test]
fn the_clocks_alarm_wakes_from_s1() {
    let (mut m, tape) = with_pm(&sleeper());
    // RTC_EN; an alarm each second.
    out(&mut m, PM + 2, 0x400);
    for (register, v) in [(1, 0xff), (3, 0xff), (5, 0xff), (0x0b, 0x22)] {
        m.board.pio_write(0x70, Width::Byte, register);
        m.board.pio_write(0x71, Width::Byte, v);
    }
    let (h, thread) = start(m);
    until("awake", || tape.text() == "W");
    h.power_off().unwrap();
    let mut m = thread.join().unwrap();
    assert_eq!(m.board.pio_read(PM, Width::Word), 0x8400, "WAK_STS, RTC_STS");
}

#[test]
fn a_key_wakes_from_s1_where_the_board_lets_it() {
    for enabled in [true, false] {
        let (mut m, tape) = with_pm(&sleeper());
        out(&mut m, PM + 0x20, if enabled { 0x0800 } else { 0 });
        // The master 8259 with IRQ 1 alone; the keyboard on, with its interrupt.
        for (port, v) in
            [(0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0xfd), (0x64, 0x60), (0x60, 0x61)]
        {
            m.board.pio_write(port, Width::Byte, v);
        }
        let (h, thread) = start(m);
        until("S1", || h.status().unwrap().asleep);
        h.key(Key(0x1e), true).unwrap();
        h.key(Key(0x1e), false).unwrap();
        if enabled {
            until("awake", || tape.text() == "W");
        } else {
            std::thread::sleep(Duration::from_millis(50));
            assert!(h.status().unwrap().asleep);
        }
        h.power_off().unwrap();
        thread.join().unwrap();
    }
}
