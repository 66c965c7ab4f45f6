//! Whole machines with a BIOS of a few bytes: the board's wiring and the machine's life.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use board::{CONFIG_ADDRESS, CONFIG_DATA, Disk, Media, Scanout, SerialPort, VideoMode};
use hv_vcpu::{GuestIo, Width};

use crate::{
    Bay, Choice, ClockKind, Drive, Engine, Event, Floppy, Handle, Machine, NoAnswer, Outcome, Parts, Phase,
    Ports,
};

mod bios;
mod dma;
mod floppy;
mod host_disk;
mod net;
mod power;
mod sound;

/// Nothing is plugged in.
pub(crate) fn no_ports() -> Ports {
    Ports {
        drives: [const { None }; 4],
        floppies: [None, None],
        serial: [None, None],
        net: [const { None }; 4],
        parallel: None,
        sound: None,
        display: Box::new(Blind),
    }
}

struct Blind;

impl Scanout for Blind {
    fn mode(&mut self, _: VideoMode) {}
    fn rows(&mut self, _: std::ops::Range<u32>, _: &[u32]) {}
    fn wanted(&self) -> bool {
        false
    }
}

/// A COM port that keeps what came.
#[derive(Clone, Default)]
pub(crate) struct Tape(Arc<Mutex<Vec<u8>>>);

impl SerialPort for Tape {
    fn send(&mut self, byte: u8) {
        self.0.lock().unwrap().push(byte);
    }
}

