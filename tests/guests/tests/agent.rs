//! The guest tools: Linux with the agent, over shared memory and over COM2, by `heirloom ctl`.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use guest_tests::{Args, Console, Vm, alone, guest, heirloom, machine, prompt};

fn args(append: &str) -> Args {
    Args::new(&["--memory", "128", "--channel", "on"])
        .with("--kernel", guest("agent/vmlinuz"))
        .with("--initrd", guest("agent/initrd.gz"))
        .with("--append", format!("console=ttyS0 quiet {append}"))
}

/// Has the guest's shell say something until it is right.
fn says(t: &mut Console, line: &str, right: impl Fn(&str) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let said = t.output(line);
        if right(&said) {
            return;
        }
        assert!(Instant::now() < end, "{line}: {said}");
    }
}

/// Waits until `ctl` says so, for so many seconds.
fn until(vm: &Vm, words: &[&str], want: &str, secs: u64) -> String {
    let end = Instant::now() + Duration::from_secs(secs);
    loop {
        let said = vm.ctl(words).unwrap_or_else(|e| e);
        if said.contains(want) {
            return said;
        }
        assert!(Instant::now() < end, "no {want:?}: {said}{}", vm.said());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn start(test: &str, append: &str) -> (Vm, Console) {
    let mut vm = Vm::start(test, &args(append));
    let t = prompt(&mut vm, "agent");
    until(&vm, &["info"], "system:", 60);
    (vm, t)
}

fn spawn(vm: &Vm, name: &str, words: &[&str]) -> Child {
    let mut c = Command::new(heirloom());
    c.args(["ctl", name, "exec"]).args(words).env("XDG_RUNTIME_DIR", vm.folder());
    c.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    c.spawn().expect("heirloom starts")
}

/// A program that writes for ever, and somebody who takes it.
fn busy(vm: &Vm, name: &str) -> Child {
    let mut c = Command::new(heirloom());
    c.args(["ctl", name, "exec", "--no-input", "--", "cat", "/dev/zero"]).env("XDG_RUNTIME_DIR", vm.folder());
    c.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("heirloom starts")
}

fn exec(vm: &Vm, name: &str, words: &[&str], input: &[u8]) -> Output {
    let mut child = spawn(vm, name, words);
    let (mut stdin, input) = (child.stdin.take().expect("a pipe"), input.to_vec());
    let feeds = std::thread::spawn(move || {
        // A program that does not read it all is no fault of ours.
        let _ = stdin.write_all(&input);
    });
    let out = child.wait_with_output().expect("it ends");
    feeds.join().expect("the input is written");
    out
}

fn random(len: usize) -> Vec<u8> {
    let mut n = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        n ^= n << 13;
        n ^= n >> 7;
        n ^= n << 17;
        n as u8
    };
    (0..len).map(|_| next()).collect()
}

fn text(b: &[u8]) -> String {
    String::from_utf8_lossy(b).into_owned()
}

#[test]
fn programs_have_their_input_output_user_and_end() {
    const VM: &str = "agent-exec";
    let _one = alone();
    let (vm, mut t) = start(VM, "");
    let out = exec(&vm, VM, &["--", "sh", "-c", "echo out; echo err >&2; exit 7"], b"");
    assert_eq!(
        (text(&out.stdout), text(&out.stderr), out.status.code()),
        ("out\n".into(), "err\n".into(), Some(7))
    );
    // More than may be on its way, both ways at once, at the pace of both ends.
    let much = random(3 << 20);
    let out = exec(&vm, VM, &["--", "cat"], &much);
    assert!(out.stdout == much && out.status.success(), "{} of {} bytes", out.stdout.len(), much.len());
    let who = "id -un; pwd; echo $COLOUR; id -G";
    let words = ["--user", "ann", "--folder", "/home/ann", "--env", "COLOUR=green", "--", "sh", "-c", who];
    let out = exec(&vm, VM, &words, b"");
    assert_eq!(text(&out.stdout), "ann\n/home/ann\ngreen\n1000 29\n", "{}", text(&out.stderr));
    for (words, why) in [
        (&["--", "/no/such/program"][..], "/no/such/program"),
        (&["--user", "nobody-here", "--", "true"], "nobody-here"),
        (&["--folder", "/no/folder", "--", "true"], "/no/folder"),
    ] {
        let out = exec(&vm, VM, words, b"");
        assert_eq!(out.status.code(), Some(255), "{words:?}");
        assert!(text(&out.stderr).contains(why), "{words:?}: {}", text(&out.stderr));
    }
    // Whoever asked goes away: so does the program.
    let mut child = spawn(&vm, VM, &["--", "sh", "-c", "echo here; exec sleep 987"]);
    says(&mut t, "ps | grep '[s]leep 987'", |said| !said.is_empty());
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    says(&mut t, "ps | grep '[s]leep 987'", str::is_empty);
    // One that is left alone goes on.
    let out = exec(&vm, VM, &["--detached", "--", "sleep", "986"], b"");
    assert!(out.status.success() && text(&out.stdout).starts_with("process "), "{}", text(&out.stderr));
    says(&mut t, "ps | grep '[s]leep 986'", |said| !said.is_empty());
    // Many at once.
    let all: Vec<Child> = (0..12)
        .map(|n| spawn(&vm, VM, &["--no-input", "--", "sh", "-c", &format!("sleep 0.3; echo {n}")]))
        .collect();
    for (n, child) in all.into_iter().enumerate() {
        let out = child.wait_with_output().expect("it ends");
        assert_eq!(text(&out.stdout), format!("{n}\n"));
    }
}

#[test]
fn the_guest_tells_of_itself_and_values_go_both_ways() {
    let _one = alone();
    let (vm, mut t) = start("agent-info", "");
    let said = until(&vm, &["info", "--json"], "10.0.2.15", 30);
    for want in
        ["\"Heirloom test guest\"", "\"transport\": \"pci\"", "\"tester\"", "\"linux\"", "\"alive\": true"]
    {
        assert!(said.contains(want), "no {want} in {said}");
    }
    // What changes is told within seconds.
    t.output("ifconfig eth0 10.0.2.77");
    until(&vm, &["info"], "10.0.2.77", 20);
    // A service that is taken away, and one that comes back.
    vm.ctl(["channel", "offer", "programs", "off"]).expect("it is taken away");
    until(&vm, &["channel"], "programs     off", 10);
    let no = vm.ctl(["exec", "--no-input", "--", "true"]).expect_err("it is off");
    assert!(no.contains("service programs is off"), "{no}");
    vm.ctl(["channel", "offer", "programs", "on"]).expect("it comes back");
    until(&vm, &["channel"], "programs     open", 10);
    vm.ctl(["exec", "--no-input", "--", "true"]).expect("it is back");
    let bad = vm.ctl(["channel", "offer", "magic", "on"]).expect_err("there is no magic");
    assert!(bad.contains("heartbeat, time"), "{bad}");
}

#[test]
fn an_agent_begins_over_com2_and_moves_in_the_middle_of_a_transfer() {
    const VM: &str = "agent-move";
    let _one = alone();
    let (vm, mut t) = start(VM, "driver=late");
    assert!(until(&vm, &["info"], "by serial", 5).contains("agent:"));
    let much = random(120_000);
    let mut child = spawn(&vm, VM, &["--", "cat"]);
    let (mut stdin, input) = (child.stdin.take().expect("a pipe"), much.clone());
    let feeds = std::thread::spawn(move || stdin.write_all(&input));
    std::thread::sleep(Duration::from_millis(1500));
    t.output("/late");
    until(&vm, &["info"], "by pci", 30);
    let out = child.wait_with_output().expect("it ends");
    feeds.join().expect("it is written").expect("it is written");
    assert!(out.stdout == much, "{} of {} bytes", out.stdout.len(), much.len());
    assert!(out.status.success());
    vm.ctl(["channel", "test", "to-host", "--count", "100"]).expect("it is measured");
}

#[test]
fn an_agent_or_a_machine_that_dies_comes_back() {
    let _one = alone();
    let (mut vm, mut t) = start("agent-dies", "");
    for n in 0..5 {
        let mut busy = busy(&vm, "agent-dies");
        std::thread::sleep(Duration::from_millis(150 + 70 * n));
        t.output("killall -9 heirloom-agent");
        t.output("(heirloom-agent --foreground 2>> /agent.log &)");
        busy.kill().expect("it ran");
        busy.wait().expect("it ends");
        until(&vm, &["channel"], "programs     open", 30);
        let out = vm.ctl(["exec", "--no-input", "--", "echo", "again"]).expect("it answers");
        assert_eq!(out, "again\n");
    }
    drop(t);
    vm.ctl(["reset"]).expect("it is reset");
    until(&vm, &["info"], "no agent", 5);
    let t = prompt(&mut vm, "agent");
    until(&vm, &["info"], "system:", 60);
    drop(t);
    vm.ctl(["power", "restart"]).expect("it has begun");
    let t = prompt(&mut vm, "agent");
    until(&vm, &["info"], "system:", 60);
    drop(t);
    vm.ctl(["power", "shutdown"]).expect("it has begun");
    assert_eq!(vm.wait(60).code(), Some(0), "{}", vm.said());
}

/// How many seconds the guest's clock is ahead of the host's.
fn ahead(vm: &Vm) -> f64 {
    let said = vm.ctl(["exec", "--no-input", "--", "date", "+%s"]).expect("the guest says the time");
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64();
    said.trim().parse::<f64>().expect("seconds") - now
}

#[test]
fn the_guests_clock_is_right_a_second_after_a_pause_and_a_resume() {
    let _one = alone();
    let (mut vm, mut t) = start("agent-clock", "");
    let right = |vm: &Vm, secs: u64, what: &str| {
        let end = Instant::now() + Duration::from_secs(secs);
        while !(-1.2..0.2).contains(&ahead(vm)) {
            assert!(Instant::now() < end, "{what}: {} s", ahead(vm));
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    right(&vm, 15, "at first");
    t.output("date -s @1000000000");
    right(&vm, 15, "after it was set wrong");
    vm.ctl(["pause"]).expect("it pauses");
    std::thread::sleep(Duration::from_secs(4));
    vm.ctl(["resume"]).expect("it goes on");
    right(&vm, 1, "after a pause");
    let state = std::env::temp_dir().join(format!("hl-{}-agent-state", std::process::id()));
    // In the middle of a transfer, whose other end is gone then.
    let mut busy = busy(&vm, "agent-clock");
    std::thread::sleep(Duration::from_millis(200));
    vm.ctl(["save".as_ref(), state.as_os_str()]).expect("it is saved");
    assert_eq!(vm.wait(60).code(), Some(0), "{}", vm.said());
    assert!(!busy.wait().expect("it ends").success());
    drop((t, vm));
    std::thread::sleep(Duration::from_secs(3));
    let mut vm = Vm::start("agent-clock", &args("").with("--resume", &state));
    let t = vm.console();
    until(&vm, &["info"], "by pci", 5);
    right(&vm, 2, "after it was resumed");
    // It is the same agent, and nothing went wrong.
    let metrics = vm.ctl(["metrics"]).expect("counters");
    for want in ["heirloom_channel_faults 0", "heirloom_channel_sessions 0"] {
        assert!(metrics.contains(want), "no {want}");
    }
    let much = random(1 << 20);
    assert!(exec(&vm, "agent-clock", &["--", "cat"], &much).stdout == much);
    drop((t, vm));
    std::fs::remove_file(&state).expect("the state goes");
}

#[test]
fn what_is_missing_is_told() {
    let _one = alone();
    let mut vm = Vm::start("agent-none", &machine("agent"));
    let t = prompt(&mut vm, "agent");
    let no = vm.ctl(["info"]).expect_err("there is no channel");
    assert!(no.contains("--channel on"), "{no}");
    drop((t, vm));
    let mut vm = Vm::start("agent-off", &args("agent=off"));
    let _t = prompt(&mut vm, "agent");
    let none = vm.ctl(["info"]).expect("an answer");
    assert!(none.contains("install Heirloom's guest tools"), "{none}");
    let no = vm.ctl(["exec", "--no-input", "--", "true"]).expect_err("there is no agent");
    assert!(no.contains("no agent runs in the guest"), "{no}");
}
