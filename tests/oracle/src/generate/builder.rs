//! Puts instructions together to a case, and keeps track of what is known: register values (so that addresses
//! hit memory) and undefined flags (so that nothing depends on them).

use iced_x86::{
    Code, Decoder, DecoderError, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register, RflagsBits,
};

use super::forms::{Family, Form, Forms, Imm, family_of, is_allowed};
use super::operands::Bytes;
use super::values::{self, Images, int32};
use crate::layout::{CODE, CODE_LEN, CS32, DATA, DATA_LEN, DS32, EXIT, Memory, PAGE, STACK, STACK_LEN};
use crate::ldt;
use crate::rng::Rng;
use crate::snapshot::{AC, AF, ARITH, CF, DF, EBP, EBX, ECX, EDI, ESI, ESP, ID, OF, PF, Regs, SF, ZF};

/// One instruction of a case.
#[derive(Clone, Copy)]
pub struct Item {
    pub bytes: [u8; 15],
    pub len: u8,
    /// Arithmetic flags that are undefined before it runs.
    pub undefined_before: u32,
    /// What it decodes to.
    pub code: Code,
    /// Belongs to the one before: removes what is not comparable of it.
    pub glued: bool,
    fix: Option<Fix>,
}

impl Item {
    /// Nothing in it depends on where it lies.
    pub fn plain(bytes: &[u8], code: Code) -> Self {
        let mut b = [0; 15];
        let len = bytes.len().min(15);
        b[..len].copy_from_slice(&bytes[..len]);
        Self { bytes: b, len: len as u8, undefined_before: 0, code, glued: false, fix: None }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Its target moved by `n` items.
    pub(super) fn shift_target(&mut self, n: usize) {
        if let Some(f) = &mut self.fix {
            f.item += n;
        }
    }

    /// Turns it into NOPs of the same length.
    pub fn blank(&mut self) {
        self.bytes = [0x90; 15];
        self.code = Code::Nopd;
        self.fix = None;
    }
}

/// A field that holds the address of an item, or the distance to it.
#[derive(Clone, Copy)]
pub(super) struct Fix {
    pub(super) at: u8,
    pub(super) size: u8,
    pub(super) relative: bool,
    /// Of an item (the number of items: the exit).
    pub(super) item: usize,
    pub(super) plus: u32,
}

#[derive(Clone)]
pub struct Case {
    pub seed: u64,
    pub family: Family,
    pub regs: Regs,
    pub image: usize,
    pub items: Vec<Item>,
    /// Linear address of the first instruction.
    pub start: u32,
    /// The code segment's base: 0, or that of its LDT entry.
    pub code_base: u32,
    pub code16: bool,
    /// Run with PAE paging and execute disable rather than plain paging.
    pub pae: bool,
    /// Undefined flags at the end.
    pub undefined_end: u32,
    /// Undefined flags anywhere.
    pub undefined_any: u32,
    /// The last bits of x87 results may differ.
    pub x87_inexact: bool,
    /// RCPPS and the like: 12 bits.
    pub sse_inexact: bool,
    /// It writes into its own code.
    pub modifies_code: bool,
    /// Selectors of the host's own table were looked at.
    pub iret: bool,
}

impl Case {
    /// A case of given bytes, flat, with the usual start; for tests.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let code = Decoder::with_ip(32, bytes, 0, DecoderOptions::NONE).decode().code();
        let item = Item::plain(bytes, code);
        let mut regs =
            Regs { seg: [DS32, CS32, DS32, DS32, DS32, DS32], eip: CODE, eflags: 0x202, ..Regs::default() };
        regs.gpr[ESP] = STACK + 0x1000;
        Self {
            seed: 0,
            family: Family::Bytes,
            regs,
            image: 0,
            items: vec![item],
            start: CODE,
            code_base: 0,
            code16: false,
            pae: true,
            undefined_end: 0,
            undefined_any: 0,
            x87_inexact: false,
            sse_inexact: false,
            modifies_code: false,
            iret: false,
        }
    }

    /// Linear addresses of the items and of the exit jump.
    pub fn addresses(&self) -> Vec<u32> {
        let mut at = self.start;
        let mut out = Vec::with_capacity(self.items.len() + 1);
        for i in &self.items {
            out.push(at);
            at += u32::from(i.len);
        }
        out.push(at);
        out
    }

    pub fn bitness(&self) -> u32 {
        if self.code16 { 16 } else { 32 }
    }

