//! Runs cases on both sides and compares; cuts a disagreement down to what matters.

use std::io;

use hv_vcpu::{Hypervisor, Vcpu, Vm};

use crate::compare::{Verdict, compare, hex};
use crate::coverage::Coverage;
use crate::generate::{Case, Family, Generator, Images, Item};
use crate::guest::Guest;
use crate::host::Host;
use crate::layout::Memory;
use crate::maker::Maker;
use crate::snapshot::{EAX, ESP, Fx, Snapshot, Stop};
use crate::steps::{self, End};

/// The host against itself: how fast it is, and that it says the same twice.
pub struct HostOnly {
    host: Host,
    generator: Generator,
    images: Images,
    start: Memory,
    first: Memory,
    second: Memory,
}

impl HostOnly {
    pub fn new() -> io::Result<Self> {
        let images = Images::new();
        let mut host = Host::new()?;
        host.load(images.get(0))?;
        let m = Memory::default;
        Ok(Self { host, generator: Generator::default(), images, start: m(), first: m(), second: m() })
    }

    /// The case, how it went, and whether it went the same way again.
    pub fn run(&mut self, seed: u64, family: Family) -> (Case, Snapshot, Verdict) {
        let case = self.generator.case(seed, family);
        self.start.copy_from(self.images.get(case.image));
        case.place(&mut self.start);
        self.host.reload(&self.start);
        let a = self.host.run(&case.regs);
        self.host.store(&mut self.first);
        self.host.reload(&self.start);
        let b = self.host.run(&case.regs);
        self.host.store(&mut self.second);
        let verdict = compare(Maker::of_host(), &case, &a, &b, &self.first, &self.second);
        (case, a, verdict)
    }

    /// The memory the last case started with.
    pub fn memory(&self) -> &Memory {
        &self.start
    }
}

pub struct Session<V: Vcpu> {
    maker: Maker,
    host: Host,
    /// Runs the cases in the host's place.
    reference: Option<Guest<V>>,
    guest: Guest<V>,
    generator: Generator,
    images: Images,
    start: Memory,
    host_memory: Memory,
    guest_memory: Memory,
    coverage: Coverage,
}

/// What came out of one case.
pub struct Outcome {
    pub verdict: Verdict,
    pub host: Snapshot,
    pub guest: Snapshot,
    /// Instructions the software processor retired.
    pub retired: u64,
}

/// Linux keeps the number of the CPU in the limit of GDT entry 15, where LSL finds it.
fn cpu_number_limit(host: &mut Host) -> u32 {
    // mov eax, 7Bh; lsl eax, eax: two instructions in one item, nobody looks inside.
    let case = Case::of_bytes(&[0xb8, 0x7b, 0, 0, 0, 0x0f, 0x03, 0xc0]);
    let mut memory = Memory::default();
    case.place(&mut memory);
    host.reload(&memory);
    host.run(&case.regs).regs.gpr[EAX]
}

/// What [`compare`] lets pass because processors differ in it.
fn exactly(a: &Snapshot, b: &Snapshot) -> Verdict {
    // As far as FXSAVE writes.
    let written = 288;
    let at = (0..written).find(|&n| a.regs.fx.0[n] != b.regs.fx.0[n]);
    match at {
        Some(n) => {
            let n = n & !15;
            let (x, y) = (hex(&a.regs.fx.0[n..n + 16]), hex(&b.regs.fx.0[n..n + 16]));
            Verdict::Differ(vec![format!("FXSAVE image at {n}: {x}, and {y}")])
        }
        None => Verdict::Agree,
    }
}

impl<V: Vcpu> Session<V> {
    pub fn new<H>(engine: &H) -> io::Result<Self>
    where
        H: Hypervisor,
        H::Vm: Vm<Vcpu = V>,
    {
        let images = Images::new();
        let mut host = Host::new()?;
        let mut guest = Guest::new(engine).map_err(io::Error::other)?;
        host.load(images.get(0))?;
        guest.set_cpu_number_limit(cpu_number_limit(&mut host));
        Ok(Self {
            maker: Maker::of_host(),
            host,
            reference: None,
            guest,
            generator: Generator::default(),
            images,
            start: Memory::default(),
            host_memory: Memory::default(),
            guest_memory: Memory::default(),
            coverage: Coverage::default(),
        })
    }

    /// The same with another software processor in place of the host's: nothing at all may differ then.
    pub fn against<H>(engine: &H, reference: &H) -> io::Result<Self>
    where
        H: Hypervisor,
        H::Vm: Vm<Vcpu = V>,
    {
        let mut session = Self::new(engine)?;
        let mut reference = Guest::new(reference).map_err(io::Error::other)?;
        reference.set_cpu_number_limit(cpu_number_limit(&mut session.host));
        session.reference = Some(reference);
        Ok(session)
    }

