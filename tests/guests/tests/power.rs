//! Power button, sleep, reboot, the clock's alarm and the SMBus, by Debian's kernel.

use std::ffi::OsStr;
use std::fs;
use std::time::{Duration, Instant};

use guest_tests::{Args, Console, Vm, alone, folder, guest};

fn args(append: &str) -> Args {
    Args::new(&["--memory", "192"])
        .with("--kernel", guest("power/vmlinuz"))
        .with("--initrd", guest("power/initrd.gz"))
        .with("--append", format!("console=ttyS0 no_console_suspend {append}"))
}

fn ready(t: &mut Console) {
    t.expect("heirloom power guest ready", 400);
    t.expect("# ", 60);
}

fn booted(test: &str, args: &Args) -> (Vm, Console) {
    let mut vm = Vm::start(test, args);
    let mut t = vm.console();
    ready(&mut t);
    (vm, t)
}

fn linux(test: &str, append: &str) -> (Vm, Console) {
    booted(test, &args(append))
}

fn ctl<S: AsRef<OsStr>>(vm: &Vm, words: &[S]) -> String {
    vm.ctl(words).expect("the machine does it")
}

fn all_met(vm: &Vm) {
    let unknown = ctl(vm, &["unknowns"]);
    assert!(unknown.contains("every access so far met a register"), "{unknown}");
}

fn off(mut vm: Vm, t: &mut Console) {
    all_met(&vm);
    t.send("poweroff -f\n");
    assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
}

