//! A machine whose devices are all busy, and whose user types and moves the mouse, is saved and goes on at many instants; it ends
//! as one that never stopped: at the same instruction, with the same disks, sounds, frames, lines, pages and pictures.
//! `HEIRLOOM_INSTANTS=N` for more instants; with `HEIRLOOM_LOCKSTEP=1` the two run side by side, and the first chip that is not the
//! same in both is named.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Cursor};
use std::sync::{Arc, Mutex, MutexGuard};

use board::{Disk, Key, Leds, Pointer, SECOND, SoundPort};
use guest_tests::ends::{Eye, Peer, Tape};
use guest_tests::{Screen, alone, guest};
use vmm::{ClockKind, Drive, Floppy, LinuxBoot, Machine, Outcome, Parts, Ports, Saved, spec};

/// A disk that outlives its machine.
#[derive(Clone)]
struct Held(Arc<Mutex<Vec<u8>>>);

impl Held {
    fn new(bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![0; bytes])))
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("nobody panicked with it")
    }
}

impl Disk for Held {
    fn sectors(&self) -> u64 {
        self.bytes().len() as u64 / 512
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.copy_from_slice(&self.bytes()[lba as usize * 512..][..buf.len()]);
        Ok(())
    }

    fn write(&mut self, lba: u64, buf: &[u8]) -> io::Result<()> {
        self.bytes()[lba as usize * 512..][..buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Frames by when they were heard. In which pieces they came says nothing.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<Heard>>>);

type Heard = (u64, [i16; 2]);

impl SoundPort for Ear {
    fn play(&mut self, first: u64, frames: &[[i16; 2]]) {
        self.0.lock().expect("nobody panicked with it").extend((first..).zip(frames.iter().copied()));
    }
}

/// What is plugged into the machine.
#[derive(Clone)]
struct Outside {
    disk: Held,
    diskette: Held,
    cd: Held,
    com: [Tape; 2],
    printer: Tape,
    peer: Peer,
    ear: Ear,
    eye: Eye,
}

impl Outside {
    fn new() -> Self {
        Self {
            disk: Held::new(16 << 20),
            diskette: Held::new(1440 << 10),
            cd: Held(Arc::new(Mutex::new(cd()))),
            com: Default::default(),
            printer: Tape::default(),
            peer: Peer::default(),
            ear: Ear::default(),
            eye: Eye::default(),
        }
    }

    /// The same things once more, as they are now.
    fn copy(&self) -> Self {
        let held = |h: &Held| Held(Arc::new(Mutex::new(h.bytes().clone())));
        // Nobody reads what the other one's ports had before.
        Self { disk: held(&self.disk), diskette: held(&self.diskette), ..Self::new() }
    }
}

/// What lies in the CD drive.
fn cd() -> Vec<u8> {
    (0..CD_BYTES).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

const CD_BYTES: u32 = 768 << 10;
const MEMORY_MIB: u64 = 64;

fn parts(rounds: u32) -> Parts {
    let kernel = guest("busy/vmlinuz");
    Parts {
        memory_mib: MEMORY_MIB,
        clock: ClockKind::Instructions,
        start_seconds: 1_200_000_000,
        macs: spec::macs("guest", &[]),
        linux: Some(LinuxBoot {
            kernel: Arc::new(File::open(&kernel).expect("the kernel")),
            initrd: Some(Arc::new(File::open(guest("busy/initrd.gz")).expect("the initrd"))),
            cmdline: format!("console=ttyS0 quiet rounds={rounds} typed={}", TYPED.len()),
            kernel_path: kernel,
        }),
        ..Parts::default()
    }
}

fn machine(parts: &Parts, o: &Outside) -> Machine {
    let ports = Ports {
        drives: [
            Some(Drive::disk(Box::new(o.disk.clone()))),
            None,
            Some(Drive::Cdrom { medium: Some(Box::new(o.cd.clone())) }),
            None,
        ],
        floppies: [Some(Floppy { medium: Some(Box::new(o.diskette.clone())) }), None],
        serial: [Some(Box::new(o.com[0].clone())), Some(Box::new(o.com[1].clone()))],
        net: [Some(Box::new(o.peer.clone())), None, None, None],
        parallel: Some(Box::new(o.printer.clone())),
        sound: Some(Box::new(o.ear.clone())),
        display: Box::new(o.eye.clone()),
    };
    Machine::build(parts, ports).expect("a machine")
}

fn save(m: &mut Machine) -> Vec<u8> {
    let mut f = Cursor::new(Vec::new());
    m.save(&mut f).expect("a state");
    f.into_inner()
}

fn restore(parts: &Parts, o: &Outside, state: &[u8]) -> Machine {
    let mut m = machine(parts, o);
    let mut f = Cursor::new(state);
    let saved = Saved::read(&mut f).expect("a state");
    m.restore(&saved, &mut f, 0).expect("it goes on");
    m
}

/// Both states are of the same machine; it was saved and went on at `last`.
fn same(state: &[u8], want: &[u8], last: u64, now: u64) {
    let read = |b: &[u8]| Saved::read(&mut Cursor::new(b)).expect("a state");
    let differ = read(state).differences(&read(want));
    assert!(differ.is_empty(), "saved at {last}, at {now}: {}", differ.join("; "));
}

/// Numbers that are always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What the user types: a line each. The second is typed with Caps Lock on.
const TYPED: [&str; 6] = ["quick brown", "foxes jump", "over lazy", "dogs by the", "bank of a", "wide river"];

/// What the user does, and at which nanosecond.
enum Act {
    Key(Key, bool),
    Point(Pointer),
    /// On COM2.
    Say(String),
}

/// Make codes of the keyboard's rows.
fn key(c: char) -> Key {
    let row = |first: u16, keys: &str| keys.find(c).map(|n| first + n as u16);
    let letter = row(0x10, "qwertyuiop").or(row(0x1e, "asdfghjkl")).or(row(0x2c, "zxcvbnm"));
    Key(letter.or(row(0x39, " ")).or(row(0x1c, "\n")).expect("a key"))
}

/// All that comes from outside: keys go down and up, the mouse goes round in circles, and somebody at the far end of COM2 talks.
fn acts(begin: u64) -> Vec<(u64, Act)> {
    const CAPS: Key = Key(0x3a);
    const EACH: u64 = 23_000_017;
    // Who listens is there by then.
    let begin = begin + SECOND / 2;
    let mut keys = Vec::new();
    for (n, line) in TYPED.iter().enumerate() {
        let caps = (n == 1).then_some(CAPS);
        keys.extend(caps.into_iter().chain(line.chars().map(key)).chain([key('\n')]).chain(caps));
    }
    let mut all = Vec::new();
    for (n, key) in keys.into_iter().enumerate() {
        let at = begin + EACH * (n as u64 + 1);
        all.push((at, Act::Key(key, true)));
        all.push((at + 9_000_001, Act::Key(key, false)));
    }
    for n in 0..MOVES {
        let (dx, dy) = [(7, 3), (2, 9), (-5, 4), (-4, -16)][n % 4];
        let buttons = u8::from(n % 8 > 5);
        all.push((begin + 41_000_003 * (n as u64 + 1), Act::Point(Pointer { dx, dy, wheel: 0, buttons })));
    }
    for n in 0..HEARD {
        all.push((begin + 307_000_001 * (n as u64 + 1), Act::Say(format!("to the guest {n}\n"))));
    }
    all.sort_by_key(|(at, _)| *at);
    all
}

const MOVES: usize = 60;
/// Two of eight moves are with the button down.
const PRESSES: usize = MOVES / 8 * 2;
const HEARD: usize = 5;

/// Runs the machine until then, or until it is off. At their instants it gets the user's acts that are still to come, and what is
/// on the screen then is kept.
fn go(
    m: &mut Machine,
    o: &Outside,
    acts: &mut VecDeque<&(u64, Act)>,
    shown: &mut Vec<Shown>,
    until: u64,
) -> Option<Outcome> {
    while let Some((at, act)) = acts.pop_front_if(|(at, _)| *at <= until) {
        if let Some(end) = m.run_until(*at).expect("it runs") {
            return Some(end);
        }
        m.draw_last_frame();
        let h = m.handle();
        shown.push((*at, o.eye.screen().clone(), h.leds()));
        match act {
            Act::Key(key, down) => h.key(*key, *down),
            Act::Point(p) => h.pointer(*p),
            Act::Say(text) => h.serial_input(1, text.clone().into_bytes()),
        }
        .expect("the machine is there");
    }
    m.run_until(until).expect("it runs")
}

/// What was to be seen when.
type Shown = (u64, Screen, Leds);

/// Where a run ended: guest time and instructions.
type End = (u64, u64);

/// What both must have come to.
fn compare(o: &Outside, end: End, want: &Outside, want_end: End) {
    assert_eq!(o.com[0].text(), want.com[0].text());
    assert_eq!(o.com[1].text(), want.com[1].text());
    assert_eq!(o.printer.text(), want.printer.text());
    assert!(*o.eye.screen() == *want.eye.screen(), "{}{}", o.eye.screen().text(), want.eye.screen().text());
    let frames = |o: &Outside| std::mem::take(&mut o.peer.cable().sent);
    let (a, b) = (frames(o), frames(want));
    assert_eq!(a.len(), b.len(), "frames");
    assert!(a == b, "frame {:?} differs", a.iter().zip(&b).position(|(a, b)| a != b));
    let sounds = |o: &Outside| std::mem::take(&mut *o.ear.0.lock().expect("nobody panicked with it"));
    let (a, b) = (sounds(o), sounds(want));
    let differs = a.iter().zip(&b).find(|(a, b)| a != b);
    assert!(differs.is_none(), "sound: {differs:?}");
    assert_eq!(a.len(), b.len(), "sound frames");
    assert!(*o.diskette.bytes() == *want.diskette.bytes(), "the diskette");
    assert!(*o.disk.bytes() == *want.disk.bytes(), "the disk");
    assert_eq!(end, want_end, "guest time and instructions at the end");
}

#[test]
fn all_devices_busy_and_saved_at_any_instant_it_ends_as_if_it_never_stopped() {
    let _one = alone();
    let instants: u64 = std::env::var("HEIRLOOM_INSTANTS").map_or(60, |n| n.parse().expect("a number"));
    let parts = parts(3);
    // To where the work begins.
    let first = Outside::new();
    let mut m = machine(&parts, &first);
    let mut at = 0;
    while !first.com[0].text().contains("busy begins") {
        at += SECOND / 20;
        assert!(at < 120 * SECOND, "{}", first.com[0].text());
        assert_eq!(m.run_until(at).expect("it runs"), None, "{}", first.com[0].text());
    }
    let begun = save(&mut m);
    drop(m);
    // Straight on.
    let all = acts(at);
    let straight = first.copy();
    let mut m = restore(&parts, &straight, &begun);
    let mut want_shown = Vec::new();
    let off = go(&mut m, &straight, &mut all.iter().collect(), &mut want_shown, u64::MAX);
    assert_eq!(off, Some(Outcome::PoweredOff));
    m.draw_last_frame();
    let want = m.handle().progress();
    drop(m);
    check_work(&straight);
    assert_eq!(want_shown.len(), all.len(), "all was typed while it worked");
    let long = want.0 - at;
    assert!(long > 2 * SECOND, "the work took {long} ns");
    // And with stops.
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut stops: Vec<u64> = (0..instants).map(|_| at + 1 + random.below(long - 1)).collect();
    stops.sort_unstable();
    let stopped = first.copy();
    let mut m = restore(&parts, &stopped, &begun);
    let (mut left, mut shown) = (all.iter().collect(), Vec::new());
    let lockstep = std::env::var_os("HEIRLOOM_LOCKSTEP").is_some();
    let other = first.copy();
    let mut beside = lockstep.then(|| (restore(&parts, &other, &begun), all.iter().collect(), Vec::new()));
    let mut last = at;
    for stop in stops {
        let off = go(&mut m, &stopped, &mut left, &mut shown, stop);
        assert_eq!(off, None, "before {stop}: {}", stopped.com[0].text());
        let state = save(&mut m);
        if let Some((beside, left, shown)) = &mut beside {
            assert_eq!(go(beside, &other, left, shown, stop), None);
            same(&state, &save(beside), last, stop);
            last = stop;
        }
        drop(m);
        m = restore(&parts, &stopped, &state);
    }
    assert_eq!(go(&mut m, &stopped, &mut left, &mut shown, u64::MAX), Some(Outcome::PoweredOff));
    m.draw_last_frame();
    let end = m.handle().progress();
    compare(&stopped, end, &straight, want);
    for ((at, screen, leds), (_, want, want_leds)) in shown.iter().zip(&want_shown) {
        assert!(screen == want, "the screen at {at}:\n{}and not:\n{}", screen.text(), want.text());
        assert_eq!(leds, want_leds, "the lamps at {at}");
    }
    assert_eq!(shown.len(), want_shown.len());
}

/// What the guest did came out right, and all of it.
fn check_work(o: &Outside) {
    let said = o.com[0].text();
    let sum = crc32(&cd());
    let mut typed = TYPED.map(|l| format!("typed: {l}\r\n"));
    typed[1] = typed[1].replace("foxes jump", "FOXES JUMP");
    for want in [
        "disk: 12 rounds, 0 bad",
        "diskette: 3 rounds, 0 bad",
        &format!("CD: 12 rounds, 0 bad, sum {sum:08x}"),
        "sound: 3 tones, 0 bad",
        " 0% packet loss",
        &typed.concat(),
        &format!("heard: to the guest {}", HEARD - 1),
        // Two axes, the report's end; a button goes down or up.
        &format!("mouse: {} bytes", MOVES * 48 + PRESSES * 16),
        "busy ends",
    ] {
        assert!(said.contains(want), "no {want:?}: {said}");
    }
    assert!(!said.contains("kernel:"), "{said}");
    let page: String = (1..=100).map(|n| format!("{n}\n")).collect();
    assert_eq!(o.printer.text(), page.repeat(3));
    let screen = o.eye.screen().text();
    assert!(screen.contains("row 89 of the screen"), "{screen}");
}

/// CRC-32 of ISO 3309, as `crc32` of busybox has it.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |c: u32, _| c >> 1 ^ if c & 1 == 0 { 0 } else { 0xedb8_8320 };
    !bytes.iter().fold(!0, |c, b| (0..8).fold(c ^ u32::from(*b), bit))
}
