//! One floating point instruction on the interpreter and, byte for byte the same, on the host's processor.
//!
//! The encodings used mean the same in 32-bit and 64-bit code: registers, or memory at [ECX]. The host's side runs
//! between FXRSTOR and FXSAVE; SIGFPE and SIGILL skip the instruction and are reported as the vector.
#![allow(
    unsafe_code,
    reason = "the oracle is the host's processor: machine code in an executable page, signals"
)]
#![allow(dead_code, reason = "each test file uses its part of this")]

mod vendor;

pub use vendor::intel_host;

use std::arch::asm;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use cpu::{SoftCpu, Software};
use hv_vcpu::{CpuState, CpuidTable, DescTable, GuestIo, Hypervisor, Segment, Vcpu, Vm, Width};
use ram::GuestRam;
pub use seeded::Rng;

/// Operands: mostly normal numbers, of exponents that meet; every special class often enough.
trait Operands {
    fn significand(&mut self) -> u64;
    fn f80(&mut self) -> [u8; 10];
    fn f32(&mut self) -> u32;
    fn f64(&mut self) -> u64;
    fn integer(&mut self) -> u64;
    fn xmm(&mut self, kind: u64) -> [u8; 16];
}

impl Operands for Rng {
    fn significand(&mut self) -> u64 {
        match self.below(10) {
            0 => 0,
            1 => 1 << 63,
            2 => u64::MAX,
            3 => 1 << self.below(64),
            4 => u64::MAX << self.below(64),
            5 => 1 << 63 | self.next() >> 40 << 40,
            6 => 1 << 63 | self.below(1 << 12) << 1,
            7 => (1 << 63 | self.next() << 11) ^ self.below(2) << 10,
            _ => self.next(),
        }
    }

    fn f80(&mut self) -> [u8; 10] {
        let sign = (self.below(2) as u16) << 15;
        let m = self.significand();
        let one = 1u64 << 63;
        let (m, se) = match self.below(24) {
            0 => (0, sign),
            1 => (one, sign | 0x7fff),
            2 => (m | 3 << 62, sign | 0x7fff),
            3 => (one | (m & !(1 << 62)), sign | 0x7fff),
            4 => (m & !one, sign),
            5 => (m | one, sign),
            6 => (m, self.next() as u16),
            7 => (m | one, sign | (1 + self.below(70)) as u16),
            8 => (m | one, sign | (0x7ffe - self.below(70)) as u16),
            9 => (m | one, sign | (0x3fff - self.below(32)) as u16),
            10 => (m | one, sign | (0x3fff + self.below(70)) as u16),
            11 => (m | one, sign | (0x3fff - 1023 - 60 + self.below(2200)) as u16),
            12 => (m | one, sign | (0x3fff - 127 - 30 + self.below(300)) as u16),
            13 => (m | one, sign | (1 + self.below(0x7ffe)) as u16),
            14 => (m, 0xffff),
            _ => (m | one, sign | (0x3fff - 8 + self.below(16)) as u16),
        };
        let mut b = [0; 10];
        b[..8].copy_from_slice(&m.to_le_bytes());
        b[8..].copy_from_slice(&se.to_le_bytes());
        b
    }

    fn f32(&mut self) -> u32 {
        let sign = (self.below(2) as u32) << 31;
        let frac = (self.significand() << 1 >> 41) as u32;
        let exp = match self.below(20) {
            0 => 0,
            1 => return sign,
            2 => 255,
            3 => return sign | 0x7f80_0000,
            4 => 1 + self.below(30) as u32,
            5 => 254 - self.below(30) as u32,
            6 => self.below(256) as u32,
            7 => 127 + 20 + self.below(16) as u32,
            8 => 60 + self.below(10) as u32,
            9 => 190 + self.below(10) as u32,
            _ => 120 + self.below(16) as u32,
        };
        sign | exp << 23 | frac
    }

