//! Machines saved between any two instructions, and what can be wrong with a file.

use std::io::Cursor;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use board::{Disk, Moment};
use proptest::prelude::*;

use super::*;
use crate::api::{FreezeDisks, NotFrozen, SaveTo, Saving};
use crate::tests::{Tape, no_ports};
use crate::{Choice, ClockKind, Drive, Engine, Floppy, Outcome, Parts, Phase, Ports};

/// A machine with our BIOS and nothing to boot from: it tests itself, looks at its drives, says so, and waits for a key.
fn machine(memory_mib: u64) -> Machine {
    machine_with(memory_mib, None)
}

/// A BIOS that has the timer interrupt it a thousand times a second, sends a byte each time, and else counts, reads timers
/// and the clock chip, and halts once in 256 rounds.
fn busy() -> Vec<u8> {
    const HANDLER: u16 = 0x200;
    // xor ax, ax; mov ds, ax; mov ss, ax; mov sp, 7C00h
    let mut c = vec![0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x7c];
    // Vector 8: mov word [20h], HANDLER; mov word [22h], F000h
    c.extend([0xc7, 0x06, 0x20, 0x00, HANDLER as u8, (HANDLER >> 8) as u8]);
    c.extend([0xc7, 0x06, 0x22, 0x00, 0x00, 0xf0]);
    // 8259: vectors from 8, IRQ 0 alone. 8254: 1193. 16550: eight bits.
    for (port, v) in [(0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0xfe)] {
        c.extend([0xb0, v, 0xe6, port]);
    }
    for (port, v) in [(0x43, 0x34), (0x40, 0xa9), (0x40, 4)] {
        c.extend([0xb0, v, 0xe6, port]);
    }
    c.extend([0xba, 0xfb, 0x03, 0xb0, 0x03, 0xee, 0xfb]); // mov dx, 3FBh; mov al, 3; out dx, al; sti
    let round = c.len();
    c.extend([0xff, 0x06, 0x00, 0x05]); // inc word [500h]
    c.extend([0xe4, 0x61, 0x30, 0x06, 0x02, 0x05]); // in al, 61h; xor [502h], al
    c.extend([0xe4, 0x40, 0x00, 0x06, 0x04, 0x05]); // in al, 40h; add [504h], al
    c.extend([0xb0, 0x0a, 0xe6, 0x70, 0xe4, 0x71, 0x00, 0x06, 0x06, 0x05]); // register A of the clock; add [506h], al
    c.extend([0x80, 0x3e, 0x00, 0x05, 0x00]); // cmp byte [500h], 0
    let back = |c: &[u8]| (round as i32 - (c.len() as i32 + 2)) as u8;
    let to = back(&c);
    c.extend([0x75, to, 0xf4]); // jne round; hlt
    let to = back(&c);
    c.extend([0xeb, to]);
    c.resize(usize::from(HANDLER), 0x90);
    // push ax; push dx; inc word [510h]; mov al, [510h]; mov dx, 3F8h; out dx, al; mov al, 20h; out 20h, al
    c.extend([
        0x50, 0x52, 0xff, 0x06, 0x10, 0x05, 0xa0, 0x10, 0x05, 0xba, 0xf8, 0x03, 0xee, 0xb0, 0x20, 0xe6, 0x20,
    ]);
    c.extend([0x5a, 0x58, 0xcf]); // pop dx; pop ax; iret
    crate::tests::rom(&c)
}

fn machine_with(memory_mib: u64, bios: Option<Vec<u8>>) -> Machine {
    machine_of(memory_mib, bios, every_port())
}

/// Drives of each kind, and a serial port.
fn every_port() -> Ports {
    let drives =
        [Some(Drive::disk(crate::tests::sectors(100_000))), None, Some(Drive::Cdrom { medium: None }), None];
    let floppies = [Some(Floppy { medium: Some(crate::tests::sectors(2880)) }), None];
    Ports { drives, floppies, serial: [Some(Box::new(Tape::default())), None], ..no_ports() }
}

fn machine_of(memory_mib: u64, bios: Option<Vec<u8>>, ports: Ports) -> Machine {
    let parts = Parts {
        bios,
        memory_mib,
        engine: Choice::This(Engine::Software),
        clock: ClockKind::Instructions,
        ..Parts::default()
    };
    Machine::build(&parts, ports).unwrap()
}

