//! What AMD's processors (seen: family 25) do otherwise than Intel's, instruction by instruction.

use iced_x86::{
    Code, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
    UsedMemory,
};

use crate::access::{Access, segment};
use crate::compare::distance80;
use crate::generate::{Family, family_of};
use crate::layout::Memory;
use crate::ldt;
use crate::maker::Step;
use crate::snapshot::{AF, ARITH, CF, EAX, ECX, EDI, ESI, ESP, OF, PF, RF, Regs, SF, Snapshot, Stop, ZF};

type Same<'a> = &'a dyn Fn(&Snapshot, &Memory) -> bool;

/// One instruction, what it found, and the host to compare with.
struct Look<'a> {
    step: &'a Step<'a>,
    i: &'a Instruction,
    found: Regs,
    same: Same<'a>,
}

pub fn rule(step: &Step<'_>, same: Same<'_>) -> Option<&'static str> {
    let look = Look { step, i: step.subject()?, found: step.found(), same };
    type Rule = fn(&Look<'_>) -> bool;
    const RULES: [(&str, Rule); 16] = [
        ("PUSH of a segment register", push_of_segment),
        ("POP of a segment register", pop_of_segment),
        ("access past FFFFFFFFh", wraps),
        ("RF in a trap within REP", trap_within_rep),
        ("flags of a REP that goes on", flags_within_rep),
        ("CMPS reads ESI first", compares_esi_first),
        ("x87 store that faults and raises", x87_store),
        ("MMX store that faults", mmx_store),
        ("INT1", int1),
        ("far return", far_return),
        ("alignment check of MOVUPS", unaligned_move),
        ("transcendental underflow", underflow),
        ("LOOPE and LOOPNE with REP", loop_with_prefix),
        ("near CALL beyond the limit", near_call),
        ("fetch of an undefined instruction", undefined),
        ("fault before #UD", late_undefined),
    ];
    RULES.into_iter().find(|(_, holds)| holds(&look)).map(|(name, _)| name)
}

impl Look<'_> {
    /// The host ended with this fault, and nothing else happened.
    fn faulted(&self, stop: Stop) -> bool {
        self.faulted_after(stop, self.step.memory)
    }

    fn faulted_after(&self, stop: Stop, memory: &Memory) -> bool {
        let mut regs = self.found;
        regs.eip = self.i.ip32();
        regs.eflags |= RF;
        self.step.host.stop == stop && (self.same)(&Snapshot { stop, regs }, memory)
    }

    /// The host met a fault that this access can meet.
    fn fault_of(&self, access: Access) -> bool {
        access.faults(&self.found).into_iter().any(|f| self.faulted(f))
    }

    /// What ours left, with a change.
    fn ours_but(&self, change: impl Fn(&mut Snapshot, &mut Memory)) -> bool {
        let (mut s, mut m) = (*self.step.guest, self.step.guest_memory.clone());
        change(&mut s, &mut m);
        (self.same)(&s, &m)
    }

    fn stack_is_small(&self) -> bool {
        ldt::of_selector(self.found.seg[2]).is_some_and(|e| !e.big)
    }

    /// `size` bytes at `plus` bytes above the top of the stack.
    fn on_stack(&self, plus: u32, size: u32, write: bool) -> Access {
        let esp = self.found.gpr[ESP].wrapping_add(plus);
        let offset = if self.stack_is_small() { esp & 0xffff } else { esp };
        Access { seg: 2, offset, size, write }
    }

    /// What it reads and writes, in the order of its operands.
    fn accesses(&self) -> Vec<Access> {
        if let Some(size) = element(self.i) {
            return self.elements(size);
        }
        let mut info = InstructionInfoFactory::new();
        let used = info.info(self.i).used_memory();
        let write = |u: &UsedMemory| !matches!(u.access(), OpAccess::Read | OpAccess::CondRead);
        used.iter().filter_map(|u| self.access(u, write(u))).collect()
    }

    /// The library takes a stack to be as wide as the code.
    fn access(&self, u: &UsedMemory, write: bool) -> Option<Access> {
        let a = Access::of(u, &self.found, write)?;
        if u.base() != Register::SP || self.stack_is_small() {
            return Some(a);
        }
        Some(self.on_stack(u.displacement() as i16 as u32, a.size, write))
    }

    /// The next elements of a string instruction, [ESI] first.
    fn elements(&self, size: u32) -> Vec<Access> {
        use OpKind as K;
        (0..self.i.op_count())
            .filter_map(|n| {
                let write = n == 0 && !matches!(self.i.op_kind(n), K::MemorySegSI | K::MemorySegESI);
                let (seg, r, small) = match self.i.op_kind(n) {
                    K::MemorySegSI => (segment(self.i.memory_segment())?, ESI, true),
                    K::MemorySegESI => (segment(self.i.memory_segment())?, ESI, false),
                    K::MemoryESDI => (0, EDI, true),
                    K::MemoryESEDI => (0, EDI, false),
                    _ => return None,
                };
                let v = self.found.gpr[r];
                let compares =
                    matches!(self.i.mnemonic(), Mnemonic::Scasb | Mnemonic::Scasw | Mnemonic::Scasd);
                Some(Access {
                    seg,
                    offset: if small { v & 0xffff } else { v },
                    size,
                    write: write && !compares,
                })
            })
            .collect()
    }

    /// Its bytes up to the opcode.
    fn prefixes(&self) -> Vec<u8> {
        let from = ldt::base_of(self.found.seg[1]).wrapping_add(self.i.ip32());
        (0..15)
            .map_while(|n| self.step.memory.get(from.wrapping_add(n)))
            .take_while(|b| matches!(b, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3))
            .collect()
    }

    fn repeats(&self) -> bool {
        self.i.is_string_instruction() && (self.i.has_rep_prefix() || self.i.has_repne_prefix())
    }
}

