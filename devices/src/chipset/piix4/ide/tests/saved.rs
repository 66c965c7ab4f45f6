use super::{BMBA, IRQ14, Ide, P, SECTORS, cd, disk};

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
    use board::{Device, StateIn, StateOut};
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
