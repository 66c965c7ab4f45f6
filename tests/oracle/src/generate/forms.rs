//! Which instructions there are: every encoding that iced-x86 knows and a Pentium 4 executes in 32-bit user mode,
//! sorted into families.

use std::sync::LazyLock;

use iced_x86::{
    Code, CpuidFeature, EncodingKind, MandatoryPrefix, Mnemonic, OpCodeOperandKind as Op, OpCodeTableKind,
};

/// What a case is about; most of its instructions come from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    Alu,
    Shift,
    MulDiv,
    Bit,
    Bcd,
    Move,
    Stack,
    Strings,
    Control,
    Exchange,
    /// Selectors: loads of segment registers, LAR, LSL, VERR, VERW, ARPL.
    Selector,
    /// What faults at CPL 3.
    Privileged,
    Misc,
    X87Data,
    X87Arith,
    X87Compare,
    X87Control,
    X87Transcendental,
    Mmx,
    SseFloat,
    SseInteger,
    SseMove,
    Sse2Float,
    Sse2Integer,
    Sse2Move,
    /// Code that rewrites itself.
    SelfModifying,
    /// Random bytes that decode to something a Pentium 4 has.
    Bytes,
    /// Segments with bases and limits, 16-bit code and stacks.
    Segments,
    /// Everything together.
    Mix,
}

impl Family {
    pub const ALL: [Self; 29] = [
        Self::Alu,
        Self::Shift,
        Self::MulDiv,
        Self::Bit,
        Self::Bcd,
        Self::Move,
        Self::Stack,
        Self::Strings,
        Self::Control,
        Self::Exchange,
        Self::Selector,
        Self::Privileged,
        Self::Misc,
        Self::X87Data,
        Self::X87Arith,
        Self::X87Compare,
        Self::X87Control,
        Self::X87Transcendental,
        Self::Mmx,
        Self::SseFloat,
        Self::SseInteger,
        Self::SseMove,
        Self::Sse2Float,
        Self::Sse2Integer,
        Self::Sse2Move,
        Self::SelfModifying,
        Self::Bytes,
        Self::Segments,
        Self::Mix,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Alu => "alu",
            Self::Shift => "shift",
            Self::MulDiv => "muldiv",
            Self::Bit => "bit",
            Self::Bcd => "bcd",
            Self::Move => "move",
            Self::Stack => "stack",
            Self::Strings => "strings",
            Self::Control => "control",
            Self::Exchange => "exchange",
            Self::Selector => "selector",
            Self::Privileged => "privileged",
            Self::Misc => "misc",
            Self::X87Data => "x87-data",
            Self::X87Arith => "x87-arith",
            Self::X87Compare => "x87-compare",
            Self::X87Control => "x87-control",
            Self::X87Transcendental => "x87-transcendental",
            Self::Mmx => "mmx",
            Self::SseFloat => "sse-float",
            Self::SseInteger => "sse-integer",
            Self::SseMove => "sse-move",
            Self::Sse2Float => "sse2-float",
            Self::Sse2Integer => "sse2-integer",
            Self::Sse2Move => "sse2-move",
            Self::SelfModifying => "smc",
            Self::Bytes => "bytes",
            Self::Segments => "segments",
            Self::Mix => "mix",
        }
    }

    pub fn parse(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.name() == s)
    }
}

