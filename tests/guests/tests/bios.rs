//! SeaBIOS, as Debian ships it for QEMU, in place of our own BIOS.

use std::fs;
use std::path::PathBuf;

use guest_tests::{Args, Vm, alone, folder, guest};

fn seabios(name: &str) -> PathBuf {
    let p = PathBuf::from("/usr/share/seabios").join(name);
    assert!(p.exists(), "{} is missing; run `cargo xtask setup`", p.display());
    p
}

/// A disk whose boot sector prints "sector" on COM1 and halts.
fn disk(test: &str) -> PathBuf {
    let mut d = vec![0; 8 << 20];
    let code = [
        0xfa, 0x31, 0xc0, 0x8e, 0xd8, // cli; xor ax, ax; mov ds, ax
        0xba, 0xfb, 0x03, 0xb0, 0x03, 0xee, // eight bits a character
        0xbe, 0x1b, 0x7c, // mov si, text
        0xba, 0xf8, 0x03, // mov dx, 3F8h
        0xac, 0xee, 0x84, 0xc0, 0x75, 0xfa, // next: lodsb; out dx, al; test al, al; jnz next
        0xf4, 0xeb, 0xfd, // hlt; jmp there
    ];
    d[..code.len()].copy_from_slice(&code);
    d[0x1b..0x21].copy_from_slice(b"sector");
    d[510..512].copy_from_slice(&[0x55, 0xaa]);
    let file = folder(&format!("{test}-disk")).join("disk.img");
    fs::write(&file, d).expect("a disk image");
    file
}

#[test]
fn seabios_boots_a_disk_and_shows_it_on_the_screen() {
    let _one = alone();
    for (test, image) in [("seabios128", "bios.bin"), ("seabios256", "bios-256k.bin")] {
        let args = Args::new(&["--memory", "64"]).with("--bios", seabios(image)).with("--disk", disk(test));
        let mut vm = Vm::start(test, &args);
        let mut t = vm.console();
        t.expect("sector", 120);
        let text = vm.expect_screen("Booting from Hard Disk", 60);
        assert!(text.contains("SeaBIOS (version"), "{text}");
    }
}

#[test]
fn seabios_boots_a_cd_and_linux() {
    let _one = alone();
    let args = Args::new(&["--memory", "128"])
        .with("--bios", seabios("bios-256k.bin"))
        .with("--cdrom", guest("isolinux.iso"));
    let mut vm = Vm::start("seabios-cd", &args);
    let mut t = vm.console();
    t.expect("boot: ", 120);
    // Typed through SeaBIOS's own keyboard driver.
    vm.type_text("linux\\n");
    let log = t.expect("check ends", 400);
    // Without ACPI: docs/design/firmware.md. The drive that it came from is there all the same.
    assert!(log.contains("ATAPI"), "{log}");
}
