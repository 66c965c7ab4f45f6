//! The software processor as a 32-bit user program sees it: paging on, ring 3, selectors, descriptors and
//! memory as on the host. Every vector ends at a HLT of its own, so a fault is delivered in full before its frame is
//! read back.

use std::sync::Arc;

use hv_vcpu::{
    CpuState, CpuidTable, DescTable, GuestIo, HvError, Hypervisor, Kicker, Segment, Stop as VcpuStop, Vcpu,
    Vm, Width,
};
use ram::GuestRam;

use crate::generate::Case;
use crate::layout::{
    ALIAS, CODE, CODE_LEN, CS32, DATA, DATA_LEN, DATA_RW, EXIT, Memory, PAGE, STACK, STACK_LEN,
};
use crate::ldt;
use crate::snapshot::{ESP, Fx, Regs, Snapshot, Stop};

const PHYS: [(u32, u32, usize); 5] = [
    (ALIAS, 0x10_0000, CODE_LEN),
    (CODE, 0x10_0000, CODE_LEN),
    (DATA, 0x11_0000, DATA_LEN),
    (STACK, 0x12_0000, STACK_LEN),
    (EXIT, 0x13_0000, PAGE),
];

/// The kernel's few pages. User code that hits them faults with another error code than on the host, so
/// they are where chance does not lead.
pub const KERNEL: u32 = 0x8bad_0000;
pub const KERNEL_LEN: u32 = 5 * PAGE as u32;
const KERNEL_PHYS: u32 = 0x14_0000;
const GDT: u32 = 0;
const TSS: u32 = 0x200;
const LDT: u32 = 0x400;
const IDT: u32 = 0x1000;
const HANDLERS: u32 = 0x2000;
const KERNEL_STACK_TOP: u32 = 0x4f00;

const PD: u32 = 0x20_0000;
const PT_USER: u32 = 0x20_1000;
const PT_KERNEL: u32 = 0x20_2000;
const PDPT: u32 = 0x20_3000;
const PD0: u32 = 0x20_4000;
const PD2: u32 = 0x20_5000;
const PAE_PT_USER: u32 = 0x20_6000;
const PAE_PT_KERNEL: u32 = 0x20_7000;

/// PE MP NE ET WP AM PG.
const CR0: u32 = 0x8005_0033;
/// OSFXSR, OSXMMEXCPT.
const CR4: u32 = 0x600;
const CR4_PAE: u32 = 0x20;
const EFER_NXE: u64 = 1 << 11;

const GDT_ENTRIES: [u64; 16] = [
    0,
    0x00cf_9b00_0000_ffff, // 08: kernel code
    0x00af_9b00_0000_ffff, // 10: the host's 64-bit kernel code
    0x00cf_9300_0000_ffff, // 18: kernel data
    0x00cf_fb00_0000_ffff, // 20: user code
    0x00cf_f300_0000_ffff, // 28: user data
    0x00af_fb00_0000_ffff, // 30: the host's 64-bit user code
    0,
    0, // 40: TSS
    0,
    0, // 50: LDT
    0,
    0,
    0,
    0,
    0x0040_f500_0000_0000, // 78: the host's segment that tells the CPU's number
];

/// Nothing outside. Kicks when the whole budget is used up; hands it out in pieces.
struct Io {
    kicker: Kicker,
    polls: u64,
    /// Instructions between two polls.
    piece: u64,
    retired: u64,
}

/// More than any sequence that ends needs: a REP over all of the data.
const BUDGET: u64 = 200_000;

