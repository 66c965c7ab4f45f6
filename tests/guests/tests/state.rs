//! Saved state: a busy guest that is saved and goes on, again and again, notices nothing but time.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use guest_tests::{Args, Console, Images, Vm, alone, heirloom, machine, prompt};

/// Saves the machine, and goes on with another.
fn go_on(test: &str, mut vm: Vm, args: &Args, state: &Path) -> (Vm, Console) {
    if let Err(e) = vm.ctl(["save".as_ref(), state.as_os_str()]) {
        panic!("the state is not saved: {e}{}", vm.said());
    }
    assert_eq!(vm.wait(60).code(), Some(0), "{}", vm.said());
    // With it its folder goes, which the next one has.
    drop(vm);
    let mut vm = Vm::start(test, &args.clone().with("--resume", state));
    let t = vm.console();
    (vm, t)
}

/// Saves the machine after each of these milliseconds, at least three times, until a text came.
fn through_saves(
    test: &str,
    (mut vm, mut t): (Vm, Console),
    args: &Args,
    state: &Path,
    waits: [u64; 8],
    done: &str,
) -> (Vm, Console) {
    let mut saved = 0;
    for wait in waits {
        let until = Instant::now() + Duration::from_millis(wait);
        while Instant::now() < until && !t.has(done) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if t.has(done) {
            break;
        }
        (vm, t) = go_on(test, vm, args, state);
        saved += 1;
    }
    assert!(saved >= 3, "the guest was done after {saved}");
    (vm, t)
}

/// Three mebibytes written, read back past the caches and compared, 60 times; processor and timers busy beside it.
const WORK: &str = "dd if=/dev/urandom of=/r bs=64k count=48 2>/dev/null; \
    (while :; do md5sum /r >/dev/null; usleep 3000; done) & bad=0; i=0; \
    while [ $i -lt 60 ]; do dd if=/r of=/dev/sda bs=64k seek=$((i%16*48)) conv=notrunc 2>/dev/null; sync; \
    echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/sda bs=64k count=48 skip=$((i%16*48)) 2>/dev/null | cmp - /r || bad=$((bad+1)); \
    i=$((i+1)); done; kill %1; echo rou\"\"nds over: $bad bad\n";

#[test]
fn a_guest_that_is_saved_in_the_middle_of_its_work_goes_on_with_it() {
    let _one = alone();
    let images = Images::new("state-images");
    images.disk(["create", "base.vhd", "64M"]);
    images.disk(["create", "child.vhd", "--parent", "base.vhd"]);
    let (disk, state) = (images.0.join("child.vhd"), images.0.join("state"));
    let args = machine("linux").with("--disk", &disk);
    let mut vm = Vm::start("state", &args);
    let mut t = prompt(&mut vm, "test");
    t.output("dmesg -n 1; dmesg -c > /dev/null");
    t.send(WORK);
    // Waits that are no multiple of anything.
    let waits = [130, 411, 277, 593, 88, 352, 219, 467];
    let (vm, mut t) = through_saves("state", (vm, t), &args, &state, waits, "rounds over");
    let said = t.expect("bad", 300);
    assert!(said.contains("rounds over: 0 bad"), "{said}");
    let log = t.output("dmesg | grep -iE 'ata|error|lost|time|clock|stall|irq'");
    assert_eq!(log, "", "the kernel noticed");
    // The clock chip has the host's time.
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let chip = t.output("cat /sys/class/rtc/rtc0/since_epoch").parse::<u64>().expect("seconds");
    let offset = t.output("date +%z");
    assert!(chip.abs_diff(now) <= 3 || offset != "+0000", "the chip says {chip}, the host {now}");
    // What was saved last is of disks that were written to since then.
    drop(t);
    drop(vm);
    let refused = Command::new(heirloom())
        .args(["run", "--engine", "software", "--memory", "128", "--timeout", "20", "--resume"])
        .arg(&state)
        .arg("--disk")
        .arg(&disk)
        .output()
        .expect("heirloom starts");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("was changed after state"), "{said}");
}

