use crate::{
    At, Bar, ConfigSpace, Decode, Decoder, Lines, Route, SlotId, TimerId, Timers, Width, Win, WinSpec,
};

#[test]
fn sources_that_share_a_line_are_ored() {
    let mut l = Lines::default();
    let a = l.connect(Route::Isa(9));
    let b = l.connect(Route::Pirq(1));
    l.set_pirq_route(1, Some(9));
    l.raise(a);
    l.raise(b);
    l.lower(a);
    assert_eq!(l.irqs(), 1 << 9);
    l.set_pirq_route(1, Some(11));
    assert_eq!(l.irqs(), 1 << 11, "a level moves with its route");
    l.lower(b);
    assert_eq!(l.irqs(), 0);
}

#[test]
fn timers_fire_in_order_and_rearming_moves_them() {
    let mut t = Timers::default();
    t.set(SlotId(1), TimerId(0), 50);
    t.set(SlotId(0), TimerId(0), 40);
    t.set(SlotId(1), TimerId(0), 30);
    assert_eq!(t.pop(100), Some((30, SlotId(1), TimerId(0))));
    assert_eq!(t.pop(39), None);
    assert_eq!(t.pop(40), Some((40, SlotId(0), TimerId(0))));
    assert_eq!(t.next(), None);
}

#[test]
fn the_window_placed_last_answers_and_leaves_the_other_behind() {
    let mut d = Decoder::default();
    let a = WinSpec::pio(Win(0), 16, Width::B);
    let b = WinSpec::pio(Win(0), 4, Width::W);
    d.place(SlotId(0), a, Some(Decode::Pio(0x100)));
    d.place(SlotId(1), b, Some(Decode::Pio(0x104)));
    assert_eq!(d.port(0x105).map(|h| (h.slot, h.off)), Some((SlotId(1), 1)));
    d.place(SlotId(1), b, None);
    assert_eq!(d.port(0x105).map(|h| (h.slot, h.off)), Some((SlotId(0), 5)));
    assert_eq!(d.port(0x110), None);
}

#[test]
fn wide_accesses_split_into_what_the_window_takes() {
    let mut d = Decoder::default();
    d.place(SlotId(0), WinSpec::pio(Win(0), 8, Width::W), Some(Decode::Pio(0x200)));
    let mut parts = Vec::new();
    let hit = d.port(0x201).unwrap();
    let n = hit.parts(4, |off, pos, w| parts.push((off, pos, w)));
    assert_eq!(n, 4);
    assert_eq!(parts, [(1, 0, Width::B), (2, 1, Width::W), (4, 3, Width::B)]);
}

#[test]
fn config_masks_keep_read_only_bits_and_clear_on_one() {
    let mut c = ConfigSpace::new(0x8086, 0x7111, 0x01_0180, 1)
        .reg(4, Width::W, 0, 0x0005)
        .reg(6, Width::W, 0x0a80, 0)
        .w1c(6, Width::W, 0x3800)
        .bar(4, Bar::Io { len: 16 });
    let at = |off, width| At { win: Win(0), off, width };
    c.write(at(4, Width::D), 0xffff_ffff);
    assert_eq!(c.read(at(4, Width::D)), 0x0280_0005);
    c.write(at(0x20, Width::D), 0xffff_ffff);
    assert_eq!(c.read(at(0x20, Width::D)), 0xffff_fff1);
    assert_eq!(c.read(at(0, Width::D)), 0x7111_8086);
    assert_eq!(c.read(at(8, Width::D)), 0x0101_8001);
}

#[test]
fn a_pulse_between_two_looks_shows_the_dip() {
    let mut l = Lines::default();
    let a = l.connect(Route::Isa(0));
    l.raise(a);
    assert_eq!(l.take_moved(), Some((0, 1)));
    assert_eq!(l.take_moved(), None);
    l.pulse(a);
    assert_eq!(l.take_moved(), Some((0, 1)));
}

#[test]
fn a_memory_window_that_leaves_does_not_disturb_ports() {
    let mut d = Decoder::default();
    let mem = WinSpec::mmio(Win(0), 4096, Width::D);
    d.place(SlotId(1), mem, Some(Decode::Mmio(0xe000_0000)));
    d.place(SlotId(2), WinSpec::pio(Win(0), 1, Width::B), Some(Decode::Pio(0x60)));
    d.place(SlotId(3), WinSpec::pio(Win(0), 1, Width::B), Some(Decode::Pio(0x61)));
    d.place(SlotId(1), mem, None);
    assert_eq!(d.port(0x60).map(|h| h.slot), Some(SlotId(2)));
    assert_eq!(d.port(0x61).map(|h| h.slot), Some(SlotId(3)));
}
