use board::testkit::Bench;
use board::{Reset, Width};

use super::{CONFIG, I440bx, RomPages, rows};

const MIB: u64 = 1 << 20;

/// A 256 KiB ROM of which the last 128 KiB answer at E0000h and the first 32 KiB at C0000h. Each page begins with
/// its own number.
fn bench() -> Bench<I440bx> {
    Bench::with_ram(|_, ram| {
        let rom = ram.allocate(0x4_0000, false);
        let at = ram.extent(rom).start;
        for page in 0..64u32 {
            ram.arena().copy_in(at + page * 0x1000, &[page as u8]);
        }
        I440bx::new(
            rom,
            vec![
                RomPages { pages: 0xc0..=0xc7, offset: 0 },
                RomPages { pages: 0xe0..=0xff, offset: 0x2_0000 },
            ],
        )
    })
}

fn pam(b: &mut Bench<I440bx>, reg: u8, v: u8) {
    b.cfg_write(CONFIG, reg, Width::B, u32::from(v));
}

#[test]
fn the_header_is_a_440bx_without_agp() {
    let mut b = bench();
    assert_eq!(b.cfg_read(CONFIG, 0x00, Width::D), 0x7192_8086);
    assert_eq!(b.cfg_read(CONFIG, 0x04, Width::D), 0x0200_0006);
    assert_eq!(b.cfg_read(CONFIG, 0x08, Width::D), 0x0600_0003);
    assert_eq!(b.cfg_read(CONFIG, 0x34, Width::D), 0);
    assert_eq!(b.cfg_read(CONFIG, 0xf8, Width::D), 0x0000_0f20);
    b.cfg_write(CONFIG, 0x04, Width::W, 0);
    assert_eq!(b.cfg_read(CONFIG, 0x04, Width::W), 6, "memory and master are fixed on");
    b.cfg_write(CONFIG, 0x10, Width::D, 0xffff_ffff);
    assert_eq!(b.cfg_read(CONFIG, 0x10, Width::D), 0, "no aperture");
}

#[test]
fn after_reset_the_rom_answers_and_writes_are_lost() {
    let mut b = bench();
    assert_eq!(b.read8(0xf_0000), 48);
    assert_eq!(b.read8(0xf_f000), 63);
    assert_eq!(b.read8(0xe_0000), 32);
    assert_eq!(b.read8(0xc_1000), 1);
    assert_eq!(b.read8(0xc_8000), 0xff, "nobody there");
    b.write8(0xf_0000, 0x77);
    assert_eq!(b.read8(0xf_0000), 48);
}

#[test]
fn the_bios_copies_itself_patches_and_locks() {
    let mut b = bench();
    pam(&mut b, 0x59, 0x20); // read ROM, write RAM
    let v = b.read8(0xf_5000);
    b.write8(0xf_5000, v);
    assert_eq!(b.read8(0xf_5000), 53, "still the ROM");
    pam(&mut b, 0x59, 0x30);
    assert_eq!(b.read8(0xf_5000), 53, "now the copy");
    assert_eq!(b.read8(0xf_6000), 0, "not copied");
    b.write8(0xf_6000, 0x12);
    pam(&mut b, 0x59, 0x10);
    b.write8(0xf_6000, 0x34);
    assert_eq!(b.read8(0xf_6000), 0x12, "locked");
    pam(&mut b, 0x59, 0x00);
    assert_eq!(b.read8(0xf_6000), 54, "the ROM is what it was");
}

#[test]
fn each_nibble_rules_its_own_16_kib() {
    let parts: [(u8, u8, u32); 13] = [
        (0x59, 0x30, 0xf_0000),
        (0x5a, 0x03, 0xc_0000),
        (0x5a, 0x30, 0xc_4000),
        (0x5b, 0x03, 0xc_8000),
        (0x5b, 0x30, 0xc_c000),
        (0x5c, 0x03, 0xd_0000),
        (0x5c, 0x30, 0xd_4000),
        (0x5d, 0x03, 0xd_8000),
        (0x5d, 0x30, 0xd_c000),
        (0x5e, 0x03, 0xe_0000),
        (0x5e, 0x30, 0xe_4000),
        (0x5f, 0x03, 0xe_8000),
        (0x5f, 0x30, 0xe_c000),
    ];
    for (reg, on, at) in parts {
        let mut b = bench();
        pam(&mut b, reg, on);
        for (.., other) in parts {
            b.write8(other + 0x10, 0xa5);
            let got = b.read8(other + 0x10);
            assert_eq!(got == 0xa5, other == at, "{reg:02x}={on:02x} at {other:x}");
        }
    }
}

