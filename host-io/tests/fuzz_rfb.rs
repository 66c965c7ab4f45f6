//! The RFB fuzz target for every build: random and near-right messages for a time (`HEIRLOOM_FUZZ_SECS`, 2 unless told).

use host_io::display::vnc::parse_client_message;
use seeded::for_a_while;

#[test]
fn any_bytes_are_a_message_a_wait_or_a_refusal() {
    let mut messages = 0_u64;
    let runs = for_a_while(|rng| {
        let len = rng.index(200);
        let mut bytes = rng.bytes(len);
        // Mostly a type that exists, and small counts.
        if let Some(first) = bytes.first_mut()
            && !rng.one_in(4)
        {
            *first = rng.below(7) as u8;
        }
        for b in bytes.iter_mut().take(4).skip(1) {
            if rng.one_in(2) {
                *b = 0;
            }
        }
        let mut rest = &bytes[..];
        while let Ok(Some((_, n))) = parse_client_message(rest) {
            assert!(n > 0 && n <= rest.len(), "{rest:02x?} took {n}");
            messages += 1;
            rest = &rest[n..];
        }
    });
    println!("{runs} byte strings, {messages} messages");
    assert!(messages > 0, "nothing was a message: the test tests nothing");
}
