//! Accesses by linear address: pages found first, all of them, then bytes moved.

use hv_vcpu::GuestIo;
use ram::Mapping;

use super::tlb::{Fetching, Fill, SUPERVISOR, USER};
use super::views::{self, How, Source};
use super::walk::Translation;
use crate::cpu::Cpu;
use crate::fault::{Exec, Fault};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    Fetch,
}

/// Whose rights an access by linear address uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priv {
    /// The program's, by CPL.
    Current,
    /// The processor's own: GDT, LDT, IDT, TSS.
    Supervisor,
}

/// Where instructions of one linear page come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodePage {
    /// Offset of the page in the arena.
    Arena(u32),
    /// Physical address of the page; no memory answers there, the bus does.
    Bus(u64),
}

/// What became of a page that was to be mapped in a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InView {
    Mapped,
    /// The guest's tables don't allow the access.
    Fault,
    /// It has to be accessed in another way.
    Refused,
}

/// One page of an access, translated and allowed.
#[derive(Debug, Clone, Copy)]
struct Page {
    /// Of the first byte of the access in this page. Only known where `arena` is not.
    phys: u64,
    /// The same byte in the arena; `None`: the bus.
    arena: Option<u32>,
}

impl Cpu {
    /// Translates the page of `lin` for `access`, with the rights of the user or the supervisor, and caches that.
    fn page(&mut self, io: &mut dyn GuestIo, lin: u32, access: Access, user: bool) -> Result<Page, Fault> {
        let set = if user { USER } else { SUPERVISOR };
        let slot = self.tlb.known_in(set, lin);
        let tag = match access {
            Access::Read => slot.read,
            Access::Write => slot.write,
            Access::Fetch => slot.fetch,
        };
        if tag == lin & !0xfff {
            return Ok(Page { phys: 0, arena: Some(lin.wrapping_add(slot.addend)) });
        }
        if access == Access::Write && slot.is_seen(lin) {
            let at = lin.wrapping_add(slot.addend);
            if !self.ram.arena().is_watched(at >> 12) {
                self.tlb.allow_writes(set, lin);
            }
            return Ok(Page { phys: 0, arena: Some(at) });
        }
        let t = self.walk(io, lin, access, user)?;
        let a20 = self.a20_mask();
        let phys = t.phys & a20;
        let m = self.ram.resolve(phys);
        let off = lin & 0xfff;
        let arena = match access {
            Access::Write => m.write,
            Access::Read | Access::Fetch => m.read,
        };
        if let (Access::Write, Some(at)) = (access, m.write) {
            self.ram.arena().mark_dirty(at >> 12);
        }
        if let Some(at) = m.read {
            let watched = self.watched(lin);
            let write = t.writable && !watched && self.is_dirty_ram(m, at);
            let seen = write && self.ram.arena().is_watched(at >> 12);
            let fetching = match self.code.base(at >> 12, user) {
                _ if access != Access::Fetch => Fetching::No,
                Some(base) if base.lin != lin & !0xfff => Fetching::Unseen,
                _ => Fetching::Yes,
            };
            let fill = Fill {
                lin,
                arena: at,
                read: !watched,
                write,
                seen,
                fetch: t.executable,
                fetching,
                global: t.global,
                large: t.large,
                proof: self.proof(&t),
            };
            self.tlb.fill(set, fill);
        }
        Ok(Page { phys: phys | u64::from(off), arena: arena.map(|a| a | off) })
    }

    /// Fills the slot for an access to `len` bytes that the TLB refused. False if it would refuse it again.
    pub(crate) fn fill_tlb(&mut self, io: &mut dyn GuestIo, lin: u32, len: u32, write: bool) -> bool {
        let last = lin.wrapping_add(len - 1) & !0xfff;
        if last != lin & !0xfff || self.tlb.alignment_checks() {
            return false;
        }
        let access = if write { Access::Write } else { Access::Read };
        if self.page(io, lin, access, self.cpl == 3).is_err() {
            return false;
        }
        let slot = self.tlb.known(lin);
        last == if write { slot.write } else { slot.read }
    }

