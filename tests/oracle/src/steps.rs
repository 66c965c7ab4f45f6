//! A sequence that differs, taken apart: each of its instructions alone, on both processors, from what the host
//! had before it. So what a maker's processors are known to do differently is excused for one instruction, and
//! what comes before and after it is still compared.

use hv_vcpu::Vcpu;
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, Register};

use crate::access::Access;
use crate::compare::{Verdict, compare};
use crate::generate::{Case, Family, Item, family_of, is_approximate};
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

/// A sequence on its way.
struct Trail<'a> {
    whole: &'a Case,
    before: Regs,
    memory: Memory,
    /// Whether TF is set in the sequence itself.
    single: bool,
}

impl<'a> Trail<'a> {
    fn new(whole: &'a Case, start: &Memory) -> Self {
        let before = whole.regs;
        Self { whole, before, memory: start.clone(), single: before.eflags & TF != 0 }
    }

    fn linear(&self) -> u32 {
        self.before.eip.wrapping_add(ldt::base_of(self.before.seg[1]))
    }

    /// The next instruction by itself, with TF set; the one behind it too if it loads SS. None where no code is.
    fn next(&self) -> (Case, Vec<Instruction>) {
        let mut regs = self.before;
        regs.eflags |= TF;
        let start = self.linear();
        let code = &self.memory.code[(start.wrapping_sub(CODE) as usize).min(CODE_LEN)..];
        let code16 = ldt::of_selector(regs.seg[1]).is_some_and(|e| !e.big);
        let bitness = if code16 { 16 } else { 32 };
        let mut d = Decoder::with_ip(bitness, code, u64::from(regs.eip), DecoderOptions::NONE);
        let (mut items, mut instructions) = (Vec::new(), Vec::new());
        while d.can_decode() {
            let from = d.position();
            let i = d.decode();
            items.push(Item::plain(&code[from..d.position()], i.code()));
            instructions.push(i);
            let loads_ss = i.op_count() != 0 && i.op0_register() == Register::SS;
            if items.len() == 2 || !(loads_ss && matches!(i.mnemonic(), Mnemonic::Mov | Mnemonic::Pop)) {
                break;
            }
        }
        let mut case = Case {
            regs,
            items,
            start,
            code_base: start.wrapping_sub(regs.eip),
            code16,
            // It need not go on to what follows it: what is undefined of its flags is so wherever it goes.
            modifies_code: true,
            x87_inexact: instructions.iter().any(|i| family_of(i.code()) == Family::X87Transcendental),
            sse_inexact: instructions.iter().any(|i| is_approximate(i.mnemonic())),
            ..*self.whole
        };
        case.follow_flags();
        (case, instructions)
    }

    /// Whether the sequence ends with this step.
    fn ends(&self, done: &[Instruction], after: &Snapshot) -> bool {
        after.stop != SINGLE_STEP || self.single || done.iter().any(|i| i.mnemonic() == Mnemonic::Int1)
    }

    /// How the sequence ended, without the TF of the last step.
    fn end(&self, mut last: Snapshot) -> Snapshot {
        if !self.single {
            last.regs.eflags &= !TF;
        }
        last
    }

    fn go_on(&mut self, done: &[Instruction], after: Regs, memory: &Memory) {
        use Mnemonic as M;
        self.before = after;
        self.memory.copy_from(memory);
        // The sequence's own TF: what loads it and what stores it.
        for i in done {
            match i.mnemonic() {
                M::Popf | M::Popfd | M::Iret | M::Iretd => self.single = after.eflags & TF != 0,
                M::Pushf | M::Pushfd if !self.single => {
                    let flags = ldt::stack_address(after.seg[2], after.gpr[ESP]);
                    if let Some(cell) = self.memory.byte(flags.wrapping_add(1)) {
                        *cell &= !(TF >> 8) as u8;
                    }
                }
                _ => {}
            }
        }
    }
}

fn at_exit(s: &Snapshot) -> bool {
    s.regs.eip == EXIT && s.regs.seg[1] == CS32
}

/// What the whole sequence left on one side.
#[derive(Clone, Copy)]
pub struct End<'a> {
    pub side: &'a Snapshot,
    pub memory: &'a Memory,
}

