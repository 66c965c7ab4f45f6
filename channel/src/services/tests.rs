use alloc::vec;

use super::*;

#[test]
fn a_message_is_an_array_of_its_kind_and_a_map() {
    let beat = heartbeat::ToHost::Beat(heartbeat::Beat { number: 7, up: 300 });
    // array(2), 1, map(2), 0: 7, 1: 300.
    assert_eq!(bytes(&beat), [0x82, 1, 0xa2, 0, 7, 1, 0x19, 1, 44]);
    assert_eq!(bytes(&time::ToHost::Ask), [0x81, 1]);
}

#[test]
fn fields_may_be_missing_or_unknown_and_kinds_may_be_new() {
    let missing = parse::<power::ToGuest>(&[0x82, 1, 0xa1, 0, 9]);
    let want = power::Do { request: 9, ..power::Do::default() };
    assert_eq!(missing, Ok(power::ToGuest::Do(want.clone())));
    // Field 30 is a text.
    assert_eq!(parse(&[0x82, 1, 0xa2, 0, 9, 0x18, 30, 0x61, b'x']), Ok(power::ToGuest::Do(want)));
    assert_eq!(parse::<power::ToGuest>(&[0x82, 9, 0xa1, 0, 9]), Err(Unknown::Kind(9)));
    assert_eq!(parse::<power::ToGuest>(&[0x81, 9]), Err(Unknown::Kind(9)));
    for b in [&[][..], &[0x82, 1], &[0x82, 1, 5], &[0x80], &[0xff, 0xff]] {
        assert_eq!(parse::<power::ToGuest>(b), Err(Unknown::Malformed), "{b:x?}");
    }
}

#[test]
fn data_goes_as_bytes() {
    let data = programs::Data { id: 1, stream: programs::Stream::Error, bytes: vec![1, 2, 3] };
    assert_eq!(
        bytes(&programs::ToHost::Output(data)),
        [0x82, 2, 0xa3, 0, 1, 1, 1, 2, 0x43, 1, 2, 3],
        "a byte string, not an array of numbers"
    );
}

#[test]
fn any_bytes_are_no_harm() {
    seeded::for_a_while(|r| {
        let len = r.index(60);
        let b = r.bytes(len);
        crate::fuzz::services(&b);
    });
}
