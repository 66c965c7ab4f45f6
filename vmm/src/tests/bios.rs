//! `--bios`: another BIOS on the board.

use board::{CONFIG_ADDRESS, CONFIG_DATA};
use hv_vcpu::{GuestIo, Width};

use super::{Tape, config, machine, no_ports, print, rom, triple_fault};
use crate::{Choice, ClockKind, Engine, Machine, Outcome, Parts, Ports};

fn build(bios: Option<Vec<u8>>) -> Machine {
    let parts = Parts { memory_mib: 16, engine: Choice::This(Engine::Software), bios, ..Parts::default() };
    let tape = Tape::default();
    let ports = Ports { serial: [Some(Box::new(tape)), None], ..no_ports() };
    Machine::build(&parts, ports).unwrap()
}

/// Each doubleword of the image holds its own offset.
fn numbered(kib: u32) -> Vec<u8> {
    (0..kib << 8).flat_map(|n| (n << 2).to_le_bytes()).collect()
}

fn at(m: &Machine, gpa: u64) -> u32 {
    let mut b = [0; 4];
    m.board.ram.read(gpa, &mut b);
    u32::from_le_bytes(b)
}

#[test]
fn the_image_ends_at_4_gib_and_at_1_mib_whatever_its_size() {
    for kib in [64, 128, 256] {
        let m = build(Some(numbered(kib)));
        let len = kib << 10;
        for end in [1 << 32, 1 << 20] {
            assert_eq!(at(&m, end - 16), len - 16, "{kib} KiB: the reset vector below {end:#x}");
            assert_eq!(at(&m, end - u64::from(len)), 0, "{kib} KiB: its first byte below {end:#x}");
        }
        // 256 KiB of addresses below 4 GiB, 128 below 1 MiB: smaller images repeat.
        assert_eq!(at(&m, 0xfffc_0000), 0);
        assert_eq!(at(&m, 0xfffc_0000 + u64::from(len % (256 << 10))), 0);
        assert_eq!(at(&m, 0xe_0004), if kib == 256 { 0x2_0004 } else { 4 });
        assert_eq!(at(&m, 0xc_0004), if kib == 256 { 4 } else { 0 }, "{kib} KiB: RAM for option ROMs");
    }
}

#[test]
fn pam_shows_ram_or_rom() {
    let mut m = build(Some(numbered(128)));
    let pam = |m: &mut Machine, v| {
        m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 0x8000_0058);
        m.board.pio_write(CONFIG_DATA + 1, Width::Byte, v);
    };
    m.board.ram.write(0xf_0000, &[0x5a]);
    assert_eq!(at(&m, 0xf_0000), 0x1_005a, "RAM");
    pam(&mut m, 0x00);
    assert_eq!(at(&m, 0xf_0000), 0x1_0000, "ROM");
    m.board.ram.write(0xf_0000, &[0xa5]);
    pam(&mut m, 0x10);
    assert_eq!(at(&m, 0xf_0000), 0x1_005a, "RAM, which a write to ROM left alone");
}

#[test]
fn a_reset_brings_the_image_back() {
    // Prints the byte at F000:8000, changes it there and prints it again. The first time (0:0500 is clear) it then
    // resets by CF9h, the second time it crashes.
    let show = [0xba, 0xf8, 0x03, 0xa0, 0x00, 0x80, 0xee]; // mov dx, 3F8h; mov al, [8000h]; out dx, al
    let mut code = Vec::from(print(b':'));
    code.extend([0xb8, 0x00, 0xf0, 0x8e, 0xd8]); // mov ax, F000h; mov ds, ax
    code.extend(show);
    code.extend([0xc6, 0x06, 0x00, 0x80, b'y']); // mov byte [8000h], 'y'
    code.extend(show);
    code.extend([0x31, 0xc0, 0x8e, 0xd8]); // xor ax, ax; mov ds, ax
    code.extend([0xfe, 0x06, 0x00, 0x05]); // inc byte [500h]
    code.extend([0x80, 0x3e, 0x00, 0x05, 0x01]); // cmp byte [500h], 1
    code.extend([0x75, 0x0a]); // jne over
    code.extend([0xba, 0xf9, 0x0c, 0xb0, 0x02, 0xee, 0xb0, 0x06, 0xee, 0xf4]); // CF9h: 2, 6; hlt
    let fault = triple_fault(code.len());
    code.extend(fault);
    let mut image = rom(&code);
    image[0x8000] = b'x';
    let (mut m, tape) = super::machine_with(image, ClockKind::Host);
    assert!(matches!(m.run().unwrap(), Outcome::Crashed { .. }));
    assert_eq!(tape.text(), ":xy:xy");
}

/// What the board does for a BIOS that is not ours stays away from guests of our own.
#[test]
fn with_our_bios_the_chips_are_as_their_datasheets_say() {
    let seen = |m: &mut Machine| {
        let mut sizes = |dev: u32, func: u32, reg: u32| {
            m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 1 << 31 | dev << 11 | func << 8 | reg);
            m.board.pio_write(CONFIG_DATA, Width::Dword, u32::MAX);
            m.board.pio_read(CONFIG_DATA, Width::Dword)
        };
        let (bmiba, expansion_rom) = (sizes(7, 1, 0x20), sizes(8, 0, 0x30));
        [config(m, 0, 0, 0x58) & 0xff00, bmiba, expansion_rom]
    };
    // PAM0, BMIBA of the IDE function, ROM base address of the display card.
    assert_eq!(seen(&mut build(None)), [0, 0xfff1, 0]);
    assert_eq!(seen(&mut build(Some(numbered(64)))), [0x3000, 0xffff_fff1, 0xffff_8001]);
}

#[test]
fn the_video_bios_is_the_cards_expansion_rom() {
    let (mut m, _) = machine(&[0xf4], ClockKind::Host);
    let mut write = |reg: u32, v: u32| {
        m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 1 << 31 | 8 << 11 | reg);
        m.board.pio_write(CONFIG_DATA, Width::Dword, v);
    };
    write(0x30, 0xe000_0001);
    write(0x04, 3);
    assert_eq!(at(&m, 0xe000_0000) & 0xff_ffff, 0x40_aa55, "a ROM of 32 KiB");
    assert_eq!(at(&m, 0xe000_0028), u32::from_le_bytes(*b"PCIR"));
    m.board.ram.write(0xe000_0000, &[0; 4]);
    assert_eq!(at(&m, 0xe000_0000) & 0xffff, 0xaa55, "not to be written");
    let mut write = |reg: u32, v: u32| {
        m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 1 << 31 | 8 << 11 | reg);
        m.board.pio_write(CONFIG_DATA, Width::Dword, v);
    };
    write(0x30, 0xe000_0000);
    assert_ne!(at(&m, 0xe000_0000) & 0xffff, 0xaa55, "disabled");
}

#[test]
fn a_bios_of_a_wrong_size_is_refused_by_name() {
    let parts =
        Parts { bios: Some(vec![0; 1000]), engine: Choice::This(Engine::Software), ..Parts::default() };
    let Err(e) = Machine::build(&parts, no_ports()) else { panic!("1000 bytes are no BIOS") };
    assert!(e.to_string().contains("1000 bytes"), "{e}");
}
