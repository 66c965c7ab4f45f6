//! The decoder against iced-x86: same lengths, and the same encodings exist as far as this processor has them.

use iced_x86::{CpuidFeature, Decoder, DecoderOptions, Instruction, Mnemonic};
use proptest::prelude::*;

/// What a Pentium 4 of the first kind has, as iced-x86 names it.
fn has(f: CpuidFeature) -> bool {
    use CpuidFeature::*;
    [
        INTEL8086,
        INTEL8086_ONLY,
        INTEL186,
        INTEL286,
        INTEL286_ONLY,
        INTEL386,
        INTEL386_ONLY,
        INTEL486,
        CPUID,
        CX8,
        CMOV,
        FPU,
        FPU287,
        FPU387,
        FXSR,
        MMX,
        MSR,
        MULTIBYTENOP,
        PAUSE,
        RDPMC,
        SEP,
        SSE,
        SSE2,
        TSC,
        CLFSH,
        UDBG,
    ]
    .contains(&f)
}

/// Encodings where the manuals that iced-x86 follows and this processor part: prefixes that later instructions gave
/// a meaning, hints, and undocumented aliases.
fn lenient(i: &Instruction, bytes: &[u8]) -> bool {
    let opcode = opcode(bytes);
    matches!(
        opcode,
        // Later meanings of F3 with BSF, BSR; hints; 3DNow's prefetch, which this processor lacks.
        0x0fbc | 0x0fbd | 0x0f18
            ..=0x0f1f | 0x0f0d
        // Later meaning of F3 with WBINVD.
        | 0x0f09
        // XBEGIN and XABORT took encodings of MOV; here they are #UD.
        | 0xc6 | 0xc7
        // XOP took encodings of POP; VEX and EVEX those of LES, LDS and BOUND with registers.
        | 0x8f | 0xc4 | 0xc5 | 0x62
    ) || matches!(i.mnemonic(), Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2)
}

/// Opcode after the prefixes, 0Fxxh for two-byte ones.
fn opcode(bytes: &[u8]) -> u16 {
    let mut b = bytes
        .iter()
        .skip_while(|b| matches!(b, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3))
        .map(|&b| u16::from(b));
    match b.next().unwrap_or(0) {
        0x0f => 0x0f00 | b.next().unwrap_or(0),
        n => n,
    }
}

fn check(bytes: &[u8], big: bool) -> Result<(), TestCaseError> {
    let mut d = Decoder::new(if big { 32 } else { 16 }, bytes, DecoderOptions::NONE);
    let theirs = d.decode();
    let Some(ours) = cpu::decode_bytes(bytes, big) else {
        return Err(TestCaseError::fail("needs more than 16 bytes"));
    };
    let here = format!("{bytes:02x?} {big}: {theirs} [{:?}], ours {ours:?}", theirs.cpuid_features());
    if lenient(&theirs, bytes) {
        return Ok(());
    }
    let expected = !theirs.is_invalid() && theirs.cpuid_features().iter().all(|&f| has(f));
    prop_assert_eq!(ours.valid, expected, "{}", here);
    if expected {
        prop_assert_eq!(ours.len, theirs.len(), "{}", here);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_decode_as_iced_does(bytes in any::<[u8; 16]>(), big: bool) {
        check(&bytes, big)?;
    }

    #[test]
    fn random_opcodes_after_random_prefixes_decode_as_iced_does(
        prefixes in proptest::collection::vec(
            proptest::sample::select(&[0x26_u8, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3][..]), 0..4),
        two: bool,
        rest in any::<[u8; 16]>(),
        big: bool,
    ) {
        let mut bytes = prefixes;
        if two {
            bytes.push(0x0f);
        }
        bytes.extend(rest);
        bytes.truncate(16);
        check(&bytes, big)?;
    }
}

#[test]
fn every_opcode_with_every_modrm_decodes_as_iced_does() {
    let mut wrong = Vec::new();
    for big in [false, true] {
        for prefix in [None, Some(0x66), Some(0xf2), Some(0xf3), Some(0xf0), Some(0x67)] {
            for two in [None, Some(0x0f)] {
                for (op, modrm) in (0..=0xff_u8).flat_map(|op| (0..=0xff_u8).map(move |m| (op, m))) {
                    let mut bytes: Vec<u8> = prefix.into_iter().chain(two).collect();
                    bytes.extend([op, modrm, 0x25, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
                    bytes.truncate(16);
                    if let Err(e) = check(&bytes, big) {
                        wrong.push(e.to_string());
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ, such as:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
}

#[test]
fn fifteen_bytes_are_the_most() {
    let mut bytes = vec![0x66; 14];
    bytes.push(0x90);
    assert!(cpu::decode_bytes(&bytes, true).unwrap().valid);
    bytes.insert(0, 0x66);
    assert!(!cpu::decode_bytes(&bytes, true).unwrap().valid);
}

#[test]
fn an_instruction_cut_short_is_no_instruction() {
    assert_eq!(cpu::decode_bytes(&[], true), None);
    assert_eq!(cpu::decode_bytes(&[0x66], true), None);
    assert_eq!(cpu::decode_bytes(&[0xb8, 1, 2, 3], true), None);
    assert_eq!(cpu::decode_bytes(&[0xb8, 1, 2], false).unwrap().len, 3);
}