    /// Writes the code into `memory`.
    pub fn place(&self, memory: &mut Memory) {
        let addresses = self.addresses();
        let mut put = |at: u32, bytes: &[u8]| {
            for (i, &b) in bytes.iter().enumerate() {
                if let Some(cell) = memory.code.get_mut((at - CODE) as usize + i) {
                    *cell = b;
                }
            }
        };
        for (n, item) in self.items.iter().enumerate() {
            let mut bytes = item.bytes;
            if let Some(f) = item.fix {
                let to =
                    addresses[f.item.min(self.items.len())].wrapping_add(f.plus).wrapping_sub(self.code_base);
                let next = addresses[n + 1].wrapping_sub(self.code_base);
                let v = if f.relative { to.wrapping_sub(next) } else { to };
                let (at, size) = (usize::from(f.at), usize::from(f.size));
                bytes[at..at + size].copy_from_slice(&v.to_le_bytes()[..size]);
            }
            put(addresses[n], &bytes[..usize::from(item.len)]);
        }
        let mut end = Bytes::default();
        if self.code_base == 0 && !self.code16 {
            end.push(0xe9);
            end.push32(EXIT.wrapping_sub(addresses[self.items.len()] + 5));
        } else {
            if self.code16 {
                end.push(0x66);
            }
            end.push(0xea);
            end.push32(EXIT);
            end.push16(CS32);
        }
        put(addresses[self.items.len()], end.as_slice());
    }
}

pub struct Generator {
    info: InstructionInfoFactory,
    forms: &'static Forms,
}

impl Default for Generator {
    fn default() -> Self {
        Self { info: InstructionInfoFactory::new(), forms: Forms::get() }
    }
}

pub(super) struct Build<'a> {
    pub(super) rng: Rng,
    pub(super) items: Vec<Item>,
    /// What the registers hold by now, where that follows from the start.
    pub(super) known: [Option<u32>; 8],
    pub(super) segs: [u16; 6],
    pub(super) code16: bool,
    pub(super) segments: bool,
    pub(super) undefined: Undefined,
    pub(super) x87_inexact: bool,
    pub(super) sse_inexact: bool,
    pub(super) modifies_code: bool,
    pub(super) iret: bool,
    /// Random bytes are asked for.
    any_bytes: bool,
    /// Holds an instruction that is only fit for the first time round.
    pub(super) once: bool,
    /// What follows removes what is not comparable.
    pub(super) scrubbing: bool,
    info: &'a mut InstructionInfoFactory,
    pub(super) forms: &'static Forms,
}

fn arithmetic(bits: u32) -> u32 {
    [
        (RflagsBits::CF, CF),
        (RflagsBits::PF, PF),
        (RflagsBits::AF, AF),
        (RflagsBits::ZF, ZF),
        (RflagsBits::SF, SF),
        (RflagsBits::OF, OF),
    ]
    .into_iter()
    .fold(0, |m, (iced, bit)| if bits & iced != 0 { m | bit } else { m })
}

fn gpr(r: Register) -> Option<usize> {
    r.full_register32().is_gpr32().then(|| r.full_register32().number())
}

/// The flags an instruction leaves undefined, and whether it certainly writes those it defines.
/// SDM vol. 1, appendix A, and the notes of each instruction.
fn undefined_flags(i: &Instruction) -> (u32, bool) {
    use Mnemonic as M;
    let mut u = arithmetic(i.rflags_undefined());
    let mut certain = true;
    let m = i.mnemonic();
    if matches!(m, M::Shl | M::Sal | M::Shr | M::Sar | M::Shld | M::Shrd | M::Rol | M::Ror | M::Rcl | M::Rcr)
    {
        let last = i.op_count() - 1;
        let by_register = i.op_kind(last) == OpKind::Register;
        // A count of 0 leaves all flags alone.
        certain = !by_register && i.immediate8() & 31 != 0;
        let count = if by_register { None } else { Some(i.immediate8() & 31) };
        if count != Some(1) && count != Some(0) {
            u |= OF;
        }
        if matches!(m, M::Shl | M::Sal | M::Shr | M::Sar | M::Shld | M::Shrd) && count != Some(0) {
            u |= AF;
        }
        let width = i.op0_register().size().max(if i.op0_kind() == OpKind::Memory {
            i.memory_size().size()
        } else {
            0
        });
        if matches!(m, M::Shl | M::Sal | M::Shr)
            && width < 4
            && count.is_none_or(|c| usize::from(c) > 8 * width)
        {
            u |= CF;
        }
    }
    if i.is_string_instruction() && (i.has_rep_prefix() || i.has_repne_prefix()) {
        // A count of 0 compares nothing.
        certain = false;
    }
    if matches!(m, M::Bsf | M::Bsr) {
        u |= ARITH & !ZF;
    }
    (u, certain)
}

