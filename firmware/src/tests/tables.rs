use std::process::Command;

use crate::acpi::{self, Legacy};
use crate::config::Config;
use crate::rom::{IMAGE, Rom, SYSTEM, VIDEO_BYTES, checksum, tables};
use crate::smbios;
use crate::wiring;

#[test]
fn image_is_whole() {
    let rom = Rom::assemble().unwrap();
    assert_eq!(rom.image.len(), IMAGE);
    assert_eq!(checksum(&rom.image[..VIDEO_BYTES]), 0);
    let f = &rom.image[SYSTEM..];
    assert_eq!(checksum(f), 0);
    assert_eq!(f[0xfff0..0xfff5], [0xea, 0x5b, 0xe0, 0x00, 0xf0]);
    assert_eq!(&f[0xfff5..0xfffd], b"02/22/06");
    assert_eq!(f[0xfffe], 0xfc);
    assert_eq!(f[0xff53], 0xcf);
    // The configuration table says its own size.
    assert_eq!(f[0xe6f5..0xe6f9], [8, 0, 0xfc, 1]);
}

#[test]
fn kernel_is_the_same_in_both_roms() {
    let rom = Rom::assemble().unwrap();
    let k = rom.kernel.code.len();
    assert_eq!(rom.image[0x4000..0x4000 + k], rom.image[SYSTEM + 0x4000..SYSTEM + 0x4000 + k]);
}

#[test]
fn directory_and_routing_table_sum_to_zero() {
    let rom = Rom::assemble().unwrap();
    let f = &rom.image[SYSTEM..];
    let b = &f[usize::from(tables::BIOS32)..][..16];
    assert_eq!((&b[..4], checksum(b)), (&b"_32_"[..], 0));
    let p = tables::pir();
    assert_eq!((checksum(&p), p.len() % 16), (0, 0));
    assert_eq!(usize::from(u16::from_le_bytes([p[6], p[7]])), p.len());
    // Every link is one of the router's registers.
    for e in p[32..].chunks(16) {
        assert!((0..4).all(|pin| (0x60..0x64).contains(&e[2 + 3 * pin])));
    }
}

/// The PIIX4's functions are wired to PIRQD# inside.
#[test]
fn wiring_agrees_with_the_piix4() {
    assert_eq!(wiring::pirq(7, 3), 3);
    for irq in wiring::PIRQ_IRQ {
        assert_ne!(wiring::PIRQ_CHOICE >> irq & 1, 0);
    }
}

const ALL: Legacy = Legacy { com: 2, lpt: 1, floppy: true };

#[test]
fn the_dsdt_lists_only_what_is_there() {
    let lists = |has: Legacy, name: &[u8]| acpi::dsdt(0x1000_0000, has).windows(4).any(|w| w == name);
    for name in [b"FDC0", b"UAR1", b"UAR2", b"LPT1"] {
        assert!(lists(ALL, name) && !lists(Legacy::default(), name), "{}", String::from_utf8_lossy(name));
    }
    assert!(!lists(Legacy { floppy: false, ..ALL }, b"FDC0"));
}

#[test]
fn acpi_tables_sum_to_zero() {
    for has in [Legacy::default(), ALL] {
        let d = acpi::dsdt(0x1000_0000, has);
        assert_eq!((checksum(&d), d[8]), (0, 1));
    }
    let f = acpi::fadt(0x0fff_f000, 0x0fff_0100);
    assert_eq!((f.len(), checksum(&f), f[8]), (116, 0, 1));
}

/// ACPI's own compiler takes both tables apart and puts them together again. Of what it warns two are the price of ACPI
/// 1.0, whose systems want them: Processor (3168), and a root bridge with _HID and _ADR (3073).
#[test]
fn iasl_finds_no_fault() {
    if Command::new("iasl").arg("-v").output().is_err() {
        println!("skipped: iasl (package acpica-tools) is not installed");
        return;
    }
    let dir = std::env::temp_dir().join(format!("heirloom-iasl-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let run = |args: &[&str]| {
        let out = Command::new("iasl").args(args).current_dir(&dir).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{text}");
        text
    };
    for (name, table, allowed) in [
        ("dsdt", acpi::dsdt(0x1000_0000, ALL), &["3168", "3073"][..]),
        ("facp", acpi::fadt(0x0fff_f000, 0x0fff_0100), &[]),
    ] {
        std::fs::write(dir.join(format!("{name}.aml")), table).unwrap();
        run(&["-d", &format!("{name}.aml")]);
        let text = run(&["-p", "again", &format!("{name}.dsl")]);
        let found: Vec<&str> = text
            .lines()
            .filter_map(|l| {
                l.strip_prefix("Warning").or_else(|| l.strip_prefix("Error"))?.split_whitespace().next()
            })
            .collect();
        assert!(text.contains(" 0 Errors") && found == allowed, "{text}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn smbios_structures_end_where_they_say() {
    let c = Config { uuid: *b"0123456789abcdef", ..Config::default() };
    let (t, count, largest) = smbios::structures(&c);
    let (mut at, mut n, mut types) = (0, 0, Vec::new());
    while at < t.len() {
        types.push(t[at]);
        let start = at;
        at += usize::from(t[at + 1]);
        while t[at] != 0 || t[at + 1] != 0 {
            at += 1;
        }
        at += 2;
        n += 1;
        assert!(at - start <= usize::from(largest));
    }
    assert_eq!((at, n, types.last()), (t.len(), count, Some(&127)));
    assert!(t.windows(8).any(|w| w == b"VS2005R2"));
    // Type 1's UUID: the first three fields turned.
    assert!(t.windows(16).any(|w| w == b"3210547689abcdef"));
    let e = smbios::entry(0xf_8000, t.len() as u16, count, largest);
    assert_eq!((checksum(&e), checksum(&e[0x10..])), (0, 0));
}

/// Memory devices (17): how large. Their mapped addresses (20): from where to where.
fn memory(c: &Config) -> (Vec<u16>, Vec<(u32, u32)>) {
    let (t, ..) = smbios::structures(c);
    let (mut at, mut sizes, mut places) = (0, Vec::new(), Vec::new());
    let word = |at: usize| u16::from_le_bytes([t[at], t[at + 1]]);
    let dword = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;
    while at < t.len() {
        match t[at] {
            17 => sizes.push(word(at + 0x0c)),
            20 => places.push((dword(at + 4), dword(at + 8))),
            _ => {}
        }
        at += usize::from(t[at + 1]);
        at += t[at..].windows(2).position(|w| w == [0, 0]).unwrap() + 2;
    }
    (sizes, places)
}

#[test]
fn smbios_lists_the_memory_modules_that_add_up() {
    let c =
        |modules: &[u64]| Config { ram_bytes: 192 << 20, modules_mib: modules.to_vec(), ..Config::default() };
    let (kb128, kb192) = (128 << 10, 192 << 10);
    assert_eq!(memory(&c(&[128, 64])), (vec![128, 64], vec![(0, kb128 - 1), (kb128, kb192 - 1)]));
    assert_eq!(memory(&c(&[128])), (vec![192], vec![(0, kb192 - 1)]));
}
