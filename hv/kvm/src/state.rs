//! [`CpuState`] to and from what KVM has.

use hv_vcpu::{CpuState, DescTable, HvError, Msrs, Segment};
use kvm_bindings::{
    Msrs as KvmMsrs, kvm_debugregs, kvm_dtable, kvm_fpu, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs,
    kvm_vcpu_events,
};
use kvm_ioctls::VcpuFd;

use crate::{ENGINE, failed};

const SYSENTER_CS: u32 = 0x174;
const SYSENTER_ESP: u32 = 0x175;
const SYSENTER_EIP: u32 = 0x176;
const PAT: u32 = 0x277;
const MTRR_DEF_TYPE: u32 = 0x2ff;
const MTRR_FIXED: [u32; 11] = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
const MTRR_VAR: u32 = 0x200;
const TSC: u32 = 0x10;
const SHADOW_MOV_SS: u8 = 1;
const SHADOW_STI: u8 = 2;

/// Model-specific registers by number and where they are kept; KVM's order.
fn msr_list(m: &Msrs) -> Vec<(u32, u64)> {
    let mut v = vec![
        (SYSENTER_CS, m.sysenter_cs),
        (SYSENTER_ESP, m.sysenter_esp),
        (SYSENTER_EIP, m.sysenter_eip),
        (PAT, m.pat),
        (MTRR_DEF_TYPE, m.mtrr_def_type),
    ];
    v.extend(MTRR_FIXED.into_iter().zip(m.mtrr_fixed));
    for (n, &(base, mask)) in m.mtrr_var.iter().enumerate() {
        v.extend([(MTRR_VAR + 2 * n as u32, base), (MTRR_VAR + 2 * n as u32 + 1, mask)]);
    }
    v
}

fn put_msr(m: &mut Msrs, index: u32, v: u64) {
    match index {
        SYSENTER_CS => m.sysenter_cs = v,
        SYSENTER_ESP => m.sysenter_esp = v,
        SYSENTER_EIP => m.sysenter_eip = v,
        PAT => m.pat = v,
        MTRR_DEF_TYPE => m.mtrr_def_type = v,
        MTRR_VAR..=0x20f => {
            let (base, mask) = &mut m.mtrr_var[(index - MTRR_VAR) as usize / 2];
            *(if index & 1 == 0 { base } else { mask }) = v;
        }
        _ => {
            if let Some(n) = MTRR_FIXED.iter().position(|&i| i == index) {
                m.mtrr_fixed[n] = v;
            }
        }
    }
}

fn from_segment(s: &kvm_segment) -> Segment {
    let bit = |v: u8, at: u32| u32::from(v & 1) << at;
    let attr = u32::from(s.type_ & 15)
        | bit(s.s, 4)
        | u32::from(s.dpl & 3) << 5
        | bit(s.present, 7)
        | bit(s.avl, 12)
        | bit(s.l, 13)
        | bit(s.db, 14)
        | bit(s.g, 15)
        | bit(s.unusable, 16);
    Segment { selector: s.selector, base: s.base as u32, limit: s.limit, attr }
}

fn to_segment(s: &Segment) -> kvm_segment {
    let bit = |at: u32| (s.attr >> at & 1) as u8;
    kvm_segment {
        base: u64::from(s.base),
        limit: s.limit,
        selector: s.selector,
        type_: (s.attr & 15) as u8,
        s: bit(4),
        dpl: s.dpl(),
        present: bit(7),
        avl: bit(12),
        l: bit(13),
        db: bit(14),
        // KVM wants granularity to agree with the limit it is given in bytes.
        g: u8::from(s.limit > 0xf_ffff),
        unusable: bit(16),
        padding: 0,
    }
}

fn from_table(t: &kvm_dtable) -> DescTable {
    DescTable { base: t.base as u32, limit: t.limit }
}

fn to_table(t: DescTable) -> kvm_dtable {
    kvm_dtable { base: u64::from(t.base), limit: t.limit, padding: [0; 3] }
}

