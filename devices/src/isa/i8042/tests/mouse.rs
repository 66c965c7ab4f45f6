use board::{MILLISECOND, SECOND};

use super::{aux, bytes, drain, point, ready};

#[test]
fn a_reset_answers_ack_self_test_and_id() {
    let mut b = ready(0x47);
    let mut got = aux(&mut b, 0xff);
    got.extend(bytes(&mut b));
    assert_eq!(got, [0xfa, 0xaa, 0x00]);
}

#[test]
fn nothing_comes_before_reporting_is_on() {
    let mut b = ready(0x47);
    point(&mut b, 5, 5, 0, 1);
    assert_eq!(bytes(&mut b), []);
    assert_eq!(aux(&mut b, 0xf4), [0xfa]);
    assert_eq!(bytes(&mut b), [], "what was before is forgotten");
    point(&mut b, 5, -3, 0, 1);
    assert_eq!(b.lines.irqs(), 1 << 12);
    assert_eq!(bytes(&mut b), [0x09, 5, 3]);
    point(&mut b, -1, 2, 0, 0);
    assert_eq!(bytes(&mut b), [0x38, 0xff, 0xfe]);
}

#[test]
fn buttons_sit_in_the_first_byte() {
    let mut b = ready(0x47);
    aux(&mut b, 0xf4);
    for buttons in [1, 2, 4, 7, 0] {
        point(&mut b, 0, 0, 0, buttons);
        assert_eq!(bytes(&mut b), [0x08 | buttons, 0, 0]);
    }
}

#[test]
fn the_wheel_and_five_buttons_need_their_knock() {
    let mut b = ready(0x47);
    assert_eq!(aux(&mut b, 0xf2), [0xfa, 0]);
    for r in [200, 100, 80] {
        aux(&mut b, 0xf3);
        assert_eq!(aux(&mut b, r), [0xfa]);
    }
    assert_eq!(aux(&mut b, 0xf2), [0xfa, 3]);
    aux(&mut b, 0xf4);
    point(&mut b, 0, 0, -1, 0);
    assert_eq!(bytes(&mut b), [0x08, 0, 0, 0xff]);
    for r in [200, 200, 80] {
        aux(&mut b, 0xf3);
        aux(&mut b, r);
    }
    assert_eq!(aux(&mut b, 0xf2), [0xfa, 4]);
    point(&mut b, 0, 0, 1, 0x18);
    assert_eq!(bytes(&mut b), [0x08, 0, 0, 0x31]);
}

#[test]
fn the_five_button_knock_alone_does_nothing() {
    let mut b = ready(0x47);
    for r in [200, 200, 80] {
        aux(&mut b, 0xf3);
        aux(&mut b, r);
    }
    assert_eq!(aux(&mut b, 0xf2), [0xfa, 0]);
}

#[test]
fn a_long_way_takes_several_packets() {
    let mut b = ready(0x47);
    aux(&mut b, 0xf4);
    point(&mut b, 600, -300, 0, 0);
    b.advance(100 * MILLISECOND);
    let mut got = bytes(&mut b);
    got.extend(bytes(&mut b));
    assert_eq!(got, [0x08, 255, 255, 0x08, 255, 45, 0x08, 90, 0]);
}

/// To the corner and from there to 40, 30: the corner is reached first.
#[test]
fn a_way_back_does_not_shorten_the_way_there() {
    let mut b = ready(0x47);
    aux(&mut b, 0xf4);
    point(&mut b, -1000, -1000, 0, 0);
    point(&mut b, 40, 30, 0, 0);
    let (mut x, mut y) = (700_i32, 500_i32);
    for _ in 0..8 {
        for p in bytes(&mut b).chunks_exact(3) {
            let [dx, dy] = [(p[1], 0x10), (p[2], 0x20)]
                .map(|(v, sign)| i32::from(v) - if p[0] & sign != 0 { 256 } else { 0 });
            (x, y) = ((x + dx).clamp(0, 1023), (y - dy).clamp(0, 767));
        }
        b.advance(10 * MILLISECOND);
    }
    assert_eq!((x, y), (40, 30));
}

#[test]
fn samples_keep_the_rate_and_movement_adds_up() {
    let mut b = ready(0x47);
    aux(&mut b, 0xf3);
    aux(&mut b, 20);
    aux(&mut b, 0xf4);
    let (mut packets, mut x) = (0, 0);
    for _ in 0..1000 {
        point(&mut b, 1, 0, 0, 0);
        for (n, (v, _)) in (0..3)
            .map_while(|n| {
                (b.in8(0x64) & 1 != 0).then(|| {
                    let v = b.in8(0x60);
                    b.advance(MILLISECOND / 2);
                    (n, (v, true))
                })
            })
            .collect::<Vec<_>>()
        {
            if n == 0 {
                packets += 1;
            }
            if n == 1 {
                x += u32::from(v);
            }
        }
        b.advance(MILLISECOND);
    }
    assert!((18..=24).contains(&packets), "{packets}");
    assert!(x > 900, "{x}");
}

