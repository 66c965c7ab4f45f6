//! All of the processor's state, and how its parts hang together.
//!
//! Registers are plain fields that every module of the crate uses. Three groups are derived from others and are
//! brought up to date by the functions that own them:
//! - of a segment register: `rlim`, `wlim` (set by [`SegReg::derive`]);
//! - of CR0, CR4, EFLAGS.VM/AC and CPL: `mode`, `cpl`, the active TLB set (set by [`Cpu::mode_changed`]);
//! - of DR7: `breakpoints` (set by `debug.rs`).

use std::sync::Arc;

use hv_vcpu::{CpuState, CpuidTable, DescTable, GuestIo, Msrs, Segment};
use ram::GuestRam;

use crate::block::CodeMap;
use crate::debug::Breakpoints;
use crate::flags::Flags;
use crate::fpu::Fpu;
use crate::mem::{Key, Tlb, Views};
use crate::seen::SeenDescriptors;

// Indices of `Cpu::seg`.
pub(crate) const ES: usize = 0;
pub(crate) const CS: usize = 1;
pub(crate) const SS: usize = 2;
pub(crate) const DS: usize = 3;
pub(crate) const FS: usize = 4;
pub(crate) const GS: usize = 5;
pub(crate) const LDTR: usize = 6;
pub(crate) const TR: usize = 7;

// Indices of `Cpu::gpr`.
pub(crate) const EAX: usize = 0;
pub(crate) const ECX: usize = 1;
pub(crate) const EDX: usize = 2;
pub(crate) const EBX: usize = 3;
pub(crate) const ESP: usize = 4;
pub(crate) const EBP: usize = 5;
pub(crate) const ESI: usize = 6;
pub(crate) const EDI: usize = 7;

/// Bits of EFLAGS. SDM vol. 1, 3.4.3.
pub(crate) mod eflags {
    pub(crate) const CF: u32 = 1 << 0;
    pub(crate) const PF: u32 = 1 << 2;
    pub(crate) const AF: u32 = 1 << 4;
    pub(crate) const ZF: u32 = 1 << 6;
    pub(crate) const SF: u32 = 1 << 7;
    pub(crate) const TF: u32 = 1 << 8;
    pub(crate) const IF: u32 = 1 << 9;
    pub(crate) const DF: u32 = 1 << 10;
    pub(crate) const OF: u32 = 1 << 11;
    pub(crate) const IOPL: u32 = 3 << 12;
    pub(crate) const NT: u32 = 1 << 14;
    pub(crate) const RF: u32 = 1 << 16;
    pub(crate) const VM: u32 = 1 << 17;
    pub(crate) const AC: u32 = 1 << 18;
    pub(crate) const VIF: u32 = 1 << 19;
    pub(crate) const VIP: u32 = 1 << 20;
    pub(crate) const ID: u32 = 1 << 21;
    /// The six that arithmetic sets: kept lazily, apart from the others.
    pub(crate) const ARITH: u32 = CF | PF | AF | ZF | SF | OF;
    /// Reads as one.
    pub(crate) const FIXED: u32 = 1 << 1;
}

/// Bits of CR0. SDM vol. 3, 2.5.
pub(crate) mod cr0 {
    pub(crate) const PE: u32 = 1 << 0;
    pub(crate) const MP: u32 = 1 << 1;
    pub(crate) const EM: u32 = 1 << 2;
    pub(crate) const TS: u32 = 1 << 3;
    pub(crate) const ET: u32 = 1 << 4;
    pub(crate) const NE: u32 = 1 << 5;
    pub(crate) const WP: u32 = 1 << 16;
    pub(crate) const AM: u32 = 1 << 18;
    pub(crate) const NW: u32 = 1 << 29;
    pub(crate) const CD: u32 = 1 << 30;
    pub(crate) const PG: u32 = 1 << 31;
}

/// Bits of CR4 that this processor has. SDM vol. 3, 2.5. VME and PVI are not shown by CPUID and are reserved.
pub(crate) mod cr4 {
    pub(crate) const TSD: u32 = 1 << 2;
    pub(crate) const DE: u32 = 1 << 3;
    pub(crate) const PSE: u32 = 1 << 4;
    pub(crate) const PAE: u32 = 1 << 5;
    pub(crate) const PGE: u32 = 1 << 7;
    pub(crate) const PCE: u32 = 1 << 8;
    pub(crate) const OSFXSR: u32 = 1 << 9;
    pub(crate) const OSXMMEXCPT: u32 = 1 << 10;
}