/// Its results have 12 good bits.
pub fn is_approximate(m: Mnemonic) -> bool {
    matches!(m, Mnemonic::Rcpps | Mnemonic::Rcpss | Mnemonic::Rsqrtps | Mnemonic::Rsqrtss)
}

/// Which arithmetic flags are undefined, followed through a sequence.
#[derive(Clone, Copy, Default)]
pub(super) struct Undefined {
    pub(super) now: u32,
    any: u32,
    /// Not every path runs through every instruction: nothing gets defined again.
    pub(super) branches: bool,
}

impl Undefined {
    fn pass(&mut self, i: &Instruction) {
        let (undefined, certain) = undefined_flags(i);
        if certain && !self.branches {
            self.now &= !(arithmetic(i.rflags_modified()) & !undefined);
        }
        self.now |= undefined;
        self.any |= undefined;
        if family_of(i.code()) == Family::Control {
            self.branches = true;
        }
    }
}

impl Case {
    /// Follows the undefined flags again after items were changed.
    pub fn follow_flags(&mut self) {
        let mut u = Undefined::default();
        let bitness = self.bitness();
        for item in &mut self.items {
            item.undefined_before = u.now;
            let i = Decoder::with_ip(bitness, item.bytes(), 0, DecoderOptions::NONE).decode();
            u.pass(&i);
        }
        self.undefined_end = u.now;
        self.undefined_any = u.any;
    }
}

