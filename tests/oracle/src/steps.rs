//! A sequence that differs, taken apart: each of its instructions alone, on both processors, from what the host
//! had before it. So what a maker's processors are known to do differently is excused for one instruction, and
//! what comes before and after it is still compared.

use hv_vcpu::Vcpu;
use iced_x86::{Code, Instruction, InstructionInfoFactory, Mnemonic};

use crate::access::Access;
use crate::compare::{Verdict, compare};
use crate::generate::Case;
use crate::guest::Guest;
use crate::host::Host;
use crate::layout::{CODE, CODE_LEN, CS32, EXIT, Memory};
use crate::ldt;
use crate::maker::{Maker, Step};
use crate::snapshot::{ESP, RF, Regs, Snapshot, Stop, TF};

/// A REP makes a step of each repetition. What is longer is not followed.
const MOST: usize = 20_000;

const SINGLE_STEP: Stop = Stop::Fault { vector: 1, error: 0, address: 0 };

/// Takes the step's own trap out of how it ended.
fn without_trap(mut s: Snapshot) -> Snapshot {
    if s.stop == SINGLE_STEP {
        s.stop = Stop::Exit;
        s.regs.eflags &= !RF;
    }
    s
}

/// Both sides of a session.
pub struct Sides<'a, V: Vcpu> {
    pub host: &'a mut Host,
    pub guest: &'a mut Guest<V>,
}

/// Where the host was when the sequence ended.
pub struct End<'a> {
    pub host: &'a Snapshot,
    pub memory: &'a Memory,
}

/// `Known` with the rules by which the sequence differs, if its instructions agree but for them; else `Differ` with
/// what differs.
pub fn explain<V: Vcpu>(
    maker: Maker,
    whole: &Case,
    start: &Memory,
    end: &End<'_>,
    sides: Sides<'_, V>,
) -> Verdict {
    let Sides { host, guest } = sides;
    let mut rules = Vec::new();
    let mut before = whole.regs;
    let mut memory = start.clone();
    let (mut host_memory, mut guest_memory) = (Memory::default(), Memory::default());
    // Whether TF is set in the sequence itself.
    let mut single = before.eflags & TF != 0;
    maker.forget_pointers(&mut before.fx);
    for _ in 0..MOST {
        let small = ldt::of_selector(before.seg[2]).is_some_and(|e| !e.big);
        if small && before.seg.iter().any(|s| (1..4).contains(s)) {
            return Verdict::Skip("a null selector that a step would lose");
        }
        before.eflags |= TF;
        let at = before.eip.wrapping_add(ldt::base_of(before.seg[1]));
        let from = (at.wrapping_sub(CODE) as usize).min(CODE_LEN);
        let (mut case, instructions) = whole.step(before, &memory.code[from..]);
        let mut h;
        if instructions.is_empty() {
            // The kernel loses registers on the way to where no code is: the sequence has been there.
            h = *end.host;
            host_memory.copy_from(end.memory);
            if !single {
                case.regs.eflags &= !TF;
            }
        } else {
            host.reload(&memory);
            h = host.step(&before);
            host.store(&mut host_memory);
        }
        guest.load(&memory);
        let (mut g, _) = guest.run(&case);
        guest.store(&mut guest_memory);
        pointers(&instructions, &before, &host_memory, &mut guest_memory);
        let last =
            h.stop != SINGLE_STEP || single || instructions.iter().any(|i| i.mnemonic() == Mnemonic::Int1);
        if !last {
            (h, g) = (without_trap(h), without_trap(g));
        }
        if let Verdict::Differ(differences) = compare(maker, &case, &h, &g, &host_memory, &guest_memory) {
            let step = Step {
                instructions: &instructions,
                before: &before,
                host: &h,
                guest: &g,
                memory: &memory,
                guest_memory: &guest_memory,
            };
            let same =
                |g: &Snapshot, m: &Memory| compare(maker, &case, &h, g, &host_memory, m) == Verdict::Agree;
            match maker.rule(&step, same) {
                Some(rule) if rules.contains(&rule) => {}
                Some(rule) => rules.push(rule),
                None => {
                    let mut out = vec![format!("alone, at {at:08x}:")];
                    out.extend(differences.into_iter().map(|d| format!("  {d}")));
                    return Verdict::Differ(out);
                }
            }
        }
        if last || (h.regs.eip == EXIT && h.regs.seg[1] == CS32) {
            if !single {
                h.regs.eflags &= !TF;
            }
            // Lost with each trap; see `Maker::forget_pointers`.
            h.regs.fx.set32(8, end.host.regs.fx.u32(8));
            // One by one they must have gone the way the sequence went.
            return match compare(maker, whole, &h, end.host, &host_memory, end.memory) {
                Verdict::Differ(d) => {
                    Verdict::Differ(d.into_iter().map(|d| format!("host, by steps and whole: {d}")).collect())
                }
                _ if rules.is_empty() => Verdict::Differ(vec!["but each instruction alone agrees".into()]),
                _ => Verdict::Known(rules),
            };
        }
        memory.copy_from(&host_memory);
        before = h.regs;
        for (seg, ours) in before.seg.iter_mut().zip(g.regs.seg) {
            // The kernel has made 0 of it.
            if *seg == 0 && ours < 4 {
                *seg = ours;
            }
        }
        own_flag(&instructions, &mut single, before.eflags, before.seg[2], before.gpr[ESP], &mut memory);
    }
    Verdict::Differ(vec!["too long to be taken apart".into()])
}

/// What the sequence itself zeroes in an x87 image, because it depends on the model or on where code lies.
fn pointers(done: &[Instruction], before: &Regs, host: &Memory, guest: &mut Memory) {
    use Code as C;
    for i in done {
        let (fields, mask) = match i.code() {
            C::Fxsave_m512byte => (6..24, 28..32),
            C::Fnstenv_m14byte | C::Fnsave_m94byte => (6..14, 0..0),
            C::Fnstenv_m28byte | C::Fnsave_m108byte => (12..28, 0..0),
            _ => continue,
        };
        let used = InstructionInfoFactory::new().info(i).used_memory().first().copied();
        let Some(image) = used.and_then(|u| Access::of(&u, before, true)) else { continue };
        let from = ldt::base_of(before.seg[image.seg]).wrapping_add(image.offset);
        for at in fields.chain(mask).map(|n| from.wrapping_add(n)) {
            if let (Some(h), Some(g)) = (host.get(at), guest.byte(at)) {
                *g = h;
            }
        }
    }
}

/// Follows the sequence's own TF: what loads it and what stores it.
fn own_flag(done: &[Instruction], single: &mut bool, eflags: u32, ss: u16, esp: u32, memory: &mut Memory) {
    use Mnemonic as M;
    for i in done {
        match i.mnemonic() {
            M::Popf | M::Popfd | M::Iret | M::Iretd => *single = eflags & TF != 0,
            M::Pushf | M::Pushfd if !*single => {
                if let Some(cell) = memory.byte(ldt::stack_address(ss, esp).wrapping_add(1)) {
                    *cell &= !(TF >> 8) as u8;
                }
            }
            _ => {}
        }
    }
}
