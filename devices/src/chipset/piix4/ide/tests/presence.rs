use super::{IRQ14, IRQ15, Ide, P, S, SECTORS, cd, disk};

/// Linux ata_devchk: two values in two registers must come back.
fn echo(i: &mut Ide, base: u16, dev: u8) -> bool {
    i.out8(base + 6, 0xa0 | dev << 4);
    for (n, l) in [(0x55, 0xaa), (0xaa, 0x55), (0x55, 0xaa)] {
        i.out8(base + 2, n);
        i.out8(base + 3, l);
    }
    (i.in8(base + 2), i.in8(base + 3)) == (0x55, 0xaa)
}

#[test]
fn an_empty_channel_echoes_nothing_and_is_not_busy() {
    let mut i = Ide::one_disk();
    assert!(!echo(&mut i, S, 0) && !echo(&mut i, S, 1));
    assert_eq!(i.in8(S + 7), 0x7f);
    assert_eq!(i.in8(0x376), 0x7f);
    i.out8(S + 7, 0xec);
    assert!(!i.irq(IRQ15));
    assert_eq!(i.in16(S), 0xffff);
}

#[test]
fn device_0_answers_for_an_absent_device_1_with_status_0() {
    let mut i = Ide::one_disk();
    assert!(echo(&mut i, P, 0) && echo(&mut i, P, 1));
    assert_eq!(i.in8(P + 6), 0xb0);
    assert_eq!(i.in8(P + 7), 0x00);
    assert_eq!(i.in8(0x3f6), 0x00);
    i.out8(P + 7, 0xec);
    assert_eq!(i.in8(P + 7), 0x00, "a command to nobody");
    assert!(!i.irq(IRQ14));
    i.out8(P + 6, 0xa0);
    assert_eq!(i.in8(P + 7), 0x50);
}

#[test]
fn a_slave_alone_does_not_speak_for_the_master() {
    let mut i = Ide::with([None, disk(SECTORS), None, None]);
    assert!(!echo(&mut i, P, 0));
    assert_eq!(i.in8(P + 7), 0x7f);
    assert!(echo(&mut i, P, 1));
    assert_eq!(i.in8(P + 7), 0x50);
}

fn signature(i: &mut Ide, base: u16) -> [u8; 5] {
    [1, 2, 3, 4, 5].map(|r| i.in8(base + r))
}

#[test]
fn software_reset_leaves_signatures_and_no_interrupt() {
    let mut i = Ide::with([disk(SECTORS), cd(), None, None]);
    i.out8(P + 6, 0xf0);
    i.out8(P + 2, 0x99);
    i.out8(0x3f6, 0x04);
    assert_eq!(i.in8(0x3f6), 0x80, "BSY while SRST is set");
    i.out8(0x3f6, 0x00);
    assert_eq!(i.in8(P + 7), 0x50);
    assert_eq!(signature(&mut i, P), [1, 1, 1, 0, 0]);
    i.out8(P + 6, 0xb0);
    assert_eq!(i.in8(P + 7), 0x00);
    assert_eq!(signature(&mut i, P), [1, 1, 1, 0x14, 0xeb]);
    assert!(!i.irq(IRQ14));
}

#[test]
fn identify_on_a_packet_device_aborts_with_its_signature() {
    let mut i = Ide::with([None, None, cd(), None]);
    i.out8(S + 4, 0x00);
    i.out8(S + 5, 0x02);
    i.out8(S + 7, 0xec);
    assert_eq!(i.in8(S + 7), 0x51);
    assert_eq!(i.in8(S + 1), 0x04);
    assert_eq!((i.in8(S + 4), i.in8(S + 5)), (0x14, 0xeb));
}

#[test]
fn device_reset_is_for_packet_devices() {
    let mut i = Ide::with([disk(SECTORS), cd(), None, None]);
    i.out8(P + 6, 0xb0);
    i.out8(P + 7, 0x08);
    assert_eq!(i.in8(P + 7), 0x00);
    assert_eq!(signature(&mut i, P), [1, 1, 1, 0x14, 0xeb]);
    assert_eq!(i.in8(P + 6) & 0x10, 0x10, "DEV stays");
    assert!(!i.irq(IRQ14));
    i.out8(P + 6, 0xa0);
    i.out8(P + 7, 0x08);
    assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x51, 0x04));
}

#[test]
fn diagnostics_run_on_both_and_device_0_reports() {
    let mut i = Ide::with([disk(SECTORS), disk(SECTORS), None, None]);
    i.out8(P + 6, 0xb0);
    i.out8(P + 7, 0x90);
    assert!(i.irq(IRQ14));
    assert_eq!(i.in8(P + 7), 0x50);
    assert_eq!(signature(&mut i, P), [1, 1, 1, 0, 0]);
    assert_eq!(i.in8(P + 6) & 0x10, 0, "device 0 is selected");
}