impl Build<'_> {
    /// Appends an instruction if it is one that may run here.
    pub(super) fn push(&mut self, bytes: &Bytes, fix: Option<Fix>) -> bool {
        if bytes.len > 15 || bytes.len == 0 {
            return false;
        }
        let bitness = if self.code16 { 16 } else { 32 };
        let mut d = Decoder::with_ip(bitness, bytes.as_slice(), 0, DecoderOptions::NONE);
        let i = d.decode();
        if i.is_invalid() {
            // Nobody has such an instruction: an invalid opcode on both sides.
            return if d.last_error() == DecoderError::InvalidInstruction && self.accept_invalid(bytes) {
                self.append(bytes, None, self.undefined.now, Code::INVALID);
                true
            } else {
                false
            };
        }
        if i.len() != bytes.len || !is_allowed(i.code()) || !self.acceptable(&i) {
            return false;
        }
        let before = self.undefined.now;
        self.append(bytes, fix, before, i.code());
        self.undefined.pass(&i);
        self.track(&i);
        true
    }

    fn append(&mut self, bytes: &Bytes, fix: Option<Fix>, undefined_before: u32, code: Code) {
        let mut b = [0; 15];
        b[..bytes.len].copy_from_slice(bytes.as_slice());
        self.items.push(Item { bytes: b, len: bytes.len as u8, undefined_before, code, glued: false, fix });
    }

    fn accept_invalid(&mut self, bytes: &Bytes) -> bool {
        if !self.any_bytes && !self.rng.per_mille(60) {
            return false;
        }
        // 0F 0D, 0F 38, 0F 3A and the VEX and EVEX escapes mean something to newer decoders that may not be
        // what iced's options say; keep to the old maps.
        let s = bytes.as_slice();
        let skip = s
            .iter()
            .take_while(|b| [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].contains(b))
            .count();
        !matches!(
            s.get(skip..),
            Some(
                [0x0f, 0x0d | 0x38 | 0x3a | 0x01 | 0xae | 0xc7 | 0x18..=0x1f, ..] | [0xc4 | 0xc5 | 0x62, ..]
            )
        )
    }

    fn acceptable(&mut self, i: &Instruction) -> bool {
        use Mnemonic as M;
        if arithmetic(i.rflags_read()) & self.undefined.now != 0 {
            return false;
        }
        // The host's kernel slows down programs that lock across a cache line.
        let locked = i.has_lock_prefix() || i.mnemonic() == M::Xchg && i.op0_kind() == OpKind::Memory;
        if locked {
            self.once = true;
            let size = i.memory_size().size() as u32;
            // A bit offset in a register leads elsewhere.
            let far = family_of(i.code()) == Family::Bit && i.op1_kind() == OpKind::Register;
            match self.linear_address(i).filter(|_| !far) {
                Some(a) if (a & 63) + size <= 64 => {}
                None if !far && self.rng.per_mille(20) => {}
                _ => return false,
            }
        }
        let family = family_of(i.code());
        let fpu = matches!(
            family,
            Family::X87Data
                | Family::X87Arith
                | Family::X87Compare
                | Family::X87Control
                | Family::X87Transcendental
                | Family::Mmx
        );
        let sse = matches!(
            family,
            Family::SseFloat
                | Family::SseInteger
                | Family::SseMove
                | Family::Sse2Float
                | Family::Sse2Integer
                | Family::Sse2Move
        );
        let name = i.mnemonic();
        let both = matches!(
            name,
            M::Fxsave
                | M::Fxrstor
                | M::Movq2dq
                | M::Movdq2q
                | M::Cvtpi2ps
                | M::Cvtps2pi
                | M::Cvttps2pi
                | M::Cvtpi2pd
                | M::Cvtpd2pi
                | M::Cvttpd2pi
        );
        if (fpu || both) && self.x87_inexact || (sse || both) && self.sse_inexact {
            return false;
        }
        match name {
            M::Int if i.immediate8() == 0x80 => return false,
            M::Shld | M::Shrd if i.op0_register().size() == 2 || i.memory_size().size() == 2 => {
                // More than 16 gives an undefined result.
                let count = if i.op2_kind() == OpKind::Register {
                    self.known[ECX].map(|c| c as u8)
                } else {
                    Some(i.immediate8())
                };
                if count.is_none_or(|c| c & 31 > 16) {
                    return false;
                }
                self.once = true;
            }
            // They write pointers that depend on where the instructions are, or on the model; see `composite`.
            M::Fnstenv | M::Fnsave | M::Fxsave if !self.scrubbing => return false,
            M::Iret | M::Iretd => self.iret = true,
            _ => {}
        }
        true
    }

    /// Of the memory operand, where it follows from the start.
    fn linear_address(&self, i: &Instruction) -> Option<u32> {
        let seg = [Register::ES, Register::CS, Register::SS, Register::DS, Register::FS, Register::GS]
            .iter()
            .position(|&s| s == i.memory_segment())?;
        let offset = i.virtual_address(0, 0, |r, _, _| {
            if r.is_segment_register() {
                return Some(0);
            }
            let v = self.known[gpr(r)?]?;
            Some(u64::from(if r.size() == 2 { v & 0xffff } else { v }))
        })?;
        Some(self.seg_base(seg).wrapping_add(offset as u32))
    }

    fn track(&mut self, i: &Instruction) {
        let sp = i.stack_pointer_increment();
        let esp = self.known[ESP];
        let mut unknown = [false; 8];
        for r in self.info.info(i).used_registers() {
            let writes = matches!(
                r.access(),
                OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            );
            if writes && let Some(n) = gpr(r.register()) {
                unknown[n] = true;
            }
        }
        for (k, u) in self.known.iter_mut().zip(unknown) {
            if u {
                *k = None;
            }
        }
        if sp != 0 && i.op0_register() != Register::ESP && !self.undefined.branches {
            self.known[ESP] = esp.map(|e| e.wrapping_add_signed(sp));
        }
        if i.code() == Code::Mov_r32_imm32
            && !self.undefined.branches
            && let Some(n) = gpr(i.op0_register())
        {
            self.known[n] = Some(i.immediate32());
        }
        match family_of(i.code()) {
            Family::X87Transcendental => self.x87_inexact = true,
            _ if is_approximate(i.mnemonic()) => self.sse_inexact = true,
            _ => {}
        }
    }

    /// One instruction of a form: tries a few encodings.
    fn instruction(&mut self, form: &Form) {
        for _ in 0..8 {
            let bytes = self.encode(form);
            let fix = match form.imm {
                Imm::Rel(size) => {
                    // Mostly forward, so that most cases end by themselves.
                    let here = self.items.len();
                    let item = if self.rng.per_mille(900) || here == 0 {
                        here + 1 + self.rng.index(4)
                    } else {
                        self.rng.index(here)
                    };
                    let plus = if self.rng.per_mille(30) { self.rng.below(4) } else { 0 };
                    Some(Fix { at: bytes.len as u8 - size, size, relative: true, item, plus })
                }
                _ => None,
            };
            if self.push(&bytes, fix) {
                return;
            }
            if self.undefined.now != 0 && self.rng.per_mille(500) {
                // cmp edi, ecx defines all flags again.
                self.push(&Bytes::of(&[0x39, 0xcf]), None);
            }
        }
    }

    fn random_bytes(&mut self) {
        for _ in 0..16 {
            let mut b = Bytes::default();
            while self.rng.per_mille(250) && b.len < 4 {
                let p = self.rng.pick(&[0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]);
                b.push(p);
            }
            if self.rng.per_mille(400) {
                b.push(0x0f);
            }
            for _ in 0..12 {
                let v = self.rng.u8();
                b.push(v);
            }
            let bitness = if self.code16 { 16 } else { 32 };
            let i = Decoder::with_ip(bitness, b.as_slice(), 0, DecoderOptions::NONE).decode();
            if !i.is_invalid() {
                b.len = i.len();
                // Far transfers to chance selectors could enter 64-bit code.
                if i.is_jmp_far() || i.is_call_far() {
                    continue;
                }
                if matches!(i.flow_control(), iced_x86::FlowControl::Interrupt)
                    && i.op_count() == 1
                    && i.immediate8() == 0x80
                {
                    continue;
                }
            } else {
                b.len = b.len.min(15);
            }
            if self.push(&b, None) {
                return;
            }
        }
    }
}

