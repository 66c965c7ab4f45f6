//! Disk, network, sound card, screen and clocks busy at once for a while: no interrupt is lost, no error comes, and the guest's
//! clock is the host's afterwards. `cargo xtask bench soak` does the same for half an hour.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use guest_tests::{Args, Vm, alone, folder, free_address, guest};

/// As in the guest's program, `xtask/src/guests/soak/work.c`.
const PIECE: usize = 1 << 20;
const PERIOD: f64 = 4096.0;
/// Linux's periodic tick: the 8254's clock, divided to come near 250 Hz.
const TICK: f64 = 4773.0 / 1_193_182.0;

fn serve(work: fn(TcpStream) -> std::io::Result<()>) -> u16 {
    let l = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = l.local_addr().expect("an address").port();
    thread::spawn(move || l.incoming().flatten().for_each(|c| drop(work(c))));
    port
}

/// The same piece without end.
fn down(mut to: TcpStream) -> std::io::Result<()> {
    let piece: Vec<u8> = (0..PIECE).map(|n| (n * 13 >> 4) as u8).collect();
    loop {
        to.write_all(&piece)?;
    }
}

/// After each four pieces it says whether all was right.
fn up(mut from: TcpStream) -> std::io::Result<()> {
    let mut round = vec![0; 4 * PIECE];
    loop {
        from.read_exact(&mut round)?;
        from.write_all(&[u8::from(round.iter().all(|&b| b == 0x5a))])?;
    }
}

/// What the guest says at a moment.
#[derive(Debug, Default)]
struct Mark {
    phase: String,
    /// By how many ms the guest's clock is behind; from any place, and later if it was read late.
    behind: f64,
    /// Its clock, its counts, and its interrupts by the last word of their names.
    says: HashMap<String, f64>,
}

