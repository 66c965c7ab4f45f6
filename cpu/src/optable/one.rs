//! One-byte opcodes. SDM vol. 2, table A-2, and the opcode extensions of table A-6.

use super::attr::{BRANCH, JUMP, LEAVE, LOCK, LOW3, MEM};
use super::{Entry, Imm, any, byte, form, group, op, rm, sized, wide, x87};
use crate::exec::alu::{self, Adc, Add, And, Cmp, Or, Sbb, Sub, Test, Xor};
use crate::exec::control::{self, Always, WhileNotZero, WhileZero};
use crate::exec::shift::{self, Rcl, Rcr, Rol, Ror, Sar, Shl, Shr};
use crate::exec::{bcd, misc, mov, muldiv, port, stack, string};
use crate::system;

const U: Entry = Entry::Undefined;

pub(crate) static ONE: [Entry; 256] = {
    let mut t = [U; 256];
    let mut n = 0;
    while n < 256 {
        t[n] = entry(n as u8);
        n += 1;
    }
    t
};

/// Shift group with the given forms of operand size and count.
macro_rules! shifts {
    ($size:ident, $f:ident, $imm:expr) => {
        group!([
            rm("ROL", $imm, 0, $size!(shift::$f; Rol)),
            rm("ROR", $imm, 0, $size!(shift::$f; Ror)),
            rm("RCL", $imm, 0, $size!(shift::$f; Rcl)),
            rm("RCR", $imm, 0, $size!(shift::$f; Rcr)),
            rm("SHL", $imm, 0, $size!(shift::$f; Shl)),
            rm("SHR", $imm, 0, $size!(shift::$f; Shr)),
            rm("SAL", $imm, 0, $size!(shift::$f; Shl)), // not documented, an alias of /4
            rm("SAR", $imm, 0, $size!(shift::$f; Sar)),
        ])
    };
}

/// IN and OUT of a word or doubleword.
macro_rules! ports {
    ($($f:ident)::+, $imm:literal) => {
        [$($f)::+::<u16, $imm>, $($f)::+::<u16, $imm>, $($f)::+::<u32, $imm>, $($f)::+::<u32, $imm>]
    };
}

/// Immediate group 1.
macro_rules! immediates {
    ($size:ident, $imm:expr) => {
        group!([
            rm("ADD", $imm, LOCK, $size!(alu::rm_i; Add)),
            rm("OR", $imm, LOCK, $size!(alu::rm_i; Or)),
            rm("ADC", $imm, LOCK, $size!(alu::rm_i; Adc)),
            rm("SBB", $imm, LOCK, $size!(alu::rm_i; Sbb)),
            rm("AND", $imm, LOCK, $size!(alu::rm_i; And)),
            rm("SUB", $imm, LOCK, $size!(alu::rm_i; Sub)),
            rm("XOR", $imm, LOCK, $size!(alu::rm_i; Xor)),
            rm("CMP", $imm, 0, $size!(alu::rm_i; Cmp)),
        ])
    };
}

/// The first six opcodes of an arithmetic row: `$n` is the opcode's low three bits.
macro_rules! arithmetic {
    ($name:literal, $o:ident, $lock:expr, $n:expr) => {
        match $n & 7 {
            0 => rm($name, Imm::None, $lock, byte!(alu::rm_r; $o)),
            1 => rm($name, Imm::None, $lock, wide!(alu::rm_r; $o)),
            2 => rm($name, Imm::None, 0, byte!(alu::r_rm; $o)),
            3 => rm($name, Imm::None, 0, wide!(alu::r_rm; $o)),
            4 => op($name, Imm::Ib, 0, byte!(alu::rm_i; $o)),
            _ => op($name, Imm::Iz, 0, wide!(alu::rm_i; $o)),
        }
    };
}

const FROM_SREG: Entry = rm("MOV from Sreg", Imm::None, 0, wide!(mov::rm_sreg));
/// A data segment that is not flat any more ends the block by itself.
const TO_SREG: Entry = rm("MOV to Sreg", Imm::None, 0, form!(mov::sreg_rm));
const TO_SS: Entry = rm("MOV to Sreg", Imm::None, LEAVE, form!(mov::sreg_rm));

