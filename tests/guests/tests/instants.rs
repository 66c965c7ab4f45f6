//! A machine whose devices are all busy is saved and goes on at many instants; it ends as one that never stopped: at the same
//! instruction, with the same disks, sounds, frames and lines. `HEIRLOOM_INSTANTS=N` for more instants; with
//! `HEIRLOOM_LOCKSTEP=1` the two run side by side, and the first chip that is not the same in both is named.

use std::fs::File;
use std::io::{self, Cursor};
use std::sync::{Arc, Mutex, MutexGuard};

use board::{Disk, SoundPort};
use guest_tests::ends::{Blind, Peer, Tape};
use guest_tests::{alone, guest};
use vmm::snapshot::SaveError;
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
    com: [Tape; 2],
    peer: Peer,
    ear: Ear,
}

impl Outside {
    fn new() -> Self {
        Self {
            disk: Held::new(16 << 20),
            diskette: Held::new(1440 << 10),
            com: Default::default(),
            peer: Peer::default(),
            ear: Ear::default(),
        }
    }

    /// The same things once more, as they are now.
    fn copy(&self) -> Self {
        let held = |h: &Held| Held(Arc::new(Mutex::new(h.bytes().clone())));
        // Nobody reads what the other one's ports had before.
        Self { disk: held(&self.disk), diskette: held(&self.diskette), ..Self::new() }
    }
}

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
            cmdline: format!("console=ttyS0 quiet rounds={rounds}"),
            kernel_path: kernel,
        }),
        ..Parts::default()
    }
}

fn machine(parts: &Parts, o: &Outside) -> Machine {
    let ports = Ports {
        drives: [Some(Drive::disk(Box::new(o.disk.clone()))), None, None, None],
        floppies: [Some(Floppy { medium: Some(Box::new(o.diskette.clone())) }), None],
        serial: [Some(Box::new(o.com[0].clone())), Some(Box::new(o.com[1].clone()))],
        net: [Some(Box::new(o.peer.clone())), None, None, None],
        parallel: None,
        sound: Some(Box::new(o.ear.clone())),
        display: Box::new(Blind),
    };
    Machine::build(parts, ports).expect("a machine")
}

fn save(m: &mut Machine) -> Option<Vec<u8>> {
    let mut f = Cursor::new(Vec::new());
    match m.save(&mut f) {
        Ok(()) => Some(f.into_inner()),
        Err(SaveError::Busy) => None,
        Err(e) => panic!("{e}"),
    }
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

/// Where a run ended: guest time and instructions.
type End = (u64, u64);

/// What both must have come to.
fn compare(o: &Outside, end: End, want: &Outside, want_end: End) {
    assert_eq!(o.com[0].text(), want.com[0].text());
    assert_eq!(o.com[1].text(), want.com[1].text());
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
    const SECOND: u64 = 1_000_000_000;
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
    let begun = save(&mut m).expect("Linux calls no BIOS");
    drop(m);
    // Straight on.
    let straight = first.copy();
    let mut m = restore(&parts, &straight, &begun);
    assert_eq!(m.run().expect("it runs"), Outcome::PoweredOff);
    let want = m.handle().progress();
    drop(m);
    let said = straight.com[0].text();
    for want in [
        "disk: 12 rounds, 0 bad",
        "diskette: 3 rounds, 0 bad",
        "sound: 3 tones, 0 bad",
        " 0% packet loss",
        "busy ends",
    ] {
        assert!(said.contains(want), "no {want:?}: {said}");
    }
    assert!(!said.contains("kernel:"), "{said}");
    let long = want.0 - at;
    assert!(long > 2 * SECOND, "the work took {long} ns");
    // And with stops.
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut stops: Vec<u64> = (0..instants).map(|_| at + 1 + random.below(long - 1)).collect();
    stops.sort_unstable();
    let stopped = first.copy();
    let mut m = restore(&parts, &stopped, &begun);
    let mut saved = 0;
    let lockstep = std::env::var_os("HEIRLOOM_LOCKSTEP").is_some();
    let beside = first.copy();
    let mut beside = lockstep.then(|| restore(&parts, &beside, &begun));
    let mut last = at;
    for stop in stops {
        assert_eq!(m.run_until(stop).expect("it runs"), None, "before {stop}: {}", stopped.com[0].text());
        if let Some(state) = save(&mut m) {
            if let Some(beside) = &mut beside {
                assert_eq!(beside.run_until(stop).expect("it runs"), None);
                same(&state, &save(beside).expect("a state"), last, stop);
                last = stop;
            }
            drop(m);
            m = restore(&parts, &stopped, &state);
            saved += 1;
        }
    }
    assert_eq!(saved, instants);
    assert_eq!(m.run().expect("it runs"), Outcome::PoweredOff);
    let end = m.handle().progress();
    compare(&stopped, end, &straight, want);
}
