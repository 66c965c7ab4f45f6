//! Page tables: 32-bit with 4 KiB and 4 MiB pages (PSE, PSE-36), and PAE with 4 KiB and 2 MiB pages and NX.
//!
//! SDM vol. 3, 3.6-3.12 and 4.10-4.12 (the manual of the Pentium 4's time). Physical addresses have 36 bits.
//!
//! A walk reads the tables in memory each time; only the four PDPTEs are registers, loaded by MOV CR3 and by
//! changes of CR0 and CR4 that turn PAE paging on. Accessed and dirty bits are set only when the access is
//! allowed: a faulting access changes nothing in memory.

use hv_vcpu::GuestIo;

use super::linear::Access;
use super::tlb::{Proof, SUPERVISOR, USER};
use crate::cpu::{Cpu, cr0, cr4};
use crate::fault::Fault;

/// Bits of page directory and page table entries.
mod pte {
    pub(super) const P: u64 = 1 << 0;
    pub(super) const RW: u64 = 1 << 1;
    pub(super) const US: u64 = 1 << 2;
    pub(super) const A: u64 = 1 << 5;
    pub(super) const D: u64 = 1 << 6;
    pub(super) const PS: u64 = 1 << 7;
    pub(super) const G: u64 = 1 << 8;
    pub(super) const NX: u64 = 1 << 63;
    /// Address bits of a 36-bit PAE entry, and what must be zero above them.
    pub(super) const PAE_ADDR: u64 = 0xf_ffff_f000;
    pub(super) const PAE_RSVD: u64 = 0x7fff_fff0_0000_0000;
    /// A 2 MiB page: bit 12 is PAT, bits 20:13 must be zero.
    pub(super) const PAE_LARGE_RSVD: u64 = 0x1f_e000;
    /// PSE-36: bits 16:13 are address bits 35:32; bits 21:17 must be zero.
    pub(super) const PSE36_RSVD: u64 = 0x3e_0000;
}

/// Page-fault error code. SDM vol. 3, figure 5-7.
mod code {
    pub(super) const P: u16 = 1 << 0;
    pub(super) const W: u16 = 1 << 1;
    pub(super) const U: u16 = 1 << 2;
    pub(super) const RSVD: u16 = 1 << 3;
    pub(super) const ID: u16 = 1 << 4;
}

/// EFER.NXE.
const NXE: u64 = 1 << 11;
/// Bits of a PDPTE that must be zero: 2:1, 8:5 and what lies above the address.
const PDPTE_RSVD: u64 = 0xffff_fff0_0000_01e6;

/// What a walk found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Translation {
    /// Of the 4 KiB page.
    pub(super) phys: u64,
    /// A write at this privilege may go on without another walk: allowed, and the dirty bit is set.
    pub(super) writable: bool,
    pub(super) executable: bool,
    pub(super) global: bool,
    pub(super) large: bool,
    /// Physical addresses of the entries of page directory and page table.
    upper: Option<u64>,
    leaf: Option<u64>,
    wide: bool,
    /// What these entries say now.
    said: [u32; 2],
}

impl Translation {
    /// The entries that it came from: where they are, and logarithms of their size and of the pages that they cover.
    pub(super) fn sources(&self) -> impl Iterator<Item = (u64, u8, u8)> + use<> {
        let (entry, directory) = if self.wide { (3, 9) } else { (2, 10) };
        let leaf = if self.large { directory } else { 0 };
        let upper = self.upper.map(|at| (at, entry, directory));
        upper.into_iter().chain(self.leaf.map(|at| (at, entry, leaf)))
    }
}

/// One entry of a table that was used.
#[derive(Clone, Copy)]
struct Entry {
    at: u64,
    v: u64,
}

impl Cpu {
    pub(super) fn walk(
        &mut self,
        io: &mut dyn GuestIo,
        lin: u32,
        access: Access,
        user: bool,
    ) -> Result<Translation, Fault> {
        if !self.paging() {
            let phys = u64::from(lin & !0xfff);
            return Ok(Translation {
                phys,
                writable: true,
                executable: true,
                global: false,
                large: false,
                upper: None,
                leaf: None,
                wide: false,
                said: [0; 2],
            });
        }
        let r = if self.cr4 & cr4::PAE != 0 {
            self.walk_pae(io, lin, access, user)
        } else {
            self.walk_32(io, lin, access, user)
        };
        r.map_err(|code| self.page_fault(lin, access, user, code))
    }

    /// The fault for `lin`; what the TLB still holds for it is gone after this (SDM vol. 3, 4.10.4.1).
    #[cold]
    fn page_fault(&mut self, lin: u32, access: Access, user: bool, code: u16) -> Fault {
        self.tlb.drop_slot(if user { USER } else { SUPERVISOR }, lin);
        self.fault_lin = lin;
        let mut code = code;
        if access == Access::Write {
            code |= code::W;
        }
        if user {
            code |= code::U;
        }
        if access == Access::Fetch && self.nx() {
            code |= code::ID;
        }
        Fault::pf(code)
    }

