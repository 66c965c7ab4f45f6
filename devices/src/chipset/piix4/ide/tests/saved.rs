use board::{Device, StateIn, StateOut};

use super::{BMBA, CONFIG, IRQ14, IRQ15, Ide, P, S, SECTORS, cd, disk};

#[test]
fn registers_and_windows_survive() {
    let mut i = Ide::with([disk(SECTORS), None, cd(), None]);
    i.out8(P + 1, 0x03);
    i.out8(P + 2, 0x21);
    i.out8(P + 7, 0xef);
    i.out8(P + 2, 16);
    i.out8(P + 7, 0xc6);
    i.b.out32(BMBA + 4, 0x1234_5678);
    i.out8(BMBA + 2, 0x20);
    i.b.save_and_load();
    assert_eq!(i.b.in32(BMBA + 4), 0x1234_5678);
    assert!(i.irq(IRQ14), "the unacknowledged request is back");
    let id = i.identify(P, 0xec);
    assert_eq!((id[63], id[88], id[59]), (0x0207, 0x0007, 0x0110));
}

#[test]
fn a_pio_read_goes_on_where_it_was() {
    let mut i = Ide::one_disk();
    i.lba_command(P, 4, 2, 0x20);
    let mut got = i.read_words(P, 300);
    i.b.save_and_load();
    got.extend(i.read_words(P, 212));
    assert_eq!(got, i.images[0][4 * 512..6 * 512]);
    assert_eq!(i.in8(P + 7), 0x50);
}

#[test]
fn a_48_bit_command_ends_as_one() {
    let mut i = Ide::one_disk();
    i.ext_command(P, SECTORS - 2, 0x0302, 0x24);
    let mut got = i.read_words(P, 300);
    i.b.save_and_load();
    got.extend(i.read_words(P, 212));
    assert_eq!(got, i.images[0][(SECTORS as usize - 2) * 512..]);
    assert_eq!((i.in8(P + 7), i.in8(P + 1), i.in8(P + 2)), (0x51, 0x10, 0x00));
    i.out8(0x3f6, 0x80);
    i.b.save_and_load();
    assert_eq!(i.in8(P + 2), 0x03, "sectors left, by HOB");
}

#[test]
fn a_pio_write_goes_on_where_it_was() {
    let mut i = Ide::one_disk();
    i.lba_command(P, 4, 2, 0x30);
    i.write_words(P, &[1; 700]);
    i.b.save_and_load();
    i.write_words(P, &[2; 324]);
    assert_eq!(i.in8(P + 7), 0x50);
    assert_eq!(i.images[0][4 * 512..][..700], [1; 700]);
    assert_eq!(i.images[0][4 * 512 + 700..][..324], [2; 324]);
}

#[test]
fn a_job_in_flight_is_asked_for_again() {
    let mut i = Ide::one_disk();
    i.auto = false;
    i.b.write32(0x1_0000, 0x2_0000);
    i.b.write32(0x1_0004, 0x8000_0200);
    i.b.out32(BMBA + 4, 0x1_0000);
    i.out8(BMBA, 0x09);
    i.lba_command(P, 77, 1, 0xc8);
    let lost = i.b.jobs();
    assert_eq!(lost.len(), 1);
    i.b.save_and_load();
    i.serve();
    assert_eq!((i.in8(BMBA + 2), i.in8(P + 7)), (0x04, 0x50));
    assert_eq!(i.b.read32(0x2_0000), 77 << 8);

    i.lba_command(P, 5, 1, 0x30);
    i.write_words(P, &[3; 512]);
    i.b.jobs();
    i.b.save_and_load();
    i.serve();
    assert_eq!(i.in8(P + 7), 0x50);
    assert_eq!(i.images[0][5 * 512..6 * 512], [3; 512]);
}

#[test]
fn a_state_of_other_drives_is_refused() {
    let i = Ide::one_disk();
    let mut out = StateOut::default();
    i.b.dev.save(&mut out);
    let (version, body) = out.into_body().unwrap();
    for other in [
        [disk(SECTORS + 1), None, None, None],
        [cd(), None, None, None],
        [None, None, None, None],
        [disk(SECTORS), None, None, disk(1)],
    ] {
        let mut o = Ide::with(other);
        let e = o.b.dev.load(&StateIn::new("piix4-ide", version, &body));
        assert!(e.is_err());
    }
}

/// A machine in the middle of a PIO read on the disk and of a packet on the CD, as version 1 saved it. This file
/// must load for ever. `HEIRLOOM_FIXTURE=path` writes it anew.
const V1: &[u8] = include_bytes!("fixtures/v1.cbor");

fn busy() -> Ide {
    let mut i = Ide::with([disk(SECTORS), None, cd(), None]);
    i.lba_command(P, 4, 2, 0x20);
    i.read_words(P, 300);
    i.out8(S + 7, 0xa0);
    i.out16(S, 0x0012);
    i.b.out32(BMBA + 12, 0x1234_5678);
    i
}

#[test]
fn the_first_versions_state_loads() {
    if let Some(path) = std::env::var_os("HEIRLOOM_FIXTURE") {
        let mut out = StateOut::default();
        busy().b.dev.save(&mut out);
        std::fs::write(path, out.into_body().unwrap().1).unwrap();
    }
    let mut i = Ide::with([disk(SECTORS), None, cd(), None]);
    i.b.dev.load(&StateIn::new("piix4-ide", 1, V1)).unwrap();
    i.b.call(|d, cx| d.restored(cx));
    assert_eq!(i.b.cfg_read(CONFIG, 0x40, board::Width::D), 0x8000_8000);
    assert_eq!(i.b.in32(BMBA + 12), 0x1234_5678);
    let rest = i.read_words(P, 212);
    assert_eq!(rest, i.images[0][4 * 512 + 600..6 * 512]);
    assert_eq!(i.in8(P + 7), 0x50);
    // INQUIRY's remaining ten bytes, 36 allocated.
    i.write_words(S, &[0, 0, 36, 0, 0, 0, 0, 0, 0, 0]);
    assert!(i.irq(IRQ15));
    assert_eq!((i.in8(S + 7), i.in8(S + 4)), (0x58, 36));
    assert_eq!(i.read_words(S, 18)[8..10], *b"MS");
}