/// The first time, and from where it stopped.
fn run_to(m: &mut Machine, ns: u64) {
    m.phase = Phase::Built;
    m.stop_after(ns);
    assert_eq!(m.run().unwrap(), Outcome::PoweredOff);
}

fn saved(m: &mut Machine) -> Result<Vec<u8>, SaveError> {
    let mut f = Cursor::new(Vec::new());
    m.save(&mut f).map(|()| f.into_inner())
}

fn restored(state: &[u8], memory_mib: u64) -> Result<Machine, LoadError> {
    restored_into(machine(memory_mib), state)
}

fn restored_into(mut m: Machine, state: &[u8]) -> Result<Machine, LoadError> {
    let mut f = Cursor::new(state);
    let s = Saved::read(&mut f)?;
    m.restore(&s, &mut f, 0)?;
    Ok(m)
}

fn from_file(mut m: Machine, state: &[u8]) -> Machine {
    let path = std::env::temp_dir().join(format!("heirloom-state-{}", std::process::id()));
    std::fs::write(&path, state).unwrap();
    let mut f = File::open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    let s = Saved::read(&mut f).unwrap();
    m.restore_from(&s, f, 0).unwrap();
    assert!(m.board.ram.absent() > 0, "it all came at once");
    m
}

/// Head and memory without the time of day.
fn parts_of(state: &[u8]) -> (HeadV1, Vec<u8>) {
    let s = Saved::read(&mut Cursor::new(state)).unwrap();
    let memory = state[s.memory as usize..][..(s.head.board.memory + s.head.board.slots) as usize].to_vec();
    (HeadV1 { saved_at: 0, ..s.head }, memory)
}

#[test]
fn what_was_restored_saves_as_it_was() {
    let mut m = machine(4);
    run_to(&mut m, 120_000_000);
    let state = saved(&mut m).unwrap();
    let again = saved(&mut restored(&state, 4).unwrap()).unwrap();
    let ((a, a_memory), (b, b_memory)) = (parts_of(&state), parts_of(&again));
    for (x, y) in a.entries.iter().zip(&b.entries) {
        assert_eq!(x, y);
    }
    assert!(a == b && a_memory == b_memory);
}

#[test]
fn a_restored_machine_goes_the_way_of_one_that_never_stopped() {
    const END: u64 = 40_000_000;
    let new = || machine_with(4, Some(busy()));
    let mut straight = new();
    run_to(&mut straight, END);
    let (want, want_memory) = parts_of(&saved(&mut straight).unwrap());
    assert!(u16::from_le_bytes([want_memory[0x510], want_memory[0x511]]) >= 38, "the timer's interrupts");
    for n in 0..100_u64 {
        // Each another distance from the last tick.
        let at = 1_000 + n * 253_171 % END;
        let mut m = new();
        run_to(&mut m, at);
        let state = saved(&mut m).unwrap();
        // Memory as a whole, or when it is looked at.
        let mut m = if n % 2 == 0 { restored_into(new(), &state).unwrap() } else { from_file(new(), &state) };
        run_to(&mut m, END);
        let (got, memory) = parts_of(&saved(&mut m).unwrap());
        for (x, y) in got.entries.iter().zip(&want.entries) {
            assert_eq!(x, y, "stopped at {at} ns");
        }
        assert!(
            got.processor == want.processor,
            "stopped at {at} ns: {:?}, {:?}",
            got.processor,
            want.processor
        );
        assert!(got == want, "stopped at {at} ns");
        let differs: Vec<_> = (0..memory.len())
            .filter(|n| memory[*n] != want_memory[*n])
            .map(|n| (n, memory[n], want_memory[n]))
            .collect();
        assert_eq!(differs, [], "stopped at {at} ns: bytes of memory");
    }
}

/// A file that several have.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<Cursor<Vec<u8>>>>);

impl Write for Held {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(b)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Held {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.lock().unwrap().seek(to)
    }
}

