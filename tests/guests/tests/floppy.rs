//! Diskettes: Linux's driver, media that change under it, and a boot through the BIOS.

use std::fs;
use std::path::Path;

use guest_tests::{Args, Console, Images, Vm, alone, guest, machine};

const SIZE: usize = 1440 << 10;

/// What `seq 1 N | head -c SIZE` prints.
fn numbers(size: usize) -> Vec<u8> {
    let mut v = Vec::with_capacity(size + 16);
    let mut n = 1;
    while v.len() < size {
        v.extend(format!("{n}\n").bytes());
        n += 1;
    }
    v.truncate(size);
    v
}

fn linux(test: &str, a: &Path, b: impl AsRef<std::ffi::OsStr>) -> (Vm, Console) {
    booted(test, &Args::default().with("--floppy", a).with("--floppy", b))
}

fn booted(test: &str, args: &Args) -> (Vm, Console) {
    let mut vm = Vm::start(test, &machine("floppy").and(args));
    let mut t = vm.console();
    t.expect("heirloom floppy guest ready", 400);
    t.expect("# ", 60);
    (vm, t)
}

fn all_met(vm: &Vm) {
    let unknown = vm.ctl(["unknowns"]).expect("the machine answers");
    assert!(unknown.contains("every access so far met a register"), "{unknown}");
}

#[test]
fn linux_formats_writes_and_reads_back() {
    let _one = alone();
    let images = Images::new("fd-images");
    let (a, b) = (images.make("a.img", &[0; SIZE]), images.make("b.img", &[0; SIZE]));
    let (mut vm, mut t) = linux("floppy", &a, &b);
    let log = t.command("dmesg | grep -i -e floppy -e fdc");
    assert!(log.contains("fd0 is 1.44M, fd1 is 1.44M") && log.contains("FDC 0 is an 82078"), "{log}");
    let made = t.command("/modules/fdformat; echo formatted $?");
    assert!(made.contains("formatted 0"), "{made}");
    assert!(fs::read(&a).expect("the image").iter().all(|b| *b == 0xf6), "each sector is filled");
    t.command(&format!("seq 1 300000 | head -c {SIZE} > /data; dd if=/data of=/dev/fd0 bs=18k; sync"));
    t.command("echo 3 > /proc/sys/vm/drop_caches");
    let same = t.command("cmp /data /dev/fd0 && echo they are equal");
    assert!(same.contains("they are equal"), "{same}");
    t.command("dd if=/dev/fd0 of=/dev/fd1 bs=18k; sync");
    let faults = t.command("echo $(dmesg | grep -ci -e error -e fd[01]: -e timeout) faults");
    assert!(faults.contains("0 faults"), "{faults}\n{}", t.command("dmesg | tail -20"));
    all_met(&vm);
    t.send("poweroff -f\n");
    assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
    let want = numbers(SIZE);
    assert!(fs::read(&a).expect("the image") == want, "drive A: has what was written");
    assert!(fs::read(&b).expect("the image") == want, "drive B: has the copy");
}

#[test]
fn linux_sees_diskettes_change() {
    let _one = alone();
    let images = Images::new("fd-changes");
    let first = images.make("first.img", &[1; SIZE]);
    let small = images.make("small.vfd", &numbers(720 << 10));
    let (vm, mut t) = linux("floppy-change", &first, "none");
    let ctl = |words: &[&str]| vm.ctl(words).expect("the drive takes it");
    assert!(t.command("head -c 3 /dev/fd0 | hexdump -C").contains("01 01 01"));
    // In the first five minutes of its life this driver looks for a change when it reads, not when it opens: the first
    // read fails and tells it.
    let notice =
        |t: &mut Console, dev: &str| drop(t.command(&format!("head -c 3 {dev} 2>/dev/null | hexdump -C")));
    // Half the size, another data rate.
    ctl(&["insert", "a", small.to_str().expect("a path in UTF-8"), "--ro"]);
    notice(&mut t, "/dev/fd0");
    t.command("seq 1 200000 | head -c 737280 > /data");
    let got = t.command("cmp /data /dev/fd0 && echo they are equal");
    assert!(got.contains("they are equal"), "{got}");
    let got = t.command("dd if=/data of=/dev/fd0 bs=9k count=1 2>&1");
    assert!(got.contains("Read-only") || got.contains("not permitted"), "{got}");
    ctl(&["eject", "a"]);
    notice(&mut t, "/dev/fd0");
    let got = t.command("dd if=/dev/fd0 of=/dev/null bs=512 count=1 2>&1");
    assert!(got.contains("No such device"), "{got}");
    ctl(&["insert", "b", first.to_str().expect("a path in UTF-8")]);
    notice(&mut t, "/dev/fd1");
    assert!(t.command("head -c 3 /dev/fd1 | hexdump -C").contains("01 01 01"));
    let told = vm.ctl(["insert", "cdrom", "x.iso"]).expect_err("there is no CD-ROM drive");
    assert!(told.contains("--cdrom none"), "{told}");
    let odd = images.make("odd.img", &[0; 1000 * 512]);
    let told = vm.ctl(["insert", "b", odd.to_str().expect("a path in UTF-8")]).expect_err("no diskette");
    assert!(
        told.contains("odd.img: 512000 bytes are no diskette's") && told.contains("1474560 (1.44M)"),
        "{told}"
    );
    all_met(&vm);
}

#[test]
fn linux_prints() {
    let _one = alone();
    let images = Images::new("lpt");
    let paper = images.make("paper", b"");
    let mut to = std::ffi::OsString::from("file=");
    to.push(&paper);
    let (mut vm, mut t) = booted("printer", &Args::default().with("--parallel", to));
    let log = t.command("dmesg | grep -i -e parport -e lp0");
    assert!(log.contains("parport0: PC-style at 0x378, irq 7 [PCSPP]"), "{log}");
    t.command("seq 1 2000 > /dev/lp0");
    all_met(&vm);
    t.send("poweroff -f\n");
    assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
    let printed = fs::read(&paper).expect("what was printed");
    let want: String = (1..=2000).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&printed), want);
}

/// SYSLINUX by its prompt, then memtest86+ from it.
fn syslinux(test: &str, args: &Args) -> Vm {
    let mut floppy = guest("syslinux.img").into_os_string();
    floppy.push(",ro");
    let args = args.clone().with("--memory", "32").with("--boot", "a").with("--floppy", floppy);
    let mut vm = Vm::start(test, &args);
    let mut t = vm.console();
    t.expect("SYSLINUX", 60);
    t.expect("boot: ", 60);
    vm.type_text("memtest");
    vm.key("ret");
    vm.expect_screen("Memtest86+", 120);
    vm
}

#[test]
fn syslinux_boots_from_a_diskette() {
    let _one = alone();
    let vm = syslinux("syslinux", &Args::default());
    all_met(&vm);
}

/// Another BIOS's own driver for the controller.
#[test]
fn syslinux_boots_from_a_diskette_by_seabios() {
    let _one = alone();
    syslinux("syslinux-sea", &Args::default().with("--bios", "/usr/share/seabios/bios-256k.bin"));
}
