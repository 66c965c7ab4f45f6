//! Disks of a host that is full, or slow.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use board::{CONFIG_ADDRESS, CONFIG_DATA, Disk, Media};
use hv_vcpu::{GuestIo, Width};

use super::{Tape, no_ports, print, rom};
use crate::snapshot::SaveError;
use crate::{Bay, Choice, ClockKind, Drive, Engine, Floppy, Handle, Machine, Outcome, Parts, Phase, Ports};

/// Writes 'A' to sector 5, flushes, reads it back, and prints the drive's status after each and the byte; then halts.
fn program() -> Vec<u8> {
    let mut p = Vec::from(print(b'>'));
    let out = |p: &mut Vec<u8>, port: u16, v: u8| {
        p.push(0xba);
        p.extend(port.to_le_bytes());
        p.extend([0xb0, v, 0xee]);
    };
    // mov ah, al; mov dx, 3F8h; xchg al, ah; out dx, al
    let tell = [0x88, 0xc4, 0xba, 0xf8, 0x03, 0x86, 0xc4, 0xee];
    // mov dx, 1F7h; again: in al, dx; test al, 80h; jnz again
    let wait = [0xba, 0xf7, 0x01, 0xec, 0xa8, 0x80, 0x75, 0xfb];
    for command in [0x30, 0xe7, 0x20] {
        for (port, v) in [(0x1f6, 0xe0), (0x1f2, 1), (0x1f3, 5), (0x1f4, 0), (0x1f5, 0), (0x1f7, command)] {
            out(&mut p, port, v);
        }
        if command == 0x30 {
            // mov dx, 1F0h; mov cx, 256; mov ax, 4141h; again: out dx, ax; loop again
            p.extend([0xba, 0xf0, 0x01, 0xb9, 0x00, 0x01, 0xb8, 0x41, 0x41, 0xef, 0xe2, 0xfd]);
        }
        p.extend(wait);
        p.extend(tell);
        if command == 0x20 {
            // mov dx, 1F0h; in ax, dx
            p.extend([0xba, 0xf0, 0x01, 0xed]);
            p.extend(tell);
        }
    }
    p.extend([0xfa, 0xf4]);
    p
}

/// A sector on a host without room until there is some; each access takes so long.
#[derive(Clone, Default)]
struct Host {
    full: Arc<AtomicBool>,
    takes: Duration,
    sector: Arc<Mutex<Vec<u8>>>,
    accesses: Arc<AtomicUsize>,
}

impl Host {
    fn access(&self) {
        self.accesses.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(self.takes);
    }
}

impl Disk for Host {
    fn sectors(&self) -> u64 {
        2880
    }
    fn read(&mut self, _: u64, buf: &mut [u8]) -> io::Result<()> {
        self.access();
        buf.copy_from_slice(&self.sector.lock().unwrap());
        Ok(())
    }
    fn write(&mut self, _: u64, buf: &[u8]) -> io::Result<()> {
        self.access();
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *self.sector.lock().unwrap() = buf.to_vec();
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.access();
        Ok(())
    }
}

fn start(clock: ClockKind, disk: Host, diskette: Option<Host>) -> (Handle, Tape, JoinHandle<Machine>) {
    let bios = Some(rom(&program()));
    let parts =
        Parts { memory_mib: 16, engine: Choice::This(Engine::Software), clock, bios, ..Parts::default() };
    let tape = Tape::default();
    let ports = Ports {
        drives: [Some(Drive::disk(Box::new(disk))), None, None, None],
        floppies: [diskette.map(|d| Floppy { medium: Some(Box::new(d)) }), None],
        serial: [Some(Box::new(tape.clone())), None],
        ..no_ports()
    };
    let mut m = Machine::build(&parts, ports).unwrap();
    for (reg, v) in [(0x04, 1), (0x40, 0x8000_8000)] {
        m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 0x8000_3900 | reg);
        m.board.pio_write(CONFIG_DATA, Width::Dword, v);
    }
    let h = m.handle();
    let thread = std::thread::spawn(move || {
        assert_eq!(m.run().unwrap(), Outcome::PoweredOff);
        m
    });
    (h, tape, thread)
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const ALL_WELL: [u8; 5] = [b'>', 0x50, 0x50, 0x58, b'A'];