    fn nx(&self) -> bool {
        self.cr4 & cr4::PAE != 0 && self.msrs.efer & NXE != 0
    }

    fn walk_32(
        &mut self,
        io: &mut dyn GuestIo,
        lin: u32,
        access: Access,
        user: bool,
    ) -> Result<Translation, u16> {
        let at = u64::from(self.cr3 & !0xfff | lin >> 20 & 0xffc);
        let pde = Entry { at, v: u64::from(self.phys_read32(io, at)) };
        if pde.v & pte::P == 0 {
            return Err(0);
        }
        if pde.v & pte::PS != 0 && self.cr4 & cr4::PSE != 0 {
            if pde.v & pte::PSE36_RSVD != 0 {
                return Err(code::P | code::RSVD);
            }
            let base = pde.v & 0xffc0_0000 | (pde.v >> 13 & 0xf) << 32;
            let phys = base | u64::from(lin & 0x3f_f000);
            return self.grant(io, None, pde, pde.v, phys, access, user);
        }
        let at = pde.v & 0xffff_f000 | u64::from(lin >> 10 & 0xffc);
        let leaf = Entry { at, v: u64::from(self.phys_read32(io, at)) };
        if leaf.v & pte::P == 0 {
            return Err(0);
        }
        self.grant(io, Some(pde), leaf, pde.v & leaf.v, leaf.v & 0xffff_f000, access, user)
    }

    fn walk_pae(
        &mut self,
        io: &mut dyn GuestIo,
        lin: u32,
        access: Access,
        user: bool,
    ) -> Result<Translation, u16> {
        let rsvd = pte::PAE_RSVD | if self.nx() { 0 } else { pte::NX };
        let pdpte = self.pdpte[(lin >> 30) as usize];
        if pdpte & pte::P == 0 {
            return Err(0);
        }
        let at = pdpte & pte::PAE_ADDR | u64::from(lin >> 18 & 0xff8);
        let pde = Entry { at, v: self.phys_read64(io, at) };
        if pde.v & pte::P == 0 {
            return Err(0);
        }
        if pde.v & rsvd != 0 {
            return Err(code::P | code::RSVD);
        }
        if pde.v & pte::PS != 0 {
            if pde.v & pte::PAE_LARGE_RSVD != 0 {
                return Err(code::P | code::RSVD);
            }
            let phys = pde.v & pte::PAE_ADDR & !0x1f_ffff | u64::from(lin & 0x1f_f000);
            return self.grant(io, None, pde, pde.v, phys, access, user);
        }
        let at = pde.v & pte::PAE_ADDR | u64::from(lin >> 9 & 0xff8);
        let leaf = Entry { at, v: self.phys_read64(io, at) };
        if leaf.v & pte::P == 0 {
            return Err(0);
        }
        if leaf.v & rsvd != 0 {
            return Err(code::P | code::RSVD);
        }
        // Rights are what both levels grant, NX what either demands.
        let rights = pde.v & leaf.v & !pte::NX | (pde.v | leaf.v) & pte::NX;
        self.grant(io, Some(pde), leaf, rights, leaf.v & pte::PAE_ADDR, access, user)
    }

    /// Checks `rights` and sets accessed and dirty bits. SDM vol. 3, 4.11 and 4.12.
    #[expect(clippy::too_many_arguments, reason = "one step of the walk, split off to serve three callers")]
    fn grant(
        &mut self,
        io: &mut dyn GuestIo,
        upper: Option<Entry>,
        leaf: Entry,
        rights: u64,
        phys: u64,
        access: Access,
        user: bool,
    ) -> Result<Translation, u16> {
        let may_write = rights & pte::RW != 0 || !user && self.cr0 & cr0::WP == 0;
        let executable = rights & pte::NX == 0;
        let allowed = (!user || rights & pte::US != 0)
            && match access {
                Access::Read => true,
                Access::Write => may_write,
                Access::Fetch => executable,
            };
        if !allowed {
            return Err(code::P);
        }
        let upper = upper.map(|e| {
            if e.v & pte::A == 0 {
                self.phys_write32(io, e.at, (e.v | pte::A) as u32);
            }
            Entry { v: e.v | pte::A, ..e }
        });
        let mut v = leaf.v | pte::A;
        if access == Access::Write {
            v |= pte::D;
        }
        if v != leaf.v {
            self.phys_write32(io, leaf.at, v as u32);
        }
        Ok(Translation {
            phys,
            writable: may_write && v & pte::D != 0,
            executable,
            global: leaf.v & pte::G != 0 && self.cr4 & cr4::PGE != 0,
            large: upper.is_none(),
            upper: upper.map(|e| e.at),
            leaf: Some(leaf.at),
            wide: self.cr4 & cr4::PAE != 0,
            said: [upper.map_or(v, |e| e.v) as u32, v as u32],
        })
    }