impl GuestIo for Io {
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
    fn retired(&mut self, instructions: u64) {
        self.retired += instructions;
    }
    fn poll(&mut self) -> u64 {
        self.polls += 1;
        if self.polls * self.piece > BUDGET {
            self.kicker.kick();
        }
        self.piece
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

pub struct Guest<V: Vcpu> {
    ram: Arc<GuestRam>,
    vcpu: V,
    template: CpuState,
    /// What the pieces hold now.
    current: Memory,
}

fn descriptor_of(selector: u16) -> Segment {
    let n = usize::from(selector >> 3);
    if selector & 4 != 0 {
        return ldt::ENTRIES.get(n).map_or(Segment { attr: Segment::UNUSABLE, ..Segment::default() }, |e| {
            Segment { selector, base: e.base, limit: e.byte_limit(), attr: e.attr() }
        });
    }
    if n == 0 {
        return Segment { selector, attr: Segment::UNUSABLE, ..Segment::default() };
    }
    let attr = (GDT_ENTRIES[n & 15] >> 40) as u32 & 0xf0ff;
    Segment { selector, base: 0, limit: u32::MAX, attr }
}

impl<V: Vcpu> Guest<V> {
    pub fn new<H>(engine: &H) -> Result<Self, HvError>
    where
        H: Hypervisor,
        H::Vm: Vm<Vcpu = V>,
    {
        let bad = |_| HvError::BadState { engine: "oracle", what: "guest memory" };
        let ram = Arc::new(GuestRam::new(4 << 20, 0).map_err(bad)?);
        let cpuid = CpuidTable::pentium4(true);
        let vcpu = engine.create(ram.clone(), &cpuid)?.vcpu()?;
        build_tables(&ram);
        let mut t = CpuState::reset(CpuidTable::SIGNATURE);
        t.cr0 = CR0;
        t.gdtr = DescTable { base: KERNEL + GDT, limit: 0x7f };
        t.idtr = DescTable { base: KERNEL + IDT, limit: 0x7ff };
        t.tr = Segment { selector: 0x40, base: KERNEL + TSS, limit: 0x67, attr: 0x8b };
        t.ldtr = Segment {
            selector: 0x50,
            base: KERNEL + LDT,
            limit: 8 * ldt::ENTRIES.len() as u32 - 1,
            attr: 0x82,
        };
        let current = Memory::default();
        for (at, bytes) in current.pieces() {
            ram.write(u64::from(physical(at)), bytes);
        }
        Ok(Self { ram, vcpu, template: t, current })
    }

    /// See `GDT_ENTRIES`: entry 15.
    pub fn set_cpu_number_limit(&mut self, limit: u32) {
        let limit = u64::from(limit);
        let d = GDT_ENTRIES[15] | limit & 0xffff | (limit >> 16 & 0xf) << 48;
        self.ram.write(u64::from(KERNEL_PHYS + GDT + 15 * 8), &d.to_le_bytes());
    }

    /// Writes what differs from what is there.
    pub fn load(&mut self, memory: &Memory) {
        const CHUNK: usize = 256;
        let ram = &self.ram;
        for ((at, new), (_, old)) in memory.pieces().into_iter().zip(self.current.pieces_mut()) {
            let base = physical(at);
            for (n, (new, old)) in new.chunks(CHUNK).zip(old.chunks_mut(CHUNK)).enumerate() {
                if new != old {
                    ram.write(u64::from(base) + (n * CHUNK) as u64, new);
                    old.copy_from_slice(new);
                }
            }
        }
    }

    /// What the sequence left behind.
    pub fn store(&mut self, memory: &mut Memory) {
        for (at, bytes) in self.current.pieces_mut() {
            self.ram.read(u64::from(physical(at)), bytes);
        }
        memory.copy_from(&self.current);
    }

    pub fn run(&mut self, case: &Case) -> (Snapshot, u64) {
        let r = &case.regs;
        let s = &mut self.template;
        s.gpr = r.gpr;
        s.eip = r.eip;
        s.eflags = r.eflags;
        for (n, seg) in s.seg.iter_mut().enumerate() {
            *seg = descriptor_of(r.seg[n]);
        }
        s.fxsave = r.fx.0;
        s.cr2 = 0;
        (s.cr3, s.cr4, s.msrs.efer) = if case.pae { (PDPT, CR4 | CR4_PAE, EFER_NXE) } else { (PD, CR4, 0) };
        s.pdpte = if case.pae { [u64::from(PD0) | 1, 0, u64::from(PD2) | 1, 0] } else { [0; 4] };
        let broken = Snapshot { stop: Stop::Broken, regs: *r };
        if self.vcpu.set_state(&self.template).is_err() {
            return (broken, 0);
        }
        // Every fourth case is interrupted by the clock after one to eight instructions, again and again.
        let piece = if case.seed & 3 == 3 { 1 + (case.seed >> 2 & 7) } else { BUDGET };
        let mut io = Io { kicker: self.vcpu.kicker(), polls: 0, piece, retired: 0 };
        let why = self.vcpu.run(&mut io);
        let Ok(state) = self.vcpu.state() else { return (broken, 0) };
        let mut regs = Regs {
            gpr: state.gpr,
            eip: state.eip,
            eflags: state.eflags,
            seg: state.seg.map(|s| s.selector),
            fx: Fx(state.fxsave),
        };
        let stop = match why {
            Ok(VcpuStop::Kicked) => Stop::Runaway,
            Ok(VcpuStop::HaltedForGood) => self.fault(&state, &mut regs),
            _ => Stop::Broken,
        };
        (Snapshot { stop, regs }, io.retired)
    }

    /// Reads the exception frame and puts the registers back as they were when it happened.
    fn fault(&self, state: &CpuState, regs: &mut Regs) -> Stop {
        let vector = state.eip.wrapping_sub(KERNEL + HANDLERS + 1);
        let depth = (KERNEL + KERNEL_STACK_TOP).wrapping_sub(state.gpr[ESP]);
        if vector > 255 || !(depth == 20 || depth == 24) {
            return Stop::Broken;
        }
        let mut bytes = [0; 24];
        self.ram.read(u64::from(KERNEL_PHYS + KERNEL_STACK_TOP - depth), &mut bytes[..depth as usize]);
        let word = |n: usize| {
            u32::from_le_bytes([bytes[4 * n], bytes[4 * n + 1], bytes[4 * n + 2], bytes[4 * n + 3]])
        };
        let has_error = depth == 24;
        let first = usize::from(has_error);
        regs.eip = word(first);
        regs.seg[1] = word(first + 1) as u16;
        regs.eflags = word(first + 2);
        regs.gpr[ESP] = word(first + 3);
        regs.seg[2] = word(first + 4) as u16;
        if vector == 3 && regs.eip == EXIT + 1 && regs.seg[1] == CS32 {
            regs.eip = EXIT;
            return Stop::Exit;
        }
        Stop::Fault {
            vector: vector as u8,
            error: if has_error { word(0) } else { 0 },
            address: if vector == 14 { state.cr2 } else { 0 },
        }
    }
}

fn physical(linear: u32) -> u32 {
    PHYS.iter().find(|(at, ..)| *at == linear).map_or(0, |(_, p, _)| *p)
}

fn build_tables(ram: &GuestRam) {
    let w32 = |at: u32, v: u32| ram.write(u64::from(at), &v.to_le_bytes());
    let w64 = |at: u32, v: u64| ram.write(u64::from(at), &v.to_le_bytes());
    const PRESENT_WRITE_USER: u32 = 7;
    const NX: u64 = 1 << 63;
    w32(PD + (CODE >> 22) * 4, PT_USER | PRESENT_WRITE_USER);
    w32(PD + (KERNEL >> 22) * 4, PT_KERNEL | PRESENT_WRITE_USER);
    w64(PDPT, u64::from(PD0) | 1);
    w64(PDPT + 16, u64::from(PD2) | 1);
    w64(PD0 + (CODE >> 21 & 511) * 8, u64::from(PAE_PT_USER | PRESENT_WRITE_USER));
    w64(PD2 + (KERNEL >> 21 & 511) * 8, u64::from(PAE_PT_KERNEL | PRESENT_WRITE_USER));
    for (linear, phys, len) in PHYS {
        for n in 0..(len / PAGE) as u32 {
            let off = n * PAGE as u32;
            let (at, to) = (linear + off, phys + off);
            let read_only = linear == EXIT || (linear == DATA && off as usize >= DATA_RW);
            let bits = if read_only { 5 } else { PRESENT_WRITE_USER };
            let nx = if linear == DATA || linear == STACK || linear == ALIAS { NX } else { 0 };
            w32(PT_USER + (at >> 12 & 1023) * 4, to | bits);
            w64(PAE_PT_USER + (at >> 12 & 511) * 8, u64::from(to | bits) | nx);
        }
    }
    for n in 0..KERNEL_LEN >> 12 {
        let (at, to) = (KERNEL + (n << 12), KERNEL_PHYS + (n << 12));
        w32(PT_KERNEL + (at >> 12 & 1023) * 4, to | 3);
        w64(PAE_PT_KERNEL + (at >> 12 & 511) * 8, u64::from(to | 3));
    }
    for (n, d) in GDT_ENTRIES.into_iter().enumerate() {
        w64(KERNEL_PHYS + GDT + 8 * n as u32, d);
    }
    let system = |base: u32, limit: u32, kind: u64| {
        u64::from(limit) | u64::from(base & 0xff_ffff) << 16 | kind << 40 | u64::from(base >> 24) << 56
    };
    w64(KERNEL_PHYS + GDT + 0x40, system(KERNEL + TSS, 0x67, 0x8b));
    w64(KERNEL_PHYS + GDT + 0x50, system(KERNEL + LDT, 8 * ldt::ENTRIES.len() as u32 - 1, 0x82));
    for (n, e) in ldt::ENTRIES.iter().enumerate() {
        w64(KERNEL_PHYS + LDT + 8 * n as u32, e.descriptor());
    }
    // ESP0, SS0; the I/O permission bitmap lies beyond the limit.
    w32(KERNEL_PHYS + TSS + 4, KERNEL + KERNEL_STACK_TOP);
    w32(KERNEL_PHYS + TSS + 8, 0x18);
    w32(KERNEL_PHYS + TSS + 0x64, 0x68 << 16);
    for v in 0..256u32 {
        // Interrupt gates; INT 3 and INTO from user mode are allowed, as Linux has it.
        let kind: u64 = if v == 3 || v == 4 { 0xee } else { 0x8e };
        let to = u64::from(KERNEL + HANDLERS + v);
        let gate = to & 0xffff | 0x08 << 16 | kind << 40 | (to >> 16) << 48;
        w64(KERNEL_PHYS + IDT + 8 * v, gate);
    }
    ram.write(u64::from(KERNEL_PHYS + HANDLERS), &[0xf4; 256]);
    ram.write(u64::from(physical(EXIT)), &[0xcc; 16]);
}