impl Mark {
    fn get(&self, name: &str) -> f64 {
        *self.says.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

/// Ticks that the timer chip gave up: a crowded host's guest time runs so fast that the guest can't take them all.
fn given_up(vm: &Vm) -> f64 {
    let all = vm.ctl(["metrics"]).expect("the machine answers");
    let n = all.lines().find_map(|l| l.strip_prefix("heirloom_i8254_ticks_given_up ")?.trim().parse().ok());
    n.unwrap_or_else(|| panic!("no ticks are counted: {all}"))
}

/// The marks up to the end of the guest; faults and errors end the test.
fn marks(vm: &mut Vm) -> Vec<Mark> {
    let mut t = vm.console();
    let (mut marks, begun, mut whole) = (Vec::<Mark>::new(), Instant::now(), false);
    loop {
        let (at, line) = t.line(300);
        let mut words = line.split_whitespace();
        if words.next() != Some("soak") {
            continue;
        }
        match words.next() {
            Some("at") => {
                let phase = words.next().expect("a phase").to_owned();
                marks.push(Mark { phase, ..Mark::default() });
                if marks.len() == 1 {
                    marks[0].says.insert("given up".into(), given_up(vm));
                }
            }
            Some("over") => {
                whole = true;
                let before = marks[0].get("given up");
                marks.last_mut().expect("a mark").says.insert("given up".into(), given_up(vm) - before);
            }
            Some("ends") => break,
            Some("did" | "irq" | "clock") => {}
            _ => panic!("{line}"),
        }
        let Some(m) = marks.last_mut() else { continue };
        for (name, value) in words.filter_map(|w| w.split_once('=')) {
            let (value, name) =
                if name == "tsc" { (value, name) } else { value.split_once(':').unwrap_or((value, name)) };
            // The TSC's halves; what it counts is docs/design/time.md's.
            if name == "tsc" {
                let whole = u64::from_str_radix(&value.replace(':', ""), 16).expect("a TSC");
                m.says.insert(name.to_owned(), whole as f64 / 1.8e9);
                continue;
            }
            // Both channels of the disk are one.
            *m.says.entry(name.to_owned()).or_default() += value.parse().unwrap_or(0.0);
        }
        if line.starts_with("soak at") {
            m.behind = ((at - begun).as_secs_f64() - m.get("mono")) * 1e3;
        }
    }
    assert!(whole, "the program did not come to its end");
    marks
}

#[test]
fn all_devices_at_once_lose_no_interrupt_and_no_time() {
    let _one = alone();
    let files = folder("soak-files");
    let disk = files.join("disk.img");
    fs::File::create(&disk).and_then(|f| f.set_len(64 << 20)).expect("a disk");
    let mut wav = std::ffi::OsString::from("wav=");
    wav.push(files.join("out.wav"));
    let (down, up) = (serve(down), serve(up));
    let args = Args::default()
        .with("--memory", "128")
        .with("--kernel", guest("soak/vmlinuz"))
        .with("--initrd", guest("soak/initrd.gz"))
        .with(
            "--append",
            format!(
                "console=ttyS0 quiet nohz=off highres=off server=10.0.2.1 down={down} up={up} ms=9000 mark_ms=1000 \
                 piece_ms=50 picture_ms=60"
            ),
        )
        .with("--disk", &disk)
        .with("--net", "nat,host=allow")
        .with("--audio", wav)
        .with("--display", format!("vnc={}", free_address()));
    let mut vm = Vm::start("soak", &args);
    let marks = marks(&mut vm);
    assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
    let busy: Vec<&Mark> = marks.iter().filter(|m| m.phase == "busy").collect();
    let (first, begun) = (&marks[0], busy[0]);
    let (end, last) = (busy[busy.len() - 1], &marks[marks.len() - 1]);

    // All of it was busy: each program, all the time. How much it did is a matter of the host.
    for what in ["written", "read", "down", "up", "pictures", "samples"] {
        assert!(end.get(what) > begun.get(what) + 5.0, "{what}: {begun:?}, {end:?}");
    }
    assert_eq!(last.get("underruns"), 0.0, "the sound was interrupted: {last:?}");

    // Each interrupt came, and none twice.
    let some = |from: &Mark, to: &Mark, what: &str| to.get(what) - from.get(what);
    let commands = some(first, last, "commands");
    assert_eq!(some(first, last, "ata_piix"), commands, "one for each command of the disk");
    let near = |got: f64, want: f64, what: &str| {
        assert!((got - want).abs() <= 2.0, "{what}: {got} interrupts, {want} were due");
    };
    near(some(first, last, "timer") + last.get("given up"), some(first, last, "tsc") / TICK, "timer");
    near(some(begun, end, "SoundBlaster"), some(begun, end, "samples") / PERIOD, "sound");
    near(some(begun, end, "rtc0"), some(begun, end, "tsc"), "battery clock");
    assert_eq!(last.get("ERR"), 0.0, "interrupts of the 8259A without a cause");

    // A mark comes late on a busy host, but not each.
    let behind = |phase: &str| {
        let all = marks.iter().filter(|m| m.phase == phase);
        all.map(|m| m.behind).fold(f64::INFINITY, f64::min)
    };
    let drift = behind("last") - behind("first");
    let own = (some(first, last, "mono") / some(first, last, "tsc") - 1.0) * 1e6;
    println!(
        "its kernel's clock is {own:.1} ppm fast; the guest's clock is {drift:.2} ms behind where it was; {commands} commands of the disk"
    );
    assert!(drift.abs() < 50.0, "the guest's clock is {drift} ms behind the host's");
    let sound = some(begun, end, "samples_at") - some(begun, end, "samples") / 44_100.0;
    assert!(sound.abs() < 0.05, "the sound card is {sound} s behind the guest's clock");
    let seconds = some(begun, end, "second_at") - some(begun, end, "seconds");
    assert!(seconds.abs() < 0.05, "the battery clock is {seconds} s behind the guest's");
    let _ = fs::remove_dir_all(files);
}