const fn entry(n: u8) -> Entry {
    match n {
        0x26 => Entry::Decoder("ES:"),
        0x2e => Entry::Decoder("CS:"),
        0x36 => Entry::Decoder("SS:"),
        0x3e => Entry::Decoder("DS:"),
        0x64 => Entry::Decoder("FS:"),
        0x65 => Entry::Decoder("GS:"),
        0x66 => Entry::Decoder("operand size"),
        0x67 => Entry::Decoder("address size"),
        0xf0 => Entry::Decoder("LOCK"),
        0xf2 => Entry::Decoder("REPNE"),
        0xf3 => Entry::Decoder("REP"),
        0x0f => Entry::Decoder("two-byte opcodes"),

        0x06 => op("PUSH ES", Imm::None, 0, sized!(stack::push_sreg; 0)),
        0x07 => op("POP ES", Imm::None, 0, sized!(stack::pop_sreg; 0)),
        0x0e => op("PUSH CS", Imm::None, 0, sized!(stack::push_sreg; 1)),
        0x16 => op("PUSH SS", Imm::None, 0, sized!(stack::push_sreg; 2)),
        0x17 => op("POP SS", Imm::None, LEAVE, sized!(stack::pop_sreg; 2)),
        0x1e => op("PUSH DS", Imm::None, 0, sized!(stack::push_sreg; 3)),
        0x1f => op("POP DS", Imm::None, 0, sized!(stack::pop_sreg; 3)),
        0x27 => op("DAA", Imm::None, 0, any!(bcd::daa)),
        0x2f => op("DAS", Imm::None, 0, any!(bcd::das)),
        0x37 => op("AAA", Imm::None, 0, any!(bcd::aaa)),
        0x3f => op("AAS", Imm::None, 0, any!(bcd::aas)),
        0x00..=0x05 => arithmetic!("ADD", Add, LOCK, n),
        0x08..=0x0d => arithmetic!("OR", Or, LOCK, n),
        0x10..=0x15 => arithmetic!("ADC", Adc, LOCK, n),
        0x18..=0x1d => arithmetic!("SBB", Sbb, LOCK, n),
        0x20..=0x25 => arithmetic!("AND", And, LOCK, n),
        0x28..=0x2d => arithmetic!("SUB", Sub, LOCK, n),
        0x30..=0x35 => arithmetic!("XOR", Xor, LOCK, n),
        0x38..=0x3d => arithmetic!("CMP", Cmp, 0, n),

        0x40..=0x47 => op("INC", Imm::None, LOW3, wide!(alu::inc)),
        0x48..=0x4f => op("DEC", Imm::None, LOW3, wide!(alu::dec)),
        0x50..=0x57 => op("PUSH", Imm::None, LOW3, sized!(stack::push_r)),
        0x58..=0x5f => op("POP", Imm::None, LOW3, sized!(stack::pop_r)),
        0x60 => op("PUSHA", Imm::None, 0, sized!(stack::pusha)),
        0x61 => op("POPA", Imm::None, 0, sized!(stack::popa)),
        0x62 => rm("BOUND", Imm::None, MEM, sized!(misc::bound)),
        0x63 => rm("ARPL", Imm::None, 0, any!(system::arpl)),
        0x68 => op("PUSH", Imm::Iz, 0, sized!(stack::push_i)),
        0x69 => rm("IMUL", Imm::Iz, 0, wide!(muldiv::imul_r_rm_i)),
        0x6a => op("PUSH", Imm::Is, 0, sized!(stack::push_i)),
        0x6b => rm("IMUL", Imm::Is, 0, wide!(muldiv::imul_r_rm_i)),
        0x6c => op("INSB", Imm::None, LEAVE, any!(string::ins::<u8>)),
        0x6d => op("INS", Imm::None, LEAVE, sized!(string::ins)),
        0x6e => op("OUTSB", Imm::None, LEAVE, any!(string::outs::<u8>)),
        0x6f => op("OUTS", Imm::None, LEAVE, sized!(string::outs)),
        0x70 => op("JO", Imm::Jb, BRANCH, sized!(control::jcc; 0)),
        0x71 => op("JNO", Imm::Jb, BRANCH, sized!(control::jcc; 1)),
        0x72 => op("JB", Imm::Jb, BRANCH, sized!(control::jcc; 2)),
        0x73 => op("JAE", Imm::Jb, BRANCH, sized!(control::jcc; 3)),
        0x74 => op("JE", Imm::Jb, BRANCH, sized!(control::jcc; 4)),
        0x75 => op("JNE", Imm::Jb, BRANCH, sized!(control::jcc; 5)),
        0x76 => op("JBE", Imm::Jb, BRANCH, sized!(control::jcc; 6)),
        0x77 => op("JA", Imm::Jb, BRANCH, sized!(control::jcc; 7)),
        0x78 => op("JS", Imm::Jb, BRANCH, sized!(control::jcc; 8)),
        0x79 => op("JNS", Imm::Jb, BRANCH, sized!(control::jcc; 9)),
        0x7a => op("JP", Imm::Jb, BRANCH, sized!(control::jcc; 10)),
        0x7b => op("JNP", Imm::Jb, BRANCH, sized!(control::jcc; 11)),
        0x7c => op("JL", Imm::Jb, BRANCH, sized!(control::jcc; 12)),
        0x7d => op("JGE", Imm::Jb, BRANCH, sized!(control::jcc; 13)),
        0x7e => op("JLE", Imm::Jb, BRANCH, sized!(control::jcc; 14)),
        0x7f => op("JG", Imm::Jb, BRANCH, sized!(control::jcc; 15)),

        0x80 | 0x82 => immediates!(byte, Imm::Ib),
        0x81 => immediates!(wide, Imm::Iz),
        0x83 => immediates!(wide, Imm::Is),
        0x84 => rm("TEST", Imm::None, 0, byte!(alu::rm_r; Test)),
        0x85 => rm("TEST", Imm::None, 0, wide!(alu::rm_r; Test)),
        0x86 => rm("XCHG", Imm::None, LOCK, byte!(mov::xchg)),
        0x87 => rm("XCHG", Imm::None, LOCK, wide!(mov::xchg)),
        0x88 => rm("MOV", Imm::None, 0, byte!(mov::rm_r)),
        0x89 => rm("MOV", Imm::None, 0, wide!(mov::rm_r)),
        0x8a => rm("MOV", Imm::None, 0, byte!(mov::r_rm)),
        0x8b => rm("MOV", Imm::None, 0, wide!(mov::r_rm)),
        0x8c => group!([FROM_SREG, FROM_SREG, FROM_SREG, FROM_SREG, FROM_SREG, FROM_SREG, U, U]),
        0x8d => rm("LEA", Imm::None, MEM, sized!(mov::lea)),
        0x8e => group!([TO_SREG, U, TO_SS, TO_SREG, TO_SREG, TO_SREG, U, U]),
        0x8f => group!([rm("POP", Imm::None, 0, wide!(stack::pop_rm)), U, U, U, U, U, U, U]),

        0x90 => op("NOP", Imm::None, 0, any!(misc::nop)),
        0x91..=0x97 => op("XCHG", Imm::None, LOW3, sized!(mov::xchg_acc)),
        0x98 => op("CBW", Imm::None, 0, [muldiv::cbw, muldiv::cbw, muldiv::cwde, muldiv::cwde]),
        0x99 => op("CWD", Imm::None, 0, sized!(muldiv::cwd)),
        0x9a => op("CALL far", Imm::Ap, LEAVE, any!(system::call_far_imm)),
        0x9b => x87::WAIT,
        0x9c => op("PUSHF", Imm::None, 0, any!(system::pushf)),
        0x9d => op("POPF", Imm::None, LEAVE, any!(system::popf)),
        0x9e => op("SAHF", Imm::None, 0, any!(mov::sahf)),
        0x9f => op("LAHF", Imm::None, 0, any!(mov::lahf)),

        0xa0 => op("MOV", Imm::Moffs, 0, byte!(mov::r_rm)),
        0xa1 => op("MOV", Imm::Moffs, 0, wide!(mov::r_rm)),
        0xa2 => op("MOV", Imm::Moffs, 0, byte!(mov::rm_r)),
        0xa3 => op("MOV", Imm::Moffs, 0, wide!(mov::rm_r)),
        0xa4 => op("MOVSB", Imm::None, 0, any!(string::movs::<u8>)),
        0xa5 => op("MOVS", Imm::None, 0, sized!(string::movs)),
        0xa6 => op("CMPSB", Imm::None, 0, any!(string::cmps::<u8>)),
        0xa7 => op("CMPS", Imm::None, 0, sized!(string::cmps)),
        0xa8 => op("TEST", Imm::Ib, 0, byte!(alu::rm_i; Test)),
        0xa9 => op("TEST", Imm::Iz, 0, wide!(alu::rm_i; Test)),
        0xaa => op("STOSB", Imm::None, 0, any!(string::stos::<u8>)),
        0xab => op("STOS", Imm::None, 0, sized!(string::stos)),
        0xac => op("LODSB", Imm::None, 0, any!(string::lods::<u8>)),
        0xad => op("LODS", Imm::None, 0, sized!(string::lods)),
        0xae => op("SCASB", Imm::None, 0, any!(string::scas::<u8>)),
        0xaf => op("SCAS", Imm::None, 0, sized!(string::scas)),
        0xb0..=0xb7 => op("MOV", Imm::Ib, LOW3, byte!(mov::rm_i)),
        0xb8..=0xbf => op("MOV", Imm::Iz, LOW3, wide!(mov::rm_i)),

        0xc0 => shifts!(byte, by_imm, Imm::Ib),
        0xc1 => shifts!(wide, by_imm, Imm::Ib),
        0xc2 => op("RET", Imm::Iw, JUMP, sized!(control::ret)),
        0xc3 => op("RET", Imm::None, JUMP, sized!(control::ret)),
        0xc4 => rm("LES", Imm::None, MEM | LEAVE, sized!(mov::load_far; 0)),
        0xc5 => rm("LDS", Imm::None, MEM | LEAVE, sized!(mov::load_far; 3)),
        0xc6 => group!([rm("MOV", Imm::Ib, 0, byte!(mov::rm_i)), U, U, U, U, U, U, U]),
        0xc7 => group!([rm("MOV", Imm::Iz, 0, wide!(mov::rm_i)), U, U, U, U, U, U, U]),
        0xc8 => op("ENTER", Imm::IwIb, 0, sized!(stack::enter)),
        0xc9 => op("LEAVE", Imm::None, 0, sized!(stack::leave)),
        0xca => op("RET far", Imm::Iw, LEAVE, any!(system::ret_far)),
        0xcb => op("RET far", Imm::None, LEAVE, any!(system::ret_far)),
        0xcc => op("INT3", Imm::None, LEAVE, any!(system::int3)),
        0xcd => op("INT", Imm::Ib, LEAVE, any!(system::int)),
        0xce => op("INTO", Imm::None, LEAVE, any!(system::into)),
        0xcf => op("IRET", Imm::None, LEAVE, any!(system::iret)),

        0xd0 => shifts!(byte, by_1, Imm::None),
        0xd1 => shifts!(wide, by_1, Imm::None),
        0xd2 => shifts!(byte, by_cl, Imm::None),
        0xd3 => shifts!(wide, by_cl, Imm::None),
        0xd4 => op("AAM", Imm::Ib, 0, any!(bcd::aam)),
        0xd5 => op("AAD", Imm::Ib, 0, any!(bcd::aad)),
        0xd6 => op("SALC", Imm::None, 0, any!(bcd::salc)),
        0xd7 => op("XLAT", Imm::None, 0, any!(mov::xlat)),
        0xd8..=0xdf => x87::ESCAPES[(n - 0xd8) as usize],

        0xe0 => op("LOOPNE", Imm::Jb, BRANCH, sized!(control::r#loop; WhileNotZero)),
        0xe1 => op("LOOPE", Imm::Jb, BRANCH, sized!(control::r#loop; WhileZero)),
        0xe2 => op("LOOP", Imm::Jb, BRANCH, sized!(control::r#loop; Always)),
        0xe3 => op("JCXZ", Imm::Jb, BRANCH, sized!(control::jcxz)),
        0xe4 => op("IN", Imm::Ib, LEAVE, any!(port::r#in::<u8, true>)),
        0xe5 => op("IN", Imm::Ib, LEAVE, ports!(port::r#in, true)),
        0xe6 => op("OUT", Imm::Ib, LEAVE, any!(port::out::<u8, true>)),
        0xe7 => op("OUT", Imm::Ib, LEAVE, ports!(port::out, true)),
        0xe8 => op("CALL", Imm::Jz, JUMP, sized!(control::call)),
        0xe9 => op("JMP", Imm::Jz, JUMP, sized!(control::jmp)),
        0xea => op("JMP far", Imm::Ap, LEAVE, any!(system::jmp_far_imm)),
        0xeb => op("JMP", Imm::Jb, JUMP, sized!(control::jmp)),
        0xec => op("IN", Imm::None, LEAVE, any!(port::r#in::<u8, false>)),
        0xed => op("IN", Imm::None, LEAVE, ports!(port::r#in, false)),
        0xee => op("OUT", Imm::None, LEAVE, any!(port::out::<u8, false>)),
        0xef => op("OUT", Imm::None, LEAVE, ports!(port::out, false)),

        0xf1 => op("INT1", Imm::None, LEAVE, any!(system::int1)),
        0xf4 => op("HLT", Imm::None, LEAVE, any!(system::hlt)),
        0xf5 => op("CMC", Imm::None, 0, any!(misc::cmc)),
        0xf6 => group!([
            rm("TEST", Imm::Ib, 0, byte!(alu::rm_i; Test)),
            rm("TEST", Imm::Ib, 0, byte!(alu::rm_i; Test)), // not documented, an alias of /0
            rm("NOT", Imm::None, LOCK, byte!(alu::not)),
            rm("NEG", Imm::None, LOCK, byte!(alu::neg)),
            rm("MUL", Imm::None, 0, byte!(muldiv::mul)),
            rm("IMUL", Imm::None, 0, byte!(muldiv::imul)),
            rm("DIV", Imm::None, 0, byte!(muldiv::div)),
            rm("IDIV", Imm::None, 0, byte!(muldiv::idiv)),
        ]),
        0xf7 => group!([
            rm("TEST", Imm::Iz, 0, wide!(alu::rm_i; Test)),
            rm("TEST", Imm::Iz, 0, wide!(alu::rm_i; Test)),
            rm("NOT", Imm::None, LOCK, wide!(alu::not)),
            rm("NEG", Imm::None, LOCK, wide!(alu::neg)),
            rm("MUL", Imm::None, 0, wide!(muldiv::mul)),
            rm("IMUL", Imm::None, 0, wide!(muldiv::imul)),
            rm("DIV", Imm::None, 0, wide!(muldiv::div)),
            rm("IDIV", Imm::None, 0, wide!(muldiv::idiv)),
        ]),
        0xf8 => op("CLC", Imm::None, 0, any!(misc::clc)),
        0xf9 => op("STC", Imm::None, 0, any!(misc::stc)),
        0xfa => op("CLI", Imm::None, 0, any!(system::cli)),
        0xfb => op("STI", Imm::None, LEAVE, any!(system::sti)),
        0xfc => op("CLD", Imm::None, 0, any!(misc::cld)),
        0xfd => op("STD", Imm::None, 0, any!(misc::std)),
        0xfe => group!([
            rm("INC", Imm::None, LOCK, byte!(alu::inc)),
            rm("DEC", Imm::None, LOCK, byte!(alu::dec)),
            U,
            U,
            U,
            U,
            U,
            U,
        ]),
        0xff => group!([
            rm("INC", Imm::None, LOCK, wide!(alu::inc)),
            rm("DEC", Imm::None, LOCK, wide!(alu::dec)),
            rm("CALL", Imm::None, JUMP, wide!(control::call_rm)),
            rm("CALL far", Imm::None, MEM | LEAVE, any!(system::call_far_mem)),
            rm("JMP", Imm::None, JUMP, wide!(control::jmp_rm)),
            rm("JMP far", Imm::None, MEM | LEAVE, any!(system::jmp_far_mem)),
            rm("PUSH", Imm::None, 0, wide!(stack::push_rm)),
            U,
        ]),
    }
}
