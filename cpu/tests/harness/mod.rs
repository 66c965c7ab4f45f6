//! A machine around the processor for tests: 16 MiB of memory, a port that ends the run, a log of port accesses,
//! interrupts that the test raises by port, and a page of MMIO.
//!
//! Ports: OUT to [`EXIT`] stops the run; OUT to [`RAISE`] makes INTR pending with that vector; OUT to [`LOG`]
//! appends to `io.log`; OUT to [`A20`] drives A20; IN from [`COUNT`] counts up; [`SLOT`] moves a memory slot.
#![allow(dead_code, reason = "each test file uses its part of this")]

use std::collections::VecDeque;
use std::sync::Arc;

use cpu::{SoftCpu, Software};
use hv_vcpu::{CpuState, CpuidTable, GuestIo, Hypervisor, Kicker, Segment, Stop, Vcpu, Vm, Width};
use iced_x86::code_asm::CodeAssembler;
use ram::GuestRam;

pub const LOG: u16 = 0xe0;
pub const RAISE: u16 = 0xe1;
pub const EXIT: u16 = 0xf4;
pub const A20: u16 = 0x92;
pub const COUNT: u16 = 0xe2;
/// A bus master writes the value to physical address `io.dma_to`.
pub const DMA: u16 = 0xe3;
/// Physical address of a page that is not memory.
pub const MMIO: u32 = 0xfeb0_0000;

/// The machine's side of the processor.
pub struct TestIo {
    pub ram: Arc<GuestRam>,
    pub kicker: Kicker,
    /// Values written to [`LOG`].
    pub log: Vec<u32>,
    /// All port writes: port, bytes, value.
    pub writes: Vec<(u16, u32, u32)>,
    pub reads: Vec<(u16, u32)>,
    pub mmio: Vec<u8>,
    pub mmio_writes: Vec<(u64, Vec<u8>)>,
    pub intr: VecDeque<u8>,
    pub retired: u64,
    /// Kicked when so many instructions have retired.
    pub limit: u64,
    pub polls: u64,
    pub count: u32,
    pub exited: Option<u32>,
    pub ferr: bool,
    pub ignne: bool,
    pub dma_to: u32,
}

impl GuestIo for TestIo {
    fn pio_read(&mut self, port: u16, width: Width) -> u32 {
        self.reads.push((port, width.bytes()));
        if port == COUNT {
            self.count += 1;
            return self.count & width.ones();
        }
        width.ones()
    }

    fn pio_write(&mut self, port: u16, width: Width, v: u32) {
        self.writes.push((port, width.bytes(), v));
        match port {
            LOG => self.log.push(v),
            RAISE => self.intr.push_back(v as u8),
            DMA => self.ram.write(u64::from(self.dma_to), &v.to_le_bytes()),
            A20 => self.ram.set_a20(v & 2 != 0),
            EXIT => {
                self.exited = Some(v);
                self.kicker.kick();
            }
            _ => {}
        }
    }

    fn mmio_read(&mut self, gpa: u64, buf: &mut [u8]) {
        assert!((gpa & 0xfff) as usize + buf.len() <= 0x1000 && (1..=16).contains(&buf.len()));
        for (i, b) in buf.iter_mut().enumerate() {
            *b = match gpa.checked_sub(u64::from(MMIO)) {
                Some(off) if off < 0x1000 => self.mmio[off as usize + i],
                _ => 0xff,
            };
        }
    }

    fn mmio_write(&mut self, gpa: u64, buf: &[u8]) {
        assert!((gpa & 0xfff) as usize + buf.len() <= 0x1000 && (1..=16).contains(&buf.len()));
        self.mmio_writes.push((gpa, buf.to_vec()));
        if let Some(off) = gpa.checked_sub(u64::from(MMIO)).filter(|off| *off < 0x1000) {
            self.mmio[off as usize..off as usize + buf.len()].copy_from_slice(buf);
        }
    }