    /// Where in the arena `len` bytes at `lin` are, in a page that must not be written unseen, if they may be written now
    /// with nothing else to be done: no code was decoded from them. The TLB knows the page.
    pub(crate) fn beside_code(&mut self, lin: u32, len: u32) -> Option<u32> {
        let slot = self.tlb.known(lin);
        let at = lin.wrapping_add(slot.addend);
        (slot.is_seen(lin)
            && (lin & 0xfff) + len <= 0x1000
            && !self.ram.arena().is_table(at >> 12)
            && self.code.passes(at, len))
        .then_some(at)
    }

    /// Maps the page of `lin` in the view of the code that runs, as the TLB would let it be accessed.
    pub(crate) fn map_in_view(&mut self, io: &mut dyn GuestIo, lin: u32, write: bool) -> InView {
        let user = self.cpl == 3;
        let Ok(t) = self.walk(io, lin, if write { Access::Write } else { Access::Read }, user) else {
            return InView::Fault;
        };
        if !user && self.paging() && !t.global {
            return InView::Refused;
        }
        let a20 = self.a20_mask();
        let m = self.ram.resolve(t.phys & a20);
        // What lies behind main RAM belongs to chips, which collect its dirty bits.
        let Some(at) = m.read.filter(|&at| u64::from(at) < self.ram.main_len()) else {
            return InView::Refused;
        };
        if self.watched(lin) {
            return InView::Refused;
        }
        for (phys, entry, covers) in t.sources().filter(|_| user) {
            let Some(table) = self.ram.resolve(phys & a20).read else { return InView::Refused };
            let source = Source { at: table | phys as u32 & 0xfff, entry, covers };
            if self.views.comes_from(self.ram.arena(), lin >> 12, source) {
                self.tlb.forbid_writes(table >> 12);
                self.views.protect(self.ram.arena(), table >> 12);
            }
        }
        let arena = self.ram.arena();
        if write {
            arena.mark_dirty(at >> 12);
        }
        let writable = t.writable && self.is_plain(m, at);
        if write && !writable {
            return InView::Refused;
        }
        if !self.views.map(arena, lin >> 12, at >> 12, 1, How { writable, large: t.large }) {
            return InView::Refused;
        }
        self.map_around(lin, &t);
        InView::Mapped
    }

    /// Maps the pages around `lin`, of which `t` is the translation, as far as a walk would change nothing.
    fn map_around(&mut self, lin: u32, t: &Translation) {
        const PAGES: u32 = views::AROUND;
        if self.breakpoints.data {
            return;
        }
        let first = lin >> 12 & !(PAGES - 1);
        let own = (lin >> 12) - first;
        let mut found = [None; PAGES as usize];
        for n in (0..PAGES).filter(|&n| n != own && !self.views.has(first + n)) {
            found[n as usize] = self.neighbour(t, own, n);
        }
        // Runs that lie together in the arena, too, are mapped at once.
        let mut n = 0;
        while n < PAGES {
            let Some((page, writable)) = found[n as usize] else {
                n += 1;
                continue;
            };
            let next = |k: &u32| found[*k as usize] == Some((page + (k - n), writable));
            let end = (n + 1..PAGES).take_while(next).last().map_or(n + 1, |k| k + 1);
            let how = How { writable, large: t.large };
            if !self.views.map(self.ram.arena(), first + n, page, end - n, how) {
                return;
            }
            n = end;
        }
    }

    /// Page of the arena, and whether it may be written: what translation `t` of a page `own` of a piece says of page `n`.
    fn neighbour(&self, t: &Translation, own: u32, n: u32) -> Option<(u32, bool)> {
        let (phys, writable) = self.beside(t, own, n)?;
        let m = self.ram.resolve(phys);
        let at = m.read.filter(|&at| u64::from(at) < self.ram.main_len())?;
        Some((at >> 12, writable && self.is_plain(m, at)))
    }

    /// Nobody has to hear of writes to the page at `at`, which `m` reads: they go there, and it is dirty already.
    fn is_plain(&self, m: Mapping, at: u32) -> bool {
        self.is_dirty_ram(m, at) && !self.ram.arena().is_watched(at >> 12)
    }

    /// Writes to the page at `at`, which `m` reads, go there, and it is dirty already.
    fn is_dirty_ram(&self, m: Mapping, at: u32) -> bool {
        m.write == m.read && self.ram.arena().is_dirty(at >> 12)
    }