    fn f64(&mut self) -> u64 {
        let sign = self.below(2) << 63;
        let frac = self.significand() << 1 >> 12;
        let exp = match self.below(20) {
            0 => 0,
            1 => return sign,
            2 => 2047,
            3 => return sign | 0x7ff0_0000_0000_0000,
            4 => 1 + self.below(60),
            5 => 2046 - self.below(60),
            6 => self.below(2048),
            7 => 1023 + 20 + self.below(46),
            8 => 1023 - 160 + self.below(300),
            9 => 511 + self.below(4),
            _ => 1015 + self.below(16),
        };
        sign | exp << 52 | frac
    }

    fn integer(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => 0x8000_0000_8000_0000,
            3 => 0x7fff_8000_ff80_7f00,
            4 => self.below(70),
            5 => 1 << self.below(64),
            _ => self.next(),
        }
    }

    /// Elements of one kind.
    fn xmm(&mut self, kind: u64) -> [u8; 16] {
        let (lo, hi) = match kind {
            0 => {
                let mut pair = || u64::from(self.f32()) | u64::from(self.f32()) << 32;
                (pair(), pair())
            }
            1 => (self.f64(), self.f64()),
            _ => (self.integer(), self.integer()),
        };
        (u128::from(lo) | u128::from(hi) << 64).to_le_bytes()
    }
}

pub const MEM: usize = 256;

/// What goes in and comes out on either side.
#[derive(Clone, PartialEq, Eq)]
pub struct State {
    pub fx: [u8; 512],
    pub mem: [u8; MEM],
    pub eax: u32,
    pub edx: u32,
    pub eflags: u32,
    /// Exception vector, or -1.
    pub vector: i32,
}

impl State {
    pub fn word(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.fx[at], self.fx[at + 1]])
    }

    pub fn mxcsr(&self) -> u32 {
        u32::from(self.word(24)) | u32::from(self.word(26)) << 16
    }

    pub fn st(&self, i: usize) -> &[u8] {
        &self.fx[32 + 16 * i..42 + 16 * i]
    }

    pub fn xmm(&self, i: usize) -> &[u8] {
        &self.fx[160 + 16 * i..176 + 16 * i]
    }

    pub fn set_word(&mut self, at: usize, v: u16) {
        self.fx[at..at + 2].copy_from_slice(&v.to_le_bytes());
    }

    /// Contents by `kind` (0 singles, 1 doubles, 2 integers, 3 x87), control words with no exception pending.
    pub fn random(r: &mut Rng, kind: u64) -> Self {
        let mut s = Self { fx: [0; 512], mem: [0; MEM], eax: 0, edx: 0, eflags: 2, vector: -1 };
        let masks = if r.one_in(3) { r.below(64) as u16 } else { 0x3f };
        let pc = [0, 2, 3, 3][r.below(4) as usize];
        s.set_word(0, masks | 0x40 | pc << 8 | (r.below(4) as u16) << 10);
        let sticky = if r.one_in(2) { r.next() as u16 & masks } else { 0 };
        s.set_word(2, (r.next() as u16 & 0x7f00) | sticky | if r.one_in(8) { 0x40 } else { 0 });
        s.fx[4] = match r.below(4) {
            0 => r.next() as u8,
            1 => 0xff << r.below(8),
            _ => 0xff,
        };
        for i in 0..8 {
            let v = if kind == 3 || r.one_in(4) {
                r.f80()
            } else {
                let x = r.xmm(kind);
                let mut v = [0xff; 10];
                v[..8].copy_from_slice(&x[..8]);
                v
            };
            s.fx[32 + 16 * i..42 + 16 * i].copy_from_slice(&v);
            let of = if r.one_in(16) { 2 } else { kind.min(2) };
            let x = r.xmm(of);
            s.fx[160 + 16 * i..176 + 16 * i].copy_from_slice(&x);
        }
        let masks = if r.one_in(3) { r.below(64) as u32 } else { 0x3f };
        let modes = if r.one_in(3) { (r.next() as u32 & 0x8000) | (r.next() as u32 & 0x40) } else { 0 };
        let flags = if r.one_in(2) { r.below(64) as u32 } else { 0 };
        let mxcsr = masks << 7 | (r.below(4) as u32) << 13 | modes | flags;
        s.fx[24..28].copy_from_slice(&mxcsr.to_le_bytes());
        s.fx[28..32].copy_from_slice(&0xffff_u32.to_le_bytes());
        for c in s.mem.chunks_exact_mut(16) {
            c.copy_from_slice(&r.xmm(kind.min(2)));
        }
        if kind == 3 {
            let v = match r.below(8) {
                0..=2 => u64::from(r.f32()),
                3..=5 => r.f64(),
                _ => r.integer(),
            };
            s.mem[..8].copy_from_slice(&v.to_le_bytes());
            if r.one_in(2) {
                let v = r.f80();
                s.mem[..10].copy_from_slice(&v);
            }
        }
        s.eax = r.integer() as u32;
        s.edx = r.integer() as u32;
        s.eflags = 2 | (r.next() as u32 & 0x8d5);
        s
    }
}