    fn intr_pending(&self) -> bool {
        !self.intr.is_empty()
    }

    fn ack_intr(&mut self) -> u8 {
        self.intr.pop_front().unwrap_or(0xff)
    }

    fn retired(&mut self, instructions: u64) {
        self.retired += instructions;
    }

    fn poll(&mut self) -> u64 {
        self.polls += 1;
        if self.retired >= self.limit {
            self.kicker.kick();
        }
        1000
    }

    fn deadline_ns(&mut self) -> Option<u64> {
        None
    }

    fn tsc(&mut self) -> u64 {
        self.retired * 10
    }

    fn ferr(&mut self, asserted: bool) {
        self.ferr = asserted;
    }

    fn ignne(&self) -> bool {
        self.ignne
    }
}

pub struct Machine {
    pub ram: Arc<GuestRam>,
    pub cpu: SoftCpu,
    pub io: TestIo,
}

impl Machine {
    pub fn new() -> Self {
        Self::with_cpuid(&CpuidTable::pentium4(false))
    }

    /// A processor with execute disable.
    pub fn with_nx() -> Self {
        Self::with_cpuid(&CpuidTable::pentium4(true))
    }

    fn with_cpuid(cpuid: &CpuidTable) -> Self {
        Self::with(&Software::under_test(), cpuid)
    }

    pub fn with(engine: &Software, cpuid: &CpuidTable) -> Self {
        let ram = Arc::new(GuestRam::new(16 << 20, 1 << 20).unwrap());
        let mut vm = engine.create(ram.clone(), cpuid).unwrap();
        let cpu = vm.vcpu().unwrap();
        let io = TestIo {
            ram: ram.clone(),
            kicker: cpu.kicker(),
            log: Vec::new(),
            writes: Vec::new(),
            reads: Vec::new(),
            mmio: vec![0; 0x1000],
            mmio_writes: Vec::new(),
            intr: VecDeque::new(),
            retired: 0,
            limit: 2_000_000,
            polls: 0,
            count: 0,
            exited: None,
            ferr: false,
            ignne: false,
            dma_to: 0,
        };
        Self { ram, cpu, io }
    }

    pub fn load(&self, gpa: u32, bytes: &[u8]) {
        self.ram.write(u64::from(gpa), bytes);
    }

    pub fn read<const N: usize>(&self, gpa: u32) -> [u8; N] {
        let mut b = [0; N];
        self.ram.read(u64::from(gpa), &mut b);
        b
    }

    pub fn r8(&self, gpa: u32) -> u8 {
        self.read::<1>(gpa)[0]
    }

    pub fn r16(&self, gpa: u32) -> u16 {
        u16::from_le_bytes(self.read(gpa))
    }

    pub fn r32(&self, gpa: u32) -> u32 {
        u32::from_le_bytes(self.read(gpa))
    }

    pub fn r64(&self, gpa: u32) -> u64 {
        u64::from_le_bytes(self.read(gpa))
    }

    pub fn w8(&self, gpa: u32, v: u8) {
        self.load(gpa, &[v]);
    }

    pub fn w16(&self, gpa: u32, v: u16) {
        self.load(gpa, &v.to_le_bytes());
    }

    pub fn w32(&self, gpa: u32, v: u32) {
        self.load(gpa, &v.to_le_bytes());
    }

    pub fn w64(&self, gpa: u32, v: u64) {
        self.load(gpa, &v.to_le_bytes());
    }

    pub fn state(&mut self) -> CpuState {
        self.cpu.state().unwrap()
    }

    pub fn edit(&mut self, f: impl FnOnce(&mut CpuState)) {
        let mut s = self.state();
        f(&mut s);
        self.cpu.set_state(&s).unwrap();
    }

    pub fn gpr(&mut self, n: usize) -> u32 {
        self.state().gpr[n]
    }