impl Tape {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

struct Sectors(u64);

impl Disk for Sectors {
    fn sectors(&self) -> u64 {
        self.0
    }
    fn read(&mut self, _: u64, buf: &mut [u8]) -> std::io::Result<()> {
        buf.fill(0x5a);
        Ok(())
    }
    fn write(&mut self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A disk of so many sectors that all hold the same.
pub(crate) fn sectors(n: u64) -> Box<dyn Disk> {
    Box::new(Sectors(n))
}

/// 64 KiB with `code` at F000:0000 and a jump to it at the reset vector.
pub(crate) fn rom(code: &[u8]) -> Vec<u8> {
    let mut r = vec![0xf4; 64 << 10];
    r[..code.len()].copy_from_slice(code);
    r[0xfff0..0xfff5].copy_from_slice(&[0xea, 0x00, 0x00, 0x00, 0xf0]);
    r
}

fn machine(code: &[u8], clock: ClockKind) -> (Machine, Tape) {
    machine_with(rom(code), clock)
}

fn machine_with(bios: Vec<u8>, clock: ClockKind) -> (Machine, Tape) {
    let parts = Parts {
        memory_mib: 16,
        engine: Choice::This(Engine::Software),
        clock,
        bios: Some(bios),
        ..Parts::default()
    };
    let tape = Tape::default();
    let drives =
        [Some(Drive::disk(Box::new(Sectors(100_000)))), None, Some(Drive::Cdrom { medium: None }), None];
    let floppies = [Some(Floppy { medium: Some(Box::new(Sectors(2880))) }), None];
    let serial: [Option<Box<dyn SerialPort>>; 2] = [Some(Box::new(tape.clone())), None];
    let ports = Ports { drives, floppies, serial, ..no_ports() };
    (Machine::build(&parts, ports).unwrap(), tape)
}

/// mov dx, 3FBh; mov al, 3; out dx, al (eight bits a character); mov dl, F8h; mov al, c; out dx, al
const fn print(c: u8) -> [u8; 11] {
    [0xba, 0xfb, 0x03, 0xb0, 0x03, 0xee, 0xb2, 0xf8, 0xb0, c, 0xee]
}

/// lidt cs:[empty]; int3, with six zero bytes behind it: no exception can be delivered.
fn triple_fault(at: usize) -> Vec<u8> {
    let empty = (at + 7) as u16;
    let mut c = vec![0x2e, 0x0f, 0x01, 0x1e];
    c.extend(empty.to_le_bytes());
    c.push(0xcc);
    c.extend([0; 6]);
    c
}

fn config(m: &mut Machine, dev: u32, func: u32, reg: u32) -> u32 {
    m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 1 << 31 | dev << 11 | func << 8 | reg);
    m.board.pio_read(CONFIG_DATA, Width::Dword)
}

#[test]
fn the_functions_of_virtual_pc_are_where_its_systems_look() {
    let (mut m, _) = machine(&[0xf4], ClockKind::Host);
    let ids = [
        (0, 0, 0x7192_8086),
        (7, 0, 0x7110_8086),
        (7, 1, 0x7111_8086),
        (7, 3, 0x7113_8086),
        (8, 0, 0x8811_5333),
    ];
    for (dev, func, id) in ids {
        assert_eq!(config(&mut m, dev, func, 0), id, "0:{dev}.{func}");
    }
    // No AGP bridge, no USB, nothing in the free slots.
    for (dev, func) in [(1, 0), (7, 2), (9, 0), (10, 0), (31, 7)] {
        assert_eq!(config(&mut m, dev, func, 0), u32::MAX, "0:{dev}.{func}");
    }
}

#[test]
fn bytes_of_cf8_are_ordinary_ports() {
    let (mut m, _) = machine(&[0xf4], ClockKind::Host);
    m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 0x8000_3800);
    m.board.pio_write(0xcfb, Width::Byte, 1);
    m.board.pio_write(0xcf9, Width::Byte, 2);
    assert_eq!(m.board.pio_read(CONFIG_ADDRESS, Width::Dword), 0x8000_3800);
    assert_eq!(m.board.pio_read(0xcf9, Width::Byte) & 2, 2, "CF9h is the PIIX4's");
}

#[test]
fn unanswered_lanes_of_a_wide_access_float() {
    let (mut m, _) = machine(&[0xf4], ClockKind::Host);
    assert_eq!(m.board.pio_read(0x300, Width::Dword), u32::MAX);
    let mut b = [0; 4];
    m.board.mmio_read(0xfec0_0000, &mut b);
    assert_eq!(b, [0xff; 4]);
}

#[test]
fn a_triple_fault_is_a_crash_with_the_registers() {
    let code: Vec<u8> = print(b'a').into_iter().chain(triple_fault(11)).collect();
    let (mut m, tape) = machine(&code, ClockKind::Host);
    let Outcome::Crashed { report } = m.run().unwrap() else { panic!("it did not crash") };
    assert!(report.contains("f000:00000011"), "{report}");
    assert_eq!(tape.text(), "a");
    assert_eq!(m.handle().phase(), Phase::Off);
}

#[test]
fn with_the_warm_boot_word_a_triple_fault_is_a_reset() {
    // Prints; the first time it sets 0:0472 to 1234h and faults; the second time (0:0500 is set) it clears the word, and
    // the fault is a crash.
    let mut code = Vec::from(print(b'b'));
    code.extend([0x31, 0xc0, 0x8e, 0xd8]); // xor ax, ax; mov ds, ax
    code.extend([0x80, 0x3e, 0x00, 0x05, 0x01]); // cmp byte [500h], 1
    code.extend([0xc6, 0x06, 0x00, 0x05, 0x01]); // mov byte [500h], 1
    code.extend([0xc7, 0x06, 0x72, 0x04, 0x34, 0x12]); // mov word [472h], 1234h
    code.extend([0x75, 0x06]); // jne over
    code.extend([0xc7, 0x06, 0x72, 0x04, 0x00, 0x00]); // mov word [472h], 0
    let fault = triple_fault(code.len());
    code.extend(fault);
    let (mut m, tape) = machine(&code, ClockKind::Host);
    let events = m.handle().events();
    assert!(matches!(m.run().unwrap(), Outcome::Crashed { .. }));
    assert_eq!(tape.text(), "bb");
    let told: Vec<Event> = events.after(0, 100).records.into_iter().map(|r| r.event).collect();
    assert!(
        matches!(
            told.as_slice(),
            [
                Event::Phase(Phase::Running),
                Event::Reset { by_guest: true },
                Event::TripleFault { .. },
                Event::Phase(Phase::Off)
            ]
        ),
        "{told:?}"
    );
}

#[test]
fn a_halted_machine_pauses_answers_and_powers_off() {
    let (mut m, _) = machine(&[0xfa, 0xf4], ClockKind::Host);
    let h = m.handle();
    let control = std::thread::spawn(move || {
        while !h.status().unwrap().halted {}
        h.pause().unwrap();
        let a = h.status().unwrap();
        assert_eq!(a.phase, Phase::Paused);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(h.status().unwrap().guest_ns, a.guest_ns, "guest time stands still");
        h.resume().unwrap();
        assert_eq!(h.status().unwrap().phase, Phase::Running);
        h.power_off().unwrap();
        h
    });
    assert_eq!(m.run().unwrap(), Outcome::PoweredOff);
    let h = control.join().unwrap();
    drop(m);
    assert!(h.status().is_err(), "a machine that is gone says so");
}

#[test]
fn the_clock_chip_goes_on_through_a_pause() {
    let (mut m, _) = machine(&[0xfa, 0xf4], ClockKind::Host);
    let h = m.handle();
    let control = std::thread::spawn(move || {
        while !h.status().unwrap().halted {}
        h.pause().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        h.resume().unwrap();
        h.power_off().unwrap();
    });
    assert_eq!(m.run().unwrap(), Outcome::PoweredOff);
    control.join().unwrap();
    m.board.pio_write(0x70, Width::Byte, 0);
    let seconds = m.board.pio_read(0x71, Width::Byte);
    let (guest_ns, _) = m.handle().progress();
    assert!(guest_ns < 1_000_000_000, "{guest_ns}");
    assert_eq!(seconds, 1);
}

#[test]
fn the_instruction_clock_counts_the_same_every_time() {
    let count = || {
        // mov cx, 1000; loop $
        let mut code = vec![0xb9, 0xe8, 0x03, 0xe2, 0xfe];
        code.extend(triple_fault(5));
        let (mut m, _) = machine(&code, ClockKind::Instructions);
        m.run().unwrap();
        m.handle().progress()
    };
    let first = count();
    assert_eq!(first, count());
    assert!((1000..1100).contains(&first.1), "{first:?}");
}

/// A program that arms the PIT long before the poll that was promised when it began, and crashes in its interrupt.
fn one_shot() -> Vec<u8> {
    let mut c = vec![0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70]; // ds, ss = 0; sp = 7000h
    c.extend([0xc7, 0x06, 0x20, 0x00, 0, 0, 0xc7, 0x06, 0x22, 0x00, 0x00, 0xf0]); // vector 8
    // The 8259: vectors from 8, IRQ 0 alone.
    for (port, v) in [(0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0xfe)] {
        c.extend([0xb0, v, 0xe6, port]);
    }
    c.extend([0xb9, 0xd0, 0x07, 0xe2, 0xfe]); // mov cx, 2000; loop $
    // Counter 0, mode 0, 120 of its ticks and one to load them: 101 us.
    for (port, v) in [(0x43, 0x30), (0x40, 120), (0x40, 0)] {
        c.extend([0xb0, v, 0xe6, port]);
    }
    c.extend([0xfb, 0xeb, 0xfe]); // sti; jmp $
    let isr = (c.len() as u16).to_le_bytes();
    c[13..15].copy_from_slice(&isr);
    let fault = triple_fault(c.len());
    c.extend(fault);
    c
}

#[test]
fn on_the_instruction_clock_a_timer_that_a_program_arms_comes_at_its_instruction() {
    let (mut m, _) = machine(&one_shot(), ClockKind::Instructions);
    let Outcome::Crashed { .. } = m.run().unwrap() else { panic!("the interrupt did not come") };
    let (_, instructions) = m.handle().progress();
    // 2,000 of the loop, 40 around it, 10,140 of the counter.
    assert!((12_150..12_250).contains(&instructions), "{instructions}");
}

#[test]
fn the_power_goes_off_at_the_guest_time_that_was_asked_for() {
    // jmp $; sti, hlt and jmp back; cli and hlt
    for code in [&[0xeb, 0xfe][..], &[0xfb, 0xf4, 0xeb, 0xfc], &[0xfa, 0xf4]] {
        let (mut m, _) = machine(code, ClockKind::Instructions);
        m.stop_after(12_345_670);
        assert_eq!(m.run().unwrap(), Outcome::PoweredOff);
        assert_eq!(m.handle().progress().0, 12_345_670, "{code:x?}");
    }
    let (mut m, _) = machine(&[0xeb, 0xfe], ClockKind::Host);
    m.stop_after(3_000_000);
    assert_eq!(m.run().unwrap(), Outcome::PoweredOff);
    assert!(m.handle().progress().0 >= 3_000_000);
}

/// A machine that waits for its end on a thread, and what controls it.
fn running(code: &[u8]) -> (Handle, JoinHandle<Machine>) {
    let (mut m, _) = machine(code, ClockKind::Host);
    let h = m.handle();
    let thread = std::thread::spawn(move || {
        assert_eq!(m.run().unwrap(), Outcome::PoweredOff);
        m
    });
    (h, thread)
}

/// A medium that tells when it is let go of.
struct Held(#[allow(dead_code, reason = "its end is what counts")] Arc<()>);

impl Disk for Held {
    fn sectors(&self) -> u64 {
        4
    }
    fn read_only(&self) -> bool {
        true
    }
    fn read(&mut self, _: u64, _: &mut [u8]) -> std::io::Result<()> {
        Ok(())
    }
    fn write(&mut self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_medium_goes_into_cd_rom_drives_only_and_is_let_go_of_when_taken_out() {
    let (h, thread) = running(&[0xfa, 0xf4]);
    let held = Arc::new(());
    let medium = || {
        let media = Media { sectors: 4, read_only: true };
        Some((Box::new(Held(held.clone())) as Box<dyn Disk>, media))
    };
    // Units: a hard disk, nothing, a CD-ROM drive, nothing, none at all.
    for unit in [0, 1, 3, 4] {
        let told = h.insert(Bay::Cdrom(unit), medium()).unwrap().unwrap_err();
        assert!(told.contains(&format!("unit {unit} is no CD-ROM drive")), "{told}");
    }
    assert_eq!(Arc::strong_count(&held), 1);
    h.insert(Bay::Cdrom(2), medium()).unwrap().unwrap();
    assert_eq!(Arc::strong_count(&held), 2);
    h.insert(Bay::Cdrom(2), None).unwrap().unwrap();
    assert_eq!(Arc::strong_count(&held), 1, "the image can be moved or unmounted now");
    h.power_off().unwrap();
    thread.join().unwrap();
}

#[test]
fn a_disc_that_the_guest_puts_out_is_told() {
    let (mut m, _) = machine(&[0xf4], ClockKind::Instructions);
    let disc = crate::disks::Unit::new(Box::new(Sectors(400)), "CD".into(), crate::spec::OnError::default());
    m.board.disks.insert(m.roles.ide, 2, disc).unwrap();
    let media = Media { sectors: 400, read_only: true };
    m.board.host_event(m.roles.ide, board::HostEvent::Media { unit: 2, media: Some(media), forced: true });
    // PIIX4's IDE: PCICMD.IOSE; IDETIM decodes both channels.
    for (register, v) in [(0x04, 1), (0x40, 0x8000_8000)] {
        m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 0x8000_3900 | register);
        m.board.pio_write(CONFIG_DATA, Width::Dword, v);
    }
    let told = |m: &Machine| {
        let all = m.handle().events().after(0, 100).records;
        all.into_iter().map(|r| r.event).filter(|e| matches!(e, Event::EjectedByGuest(_))).collect::<Vec<_>>()
    };
    assert_eq!(told(&m), []);
    // START STOP UNIT with LOEJ by PACKET, to the secondary master. The first ones only hear of the new disc.
    for _ in 0..4 {
        for (port, v) in [(0x176, 0xa0), (0x174, 0), (0x175, 0x10), (0x177, 0xa0)] {
            m.board.pio_write(port, Width::Byte, v);
        }
        for word in [0x001b_u32, 0, 2, 0, 0, 0] {
            m.board.pio_write(0x170, Width::Word, word);
        }
    }
    assert_eq!(told(&m), [Event::EjectedByGuest(Bay::Cdrom(2))]);
}

#[test]
fn diskettes_go_into_drives_that_take_them() {
    let (h, thread) = running(&[0xfa, 0xf4]);
    let medium =
        |sectors| Some((Box::new(Sectors(sectors)) as Box<dyn Disk>, Media { sectors, read_only: false }));
    let told = |bay, sectors| h.insert(bay, medium(sectors)).unwrap().unwrap_err();
    assert!(told(Bay::Floppy(1), 2880).contains("no diskette drive B"));
    let odd = told(Bay::Floppy(0), 2881);
    assert!(odd.contains("1475072 bytes") && odd.contains("1474560 (1.44M)"), "{odd}");
    let misfit = told(Bay::Floppy(0), 2400);
    assert!(misfit.contains("a 1.2M diskette does not fit into a 3.5-inch 1.44M drive"), "{misfit}");
    h.insert(Bay::Floppy(0), medium(1440)).unwrap().unwrap();
    h.insert(Bay::Floppy(0), None).unwrap().unwrap();
    h.power_off().unwrap();
    thread.join().unwrap();
}

#[test]
fn a_diskette_image_of_a_wrong_size_is_refused() {
    let parts = Parts { memory_mib: 16, engine: Choice::This(Engine::Software), ..Parts::default() };
    let floppies = [None, Some(Floppy { medium: Some(Box::new(Sectors(2881))) })];
    let ports = Ports { floppies, ..no_ports() };
    let Err(e) = Machine::build(&parts, ports) else { panic!("2881 sectors are no diskette") };
    assert!(e.to_string().contains("drive B: 1475072 bytes"), "{e}");
}

/// The board's own wiring: 3F6h is the IDE controller's, IRQ 6 and DMA channel 2 are the floppy controller's.
#[test]
fn the_floppy_controller_reads_a_sector_by_dma() {
    let (mut m, _) = machine(&[0xf4], ClockKind::Instructions);
    let pass = |m: &mut Machine| {
        for _ in 0..50 {
            m.board.retired(10_000);
            let _ = m.board.poll();
        }
    };
    let mut out = |port: u16, all: &[u32]| all.iter().for_each(|v| m.board.pio_write(port, Width::Byte, *v));
    // 8259: edges, vectors 8 on, all but IRQ 6 masked. 8237 channel 2: 512 bytes to 2000h; the cascade open.
    out(0x20, &[0x11]);
    out(0x21, &[0x08, 0x04, 0x01, 0xbf]);
    out(0xd6, &[0xc0]);
    out(0xd4, &[0x00]);
    out(0x0b, &[0x46]);
    out(0x04, &[0x00, 0x20]);
    out(0x81, &[0x00]);
    out(0x05, &[0xff, 0x01]);
    out(0x0a, &[0x02]);
    out(0x3f2, &[0x1c]);
    out(0x3f7, &[0x00]);
    pass(&mut m);
    assert!(m.board.intr_pending());
    assert_eq!(m.board.ack_intr(), 0x0e);
    m.board.pio_write(0x20, Width::Byte, 0x20);
    for v in [0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff] {
        assert_eq!(m.board.pio_read(0x3f4, Width::Byte) & 0xc0, 0x80);
        m.board.pio_write(0x3f5, Width::Byte, v);
    }
    pass(&mut m);
    pass(&mut m);
    assert!(m.board.intr_pending());
    let result = [0; 7].map(|_: u8| m.board.pio_read(0x3f5, Width::Byte));
    assert_eq!(result, [0, 0, 0, 0, 0, 2, 2]);
    let mut got = [0; 513];
    m.board.ram.read(0x2000, &mut got);
    assert!(got[..512].iter().all(|b| *b == 0x5a) && got[512] == 0);
    assert_eq!(m.board.pio_read(0x3f6, Width::Byte), 0xff, "not the floppy controller's");
}

#[test]
fn a_machine_that_ran_answers_no_more_and_runs_no_more() {
    let (h, thread) = running(&[0xfa, 0xf4]);
    h.power_off().unwrap();
    let mut m = thread.join().unwrap();
    assert_eq!(h.status(), Err(NoAnswer::Gone), "at once, though the machine is still there");
    assert_eq!(h.serial_input(2, vec![]), Err(NoAnswer::NoPort(2)));
    let e = m.run().unwrap_err();
    assert!(e.to_string().contains("build a new one"), "{e}");
}

#[test]
fn sizes_that_no_machine_has_are_refused_by_name() {
    let says = |parts: &Parts| parts.check().unwrap_err().to_string();
    let parts = Parts { engine: Choice::This(Engine::Software), ..Parts::default() };
    assert!(parts.check().is_ok());
    // What is left of the second after a shift to bytes is 16 MiB.
    for memory_mib in [3, (1 << 44) + 16, 3713] {
        let told = says(&Parts { memory_mib, ..parts.clone() });
        assert!(told.contains(&format!("{memory_mib} MiB")), "{told}");
    }
    let told = says(&Parts { vram_mib: 3, ..parts });
    assert!(told.contains("video memory of 3 MiB"), "{told}");
}

#[test]
fn the_end_of_time_does_not_hold_up_the_start() {
    let parts = Parts {
        memory_mib: 16,
        engine: Choice::This(Engine::Software),
        start_seconds: u64::MAX / 2,
        ..Parts::default()
    };
    let mut m = Machine::build(&parts, no_ports()).unwrap();
    m.board.pio_write(0x70, Width::Byte, 9);
    assert_eq!(m.board.pio_read(0x71, Width::Byte), 0x99);
}

#[test]
fn bytes_behind_the_configuration_data_are_other_ports() {
    let (mut m, _) = machine(&[0xf4], ClockKind::Host);
    m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 0x8000_0000);
    assert_eq!(m.board.pio_read(CONFIG_DATA + 1, Width::Dword), 0xff71_9280, "D00h is open");
    assert_eq!(m.board.pio_read(CONFIG_DATA + 3, Width::Word), 0xff71);
}