/// Waits until the machine is in S1.
fn asleep(vm: &Vm) {
    let end = Instant::now() + Duration::from_secs(120);
    while !ctl(vm, &["status", "--json"]).contains("\"asleep\": true") {
        assert!(Instant::now() < end, "the guest does not go to sleep");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn linux_finds_no_fault_in_the_acpi_tables() {
    let _one = alone();
    let (vm, mut t) = linux("power-acpi", "");
    let log = t.output("dmesg | grep -i -e acpi -e bios -e rtc -e piix");
    for want in [
        "ACPI: PM: (supports S0 S1 S4 S5)",
        "ACPI: button: Power Button [PWRF]",
        "rtc_cmos 00:00: registered as rtc0",
        "rtc_cmos 00:00: alarms up to one day",
    ] {
        assert!(log.contains(want), "{want:?} is not in\n{log}");
    }
    let log = t.output("dmesg -r 2>/dev/null | grep '^<[0-3]>' ; dmesg | grep -i -e 'acpi.*\\(error\\|warn\\|fail\\)' -e 'bios bug' -e 'firmware bug' | grep -v MMCONFIG; echo looked");
    // There is no machine check unit, which this kernel takes amiss.
    let faults: Vec<&str> = log.lines().filter(|l| !l.contains("MCE device") && *l != "looked").collect();
    assert!(log.contains("MCE device") && faults.is_empty(), "{log}");
    off(vm, &mut t);
}

#[test]
fn the_power_button_shuts_linux_down() {
    let _one = alone();
    let (mut vm, mut t) = linux("power-button", "acpid=1");
    all_met(&vm);
    assert!(ctl(&vm, &["status"]).contains("ACPI on"));
    let told = ctl(&vm, &["shutdown", "--timeout", "60", "--json"]);
    assert!(told.contains("\"pressed\": true") && told.contains("\"off\": true"), "{told}");
    t.expect("the power button", 10);
    assert_eq!(vm.wait(10).code(), Some(0), "{}", vm.said());
}

#[test]
fn a_power_button_that_nobody_acts_on_is_told_apart() {
    let _one = alone();
    // The driver takes the press, and nobody reads its events.
    let (vm, mut t) = linux("power-deaf", "");
    let late = vm.ctl(["shutdown", "--timeout", "2"]).expect_err("nobody acts on it");
    assert!(late.contains("not off after 2 s: it took the power button"), "{late}");
    assert!(t.output("grep -w acpi /proc/interrupts").trim_start().starts_with("9:          1"));
    // Nobody listens at all: said at once, and the button is left alone.
    t.output("rmmod button");
    let deaf = vm.ctl(["shutdown", "--timeout", "60"]).expect_err("nobody listens");
    assert!(deaf.contains("does not listen to the power button"), "{deaf}");
    ctl(&vm, &["pause"]);
    let paused = vm.ctl(["shutdown"]).expect_err("it is paused");
    assert!(paused.contains("paused") && paused.contains("resume"), "{paused}");
    ctl(&vm, &["resume"]);
    let events = ctl(&vm, &["events"]);
    let of_the_button: Vec<&str> =
        events.lines().filter_map(|l| l.split_once(" power-button").map(|(_, rest)| rest)).collect();
    assert_eq!(
        of_the_button,
        [" result=\"told\"", "-taken", " result=\"deaf\"", " result=\"paused\""],
        "{events}"
    );
    off(vm, &mut t);
}

#[test]
fn without_acpi_the_button_is_held() {
    let _one = alone();
    let (mut vm, _t) = linux("power-noacpi", "acpi=off");
    let told = vm.ctl(["shutdown", "--json"]).expect_err("ACPI is off");
    assert!(told.is_empty(), "JSON goes to standard output: {told}");
    let told = vm.ctl(["shutdown"]).expect_err("ACPI is off");
    assert!(told.contains("has not switched ACPI on") && told.contains("poweroff"), "{told}");
    all_met(&vm);
    ctl(&vm, &["shutdown", "--hold", "--timeout", "60"]);
    assert_eq!(vm.wait(10).code(), Some(0), "{}", vm.said());
}

#[test]
fn linux_reboots_in_each_way_that_a_pc_has() {
    let _one = alone();
    let (mut vm, mut t) = linux("reboot", "");
    // Keyboard controller, ACPI (which falls back on it: ACPI 1.0 has no reset register), CF9h, a triple fault with the
    // warm boot word, which is how those ask for a reset that mean one.
    for way in ["kbd", "acpi", "pci", "triple"] {
        t.output(&format!("echo {way} > /sys/kernel/reboot/type; echo warm > /sys/kernel/reboot/mode"));
        all_met(&vm);
        t.send("reboot -f\n");
        ready(&mut t);
    }
    ctl(&vm, &["reset"]);
    ready(&mut t);
    all_met(&vm);
    let events = ctl(&vm, &["events"]);
    let resets: Vec<&str> =
        events.lines().filter_map(|l| l.split_once(" reset by=")).map(|(_, by)| by).collect();
    assert_eq!(resets, ["\"guest\"", "\"guest\"", "\"guest\"", "\"guest\"", "\"user\""], "{events}");
    // One without is a crash.
    t.output("echo triple > /sys/kernel/reboot/type; echo cold > /sys/kernel/reboot/mode");
    t.send("reboot -f\n");
    assert_eq!(vm.wait(120).code(), Some(3), "{}", vm.said());
    assert!(vm.said().contains("triple fault at CS:EIP"), "{}", vm.said());
}

/// Linux takes the keyboard's wake-up back that an XT-PIC never gave, and says so; that is its own doing.
const NO_KEYBOARD: &str = "echo disabled > /sys/devices/platform/i8042/serio0/power/wakeup";

#[test]
fn the_clock_and_the_power_button_wake_linux_from_s1() {
    let _one = alone();
    let (vm, mut t) = linux("s1", "");
    t.output(NO_KEYBOARD);
    t.send("/modules/power wake 5; echo standby > /sys/power/state; echo aw\"\"ake $?\n");
    asleep(&vm);
    let stands = ctl(&vm, &["status", "--json"]);
    t.expect("Waking up from system sleep state S1", 60);
    t.expect("awake 0", 60);
    assert!(stands.contains("\"halted\": "), "{stands}");
    // The clock went on.
    let slept = t.output("dmesg | grep -e 'Disabling non-boot' -e 'Restoring platform' | tail -2");
    let at: Vec<f64> = slept
        .lines()
        .filter_map(|l| l.trim().strip_prefix('[')?.split(']').next()?.trim().parse().ok())
        .collect();
    assert!(at.len() == 2 && at[1] - at[0] > 1.0 && at[1] - at[0] < 5.5, "{slept}");
    t.send("echo standby > /sys/power/state; echo aw\"\"ake $?\n");
    asleep(&vm);
    ctl(&vm, &["shutdown"]);
    t.expect("awake 0", 60);
    let log = t.output("dmesg | grep -i -e 'call trace' -e error -e fail | grep -v MMCONFIG; echo looked");
    assert_eq!(log, "looked");
    let events = ctl(&vm, &["events"]);
    let all = events.lines().filter_map(|l| l.split(' ').nth(1));
    let slept: Vec<&str> = all.filter(|e| ["asleep", "awake"].contains(e)).collect();
    assert_eq!(slept, ["asleep", "awake", "asleep", "awake"], "{events}");
    // And all is well: time, keyboard, SMBus.
    assert!(t.output("i2cget -y 0 0x50 2").contains("0x04"));
    off(vm, &mut t);
}

#[test]
fn linux_hibernates_to_its_disk_and_goes_on() {
    let _one = alone();
    let disk = folder("s4-disk").join("disk.img");
    fs::File::create(&disk).and_then(|f| f.set_len(256 << 20)).expect("a disk image");
    let with = |append| args(append).with("--disk", &disk);
    let (mut vm, mut t) = booted("s4", &with(""));
    t.output("mkswap /dev/sda; swapon /dev/sda; echo 8:0 > /sys/power/resume; echo this > /tmp/kept");
    t.output(NO_KEYBOARD);
    all_met(&vm);
    // By ACPI's S4, which is the default where there is one.
    t.send("cat /sys/power/disk; echo disk > /sys/power/state; echo res\"\"umed $? $(cat /tmp/kept)\n");
    t.expect("[platform]", 60);
    assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
    drop(vm);
    let mut vm = Vm::start("s4", &with("resume=1"));
    let mut t = vm.console();
    t.expect("Waking up from system sleep state S4", 400);
    t.expect("resumed 0 this", 60);
    off(vm, &mut t);
    let _ = fs::remove_file(disk);
}

#[test]
fn the_clock_interrupts_as_programs_ask() {
    let _one = alone();
    let (vm, mut t) = linux("rtc", "");
    let irqs = |t: &mut Console| -> u32 {
        let line = t.output("grep rtc0 /proc/interrupts");
        line.split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok())
            .unwrap_or_else(|| panic!("the interrupts of IRQ 8 are not in {line:?}"))
    };
    // AF, UF and PF beside IRQF. This kernel makes updates of alarms, and periods of a timer of its own.
    let before = irqs(&mut t);
    assert!(t.output("/modules/power aie 2").contains("interrupts 1 kinds 160"));
    assert!(t.output("/modules/power uie 3").contains("interrupts 3 kinds 144"));
    assert!(t.output("/modules/power pie 64 64").contains("interrupts 64 kinds 192"));
    let came = irqs(&mut t) - before;
    assert!((4..=6).contains(&came), "{came} interrupts on IRQ 8");
    // The chip's own time and the kernel's run alike.
    let drift = t.output("a=$(cat /sys/class/rtc/rtc0/since_epoch); b=$(date +%s); echo drift $((a-b))");
    assert!(["drift 0", "drift -1", "drift 1"].contains(&drift.as_str()), "{drift}");
    off(vm, &mut t);
}

#[test]
fn linux_reads_the_memory_module_over_the_smbus() {
    let _one = alone();
    // 192 MiB are 128 and 64.
    let (vm, mut t) = linux("smbus", "");
    let found = t.output("i2cdetect -l; i2cdetect -y 0");
    assert!(found.contains("SMBus PIIX4 adapter at 0450"), "{found}");
    let there: Vec<&str> = found
        .lines()
        .filter(|l| l.len() > 3 && l.as_bytes()[2] == b':')
        .flat_map(|l| l.split_whitespace().skip(1).filter(|w| *w != "--"))
        .collect();
    assert_eq!(there, ["50", "51"], "{found}");
    // Quick writes find the same.
    let quick = t.output("i2cdetect -y -q 0 | grep -c -e '5[01]'");
    assert!(quick.trim() != "0", "{quick}");
    for (at, byte, want) in [("0x50", "0x02", "0x04"), ("0x50", "0x1f", "0x20"), ("0x51", "0x1f", "0x10")] {
        let got = t.output(&format!("i2cget -y 0 {at} {byte}"));
        assert!(got.contains(want), "{at} {byte}: {got}");
    }
    // Word by word as byte by byte.
    let words = t.output("i2cget -y 0 0x50 3 w");
    assert!(words.contains("0x0a0c"), "{words}");
    let dump = t.output("i2cdump -y 0 0x50 b");
    assert!(dump.contains("HEIRLOO") && dump.contains("M-128"), "{dump}");
    let written = t.output("i2cset -y 0 0x50 2 0xff; echo ended $?; i2cget -y 0 0x50 2");
    assert!(!written.contains("ended 0") && written.contains("0x04"), "write protected: {written}");
    let absent = t.output("i2cget -y 0 0x2d 0; echo ended $?");
    assert!(!absent.contains("ended 0"), "{absent}");
    off(vm, &mut t);
}