/// A segment register (or LDTR, TR) with its hidden part. `attr` as in [`Segment::attr`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegReg {
    pub(crate) selector: u16,
    pub(crate) base: u32,
    pub(crate) limit: u32,
    pub(crate) attr: u32,
    /// The last byte that the quick check lets a data access read, -1 if the slow path must decide (null,
    /// unreadable, expand-down), `i64::MAX` for all 4 GiB from base 0, which offsets never exceed.
    pub(crate) rlim: i64,
    /// The same for writes.
    pub(crate) wlim: i64,
}

impl SegReg {
    pub(crate) const NULL: Self =
        Self { selector: 0, base: 0, limit: 0, attr: Segment::UNUSABLE, rlim: -1, wlim: -1 };

    pub(crate) fn new(s: &Segment) -> Self {
        let mut r =
            Self { selector: s.selector, base: s.base, limit: s.limit, attr: s.attr, rlim: -1, wlim: -1 };
        r.derive();
        r
    }

    pub(crate) fn usable(&self) -> bool {
        self.attr & Segment::UNUSABLE == 0
    }

    /// D (code) or B (stack, expand-down data).
    #[inline(always)]
    pub(crate) fn big(&self) -> bool {
        self.attr & Segment::DB != 0
    }

    pub(crate) fn dpl(&self) -> u8 {
        (self.attr >> 5 & 3) as u8
    }

    pub(crate) fn is_code(&self) -> bool {
        self.attr & 0x18 == 0x18
    }

    pub(crate) fn readable(&self) -> bool {
        self.usable() && (!self.is_code() || self.attr & 2 != 0)
    }

    pub(crate) fn writable(&self) -> bool {
        self.usable() && self.attr & 0x1a == 0x12
    }

    pub(crate) fn expands_down(&self) -> bool {
        self.attr & 0x1c == 0x14
    }

    /// Sets `rlim` and `wlim` after a change of anything else.
    pub(crate) fn derive(&mut self) {
        let quick = if self.unlimited() { i64::MAX } else { i64::from(self.limit) };
        let up = !self.expands_down();
        self.rlim = if up && self.readable() { quick } else { -1 };
        self.wlim = if up && self.writable() { quick } else { -1 };
    }

    /// Data can be read and written at all 4 GiB of addresses.
    #[inline(always)]
    pub(crate) fn is_flat(&self) -> bool {
        self.rlim == i64::MAX && self.wlim == i64::MAX
    }

    /// All of the address space from 0: an access may run from its end into its beginning. Anywhere else that is
    /// beyond the limit (SDM vol. 3, 5.3 leaves both open; so do Intel's processors have it).
    #[inline(always)]
    pub(crate) fn unlimited(&self) -> bool {
        self.limit == u32::MAX && self.base == 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Real,
    Protected,
    V86,
}

pub(crate) struct Cpu {
    // Wiring.
    pub(crate) ram: Arc<GuestRam>,
    pub(crate) cpuid: CpuidTable,

    // Program-visible registers.
    /// The eight registers; then zero, which addresses without base or index read (`insn::ZERO`).
    pub(crate) gpr: [u32; 16],
    /// Address of the next instruction while one executes.
    pub(crate) eip: u32,
    /// Address of the instruction that executes: what a fault saves.
    pub(crate) insn_eip: u32,
    /// EFLAGS without the six arithmetic flags, which `flags.rs` keeps; [`eflags::FIXED`] is set.
    pub(crate) eflags: u32,
    pub(crate) flags: Flags,
    pub(crate) seg: [SegReg; 8],
    pub(crate) gdtr: DescTable,
    /// Follows from GDTR.
    pub(crate) seen: SeenDescriptors,
    pub(crate) idtr: DescTable,
    pub(crate) cr0: u32,
    pub(crate) cr2: u32,
    pub(crate) cr3: u32,
    pub(crate) cr4: u32,
    pub(crate) pdpte: [u64; 4],
    /// DR0-DR7; 4 and 5 are unused.
    pub(crate) dr: [u32; 8],
    /// What DR7 arms.
    pub(crate) breakpoints: Breakpoints,
    pub(crate) msrs: Msrs,
    pub(crate) tsc_offset: u64,
    /// x87, MMX and SSE.
    pub(crate) fpu: Fpu,