impl Generator {
    /// The case of a seed. The same seed and family give the same case on every host.
    pub fn case(&mut self, seed: u64, family: Family) -> Case {
        let mut rng = Rng::new(seed ^ (family as u64) << 56);
        let segments = family == Family::Segments || (family == Family::Mix && rng.per_mille(100));
        let regs = start_registers(&mut rng, family, segments);
        let code_sel = regs.seg[1];
        let entry = (code_sel & 4 != 0).then(|| ldt::ENTRIES[usize::from(code_sel >> 3)]);
        let code16 = entry.is_some_and(|e| !e.big);
        let code_base = entry.map_or(0, |e| e.base);
        let count = if rng.per_mille(40) { 8 + rng.index(32) } else { 1 + rng.index(8) };
        let pae = rng.per_mille(500);
        let place = rng.below(100);
        let mut b = Build {
            known: regs.gpr.map(Some),
            rng,
            items: Vec::with_capacity(16),
            segs: regs.seg,
            code16,
            segments,
            undefined: Undefined::default(),
            x87_inexact: false,
            sse_inexact: false,
            modifies_code: false,
            iret: false,
            scrubbing: false,
            once: false,
            any_bytes: family == Family::Bytes,
            info: &mut self.info,
            forms: self.forms,
        };
        while b.items.len() < count {
            b.next(family);
        }
        if b.rng.per_mille(120) {
            b.around_again();
        }
        let len: u32 = b.items.iter().map(|i| u32::from(i.len)).sum::<u32>() + 8;
        let room = CODE_LEN as u32 - 64 - len;
        let start = match place {
            // Across the page boundary.
            0..=14 => CODE + PAGE as u32 - b.rng.below(len),
            // Off the end.
            15..=17 => CODE + CODE_LEN as u32 - b.rng.below(len) - 1,
            _ => CODE + b.rng.below(room),
        };
        let mut regs = regs;
        regs.eip = start.wrapping_sub(code_base);
        let mut case = Case {
            seed,
            family,
            regs,
            image: b.rng.index(Images::COUNT),
            start,
            code_base,
            code16,
            pae,
            undefined_end: b.undefined.now,
            undefined_any: b.undefined.any,
            x87_inexact: b.x87_inexact,
            sse_inexact: b.sse_inexact,
            modifies_code: b.modifies_code,
            iret: b.iret,
            items: b.items,
        };
        case.follow_flags();
        case
    }
}