/// What a restore would say of drives and adapters, it says without a machine.
#[test]
fn a_state_of_other_drives_or_adapters_is_told_before_there_is_a_machine() {
    let mut m = machine(4);
    run_to(&mut m, 2_000_000);
    let saved = Saved::read(&mut Cursor::new(saved(&mut m).unwrap())).unwrap();
    let parts = Parts { memory_mib: 4, ..Parts::default() };
    let fits = |change: &dyn Fn(&mut [Option<Drive>; 4]), floppies, nets| {
        let mut drives = every_port().drives;
        change(&mut drives);
        saved.fits_drives(&parts, &drives, floppies, nets).map_err(|e| e.to_string())
    };
    fits(&|_| (), 1, 0).unwrap();
    let cd = || Some(Drive::Cdrom { medium: Some(crate::tests::sectors(400)) });
    fits(&|d| d[2] = cd(), 1, 0).unwrap();
    let smaller = || Some(Drive::disk(crate::tests::sectors(99_000)));
    for (change, nets, chip) in [
        ((&|d: &mut [Option<Drive>; 4]| d[2] = None) as &dyn Fn(&mut [Option<Drive>; 4]), 0, "piix4-ide"),
        (&|d| d[0] = None, 0, "piix4-ide"),
        (&|d| d[1] = cd(), 0, "piix4-ide"),
        (&|d| d[0] = smaller(), 0, "piix4-ide"),
        (&|_| (), 1, "dec21140-0"),
    ] {
        let e = fits(change, 1, nets).unwrap_err();
        assert!(e.contains(chip) && e.contains("that it was saved with"), "{e}");
    }
}

/// Counts the disks that it was asked to freeze.
#[derive(Clone, Default)]
struct Frozen {
    units: Arc<Mutex<Vec<u8>>>,
    /// What becomes of a disk: none is given, or the old one.
    fails: Option<bool>,
}

impl FreezeDisks for Frozen {
    fn freeze(&mut self, unit: u8, disk: Box<dyn Disk>) -> Result<Box<dyn Disk>, NotFrozen> {
        self.units.lock().unwrap().push(unit);
        match self.fails {
            None => Ok(disk),
            Some(lost) => Err(NotFrozen { why: "no room".into(), disk: (!lost).then_some(disk) }),
        }
    }
}

/// Asks for a snapshot once the machine has run for so long.
fn snapshot(m: &mut Machine, at: u64, disks: &Frozen) -> (Held, mpsc::Receiver<Result<Duration, SaveError>>) {
    run_to(m, at);
    let (file, (done, answer)) = (Held::default(), mpsc::channel());
    let live = live::Live::begin(Box::new(file.clone()), Box::new(disks.clone()), done).unwrap();
    m.saving = Some(SaveTo::GoOn(live).into());
    (file, answer)
}

#[test]
fn a_machine_that_runs_on_leaves_a_state_of_one_instant() {
    const END: u64 = 60_000_000;
    let new = || machine_with(20, Some(busy()));
    let mut straight = new();
    run_to(&mut straight, END);
    let want = parts_of(&saved(&mut straight).unwrap());
    for at in [1_000, 5_900_017, 11_234_567, 30_999_999] {
        let (mut m, disks) = (new(), Frozen::default());
        let (file, answer) = snapshot(&mut m, at, &disks);
        run_to(&mut m, END);
        assert!(parts_of(&saved(&mut m).unwrap()) == want, "it does not disturb the machine");
        answer.recv().unwrap().unwrap();
        assert_eq!(*disks.units.lock().unwrap(), [0], "the hard disk");
        let state = file.0.lock().unwrap().get_ref().clone();
        let taken = parts_of(&state).0.guest_ns;
        assert!((at + 20 * live::STEP..END).contains(&taken), "in slices, then: {taken}");
        let mut m = restored_into(new(), &state).unwrap();
        run_to(&mut m, END);
        assert!(parts_of(&saved(&mut m).unwrap()) == want, "from the state of {taken} ns");
    }
}

