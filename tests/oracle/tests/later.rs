//! What came after the Pentium 4 is undefined on ours.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use oracle::compare::hex;
use oracle::generate::Case;
use oracle::guest::Guest;
use oracle::later::{Before, encodings};
use oracle::layout::{CODE, Memory};
use oracle::snapshot::Stop;

const UNDEFINED: Stop = Stop::Fault { vector: 6, error: 0, address: 0 };

fn ends_undefined(guest: &mut Guest<cpu::SoftCpu>, bytes: &[u8]) -> bool {
    let case = Case::of_bytes(bytes);
    let mut memory = Memory::default();
    case.place(&mut memory);
    guest.load(&memory);
    let (end, _) = guest.run(&case);
    end.stop == UNDEFINED && end.regs.eip == CODE
}

#[test]
fn later_instructions_are_undefined() {
    let mut guest = Guest::new(&cpu::Software::new()).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (code, bytes, before) in encodings() {
        if before == Before::Undefined {
            count += 1;
            if !ends_undefined(&mut guest, &bytes) {
                wrong.push(format!("{code:?}: {}", hex(&bytes)));
            }
        }
    }
    assert!(count > 150, "only {count} encodings");
    assert!(wrong.is_empty(), "{} of {count} are not #UD:\n{}", wrong.len(), wrong.join("\n"));
}

/// The escapes of VEX, EVEX, XOP and 3DNow are LES, LDS, BOUND and POP with a register, and a hole in the map.
#[test]
fn escapes_to_later_maps_are_undefined() {
    let mut guest = Guest::new(&cpu::Software::new()).unwrap();
    let cases: [&[u8]; 7] = [
        &[0xc5, 0xf8, 0x77],                   // VZEROUPPER
        &[0xc5, 0xfc, 0x58, 0xc0],             // VADDPS ymm
        &[0xc4, 0xe2, 0x78, 0xf2, 0xc0],       // ANDN
        &[0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0], // VADDPS zmm
        &[0x8f, 0xe9, 0x78, 0x01, 0xc8],       // XOP
        &[0x0f, 0x0f, 0xc0, 0x9e],             // PFADD
        &[0x0f, 0x3a, 0x0f, 0xc0, 0x01],       // PALIGNR
    ];
    for bytes in cases {
        assert!(ends_undefined(&mut guest, bytes), "{}", hex(bytes));
    }
}

/// Prefixes that make later instructions of old ones mean nothing here.
#[test]
fn prefixed_forms_keep_their_old_meaning() {
    let mut guest = Guest::new(&cpu::Software::new()).unwrap();
    let mut run = |bytes: &[u8], ecx: u32| {
        let mut case = Case::of_bytes(bytes);
        case.regs.gpr[1] = ecx;
        let mut memory = Memory::default();
        case.place(&mut memory);
        guest.load(&memory);
        let (end, _) = guest.run(&case);
        (end.stop, end.regs.gpr[0])
    };
    // LZCNT and TZCNT eax, ecx are BSR and BSF.
    assert_eq!(run(&[0xf3, 0x0f, 0xbd, 0xc1], 0x0001_0000), (Stop::Exit, 16));
    assert_eq!(run(&[0xf3, 0x0f, 0xbc, 0xc1], 0x0001_0000), (Stop::Exit, 16));
    // ENDBR32 and the other hints are NOPs.
    assert_eq!(run(&[0xf3, 0x0f, 0x1e, 0xfb], 0), (Stop::Exit, 0));
    assert_eq!(run(&[0x0f, 0x1c, 0x05, 0, 0, 0x04, 0x10], 0), (Stop::Exit, 0));
    // POPCNT had no instruction under it.
    assert_eq!(run(&[0xf3, 0x0f, 0xb8, 0xc1], 1).0, UNDEFINED);
}