impl Build<'_> {
    fn next(&mut self, family: Family) {
        let simple = [Family::Alu, Family::Move, Family::Shift, Family::Bit, Family::Exchange, Family::Stack];
        let family = match family {
            Family::Mix | Family::Segments => {
                if self.rng.per_mille(120) {
                    return self.composite(family);
                }
                if self.rng.per_mille(30) {
                    return self.random_bytes();
                }
                Family::ALL[self.rng.index(25)]
            }
            Family::SelfModifying => {
                if self.rng.per_mille(600) {
                    return self.rewrite();
                }
                self.rng.pick(&simple)
            }
            Family::Bytes => {
                if self.rng.per_mille(800) {
                    return self.random_bytes();
                }
                self.rng.pick(&simple)
            }
            Family::Stack
            | Family::Control
            | Family::Selector
            | Family::X87Control
            | Family::SseMove
            | Family::Strings
                if self.rng.per_mille(300) =>
            {
                return self.composite(family);
            }
            f if self.rng.per_mille(850) => f,
            _ => self.rng.pick(&simple),
        };
        // After a result that is not exact nothing may compute with it.
        let float = family as usize >= Family::X87Data as usize;
        let sse = family as usize >= Family::SseFloat as usize;
        let family = if float && (self.x87_inexact && !sse || self.sse_inexact && sse) {
            self.rng.pick(&simple)
        } else {
            family
        };
        let list = self.forms.of(family);
        if list.is_empty() {
            return;
        }
        let form = self.forms.all[list[self.rng.index(list.len())]];
        // All Jcc are in one family with the rare things; MOV and PUSH drown the rest otherwise.
        self.instruction(&form);
    }
}

fn start_registers(rng: &mut Rng, family: Family, segments: bool) -> Regs {
    let mut regs = Regs { seg: [DS32, CS32, DS32, DS32, DS32, DS32], ..Regs::default() };
    for g in &mut regs.gpr {
        *g = int32(rng);
    }
    let offset = |rng: &mut Rng| match rng.below(10) {
        0 => 0x1000 * (1 + rng.below(3)) - rng.below(16),
        1 => rng.below(DATA_LEN as u32),
        2..=5 => rng.below(0x3000) & !15,
        _ => rng.below(0x3000) & !3,
    };
    for r in [EBX, ESI, EDI, EBP] {
        if rng.per_mille(800) {
            regs.gpr[r] = DATA + offset(rng);
        }
    }
    if rng.per_mille(500) {
        regs.gpr[ECX] = rng.below(40);
    }
    regs.gpr[ESP] = STACK
        + match rng.below(20) {
            0 => rng.below(STACK_LEN as u32),
            1 => rng.below(32),
            2 => STACK_LEN as u32 - rng.below(32),
            3 => 0x1000 + rng.below(32) - 16,
            _ => 0x400 + (rng.below(0x1800) & !3),
        };
    if rng.per_mille(200) {
        regs.gpr[EBP] = STACK + 0x400 + (rng.below(0x1800) & !3);
    }
    if segments {
        for s in [0, 3, 4, 5] {
            if rng.per_mille(700) {
                regs.seg[s] = ldt::selector(rng.pick(&[1, 2, 3, 4, 5, 6, 12, 13, 15, 0, 7]));
            }
        }
        // The stub loads them in 64-bit mode, which refuses what is not there.
        if rng.per_mille(500) {
            regs.seg[2] = ldt::selector(rng.pick(&[0, 10, 14]));
            regs.gpr[ESP] = match rng.below(8) {
                0 => rng.below(40),
                1 => 0x1fe0 + rng.below(64),
                2 => 0x1000 + rng.below(40) - 20,
                _ => 0x1400 + (rng.below(0x800) & !1),
            };
            if regs.seg[2] != ldt::selector(10) && rng.per_mille(500) {
                regs.gpr[ESP] |= rng.u32() << 16;
            }
        }
        match rng.below(4) {
            0 => regs.seg[1] = ldt::selector(7),
            1 => regs.seg[1] = ldt::selector(8),
            _ => {}
        }
        for r in [EBX, ESI, EDI, EBP] {
            if rng.per_mille(600) {
                regs.gpr[r] = offset(rng);
            }
        }
    }
    if rng.per_mille(if segments { 100 } else { 5 }) {
        // A null selector, usable for nothing.
        let n = rng.pick(&[0usize, 3, 4, 5]);
        regs.seg[n] = rng.below(4) as u16;
    }
    regs.eflags = 0x202 | rng.u32() & ARITH;
    if rng.per_mille(150) {
        regs.eflags |= DF;
    }
    if rng.per_mille(200) {
        regs.eflags |= ID;
    }
    if rng.per_mille(30) {
        regs.eflags |= AC;
    }
    let float = family as usize >= Family::X87Data as usize && family as usize <= Family::Sse2Move as usize;
    regs.fx = values::fx(rng, !float && family != Family::Mix);
    regs
}