    /// Runs until the guest stops by itself.
    ///
    /// # Panics
    /// If it does not within the instruction limit.
    pub fn run(&mut self) -> Stop {
        let stop = self.cpu.run(&mut self.io).unwrap();
        if stop == Stop::Kicked && self.io.exited.is_none() {
            let s = self.state();
            panic!(
                "still running after {} instructions at {:04x}:{:08x}, log {:x?}",
                self.io.retired, s.seg[1].selector, s.eip, self.io.log
            );
        }
        stop
    }

    /// Runs until anything stops it.
    pub fn cpu_run(&mut self) -> Stop {
        self.cpu.run(&mut self.io).unwrap()
    }

    /// Real mode at `cs:ip`, stack at 0:7000h, interrupts off.
    pub fn real(&mut self, cs: u16, ip: u32) {
        self.edit(|s| {
            *s = CpuState::reset(CpuidTable::SIGNATURE);
            s.seg[CpuState::CS] = Segment::real(cs);
            s.eip = ip;
            s.gpr[4] = 0x7000;
        });
    }

    /// Puts code at `base` and starts it there in real mode with CS = 0.
    pub fn real_code(&mut self, base: u32, f: impl FnOnce(&mut CodeAssembler)) {
        let code = asm(16, base, f);
        self.load(base, &code);
        self.real(0, base);
    }

    /// Flat protected mode, ring 0: the GDT of [`gdt`], IDT at [`IDT`], TSS at [`TSS`], stack at [`STACK`].
    pub fn flat(&mut self, eip: u32) {
        for (i, d) in gdt().into_iter().enumerate() {
            self.w64(GDT + 8 * i as u32, d);
        }
        self.w32(TSS + 4, STACK0);
        self.w16(TSS + 8, KDATA);
        self.w16(TSS + 0x66, 0x68);
        self.edit(|s| {
            *s = CpuState::reset(CpuidTable::SIGNATURE);
            let data = Segment { selector: KDATA, base: 0, limit: u32::MAX, attr: 0xc093 };
            s.seg = [data; 6];
            s.seg[CpuState::CS] = Segment { selector: KCODE, attr: 0xc09b, ..data };
            s.gdtr.base = GDT;
            s.gdtr.limit = 8 * 32 - 1;
            s.idtr.base = IDT;
            s.idtr.limit = 0x7ff;
            s.tr = Segment { selector: TSS_SEL, base: TSS, limit: 0x2067, attr: 0x8b };
            s.ldtr = Segment { selector: 0, base: 0, limit: 0, attr: Segment::UNUSABLE };
            s.cr0 = 0x11;
            s.gpr[4] = STACK;
            s.eip = eip;
        });
    }

    /// [`Machine::flat`] with code assembled at [`CODE`].
    pub fn flat_code(&mut self, f: impl FnOnce(&mut CodeAssembler)) {
        let code = asm(32, CODE, f);
        self.load(CODE, &code);
        self.flat(CODE);
    }

    /// 32-bit interrupt gate of DPL `dpl` in ring 0 code to `handler`.
    pub fn gate(&self, vector: u8, handler: u32, dpl: u8) {
        self.w64(IDT + 8 * u32::from(vector), gate(KCODE, handler, 0x8e | dpl << 5));
    }

    /// Routes all exceptions to stubs that save what the processor pushed and stop the run: see [`Machine::frame`].
    pub fn catch_all(&self) {
        for v in 0..0x30_u8 {
            let at = HANDLERS + 64 * u32::from(v);
            let code = asm(32, at, |a| {
                use iced_x86::code_asm::*;
                a.mov(dword_ptr(CAUGHT).ss(), eax).unwrap();
                a.mov(dword_ptr(CAUGHT + 4).ss(), esp).unwrap();
                a.mov(dword_ptr(CAUGHT + 8).ss(), u32::from(v)).unwrap();
                a.mov(eax, cr2).unwrap();
                a.mov(dword_ptr(CAUGHT + 12).ss(), eax).unwrap();
                exit(a);
            });
            self.load(at, &code);
            self.gate(v, at, 0);
        }
    }

