//! Opcodes 0F xx. SDM vol. 2, table A-3, and the opcode extensions of table A-6.

use super::attr::{ANY_MOD, BRANCH, LEAVE, LOCK, LOW3, MEM};
use super::{Entry, Imm, any, form, group, op, rm, sized, sse, wide};
use crate::exec::bit::{self, Bt, Btc, Btr, Bts};
use crate::exec::shift::{self, Shld, Shrd};
use crate::exec::{alu, control, misc, mov, muldiv, stack};
use crate::system;

const U: Entry = Entry::Undefined;

pub(crate) static TWO: [Entry; 256] = {
    let mut t = [U; 256];
    let mut n = 0;
    while n < 256 {
        t[n] = entry(n as u8);
        n += 1;
    }
    t
};

/// CMOVcc of condition `$cc`.
macro_rules! cmov {
    ($cc:literal) => {
        [
            mov::cmov::<$cc, u16, true>,
            mov::cmov::<$cc, u16, false>,
            mov::cmov::<$cc, u32, true>,
            mov::cmov::<$cc, u32, false>,
        ]
    };
}

/// MOVZX and MOVSX of source `$s`.
macro_rules! extend {
    ($f:ident, $s:ty) => {
        [
            mov::$f::<u16, $s, true>,
            mov::$f::<u16, $s, false>,
            mov::$f::<u32, $s, true>,
            mov::$f::<u32, $s, false>,
        ]
    };
}

/// XADD, CMPXCHG of bytes.
macro_rules! bytes {
    ($f:ident) => {
        form!(alu::$f; u8)
    };
}

const FROM_CR: Entry = rm("MOV from CR", Imm::None, ANY_MOD, any!(system::mov_from_cr));
const TO_CR: Entry = rm("MOV to CR", Imm::None, ANY_MOD | LEAVE, any!(system::mov_to_cr));