    // What an instruction leaves for the next boundary.
    pub(crate) halted: bool,
    /// No INTR before the next instruction.
    pub(crate) sti_shadow: bool,
    /// No INTR, NMI or debug trap before the next instruction.
    pub(crate) mov_ss_shadow: bool,
    pub(crate) nmi_blocked: bool,
    /// DR6 bits of a debug trap to deliver at the next boundary.
    pub(crate) pending_debug: u32,
    /// Of a state from an engine that acknowledges early: to deliver at the next boundary.
    pub(crate) acked: Option<u8>,
    /// The decoded block must not go on past this instruction: a store hit decoded code, the map moved, a trap
    /// or an event waits. The run loop clears it.
    pub(crate) end_block: bool,

    // Derived.
    pub(crate) mode: Mode,
    pub(crate) cpl: u8,

    // Memory.
    pub(crate) tlb: Tlb,
    pub(crate) views: Views,
    /// The code that runs has a view of its memory.
    pub(crate) viewed: bool,
    /// CR2 of a page fault on its way to delivery.
    pub(crate) fault_lin: u32,
    /// The [`GuestRam::generation`] that the TLB and decoded code belong to.
    pub(crate) ram_generation: u32,

    /// Where decoded code lies, and which of it was written.
    pub(crate) code: CodeMap,

    // The clock: instructions retired. Each iteration of a repeated string instruction counts.
    /// Up to the start of the running block. Where translated code skipped instructions of it, as if that lay so much
    /// earlier: below zero, perhaps, so sums with it wrap.
    pub(crate) icount: u64,
    /// In the running block, before the instruction that executes.
    pub(crate) done: u32,
    /// What [`GuestIo::retired`] was told of.
    pub(crate) reported: u64,
    /// When [`GuestIo::poll`] is due, and when it was called last.
    pub(crate) poll_at: u64,
    pub(crate) polled_at: u64,
}

impl Cpu {
    /// Instructions retired so far, while one executes.
    #[inline(always)]
    pub(crate) fn retired(&self) -> u64 {
        self.icount.wrapping_add(u64::from(self.done))
    }

    /// Tells the machine how far the program is: before every call out that may look at the clock. As the call may
    /// also raise an interrupt, the block ends with this instruction.
    #[inline(always)]
    pub(crate) fn report(&mut self, io: &mut dyn GuestIo) {
        self.end_block = true;
        let now = self.retired();
        if now != self.reported {
            io.retired(now - self.reported);
            self.reported = now;
        }
    }

    /// A store hit an arena page that decoded code or the mappings of a view come from. If it hit decoded bytes, the
    /// blocks go at the end of the instruction.
    pub(crate) fn code_written(&mut self, arena: u32, len: u32) {
        let ram = self.ram.arena();
        let table = ram.is_table(arena >> 12) && self.views.table_written(ram, arena, len);
        if self.code.wrote(arena, len) || table {
            self.end_block = true;
        }
    }

    /// After every call out: has the memory map, A20 or decoded code moved?
    #[inline(always)]
    pub(crate) fn after_io(&mut self) {
        if self.ram.generation() != self.ram_generation {
            self.map_moved();
        }
    }

    #[inline(always)]
    pub(crate) fn paging(&self) -> bool {
        self.cr0 & cr0::PG != 0
    }

    /// CS, SS, DS and ES span all of the address space from 0, for 32-bit code: what translated code takes for granted.
    #[inline]
    pub(crate) fn flat(&self) -> bool {
        let data = |s: usize| self.seg[s].is_flat();
        let code = &self.seg[CS];
        code.unlimited() && code.big() && self.seg[SS].big() && data(SS) && data(DS) && data(ES)
    }

    #[inline(always)]
    pub(crate) fn protected(&self) -> bool {
        self.mode == Mode::Protected
    }

    #[inline(always)]
    pub(crate) fn v86(&self) -> bool {
        self.mode == Mode::V86
    }

    pub(crate) fn iopl(&self) -> u8 {
        (self.eflags >> 12 & 3) as u8
    }

