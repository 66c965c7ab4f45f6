use super::*;

/// MiB that an EEPROM tells of, by what its bytes mean: addresses, banks and sides first, then the density byte.
fn told(spd: &[u8; 256]) -> (u64, u64) {
    let uneven = spd[31].count_ones() > 1;
    let side = |shift: u32| {
        let bits = |b: u8| u32::from(if uneven { b >> shift & 15 } else { b });
        8 * u64::from(spd[17]) << (bits(spd[3]) + bits(spd[4])) >> 20
    };
    let by_address = if spd[5] == 2 { side(0) + side(if uneven { 4 } else { 0 }) } else { side(0) };
    let density = (0..8).filter(|n| spd[31] >> n & 1 == 1).map(|n| 4u64 << n).sum::<u64>();
    (by_address, if spd[5] == 2 && !uneven { 2 * density } else { density })
}

#[test]
fn modules_add_up_to_the_memory() {
    for mib in [4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 640, 768, 1024, 1536, 2048, 3072, 3584, 3712] {
        let all = modules(mib << 20);
        assert!((1..=4).contains(&all.len()), "{mib} MiB: {} modules", all.len());
        let sum: (u64, u64) = all.iter().map(told).fold((0, 0), |s, t| (s.0 + t.0, s.1 + t.1));
        assert_eq!(sum, (mib, mib), "{mib} MiB");
        let each: Vec<u64> = all.iter().map(|m| told(m).1).collect();
        assert_eq!(sizes(mib << 20), each, "{mib} MiB");
    }
}

#[test]
fn a_common_size_is_one_module() {
    for mib in [64, 128, 256, 512, 1024] {
        assert_eq!(modules(mib << 20).len(), 1, "{mib} MiB");
    }
    let spd = modules(256 << 20)[0];
    // Type, rows, columns, sides, banks, density.
    assert_eq!([spd[2], spd[3], spd[4], spd[5], spd[17], spd[31]], [4, 13, 10, 1, 4, 0x40]);
    assert_eq!(&spd[73..91], b"HEIRLOOM-256      ");
}

#[test]
fn what_no_module_is_small_enough_for_is_not_told() {
    assert_eq!(modules(3 << 20).len(), 0);
    let sum: u64 = modules(3711 << 20).iter().map(|m| told(m).1).sum();
    assert_eq!(sum, 7 * 512 + 64, "eight sides at most");
}

#[test]
fn the_checksum_is_over_the_first_63_bytes() {
    for m in modules(3712 << 20) {
        let sum = m[..63].iter().fold(0u8, |s, v| s.wrapping_add(*v));
        assert_eq!(m[63], sum);
    }
}

#[test]
fn an_eeprom_reads_on_from_the_address_written_and_takes_no_data() {
    let mut bytes = [0; 256];
    (bytes[0xff], bytes[0], bytes[1]) = (1, 2, 3);
    let mut b = Bus::with_modules(vec![bytes]);
    assert!(b.address(0x51).is_none());
    let e = b.address(0x50).unwrap();
    e.start(false);
    assert!(e.take(0xff), "the address");
    assert!(!e.take(9), "write protected");
    e.start(true);
    assert_eq!([e.give(), e.give(), e.give()], [1, 2, 3]);
    assert_eq!(b.counters(), [2]);
    assert!(!b.set_counters(&[1, 2]), "another number of modules");
}