    fn load(&mut self, io: &mut dyn GuestIo, p: Page, buf: &mut [u8]) {
        match p.arena {
            Some(at) => self.ram.arena().copy_out(at, buf),
            None => {
                self.report(io);
                io.mmio_read(p.phys, buf);
                self.after_io();
            }
        }
    }

    fn store(&mut self, io: &mut dyn GuestIo, p: Page, buf: &[u8]) {
        match p.arena {
            Some(at) => {
                self.ram.arena().copy_in(at, buf);
                if self.ram.arena().is_watched(at >> 12) {
                    self.code_written(at, buf.len() as u32);
                }
            }
            None => {
                self.report(io);
                io.mmio_write(p.phys, buf);
                self.after_io();
            }
        }
    }

    /// Reads bytes; a fault on any page leaves nothing read. At most 16 bytes go to the bus at a time.
    pub(crate) fn lin_read(&mut self, io: &mut dyn GuestIo, lin: u32, buf: &mut [u8], user: bool) -> Exec {
        let room = 0x1000 - (lin & 0xfff) as usize;
        if buf.len() <= room {
            let p = self.page(io, lin, Access::Read, user)?;
            self.load_all(io, p, buf);
            return Ok(());
        }
        if buf.len() > room + 0x1000 {
            return self.lin_read_long(io, lin, buf, user);
        }
        let first = self.page(io, lin, Access::Read, user)?;
        let second = self.page(io, lin.wrapping_add(room as u32), Access::Read, user)?;
        let (a, b) = buf.split_at_mut(room);
        self.load_all(io, first, a);
        self.load_all(io, second, b);
        Ok(())
    }

    fn load_all(&mut self, io: &mut dyn GuestIo, p: Page, buf: &mut [u8]) {
        let mut p = p;
        for chunk in buf.chunks_mut(if p.arena.is_some() { 0x1000 } else { 16 }) {
            self.load(io, p, chunk);
            p.phys += chunk.len() as u64;
        }
    }

    fn store_all(&mut self, io: &mut dyn GuestIo, p: Page, buf: &[u8]) {
        let mut p = p;
        for chunk in buf.chunks(if p.arena.is_some() { 0x1000 } else { 16 }) {
            self.store(io, p, chunk);
            p.phys += chunk.len() as u64;
        }
    }

    #[cold]
    fn lin_read_long(&mut self, io: &mut dyn GuestIo, lin: u32, buf: &mut [u8], user: bool) -> Exec {
        self.lin_probe(io, lin, buf.len() as u32, Access::Read, user)?;
        let mut done = 0;
        while done < buf.len() {
            let at = lin.wrapping_add(done as u32);
            let n = (0x1000 - (at & 0xfff) as usize).min(buf.len() - done);
            let p = self.page(io, at, Access::Read, user)?;
            self.load_all(io, p, &mut buf[done..done + n]);
            done += n;
        }
        Ok(())
    }

    /// Writes bytes; no byte is written unless all can be.
    pub(crate) fn lin_write(&mut self, io: &mut dyn GuestIo, lin: u32, buf: &[u8], user: bool) -> Exec {
        let room = 0x1000 - (lin & 0xfff) as usize;
        if buf.len() <= room {
            let p = self.page(io, lin, Access::Write, user)?;
            self.store_all(io, p, buf);
            return Ok(());
        }
        if buf.len() > room + 0x1000 {
            return self.lin_write_long(io, lin, buf, user);
        }
        let first = self.page(io, lin, Access::Write, user)?;
        let second = self.page(io, lin.wrapping_add(room as u32), Access::Write, user)?;
        let (a, b) = buf.split_at(room);
        self.store_all(io, first, a);
        self.store_all(io, second, b);
        Ok(())
    }

    #[cold]
    fn lin_write_long(&mut self, io: &mut dyn GuestIo, lin: u32, buf: &[u8], user: bool) -> Exec {
        self.lin_probe(io, lin, buf.len() as u32, Access::Write, user)?;
        let mut done = 0;
        while done < buf.len() {
            let at = lin.wrapping_add(done as u32);
            let n = (0x1000 - (at & 0xfff) as usize).min(buf.len() - done);
            let p = self.page(io, at, Access::Write, user)?;
            self.store_all(io, p, &buf[done..done + n]);
            done += n;
        }
        Ok(())
    }

