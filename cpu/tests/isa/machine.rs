//! A machine whose clock is the instruction count: polls as often as a test wants, interrupts at given counts.

use std::sync::Arc;

use cpu::{SoftCpu, Software};
use hv_vcpu::{CpuState, CpuidTable, GuestIo, Hypervisor, Kicker, Segment, Stop, Vcpu, Vm, Width};
use iced_x86::IcedError;
use iced_x86::code_asm::CodeAssembler;
use ram::GuestRam;

pub const CODE: u32 = 0x1_0000;
pub const STACK: u32 = 0x9_0000;
pub const DATA: u32 = 0x4_0000;
/// Interrupt vector 0 of the 8259; its gate leads to `HANDLER`.
pub const VECTOR: u8 = 0x20;
pub const HANDLER: u32 = 0x8000;
const GDT: u32 = 0x1000;
const IDT: u32 = 0x1800;

pub struct Clock {
    pub now: u64,
    /// Instructions from one poll to the next.
    pub every: u64,
    /// A poll must not come earlier.
    pub exact: bool,
    /// When interrupts come.
    pub interrupts: Vec<u64>,
    /// At what count each was taken.
    pub taken: Vec<u64>,
    pub polled: Vec<u64>,
    pub ports: Vec<(u16, u32)>,
    pub reads: u32,
    /// Written into memory by the next OUT, as a bus master does.
    pub dma: Option<(u64, Vec<u8>, Arc<GuestRam>)>,
    /// The first poll from this count on kicks.
    pub kick: Option<(u64, Kicker)>,
    /// Each OUT makes an interrupt due after so many instructions, and kicks.
    pub timer: Option<(u64, Kicker)>,
}

impl Clock {
    pub fn new() -> Self {
        Self {
            now: 0,
            every: 10_000,
            exact: true,
            interrupts: Vec::new(),
            taken: Vec::new(),
            polled: Vec::new(),
            ports: Vec::new(),
            reads: 0,
            dma: None,
            kick: None,
            timer: None,
        }
    }
}

impl GuestIo for Clock {
    fn pio_read(&mut self, _: u16, width: Width) -> u32 {
        self.reads += 1;
        self.reads & width.ones()
    }

    fn pio_write(&mut self, port: u16, _: Width, v: u32) {
        self.ports.push((port, v));
        if let Some((at, bytes, ram)) = self.dma.take() {
            ram.write(at, &bytes);
        }
        if let Some((after, kicker)) = &self.timer {
            self.interrupts.push(self.now + after);
            kicker.kick();
        }
    }

    fn mmio_read(&mut self, _: u64, buf: &mut [u8]) {
        buf.fill(0xff);
    }

    fn mmio_write(&mut self, _: u64, _: &[u8]) {}

    fn intr_pending(&self) -> bool {
        self.interrupts.first().is_some_and(|&at| at <= self.now)
    }

    fn ack_intr(&mut self) -> u8 {
        self.interrupts.remove(0);
        self.taken.push(self.now);
        VECTOR
    }

    fn retired(&mut self, instructions: u64) {
        self.now += instructions;
    }

    /// The next poll is when the next interrupt is due, or sooner.
    fn poll(&mut self) -> u64 {
        self.polled.push(self.now);
        if let Some((_, kicker)) = self.kick.take_if(|k| k.0 <= self.now) {
            kicker.kick();
        }
        let due = self.interrupts.first().map_or(u64::MAX, |&at| at.saturating_sub(self.now));
        self.every.min(due).max(1)
    }

    fn polls_are_exact(&self) -> bool {
        self.exact
    }

    fn deadline_ns(&mut self) -> Option<u64> {
        None
    }

    fn tsc(&mut self) -> u64 {
        self.now
    }

    fn ferr(&mut self, _: bool) {}

    fn ignne(&self) -> bool {
        false
    }
}

pub struct Machine {
    pub ram: Arc<GuestRam>,
    pub cpu: SoftCpu,
    pub io: Clock,
}

pub type Code = dyn Fn(&mut CodeAssembler) -> Result<(), IcedError>;

pub fn assemble(bits: u32, at: u32, f: &Code) -> Vec<u8> {
    let mut a = CodeAssembler::new(bits).unwrap();
    f(&mut a).unwrap();
    a.assemble(u64::from(at)).unwrap()
}

