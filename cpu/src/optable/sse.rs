//! The MMX, SSE and SSE2 rows of 0F xx, with FXSAVE and its kin. SDM vol. 2, tables.
//!
//! Columns of a row: no prefix, 66, F3, F2. What came with SSE3 and later is undefined.

use super::attr::{MEM, MODRM, REG};
use super::{Entry, Imm, any, op};
use crate::insn::Handler;
use crate::mmx;
use crate::softfloat::{F32, F64};
use crate::sse::convert::{
    cvt_scalar, cvt2si, cvtdq2pd, cvtdq2ps, cvtpd2dq, cvtpd2pi, cvtpd2ps, cvtpi2pd, cvtpi2ps, cvtps2dq,
    cvtps2pd, cvtps2pi, cvtsi2,
};
use crate::sse::estimate;
use crate::sse::float::{self, Add, Div, Max, Min, Mul, Sqrt, Sub};
use crate::sse::integer;
use crate::sse::mov::{
    clflush, fence, ldmxcsr, load, load_aligned, movd_load, movd_store, movdq2q, movhlps, movhps_load,
    movhps_store, movlps_load, movlps_store, movmskpd, movmskps, movq_load, movq_store, movq2dq, movsd_load,
    movsd_store, movss_load, movss_store, shufpd, shufps, stmxcsr, store, store_aligned,
};
use crate::sse::packed::*;
use crate::x87::control::{fxrstor, fxsave};

const U: Entry = Entry::Undefined;

const fn x(name: &'static str, h: Handler) -> Entry {
    op(name, Imm::None, MODRM, any!(h))
}

/// With an immediate byte.
const fn i(name: &'static str, h: Handler) -> Entry {
    op(name, Imm::Ib, MODRM, any!(h))
}

/// Register form only.
const fn r(name: &'static str, h: Handler) -> Entry {
    op(name, Imm::None, MODRM | REG, any!(h))
}

const fn ri(name: &'static str, h: Handler) -> Entry {
    op(name, Imm::Ib, MODRM | REG, any!(h))
}

/// Memory form only.
const fn m(name: &'static str, h: Handler) -> Entry {
    op(name, Imm::None, MODRM | MEM, any!(h))
}

/// By mandatory prefix.
macro_rules! p {
    ($none:expr, $p66:expr, $f3:expr, $f2:expr) => {
        Entry::Prefix(const { &[$none, $p66, $f3, $f2] })
    };
}

/// An integer operation on MMX and XMM registers alike.
macro_rules! both {
    ($name:literal, $o:ty) => {
        p!(x($name, mmx::op::<$o>), x($name, integer::op::<$o>), U, U)
    };
}

/// PUNPCKL*: the MMX form reads 32 bits of memory.
macro_rules! low {
    ($name:literal, $o:ty) => {
        p!(x($name, mmx::unpack_low::<$o>), x($name, integer::op::<$o>), U, U)
    };
}

macro_rules! shift {
    ($name:literal, $s:ty) => {
        p!(x($name, mmx::shift::<$s>), x($name, integer::shift::<$s>), U, U)
    };
}

macro_rules! shift_imm {
    ($name:literal, $s:ty) => {
        p!(ri($name, mmx::shift_imm::<$s>), ri($name, integer::shift_imm::<$s>), U, U)
    };
}

/// Packed single, packed double, scalar single, scalar double.
macro_rules! arith {
    ($ps:literal, $pd:literal, $ss:literal, $sd:literal, $o:ty) => {
        p!(
            x($ps, float::packed::<$o, F32>),
            x($pd, float::packed::<$o, F64>),
            x($ss, float::scalar::<$o, F32>),
            x($sd, float::scalar::<$o, F64>)
        )
    };
}

/// On bits, whatever they mean.
macro_rules! logic {
    ($ps:literal, $pd:literal, $o:ty) => {
        p!(x($ps, integer::op::<$o>), x($pd, integer::op::<$o>), U, U)
    };
}