/// FXSAVE's layout (SDM vol. 1, table 10-2) from KVM's structure.
fn fxsave(f: &kvm_fpu) -> [u8; hv_vcpu::FXSAVE_LEN] {
    let mut b = [0; hv_vcpu::FXSAVE_LEN];
    b[0..2].copy_from_slice(&f.fcw.to_le_bytes());
    b[2..4].copy_from_slice(&f.fsw.to_le_bytes());
    b[4] = f.ftwx;
    b[6..8].copy_from_slice(&f.last_opcode.to_le_bytes());
    b[8..16].copy_from_slice(&f.last_ip.to_le_bytes());
    b[16..24].copy_from_slice(&f.last_dp.to_le_bytes());
    b[24..28].copy_from_slice(&f.mxcsr.to_le_bytes());
    b[28..32].copy_from_slice(&0xffff_u32.to_le_bytes());
    for (n, r) in f.fpr.iter().enumerate() {
        b[32 + 16 * n..][..10].copy_from_slice(&r[..10]);
    }
    for (n, x) in f.xmm.iter().take(8).enumerate() {
        b[160 + 16 * n..][..16].copy_from_slice(x);
    }
    b
}

fn to_fpu(b: &[u8; hv_vcpu::FXSAVE_LEN]) -> kvm_fpu {
    let w = |at: usize| u16::from_le_bytes([b[at], b[at + 1]]);
    let q = |at: usize| b[at..at + 8].iter().rev().fold(0, |v, &x| v << 8 | u64::from(x));
    let mut f = kvm_fpu {
        fcw: w(0),
        fsw: w(2),
        ftwx: b[4],
        last_opcode: w(6),
        last_ip: q(8),
        last_dp: q(16),
        mxcsr: u32::from(w(24)) | u32::from(w(26)) << 16,
        ..Default::default()
    };
    for (n, r) in f.fpr.iter_mut().enumerate() {
        r[..10].copy_from_slice(&b[32 + 16 * n..][..10]);
    }
    for (n, x) in f.xmm.iter_mut().take(8).enumerate() {
        x.copy_from_slice(&b[160 + 16 * n..][..16]);
    }
    f
}

pub(crate) fn get(fd: &VcpuFd) -> Result<CpuState, HvError> {
    let r = fd.get_regs().map_err(failed("KVM_GET_REGS"))?;
    let s = fd.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
    let f = fd.get_fpu().map_err(failed("KVM_GET_FPU"))?;
    let mut c = CpuState::reset(0);
    c.gpr = [r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi].map(|v| v as u32);
    c.eip = r.rip as u32;
    c.eflags = r.rflags as u32;
    c.seg = [&s.es, &s.cs, &s.ss, &s.ds, &s.fs, &s.gs].map(from_segment);
    c.ldtr = from_segment(&s.ldt);
    c.tr = from_segment(&s.tr);
    c.gdtr = from_table(&s.gdt);
    c.idtr = from_table(&s.idt);
    (c.cr0, c.cr2, c.cr3, c.cr4) = (s.cr0 as u32, s.cr2 as u32, s.cr3 as u32, s.cr4 as u32);
    c.msrs.efer = s.efer;
    c.fxsave = fxsave(&f);
    // Given to the processor, and not taken yet.
    c.acked = (0..=u8::MAX).find(|v| s.interrupt_bitmap[usize::from(v / 64)] & 1 << (v % 64) != 0);
    // What a host's emulation of KVM lacks keeps its reset value.
    if let Ok(d) = fd.get_debug_regs() {
        c.dr = [d.db[0], d.db[1], d.db[2], d.db[3], d.dr6, d.dr7].map(|v| v as u32);
    }
    if let Ok(e) = fd.get_vcpu_events() {
        c.sti_shadow = e.interrupt.shadow & SHADOW_STI != 0;
        c.mov_ss_shadow = e.interrupt.shadow & SHADOW_MOV_SS != 0;
        c.nmi_blocked = e.nmi.masked != 0;
        if e.interrupt.injected != 0 && e.interrupt.soft == 0 {
            c.acked = Some(e.interrupt.nr);
        }
    }
    for (index, _) in msr_list(&c.msrs) {
        let entry = kvm_msr_entry { index, ..Default::default() };
        if let Ok(mut m) = KvmMsrs::from_entries(&[entry])
            && fd.get_msrs(&mut m).is_ok_and(|n| n == 1)
        {
            put_msr(&mut c.msrs, index, m.as_slice()[0].data);
        }
    }
    Ok(c)
}