/// The engine is no part of the state. The guest is in real mode, which every host's KVM runs.
#[test]
fn a_machine_saved_on_one_engine_goes_on_on_another() {
    const LEG: u64 = 7_310_417;
    if let Err(e) = Engine::Kvm.probe() {
        eprintln!("skipped: no KVM here: {e}");
        return;
    }
    let build = |engine| {
        let parts = Parts { bios: Some(busy()), memory_mib: 4, clock: ClockKind::Host, ..Parts::default() };
        Machine::build_on(engine, &parts, every_port()).unwrap()
    };
    let counts = |m: &Machine| {
        let mut b = [0; 0x12];
        m.board.ram.read(0x500, &mut b);
        [0, 0x10].map(|at| u16::from_le_bytes([b[at], b[at + 1]]))
    };
    let mut m = build(Engine::Kvm);
    for n in 0..60 {
        let at = m.board.clock.now();
        assert_eq!(m.run_until(at + LEG).unwrap(), None);
        let (before, state) = (counts(&m), saved(&mut m).unwrap());
        let next = if n % 3 == 0 { Engine::Software } else { Engine::Kvm };
        m = restored_into(build(next), &state).unwrap();
        assert_eq!(counts(&m), before);
    }
    let (at, before) = (m.board.clock.now(), counts(&m));
    assert_eq!(m.run_until(at + 300_000_000).unwrap(), None);
    let (end, after) = (m.board.clock.now(), counts(&m));
    // A thousand interrupts a second: no more; and it goes on, if it did not lose the one that it waited for. What a crowded
    // host keeps the guest from, it takes later.
    let most = end / 1_000_000 + 3;
    let good = u64::from(after[1]) <= most && after[1] > before[1] + 20 && after[0] != before[0];
    assert!(good, "{before:?}, {after:?} of {most}");
}

/// What a machine that is off or stands still leaves.
#[test]
fn a_snapshot_of_a_paused_machine_needs_no_time() {
    let (mut m, disks) = (machine_with(4, Some(busy())), Frozen::default());
    let (file, answer) = snapshot(&mut m, 5_000_000, &disks);
    let want = parts_of(&saved(&mut m).unwrap());
    let Some(Saving { to: SaveTo::GoOn(live), .. }) = m.saving.take() else { panic!("it is there") };
    live.end(&mut m).unwrap();
    answer.recv().unwrap().unwrap();
    assert!(parts_of(file.0.lock().unwrap().get_ref()) == want);
}

#[test]
fn a_snapshot_that_fails_harms_no_machine() {
    const END: u64 = 40_000_000;
    // A disk that can't be put on a new file: the old one goes on.
    let (mut m, mut disks) =
        (machine_with(4, Some(busy())), Frozen { fails: Some(false), ..Frozen::default() });
    let (file, answer) = snapshot(&mut m, 1_000_000, &disks);
    run_to(&mut m, END);
    assert!(matches!(answer.recv().unwrap(), Err(SaveError::Disk(why)) if why == "no room"));
    assert!(Saved::read(&mut Cursor::new(file.0.lock().unwrap().get_ref())).is_err(), "it is no state");
    assert_eq!(m.board.disks.writable(m.roles.ide), [0]);
    // A file that takes no more: the disks are left alone.
    let mut m = machine_with(4, Some(busy()));
    run_to(&mut m, 1_000_000);
    let ((done, answer), disks2) = (mpsc::channel(), Frozen::default());
    let full = Cursor::new(Box::leak(vec![0; 100_000].into_boxed_slice()));
    let live = live::Live::begin(Box::new(full), Box::new(disks2.clone()), done).unwrap();
    m.saving = Some(SaveTo::GoOn(live).into());
    // Until the writer has met the end of it.
    assert!(matches!(answer_of(&mut m, &answer), Err(SaveError::Io(_))));
    run_to(&mut m, END);
    assert_eq!(*disks2.units.lock().unwrap(), []);
    // A disk that is lost: the machine can't go on.
    disks.fails = Some(true);
    let (_, answer) = snapshot(&mut m, END + 1, &disks);
    m.phase = Phase::Built;
    m.stop_after(2 * END);
    assert!(matches!(m.run(), Err(crate::run::RunError::Disk(_))));
    assert!(matches!(answer.recv().unwrap(), Err(SaveError::Disk(_))));
}

/// Runs a machine until an answer is there.
fn answer_of<T>(m: &mut Machine, answer: &mpsc::Receiver<T>) -> T {
    for n in 1.. {
        run_to(m, 1_000_000 + n * 600_000);
        if let Ok(a) = answer.recv_timeout(Duration::from_millis(5)) {
            return a;
        }
    }
    unreachable!()
}

/// In the middle of a call of our BIOS, which begins anew.
#[test]
fn a_bios_call_goes_on() {
    for at in [300_000, 2_000_000, 20_000_000, 120_000_000] {
        let mut m = machine(4);
        run_to(&mut m, at);
        let mut m = restored(&saved(&mut m).unwrap(), 4).unwrap();
        run_to(&mut m, 300_000_000);
        let screen = screen(&mut m);
        assert!(screen.contains("boot"), "saved at {at} ns: {screen:?}");
    }
}