/// How the operand bytes of an encoding look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModRm {
    None,
    /// Register or memory.
    Any,
    Reg,
    Mem,
    /// The whole byte is part of the opcode.
    Fixed(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imm {
    None,
    One,
    Two,
    /// As the operand size.
    Four,
    /// ENTER: 2 + 1.
    TwoOne,
    /// Branch displacement of 1, 2 or 4 bytes.
    Rel(u8),
    /// Far pointer with an offset of 2 or 4 bytes.
    Far(u8),
    /// Absolute address, as wide as the address size.
    Offset,
}

#[derive(Debug, Clone, Copy)]
pub struct Form {
    pub code: Code,
    pub family: Family,
    /// 66, F2, F3 as part of the opcode, or 0.
    pub mandatory: u8,
    /// The encoding exists only without 66, F2 and F3.
    pub no_prefix: bool,
    /// The escape bytes in front of the opcode.
    pub map: &'static [u8],
    pub opcode: u8,
    /// A register in the low three bits of the opcode.
    pub plus_r: bool,
    pub group: Option<u8>,
    pub modrm: ModRm,
    pub imm: Imm,
    /// 16, 32 or 0 for no matter.
    pub size: u32,
    pub lock: bool,
    pub rep: bool,
}

/// A Pentium 4 has all of these; the list is of iced's names for what the manuals introduce.
fn has_feature(f: CpuidFeature) -> bool {
    use CpuidFeature as F;
    matches!(
        f,
        F::INTEL8086
            | F::INTEL186
            | F::INTEL286
            | F::INTEL386
            | F::INTEL486
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
            | F::MSR
            | F::SMM
    )
}

/// Executed by both processors with the same result, as far as it can be said before it runs.
pub fn is_allowed(code: Code) -> bool {
    use Mnemonic as M;
    let info = code.op_code();
    if !info.is_instruction() || !info.mode32() || info.encoding() != EncodingKind::Legacy {
        return false;
    }
    if !code.cpuid_features().iter().all(|&f| has_feature(f)) || info.fwait() {
        return false;
    }
    // 0F 0D is PREFETCHW on the host; 0F 18 to 0F 1F have meanings with prefixes that iced tells apart.
    if matches!(code, Code::Reservednop_rm16_r16_0F0D | Code::Reservednop_rm32_r32_0F0D) {
        return false;
    }
    if code == Code::Bswap_r16 {
        return false; // its result is undefined
    }
    !matches!(
        code.mnemonic(),
        // Answers that differ from processor to processor, or enter the kernel.
        M::Cpuid | M::Rdtsc | M::Rdpmc | M::Sysenter | M::Sysexit | M::Syscall | M::Sysret | M::Rsm
        // UMIP: the kernel answers in the processor's place.
        | M::Sgdt | M::Sidt | M::Sldt | M::Str | M::Smsw
    )
}

/// Which family an instruction belongs to.
pub fn family_of(code: Code) -> Family {
    use CpuidFeature as F;
    let has = |f: F| code.cpuid_features().contains(&f);
    let m = format!("{:?}", code.mnemonic());
    let m = m.as_str();
    let starts = |list: &[&str]| list.iter().any(|p| m.starts_with(p));
    if has(F::FPU) || has(F::FPU287) || has(F::FPU387) || m == "Wait" {
        return match m {
            "Fsin" | "Fcos" | "Fsincos" | "Fptan" | "Fpatan" | "F2xm1" | "Fyl2x" | "Fyl2xp1" => {
                Family::X87Transcendental
            }
            _ if starts(&["Fld", "Fst", "Fxch", "Fild", "Fist", "Fbld", "Fbstp", "Fcmov"])
                && !starts(&["Fldcw", "Fldenv", "Fstsw", "Fstcw", "Fstenv", "Fsts", "Fstd"]) =>
            {
                Family::X87Data
            }
            _ if starts(&["Fcom", "Fucom", "Ficom", "Ftst", "Fxam"]) => Family::X87Compare,
            _ if starts(&[
                "Fadd", "Fiadd", "Fsub", "Fisub", "Fmul", "Fimul", "Fdiv", "Fidiv", "Fsqrt", "Fscale",
                "Fprem", "Frndint", "Fxtract", "Fabs", "Fchs",
            ]) =>
            {
                Family::X87Arith
            }
            _ => Family::X87Control,
        };
    }
    if has(F::MMX) {
        return Family::Mmx;
    }
    if has(F::SSE) || has(F::SSE2) || has(F::FXSR) || has(F::CLFSH) {
        let two = has(F::SSE2);
        if starts(&[
            "Mov", "Lddqu", "Ldmxcsr", "Stmxcsr", "Prefetch", "Fx", "Clflush", "Lfence", "Mfence", "Sfence",
            "Maskmov", "Pause",
        ]) && !m.starts_with("Movmsk")
        {
            return if two { Family::Sse2Move } else { Family::SseMove };
        }
        if m.starts_with('P') {
            return if two { Family::Sse2Integer } else { Family::SseInteger };
        }
        return if two { Family::Sse2Float } else { Family::SseFloat };
    }
    match m {
        "Add" | "Adc" | "Sub" | "Sbb" | "And" | "Or" | "Xor" | "Cmp" | "Test" | "Inc" | "Dec" | "Neg"
        | "Not" => Family::Alu,
        "Shl" | "Shr" | "Sar" | "Sal" | "Rol" | "Ror" | "Rcl" | "Rcr" | "Shld" | "Shrd" => Family::Shift,
        "Mul" | "Imul" | "Div" | "Idiv" => Family::MulDiv,
        "Bt" | "Bts" | "Btr" | "Btc" | "Bsf" | "Bsr" => Family::Bit,
        "Aaa" | "Aas" | "Aam" | "Aad" | "Daa" | "Das" => Family::Bcd,
        "Xchg" | "Xadd" | "Cmpxchg" | "Cmpxchg8b" | "Bswap" => Family::Exchange,
        "Lar" | "Lsl" | "Verr" | "Verw" | "Arpl" | "Lds" | "Les" | "Lss" | "Lfs" | "Lgs" => Family::Selector,
        "In" | "Out" | "Insb" | "Insw" | "Insd" | "Outsb" | "Outsw" | "Outsd" | "Cli" | "Sti" | "Hlt"
        | "Lgdt" | "Lidt" | "Lldt" | "Ltr" | "Lmsw" | "Clts" | "Invd" | "Wbinvd" | "Invlpg" | "Rdmsr"
        | "Wrmsr" => Family::Privileged,
        "Movsb" | "Movsw" | "Movsd" | "Cmpsb" | "Cmpsw" | "Cmpsd" | "Stosb" | "Stosw" | "Stosd" | "Lodsb"
        | "Lodsw" | "Lodsd" | "Scasb" | "Scasw" | "Scasd" => Family::Strings,
        "Jmp" | "Call" | "Ret" | "Retf" | "Iret" | "Iretd" | "Loop" | "Loope" | "Loopne" | "Jcxz"
        | "Jecxz" | "Int" | "Int1" | "Int3" | "Into" | "Bound" | "Ud0" | "Ud1" | "Ud2" => Family::Control,
        _ if m.starts_with('J') => Family::Control,
        "Enter" | "Leave" => Family::Stack,
        _ if starts(&["Push", "Pop"]) => Family::Stack,
        _ if starts(&["Mov", "Cmov", "Lea", "Xlat", "Cbw", "Cwd", "Cdq", "Lahf", "Sahf", "Set"]) => {
            let sys = ["Mov_r32_cr", "Mov_cr_r32", "Mov_r32_dr", "Mov_dr_r32"];
            let seg = ["Mov_Sreg_rm16", "Mov_Sreg_r32m16", "Mov_rm16_Sreg", "Mov_r32m16_Sreg"];
            let name = format!("{code:?}");
            if sys.contains(&name.as_str()) {
                Family::Privileged
            } else if seg.contains(&name.as_str()) {
                Family::Selector
            } else {
                Family::Move
            }
        }
        _ => Family::Misc,
    }
}

impl Form {
    fn new(code: Code) -> Option<Self> {
        let info = code.op_code();
        let (mut mandatory, mut no_prefix) = (0, false);
        match info.mandatory_prefix() {
            MandatoryPrefix::None => {}
            MandatoryPrefix::PNP => no_prefix = true,
            MandatoryPrefix::P66 => mandatory = 0x66,
            MandatoryPrefix::PF2 => mandatory = 0xf2,
            MandatoryPrefix::PF3 => mandatory = 0xf3,
        }
        let map: &[u8] = match info.table() {
            OpCodeTableKind::Normal => &[],
            OpCodeTableKind::T0F => &[0x0f],
            OpCodeTableKind::T0F38 => &[0x0f, 0x38],
            OpCodeTableKind::T0F3A => &[0x0f, 0x3a],
            _ => return None,
        };
        let (mut modrm, mut imm, mut plus_r) = (ModRm::None, Imm::None, false);
        for &op in info.op_kinds() {
            match op {
                Op::mem | Op::mem_mib => modrm = ModRm::Mem,
                Op::r8_or_mem
                | Op::r16_or_mem
                | Op::r32_or_mem
                | Op::r32_or_mem_mpx
                | Op::mm_or_mem
                | Op::xmm_or_mem => modrm = ModRm::Any,
                Op::r16_rm | Op::r32_rm | Op::mm_rm | Op::xmm_rm => modrm = ModRm::Reg,
                Op::cr_reg | Op::dr_reg => modrm = ModRm::Reg,
                Op::r8_opcode | Op::r16_opcode | Op::r32_opcode | Op::sti_opcode => plus_r = true,
                Op::imm8 | Op::imm8sex16 | Op::imm8sex32 => {
                    imm = if imm == Imm::Two { Imm::TwoOne } else { Imm::One };
                }
                Op::imm16 => imm = Imm::Two,
                Op::imm32 => imm = Imm::Four,
                Op::br16_1 | Op::br32_1 => imm = Imm::Rel(1),
                Op::br16_2 => imm = Imm::Rel(2),
                Op::br32_4 => imm = Imm::Rel(4),
                Op::farbr2_2 => imm = Imm::Far(2),
                Op::farbr4_2 => imm = Imm::Far(4),
                Op::mem_offs => imm = Imm::Offset,
                _ => {}
            }
        }
        let (opcode, fixed) = if info.op_code_len() == 2 {
            ((info.op_code() >> 8) as u8, Some(info.op_code() as u8))
        } else {
            (info.op_code() as u8, None)
        };
        let group = u8::try_from(info.group_index()).ok();
        if let Some(byte) = fixed {
            modrm = ModRm::Fixed(byte);
        } else if info.rm_group_index() >= 0 {
            let reg = group.unwrap_or(0);
            modrm = ModRm::Fixed(0xc0 | reg << 3 | info.rm_group_index() as u8);
        } else if group.is_some() && modrm == ModRm::None {
            modrm = ModRm::Reg;
        }
        Some(Self {
            code,
            family: family_of(code),
            mandatory,
            no_prefix,
            map,
            opcode,
            plus_r,
            group,
            modrm,
            imm,
            size: info.operand_size(),
            lock: info.can_use_lock_prefix(),
            rep: info.can_use_rep_prefix() || info.can_use_repne_prefix(),
        })
    }
}

/// One encoding for 32-bit code: register operands 0, memory at `at`, immediates 0.
pub fn plain_encoding(code: Code, at: u32) -> Option<Vec<u8>> {
    let f = Form::new(code)?;
    let mut out = Vec::new();
    if f.mandatory != 0 {
        out.push(f.mandatory);
    }
    if f.size == 16 {
        out.push(0x66);
    }
    out.extend_from_slice(f.map);
    out.push(f.opcode);
    let reg = f.group.unwrap_or(0) << 3;
    match f.modrm {
        ModRm::None => {}
        ModRm::Fixed(b) => out.push(b),
        ModRm::Reg | ModRm::Any => out.push(0xc0 | reg),
        ModRm::Mem => {
            out.push(reg | 5);
            out.extend_from_slice(&at.to_le_bytes());
        }
    }
    let len = match f.imm {
        Imm::None => 0,
        Imm::One => 1,
        Imm::Two => 2,
        Imm::Four | Imm::Offset => 4,
        Imm::TwoOne => 3,
        Imm::Rel(n) => n,
        Imm::Far(n) => n + 2,
    };
    out.extend((0..len).map(|_| 0));
    Some(out)
}

/// All forms, and those of each family.
pub struct Forms {
    pub all: Vec<Form>,
    by_family: Vec<(Family, Vec<usize>)>,
}

pub static FORMS: LazyLock<Forms> = LazyLock::new(|| {
    let all: Vec<Form> = Code::values().filter(|&c| is_allowed(c)).filter_map(Form::new).collect();
    let by_family = Family::ALL
        .into_iter()
        .map(|f| (f, all.iter().enumerate().filter(|(_, x)| x.family == f).map(|(i, _)| i).collect()))
        .collect();
    Forms { all, by_family }
});

impl Forms {
    pub fn get() -> &'static Self {
        &FORMS
    }

    pub fn of(&self, family: Family) -> &[usize] {
        self.by_family.iter().find(|(f, _)| *f == family).map_or(&[], |(_, v)| v)
    }
}
