//! The processor's saved form. Version 1; fields are only ever added.

use hv_vcpu::{CpuState, DescTable, FXSAVE_LEN, Msrs, Segment};
use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct SegmentV1 {
    #[n(0)]
    selector: u16,
    #[n(1)]
    base: u32,
    #[n(2)]
    limit: u32,
    #[n(3)]
    attr: u32,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct MsrsV1 {
    #[n(0)]
    sysenter: [u64; 3],
    #[n(1)]
    efer: u64,
    #[n(2)]
    pat: u64,
    #[n(3)]
    apic_base: u64,
    #[n(4)]
    misc_enable: u64,
    #[n(5)]
    mtrr_def_type: u64,
    #[n(6)]
    mtrr_fixed: [u64; 11],
    /// Base and mask of each.
    #[n(7)]
    mtrr_var: [[u64; 2]; 8],
    #[n(8)]
    debugctl: u64,
    #[n(9)]
    ucode_rev: u64,
    #[n(10)]
    mcg_status: u64,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct ProcessorV1 {
    #[n(0)]
    gpr: [u32; 8],
    #[n(1)]
    eip: u32,
    #[n(2)]
    eflags: u32,
    /// ES CS SS DS FS GS LDTR TR.
    #[n(3)]
    segments: [SegmentV1; 8],
    /// Base and limit of GDTR and IDTR.
    #[n(4)]
    tables: [[u32; 2]; 2],
    /// CR0 CR2 CR3 CR4.
    #[n(5)]
    cr: [u32; 4],
    #[n(6)]
    pdpte: [u64; 4],
    /// DR0-DR3, DR6, DR7.
    #[n(7)]
    dr: [u32; 6],
    #[n(8)]
    msrs: MsrsV1,
    #[cbor(n(9), with = "minicbor::bytes")]
    fxsave: Vec<u8>,
    #[n(10)]
    tsc_offset: u64,
    #[n(11)]
    halted: bool,
    #[n(12)]
    sti_shadow: bool,
    #[n(13)]
    mov_ss_shadow: bool,
    #[n(14)]
    nmi_blocked: bool,
    #[n(15)]
    pending_debug: u32,
    #[n(16)]
    acked: Option<u8>,
}

fn save_segment(s: &Segment) -> SegmentV1 {
    let Segment { selector, base, limit, attr } = *s;
    SegmentV1 { selector, base, limit, attr }
}

fn load_segment(s: &SegmentV1) -> Segment {
    let SegmentV1 { selector, base, limit, attr } = *s;
    Segment { selector, base, limit, attr }
}

fn save_msrs(m: &Msrs) -> MsrsV1 {
    let Msrs {
        sysenter_cs,
        sysenter_esp,
        sysenter_eip,
        efer,
        pat,
        apic_base,
        misc_enable,
        mtrr_def_type,
        mtrr_fixed,
        mtrr_var,
        debugctl,
        ucode_rev,
        mcg_status,
    } = m.clone();
    MsrsV1 {
        sysenter: [sysenter_cs, sysenter_esp, sysenter_eip],
        efer,
        pat,
        apic_base,
        misc_enable,
        mtrr_def_type,
        mtrr_fixed,
        mtrr_var: mtrr_var.map(|(base, mask)| [base, mask]),
        debugctl,
        ucode_rev,
        mcg_status,
    }
}

fn load_msrs(m: &MsrsV1) -> Msrs {
    let MsrsV1 {
        sysenter: [sysenter_cs, sysenter_esp, sysenter_eip],
        efer,
        pat,
        apic_base,
        misc_enable,
        mtrr_def_type,
        mtrr_fixed,
        mtrr_var,
        debugctl,
        ucode_rev,
        mcg_status,
    } = m.clone();
    Msrs {
        sysenter_cs,
        sysenter_esp,
        sysenter_eip,
        efer,
        pat,
        apic_base,
        misc_enable,
        mtrr_def_type,
        mtrr_fixed,
        mtrr_var: mtrr_var.map(|[base, mask]| (base, mask)),
        debugctl,
        ucode_rev,
        mcg_status,
    }
}

impl ProcessorV1 {
    /// AF is left undefined by shifts and logic, and comes out as the code's translation has it.
    pub(super) fn same(&self, other: &Self) -> bool {
        const AF: u32 = 1 << 4;
        let flags = |p: &Self| Self { eflags: p.eflags & !AF, ..p.clone() };
        flags(self) == flags(other)
    }
}

pub(super) fn save(s: &CpuState) -> ProcessorV1 {
    let CpuState {
        gpr,
        eip,
        eflags,
        seg,
        ldtr,
        tr,
        gdtr,
        idtr,
        cr0,
        cr2,
        cr3,
        cr4,
        pdpte,
        dr,
        msrs,
        fxsave,
        tsc_offset,
        halted,
        sti_shadow,
        mov_ss_shadow,
        nmi_blocked,
        pending_debug,
        acked,
    } = s;
    let [es, cs, ss, ds, fs, gs] = seg.each_ref().map(save_segment);
    ProcessorV1 {
        gpr: *gpr,
        eip: *eip,
        eflags: *eflags,
        segments: [es, cs, ss, ds, fs, gs, save_segment(ldtr), save_segment(tr)],
        tables: [gdtr, idtr].map(|t| [t.base, u32::from(t.limit)]),
        cr: [*cr0, *cr2, *cr3, *cr4],
        pdpte: *pdpte,
        dr: *dr,
        msrs: save_msrs(msrs),
        fxsave: fxsave.to_vec(),
        tsc_offset: *tsc_offset,
        halted: *halted,
        sti_shadow: *sti_shadow,
        mov_ss_shadow: *mov_ss_shadow,
        nmi_blocked: *nmi_blocked,
        pending_debug: *pending_debug,
        acked: *acked,
    }
}

/// None: a field has a length or a value that no processor has.
pub(super) fn load(v: &ProcessorV1) -> Option<CpuState> {
    let ProcessorV1 {
        gpr,
        eip,
        eflags,
        segments,
        tables,
        cr: [cr0, cr2, cr3, cr4],
        pdpte,
        dr,
        msrs,
        fxsave,
        tsc_offset,
        halted,
        sti_shadow,
        mov_ss_shadow,
        nmi_blocked,
        pending_debug,
        acked,
    } = v;
    let [es, cs, ss, ds, fs, gs, ldtr, tr] = segments.each_ref().map(load_segment);
    let table = |t: [u32; 2]| Some(DescTable { base: t[0], limit: u16::try_from(t[1]).ok()? });
    let fxsave: [u8; FXSAVE_LEN] = fxsave.as_slice().try_into().ok()?;
    Some(CpuState {
        gpr: *gpr,
        eip: *eip,
        eflags: *eflags,
        seg: [es, cs, ss, ds, fs, gs],
        ldtr,
        tr,
        gdtr: table(tables[0])?,
        idtr: table(tables[1])?,
        cr0: *cr0,
        cr2: *cr2,
        cr3: *cr3,
        cr4: *cr4,
        pdpte: *pdpte,
        dr: *dr,
        msrs: load_msrs(msrs),
        fxsave,
        tsc_offset: *tsc_offset,
        halted: *halted,
        sti_shadow: *sti_shadow,
        mov_ss_shadow: *mov_ss_shadow,
        nmi_blocked: *nmi_blocked,
        pending_debug: *pending_debug,
        acked: *acked,
    })
}