// ---- the interpreter's side

struct NoIo;

impl GuestIo for NoIo {
    fn pio_read(&mut self, _: u16, width: Width) -> u32 {
        width.ones()
    }
    fn pio_write(&mut self, _: u16, _: Width, _: u32) {}
    fn mmio_read(&mut self, _: u64, buf: &mut [u8]) {
        buf.fill(0xff);
    }
    fn mmio_write(&mut self, _: u64, _: &[u8]) {}
    fn intr_pending(&self) -> bool {
        false
    }
    fn ack_intr(&mut self) -> u8 {
        0xff
    }
    fn retired(&mut self, _: u64) {}
    fn poll(&mut self) -> u64 {
        1_000_000
    }
    fn deadline_ns(&mut self) -> Option<u64> {
        None
    }
    fn tsc(&mut self) -> u64 {
        0
    }
    fn ferr(&mut self, _: bool) {}
    fn ignne(&self) -> bool {
        false
    }
}

const CODE: u32 = 0x1_0000;
const DATA: u32 = 0x2_0000;
const IDT: u32 = 0x3_0000;
const HANDLERS: u32 = 0x3_1000;
const GDT: u32 = 0x3_2000;
const STACK: u32 = 0x4_0000;

pub struct Guest {
    ram: Arc<GuestRam>,
    cpu: SoftCpu,
    base: CpuState,
}

impl Guest {
    pub fn new() -> Self {
        let ram = Arc::new(GuestRam::new(4 << 20, 0).expect("memory"));
        let mut vm = Software::under_test().create(ram.clone(), &CpuidTable::pentium4(false)).expect("vm");
        let cpu = vm.vcpu().expect("vcpu");
        for v in 0..32u32 {
            let to = HANDLERS + v;
            let gate = u64::from(to & 0xffff) | 8 << 16 | 0x8e00 << 32 | u64::from(to >> 16) << 48;
            ram.write(u64::from(IDT + 8 * v), &gate.to_le_bytes());
            ram.write(u64::from(to), &[0xf4]);
        }
        ram.write(u64::from(GDT + 8), &0x00cf_9b00_0000_ffff_u64.to_le_bytes());
        let mut base = CpuState::reset(0);
        let flat = |attr| Segment { selector: 16, base: 0, limit: u32::MAX, attr };
        base.seg = [flat(0xc093); 6];
        base.seg[CpuState::CS] = Segment { selector: 8, ..flat(0xc09b) };
        base.cr0 = 0x33;
        base.cr4 = 0x600;
        base.idtr = DescTable { base: IDT, limit: 0xff };
        base.gdtr = DescTable { base: GDT, limit: 0x17 };
        base.eip = CODE;
        base.gpr[1] = DATA;
        base.gpr[4] = STACK;
        Self { ram, cpu, base }
    }