/// `Known` with the rules by which the sequence differs, if its instructions agree but for them; else `Differ` with
/// what differs.
pub fn explain<V: Vcpu>(
    maker: Maker,
    whole: &Case,
    start: &Memory,
    (end, ours): (End<'_>, End<'_>),
    host: &mut Host,
    guest: &mut Guest<V>,
) -> Verdict {
    let mut rules = Vec::new();
    let mut undefined = 0;
    let mut trail = Trail::new(whole, start);
    let (mut host_memory, mut guest_memory) = (Memory::default(), Memory::default());
    maker.forget_pointers(&mut trail.before.fx);
    for _ in 0..MOST {
        let segs = &trail.before.seg;
        let small = ldt::of_selector(segs[2]).is_some_and(|e| !e.big);
        if small && segs.iter().any(|s| (1..4).contains(s)) {
            return Verdict::Skip("a null selector that a step would lose");
        }
        let (mut case, instructions) = trail.next();
        let mut h;
        if instructions.is_empty() {
            // The kernel loses registers on the way to where no code is: the sequence has been there.
            h = *end.side;
            host_memory.copy_from(end.memory);
            case.regs.eflags = trail.before.eflags & !if trail.single { 0 } else { TF };
        } else {
            host.reload(&trail.memory);
            h = host.step(&case.regs);
            host.store(&mut host_memory);
        }
        guest.load(&trail.memory);
        let (mut g, _) = guest.run(&case);
        guest.store(&mut guest_memory);
        pointers(&instructions, &case.regs, &host_memory, &mut guest_memory);
        undefined |= case.undefined_any;
        let last = trail.ends(&instructions, &h);
        if !last {
            (h, g) = (without_trap(h), without_trap(g));
        }
        if let Verdict::Differ(differences) = compare(maker, &case, &h, &g, &host_memory, &guest_memory) {
            let step = Step {
                instructions: &instructions,
                before: &case.regs,
                host: &h,
                guest: &g,
                memory: &trail.memory,
                guest_memory: &guest_memory,
            };
            let same =
                |g: &Snapshot, m: &Memory| compare(maker, &case, &h, g, &host_memory, m) == Verdict::Agree;
            match maker.rule(&step, same) {
                Some(rule) if rules.contains(&rule) => {}
                Some(rule) => rules.push(rule),
                None => {
                    let mut out = vec![format!("alone, at {:08x}:", trail.linear())];
                    out.extend(differences.into_iter().map(|d| format!("  {d}")));
                    return Verdict::Differ(out);
                }
            }
        }
        if last || at_exit(&h) {
            h = trail.end(h);
            // Lost with each trap; see `Maker::forget_pointers`.
            h.regs.fx.set32(8, end.side.regs.fx.u32(8));
            // One by one they must have gone the way the sequence went.
            return match compare(maker, whole, &h, end.side, &host_memory, end.memory) {
                Verdict::Differ(d) => {
                    Verdict::Differ(d.into_iter().map(|d| format!("host, by steps and whole: {d}")).collect())
                }
                _ if rules.is_empty() => {
                    // A jump into the middle of an item ran what the sequence was not built from.
                    let mut loose = whole.clone();
                    loose.undefined_end |= undefined;
                    match compare(maker, &loose, end.side, ours.side, end.memory, ours.memory) {
                        Verdict::Agree => Verdict::Known(vec!["undefined flags"]),
                        _ => Verdict::Differ(vec!["but each instruction alone agrees".into()]),
                    }
                }
                _ => Verdict::Known(rules),
            };
        }
        for (seg, ours) in h.regs.seg.iter_mut().zip(g.regs.seg) {
            // The kernel has made 0 of it.
            if *seg == 0 && ours < 4 {
                *seg = ours;
            }
        }
        trail.go_on(&instructions, h.regs, &host_memory);
    }
    if end.side.stop == Stop::Runaway && !rules.is_empty() {
        return Verdict::Skip("does not end");
    }
    Verdict::Differ(vec!["too long to be taken apart".into()])
}

/// Ours against itself, by steps and whole: what the steps against the host say of an instruction holds for the whole
/// sequence, translated or not.
pub fn follows<V: Vcpu>(whole: &Case, start: &Memory, end: End<'_>, guest: &mut Guest<V>) -> Verdict {
    let mut trail = Trail::new(whole, start);
    let mut memory = Memory::default();
    for _ in 0..MOST {
        let (mut case, instructions) = trail.next();
        if instructions.is_empty() && !trail.single {
            case.regs.eflags &= !TF;
        }
        guest.load(&trail.memory);
        let (mut g, _) = guest.run(&case);
        guest.store(&mut memory);
        let last = trail.ends(&instructions, &g);
        if !last {
            g = without_trap(g);
        }
        if last || at_exit(&g) {
            return match compare(Maker::Intel, whole, &trail.end(g), end.side, &memory, end.memory) {
                Verdict::Differ(d) => {
                    Verdict::Differ(d.into_iter().map(|d| format!("ours, by steps and whole: {d}")).collect())
                }
                other => other,
            };
        }
        trail.go_on(&instructions, g.regs, &memory);
    }
    Verdict::Skip("too long to be taken apart")
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
