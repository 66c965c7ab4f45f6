//! The sound card by Linux's own drivers: isapnp finds it, snd-sb16 plays, snd-opl3 makes music; what a recording has.

use std::fs;
use std::path::{Path, PathBuf};

use guest_tests::{Args, Console, Vm, alone, guest};

const HZ: f64 = 48_000.0;

/// A sound within a recording.
#[derive(Debug)]
struct Sound {
    /// Seconds.
    length: f64,
    /// Frequencies left and right.
    pitch: [f64; 2],
    peak: [i16; 2],
    /// How far a sample is at most from where a pure tone goes on from the two before it.
    off: f64,
}

/// The two channels of a WAV file of 16-bit stereo.
fn channels(path: &Path) -> [Vec<i16>; 2] {
    let b = fs::read(path).expect("a recording");
    assert_eq!((&b[..4], &b[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
    let word = |at: usize| u16::from_le_bytes([b[at], b[at + 1]]);
    let long = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
    assert_eq!((word(20), word(22), long(24), word(34)), (1, 2, 48_000, 16), "16-bit PCM, stereo, 48 kHz");
    let data = 20 + long(16) as usize;
    assert_eq!(&b[data..data + 4], b"data");
    let samples = &b[data + 8..data + 8 + long(data + 4) as usize];
    let of = |side: usize| {
        samples.chunks_exact(4).map(|f| i16::from_le_bytes([f[side * 2], f[side * 2 + 1]])).collect()
    };
    [of(0), of(1)]
}

/// Frequency by the first and the last rise through 0, interpolated.
fn pitch(x: &[i16]) -> f64 {
    let rises: Vec<f64> = (1..x.len())
        .filter(|&n| x[n - 1] < 0 && x[n] >= 0)
        .map(|n| n as f64 - f64::from(x[n]) / f64::from(x[n] - x[n - 1]))
        .collect();
    (rises.len() as f64 - 1.0) / (rises[rises.len() - 1] - rises[0]) * HZ
}

/// The largest step away from a pure tone of this frequency.
fn impurity(x: &[i16], hz: f64) -> f64 {
    let turn = 2.0 * (hz / HZ * std::f64::consts::TAU).cos();
    let x: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
    x.windows(3).map(|w| (w[2] - turn * w[1] + w[0]).abs()).fold(0.0, f64::max)
}

/// The sounds of a recording: what is louder than a whisper for more than a moment, with quiet around it. Between the last
/// interrupt and the moment in which the driver stops it, a card plays what its buffer held before.
fn sounds(path: &Path) -> Vec<Sound> {
    const WHISPER: i16 = 400;
    const GAP: usize = 96;
    const MOMENT: usize = 960;
    let x = channels(path);
    let loud = |n: &usize| x.iter().any(|c| c[*n].saturating_abs() > WHISPER);
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for n in (0..x[0].len()).filter(loud) {
        match spans.last_mut() {
            Some(s) if n - s.1 < GAP => s.1 = n,
            _ => spans.push((n, n)),
        }
    }
    let sound = |(from, to): (usize, usize)| {
        // Not its very beginning and end, where filters swing.
        let inner = from + (to - from) / 20..to - (to - from) / 20;
        let of = |c: &Vec<i16>| {
            (pitch(&c[inner.clone()]), c[inner.clone()].iter().map(|v| v.saturating_abs()).max())
        };
        let (left, right) = (of(&x[0]), of(&x[1]));
        Sound {
            length: (to + 1 - from) as f64 / HZ,
            off: impurity(&x[0][inner.clone()], left.0),
            pitch: [left.0, right.0],
            peak: [left.1.unwrap_or(0), right.1.unwrap_or(0)],
        }
    };
    spans.into_iter().filter(|s| s.1 - s.0 > MOMENT).map(sound).collect()
}

/// The guest with its recording.
fn booted(test: &str) -> (Vm, Console, PathBuf) {
    let folder = guest_tests::folder(&format!("{test}-wav"));
    let wav = folder.join("out.wav");
    let mut to = std::ffi::OsString::from("wav=");
    to.push(&wav);
    let args = Args::default()
        .with("--memory", "128")
        .with("--kernel", guest("sound/vmlinuz"))
        .with("--initrd", guest("sound/initrd.gz"))
        .with("--append", "console=ttyS0 quiet")
        .with("--audio", to);
    let mut vm = Vm::start(test, &args);
    let mut t = vm.console();
    t.expect("heirloom sound guest ready", 400);
    t.expect("# ", 60);
    let set = t.command("/modules/tones volume 100; echo set $?");
    assert!(set.contains("set 0"), "{set}");
    (vm, t, wav)
}

fn off(vm: &mut Vm, t: &mut Console) {
    let unknown = vm.ctl(["unknowns"]).expect("the machine answers");
    assert!(unknown.contains("every access so far met a register"), "{unknown}");
    t.send("poweroff -f\n");
    assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
}

fn near(got: f64, want: f64, what: &str) {
    assert!((got / want - 1.0).abs() < 0.01, "{what}: {got} is not {want} within 1 %");
}

#[test]
fn linux_plays_tones_of_the_right_pitch_and_length() {
    let _one = alone();
    let (mut vm, mut t, wav) = booted("sound");
    let found = t.command("dmesg | grep -e 'Plug & Play card' -e 'card ' -e sb16; cat /proc/asound/cards");
    for want in ["isapnp: 1 Plug & Play card detected", "Sound Blaster 16 PnP", "at 0x220, irq 5, dma 1&5"] {
        assert!(found.contains(want), "{want:?}: {found}");
    }
    // Rate, bits, channels, Hz.
    let plays = [
        (8000, 8, 1, 440),
        (11_025, 8, 2, 300),
        (22_050, 16, 1, 1000),
        (44_100, 16, 2, 1000),
        (44_100, 8, 1, 5000),
        (4000, 16, 2, 200),
    ];
    for (rate, bits, channels, hz) in plays {
        let said = t.command(&format!(
            "/modules/tones play {rate} {bits} {channels} {hz} 1500; echo played $?; usleep 300000"
        ));
        assert!(said.contains("played 0"), "{rate} {bits} {channels}: {said}");
    }
    let busy = t.command("grep SoundBlaster /proc/interrupts");
    assert!(
        busy.split_whitespace().nth(1).and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n > 20),
        "{busy}"
    );
    let faults =
        t.command("echo $(dmesg | grep -ci -e underrun -e xrun -e 'nobody cared' -e 'write error') faults");
    assert!(faults.contains("0 faults"), "{faults}\n{}", t.command("dmesg | tail -20"));
    off(&mut vm, &mut t);
    let heard = sounds(&wav);
    assert_eq!(heard.len(), plays.len(), "{heard:?}");
    for ((rate, bits, channels, hz), s) in plays.into_iter().zip(&heard) {
        let what = format!("{hz} Hz at {rate}, {bits} bits, {channels} channels: {s:?}");
        near(s.length, 1.5, &what);
        near(s.pitch[0], f64::from(hz), &what);
        near(s.pitch[1], f64::from(hz * channels), &what);
        assert!(s.peak.iter().all(|p| (14_500..18_500).contains(p)), "{what}");
        // Of 8-bit samples the steps are 256 high.
        assert!(s.off < if bits == 16 { 60.0 } else { 600.0 }, "a crackle: {what}");
    }
}

#[test]
fn linux_records_and_plays_notes() {
    let _one = alone();
    let (mut vm, mut t, wav) = booted("sound-fm");
    for (rate, bits, channels) in [(8000, 8, 1), (44_100, 16, 2)] {
        let said =
            t.command(&format!("/modules/tones record {rate} {bits} {channels} 500; echo recorded $?"));
        assert!(said.contains("recorded 0"), "{rate} {bits} {channels}: {said}");
    }
    // By snd-opl3: voice, frequency number, block. The third one is in the second bank.
    let notes = [(0, 580, 4), (4, 400, 5), (12, 1000, 3)];
    for (voice, fnum, block) in notes {
        let said = t.command(&format!(
            "/modules/tones note {voice} {fnum} {block} 1000; echo noted $?; usleep 300000"
        ));
        assert!(said.contains("noted 0"), "{voice}: {said}");
    }
    off(&mut vm, &mut t);
    let heard = sounds(&wav);
    assert_eq!(heard.len(), notes.len(), "{heard:?}");
    for ((voice, fnum, block), s) in notes.into_iter().zip(&heard) {
        let want = f64::from(fnum) * 49_716.0 / f64::from(1 << (20 - block));
        let what = format!("voice {voice}: {s:?}");
        near(s.pitch[0], want, &what);
        near(s.pitch[1], want, &what);
        // The guest slept a second, give or take its timer's step.
        assert!((0.99..1.05).contains(&s.length), "{what}");
    }
}

#[test]
fn linux_beeps_by_the_speaker_alone_and_beside_the_card() {
    let _one = alone();
    let (mut vm, mut t, wav) = booted("sound-beep");
    // The console's bell: pitch, length, ring.
    for hz in [440, 2000] {
        t.command(&format!("printf '\\033[10;{hz}]\\033[11;1000]\\007' > /dev/tty1; sleep 2"));
    }
    let both = "/modules/tones play 44100 16 2 1000 1500 & usleep 300000; printf '\\007' > /dev/tty1; wait";
    t.command(both);
    off(&mut vm, &mut t);
    let heard = sounds(&wav);
    assert_eq!(heard.len(), 3, "{heard:?}");
    for (hz, s) in [440.0, 2000.0].into_iter().zip(&heard) {
        // Linux rounds a timer of a second up, to 32 ms at most.
        assert!((1.0..1.05).contains(&s.length), "{hz} Hz: {s:?}");
        near(s.pitch[0], hz, &format!("{hz} Hz: {s:?}"));
        assert!(s.peak.iter().all(|p| (5500..9000).contains(p)), "{s:?}");
    }
    // The card's tone of 16,000 with the speaker's on top of it, of which the first stroke is the largest: 12,000.
    near(heard[2].length, 1.5, &format!("{heard:?}"));
    assert!(heard[2].peak.iter().all(|p| (20_000..30_000).contains(p)), "{heard:?}");
}

/// The recording of a whole run on the instruction clock.
fn recorded(test: &str, engine: &str) -> Vec<u8> {
    let wav = guest_tests::folder(&format!("{test}-wav")).join("out.wav");
    let mut to = std::ffi::OsString::from("wav=");
    to.push(&wav);
    let args = Args::default()
        .with("--memory", "128")
        .with("--engine", engine)
        .with("--clock", "instructions")
        .with("--kernel", guest("sound/vmlinuz"))
        .with("--initrd", guest("sound/initrd.gz"))
        .with("--append", "console=ttyS0 quiet tones=1")
        .with("--audio", to);
    let mut vm = Vm::logged(test, &args);
    assert_eq!(vm.wait(400).code(), Some(0), "{}", vm.said());
    let log = vm.log();
    assert!(log.contains("tones end"), "{log}");
    fs::read(wav).expect("a recording")
}

#[test]
fn what_is_heard_repeats_on_the_instruction_clock() {
    let _one = alone();
    // A machine's addresses come from its name: the same one for both.
    let first = recorded("sound-clock", "software");
    let second = recorded("sound-clock", "software,jit=off");
    assert!(first.len() > 100_000, "{} bytes", first.len());
    assert!(first == second, "the recordings differ");
}

#[test]
fn places_for_a_recording_that_cannot_be_are_told() {
    let folder = guest_tests::folder("sound-bad");
    for (to, want) in [
        ("wav=none/such/a.wav", "cannot create recording none/such/a.wav: No such file"),
        ("wav=", "use none, host or wav=PATH"),
        ("speaker", "use none, host or wav=PATH"),
    ] {
        let out = std::process::Command::new(guest_tests::heirloom())
            .args(["run", "--name", "sound-bad", "--timeout", "5", "--audio", to])
            .env("XDG_RUNTIME_DIR", &folder)
            .output()
            .expect("heirloom starts");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && said.contains(want) && said.lines().count() == 1, "{to}: {said}");
    }
    let _ = fs::remove_dir_all(folder);
}