/// A diskette is slow: its drive turns, its head moves, and the guest is saved while it does.
#[test]
fn a_diskette_is_read_and_written_through_saves() {
    let _one = alone();
    let images = Images::new("state-diskette");
    let bytes: Vec<u8> = (0..1440_u32 << 10).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (image, state) = (images.make("a.img", &bytes), images.0.join("state"));
    let args = machine("floppy").with("--floppy", &image);
    let mut vm = Vm::start("state-floppy", &args);
    let mut t = prompt(&mut vm, "floppy");
    t.output("dmesg -n 1; dmesg -c > /dev/null");
    // Twelve cylinders from one end to the other.
    t.send(
        "dd if=/dev/fd0 of=/r bs=18k count=12 2>/dev/null; dd if=/r of=/dev/fd0 bs=18k seek=60 conv=fsync 2>/dev/null; \
         echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/fd0 bs=18k skip=60 count=12 2>/dev/null | cmp - /r && echo al\"\"ike\n",
    );
    let waits = [700, 311, 903, 577, 1204, 446, 389, 812];
    let (vm, mut t) = through_saves("state-floppy", (vm, t), &args, &state, waits, "alike");
    t.expect("alike", 120);
    assert_eq!(t.output("dmesg | grep -iE 'floppy|fd0|error|time|lost'"), "", "the kernel noticed");
    drop(t);
    drop(vm);
    let after = fs::read(&image).expect("the image");
    let (from, to) = (12 * 18 << 10, 60 * 18 << 10);
    assert!(after[..from] == bytes[..from] && after[to..to + from] == bytes[..from], "the copy");
}

/// While the machine is not there somebody puts another diskette of the same size into the drive, or the same one back.
#[test]
fn a_diskette_that_was_changed_meanwhile_is_not_taken_for_the_old_one() {
    let _one = alone();
    let images = Images::new("state-swapped");
    let [old, new] = ["old", "new"]
        .map(|v| images.make(&format!("{v}.img"), format!("{v}\n").repeat(360 << 10).as_bytes()));
    // Of one size and time, as two that a program made together.
    let made = fs::metadata(&old).and_then(|m| m.modified()).expect("a time");
    fs::File::options().write(true).open(&new).and_then(|f| f.set_modified(made)).expect("the same time");
    let state = images.0.join("state");
    let args = |image: &Path| machine("floppy").with("--floppy", image);
    let mut vm = Vm::start("swapped", &args(&old));
    let mut t = prompt(&mut vm, "floppy");
    t.output("dmesg -n 1");
    // Linux looks at the drive's change line when its last look is 3 s ago, and until then keeps what it read.
    let first = "sleep 4; dd if=/dev/fd0 bs=512 count=1 2>/dev/null | head -n 1";
    assert_eq!(t.output(first), "old");
    let (vm, mut t) = go_on("swapped", vm, &args(&old), &state);
    assert_eq!(t.output(first), "old");
    let (_vm, mut t) = go_on("swapped", vm, &args(&new), &state);
    assert_eq!(t.output(first), "new");
}