pub(crate) fn set(fd: &VcpuFd, c: &CpuState) -> Result<(), HvError> {
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi] = c.gpr.map(u64::from);
    let regs = kvm_regs {
        rax,
        rcx,
        rdx,
        rbx,
        rsp,
        rbp,
        rsi,
        rdi,
        rip: u64::from(c.eip),
        rflags: u64::from(c.eflags),
        ..Default::default()
    };
    let old = fd.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
    let [es, cs, ss, ds, fs, gs] = [0, 1, 2, 3, 4, 5].map(|n| to_segment(&c.seg[n]));
    let sregs = kvm_sregs {
        cs,
        ds,
        es,
        fs,
        gs,
        ss,
        tr: to_segment(&c.tr),
        ldt: to_segment(&c.ldtr),
        gdt: to_table(c.gdtr),
        idt: to_table(c.idtr),
        cr0: u64::from(c.cr0),
        cr2: u64::from(c.cr2),
        cr3: u64::from(c.cr3),
        cr4: u64::from(c.cr4),
        cr8: 0,
        efer: c.msrs.efer,
        apic_base: old.apic_base,
        interrupt_bitmap: [0; 4],
    };
    fd.set_sregs(&sregs).map_err(failed("KVM_SET_SREGS"))?;
    fd.set_regs(&regs).map_err(failed("KVM_SET_REGS"))?;
    fd.set_fpu(&to_fpu(&c.fxsave)).map_err(failed("KVM_SET_FPU"))?;
    let [d0, d1, d2, d3, dr6, dr7] = c.dr.map(u64::from);
    let debug = kvm_debugregs { db: [d0, d1, d2, d3], dr6, dr7, ..Default::default() };
    // A host's emulation of KVM may lack these calls; their state is then that of reset, which is fine as long as
    // the wanted state is that too.
    let plain = CpuState::reset(0);
    if fd.set_debug_regs(&debug).is_err() && c.dr != plain.dr {
        return Err(HvError::BadState {
            engine: ENGINE,
            what: "debug registers, which this host's KVM cannot set",
        });
    }
    let shadow = if c.sti_shadow { SHADOW_STI } else { 0 } | if c.mov_ss_shadow { SHADOW_MOV_SS } else { 0 };
    let mut events = kvm_vcpu_events::default();
    events.interrupt.shadow = shadow;
    events.nmi.masked = c.nmi_blocked.into();
    events.flags = kvm_bindings::KVM_VCPUEVENT_VALID_SHADOW;
    if fd.set_vcpu_events(&events).is_err() && (shadow != 0 || c.nmi_blocked) {
        return Err(HvError::BadState {
            engine: ENGINE,
            what: "interrupt shadow, which this host's KVM cannot set",
        });
    }
    let reset = msr_list(&plain.msrs);
    for ((index, data), (_, at_reset)) in msr_list(&c.msrs).into_iter().zip(reset) {
        let entry = kvm_msr_entry { index, data, ..Default::default() };
        let m = KvmMsrs::from_entries(&[entry]);
        let done = m.is_ok_and(|m| fd.set_msrs(&m).is_ok_and(|n| n == 1));
        if !done && data != at_reset {
            return Err(HvError::BadState {
                engine: ENGINE,
                what: "an MSR that this host's KVM does not take",
            });
        }
    }
    let tsc =
        KvmMsrs::from_entries(&[kvm_msr_entry { index: TSC, data: c.tsc_offset, ..Default::default() }]);
    // The time-stamp counter is the host's own here; a host that can't set it keeps its count.
    if let Ok(m) = tsc {
        let _ = fd.set_msrs(&m);
    }
    Ok(())
}
