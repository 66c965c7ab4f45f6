//! The decoder's fuzz target for every build: random bytes for a time (`HEIRLOOM_FUZZ_SECS`, 2 unless told).

use seeded::for_a_while;

#[test]
fn any_bytes_decode_within_fifteen_and_within_what_is_there() {
    const PREFIXES: [u8; 11] = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
    let runs = for_a_while(|rng| {
        let len = rng.index(24);
        let mut bytes = rng.bytes(len);
        let prefixes = rng.index(16);
        for b in bytes.iter_mut().take(prefixes) {
            if rng.one_in(2) {
                *b = rng.pick(&PREFIXES);
            }
        }
        for big in [false, true] {
            let Some(d) = cpu::decode_bytes(&bytes, big) else { continue };
            assert!((1..=15).contains(&d.len) && d.len <= bytes.len(), "{bytes:02x?} big {big}: {d:?}");
            // What lies behind an instruction does not change it.
            let again = cpu::decode_bytes(&bytes[..d.len], big);
            assert_eq!(again.map(|a| (a.len, a.name)), Some((d.len, d.name)), "{bytes:02x?} big {big}");
        }
    });
    println!("{runs} byte strings");
}