    pub fn run(&mut self, code: &[u8], s: &State) -> State {
        let mut text = code.to_vec();
        text.push(0xf4);
        self.ram.write(u64::from(CODE), &text);
        self.ram.write(u64::from(DATA), &s.mem);
        let mut c = self.base.clone();
        c.gpr[0] = s.eax;
        c.gpr[2] = s.edx;
        c.eflags = s.eflags;
        c.fxsave = s.fx;
        self.cpu.set_state(&c).expect("state");
        self.cpu.run(&mut NoIo).expect("run");
        let c = self.cpu.state().expect("state");
        let mut r =
            State { fx: c.fxsave, mem: [0; MEM], eax: c.gpr[0], edx: c.gpr[2], eflags: 0, vector: -1 };
        self.ram.read(u64::from(DATA), &mut r.mem);
        r.eflags = c.eflags;
        if (HANDLERS..HANDLERS + 33).contains(&c.eip) {
            r.vector = (c.eip - HANDLERS) as i32 - 1;
            // The handler's frame, below an error code if there is one.
            let code = matches!(r.vector, 8 | 10..=14 | 17);
            let mut f = [0; 4];
            self.ram.read(u64::from(c.gpr[4]) + if code { 12 } else { 8 }, &mut f);
            r.eflags = u32::from_le_bytes(f);
        }
        r.eflags &= 0x8d5;
        r
    }
}

// ---- the host's side

unsafe extern "C" {
    fn mmap(at: usize, len: usize, prot: i32, flags: i32, fd: i32, off: i64) -> *mut u8;
    fn sigaction(sig: i32, act: *const LibcSigAction, old: *mut LibcSigAction) -> i32;
}

/// glibc's layout on x86-64.
#[repr(C)]
struct LibcSigAction {
    handler: usize,
    mask: [u64; 16],
    flags: i32,
    restorer: usize,
}

static SKIP_TO: AtomicUsize = AtomicUsize::new(0);
static VECTOR: AtomicI32 = AtomicI32::new(-1);

/// Resumes behind the instruction.
extern "C" fn on_signal(sig: i32, _: usize, context: *mut u8) {
    const RIP: usize = 168;
    VECTOR.store(
        match sig {
            4 => 6,
            8 => 19,
            _ => 13,
        },
        Ordering::SeqCst,
    );
    // SAFETY: `context` is a ucontext_t, whose saved RIP lies at this offset (gregs[REG_RIP]).
    unsafe { context.add(RIP).cast::<usize>().write_unaligned(SKIP_TO.load(Ordering::SeqCst)) }
}

struct Pages {
    code: usize,
    data: usize,
}

fn pages() -> &'static Mutex<Pages> {
    static PAGES: OnceLock<Mutex<Pages>> = OnceLock::new();
    PAGES.get_or_init(|| {
        const MAP_PRIVATE_ANON: i32 = 0x22;
        // SAFETY: fresh anonymous pages; the handlers only touch their own context and statics.
        unsafe {
            let code = mmap(0, 4096, 7, MAP_PRIVATE_ANON, -1, 0) as usize;
            let data = mmap(0, 8192, 3, MAP_PRIVATE_ANON, -1, 0) as usize;
            assert!(code != usize::MAX && data != usize::MAX);
            // SA_SIGINFO | SA_NODEFER
            let act = LibcSigAction {
                handler: on_signal as *const () as usize,
                mask: [0; 16],
                flags: 0x4000_0004,
                restorer: 0,
            };
            for sig in [4, 8, 11] {
                assert_eq!(sigaction(sig, &act, std::ptr::null_mut()), 0);
            }
            Mutex::new(Pages { code, data })
        }
    })
}