macro_rules! form {
    ($mem:expr, $reg:expr) => {
        Entry::Form { mem: const { &$mem }, reg: const { &$reg } }
    };
}

macro_rules! group {
    ($e:expr) => {
        Entry::Group(const { &$e })
    };
}

pub(super) const fn entry(n: u8) -> Entry {
    match n {
        0x10 => p!(x("MOVUPS", load), x("MOVUPD", load), x("MOVSS", movss_load), x("MOVSD", movsd_load)),
        0x11 => p!(x("MOVUPS", store), x("MOVUPD", store), x("MOVSS", movss_store), x("MOVSD", movsd_store)),
        0x12 => p!(form!(x("MOVLPS", movlps_load), x("MOVHLPS", movhlps)), m("MOVLPD", movlps_load), U, U),
        0x13 => p!(m("MOVLPS", movlps_store), m("MOVLPD", movlps_store), U, U),
        0x14 => p!(x("UNPCKLPS", integer::op::<Punpckldq>), x("UNPCKLPD", integer::op::<Punpcklqdq>), U, U),
        0x15 => p!(x("UNPCKHPS", integer::op::<Punpckhdq>), x("UNPCKHPD", integer::op::<Punpckhqdq>), U, U),
        0x16 => {
            p!(form!(x("MOVHPS", movhps_load), x("MOVLHPS", movhps_load)), m("MOVHPD", movhps_load), U, U)
        }
        0x17 => p!(m("MOVHPS", movhps_store), m("MOVHPD", movhps_store), U, U),
        0x28 => p!(x("MOVAPS", load_aligned), x("MOVAPD", load_aligned), U, U),
        0x29 => p!(x("MOVAPS", store_aligned), x("MOVAPD", store_aligned), U, U),
        0x2a => p!(
            x("CVTPI2PS", cvtpi2ps),
            x("CVTPI2PD", cvtpi2pd),
            x("CVTSI2SS", cvtsi2::<F32>),
            x("CVTSI2SD", cvtsi2::<F64>)
        ),
        0x2b => p!(m("MOVNTPS", store_aligned), m("MOVNTPD", store_aligned), U, U),
        0x2c => p!(
            x("CVTTPS2PI", cvtps2pi::<true>),
            x("CVTTPD2PI", cvtpd2pi::<true>),
            x("CVTTSS2SI", cvt2si::<F32, true>),
            x("CVTTSD2SI", cvt2si::<F64, true>)
        ),
        0x2d => p!(
            x("CVTPS2PI", cvtps2pi::<false>),
            x("CVTPD2PI", cvtpd2pi::<false>),
            x("CVTSS2SI", cvt2si::<F32, false>),
            x("CVTSD2SI", cvt2si::<F64, false>)
        ),
        0x2e => p!(x("UCOMISS", float::comis::<F32, true>), x("UCOMISD", float::comis::<F64, true>), U, U),
        0x2f => p!(x("COMISS", float::comis::<F32, false>), x("COMISD", float::comis::<F64, false>), U, U),
        0x50 => p!(r("MOVMSKPS", movmskps), r("MOVMSKPD", movmskpd), U, U),
        0x51 => arith!("SQRTPS", "SQRTPD", "SQRTSS", "SQRTSD", Sqrt),
        0x52 => p!(x("RSQRTPS", estimate::packed::<true>), U, x("RSQRTSS", estimate::scalar::<true>), U),
        0x53 => p!(x("RCPPS", estimate::packed::<false>), U, x("RCPSS", estimate::scalar::<false>), U),
        0x54 => logic!("ANDPS", "ANDPD", Pand),
        0x55 => logic!("ANDNPS", "ANDNPD", Pandn),
        0x56 => logic!("ORPS", "ORPD", Por),
        0x57 => logic!("XORPS", "XORPD", Pxor),
        0x58 => arith!("ADDPS", "ADDPD", "ADDSS", "ADDSD", Add),
        0x59 => arith!("MULPS", "MULPD", "MULSS", "MULSD", Mul),
        0x5a => p!(
            x("CVTPS2PD", cvtps2pd),
            x("CVTPD2PS", cvtpd2ps),
            x("CVTSS2SD", cvt_scalar::<F32, F64>),
            x("CVTSD2SS", cvt_scalar::<F64, F32>)
        ),
        0x5b => {
            p!(x("CVTDQ2PS", cvtdq2ps), x("CVTPS2DQ", cvtps2dq::<false>), x("CVTTPS2DQ", cvtps2dq::<true>), U)
        }
        0x5c => arith!("SUBPS", "SUBPD", "SUBSS", "SUBSD", Sub),
        0x5d => arith!("MINPS", "MINPD", "MINSS", "MINSD", Min),
        0x5e => arith!("DIVPS", "DIVPD", "DIVSS", "DIVSD", Div),
        0x5f => arith!("MAXPS", "MAXPD", "MAXSS", "MAXSD", Max),
        0x60 => low!("PUNPCKLBW", Punpcklbw),
        0x61 => low!("PUNPCKLWD", Punpcklwd),
        0x62 => low!("PUNPCKLDQ", Punpckldq),
        0x63 => both!("PACKSSWB", Packsswb),
        0x64 => both!("PCMPGTB", Pcmpgtb),
        0x65 => both!("PCMPGTW", Pcmpgtw),
        0x66 => both!("PCMPGTD", Pcmpgtd),
        0x67 => both!("PACKUSWB", Packuswb),
        0x68 => both!("PUNPCKHBW", Punpckhbw),
        0x69 => both!("PUNPCKHWD", Punpckhwd),
        0x6a => both!("PUNPCKHDQ", Punpckhdq),
        0x6b => both!("PACKSSDW", Packssdw),
        0x6c => p!(U, x("PUNPCKLQDQ", integer::op::<Punpcklqdq>), U, U),
        0x6d => p!(U, x("PUNPCKHQDQ", integer::op::<Punpckhqdq>), U, U),
        0x6e => p!(x("MOVD", mmx::movd_load), x("MOVD", movd_load), U, U),
        0x6f => p!(x("MOVQ", mmx::movq_load), x("MOVDQA", load_aligned), x("MOVDQU", load), U),
        0x70 => p!(
            i("PSHUFW", mmx::pshufw),
            i("PSHUFD", integer::pshufd),
            i("PSHUFHW", integer::pshufhw),
            i("PSHUFLW", integer::pshuflw)
        ),
        0x71 => group!([
            U,
            U,
            shift_imm!("PSRLW", Psrlw),
            U,
            shift_imm!("PSRAW", Psraw),
            U,
            shift_imm!("PSLLW", Psllw),
            U
        ]),
        0x72 => group!([
            U,
            U,
            shift_imm!("PSRLD", Psrld),
            U,
            shift_imm!("PSRAD", Psrad),
            U,
            shift_imm!("PSLLD", Pslld),
            U
        ]),
        0x73 => group!([
            U,
            U,
            shift_imm!("PSRLQ", Psrlq),
            p!(U, ri("PSRLDQ", integer::shift_bytes::<false>), U, U),
            U,
            U,
            shift_imm!("PSLLQ", Psllq),
            p!(U, ri("PSLLDQ", integer::shift_bytes::<true>), U, U)
        ]),
        0x74 => both!("PCMPEQB", Pcmpeqb),
        0x75 => both!("PCMPEQW", Pcmpeqw),
        0x76 => both!("PCMPEQD", Pcmpeqd),
        0x77 => p!(op("EMMS", Imm::None, 0, any!(mmx::emms)), U, U, U),
        0x7e => p!(x("MOVD", mmx::movd_store), x("MOVD", movd_store), x("MOVQ", movq_load), U),
        0x7f => p!(x("MOVQ", mmx::movq_store), x("MOVDQA", store_aligned), x("MOVDQU", store), U),
        0xae => p!(
            form!(
                group!([
                    m("FXSAVE", fxsave),
                    m("FXRSTOR", fxrstor),
                    m("LDMXCSR", ldmxcsr),
                    m("STMXCSR", stmxcsr),
                    U,
                    U,
                    U,
                    m("CLFLUSH", clflush)
                ]),
                group!([U, U, U, U, U, r("LFENCE", fence), r("MFENCE", fence), r("SFENCE", fence)])
            ),
            U,
            U,
            U
        ),
        0xc2 => p!(
            i("CMPPS", float::cmp_packed::<F32>),
            i("CMPPD", float::cmp_packed::<F64>),
            i("CMPSS", float::cmp_scalar::<F32>),
            i("CMPSD", float::cmp_scalar::<F64>)
        ),
        0xc4 => p!(i("PINSRW", mmx::pinsrw), i("PINSRW", integer::pinsrw), U, U),
        0xc5 => p!(ri("PEXTRW", mmx::pextrw), ri("PEXTRW", integer::pextrw), U, U),
        0xc6 => p!(i("SHUFPS", shufps), i("SHUFPD", shufpd), U, U),
        0xd1 => shift!("PSRLW", Psrlw),
        0xd2 => shift!("PSRLD", Psrld),
        0xd3 => shift!("PSRLQ", Psrlq),
        0xd4 => both!("PADDQ", Paddq),
        0xd5 => both!("PMULLW", Pmullw),
        0xd6 => p!(U, x("MOVQ", movq_store), r("MOVQ2DQ", movq2dq), r("MOVDQ2Q", movdq2q)),
        0xd7 => p!(r("PMOVMSKB", mmx::pmovmskb), r("PMOVMSKB", integer::pmovmskb), U, U),
        0xd8 => both!("PSUBUSB", Psubusb),
        0xd9 => both!("PSUBUSW", Psubusw),
        0xda => both!("PMINUB", Pminub),
        0xdb => both!("PAND", Pand),
        0xdc => both!("PADDUSB", Paddusb),
        0xdd => both!("PADDUSW", Paddusw),
        0xde => both!("PMAXUB", Pmaxub),
        0xdf => both!("PANDN", Pandn),
        0xe0 => both!("PAVGB", Pavgb),
        0xe1 => shift!("PSRAW", Psraw),
        0xe2 => shift!("PSRAD", Psrad),
        0xe3 => both!("PAVGW", Pavgw),
        0xe4 => both!("PMULHUW", Pmulhuw),
        0xe5 => both!("PMULHW", Pmulhw),
        0xe6 => {
            p!(U, x("CVTTPD2DQ", cvtpd2dq::<true>), x("CVTDQ2PD", cvtdq2pd), x("CVTPD2DQ", cvtpd2dq::<false>))
        }
        0xe7 => p!(m("MOVNTQ", mmx::movq_store), m("MOVNTDQ", store_aligned), U, U),
        0xe8 => both!("PSUBSB", Psubsb),
        0xe9 => both!("PSUBSW", Psubsw),
        0xea => both!("PMINSW", Pminsw),
        0xeb => both!("POR", Por),
        0xec => both!("PADDSB", Paddsb),
        0xed => both!("PADDSW", Paddsw),
        0xee => both!("PMAXSW", Pmaxsw),
        0xef => both!("PXOR", Pxor),
        0xf1 => shift!("PSLLW", Psllw),
        0xf2 => shift!("PSLLD", Pslld),
        0xf3 => shift!("PSLLQ", Psllq),
        0xf4 => both!("PMULUDQ", Pmuludq),
        0xf5 => both!("PMADDWD", Pmaddwd),
        0xf6 => both!("PSADBW", Psadbw),
        0xf7 => p!(r("MASKMOVQ", mmx::maskmovq), r("MASKMOVDQU", integer::maskmovdqu), U, U),
        0xf8 => both!("PSUBB", Psubb),
        0xf9 => both!("PSUBW", Psubw),
        0xfa => both!("PSUBD", Psubd),
        0xfb => both!("PSUBQ", Psubq),
        0xfc => both!("PADDB", Paddb),
        0xfd => both!("PADDW", Paddw),
        0xfe => both!("PADDD", Paddd),
        _ => U,
    }
}