/// While it works, three snapshots are taken; then it is off, and each of them works on from where it was.
#[test]
fn snapshots_of_a_guest_at_work_are_gone_back_to_in_any_order() {
    let _one = alone();
    let images = Images::new("snapshot-images");
    images.disk(["create", "disk.vhd", "64M"]);
    let disk = images.0.join("disk.vhd");
    let args = machine("linux").with("--disk", &disk);
    let mut vm = Vm::start("snapshots", &args);
    let mut t = prompt(&mut vm, "test");
    t.output("dmesg -n 1; dmesg -c > /dev/null");
    t.send(WORK);
    let states = ["one", "two", "three"].map(|n| images.0.join(n));
    for (state, wait) in states.iter().zip([130, 611, 377]) {
        std::thread::sleep(Duration::from_millis(wait));
        let said = vm.ctl(["snapshot".as_ref(), state.as_os_str()]).expect("a snapshot");
        assert!(said.contains("stood still for") && said.contains("disk.vhd: what it was is"), "{said}");
        assert!(!t.has("rounds over"), "the guest was done before {}", state.display());
    }
    // The same name again would lose the first.
    let e = vm.ctl(["snapshot".as_ref(), states[0].as_os_str()]).expect_err("it is there");
    assert!(e.contains("disk.one.vhd is there") && e.contains("another name"), "{e}");
    let finish = |(vm, mut t): (Vm, Console)| {
        t.expect("rounds over:", 300);
        assert_eq!(t.expect("bad", 10).trim(), "0 bad");
        let log = t.output("dmesg | grep -iE 'ata|error|lost|time|clock|stall|irq'");
        assert_eq!(log, "", "the kernel noticed");
        drop((t, vm));
    };
    finish((vm, t));
    let run = |state: &Path, revert: &[&str]| {
        let mut c = Command::new(heirloom());
        c.args(["run", "--engine", "software", "--memory", "128", "--timeout", "20", "--resume"]).arg(state);
        let out = c.arg("--disk").arg(&disk).args(revert).output().expect("heirloom starts");
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, said) = run(&states[1], &[]);
    assert!(code == Some(1) && said.contains("disk.two.vhd") && said.contains("--revert"), "{said}");
    for state in [&states[1], &states[0], &states[2]] {
        let mut vm = Vm::start("snapshots", &args.clone().with("--resume", state).flag("--revert"));
        let t = vm.console();
        finish((vm, t));
    }
    // Beside it, over a snapshot's own disk, which stays. The first time leaves an undo disk: it is killed.
    let mut frozen = images.0.join("disk.three.vhd").into_os_string();
    frozen.push(",undo=discard");
    let args = machine("linux").with("--disk", &frozen).with("--resume", &states[2]);
    for _ in 0..2 {
        let mut vm = Vm::start("snapshots", &args);
        let t = vm.console();
        finish((vm, t));
    }
}

