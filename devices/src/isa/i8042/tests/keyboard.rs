use board::{HostEvent, Key, MICROSECOND, MILLISECOND, SECOND};

use super::{bytes, drain, kbd, key, ready};

/// Untranslated.
const RAW: u8 = 0x07;
const XLAT: u8 = 0x47;

#[test]
fn a_reset_answers_ack_and_then_the_self_test() {
    let mut b = ready(XLAT);
    b.out8(0x60, 0xff);
    b.advance(600 * MICROSECOND);
    assert_eq!(b.in8(0x60), 0xfa);
    // The self test itself takes a millisecond.
    assert_eq!(b.in8(0x64) & 1, 0);
    b.advance(300 * MICROSECOND);
    assert_eq!(b.in8(0x64) & 1, 0);
    assert_eq!(bytes(&mut b), [0xaa]);
}

#[test]
fn identify_differs_under_translation() {
    assert_eq!(kbd(&mut ready(RAW), 0xf2), [0xfa, 0xab, 0x83]);
    assert_eq!(kbd(&mut ready(XLAT), 0xf2), [0xfa, 0xab, 0x41]);
}

#[test]
fn commands_answer_as_they_should() {
    let mut b = ready(RAW);
    assert_eq!(kbd(&mut b, 0xee), [0xee]);
    for v in [0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa] {
        assert_eq!(kbd(&mut b, v), [0xfa], "{v:02x}");
    }
    for v in [0x00, 0x1c, 0xef, 0xf1] {
        assert_eq!(kbd(&mut b, v), [0xfe], "{v:02x}");
    }
}

#[test]
fn resend_gives_the_last_byte_again() {
    let mut b = ready(RAW);
    kbd(&mut b, 0xf2);
    assert_eq!(kbd(&mut b, 0xfe), [0x83]);
    assert_eq!(kbd(&mut b, 0xfe), [0x83]);
}

#[test]
fn leds_take_a_parameter_and_a_command_breaks_it_off() {
    let mut b = ready(RAW);
    assert_eq!(kbd(&mut b, 0xed), [0xfa]);
    assert_eq!(kbd(&mut b, 0x05), [0xfa]);
    assert_eq!(b.dev.leds(), 5);
    kbd(&mut b, 0xed);
    assert_eq!(kbd(&mut b, 0xf4), [0xfa]);
    assert_eq!(b.dev.leds(), 5);
}

#[test]
fn set_2_translates_to_set_1() {
    let mut raw = ready(RAW);
    key(&mut raw, 0x1e, true);
    key(&mut raw, 0x1e, false);
    assert_eq!(bytes(&mut raw), [0x1c, 0xf0, 0x1c]);
    let mut b = ready(XLAT);
    key(&mut b, 0x1e, true);
    key(&mut b, 0x1e, false);
    assert_eq!(bytes(&mut b), [0x1e, 0x9e]);
}

#[test]
fn every_key_comes_out_of_the_translation_as_it_went_in() {
    let plain = (0x01..=0x53).chain([0x54, 0x56, 0x57, 0x58]);
    let grey = [
        0x1c, 0x1d, 0x35, 0x38, 0x47, 0x48, 0x49, 0x4b, 0x4d, 0x4f, 0x50, 0x51, 0x52, 0x53, 0x5b, 0x5c, 0x5d,
    ]
    .map(|k| 0xe000 | k);
    for k in plain.chain(grey) {
        let mut b = ready(XLAT);
        key(&mut b, k, true);
        key(&mut b, k, false);
        let code = k as u8;
        let want = if k > 0xff { vec![0xe0, code, 0xe0, code | 0x80] } else { vec![code, code | 0x80] };
        assert_eq!(bytes(&mut b), want, "{k:04x}");
    }
}

