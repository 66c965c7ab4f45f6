//! The KVM engine.
//!
//! PIC and PIT stay with the machine: there is no in-kernel interrupt controller, interrupts go in by
//! `KVM_INTERRUPT` through interrupt windows. Memory slots follow [`ram::GuestRam::regions`]; they are told to
//! the kernel again whenever the map's generation moved. A kick is a signal to the thread inside `KVM_RUN`,
//! whose handler sets `immediate_exit`, so that a kick between our last look and the ioctl is not lost; the next
//! timer's deadline arrives as the same signal.
//!
//! Hosts differ: some nested ones run real mode and flat 32-bit code by emulation and give up as soon as a
//! guest turns 32-bit paging on. [`Kvm::probe`] finds out with a small guest, in bounded time.

mod alarm;
mod memory;
mod probe;
mod state;
mod vcpu;

use std::sync::Arc;

use hv_vcpu::{Caps, CpuidTable, HvError, Hypervisor, Unavailable, Vm};
use kvm_bindings::{CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};
use ram::GuestRam;

pub use vcpu::KvmCpu;

pub(crate) const ENGINE: &str = "kvm";

pub(crate) fn failed(call: &'static str) -> impl Fn(kvm_ioctls::Error) -> HvError {
    move |e| HvError::Call { engine: ENGINE, call, source: std::io::Error::from_raw_os_error(e.errno()) }
}

/// Linux's KVM.
pub struct Kvm;

impl Kvm {
    /// Can this host run XP-class guests? A short answer within 30 ms, for a start; [`Hypervisor::probe`] takes its
    /// time and gives the reasons.
    pub fn pages(&self) -> bool {
        probe::pages()
    }
}

impl Hypervisor for Kvm {
    type Vm = KvmVm;

    fn probe(&self) -> Result<Caps, Unavailable> {
        probe::probe()
    }

    fn create(&self, ram: Arc<GuestRam>, cpuid: &CpuidTable) -> Result<KvmVm, HvError> {
        let kvm = kvm_ioctls::Kvm::new().map_err(failed("open /dev/kvm"))?;
        let vm = kvm.create_vm().map_err(failed("KVM_CREATE_VM"))?;
        // Three pages that Intel hosts need for real mode; between the ROM and the end of the PCI window.
        const TSS: usize = 0xfffb_d000;
        vm.set_tss_address(TSS).map_err(failed("KVM_SET_TSS_ADDR"))?;
        let entry = |l: &hv_vcpu::CpuidLeaf| kvm_cpuid_entry2 {
            function: l.leaf,
            index: 0,
            flags: if l.leaf == 4 { KVM_CPUID_FLAG_SIGNIFCANT_INDEX } else { 0 },
            eax: l.eax,
            ebx: l.ebx,
            ecx: l.ecx,
            edx: l.edx,
            ..Default::default()
        };
        let entries: Vec<kvm_cpuid_entry2> = cpuid.leaves().iter().map(entry).collect();
        let cpuid = CpuId::from_entries(&entries)
            .map_err(|_| HvError::BadState { engine: ENGINE, what: "more CPUID leaves than KVM takes" })?;
        Ok(KvmVm { vm: Arc::new(vm), ram, cpuid })
    }
}

pub struct KvmVm {
    vm: Arc<kvm_ioctls::VmFd>,
    ram: Arc<GuestRam>,
    cpuid: CpuId,
}

impl Vm for KvmVm {
    type Vcpu = KvmCpu;

    fn vcpu(&mut self) -> Result<KvmCpu, HvError> {
        let fd = self.vm.create_vcpu(0).map_err(failed("KVM_CREATE_VCPU"))?;
        fd.set_cpuid2(&self.cpuid).map_err(failed("KVM_SET_CPUID2"))?;
        KvmCpu::new(self.vm.clone(), fd, self.ram.clone())
    }
}
