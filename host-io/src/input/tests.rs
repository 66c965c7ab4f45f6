use super::*;

const fn down(code: u16) -> Stroke {
    (Key(code), true)
}

const fn up(code: u16) -> Stroke {
    (Key(code), false)
}

#[test]
fn text_holds_shift_over_runs() {
    let want = [
        down(0x2a),
        down(0x23),
        up(0x23),
        down(0x17),
        up(0x17),
        up(0x2a),
        down(0x20),
        up(0x20),
        down(0x2a),
        down(0x02),
        up(0x02),
        up(0x2a),
        down(0x1c),
        up(0x1c),
    ];
    assert_eq!(type_text("HId!\r\n").unwrap(), want);
}

#[test]
fn every_printable_character_has_its_own_key_and_shift() {
    let mut seen = std::collections::BTreeSet::new();
    for c in ' '..='~' {
        assert!(seen.insert(key_for(c).unwrap()), "{c:?}");
    }
    // Some fixed points of set 1.
    for (c, code, shift) in [
        ('a', 0x1e, false),
        ('Z', 0x2c, true),
        ('0', 0x0b, false),
        (')', 0x0b, true),
        ('=', 0x0d, false),
        ('`', 0x29, false),
        ('~', 0x29, true),
        ('"', 0x28, true),
        ('|', 0x2b, true),
        ('/', 0x35, false),
        ('}', 0x1b, true),
    ] {
        assert_eq!(key_for(c), Some((Key(code), shift)), "{c:?}");
    }
}

#[test]
fn a_character_without_a_key_is_named() {
    assert_eq!(type_text("abü"), Err(Untypable { character: 'ü', position: 3 }));
}

#[test]
fn chords_go_down_in_order_and_up_in_reverse() {
    let cad = [down(0x1d), down(0x38), down(0xe053), up(0xe053), up(0x38), up(0x1d)];
    assert_eq!(chord("ctrl-alt-del").unwrap(), cad);
    assert_eq!(chord("Ctrl+Alt+Delete").unwrap(), cad);
    assert_eq!(chord("f2").unwrap(), [down(0x3c), up(0x3c)]);
    assert_eq!(chord("ret").unwrap(), [down(0x1c), up(0x1c)]);
    assert_eq!(chord("ctrl--").unwrap(), [down(0x1d), down(0x0c), up(0x0c), up(0x1d)]);
    assert_eq!(chord("A").unwrap(), [down(0x2a), down(0x1e), up(0x1e), up(0x2a)]);
    assert_eq!(chord("ctrl-hyper"), Err(BadChord::Unknown { name: "hyper".into() }));
    assert_eq!(chord(" "), Err(BadChord::Empty));
}

#[test]
fn keysyms_press_and_release_the_same_key() {
    let mut k = KeyboardState::default();
    assert_eq!(k.event(0xffe1, true), [down(0x2a)]);
    assert_eq!(k.event(u32::from('!'), true), [down(0x02)]);
    assert_eq!(k.event(0xffe1, false), [up(0x2a)]);
    assert_eq!(k.event(u32::from('!'), false), [up(0x02)]);
    assert_eq!(k.event(u32::from('!'), false), []);
    assert_eq!(k.event(0x20ac, true), [], "the euro has no key");
}

#[test]
fn shift_is_put_right_for_other_layouts() {
    let mut k = KeyboardState::default();
    // A capital from a client that sends no Shift.
    assert_eq!(k.event(u32::from('A'), true), [down(0x2a), down(0x1e), up(0x2a)]);
    k.event(u32::from('A'), false);
    // "/" typed with Shift held.
    k.event(0xffe2, true);
    assert_eq!(k.event(u32::from('/'), true), [up(0x36), down(0x35), down(0x36)]);
    k.event(u32::from('/'), false);
    k.event(0xffe2, false);
    // Caps Lock, which the guest sees as well, makes capitals by itself.
    k.event(0xffe5, true);
    k.event(0xffe5, false);
    assert_eq!(k.event(u32::from('A'), true), [down(0x1e)]);
}

#[test]
fn leaving_lets_go_of_everything() {
    let mut k = KeyboardState::default();
    k.event(0xffe3, true);
    k.event(0xffe9, true);
    k.event(u32::from('x'), true);
    assert_eq!(k.release_all(), [up(0x1d), up(0x2d), up(0x38)]);
    assert_eq!(k.release_all(), []);
}

#[test]
fn auto_repeat_presses_again() {
    let mut k = KeyboardState::default();
    assert_eq!(k.event(u32::from('x'), true), [down(0x2d)]);
    assert_eq!(k.event(u32::from('x'), true), [down(0x2d)]);
    assert_eq!(k.event(u32::from('x'), false), [up(0x2d)]);
}