    /// The exception that [`Machine::catch_all`] caught: vector and the stack at its handler's entry.
    pub fn caught(&self) -> Caught {
        let esp = self.r32(CAUGHT + 4);
        let vector = self.r32(CAUGHT + 8);
        Caught {
            vector,
            esp,
            cr2: self.r32(CAUGHT + 12),
            stack: std::array::from_fn(|i| self.r32(esp + 4 * i as u32)),
        }
    }
}

/// A handler's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    pub vector: u32,
    pub esp: u32,
    pub cr2: u32,
    /// From ESP up: error code if the vector has one, EIP, CS, EFLAGS, ESP, SS ...
    pub stack: [u32; 12],
}

impl Caught {
    fn coded(&self) -> bool {
        matches!(self.vector, 8 | 10..=14 | 17)
    }

    pub fn code(&self) -> u32 {
        assert!(self.coded(), "vector {} has no error code", self.vector);
        self.stack[0]
    }

    fn at(&self, n: usize) -> u32 {
        self.stack[n + usize::from(self.coded())]
    }

    pub fn eip(&self) -> u32 {
        self.at(0)
    }

    pub fn cs(&self) -> u16 {
        self.at(1) as u16
    }

    pub fn eflags(&self) -> u32 {
        self.at(2)
    }

    pub fn old_esp(&self) -> u32 {
        self.at(3)
    }

    pub fn old_ss(&self) -> u16 {
        self.at(4) as u16
    }
}

pub const GDT: u32 = 0x1000;
pub const IDT: u32 = 0x1800;
pub const TSS: u32 = 0x2_0000;
pub const TSS2: u32 = 0x2_4000;
pub const CAUGHT: u32 = 0x5000;
pub const HANDLERS: u32 = 0x8000;
pub const CODE: u32 = 0x1_0000;
pub const USER_CODE: u32 = 0x1_4000;
/// Initial ESP of ring 0.
pub const STACK: u32 = 0x9_0000;
/// ESP0 in the TSS.
pub const STACK0: u32 = 0x8_0000;
pub const USER_STACK: u32 = 0x7_0000;

pub const KCODE: u16 = 0x08;
pub const KDATA: u16 = 0x10;
pub const UCODE: u16 = 0x1b;
pub const UDATA: u16 = 0x23;
pub const TSS_SEL: u16 = 0x28;
pub const TSS2_SEL: u16 = 0x30;
/// First free entry of the GDT.
pub const FREE: u16 = 0x40;

/// A descriptor: `attr` as in [`Segment::attr`].
pub fn descriptor(base: u32, limit: u32, attr: u32) -> u64 {
    let limit = if attr & Segment::G != 0 { limit >> 12 } else { limit };
    let lo = limit & 0xffff | base << 16;
    let hi = base >> 16 & 0xff | (attr & 0xf0ff) << 8 | limit & 0xf_0000 | base & 0xff00_0000;
    u64::from(lo) | u64::from(hi) << 32
}

/// A gate: `kind` is the byte with P, DPL and type.
pub fn gate(selector: u16, offset: u32, kind: u8) -> u64 {
    let lo = offset & 0xffff | u32::from(selector) << 16;
    let hi = offset & 0xffff_0000 | u32::from(kind) << 8;
    u64::from(lo) | u64::from(hi) << 32
}

/// Null, ring 0 code and data, ring 3 code and data (flat), the TSS (busy) and a second TSS.
pub fn gdt() -> Vec<u64> {
    vec![
        0,
        descriptor(0, u32::MAX, 0xc09b),
        descriptor(0, u32::MAX, 0xc093),
        descriptor(0, u32::MAX, 0xc0fb),
        descriptor(0, u32::MAX, 0xc0f3),
        descriptor(TSS, 0x2067, 0x8b),
        descriptor(TSS2, 0x67, 0x89),
    ]
}

