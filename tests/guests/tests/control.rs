//! The control socket of whole machines: events, the list, undo disks, permissions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use guest_tests::{Args, Images, Vm, alone, heirloom, linux_with};

/// A machine that finds nothing to start.
fn idle(test: &str) -> Vm {
    Vm::logged(test, &Args::new(&["--memory", "16"]))
}

/// Waits until it answers.
fn up(vm: &Vm) {
    for _ in 0..500 {
        if vm.ctl(["events", "--until", "running"]).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("no answer: {}", vm.said());
}

/// `heirloom` beside these machines.
fn command(at: &Path, words: &[&str]) -> Command {
    let mut c = Command::new(heirloom());
    c.args(words).env("XDG_RUNTIME_DIR", at).stdin(Stdio::null());
    c
}

fn text(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).into_owned() + &String::from_utf8_lossy(&o.stderr)
}

#[test]
fn a_reader_follows_a_machine_to_its_end() {
    let _one = alone();
    let mut vm = idle("control-follow");
    up(&vm);
    let follow = command(vm.folder(), &["ctl", "control-follow", "events", "--follow", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("heirloom starts");
    for words in [&["pause"][..], &["resume"], &["reset"], &["link", "1", "up"]] {
        vm.ctl(words).expect("the machine does it");
    }
    let late = vm.ctl(["events", "--until", "asleep", "--timeout", "1"]).expect_err("it does not sleep");
    assert!(late.contains("time-out after 1 s: no asleep"), "{late}");
    let bad = vm.ctl(["events", "--until", "poweroff"]).expect_err("no such event");
    assert!(bad.contains("no event \"poweroff\"; use one of running"), "{bad}");
    vm.ctl(["poweroff"]).expect("the machine does it");
    assert_eq!(vm.wait(60).code(), Some(0), "{}", vm.said());
    let seen = follow.wait_with_output().expect("the reader ends");
    assert!(seen.status.success());
    let seen = text(&seen);
    let kinds: Vec<&str> = seen
        .lines()
        .filter_map(|l| l.split("\"event\":\"").nth(1)?.split('"').next())
        .filter(|k| !["display", "lamps"].contains(k))
        .collect();
    assert_eq!(kinds, ["running", "paused", "running", "reset", "off"], "{seen}");
    let last = seen.lines().last().expect("events");
    assert!(last.contains("\"reason\":\"user\"") && last.contains("\"exit_code\":0"), "{last}");
    let numbers: Vec<u64> = seen
        .lines()
        .filter_map(|l| l.split("\"id\":\"").nth(1)?.split('"').next()?.split('-').nth(1)?.parse().ok())
        .collect();
    assert!(numbers.is_sorted() && numbers.len() == seen.lines().count(), "{seen}");
}

#[test]
fn a_machine_that_is_saved_says_so_last() {
    let _one = alone();
    let mut vm = idle("control-save");
    up(&vm);
    let state = vm.folder().join("state");
    let refused = vm.ctl(["save", "/nowhere/at.all"]).expect_err("no such folder");
    assert!(refused.contains("/nowhere/at.all"), "{refused}");
    let follow = command(vm.folder(), &["ctl", "control-save", "events", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("heirloom starts");
    std::thread::sleep(std::time::Duration::from_millis(300));
    vm.ctl(["save".as_ref(), state.as_os_str()]).expect("it is saved");
    assert_eq!(vm.wait(60).code(), Some(0), "{}", vm.said());
    let seen = text(&follow.wait_with_output().expect("the reader ends"));
    // The last picture may be the first that was drawn.
    let all = seen.lines().filter_map(|l| l.split_once(' ').map(|(_, e)| e));
    let last: Vec<&str> = all.rev().filter(|e| !e.starts_with("display ")).take(3).collect();
    let path = format!("path={state:?}");
    assert_eq!(
        last,
        ["off exit_code=0 reason=\"saved\"", &format!("saved {path}"), &format!("saving {path}")],
        "{seen}"
    );
}

#[test]
fn the_list_has_all_machines_and_no_orphans() {
    let _one = alone();
    let (vm, folder) = (idle("control-list"), guest_tests::folder("control-list-b"));
    up(&vm);
    // In the folder of the first one.
    let words = ["run", "--name", "second", "--engine", "software", "--memory", "32", "--timeout", "60"];
    let mut second = command(vm.folder(), &words).spawn().expect("heirloom starts");
    let heirloom_folder = vm.folder().join("heirloom");
    let list = |words: &[&str]| text(&command(vm.folder(), words).output().expect("heirloom starts"));
    for _ in 0..500 {
        if list(&["list"]).contains("second") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    vm.ctl(["pause"]).expect("it pauses");
    let mode = |p: &Path| fs::metadata(p).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&heirloom_folder), mode(&heirloom_folder.join("second.sock"))), (0o700, 0o600));
    let all = list(&["list"]);
    let lines: Vec<&str> = all.lines().collect();
    assert!(
        lines.len() == 2
            && lines[0].starts_with("control-list         paused   software     16 MiB")
            && lines[1].starts_with("second               running  software     32 MiB"),
        "{all}"
    );
    assert!(list(&["list", "--json"]).contains("\"name\": \"second\""));
    // A process that is killed leaves its socket, and says nothing any more.
    let follow = command(vm.folder(), &["ctl", "second", "events", "--follow"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("heirloom starts");
    std::thread::sleep(std::time::Duration::from_millis(300));
    second.kill().expect("it is there");
    second.wait().expect("it ends");
    let broken = follow.wait_with_output().expect("the reader ends");
    assert!(
        !broken.status.success() && text(&broken).contains("its process was killed"),
        "{}",
        text(&broken)
    );
    assert!(heirloom_folder.join("second.sock").exists());
    let all = list(&["list"]);
    assert!(all.starts_with("control-list ") && all.lines().count() == 1, "{all}");
    assert!(!heirloom_folder.join("second.sock").exists());
    let _ = fs::remove_dir_all(folder);
}

#[test]
fn a_disk_that_the_host_fails_is_told_with_path_and_sector() {
    let _one = alone();
    let images = Images::new("control-fault");
    let image = images.make("bad.img", &vec![0x5a; 32 << 20]);
    let (mut vm, mut t) = linux_with("control-fault-vm", &image, "");
    assert!(vm.ctl(["events"]).is_ok_and(|all| !all.contains("disk-fault")));
    // The host's disk loses its second half.
    fs::OpenOptions::new().write(true).open(&image).and_then(|f| f.set_len(16 << 20)).expect("it shrinks");
    t.output("dd if=/dev/sda of=/dev/null bs=4k skip=5120 count=1 2>/dev/null");
    let told = vm.ctl(["events", "--until", "disk-fault", "--timeout", "60"]).expect("it is told");
    let fault = told.lines().last().expect("an event");
    assert!(fault.contains("operation=\"read\"") && fault.contains("bad.img"), "{fault}");
    let sector = fault.split("sector=").nth(1).and_then(|s| s.split(' ').next()?.parse::<u64>().ok());
    assert!(sector.is_some_and(|s| (32768..=40967).contains(&s)), "{fault}");
    let faults = vm.ctl(["metrics"]).expect("the machine answers");
    let counted = faults.lines().find_map(|l| l.strip_prefix("heirloom_disk_faults{drive=\"disk1\"} "));
    assert!(counted.is_some_and(|n| n != "0"), "{faults}");
    // The guest's own end is told, too.
    let follow = command(vm.folder(), &["ctl", "control-fault-vm", "events", "--new", "--until", "off"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("heirloom starts");
    std::thread::sleep(std::time::Duration::from_millis(300));
    t.send("poweroff -f\n");
    vm.wait(120);
    let seen = text(&follow.wait_with_output().expect("the reader ends"));
    assert!(
        seen.contains(" switched-off hibernated=false") && seen.contains(" off exit_code=0 reason=\"guest\""),
        "{seen}"
    );
}

#[test]
fn what_becomes_of_an_undo_disk_can_be_changed_while_the_machine_runs() {
    let _one = alone();
    let images = Images::new("control-undo");
    images.disk(["create", "base.vhd", "64M"]);
    let (base, undo) = (images.0.join("base.vhd"), images.0.join("base.vud"));
    let before = fs::read(&base).expect("the base");
    for action in ["discard", "commit"] {
        let (mut vm, mut t) = linux_with("control-undo-vm", &base, ",undo");
        let out = t.output("echo hello | dd of=/dev/sda conv=fsync 2>/dev/null && echo written");
        assert_eq!(out, "written");
        let all = vm.ctl(["undo"]).expect("a list");
        assert!(all.starts_with("disk 1: keep ") && all.contains("base.vud, over "), "{all}");
        let none = vm.ctl(["undo", "keep", "--disk", "2"]).expect_err("no such disk");
        assert!(none.contains("no disk 2 with an undo disk; start it with"), "{none}");
        vm.ctl(["undo", action, "--disk", "1"]).expect("the machine does it");
        assert!(
            vm.ctl(["undo", "--json"]).is_ok_and(|all| all.contains(&format!("\"action\": \"{action}\"")))
        );
        t.send("poweroff -f\n");
        assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
        assert!(!undo.exists());
        let changed = fs::read(&base).expect("the base") != before;
        assert_eq!(changed, action == "commit");
    }
}