/// The host's side runs one thread at a time: signals and pages are shared.
pub struct Host(MutexGuard<'static, Pages>);

#[repr(align(16))]
struct Image([u8; 512]);

impl Host {
    pub fn new() -> Self {
        Self(pages().lock().unwrap_or_else(|e| e.into_inner()))
    }

    pub fn run(&mut self, code: &[u8], s: &State) -> State {
        let p = &*self.0;
        let mut before = Image(s.fx);
        // The host would restore XMM8-15 from here and complain about nothing else.
        before.0[288..].fill(0);
        let mut after = Image([0; 512]);
        let mut text = code.to_vec();
        text.push(0xc3);
        VECTOR.store(-1, Ordering::SeqCst);
        SKIP_TO.store(p.code + code.len(), Ordering::SeqCst);
        let (mut rax, mut rdx): (u64, u64) = (s.eax.into(), s.edx.into());
        let mut flags: u64 = s.eflags.into();
        // SAFETY: the pages are ours; the code is one instruction that touches registers declared here and memory
        // at [RCX], then RET. The red zone is stepped over before anything is pushed.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), p.code as *mut u8, text.len());
            std::ptr::copy_nonoverlapping(s.mem.as_ptr(), p.data as *mut u8, MEM);
            asm!(
                "lea rsp, [rsp - 256]",
                "fxrstor [rsi]",
                "push r8",
                "popfq",
                "call r9",
                "pushfq",
                "pop r8",
                "fxsave [rdi]",
                "fninit",
                "push 0x1f80",
                "ldmxcsr [rsp]",
                "pop r9",
                "cld",
                "lea rsp, [rsp + 256]",
                in("rsi") before.0.as_ptr(), in("rdi") after.0.as_mut_ptr(), inout("r8") flags,
                inout("r9") p.code => _, in("rcx") p.data, inout("rax") rax, inout("rdx") rdx,
                out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            );
        }
        let mut r = State {
            fx: after.0,
            mem: [0; MEM],
            eax: rax as u32,
            edx: rdx as u32,
            eflags: flags as u32 & 0x8d5,
            vector: VECTOR.load(Ordering::SeqCst),
        };
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(p.data as *const u8, r.mem.as_mut_ptr(), MEM) }
        // What the interpreter's image has differently by design: FOP, FIP, FCS, FDP, FDS, MXCSR_MASK, the unused.
        r.fx[288..].fill(0);
        r
    }
}

/// Fields in which the two differ, as text; `None` if there are none. Pointers and MXCSR_MASK are not compared.
pub fn difference(host: &State, ours: &State) -> Option<String> {
    let mut d = Vec::new();
    let mut note = |name: &str, h: String, o: String| {
        if h != o {
            d.push(format!("{name}: host {h} ours {o}"));
        }
    };
    note("vector", host.vector.to_string(), ours.vector.to_string());
    note("CW", format!("{:04x}", host.word(0)), format!("{:04x}", ours.word(0)));
    note("SW", format!("{:04x}", host.word(2)), format!("{:04x}", ours.word(2)));
    note("tags", format!("{:02x}", host.fx[4]), format!("{:02x}", ours.fx[4]));
    note("MXCSR", format!("{:04x}", host.mxcsr()), format!("{:04x}", ours.mxcsr()));
    for i in 0..8 {
        note(&format!("ST{i}"), hex(host.st(i)), hex(ours.st(i)));
    }
    for i in 0..8 {
        note(&format!("XMM{i}"), hex(host.xmm(i)), hex(ours.xmm(i)));
    }
    note("mem", hex(&host.mem), hex(&ours.mem));
    note("eax", format!("{:08x}", host.eax), format!("{:08x}", ours.eax));
    note("edx", format!("{:08x}", host.edx), format!("{:08x}", ours.edx));
    note("eflags", format!("{:03x}", host.eflags), format!("{:03x}", ours.eflags));
    if d.is_empty() { None } else { Some(d.join("\n      ")) }
}

/// Most significant byte first.
pub fn hex(b: &[u8]) -> String {
    let b = &b[..b.len().min(128)];
    b.iter().rev().map(|b| format!("{b:02x}")).collect()
}

/// The input, for a report.
pub fn describe(code: &[u8], s: &State) -> String {
    let mut t = format!(
        "code {:02x?} CW {:04x} SW {:04x} tags {:02x} MXCSR {:04x} eax {:08x} edx {:08x}",
        code,
        s.word(0),
        s.word(2),
        s.fx[4],
        s.mxcsr(),
        s.eax,
        s.edx
    );
    for i in 0..8 {
        t += &format!("\n      in ST{i} {}  XMM{i} {}", hex(s.st(i)), hex(s.xmm(i)));
    }
    t + &format!("\n      in mem {}", hex(&s.mem[..32]))
}