/// A disk that asks the BIOS how much memory there is, again and again, and counts at 500h.
struct Asks;

impl Disk for Asks {
    fn sectors(&self) -> u64 {
        100_000
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        // xor ax, ax; mov ds, ax; again: mov ah, 88h; int 15h; inc word [500h]; jmp again
        const CODE: [u8; 14] =
            [0x31, 0xc0, 0x8e, 0xd8, 0xb4, 0x88, 0xcd, 0x15, 0xff, 0x06, 0x00, 0x05, 0xeb, 0xf6];
        buf.fill(0);
        if lba == 0 {
            buf[..CODE.len()].copy_from_slice(&CODE);
            buf[510..512].copy_from_slice(&[0x55, 0xaa]);
        }
        Ok(())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Also with half a frame of a call on its way: a call that has not begun, or is done, goes on as if nothing had been; one that
/// runs begins anew.
#[test]
fn a_machine_is_saved_at_each_instruction_of_a_bios_call() {
    const INSTRUCTION: u64 = 10;
    let new = || {
        let drives = [Some(Drive::disk(Box::new(Asks))), None, None, None];
        machine_of(4, None, Ports { drives, ..no_ports() })
    };
    let counted = |m: &Machine| {
        let mut b = [0; 2];
        m.board.ram.read(0x500, &mut b);
        u16::from_le_bytes(b)
    };
    let mut m = new();
    let mut at = 0;
    while counted(&m) < 3 {
        at += 1_000_000;
        assert!(at < 3_000_000_000, "{}", screen(&mut m));
        run_to(&mut m, at);
    }
    let (first, end) = (counted(&m), at + 400_000);
    let mut straight = restored_into(new(), &saved(&mut m).unwrap()).unwrap();
    run_to(&mut straight, end);
    let want = parts_of(&saved(&mut straight).unwrap());
    // From the middle of a round to that of the next.
    let (mut exact, mut begun) = (0, 0);
    while counted(&m) < first + 1 {
        at += INSTRUCTION;
        run_to(&mut m, at);
        let runs = m.board.moment() == Moment::Poor;
        let mut n = restored_into(new(), &saved(&mut m).unwrap()).unwrap();
        run_to(&mut n, end);
        if runs {
            assert!(counted(&n).abs_diff(counted(&straight)) < 3, "saved at {at}");
            begun += 1;
        } else {
            assert!(parts_of(&saved(&mut n).unwrap()) == want, "saved at {at}");
            exact += 1;
        }
    }
    assert!(exact > 60 && begun > 1, "{exact} and {begun}");
}

/// The text on it.
fn screen(m: &mut Machine) -> String {
    let cell = |n: u64| {
        let mut b = [0];
        hv_vcpu::GuestIo::mmio_read(&mut m.board, 0xb8000 + 2 * n, &mut b);
        char::from(b[0])
    };
    (0..2000).map(cell).collect()
}

/// Machines as version 1 saved them, gzipped: our BIOS that waits for a key, and a program that counts in the middle of it.
/// These files must load for ever. `HEIRLOOM_STATES=FOLDER` writes them anew.
const V1: [&[u8]; 2] = [include_bytes!("fixtures/v1-bios.gz"), include_bytes!("fixtures/v1-busy.gz")];

fn with_an_adapter(bios: Option<Vec<u8>>) -> Machine {
    let ports = Ports { net: [Some(Box::new(board::NoCable)), None, None, None], ..every_port() };
    machine_of(4, bios, ports)
}

#[test]
fn the_first_versions_states_go_on() {
    if let Some(folder) = std::env::var_os("HEIRLOOM_STATES") {
        for (name, bios, at) in [("v1-bios.gz", None, 200_000_000), ("v1-busy.gz", Some(busy()), 7_315_007)] {
            let mut m = with_an_adapter(bios);
            run_to(&mut m, at);
            let file = File::create(std::path::Path::new(&folder).join(name)).unwrap();
            let mut z = flate2::write::GzEncoder::new(file, flate2::Compression::best());
            z.write_all(&saved(&mut m).unwrap()).unwrap();
            z.finish().unwrap();
        }
    }
    let went_on = |n: usize| {
        let mut state = Vec::new();
        flate2::read::GzDecoder::new(V1[n]).read_to_end(&mut state).unwrap();
        // The ROM comes with the state.
        let mut m = restored_into(with_an_adapter((n == 1).then(busy)), &state).unwrap();
        let at = m.board.clock.now();
        run_to(&mut m, at + 20_000_000);
        m
    };
    let text = screen(&mut went_on(0));
    assert!(text.contains("boot"), "{text:?}");
    let m = went_on(1);
    // What it counted until now, a thousand times a second.
    let mut ticks = [0; 2];
    m.board.ram.read(0x510, &mut ticks);
    assert!((26..=29).contains(&u16::from_le_bytes(ticks)), "{ticks:?}");
}

/// Cut off while the machine runs on it.
#[test]
fn a_state_that_goes_away_ends_the_machine() {
    let mut m = machine_with(4, Some(busy()));
    run_to(&mut m, 5_000_000);
    let state = saved(&mut m).unwrap();
    let path = std::env::temp_dir().join(format!("heirloom-gone-{}", std::process::id()));
    std::fs::write(&path, &state).unwrap();
    let mut f = File::options().read(true).write(true).open(&path).unwrap();
    let s = Saved::read(&mut f).unwrap();
    let mut m = machine_with(4, Some(busy()));
    m.restore_from(&s, f.try_clone().unwrap(), 0).unwrap();
    f.set_len(4096).unwrap();
    m.stop_after(6_000_000);
    assert!(matches!(m.run(), Err(crate::run::RunError::Memory)));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_state_of_another_machine_names_what_differs() {
    let state = saved(&mut machine(4)).unwrap();
    let e = restored(&state, 8).err().unwrap().to_string();
    assert!(e.contains("memory of 4 MiB, this one has 8 MiB"), "{e}");
    let mut f = Cursor::new(&state[..]);
    let s = Saved::read(&mut f).unwrap();
    assert_eq!((s.memory_mib(), s.extra()), (4, &[][..]));
    // Without the disk.
    let parts = Parts { memory_mib: 4, clock: ClockKind::Instructions, ..Parts::default() };
    let mut other = Machine::build(&parts, no_ports()).unwrap();
    let e = other.restore(&s, &mut f, 0).err().unwrap();
    assert!(matches!(e, LoadError::Chip(_)), "{e}");
    assert!(e.to_string().contains("start the machine with the drives"), "{e}");
}

#[test]
fn what_an_embedder_adds_is_kept() {
    let mut f = Cursor::new(saved(&mut machine(4)).unwrap());
    for extra in [&b"disks"[..], b"", b"others and more"] {
        set_extra(&mut f, extra).unwrap();
        assert_eq!(Saved::read(&mut f).unwrap().extra(), extra);
    }
    let mut m = machine(4);
    m.restore(&Saved::read(&mut f).unwrap(), &mut f, 0).unwrap();
}

#[test]
fn files_that_are_no_whole_state() {
    let state = saved(&mut machine(4)).unwrap();
    let read = |b: &[u8]| Saved::read(&mut Cursor::new(b)).err().unwrap();
    assert!(matches!(read(b""), LoadError::NotAState));
    assert!(matches!(read(&[7; 4096]), LoadError::NotAState));
    let mut b = state.clone();
    b[16] = 2;
    assert!(matches!(read(&b), LoadError::Version(2)));
    assert!(matches!(read(&state[..state.len() - 1]), LoadError::Damaged(_)));
    let mut b = state.clone();
    let last = b.len() - 1;
    b[last] ^= 1;
    assert!(matches!(read(&b), LoadError::Damaged(_)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the numbers say that no checksum covers: an error, no panic, no flood of memory.
    #[test]
    fn any_beginning_is_refused_or_harmless(field in 0_usize..6, v in any::<u64>(), small in any::<bool>()) {
        let mut b = saved(&mut machine(4)).unwrap();
        let v = if small { v % (1 << 24) } else { v };
        b[24 + field * 8..][..8].copy_from_slice(&v.to_le_bytes());
        let mut f = Cursor::new(&b[..]);
        if let Ok(s) = Saved::read(&mut f) {
            let _ = machine(4).restore(&s, &mut f, 0);
        }
    }
}
