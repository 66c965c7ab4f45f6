//! All of the processor that software can see, in the form every engine can give and take.

/// One segment register with its hidden part. `attr` has the layout of descriptor bits 47:40 in bits 7:0 and
/// 55:52 in bits 15:12 (type, S, DPL, P; AVL, L, D/B, G). Bit 16 of a null or unusable segment is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    pub selector: u16,
    pub base: u32,
    /// In bytes, granularity applied.
    pub limit: u32,
    pub attr: u32,
}

impl Segment {
    pub const UNUSABLE: u32 = 1 << 16;
    pub const P: u32 = 1 << 7;
    pub const DB: u32 = 1 << 14;
    pub const G: u32 = 1 << 15;

    /// As real mode has it: base = selector * 16, 64 KiB, read/write data (or code for CS).
    pub const fn real(selector: u16) -> Self {
        Self { selector, base: (selector as u32) << 4, limit: 0xffff, attr: 0x93 }
    }

    pub const fn dpl(&self) -> u8 {
        (self.attr >> 5 & 3) as u8
    }
}

/// GDTR or IDTR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DescTable {
    pub base: u32,
    pub limit: u16,
}

/// The model-specific registers that are state. 64-bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Msrs {
    pub sysenter_cs: u64,
    pub sysenter_esp: u64,
    pub sysenter_eip: u64,
    pub efer: u64,
    pub pat: u64,
    pub apic_base: u64,
    pub misc_enable: u64,
    pub mtrr_def_type: u64,
    pub mtrr_fixed: [u64; 11],
    pub mtrr_var: [(u64, u64); 8],
    pub debugctl: u64,
    pub ucode_rev: u64,
    pub mcg_status: u64,
}

impl Default for Msrs {
    /// Values after RESET. SDM vol. 3, table 9-1 and 11.11.
    fn default() -> Self {
        Self {
            sysenter_cs: 0,
            sysenter_esp: 0,
            sysenter_eip: 0,
            efer: 0,
            pat: 0x0007_0406_0007_0406,
            apic_base: 0,
            misc_enable: 1,
            mtrr_def_type: 0,
            mtrr_fixed: [0; 11],
            mtrr_var: [(0, 0); 8],
            debugctl: 0,
            ucode_rev: 0,
            mcg_status: 0,
        }
    }
}

pub const FXSAVE_LEN: usize = 512;

/// The whole visible processor. Registers in encoding order: EAX ECX EDX EBX ESP EBP ESI EDI; segments ES CS
/// SS DS FS GS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuState {
    pub gpr: [u32; 8],
    pub eip: u32,
    pub eflags: u32,
    pub seg: [Segment; 6],
    pub ldtr: Segment,
    pub tr: Segment,
    pub gdtr: DescTable,
    pub idtr: DescTable,
    pub cr0: u32,
    pub cr2: u32,
    pub cr3: u32,
    pub cr4: u32,
    /// The four PDPTE registers of PAE paging.
    pub pdpte: [u64; 4],
    /// DR0-DR3, DR6, DR7.
    pub dr: [u32; 6],
    pub msrs: Msrs,
    /// x87, MMX, SSE and MXCSR as FXSAVE lays them out (SDM vol. 1, 10.5.1).
    pub fxsave: [u8; FXSAVE_LEN],
    /// Added to [`crate::GuestIo::tsc`].
    pub tsc_offset: u64,
    pub halted: bool,
    /// Interrupts are held off for one instruction by STI.
    pub sti_shadow: bool,
    /// ... by MOV SS or POP SS, debug traps too.
    pub mov_ss_shadow: bool,
    pub nmi_blocked: bool,
    /// A debug trap that waits for the shadow of MOV SS to end: the DR6 bits it will set.
    pub pending_debug: u32,
    /// Vector of an interrupt that was acknowledged ([`crate::GuestIo::ack_intr`]) and not delivered yet: it comes first.
    pub acked: Option<u8>,
}

impl CpuState {
    pub const ES: usize = 0;
    pub const CS: usize = 1;
    pub const SS: usize = 2;
    pub const DS: usize = 3;
    pub const FS: usize = 4;
    pub const GS: usize = 5;

    /// After RESET#: SDM vol. 3, table 9-1. EDX is the processor's signature.
    pub fn reset(signature: u32) -> Self {
        let mut fxsave = [0; FXSAVE_LEN];
        fxsave[0..2].copy_from_slice(&0x0040_u16.to_le_bytes()); // FCW after RESET (FNINIT makes it 037Fh)
        fxsave[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
        // After RESET the abridged tag word reads all valid with zeroes.
        fxsave[4] = 0xff;
        let data = Segment::real(0);
        let cs = Segment { selector: 0xf000, base: 0xffff_0000, limit: 0xffff, attr: 0x9b };
        Self {
            gpr: [0, 0, signature, 0, 0, 0, 0, 0],
            eip: 0xfff0,
            eflags: 2,
            seg: [data, cs, data, data, data, data],
            ldtr: Segment { attr: 0x82, limit: 0xffff, ..Segment::default() },
            tr: Segment { attr: 0x8b, limit: 0xffff, ..Segment::default() },
            gdtr: DescTable { base: 0, limit: 0xffff },
            idtr: DescTable { base: 0, limit: 0xffff },
            cr0: 0x6000_0010,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            pdpte: [0; 4],
            dr: [0, 0, 0, 0, 0xffff_0ff0, 0x400],
            msrs: Msrs::default(),
            fxsave,
            tsc_offset: 0,
            halted: false,
            acked: None,
            sti_shadow: false,
            mov_ss_shadow: false,
            nmi_blocked: false,
            pending_debug: 0,
        }
    }
}