#[test]
fn a_fast_click_is_not_lost() {
    let mut b = ready(0x47);
    aux(&mut b, 0xf4);
    point(&mut b, 0, 0, 0, 1);
    point(&mut b, 0, 0, 0, 0);
    point(&mut b, 0, 0, 0, 1);
    point(&mut b, 0, 0, 0, 0);
    let mut got = Vec::new();
    for _ in 0..5 {
        got.extend(bytes(&mut b));
    }
    assert_eq!(got, [9, 0, 0, 8, 0, 0, 9, 0, 0, 8, 0, 0]);
}

#[test]
fn remote_mode_gives_a_packet_when_asked() {
    let mut b = ready(0x47);
    assert_eq!(aux(&mut b, 0xf0), [0xfa]);
    point(&mut b, 7, 0, 0, 2);
    assert_eq!(bytes(&mut b), []);
    assert_eq!(aux(&mut b, 0xeb), [0xfa, 0x0a, 7, 0]);
    assert_eq!(aux(&mut b, 0xeb), [0xfa, 0x0a, 0, 0]);
    assert_eq!(aux(&mut b, 0xe9)[1], 0x41, "remote, right button");
    aux(&mut b, 0xea);
    aux(&mut b, 0xf4);
    point(&mut b, 1, 0, 0, 0);
    assert_eq!(bytes(&mut b), [0x08, 1, 0]);
}

#[test]
fn wrap_mode_echoes_all_but_its_end_and_reset() {
    let mut b = ready(0x47);
    assert_eq!(aux(&mut b, 0xee), [0xfa]);
    assert_eq!(aux(&mut b, 0xf4), [0xf4]);
    assert_eq!(aux(&mut b, 0x55), [0x55]);
    assert_eq!(aux(&mut b, 0xec), [0xfa]);
    assert_eq!(aux(&mut b, 0xf2), [0xfa, 0]);
}

#[test]
fn the_status_tells_mode_resolution_and_rate() {
    let mut b = ready(0x47);
    assert_eq!(aux(&mut b, 0xe9), [0xfa, 0x00, 2, 100]);
    for v in [0xe7, 0xe8, 3, 0xf3, 60, 0xf4] {
        assert_eq!(aux(&mut b, v), [0xfa], "{v:02x}");
    }
    point(&mut b, 0, 0, 0, 5);
    drain(&mut b);
    assert_eq!(aux(&mut b, 0xe9), [0xfa, 0x36, 3, 60]);
    assert_eq!(aux(&mut b, 0xf6), [0xfa]);
    assert_eq!(aux(&mut b, 0xe9), [0xfa, 0x06, 2, 100]);
}

#[test]
fn scaling_two_to_one() {
    let mut b = ready(0x47);
    aux(&mut b, 0xe7);
    aux(&mut b, 0xf4);
    for (moved, told) in [(1, 1), (2, 1), (3, 3), (4, 6), (5, 9), (6, 12), (-3, -3i8 as u8)] {
        b.advance(SECOND / 50);
        point(&mut b, moved, 0, 0, 0);
        assert_eq!(bytes(&mut b)[1], told, "{moved}");
    }
}

#[test]
fn wrong_bytes_are_refused_and_then_an_error() {
    let mut b = ready(0x47);
    assert_eq!(aux(&mut b, 0x33), [0xfe]);
    assert_eq!(aux(&mut b, 0x33), [0xfc]);
    assert_eq!(aux(&mut b, 0xe8), [0xfa]);
    assert_eq!(aux(&mut b, 9), [0xfe]);
    assert_eq!(aux(&mut b, 1), [0xfa]);
    assert_eq!(aux(&mut b, 0xfe), [0xfa], "the last answer again");
}

#[test]
fn a_command_ends_a_packet_on_its_way() {
    let mut b = ready(0x47);
    aux(&mut b, 0xf4);
    point(&mut b, 1, 1, 0, 0);
    b.in8(0x60);
    assert_eq!(aux(&mut b, 0xf2), [0xfa, 0]);
}

#[test]
fn a_wrong_rate_twice_ends_the_command_and_the_next_one_is_taken() {
    let mut b = ready(0x47);
    assert_eq!(aux(&mut b, 0xf3), [0xfa]);
    assert_eq!(aux(&mut b, 0x66), [0xfe]);
    assert_eq!(aux(&mut b, 0x88), [0xfc]);
    assert_eq!(aux(&mut b, 0xf3), [0xfa], "Linux's probes go on from here");
    assert_eq!(aux(&mut b, 0x66), [0xfe]);
    assert_eq!(aux(&mut b, 0xf4), [0xfa], "a command where a parameter could come");
}