impl Machine {
    /// Flat 32-bit protected mode at [`CODE`], without paging. Interrupts lead to [`HANDLER`], which returns.
    /// Exceptions lead to a HLT at C000h + 16 * vector.
    pub fn new(f: &Code) -> Self {
        let ram = Arc::new(GuestRam::new(16 << 20, 0).unwrap());
        let cpu =
            Software::under_test().create(ram.clone(), &CpuidTable::pentium4(false)).unwrap().vcpu().unwrap();
        let io = Clock::new();
        let mut m = Self { ram, cpu, io };
        m.load(GDT, &[0; 8]);
        m.load(GDT + 8, &0x00cf_9b00_0000_ffff_u64.to_le_bytes());
        m.load(GDT + 16, &0x00cf_9300_0000_ffff_u64.to_le_bytes());
        for v in 0..0x20 {
            m.gate(v, 0xc000 + 16 * u32::from(v));
            m.load(0xc000 + 16 * u32::from(v), &[0xf4]);
        }
        m.gate(VECTOR, HANDLER);
        m.load(HANDLER, &[0xcf]);
        m.load(CODE, &assemble(32, CODE, f));
        let data = Segment { selector: 16, base: 0, limit: u32::MAX, attr: 0xc093 };
        m.edit(|s| {
            s.seg = [data; 6];
            s.seg[CpuState::CS] = Segment { selector: 8, attr: 0xc09b, ..data };
            s.gdtr.base = GDT;
            s.gdtr.limit = 0xff;
            s.idtr.base = IDT;
            s.idtr.limit = 0x7ff;
            s.cr0 = 0x11;
            s.gpr = [0, 0, 0, 0, STACK, 0, 0, 0];
            s.eip = CODE;
            s.eflags = 2;
        });
        m
    }

    /// Real mode at 0:CODE'. The code lies at 7C00h, the stack below.
    pub fn real(f: &Code) -> Self {
        let mut m = Self::new(&|a| a.nop());
        m.load(0x7c00, &assemble(16, 0x7c00, f));
        for v in 0..0x20_u32 {
            m.load(4 * v, &(0xc000 + 16 * v).to_le_bytes());
        }
        m.edit(|s| {
            *s = CpuState::reset(0);
            s.seg[CpuState::CS] = Segment::real(0);
            s.eip = 0x7c00;
            s.gpr = [0, 0, 0, 0, 0x7c00, 0, 0, 0];
        });
        m
    }

    fn gate(&self, vector: u8, to: u32) {
        let lo = to & 0xffff | 8 << 16;
        let hi = to & 0xffff_0000 | 0x8e00;
        self.load(IDT + 8 * u32::from(vector), &lo.to_le_bytes());
        self.load(IDT + 8 * u32::from(vector) + 4, &hi.to_le_bytes());
    }

    pub fn load(&self, at: u32, bytes: &[u8]) {
        self.ram.write(u64::from(at), bytes);
    }

    pub fn read(&self, at: u32, len: usize) -> Vec<u8> {
        let mut b = vec![0; len];
        self.ram.read(u64::from(at), &mut b);
        b
    }

    pub fn r32(&self, at: u32) -> u32 {
        let mut b = [0; 4];
        self.ram.read(u64::from(at), &mut b);
        u32::from_le_bytes(b)
    }

    pub fn edit(&mut self, f: impl FnOnce(&mut CpuState)) {
        let mut s = self.cpu.state().unwrap();
        f(&mut s);
        self.cpu.set_state(&s).unwrap();
    }

    pub fn state(&mut self) -> CpuState {
        self.cpu.state().unwrap()
    }

    /// Runs to HLT with interrupts off.
    pub fn run(&mut self) -> CpuState {
        assert_eq!(self.cpu.run(&mut self.io).unwrap(), Stop::HaltedForGood);
        self.state()
    }

    pub fn metric(&self, name: &str) -> u64 {
        self.cpu.metrics().into_iter().find(|m| m.0 == name).unwrap().1
    }

    /// The vector whose handler's HLT stopped the run.
    pub fn fault(&mut self) -> Option<u8> {
        let at = self.state().eip.checked_sub(0xc001)?;
        (at < 0x200 && at % 16 == 0).then_some((at / 16) as u8)
    }
}
