//! Pages of code that several programs have at different addresses. All translations of a page, for one privilege, are
//! for its base ([`crate::block::Base`]), and the TLB has a fetch tag for the page at no other place: who compares tags
//! finds no code that is for another address. A page that runs elsewhere is moved there.

use hv_vcpu::GuestIo;

use super::Jit;
use super::lower::{Lower, Move, Moved};
use crate::block::Base;
use crate::mem::CodePage;
use crate::run::Engine;

/// A page of translations stays where it is for so many instructions for each place that a move changes: two programs
/// that have it at different addresses and take turns must not spend their time on moving it.
const STAYS: u64 = 500;

impl Jit {
    /// Notes what another address would change in code of a page.
    pub(super) fn add_moves(&mut self, page: (u32, bool), moves: &[Move]) {
        /// Code that comes and goes leaves some behind.
        const MANY: usize = 512;
        let all = self.moves.entry(page).or_default();
        if all.len() + moves.len() > MANY && all.len() + moves.len() > all.capacity() {
            let codes = &self.codes;
            all.retain(|m| codes.is_live(m.at));
        }
        all.extend_from_slice(moves);
    }

    /// Makes the translations of a page those of another address: they are the same but for a few places.
    fn move_page(&mut self, page: u32, user: bool, from: u32, to: u32) {
        self.counters.pages_moved += 1;
        let Some(moves) = self.moves.get(&(page, user)) else { return };
        self.counters.moves += moves.len() as u64;
        let by = to.wrapping_sub(from);
        for m in moves {
            match m.what {
                Moved::Eip => {
                    let v = self.buffer.read32(m.at).wrapping_add(by);
                    self.buffer.write(m.at, &v.to_le_bytes());
                }
                Moved::Slot(pages) => {
                    let v = Lower::fetch_of(to.wrapping_add(pages << 12));
                    self.buffer.write(m.at, &v.to_le_bytes());
                }
                Moved::Page => {
                    // It is the same page of the arena.
                    let tag = self.buffer.read32(m.at).wrapping_add(by);
                    let addend = self.buffer.read32(m.at + 4).wrapping_sub(by);
                    self.buffer.write(m.at, &(u64::from(tag) | u64::from(addend) << 32).to_le_bytes());
                }
            }
        }
    }
}

impl Engine {
    /// Sees to it that the TLB knows the page of EIP, for translated code. False: it must not.
    #[inline(always)]
    pub(crate) fn know_page(&mut self, io: &mut dyn GuestIo) -> bool {
        self.knows_page() || self.know_page_slow(io)
    }

    pub(super) fn knows_page(&self) -> bool {
        let eip = self.cpu.eip;
        self.cpu.tlb.slot(eip).fetch == eip & !0xfff
    }

    fn know_page_slow(&mut self, io: &mut dyn GuestIo) -> bool {
        let eip = self.cpu.eip;
        let Ok(CodePage::Arena(page)) = self.cpu.fetch_page(io, eip) else { return false };
        if self.cpu.end_block {
            return false;
        }
        self.knows_page()
            || self.move_page(page >> 12, eip & !0xfff)
                && self.cpu.fetch_page(io, eip).is_ok()
                && !self.cpu.end_block
                && self.knows_page()
    }

    /// Makes the translations of a page of the arena those of linear page `lin`: a program that shares it with others is
    /// loaded elsewhere each time. False: it was moved a moment ago.
    fn move_page(&mut self, page: u32, lin: u32) -> bool {
        let Some(jit) = &mut self.jit else { return false };
        let cpu = &mut self.cpu;
        let user = cpu.cpl == 3;
        let Some(old) = cpu.code.base(page, user) else { return true };
        let moves = jit.moves.get(&(page, user)).map_or(0, Vec::len);
        // Nothing that is translated may reach the end of linear space.
        if lin == !0xfff || cpu.icount.wrapping_sub(old.since) < STAYS * moves as u64 {
            return false;
        }
        cpu.tlb.fetch_no_more(user, old.lin, page);
        cpu.code.set_base(page, user, Base { lin, since: cpu.icount });
        jit.move_page(page, user, old.lin, lin);
        true
    }
}