/// A machine with other drives than the state's ends before it opens a port or has a disk go back.
#[test]
fn other_drives_are_found_before_a_port_is_opened_or_a_disk_changed() {
    let _one = alone();
    let images = Images::new("drives-images");
    images.disk(["create", "disk.vhd", "8M"]);
    let (disk, state, log) = (images.0.join("disk.vhd"), images.0.join("state"), images.0.join("com2"));
    let args = Args::new(&["--memory", "8", "--cdrom", "none"]).with("--disk", &disk);
    let mut vm = Vm::start("drives", &args);
    // Connected once the machine is there.
    drop(vm.console());
    vm.ctl(["snapshot".as_ref(), state.as_os_str()]).expect("a snapshot");
    drop(vm);
    let before = fs::read(&disk).expect("the disk");
    let frozen = images.0.join("disk.state.vhd");
    let run = |more: &[&str]| {
        let mut c = Command::new(heirloom());
        c.args(["run", "--memory", "8", "--timeout", "5", "--serial", "none", "--serial"]);
        let mut file = std::ffi::OsString::from("file=");
        file.push(&log);
        c.arg(file).arg("--resume").arg(&state).args(more);
        let out = c.output().expect("heirloom starts");
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let disk_arg = disk.to_str().expect("a name");
    for more in [
        &["--revert", "--disk", disk_arg] as &[&str],
        &["--disk", frozen.to_str().expect("a name")],
        &["--revert", "--disk", disk_arg, "--cdrom", "none", "--net", "none", "--net", "none"],
    ] {
        let (code, said) = run(more);
        assert!(code == Some(1) && said.contains("that it was saved with"), "{said}");
        assert!(!log.exists() && fs::read(&disk).expect("the disk") == before, "{more:?}");
    }
    let (code, said) = run(&["--revert", "--disk", disk_arg, "--cdrom", "none"]);
    assert!(code == Some(124) && log.exists(), "{said}");
}

/// Runs `heirloom snapshot`, for so long at most. None: it was killed.
fn snapshot(folder: &Path, words: &[&str], longest: Duration) -> Option<(bool, String)> {
    let mut c = Command::new(heirloom());
    c.arg("snapshot").args(words).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = c.spawn().expect("heirloom starts");
    let end = Instant::now() + longest;
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() >= end {
            child.kill().expect("it is killed");
            child.wait().expect("it is gone");
            return None;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let out = child.wait_with_output().expect("its words");
    let said = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
    Some((out.status.success(), said.into_owned()))
}

/// A snapshot of a guest at work is removed, and killed while it is, again and again; the others go on as if nothing had been.
#[test]
fn a_snapshot_is_removed_from_under_the_others_whatever_kills_it() {
    const LONG: Duration = Duration::from_secs(60);
    let _one = alone();
    let images = Images::new("removal-images");
    images.disk(["create", "disk.vhd", "64M"]);
    let folder = images.0.as_path();
    let args = machine("linux").with("--disk", folder.join("disk.vhd"));
    let mut vm = Vm::start("removal", &args);
    let mut t = prompt(&mut vm, "test");
    t.output("dmesg -n 1; dmesg -c > /dev/null");
    t.send(WORK);
    let states = ["one", "two", "three"].map(|n| folder.join(n));
    for (state, wait) in states.iter().zip([150, 500, 400]) {
        std::thread::sleep(Duration::from_millis(wait));
        vm.ctl(["snapshot".as_ref(), state.as_os_str()]).expect("a snapshot");
    }
    assert!(!t.has("rounds over"), "the guest was done before the snapshots");
    let (ok, said) = snapshot(folder, &["remove", "two"], LONG).expect("it ends");
    assert!(!ok && said.contains("in use"), "{said}");
    drop((t, vm));
    let usable = |names: &[&str]| {
        let (ok, said) = snapshot(folder, &["list", "disk.vhd", "--json"], LONG).expect("it ends");
        assert!(ok, "{said}");
        for name in names {
            let at = said.find(&format!("{name}\",")).unwrap_or_else(|| panic!("no {name}: {said}"));
            let usable = said[at..].find("\"usable\": ").map(|n| &said[at + n + 10..][..4]);
            assert_eq!(usable, Some("true"), "{name}: {said}");
        }
        said
    };
    usable(&["one", "two", "three"]);
    let mut kills = 0;
    for (name, left) in [("two", &["one", "three"][..]), ("one", &["three"])] {
        let mut longest = Duration::from_millis(2);
        // It may be killed when all is done.
        while folder.join(name).exists() || folder.join(format!("{name}.removing")).exists() {
            if let Some((ok, said)) = snapshot(folder, &["remove", name], longest) {
                assert!(ok && said.contains("is forgotten"), "{said}");
                break;
            }
            kills += 1;
            longest += Duration::from_micros(3700);
            for disk in ["disk.vhd", "disk.three.vhd"] {
                images.disk(["check", disk]);
            }
            usable(left);
        }
        assert!(!usable(left).contains(&format!("disk.{name}.vhd")));
    }
    assert!(kills > 3, "{kills} kills");
    let mut vm = Vm::start("removal", &args.clone().with("--resume", &states[2]).flag("--revert"));
    let mut t = vm.console();
    t.expect("rounds over:", 300);
    assert_eq!(t.expect("bad", 10).trim(), "0 bad");
    drop((t, vm));
    let (ok, said) = snapshot(folder, &["remove", "three"], LONG).expect("it ends");
    assert!(ok, "{said}");
    let said = images.disk(["info", "disk.vhd"]);
    assert!(said.contains("vhd-dynamic") && !said.contains("\nover "), "{said}");
}