    /// By what the TLB can tell that a walk would find the same again. Of 32-bit tables in memory only; a global page needs none.
    pub(super) fn proof(&self, t: &Translation) -> Option<Proof> {
        if t.wide || t.global {
            return None;
        }
        let leaf = t.leaf?;
        let place = |at: u64| Some(self.ram.resolve(at & self.a20_mask()).read? | at as u32 & 0xfff);
        let [upper_says, leaf_says] = t.said;
        Some(Proof { upper: (place(t.upper.unwrap_or(leaf))?, upper_says), leaf: (place(leaf)?, leaf_says) })
    }

    /// What a walk for page `n` of a piece would find, if it would find it without changing anything: page `own` of the
    /// same piece, which lies in one table, is `t`. Physical address, and whether it may be written.
    pub(super) fn beside(&self, t: &Translation, own: u32, n: u32) -> Option<(u64, bool)> {
        let away = i64::from(n) - i64::from(own);
        if !self.ram.a20() {
            return None;
        }
        let (Some(upper), Some(leaf)) = (t.upper, t.leaf) else {
            // One large page, or none at all: the piece is all alike.
            return Some((t.phys.wrapping_add_signed(away << 12), t.writable));
        };
        let read = |at: u64| -> Option<u64> {
            let at = self.ram.resolve(at).read? | at as u32 & 0xfff;
            let arena = self.ram.arena();
            Some(if t.wide { arena.load_u64(at) } else { u64::from(arena.load_u32(at)) })
        };
        let v = read(leaf.wrapping_add_signed(away * if t.wide { 8 } else { 4 }))?;
        let user = self.cpl == 3;
        let seen = pte::P | pte::A | if user { pte::US } else { pte::G };
        if v & seen != seen || t.wide && v & (pte::PAE_RSVD | pte::NX) != 0 {
            return None;
        }
        let may_write = read(upper)? & v & pte::RW != 0 || !user && self.cr0 & cr0::WP == 0;
        let writable = may_write && v & pte::D != 0;
        Some((v & if t.wide { pte::PAE_ADDR } else { 0xffff_f000 }, writable))
    }

    /// A walk for `lin` reads and writes plain memory only.
    pub(crate) fn tables_are_memory(&self, lin: u32) -> bool {
        if !self.paging() {
            return true;
        }
        if !self.ram.a20() || self.cr4 & cr4::PAE != 0 {
            return false;
        }
        let at = u64::from(self.cr3 & !0xfff | lin >> 20 & 0xffc);
        let m = self.ram.resolve(at);
        let (Some(page), true) = (m.read, m.read == m.write) else { return false };
        let pde = u64::from(self.ram.arena().load_u32(page | at as u32 & 0xfff));
        if pde & pte::P == 0 || pde & pte::PS != 0 && self.cr4 & cr4::PSE != 0 {
            return true;
        }
        let m = self.ram.resolve(pde & 0xffff_f000);
        m.read.is_some() && m.read == m.write
    }

    /// The PDPTEs that `cr3` points at. #GP(0) on reserved bits.
    pub(crate) fn read_pdptes(&mut self, io: &mut dyn GuestIo, cr3: u32) -> Result<[u64; 4], Fault> {
        let mut new = [0; 4];
        for (i, e) in new.iter_mut().enumerate() {
            *e = self.phys_read64(io, u64::from(cr3 & !0x1f) + 8 * i as u64);
            if *e & pte::P != 0 && *e & PDPTE_RSVD != 0 {
                return Err(Fault::gp(0));
            }
        }
        Ok(new)
    }

    pub(super) fn a20_mask(&self) -> u64 {
        if self.ram.a20() { u64::MAX } else { !(1 << 20) }
    }

    fn phys_read32(&mut self, io: &mut dyn GuestIo, at: u64) -> u32 {
        let at = at & self.a20_mask();
        if let Some(page) = self.ram.resolve(at).read {
            return self.ram.arena().load_u32(page | at as u32 & 0xfff);
        }
        let mut b = [0xff; 4];
        self.report(io);
        io.mmio_read(at, &mut b);
        self.after_io();
        u32::from_le_bytes(b)
    }

    fn phys_read64(&mut self, io: &mut dyn GuestIo, at: u64) -> u64 {
        let masked = at & self.a20_mask();
        if let Some(page) = self.ram.resolve(masked).read {
            return self.ram.arena().load_u64(page | masked as u32 & 0xfff);
        }
        u64::from(self.phys_read32(io, at)) | u64::from(self.phys_read32(io, at + 4)) << 32
    }

    fn phys_write32(&mut self, io: &mut dyn GuestIo, at: u64, v: u32) {
        let at = at & self.a20_mask();
        let Some(page) = self.ram.resolve(at).write else {
            self.report(io);
            io.mmio_write(at, &v.to_le_bytes());
            self.after_io();
            return;
        };
        let off = page | at as u32 & 0xfff;
        let arena = self.ram.arena();
        arena.store_u32(off, v);
        arena.mark_dirty(page >> 12);
        // A view stays right: the processor sets bits that take no right away.
        if arena.is_watched(page >> 12) && self.code.wrote(off, 4) {
            self.end_block = true;
        }
    }
}
