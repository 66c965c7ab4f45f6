//! Boot loaders and tools as their packages ship them, on screen and keyboard.

use guest_tests::{Args, Vm, alone, guest, the_same};

fn cd(name: &str) -> Args {
    Args::new(&["--memory", "64"]).with("--cdrom", guest(name))
}

#[test]
fn grub_rescue_cd_takes_commands() {
    let _one = alone();
    let mut vm = Vm::start("grub", &cd("grub.iso"));
    vm.expect_screen("GNU GRUB  version 2", 120);
    vm.type_text("c");
    vm.expect_screen("grub> ", 60);
    vm.type_text("echo 'The {quick} [brown] fox|'; ls\\n");
    let text = vm.expect_screen("(cd", 60);
    assert!(text.contains("\nThe {quick} [brown] fox|"), "{text}");
}

#[test]
fn isolinux_takes_a_label_and_boots_linux() {
    let _one = alone();
    let args = Args::new(&["--memory", "128"]).with("--cdrom", guest("isolinux.iso"));
    let mut vm = Vm::start("isolinux", &args);
    let mut t = vm.console();
    t.expect("boot: ", 120);
    // Typed on the PS/2 keyboard; ISOLINUX echoes on the serial port too.
    vm.type_text("linux");
    t.expect("linux", 60);
    vm.key("ret");
    let log = t.expect("check ends", 400);
    // The drive that it came from, seen by the kernel's driver.
    assert!(log.contains("ATAPI"), "{log}");
    assert_eq!(vm.wait(60).code(), Some(0), "{}", vm.said());
}

#[test]
fn ipxe_gives_its_command_line() {
    let _one = alone();
    let mut vm = Vm::start("ipxe", &cd("ipxe.iso"));
    vm.expect_screen("Press Ctrl-B for the iPXE command line", 120);
    vm.key("ctrl-b");
    vm.expect_screen("iPXE>", 60);
    vm.type_text("echo a&b#c\\n");
    vm.expect_screen("\na&b#c", 60);
}

/// Its tests for 60 s by its own clock.
#[test]
fn memtest_finds_no_errors() {
    let _one = alone();
    let mut vm = Vm::start("memtest", &Args::new(&["--memory", "16"]).with("--cdrom", guest("memtest.iso")));
    vm.expect_screen("Status: Testing", 120);
    let text = vm.expect_screen("Time:  0:01:", 400);
    assert!(text.lines().any(|l| l.ends_with("Errors: 0")), "{text}");
    let passed = text.lines().find(|l| l.contains("Errors:")).unwrap_or_default();
    println!("memtest86+: {}", passed.trim());
}

/// What a medium shows after so many seconds of guest time, with translated code and without it. Returns it.
fn repeats(name: &str, secs: &str, shows: &[&str]) -> String {
    let _one = alone();
    let args = Args::new(&["--memory", "16", "--stop-after", secs]).with("--cdrom", guest(name));
    let test = format!("repeat-{}", name.trim_end_matches(".iso"));
    let text = the_same(&test, &["software", "software,jit=off", "software,views=off"], &args).text();
    for want in shows {
        assert!(text.contains(want), "{want:?} is not on the screen:\n{text}");
    }
    text
}

/// 4 thousand million instructions, most of them tests of memory.
#[test]
fn memtest_repeats_on_the_instruction_clock() {
    let text = repeats("memtest.iso", "40", &["Memtest86+ v", "Time:  0:00:3", "Errors: 0"]);
    // It measures the TSC by the 8254 and cuts what is behind the point: a tick of the 8254 more or less decides.
    assert!(["1799MHz", "1800MHz"].iter().any(|mhz| text.contains(&format!("CLK/Temp: {mhz}"))), "{text}");
}

/// Its menu counts down meanwhile, by the BIOS's clock.
#[test]
fn grub_repeats_on_the_instruction_clock() {
    repeats("grub.iso", "10", &["GNU GRUB  version 2", "executed automatically in 2"]);
}

#[test]
fn ipxe_repeats_on_the_instruction_clock() {
    repeats("ipxe.iso", "10", &["Open Source Network Boot Firmware", "using ds21140 on 0000:00:0a.0"]);
}