/// All four bytes are written, the upper two as zero; Intel's write two.
fn push_of_segment(l: &Look<'_>) -> bool {
    use Code as C;
    if !matches!(
        l.i.code(),
        C::Pushd_ES | C::Pushd_CS | C::Pushd_SS | C::Pushd_DS | C::Pushd_FS | C::Pushd_GS
    ) {
        return false;
    }
    l.fault_of(l.on_stack(4_u32.wrapping_neg(), 4, true))
        || l.ours_but(|s, m| {
            for n in 2..4 {
                let at = ldt::stack_address(s.regs.seg[2], s.regs.gpr[ESP].wrapping_add(n));
                if let Some(b) = m.byte(at) {
                    *b = 0;
                }
            }
        })
}

/// All four bytes are read, before the selector is looked at.
fn pop_of_segment(l: &Look<'_>) -> bool {
    use Code as C;
    matches!(l.i.code(), C::Popd_ES | C::Popd_SS | C::Popd_DS | C::Popd_FS | C::Popd_GS)
        && l.fault_of(l.on_stack(0, 4, false))
}

/// #GP or #SS in a flat segment too, where Intel's wraps and so meets the missing page.
fn wraps(l: &Look<'_>) -> bool {
    let near_the_end = match l.step.guest.stop {
        Stop::Fault { vector: 14, address, .. } => address >= 0xffff_fff0,
        // It would not be aligned there either.
        Stop::Fault { vector: 17, .. } => true,
        _ => return false,
    };
    let unclear = matches!(
        l.i.mnemonic(),
        Mnemonic::Enter | Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc
    );
    let Stop::Fault { vector, .. } = l.step.host.stop else { return false };
    let seg_wraps = |seg: usize| l.accesses().iter().any(|a| (a.seg == 2) == (seg == 2) && a.wraps());
    let seg = if vector == 12 { 2 } else { 3 };
    matches!(vector, 12 | 13) && (seg_wraps(seg) || (unclear && near_the_end)) && {
        let stop = Stop::Fault { vector, error: 0, address: 0 };
        // ENTER has pushed by then.
        l.faulted(stop) || (l.i.mnemonic() == Mnemonic::Enter && l.faulted_after(stop, l.step.guest_memory))
    }
}

/// RF is clear in the image of a single-step trap between two repetitions; Intel's has it set.
fn trap_within_rep(l: &Look<'_>) -> bool {
    l.repeats() && l.ours_but(|s, _| s.regs.eflags &= !RF)
}