/// Assembles at linear address `base`.
pub fn asm(bits: u32, base: u32, f: impl FnOnce(&mut CodeAssembler)) -> Vec<u8> {
    let mut a = CodeAssembler::new(bits).unwrap();
    f(&mut a);
    a.assemble(u64::from(base)).unwrap()
}

/// Stops the run. The value in AL is in `io.exited`.
pub fn exit(a: &mut CodeAssembler) {
    use iced_x86::code_asm::*;
    a.out(u32::from(EXIT), al).unwrap();
    a.hlt().unwrap();
}

/// Appends EAX (AX in 16-bit code) to `io.log`.
pub fn log(a: &mut CodeAssembler) {
    use iced_x86::code_asm::*;
    if a.bitness() == 16 { a.out(u32::from(LOG), ax) } else { a.out(u32::from(LOG), eax) }.unwrap();
}

/// A program that goes round so many times, with the count in ECX, and ends.
pub fn rounds(a: &mut CodeAssembler, n: u32, body: impl FnOnce(&mut CodeAssembler)) {
    use iced_x86::code_asm::*;
    let mut again = a.create_label();
    a.mov(ecx, n).unwrap();
    a.set_label(&mut again).unwrap();
    body(a);
    a.dec(ecx).unwrap();
    a.jne(again).unwrap();
    a.mov(al, 0xaa_u32).unwrap();
    exit(a);
}

/// JMP ptr16:32 in 32-bit code, ptr16:16 in 16-bit code.
pub fn jmp_far(a: &mut CodeAssembler, selector: u16, offset: u32) {
    far(a, 0xea, selector, offset);
}

pub fn call_far(a: &mut CodeAssembler, selector: u16, offset: u32) {
    far(a, 0x9a, selector, offset);
}

fn far(a: &mut CodeAssembler, opcode: u8, selector: u16, offset: u32) {
    let mut b = vec![opcode];
    b.extend_from_slice(&offset.to_le_bytes()[..if a.bitness() == 16 { 2 } else { 4 }]);
    b.extend_from_slice(&selector.to_le_bytes());
    a.db(&b).unwrap();
}

/// From flat ring 0 to ring 3 at `eip`, by IRETD; DS and ES of ring 3 too.
pub fn to_user(a: &mut CodeAssembler, eip: u32, eflags: u32) {
    use iced_x86::code_asm::{ds, es};
    for seg in [ds, es] {
        a.push(u32::from(UDATA)).unwrap();
        a.pop(seg).unwrap();
    }
    a.push(u32::from(UDATA)).unwrap();
    a.push(USER_STACK).unwrap();
    a.push(eflags).unwrap();
    a.push(u32::from(UCODE)).unwrap();
    a.push(eip).unwrap();
    a.iretd().unwrap();
}

/// From flat ring 0 into V86 mode, to the code and stack given as segment and offset.
pub fn to_v86(a: &mut CodeAssembler, code: (u16, u16), stack: (u16, u16), eflags: u32) {
    for v in [0, 0, 0, 0, u32::from(stack.0), u32::from(stack.1), eflags | 1 << 17] {
        a.push(v).unwrap();
    }
    a.push(u32::from(code.0)).unwrap();
    a.push(u32::from(code.1)).unwrap();
    a.iretd().unwrap();
}

/// What `run` leaves on each way to run, which must be the same on all; it is told the way's name, too.
///
/// # Panics
/// If it is not.
pub fn on_each_processor<T: PartialEq + std::fmt::Debug>(mut run: impl FnMut(&str, &Software) -> T) -> T {
    let mut on = |name| run(name, &Software::named(name).unwrap());
    let first = on("interpreter");
    for name in ["size", "speed", "views"] {
        assert_eq!(first, on(name), "{name}");
    }
    first
}
