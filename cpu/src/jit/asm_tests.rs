//! The emitter against another decoder's reading of its bytes.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use proptest::prelude::*;

use super::asm::{Asm, RSP, Rm, Size, cond};

fn read(bytes: &[u8]) -> Instruction {
    let mut d = Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE);
    let i = d.decode();
    assert_ne!(i.code(), Code::INVALID, "{bytes:02x?}");
    assert_eq!(d.position(), bytes.len(), "one instruction of all bytes: {bytes:02x?}");
    i
}

/// The register of a number and size; byte registers as REX selects them.
fn register(n: u8, w: Size) -> Register {
    let base = match w {
        Size::B => return if n < 4 { Register::AL + u32::from(n) } else { Register::SPL + u32::from(n - 4) },
        Size::W => Register::AX,
        Size::D => Register::EAX,
        Size::Q => Register::RAX,
    };
    base + u32::from(n)
}

fn emit(f: impl FnOnce(&mut Asm)) -> Vec<u8> {
    let mut a = Asm::default();
    f(&mut a);
    a.finish();
    a.buf
}

fn size() -> impl Strategy<Value = Size> {
    prop_oneof![Just(Size::B), Just(Size::W), Just(Size::D), Just(Size::Q)]
}

fn operand() -> impl Strategy<Value = Rm> {
    let disp = prop_oneof![Just(0), -128..128, any::<i32>()];
    let index = (0u8..16).prop_filter("RSP is no index", |&x| x != RSP);
    prop_oneof![
        (0u8..16).prop_map(Rm::Reg),
        (0u8..16, disp.clone()).prop_map(|(b, d)| Rm::Base(b, d)),
        (0u8..16, index.clone(), 0u8..4, disp.clone()).prop_map(|(b, x, s, d)| Rm::Index(b, x, s, d)),
        (index, 0u8..4, disp).prop_map(|(x, s, d)| Rm::Scaled(x, s, d)),
    ]
}

/// Operand `n` of `i` is `rm`.
fn check_rm(i: &Instruction, n: u32, rm: Rm, w: Size) {
    let (base, index, scale, disp) = match rm {
        Rm::Reg(r) => {
            assert_eq!(i.op_register(n), register(r, w));
            return;
        }
        Rm::Base(b, d) => (register(b, Size::Q), Register::None, 1, d),
        Rm::Index(b, x, s, d) => (register(b, Size::Q), register(x, Size::Q), 1 << s, d),
        Rm::Scaled(x, s, d) => (Register::None, register(x, Size::Q), 1 << s, d),
        Rm::Operand => unreachable!("not generated"),
    };
    assert_eq!(i.op_kind(n), OpKind::Memory);
    assert_eq!((i.memory_base(), i.memory_index()), (base, index));
    assert_eq!(i.memory_index_scale(), scale);
    assert_eq!(i.memory_displacement64(), i64::from(disp) as u64);
}

proptest! {
    #[test]
    fn moves(w in size(), r in 0u8..16, rm in operand()) {
        let i = read(&emit(|a| a.load(w, r, rm)));
        assert_eq!(i.mnemonic(), Mnemonic::Mov);
        assert_eq!(i.op0_register(), register(r, w));
        check_rm(&i, 1, rm, w);
        let i = read(&emit(|a| a.store(w, rm, r)));
        assert_eq!(i.mnemonic(), Mnemonic::Mov);
        check_rm(&i, 0, rm, w);
        assert_eq!(i.op1_register(), register(r, w));
    }

    #[test]
    fn arithmetic_with_immediates(w in size(), op in 0u8..8, rm in operand(), v in any::<u32>()) {
        let names = [
            Mnemonic::Add, Mnemonic::Or, Mnemonic::Adc, Mnemonic::Sbb,
            Mnemonic::And, Mnemonic::Sub, Mnemonic::Xor, Mnemonic::Cmp,
        ];
        let i = read(&emit(|a| a.alu_imm(w, op, rm, v)));
        assert_eq!(i.mnemonic(), names[usize::from(op)]);
        check_rm(&i, 0, rm, w);
        let mask = match w {
            Size::B => 0xff,
            Size::W => 0xffff,
            Size::D => 0xffff_ffff,
            Size::Q => u64::MAX,
        };
        assert_eq!(i.immediate(1) & mask, i64::from(v as i32) as u64 & mask);
    }

    #[test]
    fn extensions_of_bytes(to in 0u8..16, rm in operand()) {
        let i = read(&emit(|a| a.rm_full(Size::D, &[0x0f, 0xb6], to, rm, true)));
        assert_eq!((i.mnemonic(), i.op0_register()), (Mnemonic::Movzx, register(to, Size::D)));
        check_rm(&i, 1, rm, Size::B);
    }

    #[test]
    fn the_rest(r in 0u8..16, s in 0u8..16, v in any::<u64>(), by in 0u8..32) {
        let i = read(&emit(|a| a.rorx(r, s, by)));
        assert_eq!(i.mnemonic(), Mnemonic::Rorx);
        assert_eq!((i.op0_register(), i.op1_register()), (register(r, Size::D), register(s, Size::D)));
        assert_eq!(i.immediate8(), by);
        let i = read(&emit(|a| a.mov_imm(r, v as u32)));
        assert_eq!((i.mnemonic(), i.op0_register(), i.immediate32()), (Mnemonic::Mov, register(r, Size::D), v as u32));
        let i = read(&emit(|a| a.mov_imm64(r, v)));
        assert_eq!((i.mnemonic(), i.op0_register(), i.immediate64()), (Mnemonic::Mov, register(r, Size::Q), v));
        let i = read(&emit(|a| a.push(r)));
        assert_eq!((i.mnemonic(), i.op0_register()), (Mnemonic::Push, register(r, Size::Q)));
        let i = read(&emit(|a| a.pop(r)));
        assert_eq!((i.mnemonic(), i.op0_register()), (Mnemonic::Pop, register(r, Size::Q)));
        let i = read(&emit(|a| a.call_reg(r)));
        assert_eq!((i.mnemonic(), i.op0_kind()), (Mnemonic::Call, OpKind::Register));
    }
}

#[test]
fn jumps_reach_their_labels() {
    let mut a = Asm::default();
    let (back, ahead) = (a.mark(), a.label());
    a.jcc(cond::NE, ahead);
    a.jmp(back);
    a.call(ahead);
    a.bind(ahead);
    a.ret();
    a.finish();
    let all: Vec<Instruction> =
        Decoder::with_ip(64, &a.buf, 0x1000, DecoderOptions::NONE).into_iter().collect();
    let names: Vec<Mnemonic> = all.iter().map(Instruction::mnemonic).collect();
    assert_eq!(names, [Mnemonic::Jne, Mnemonic::Jmp, Mnemonic::Call, Mnemonic::Ret]);
    let end = all[3].ip();
    assert_eq!([0, 1, 2].map(|n: usize| all[n].near_branch_target()), [end, 0x1000, end]);
}

#[test]
#[should_panic(expected = "not bound")]
fn a_label_that_leads_nowhere_is_our_fault() {
    emit(|a| {
        let l = a.label();
        a.jmp(l);
    });
}