/// SCAS and CMPS that go on have set the flags of the last comparison; Intel's keep the old ones until they end.
fn flags_within_rep(l: &Look<'_>) -> bool {
    use Mnemonic as M;
    let scans = matches!(l.i.mnemonic(), M::Scasb | M::Scasw | M::Scasd);
    let compares = matches!(l.i.mnemonic(), M::Cmpsb | M::Cmpsw | M::Cmpsd);
    let Some(size) = element(l.i).filter(|_| l.repeats() && (scans || compares)) else {
        return false;
    };
    let load = |a: &Access| {
        let at = ldt::base_of(l.found.seg[a.seg]).wrapping_add(a.offset);
        (0..size).try_fold(0, |v, n| Some(v | u32::from(l.step.memory.get(at.wrapping_add(n))?) << (8 * n)))
    };
    let operands = l.accesses();
    let (Some(a), Some(b)) = (
        if scans { Some(l.found.gpr[EAX]) } else { operands.first().and_then(load) },
        operands.last().and_then(load),
    ) else {
        return false;
    };
    let flags = compare_flags(a, b, 8 * size);
    l.ours_but(|s, _| s.regs.eflags = s.regs.eflags & !ARITH | flags)
        || l.ours_but(|s, _| s.regs.eflags = s.regs.eflags & !(ARITH | RF) | flags)
}

/// The size of what a string instruction takes at a time.
fn element(i: &Instruction) -> Option<u32> {
    use Mnemonic as M;
    // Two of the names are those of SSE2 instructions as well.
    if !i.is_string_instruction() {
        return None;
    }
    Some(match i.mnemonic() {
        M::Movsb | M::Cmpsb | M::Stosb | M::Lodsb | M::Scasb => 1,
        M::Movsw | M::Cmpsw | M::Stosw | M::Lodsw | M::Scasw => 2,
        M::Movsd | M::Cmpsd | M::Stosd | M::Lodsd | M::Scasd => 4,
        _ => return None,
    })
}

/// The flags of `a - b` in so many bits.
fn compare_flags(a: u32, b: u32, bits: u32) -> u32 {
    let mask = u32::MAX >> (32 - bits);
    let (a, b) = (a & mask, b & mask);
    let d = a.wrapping_sub(b) & mask;
    let sign = 1 << (bits - 1);
    let mut f = 0;
    for (flag, set) in [
        (CF, a < b),
        (PF, (d as u8).count_ones() & 1 == 0),
        (AF, (a ^ b ^ d) & 0x10 != 0),
        (ZF, d == 0),
        (SF, d & sign != 0),
        (OF, (a ^ b) & (a ^ d) & sign != 0),
    ] {
        f |= if set { flag } else { 0 };
    }
    f
}

/// Of two operands that both fault, the first is [ESI]; with Intel's it is [EDI].
fn compares_esi_first(l: &Look<'_>) -> bool {
    matches!(l.i.mnemonic(), Mnemonic::Cmpsb | Mnemonic::Cmpsw | Mnemonic::Cmpsd)
        && matches!(l.step.guest.stop, Stop::Fault { .. })
        && l.accesses().into_iter().any(|a| l.fault_of(a))
}

/// A store that raises an unmasked exception looks first whether it could store.
fn x87_store(l: &Look<'_>) -> bool {
    use Mnemonic as M;
    matches!(l.i.mnemonic(), M::Fst | M::Fstp | M::Fist | M::Fistp | M::Fbstp)
        && l.i.op0_kind() == OpKind::Memory
        && l.step.guest.regs.fx.u16(2) & 0x80 != 0
        && l.accesses().into_iter().any(|a| l.fault_of(a))
}

/// A result at the edge of what is normal, of which the last bit may differ, underflows. UE is unmasked here: what is
/// stored has an exponent larger by 6000h.
fn underflow(l: &Look<'_>) -> bool {
    const RAISED: u16 = 0x8090;
    let host = &l.step.host.regs.fx;
    family_of(l.i.code()) == Family::X87Transcendental
        && host.u16(2) & RAISED == RAISED
        && l.ours_but(|s, _| {
            let fx = &mut s.regs.fx;
            fx.set16(2, fx.u16(2) | RAISED);
            for n in 0..2 {
                let ((m, e), ours) = (host.st(n), fx.st(n));
                let unwrapped = (m, e.wrapping_sub(0x6000));
                if ours.1 & 0x7fff <= 1 && distance80(unwrapped, ours).is_some_and(|d| d <= 1) {
                    fx.set_st(n, m, e);
                }
            }
        })
}

