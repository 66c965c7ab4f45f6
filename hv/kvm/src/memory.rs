//! The kernel's memory slots, kept equal to the machine's physical map.
#![allow(unsafe_code, reason = "KVM takes host addresses of guest memory")]

use std::collections::BTreeMap;
use std::sync::Arc;

use hv_vcpu::HvError;
use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use ram::{GuestRam, PAGE_SHIFT, Region};

use crate::failed;

const MIB: u64 = 1 << 20;

/// Which regions the kernel knows, by slot number.
pub(crate) struct Slots {
    vm: Arc<VmFd>,
    ram: Arc<GuestRam>,
    known: BTreeMap<u32, Region>,
    generation: Option<u32>,
}

impl Slots {
    pub(crate) fn new(vm: Arc<VmFd>, ram: Arc<GuestRam>) -> Self {
        Self { vm, ram, known: BTreeMap::new(), generation: None }
    }

    /// Tells the kernel what changed since the last call.
    pub(crate) fn sync(&mut self) -> Result<(), HvError> {
        let g = self.ram.generation();
        if self.generation.replace(g) == Some(g) {
            return Ok(());
        }
        let want = if self.ram.a20() { self.ram.regions() } else { wrapped(&self.ram.regions()) };
        let gone: Vec<u32> = self.known.iter().filter(|(_, r)| !want.contains(r)).map(|(n, _)| *n).collect();
        for n in gone {
            if let Some(r) = self.known.remove(&n) {
                self.set(n, r, 0)?;
            }
        }
        for r in want {
            if self.known.values().any(|k| *k == r) {
                continue;
            }
            let n = (0..).find(|n| !self.known.contains_key(n)).unwrap_or(0);
            self.set(n, r, r.len)?;
            self.known.insert(n, r);
        }
        // Setting slots up wrote no guest memory.
        self.ram.take_watched_writes();
        Ok(())
    }

    fn set(&self, slot: u32, r: Region, len: u64) -> Result<(), HvError> {
        let host = self.ram.arena().base() as u64 + u64::from(r.arena);
        let flags = if r.writable { KVM_MEM_LOG_DIRTY_PAGES } else { KVM_MEM_READONLY };
        let region = kvm_userspace_memory_region {
            slot,
            flags,
            guest_phys_addr: r.gpa,
            memory_size: len,
            userspace_addr: host,
        };
        // SAFETY: the range lies inside the arena (GuestRam::regions gives nothing else), and the arena outlives
        // the virtual machine: this struct holds it as long as it holds the VmFd.
        unsafe { self.vm.set_user_memory_region(region) }.map_err(failed("KVM_SET_USER_MEMORY_REGION"))
    }

    /// Brings the kernel's dirty log into the arena's flags.
    pub(crate) fn collect_dirty(&self) -> Result<(), HvError> {
        for (&n, r) in self.known.iter().filter(|(_, r)| r.writable) {
            let log = self.vm.get_dirty_log(n, r.len as usize).map_err(failed("KVM_GET_DIRTY_LOG"))?;
            let first = r.arena >> PAGE_SHIFT;
            for (i, bits) in log.iter().enumerate().filter(|(_, b)| **b != 0) {
                for b in (0..64).filter(|b| bits >> b & 1 == 1) {
                    self.ram.arena().mark_dirty(first + i as u32 * 64 + b);
                }
            }
        }
        Ok(())
    }
}

/// The map as a processor with A20 held low sees it: every odd MiB shows the even one below it.
fn wrapped(all: &[Region]) -> Vec<Region> {
    let even = |r: &Region| {
        let mut out = Vec::new();
        let mut at = r.gpa;
        let end = r.gpa + r.len;
        while at < end {
            let next = ((at / MIB + 1) * MIB).min(end);
            if at & MIB == 0 {
                let part = Region {
                    gpa: at,
                    len: next - at,
                    arena: r.arena + (at - r.gpa) as u32,
                    writable: r.writable,
                };
                out.push(part);
                out.push(Region { gpa: at | MIB, ..part });
            }
            at = next;
        }
        out
    };
    // Kernels have few slots for the whole of a large memory; what real mode can reach comes first.
    const REACH: u64 = 16 * MIB;
    let low = all.iter().filter(|r| r.gpa < REACH);
    let clipped = low.map(|r| Region { len: r.len.min(REACH - r.gpa), ..*r });
    let mut out: Vec<Region> = clipped.flat_map(|r| even(&r)).collect();
    out.extend(all.iter().filter(|r| r.gpa >= 0xf000_0000));
    out
}