    /// The software processor alone.
    pub fn run_ours(&mut self, case: &Case) -> Snapshot {
        let memory = self.memory_of(case);
        self.guest.load(&memory);
        self.guest.run(case).0
    }

    /// What agreed so far.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    pub fn case(&mut self, seed: u64, family: Family) -> Case {
        self.generator.case(seed, family)
    }

    /// The memory the case starts with.
    pub fn memory_of(&self, case: &Case) -> Memory {
        let mut m = self.images.get(case.image).clone();
        case.place(&mut m);
        m
    }

    pub fn run(&mut self, case: &Case) -> Outcome {
        self.start.copy_from(self.images.get(case.image));
        case.place(&mut self.start);
        self.guest.load(&self.start);
        let (guest, retired) = self.guest.run(case);
        self.guest.store(&mut self.guest_memory);
        if let Some(reference) = &mut self.reference {
            reference.load(&self.start);
            let (other, other_retired) = reference.run(case);
            reference.store(&mut self.host_memory);
            let mut verdict =
                compare(Maker::Intel, case, &other, &guest, &self.host_memory, &self.guest_memory);
            if verdict == Verdict::Agree {
                verdict = exactly(&other, &guest);
            }
            if verdict == Verdict::Agree && retired != other_retired {
                verdict = Verdict::Differ(vec![format!("retired: {other_retired}, and {retired}")]);
            }
            return Outcome { verdict, host: other, guest, retired };
        }
        let mut host = Snapshot { stop: Stop::Runaway, regs: case.regs };
        // The watchdog takes its time: what runs away here is not tried there more than it must be.
        if guest.stop == Stop::Runaway && !case.seed.is_multiple_of(64) {
            return Outcome { verdict: Verdict::Skip("does not end"), host, guest, retired };
        }
        self.host.reload(&self.start);
        host = self.host.run(&case.regs);
        self.host.store(&mut self.host_memory);
        let mut verdict = compare(self.maker, case, &host, &guest, &self.host_memory, &self.guest_memory);
        if let Verdict::Differ(all) = &mut verdict
            && self.maker.differs()
        {
            let host_end = End { side: &host, memory: &self.host_memory };
            let guest_end = End { side: &guest, memory: &self.guest_memory };
            let (maker, start) = (self.maker, &self.start);
            let mut taken_apart =
                steps::explain(maker, case, start, (host_end, guest_end), &mut self.host, &mut self.guest);
            if matches!(taken_apart, Verdict::Known(_))
                && let Verdict::Differ(why) = steps::follows(case, start, guest_end, &mut self.guest)
            {
                taken_apart = Verdict::Differ(why);
            }
            match taken_apart {
                Verdict::Differ(why) => all.extend(why),
                other => verdict = other,
            }
        }
        if matches!(verdict, Verdict::Agree | Verdict::Known(_)) {
            self.coverage.note(case, &host);
        }
        Outcome { verdict, host, guest, retired }
    }

    fn differs(&mut self, case: &mut Case) -> bool {
        case.follow_flags();
        matches!(self.run(case).verdict, Verdict::Differ(_))
    }

    /// A smaller case that still differs.
    pub fn minimise(&mut self, case: &Case) -> Case {
        let mut best = case.clone();
        for n in (0..best.items.len()).rev() {
            let mut c = best.clone();
            if c.items[n].glued {
                continue;
            }
            c.items.truncate(n.max(1));
            if self.differs(&mut c) {
                best = c;
            }
        }
        for n in 0..best.items.len() {
            let mut c = best.clone();
            if c.items[n].glued {
                continue;
            }
            c.items[n].blank();
            c.items[n + 1..].iter_mut().take_while(|i| i.glued).for_each(Item::blank);
            if self.differs(&mut c) {
                best = c;
            }
        }
        for r in 0..8 {
            if r == ESP {
                continue;
            }
            let mut c = best.clone();
            c.regs.gpr[r] = 0;
            if self.differs(&mut c) {
                best = c;
            }
        }
        for change in [
            |c: &mut Case| c.regs.eflags = 0x202,
            |c: &mut Case| c.pae = false,
            |c: &mut Case| c.regs.fx = Fx::default(),
            |c: &mut Case| c.regs.fx.0[160..288].fill(0),
            |c: &mut Case| c.regs.fx.0[32..160].fill(0),
            |c: &mut Case| c.regs.fx.set16(2, 0),
            |c: &mut Case| c.regs.fx.set16(0, 0x37f),
            |c: &mut Case| c.regs.fx.set32(24, 0x1f80),
        ] {
            let mut c = best.clone();
            change(&mut c);
            if self.differs(&mut c) {
                best = c;
            }
        }
        best
    }
}