/// TOP stays; Intel's has become 0.
fn mmx_store(l: &Look<'_>) -> bool {
    use Mnemonic as M;
    matches!(l.i.mnemonic(), M::Movd | M::Movq | M::Movntq | M::Maskmovq)
        && l.i.op0_kind() != OpKind::Register
        && matches!(l.step.guest.stop, Stop::Fault { .. })
        && l.ours_but(|s, _| s.regs.fx.turn(l.found.fx.u16(2) >> 11 & 7))
}

/// A virtual machine on AMD's sees INT1 as a fault: EIP has not moved.
fn int1(l: &Look<'_>) -> bool {
    l.i.mnemonic() == Mnemonic::Int1 && l.ours_but(|s, _| s.regs.eip = l.i.ip32())
}

/// A far RET or IRET reads all four bytes that hold the selector; if it goes to another ring, then the stack pointer
/// that it would return to, and looks at the selector only then.
fn far_return(l: &Look<'_>) -> bool {
    use Mnemonic as M;
    if !matches!(l.i.mnemonic(), M::Retf | M::Iret | M::Iretd) {
        return false;
    }
    let word = if matches!(l.i.code(), Code::Retfw | Code::Retfw_imm16 | Code::Iretw) { 2 } else { 4 };
    let selector = l.on_stack(word, word, false);
    if l.fault_of(selector) {
        return true;
    }
    let rpl = l.step.memory.get(ldt::base_of(l.found.seg[2]).wrapping_add(selector.offset)).map(|b| b & 3);
    let skipped = match l.i.mnemonic() {
        M::Retf if l.i.op_count() == 1 => 2 * word + u32::from(l.i.immediate16()),
        M::Retf => 2 * word,
        _ => 3 * word,
    };
    rpl != Some(3)
        && matches!(l.step.guest.stop, Stop::Fault { vector: 13, .. })
        && (0..2).any(|n| l.fault_of(l.on_stack(skipped + n * word, word, false)))
}

/// MOVUPS and MOVUPD are checked for alignment if AC is set.
fn unaligned_move(l: &Look<'_>) -> bool {
    use Mnemonic as M;
    matches!(l.i.mnemonic(), M::Movups | M::Movupd | M::Movdqu | M::Lddqu)
        && l.faulted(Stop::Fault { vector: 17, error: 0, address: 0 })
}

/// F3 makes LOOPE of LOOPNE, F2 LOOPNE of LOOPE.
fn loop_with_prefix(l: &Look<'_>) -> bool {
    use Code as C;
    if !matches!(l.i.mnemonic(), Mnemonic::Loope | Mnemonic::Loopne) {
        return false;
    }
    let small = matches!(
        l.i.code(),
        C::Loope_rel8_16_CX | C::Loope_rel8_32_CX | C::Loopne_rel8_16_CX | C::Loopne_rel8_32_CX
    );
    let count = l.found.gpr[ECX].wrapping_sub(1) & if small { 0xffff } else { u32::MAX };
    let zero = l.found.eflags & ZF != 0;
    let goes = match l.prefixes().iter().rfind(|b| matches!(b, 0xf2 | 0xf3)) {
        Some(0xf2) => count != 0 && !zero,
        Some(_) => count != 0 && zero,
        None => return false,
    };
    let to = if goes { l.i.near_branch32() } else { l.i.next_ip32() };
    l.ours_but(|s, _| s.regs.eip = to)
}

/// Nothing has been pushed when the target lies beyond the limit.
fn near_call(l: &Look<'_>) -> bool {
    l.i.mnemonic() == Mnemonic::Call
        && !l.i.is_call_far()
        && !l.i.is_call_far_indirect()
        && matches!(l.step.guest.stop, Stop::Fault { vector: 13, error: 0, .. })
        && l.ours_but(|_, m| m.copy_from(l.step.memory))
}

/// The undefined opcodes 0F B9 and 0F FF have no operands, so none are fetched.
fn undefined(l: &Look<'_>) -> bool {
    let from = ldt::base_of(l.found.seg[1]).wrapping_add(l.i.ip32()).wrapping_add(l.prefixes().len() as u32);
    let opcode = [0, 1].map(|n| l.step.memory.get(from.wrapping_add(n)));
    matches!(opcode, [Some(0x0f), Some(0xb9 | 0xff)])
        && matches!(l.step.guest.stop, Stop::Fault { vector: 13 | 14, .. })
        && l.faulted(Stop::Fault { vector: 6, error: 0, address: 0 })
}