    /// Reads what will be written back: walked as a write.
    pub(crate) fn lin_rmw(&mut self, io: &mut dyn GuestIo, lin: u32, buf: &mut [u8], user: bool) -> Exec {
        self.lin_probe(io, lin, buf.len() as u32, Access::Write, user)?;
        self.lin_read(io, lin, buf, user)
    }

    /// Walks every page of the range, lowest first.
    pub(crate) fn lin_probe(
        &mut self,
        io: &mut dyn GuestIo,
        lin: u32,
        len: u32,
        access: Access,
        user: bool,
    ) -> Exec {
        let pages = (u64::from(lin & 0xfff) + u64::from(len.max(1)) + 0xfff) >> 12;
        self.page(io, lin, access, user)?;
        for n in 1..pages as u32 {
            self.page(io, (lin & !0xfff).wrapping_add(n << 12), access, user)?;
        }
        Ok(())
    }

    pub(crate) fn lin_read16(&mut self, io: &mut dyn GuestIo, lin: u32, p: Priv) -> Result<u16, Fault> {
        let mut b = [0; 2];
        self.lin_read(io, lin, &mut b, self.user(p))?;
        Ok(u16::from_le_bytes(b))
    }

    pub(crate) fn lin_read32(&mut self, io: &mut dyn GuestIo, lin: u32, p: Priv) -> Result<u32, Fault> {
        let slot = self.tlb.slot_in(if self.user(p) { USER } else { SUPERVISOR }, lin);
        if slot.read == lin.wrapping_add(3) & !0xfff {
            return Ok(self.ram.arena().load_u32(lin.wrapping_add(slot.addend)));
        }
        let mut b = [0; 4];
        self.lin_read(io, lin, &mut b, self.user(p))?;
        Ok(u32::from_le_bytes(b))
    }

    pub(crate) fn lin_read64(&mut self, io: &mut dyn GuestIo, lin: u32, p: Priv) -> Result<u64, Fault> {
        let slot = self.tlb.slot_in(if self.user(p) { USER } else { SUPERVISOR }, lin);
        if slot.read == lin.wrapping_add(7) & !0xfff {
            return Ok(self.ram.arena().load_u64(lin.wrapping_add(slot.addend)));
        }
        let mut b = [0; 8];
        self.lin_read(io, lin, &mut b, self.user(p))?;
        Ok(u64::from_le_bytes(b))
    }

    pub(crate) fn lin_write8(&mut self, io: &mut dyn GuestIo, lin: u32, v: u8, p: Priv) -> Exec {
        self.lin_write(io, lin, &[v], self.user(p))
    }

    pub(crate) fn lin_write16(&mut self, io: &mut dyn GuestIo, lin: u32, v: u16, p: Priv) -> Exec {
        self.lin_write(io, lin, &v.to_le_bytes(), self.user(p))
    }

    pub(crate) fn lin_write32(&mut self, io: &mut dyn GuestIo, lin: u32, v: u32, p: Priv) -> Exec {
        self.lin_write(io, lin, &v.to_le_bytes(), self.user(p))
    }

    fn user(&self, p: Priv) -> bool {
        p == Priv::Current && self.cpl == 3
    }

    /// The page that instructions at `lin` come from, checked for fetch at the current privilege.
    #[inline]
    pub(crate) fn fetch_page(&mut self, io: &mut dyn GuestIo, lin: u32) -> Result<CodePage, Fault> {
        let user = self.cpl == 3;
        let slot = self.tlb.slot_in(if user { USER } else { SUPERVISOR }, lin);
        let page = lin & !0xfff;
        if slot.fetch == page {
            return Ok(CodePage::Arena(page.wrapping_add(slot.addend)));
        }
        let p = self.page(io, page, Access::Fetch, user)?;
        Ok(match p.arena {
            Some(at) => CodePage::Arena(at),
            None => CodePage::Bus(p.phys),
        })
    }

    /// The map, A20, or code under decoded blocks moved: drop what was derived from it.
    #[cold]
    pub(crate) fn map_moved(&mut self) {
        self.ram_generation = self.ram.generation();
        self.tlb.flush_all();
        if self.views.layout != self.ram.layout_generation() {
            self.views.layout = self.ram.layout_generation();
            self.views.remove_all(self.ram.arena());
            self.view_changed();
        }
        for page in self.ram.take_watched_writes() {
            self.code_written(page << 12, 0x1000);
        }
        self.end_block = true;
    }
}