#[test]
fn pause_print_screen_and_their_shifted_forms() {
    let mut b = ready(RAW);
    key(&mut b, 0xe11d, true);
    key(&mut b, 0xe11d, false);
    assert_eq!(bytes(&mut b), [0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77]);
    key(&mut b, 0xe037, true);
    key(&mut b, 0xe037, false);
    assert_eq!(bytes(&mut b), [0xe0, 0x12, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12]);
    key(&mut b, 0x38, true);
    key(&mut b, 0xe037, true);
    key(&mut b, 0xe037, false);
    key(&mut b, 0x38, false);
    assert_eq!(bytes(&mut b), [0x11, 0x84, 0xf0, 0x84, 0xf0, 0x11]);
    key(&mut b, 0x1d, true);
    key(&mut b, 0xe11d, true);
    assert_eq!(bytes(&mut b), [0x14, 0xe0, 0x7e, 0xe0, 0xf0, 0x7e]);
    let mut b = ready(XLAT);
    key(&mut b, 0xe11d, true);
    assert_eq!(bytes(&mut b), [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
}

#[test]
fn grey_keys_pretend_shift_by_num_lock() {
    let mut b = ready(RAW);
    key(&mut b, 0x2a, true);
    key(&mut b, 0xe048, true);
    key(&mut b, 0xe048, false);
    key(&mut b, 0x2a, false);
    let shifted = [0x12, 0xe0, 0xf0, 0x12, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0xe0, 0x12, 0xf0, 0x12];
    assert_eq!(bytes(&mut b), shifted);
    kbd(&mut b, 0xed);
    kbd(&mut b, 0x02);
    key(&mut b, 0xe048, true);
    key(&mut b, 0xe048, false);
    assert_eq!(bytes(&mut b), [0xe0, 0x12, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0xe0, 0xf0, 0x12]);
    key(&mut b, 0x2a, true);
    key(&mut b, 0xe048, true);
    assert_eq!(bytes(&mut b), [0x12, 0xe0, 0x75], "Num Lock and shift cancel out");
}

#[test]
fn set_1_straight_from_the_keyboard() {
    let mut b = ready(RAW);
    assert_eq!(kbd(&mut b, 0xf0), [0xfa]);
    assert_eq!(kbd(&mut b, 0x01), [0xfa]);
    key(&mut b, 0xe04d, true);
    key(&mut b, 0xe04d, false);
    assert_eq!(bytes(&mut b), [0xe0, 0x4d, 0xe0, 0xcd]);
    kbd(&mut b, 0xf0);
    assert_eq!(kbd(&mut b, 0x00), [0xfa, 0x01]);
    kbd(&mut b, 0xf0);
    assert_eq!(kbd(&mut b, 0x04), [0xfe]);
}

#[test]
fn set_3_has_one_code_for_a_key_and_a_type_for_each() {
    let mut b = ready(RAW);
    kbd(&mut b, 0xf0);
    kbd(&mut b, 0x03);
    key(&mut b, 0xe048, true);
    key(&mut b, 0xe048, false);
    assert_eq!(bytes(&mut b), [0x63], "no break");
    key(&mut b, 0x2a, true);
    key(&mut b, 0x2a, false);
    assert_eq!(bytes(&mut b), [0x12, 0xf0, 0x12]);
    assert_eq!(kbd(&mut b, 0xf8), [0xfa]); // all make and break
    key(&mut b, 0x1e, true);
    key(&mut b, 0x1e, false);
    assert_eq!(bytes(&mut b), [0x1c, 0xf0, 0x1c]);
    for v in [0xfd, 0x1c, 0x32] {
        assert_eq!(kbd(&mut b, v), [0xfa]); // A and B make only
    }
    kbd(&mut b, 0xf4);
    key(&mut b, 0x30, true);
    key(&mut b, 0x30, false);
    assert_eq!(bytes(&mut b), [0x32]);
}

#[test]
fn typematic_starts_after_the_delay_and_keeps_the_rate() {
    let mut b = ready(RAW);
    kbd(&mut b, 0xf3);
    kbd(&mut b, 0x00); // 250 ms, 30 a second
    key(&mut b, 0x1e, true);
    assert_eq!(bytes(&mut b), [0x1c]);
    b.advance(225 * MILLISECOND); // 245 in all
    assert_eq!(b.in8(0x64) & 1, 0);
    let mut n = 0;
    for _ in 0..1000 {
        b.advance(MILLISECOND);
        if b.in8(0x64) & 1 != 0 {
            assert_eq!(b.in8(0x60), 0x1c);
            n += 1;
        }
    }
    assert!((29..=30).contains(&n), "{n}");
    key(&mut b, 0x1e, false);
    assert_eq!(bytes(&mut b), [0xf0, 0x1c]);
    b.advance(SECOND);
    assert_eq!(b.in8(0x64) & 1, 0);
    assert_eq!(b.next_timer(), None);
}

#[test]
fn the_hosts_own_repeat_is_not_doubled_and_stray_releases_are_nothing() {
    let mut b = ready(RAW);
    key(&mut b, 0x1e, true);
    key(&mut b, 0x1e, true);
    key(&mut b, 0x30, false);
    assert_eq!(bytes(&mut b), [0x1c]);
}

#[test]
fn a_new_key_takes_over_the_repeat() {
    let mut b = ready(RAW);
    key(&mut b, 0x1e, true);
    b.advance(400 * MILLISECOND);
    key(&mut b, 0x30, true);
    assert_eq!(bytes(&mut b), [0x1c, 0x32]);
    b.advance(600 * MILLISECOND);
    assert_eq!(drain(&mut b)[0].0, 0x32);
}

#[test]
fn typed_text_waits_for_room() {
    let mut b = ready(XLAT);
    for _ in 0..40 {
        key(&mut b, 0x1e, true);
        key(&mut b, 0x1e, false);
    }
    let mut got = Vec::new();
    for _ in 0..10 {
        got.extend(bytes(&mut b));
    }
    assert_eq!(got, [0x1e, 0x9e].repeat(40));
}

#[test]
fn scanning_off_drops_keys_and_on_starts_empty() {
    let mut b = ready(RAW);
    kbd(&mut b, 0xf5);
    key(&mut b, 0x1e, true);
    assert_eq!(bytes(&mut b), []);
    kbd(&mut b, 0xf4);
    assert_eq!(bytes(&mut b), []);
    key(&mut b, 0x1e, true);
    assert_eq!(bytes(&mut b), [0x1c]);
}

#[test]
fn a_key_that_no_keyboard_has_does_no_harm() {
    let mut b = ready(XLAT);
    for k in [0, 0x7f, 0xffff, 0xe0ff, 0x1234] {
        b.host(HostEvent::Key { key: Key(k), down: true });
        b.host(HostEvent::Key { key: Key(k), down: false });
        bytes(&mut b);
    }
}

struct Panel(std::sync::Arc<std::sync::Mutex<Vec<board::Leds>>>);

impl board::Lamps for Panel {
    fn show(&mut self, leds: board::Leds) {
        self.0.lock().unwrap().push(leds);
    }
}

#[test]
fn lamps_show_each_change_once() {
    let mut b = ready(RAW);
    let seen = std::sync::Arc::default();
    b.dev.lamps = Some(Box::new(Panel(std::sync::Arc::clone(&seen))));
    for leds in [2, 2, 6, 0] {
        kbd(&mut b, 0xed);
        kbd(&mut b, leds);
    }
    let shown: Vec<u8> = seen.lock().unwrap().iter().map(|l| l.into_bits()).collect();
    assert_eq!(shown, [2, 6, 0]);
    kbd(&mut b, 0xed);
    kbd(&mut b, 4);
    b.reset(board::Reset::Hard);
    assert_eq!(seen.lock().unwrap().last().map(|l| l.into_bits()), Some(0), "dark after a reset");
}