    /// EFLAGS as software sees it.
    pub(crate) fn eflags(&self) -> u32 {
        self.eflags | self.flags.pack()
    }

    /// Replaces all of EFLAGS. The caller has masked; follow with `mode_changed` if VM or AC can have moved.
    pub(crate) fn set_eflags(&mut self, v: u32) {
        self.flags = Flags::unpack(v);
        self.eflags = v & !eflags::ARITH | eflags::FIXED;
    }

    /// After RESET#. SDM vol. 3, table 9-1.
    pub(crate) fn new(ram: Arc<GuestRam>, cpuid: &CpuidTable, view_after: u64) -> Self {
        let code = CodeMap::new(ram.arena().len());
        let mut cpu = Self {
            ram_generation: ram.generation(),
            ram,
            cpuid: cpuid.clone(),
            gpr: [0; 16],
            eip: 0,
            insn_eip: 0,
            eflags: eflags::FIXED,
            flags: Flags::default(),
            seg: [SegReg::NULL; 8],
            gdtr: DescTable::default(),
            seen: SeenDescriptors::new(),
            idtr: DescTable::default(),
            cr0: 0,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            pdpte: [0; 4],
            dr: [0; 8],
            breakpoints: Breakpoints::default(),
            msrs: Msrs::default(),
            tsc_offset: 0,
            fpu: Fpu::reset(),
            halted: false,
            acked: None,
            sti_shadow: false,
            mov_ss_shadow: false,
            nmi_blocked: false,
            pending_debug: 0,
            end_block: false,
            mode: Mode::Real,
            cpl: 0,
            tlb: Tlb::new(),
            views: Views::new(view_after),
            viewed: false,
            fault_lin: 0,
            code,
            icount: 0,
            done: 0,
            reported: 0,
            poll_at: 0,
            polled_at: 0,
        };
        cpu.restore(&CpuState::reset(CpuidTable::SIGNATURE));
        cpu
    }

    /// After a change of CR0.PE, CR0.AM, EFLAGS.VM, EFLAGS.AC or CPL.
    pub(crate) fn mode_changed(&mut self) {
        self.mode = if self.cr0 & cr0::PE == 0 {
            Mode::Real
        } else if self.eflags & eflags::VM != 0 {
            Mode::V86
        } else {
            Mode::Protected
        };
        let aligned = self.cpl == 3 && self.cr0 & cr0::AM != 0 && self.eflags & eflags::AC != 0;
        self.tlb.select(self.cpl == 3, aligned);
        self.view_changed();
    }

    /// After a change of what [`Cpu::viewed`] follows from.
    pub(crate) fn view_changed(&mut self) {
        let may = self.mode == Mode::Protected && !self.breakpoints.data && !self.tlb.alignment_checks();
        // Without global pages the supervisor's view would be empty.
        let may = may && (self.cpl == 3 || self.cr0 & cr0::PG == 0 || self.cr4 & cr4::PGE != 0);
        self.viewed = self.views.select(may.then(|| self.space()));
    }

    /// What the address space follows from.
    fn space(&self) -> Key {
        let user = self.cpl == 3;
        if self.cr0 & cr0::PG == 0 {
            return Key { user, ..Key::default() };
        }
        let paging = self.cr0 & (cr0::PG | cr0::WP) | (self.msrs.efer as u32 & 1 << 11);
        let paging = paging | self.cr4 & (cr4::PSE | cr4::PAE | cr4::PGE);
        if !user {
            // Its view has global pages only, which all address spaces share.
            return Key { user, paging, cr3: 0, pdpte: [0; 4] };
        }
        let pae = self.cr4 & cr4::PAE != 0;
        let cr3 = self.cr3 & if pae { !0x1f } else { !0xfff };
        Key { user, paging, cr3, pdpte: if pae { self.pdpte } else { [0; 4] } }
    }

    /// The kind of code that runs, as the translator keeps them apart: bit 0, the user's; bit 1, with a view.
    #[inline(always)]
    pub(crate) fn world(&self) -> u8 {
        u8::from(self.cpl == 3) | u8::from(self.viewed) << 1
    }

    /// Translated code ran for so many instructions.
    pub(crate) fn ran(&mut self, instructions: u64) {
        if self.views.ran(self.ram.arena(), instructions) {
            self.view_changed();
        }
    }
}
