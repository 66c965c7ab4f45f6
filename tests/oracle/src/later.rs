//! Instructions that came after the Pentium 4, or from other makers: ours must refuse them.
//!
//! The host cannot be asked: it has most of them. What an encoding was before it got its meaning is fixed by the
//! older manuals: #UD, unless the prefix that makes it new used to mean nothing (LZCNT is BSR with F3).

use iced_x86::{Code, CpuidFeature, EncodingKind, Mnemonic};

use crate::generate::{is_allowed, plain_encoding};
use crate::layout::DATA;

/// What a Pentium 4 does with an encoding of today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Undefined,
    /// Something else, or something the manuals of the time do not settle.
    Other,
}

/// Encodings beyond those of [`is_allowed`] and what they were before. Bytes for 32-bit code, register operands 0,
/// memory operands at a known address.
pub fn encodings() -> Vec<(Code, Vec<u8>, Before)> {
    Code::values()
        .filter(|&c| {
            let info = c.op_code();
            info.is_instruction() && info.mode32() && info.encoding() == EncodingKind::Legacy && !info.fwait()
        })
        .filter(|&c| !is_allowed(c) && c.cpuid_features().iter().any(|&f| is_later(f)))
        .filter_map(|c| Some((c, plain_encoding(c, DATA)?, before(c))))
        .collect()
}

fn is_later(f: CpuidFeature) -> bool {
    use CpuidFeature as F;
    !matches!(
        f,
        F::INTEL8086
            | F::INTEL186
            | F::INTEL286
            | F::INTEL386
            | F::INTEL486
            | F::CPUID
            | F::TSC
            | F::MSR
            | F::RDPMC
            | F::SEP
            | F::SMM
            | F::CMOV
            | F::CX8
            | F::FPU
            | F::FPU287
            | F::FPU387
            | F::FXSR
            | F::MMX
            | F::SSE
            | F::SSE2
            | F::MULTIBYTENOP
            | F::PAUSE
            | F::CLFSH
    )
}

fn before(c: Code) -> Before {
    use CpuidFeature as F;
    let has = |list: &[F]| c.cpuid_features().iter().any(|f| list.contains(f));
    // 0F 18 to 0F 1F are NOPs since the Pentium Pro; F3 used to mean nothing before BSF, BSR and WBINVD; 66 nothing
    // before CLFLUSH; other encodings that only look like these were never on the same opcode map.
    let reused = has(&[
        F::CET_IBT,
        F::CLDEMOTE,
        F::MPX,
        F::PREFETCHITI,
        F::PREFETCHW,
        F::PREFETCHWT1,
        F::BMI1,
        F::LZCNT,
        F::WBNOINVD,
        F::CLFLUSHOPT,
        F::CLWB,
        F::PCOMMIT,
        F::PTWRITE,
        F::UMOV,
        F::INTEL8086_ONLY,
        F::INTEL286_ONLY,
        F::INTEL386_ONLY,
        F::INTEL486_A_ONLY,
        // Cyrix's, where SSE came to be.
        F::CYRIX_EMMI,
        F::CYRIX_SMINT_0F7E,
    ]);
    let named = matches!(
        c.mnemonic(),
        Mnemonic::Rdsspd
            | Mnemonic::Incsspd
            | Mnemonic::Clrssbsy
            | Mnemonic::Umonitor
            | Mnemonic::Umwait
            | Mnemonic::Tpause
    );
    if reused || named { Before::Other } else { Before::Undefined }
}