const fn entry(n: u8) -> Entry {
    match n {
        0x00 => group!([
            rm("SLDT", Imm::None, 0, any!(system::sldt)),
            rm("STR", Imm::None, 0, any!(system::str)),
            rm("LLDT", Imm::None, LEAVE, any!(system::lldt)),
            rm("LTR", Imm::None, LEAVE, any!(system::ltr)),
            rm("VERR", Imm::None, 0, any!(system::verr)),
            rm("VERW", Imm::None, 0, any!(system::verw)),
            U,
            U,
        ]),
        0x01 => group!([
            rm("SGDT", Imm::None, MEM, any!(system::sgdt)),
            rm("SIDT", Imm::None, MEM, any!(system::sidt)),
            rm("LGDT", Imm::None, MEM | LEAVE, any!(system::lgdt)),
            rm("LIDT", Imm::None, MEM | LEAVE, any!(system::lidt)),
            rm("SMSW", Imm::None, 0, any!(system::smsw)),
            U,
            rm("LMSW", Imm::None, LEAVE, any!(system::lmsw)),
            rm("INVLPG", Imm::None, MEM | LEAVE, any!(system::invlpg)),
        ]),
        0x02 => rm("LAR", Imm::None, 0, any!(system::lar)),
        0x03 => rm("LSL", Imm::None, 0, any!(system::lsl)),
        0x06 => op("CLTS", Imm::None, LEAVE, any!(system::clts)),
        0x08 => op("INVD", Imm::None, LEAVE, any!(system::invalidate_caches)),
        0x09 => op("WBINVD", Imm::None, LEAVE, any!(system::invalidate_caches)),
        // 0F 18 hints what to fetch; 19-1F are hints that mean nothing to this processor.
        0x18 => Entry::Form { mem: &PREFETCH, reg: &HINT },
        0x19..=0x1f => HINT_OP,
        0x20 => group!([FROM_CR, U, FROM_CR, FROM_CR, FROM_CR, U, U, U]),
        0x21 => rm("MOV from DR", Imm::None, ANY_MOD, any!(system::mov_from_dr)),
        0x22 => group!([TO_CR, U, TO_CR, TO_CR, TO_CR, U, U, U]),
        0x23 => rm("MOV to DR", Imm::None, ANY_MOD | LEAVE, any!(system::mov_to_dr)),
        0x30 => op("WRMSR", Imm::None, LEAVE, any!(system::wrmsr)),
        0x31 => op("RDTSC", Imm::None, LEAVE, any!(system::rdtsc)),
        0x32 => op("RDMSR", Imm::None, LEAVE, any!(system::rdmsr)),
        0x33 => op("RDPMC", Imm::None, LEAVE, any!(system::rdpmc)),
        0x34 => op("SYSENTER", Imm::None, LEAVE, any!(system::sysenter)),
        0x35 => op("SYSEXIT", Imm::None, LEAVE, any!(system::sysexit)),
        0x40 => rm("CMOVO", Imm::None, 0, cmov!(0)),
        0x41 => rm("CMOVNO", Imm::None, 0, cmov!(1)),
        0x42 => rm("CMOVB", Imm::None, 0, cmov!(2)),
        0x43 => rm("CMOVAE", Imm::None, 0, cmov!(3)),
        0x44 => rm("CMOVE", Imm::None, 0, cmov!(4)),
        0x45 => rm("CMOVNE", Imm::None, 0, cmov!(5)),
        0x46 => rm("CMOVBE", Imm::None, 0, cmov!(6)),
        0x47 => rm("CMOVA", Imm::None, 0, cmov!(7)),
        0x48 => rm("CMOVS", Imm::None, 0, cmov!(8)),
        0x49 => rm("CMOVNS", Imm::None, 0, cmov!(9)),
        0x4a => rm("CMOVP", Imm::None, 0, cmov!(10)),
        0x4b => rm("CMOVNP", Imm::None, 0, cmov!(11)),
        0x4c => rm("CMOVL", Imm::None, 0, cmov!(12)),
        0x4d => rm("CMOVGE", Imm::None, 0, cmov!(13)),
        0x4e => rm("CMOVLE", Imm::None, 0, cmov!(14)),
        0x4f => rm("CMOVG", Imm::None, 0, cmov!(15)),
        0x80 => op("JO", Imm::Jz, BRANCH, sized!(control::jcc; 0)),
        0x81 => op("JNO", Imm::Jz, BRANCH, sized!(control::jcc; 1)),
        0x82 => op("JB", Imm::Jz, BRANCH, sized!(control::jcc; 2)),
        0x83 => op("JAE", Imm::Jz, BRANCH, sized!(control::jcc; 3)),
        0x84 => op("JE", Imm::Jz, BRANCH, sized!(control::jcc; 4)),
        0x85 => op("JNE", Imm::Jz, BRANCH, sized!(control::jcc; 5)),
        0x86 => op("JBE", Imm::Jz, BRANCH, sized!(control::jcc; 6)),
        0x87 => op("JA", Imm::Jz, BRANCH, sized!(control::jcc; 7)),
        0x88 => op("JS", Imm::Jz, BRANCH, sized!(control::jcc; 8)),
        0x89 => op("JNS", Imm::Jz, BRANCH, sized!(control::jcc; 9)),
        0x8a => op("JP", Imm::Jz, BRANCH, sized!(control::jcc; 10)),
        0x8b => op("JNP", Imm::Jz, BRANCH, sized!(control::jcc; 11)),
        0x8c => op("JL", Imm::Jz, BRANCH, sized!(control::jcc; 12)),
        0x8d => op("JGE", Imm::Jz, BRANCH, sized!(control::jcc; 13)),
        0x8e => op("JLE", Imm::Jz, BRANCH, sized!(control::jcc; 14)),
        0x8f => op("JG", Imm::Jz, BRANCH, sized!(control::jcc; 15)),
        0x90 => rm("SETO", Imm::None, 0, form!(bit::setcc; 0)),
        0x91 => rm("SETNO", Imm::None, 0, form!(bit::setcc; 1)),
        0x92 => rm("SETB", Imm::None, 0, form!(bit::setcc; 2)),
        0x93 => rm("SETAE", Imm::None, 0, form!(bit::setcc; 3)),
        0x94 => rm("SETE", Imm::None, 0, form!(bit::setcc; 4)),
        0x95 => rm("SETNE", Imm::None, 0, form!(bit::setcc; 5)),
        0x96 => rm("SETBE", Imm::None, 0, form!(bit::setcc; 6)),
        0x97 => rm("SETA", Imm::None, 0, form!(bit::setcc; 7)),
        0x98 => rm("SETS", Imm::None, 0, form!(bit::setcc; 8)),
        0x99 => rm("SETNS", Imm::None, 0, form!(bit::setcc; 9)),
        0x9a => rm("SETP", Imm::None, 0, form!(bit::setcc; 10)),
        0x9b => rm("SETNP", Imm::None, 0, form!(bit::setcc; 11)),
        0x9c => rm("SETL", Imm::None, 0, form!(bit::setcc; 12)),
        0x9d => rm("SETGE", Imm::None, 0, form!(bit::setcc; 13)),
        0x9e => rm("SETLE", Imm::None, 0, form!(bit::setcc; 14)),
        0x9f => rm("SETG", Imm::None, 0, form!(bit::setcc; 15)),

        0xa0 => op("PUSH FS", Imm::None, 0, sized!(stack::push_sreg; 4)),
        0xa1 => op("POP FS", Imm::None, 0, sized!(stack::pop_sreg; 4)),
        0xa2 => op("CPUID", Imm::None, LEAVE, any!(system::cpuid)),
        0xa3 => rm("BT", Imm::None, 0, wide!(bit::rm_r; Bt)),
        0xa4 => rm("SHLD", Imm::Ib, 0, wide!(shift::double_imm; Shld)),
        0xa5 => rm("SHLD", Imm::None, 0, wide!(shift::double_cl; Shld)),
        0xa8 => op("PUSH GS", Imm::None, 0, sized!(stack::push_sreg; 5)),
        0xa9 => op("POP GS", Imm::None, 0, sized!(stack::pop_sreg; 5)),
        // 0F AA, RSM, is #UD outside system management mode, which this processor never enters.
        0xab => rm("BTS", Imm::None, LOCK, wide!(bit::rm_r; Bts)),
        0xac => rm("SHRD", Imm::Ib, 0, wide!(shift::double_imm; Shrd)),
        0xad => rm("SHRD", Imm::None, 0, wide!(shift::double_cl; Shrd)),
        0xaf => rm("IMUL", Imm::None, 0, wide!(muldiv::imul_r_rm)),
        0xb0 => rm("CMPXCHG", Imm::None, LOCK, bytes!(cmpxchg)),
        0xb1 => rm("CMPXCHG", Imm::None, LOCK, wide!(alu::cmpxchg)),
        0xb2 => rm("LSS", Imm::None, MEM | LEAVE, sized!(mov::load_far; 2)),
        0xb3 => rm("BTR", Imm::None, LOCK, wide!(bit::rm_r; Btr)),
        0xb4 => rm("LFS", Imm::None, MEM | LEAVE, sized!(mov::load_far; 4)),
        0xb5 => rm("LGS", Imm::None, MEM | LEAVE, sized!(mov::load_far; 5)),
        0xb6 => rm("MOVZX", Imm::None, 0, extend!(movzx, u8)),
        0xb7 => rm("MOVZX", Imm::None, 0, extend!(movzx, u16)),
        // Defined to be undefined, with an operand that is not accessed.
        0xb9 => rm("UD1", Imm::None, 0, any!(misc::ud)),
        0xff => rm("UD0", Imm::None, 0, any!(misc::ud)),
        0xba => group!([
            U,
            U,
            U,
            U,
            rm("BT", Imm::Ib, 0, wide!(bit::rm_i; Bt)),
            rm("BTS", Imm::Ib, LOCK, wide!(bit::rm_i; Bts)),
            rm("BTR", Imm::Ib, LOCK, wide!(bit::rm_i; Btr)),
            rm("BTC", Imm::Ib, LOCK, wide!(bit::rm_i; Btc)),
        ]),
        0xbb => rm("BTC", Imm::None, LOCK, wide!(bit::rm_r; Btc)),
        0xbc => rm("BSF", Imm::None, 0, wide!(bit::bsf)),
        0xbd => rm("BSR", Imm::None, 0, wide!(bit::bsr)),
        0xbe => rm("MOVSX", Imm::None, 0, extend!(movsx, u8)),
        0xbf => rm("MOVSX", Imm::None, 0, extend!(movsx, u16)),
        0xc0 => rm("XADD", Imm::None, LOCK, bytes!(xadd)),
        0xc1 => rm("XADD", Imm::None, LOCK, wide!(alu::xadd)),
        0xc3 => Entry::Prefix(const { &[rm("MOVNTI", Imm::None, MEM, any!(mov::movnti)), U, U, U] }),
        0xc7 => group!([U, rm("CMPXCHG8B", Imm::None, LOCK | MEM, any!(alu::cmpxchg8b)), U, U, U, U, U, U]),
        0xc8..=0xcf => op("BSWAP", Imm::None, LOW3, [bit::bswap16, bit::bswap16, bit::bswap32, bit::bswap32]),
        _ => sse::entry(n),
    }
}

const HINT_OP: Entry = rm("hint NOP", Imm::None, 0, any!(misc::nop));
static HINT: Entry = HINT_OP;
static PREFETCH: Entry = Entry::Group(&[
    rm("PREFETCHNTA", Imm::None, 0, any!(misc::nop)),
    rm("PREFETCHT0", Imm::None, 0, any!(misc::nop)),
    rm("PREFETCHT1", Imm::None, 0, any!(misc::nop)),
    rm("PREFETCHT2", Imm::None, 0, any!(misc::nop)),
    HINT_OP,
    HINT_OP,
    HINT_OP,
    HINT_OP,
]);