/// Of what is undefined, other things are looked at first: the length of C6 and C7, the privilege of LOCK MOV CR.
/// LOCK VERR and LOCK VERW are not undefined at all.
fn late_undefined(l: &Look<'_>) -> bool {
    if !matches!(l.step.guest.stop, Stop::Fault { vector: 6, .. }) {
        return false;
    }
    let prefixes = l.prefixes();
    let from = ldt::base_of(l.found.seg[1]).wrapping_add(l.i.ip32());
    let mut bytes: Vec<u8> = (0..30).map_while(|n| l.step.memory.get(from.wrapping_add(n))).collect();
    let n = prefixes.len();
    let bitness = if ldt::of_selector(l.found.seg[1]).is_some_and(|e| !e.big) { 16 } else { 32 };
    let locked = prefixes.contains(&0xf0);
    let general = Stop::Fault { vector: 13, error: 0, address: 0 };
    match (bytes.get(n), bytes.get(n + 1)) {
        (Some(0xc6 | 0xc7), Some(_)) => {
            bytes[n + 1] &= 0xc7;
            // All but the prefixes that change the size.
            let short: Vec<u8> =
                prefixes.iter().filter(|b| matches!(b, 0x66 | 0x67)).chain(&bytes[n..]).copied().collect();
            let mut d = Decoder::new(bitness, &short, DecoderOptions::NONE);
            let i = d.decode();
            let sizes = prefixes.iter().filter(|b| matches!(b, 0x66 | 0x67)).count();
            !i.is_invalid() && i.len() + n - sizes > 15 && l.faulted(general)
        }
        (Some(0x0f), Some(0x20 | 0x22)) => locked && l.faulted(general),
        (Some(0x0f), Some(0)) if locked => {
            bytes.drain(..n);
            bytes.splice(0..0, prefixes.iter().copied().filter(|&b| b != 0xf0));
            let i = Decoder::new(bitness, &bytes, DecoderOptions::NONE).decode();
            let mut info = InstructionInfoFactory::new();
            let used = info.info(&i).used_memory();
            let mut ran = Snapshot { stop: Stop::Exit, regs: l.found };
            let locks = prefixes.iter().filter(|&&b| b == 0xf0).count();
            ran.regs.eip = l.i.ip32().wrapping_add((i.len() + locks) as u32);
            ran.regs.eflags = l.found.eflags & !ZF | l.step.host.regs.eflags & ZF;
            matches!(i.mnemonic(), Mnemonic::Verr | Mnemonic::Verw)
                && ((l.same)(&ran, l.step.memory)
                    || used.iter().filter_map(|u| Access::of(u, &l.found, false)).any(|a| l.fault_of(a)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{CODE, CS32, DS32, STACK};
    use crate::snapshot::AC;

    const AT: u32 = STACK + 0x1000;

    fn start(code: &[u8]) -> (Regs, Memory, [Instruction; 1]) {
        let mut r =
            Regs { seg: [DS32, CS32, DS32, DS32, DS32, DS32], eip: CODE, eflags: 0x302, ..Regs::default() };
        r.gpr[ESP] = AT;
        let mut m = Memory::default();
        m.code[..code.len()].copy_from_slice(code);
        m.stack.fill(0x55);
        let i = Decoder::with_ip(32, code, u64::from(CODE), DecoderOptions::NONE).decode();
        (r, m, [i])
    }

    fn stopped(regs: Regs, stop: Stop) -> Snapshot {
        let mut s = Snapshot { stop, regs };
        s.regs.eflags |= if stop == Stop::Exit { 0 } else { RF };
        s
    }

    /// The rule for a host that left `host`, where ours left `guest`.
    fn of(
        before: (&Regs, &Memory, &[Instruction]),
        host: (&Snapshot, &Memory),
        guest: (&Snapshot, &Memory),
    ) -> Option<&'static str> {
        let step = Step {
            instructions: before.2,
            before: before.0,
            host: host.0,
            guest: guest.0,
            memory: before.1,
            guest_memory: guest.1,
        };
        rule(&step, &|s, m| s == host.0 && m == host.1)
    }

    #[test]
    fn flags_of_a_comparison() {
        assert_eq!(compare_flags(5, 5, 32), ZF | PF);
        assert_eq!(compare_flags(0x80, 1, 8), OF | AF);
        assert_eq!(compare_flags(0, 1, 16), CF | PF | AF | SF);
        assert_eq!(compare_flags(0xffff_ff07, 0x07, 8), ZF | PF);
    }

    #[test]
    fn segment_registers_on_the_stack() {
        // push es
        let (r, m, i) = start(&[0x06]);
        let mut after = stopped(r, Stop::Exit);
        (after.regs.eip, after.regs.gpr[ESP]) = (CODE + 1, AT - 4);
        let pushed = |upper: u8| {
            let mut m = m.clone();
            m.stack[0xffc..0x1000].copy_from_slice(&[DS32 as u8, 0, upper, upper]);
            m
        };
        let name = Some("PUSH of a segment register");
        assert_eq!(of((&r, &m, &i), (&after, &pushed(0)), (&after, &pushed(0x55))), name);
        // Anything else in the upper half is not what the rule says.
        assert_eq!(of((&r, &m, &i), (&after, &pushed(1)), (&after, &pushed(0x55))), None);
        // pop es with AC, aligned to two bytes only
        let (mut r, m, i) = start(&[0x07]);
        r.eflags |= AC;
        r.gpr[ESP] += 2;
        let mut after = stopped(r, Stop::Exit);
        (after.regs.eip, after.regs.gpr[ESP], after.regs.seg[0]) = (CODE + 1, AT + 6, 0);
        let fault = stopped(r, Stop::Fault { vector: 17, error: 0, address: 0 });
        assert_eq!(of((&r, &m, &i), (&fault, &m), (&after, &m)), Some("POP of a segment register"));
        let other = stopped(r, Stop::Fault { vector: 12, error: 0, address: 0 });
        assert_eq!(of((&r, &m, &i), (&other, &m), (&after, &m)), None);
    }

    #[test]
    fn past_the_end_of_a_flat_segment() {
        // mov eax, [ffffffffh]
        let (r, m, i) = start(&[0xa1, 0xff, 0xff, 0xff, 0xff]);
        let general = stopped(r, Stop::Fault { vector: 13, error: 0, address: 0 });
        let page = stopped(r, Stop::Fault { vector: 14, error: 4, address: u32::MAX });
        assert_eq!(of((&r, &m, &i), (&general, &m), (&page, &m)), Some("access past FFFFFFFFh"));
        // data32 push 0, at 1 in 16-bit code on a flat stack
        let code = [0x66, 0x68, 0, 0, 0, 0];
        let (mut r, m, _) = start(&code);
        r.gpr[ESP] = 1;
        let i = [Decoder::with_ip(16, &code, u64::from(CODE), DecoderOptions::NONE).decode()];
        let stack = stopped(r, Stop::Fault { vector: 12, error: 0, address: 0 });
        let page = stopped(r, Stop::Fault { vector: 14, error: 6, address: 0xffff_fffd });
        assert_eq!(of((&r, &m, &i), (&stack, &m), (&page, &m)), Some("access past FFFFFFFFh"));
        // mov al, [ffffffffh] ends there.
        let (r, m, i) = start(&[0xa0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(of((&r, &m, &i), (&general, &m), (&page, &m)), None);
    }

    #[test]
    fn the_prefix_of_a_loop_is_its_condition() {
        // repe loopne +10h with ZF clear
        let (r, m, i) = start(&[0xf3, 0xe0, 0x10]);
        let mut goes = stopped(r, Stop::Exit);
        (goes.regs.eip, goes.regs.gpr[ECX]) = (CODE + 0x13, u32::MAX);
        let mut stays = goes;
        stays.regs.eip = CODE + 3;
        assert_eq!(of((&r, &m, &i), (&stays, &m), (&goes, &m)), Some("LOOPE and LOOPNE with REP"));
        let (r, m, i) = start(&[0xe0, 0x11]);
        assert_eq!(of((&r, &m, &i), (&stays, &m), (&goes, &m)), None);
    }

    #[test]
    fn nothing_but_the_rule_may_differ() {
        // int1
        let (r, m, i) = start(&[0xf1]);
        let trap = Stop::Fault { vector: 1, error: 0, address: 0 };
        let (mut ours, host) = (stopped(r, trap), stopped(r, trap));
        ours.regs.eip = CODE + 1;
        assert_eq!(of((&r, &m, &i), (&host, &m), (&ours, &m)), Some("INT1"));
        let mut wrong = host;
        wrong.regs.gpr[EAX] = 1;
        assert_eq!(of((&r, &m, &i), (&wrong, &m), (&ours, &m)), None);
    }
}