#[test]
fn pam_bits_that_do_not_exist_read_zero() {
    let mut b = bench();
    b.cfg_write(CONFIG, 0x58, Width::D, 0xffff_ffff);
    assert_eq!(b.cfg_read(CONFIG, 0x58, Width::D), 0x7777_70ff);
}

#[test]
fn smram_opens_over_the_display_and_locks_shut() {
    let mut b = bench();
    assert_eq!(b.cfg_read(CONFIG, 0x72, Width::B), 0x02);
    assert_eq!(b.read8(0xa_0000), 0xff);
    b.cfg_write(CONFIG, 0x72, Width::B, 0x4a);
    b.write8(0xa_0000, 0x5a);
    assert_eq!(b.read8(0xa_0000), 0x5a);
    b.cfg_write(CONFIG, 0x72, Width::B, 0x1a);
    assert_eq!(b.read8(0xa_0000), 0xff);
    b.cfg_write(CONFIG, 0x72, Width::B, 0x4a);
    assert_eq!(b.cfg_read(CONFIG, 0x72, Width::B), 0x1a, "locked: no D_OPEN, D_LCK stays");
    b.cfg_write(CONFIG, 0x73, Width::B, 0x87);
    assert_eq!(b.cfg_read(CONFIG, 0x73, Width::B), 0x38, "ESMRAMC is locked too");
    b.reset(Reset::Hard);
    assert_eq!(b.cfg_read(CONFIG, 0x72, Width::B), 0x02);
}

#[test]
fn opening_and_locking_in_one_write_stays_shut() {
    let mut b = bench();
    b.cfg_write(CONFIG, 0x72, Width::B, 0x5a);
    assert_eq!(b.cfg_read(CONFIG, 0x72, Width::B), 0x1a);
    assert_eq!(b.read8(0xa_0000), 0xff);
}

#[test]
fn row_boundaries_add_up_to_the_memory() {
    let mut b = bench();
    assert_eq!(b.cfg_read(CONFIG, 0x60, Width::D), 0x0202_0202, "16 MiB in one row");
    assert_eq!(b.cfg_read(CONFIG, 0x64, Width::D), 0x0202_0202);
    assert_eq!(rows(256 * MIB), [16, 32, 32, 32, 32, 32, 32, 32]);
    assert_eq!(rows(1024 * MIB), [16, 32, 48, 64, 80, 96, 112, 128]);
    assert_eq!(rows(3712 * MIB)[7], 0xff);
}

#[test]
fn drb_is_what_the_bios_writes() {
    let mut b = bench();
    b.cfg_write(CONFIG, 0x67, Width::B, 0x20);
    assert_eq!(b.cfg_read(CONFIG, 0x67, Width::B), 0x20);
}

#[test]
fn errors_never_rise_and_scratch_keeps() {
    let mut b = bench();
    b.cfg_write(CONFIG, 0x80, Width::D, 0xffff_ffff);
    b.cfg_write(CONFIG, 0x90, Width::D, 0xffff_ff13);
    assert_eq!(b.cfg_read(CONFIG, 0x80, Width::D), 0);
    assert_eq!(b.cfg_read(CONFIG, 0x90, Width::D), 0x13);
    b.cfg_write(CONFIG, 0xd4, Width::D, 0xdead_beef);
    assert_eq!(b.cfg_read(CONFIG, 0xd4, Width::D), 0xdead_beef);
    b.cfg_write(CONFIG, 0xa0, Width::D, 0xffff_ffff);
    assert_eq!(b.cfg_read(CONFIG, 0xa0, Width::D), 0);
    assert_eq!(b.cfg_read(CONFIG, 0x50, Width::W) & 0x180, 0, "no ECC");
    b.cfg_write(CONFIG, 0x7a, Width::B, 0);
    assert_eq!(b.cfg_read(CONFIG, 0x7a, Width::B), 0x0a, "straps");
}

#[test]
fn subsystem_ids_take_one_write() {
    let mut b = bench();
    b.cfg_write(CONFIG, 0x2c, Width::W, 0x1414);
    b.cfg_write(CONFIG, 0x2e, Width::W, 0x5678);
    b.cfg_write(CONFIG, 0x2c, Width::D, 0x1111_1111);
    assert_eq!(b.cfg_read(CONFIG, 0x2c, Width::D), 0x5678_1414);
}

#[test]
fn state_survives_with_the_map() {
    let mut b = bench();
    pam(&mut b, 0x5a, 0x33);
    b.write8(0xc_0000, 0x99);
    b.cfg_write(CONFIG, 0x72, Width::B, 0x4a);
    b.write8(0xb_8000, 0x41);
    b.save_and_load();
    assert_eq!(b.read8(0xc_0000), 0x99);
    assert_eq!(b.read8(0xb_8000), 0x41);
    assert_eq!(b.read8(0xf_0000), 48);
}