#[test]
fn a_full_host_pauses_the_machine_and_costs_the_guest_nothing_but_time() {
    for clock in [ClockKind::Host, ClockKind::Instructions] {
        let disk = Host::default();
        disk.full.store(true, Ordering::SeqCst);
        let (h, tape, thread) = start(clock, disk.clone(), None);
        let paused = || h.status().unwrap().phase == Phase::Paused;
        wait("it pauses", paused);
        let at = h.status().unwrap();
        let why = at.reason.expect("why it is paused");
        assert!(why.contains("write at sector 5") && why.contains("make room"), "{why}");
        let told = h.save(Box::new(io::Cursor::new(Vec::new()))).unwrap().unwrap_err();
        assert!(matches!(&told, SaveError::Waits(w) if *w == why), "{told}");
        h.resume().unwrap();
        wait("there is no room yet", paused);
        disk.full.store(false, Ordering::SeqCst);
        h.resume().unwrap();
        wait("the program ends", || tape.0.lock().unwrap().len() == ALL_WELL.len());
        let status = h.status().unwrap();
        assert_eq!((status.phase, status.reason), (Phase::Running, None));
        assert_eq!(*tape.0.lock().unwrap(), ALL_WELL);
        h.power_off().unwrap();
        thread.join().unwrap();
    }
}

#[test]
fn a_machine_that_waits_for_room_can_be_switched_off() {
    let disk = Host::default();
    disk.full.store(true, Ordering::SeqCst);
    let (h, _, thread) = start(ClockKind::Host, disk.clone(), None);
    wait("it pauses", || h.status().unwrap().phase == Phase::Paused);
    let tried = disk.accesses.load(Ordering::SeqCst);
    h.power_off().unwrap();
    drop(thread.join().unwrap());
    assert_eq!(disk.accesses.load(Ordering::SeqCst), tried + 2, "a last write and a flush");
}

const SLOW: Duration = Duration::from_secs(2);

/// While `busy`, the machine answers, draws, and its time goes on: as far as a busy host lets it, but never as late as the disk.
fn goes_on(h: &Handle, mut busy: impl FnMut() -> bool) {
    let (begun, first) = (Instant::now(), h.status().unwrap().guest_ns);
    let mut looks = 0;
    while busy() {
        let asked = Instant::now();
        h.status().unwrap();
        h.redraw().unwrap();
        assert!(asked.elapsed() < SLOW * 3 / 4, "{:?}", asked.elapsed());
        looks += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    let guest = Duration::from_nanos(h.status().unwrap().guest_ns - first);
    assert!(looks > 5 && guest > begun.elapsed() / 8, "{looks} looks, {guest:?} of {:?}", begun.elapsed());
}

#[test]
fn a_slow_host_disk_stops_neither_time_nor_screen() {
    let disk = Host { takes: SLOW, ..Host::default() };
    let (h, tape, thread) = start(ClockKind::Host, disk.clone(), None);
    wait("the first access", || disk.accesses.load(Ordering::SeqCst) == 1);
    goes_on(&h, || tape.0.lock().unwrap().len() < ALL_WELL.len());
    assert_eq!(*tape.0.lock().unwrap(), ALL_WELL);
    h.power_off().unwrap();
    thread.join().unwrap();
}

#[test]
fn a_slow_diskette_that_is_taken_out_stops_neither_and_is_closed_when_that_is_told() {
    let diskette = Host { takes: SLOW, ..Host::default() };
    let (h, _, thread) = start(ClockKind::Host, Host::default(), Some(diskette.clone()));
    let (ejected, done) = mpsc::channel();
    let remote = h.clone();
    let ejecting = std::thread::spawn(move || {
        let r = remote.insert(Bay::Floppy(0), None).unwrap();
        ejected.send(r).unwrap();
    });
    goes_on(&h, || done.try_recv().is_err());
    ejecting.join().unwrap();
    assert_eq!(Arc::strong_count(&diskette.accesses), 1, "its image is closed");
    // Another one in its place, and out again by the next: nobody waits for the last flush.
    let medium =
        || Some((Box::new(diskette.clone()) as Box<dyn Disk>, Media { sectors: 2880, read_only: false }));
    h.insert(Bay::Floppy(0), medium()).unwrap().unwrap();
    let begun = Instant::now();
    h.insert(Bay::Floppy(0), medium()).unwrap().unwrap();
    assert!(begun.elapsed() < SLOW * 3 / 4, "{:?}", begun.elapsed());
    h.power_off().unwrap();
    drop(thread.join().unwrap());
    assert_eq!(Arc::strong_count(&diskette.accesses), 1, "the machine's end waits for all");
}
