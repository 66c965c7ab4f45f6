//! The Debian VHD from power-on through GRUB to a login, and off again.

use std::fs;
use std::os::unix::fs::MetadataExt;

use guest_tests::{Args, Vm, alone, folder, guest};

#[test]
fn debian_boots_from_its_vhd_logs_in_and_powers_off() {
    let _one = alone();
    let disk = folder("debian-disk").join("debian.vhd");
    fs::copy(guest("debian.vhd"), &disk).expect("a copy of the disk: the cached guest stays as it was made");
    let with = format!("{},discard=unmap", disk.display());
    let mut vm = Vm::start("debian", &Args::new(&["--memory", "256"]).with("--disk", with));
    let mut t = vm.console();
    t.expect("login:", 600);
    println!("debian: login prompt after {:.1} s", vm.elapsed().as_secs_f64());
    t.send("root\n");
    t.expect("assword:", 60);
    t.send("heirloom\n");
    t.expect("# ", 60);
    let uname = t.command("uname -a");
    assert!(uname.contains("i686"), "{uname}");
    let lspci = t.command("lspci");
    for chip in ["440BX", "82371AB/EB/MB PIIX4", "Trio"] {
        assert!(lspci.contains(chip), "no {chip} in\n{lspci}");
    }
    // What is written stays: through the page cache, the IDE chip and the VHD.
    t.command("date > /root/was-here; sync");
    // What its file system frees is freed on the host.
    let taken = || disk.metadata().expect("the disk").blocks() * 512;
    t.command("head -c 48M /dev/urandom > /root/big; sync");
    let before = taken();
    let trimmed = t.command("rm /root/big; sync; fstrim -v /");
    assert!(trimmed.contains("trimmed"), "{trimmed}");
    assert!(taken() + (40 << 20) < before, "{} of {before}, {trimmed}", taken());
    t.send("poweroff\n");
    assert_eq!(vm.wait(180).code(), Some(0), "{}", vm.said());
    drop(vm);
    let _ = fs::remove_file(disk);
}
