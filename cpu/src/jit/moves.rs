//! Pages of code that several programs have at different addresses. All translations of a page, for one privilege, are
//! for its base ([`crate::block::Base`]), and the TLB has a fetch tag for the page at no other place: who compares tags
//! finds no code that is for another address. A page that runs elsewhere is moved there.

use hv_vcpu::GuestIo;

use super::Jit;
use super::lower::{Lower, Move, Moved};
use super::numbers::{Numbers, put, put_signed};
use crate::block::Base;
use crate::mem::CodePage;
use crate::run::Engine;

/// A page of translations stays where it is for so many instructions for each place that a move changes: two programs
/// that have it at different addresses and take turns must not spend their time on moving it.
const STAYS: u64 = 500;

/// What another address would change in code of a page, in the order of the buffer.
#[derive(Default)]
pub(super) struct Moves {
    /// How many.
    count: u32,
    /// Where the last one is.
    last: u32,
    bytes: Vec<u8>,
}

impl Moves {
    const EIP: u32 = 0;
    const PAGE: u32 = 1;
    const SLOT: u32 = 2;

    fn add(&mut self, m: Move) {
        let (what, pages) = match m.what {
            Moved::Eip => (Self::EIP, None),
            Moved::Page => (Self::PAGE, None),
            Moved::Slot(pages) => (Self::SLOT, Some(pages)),
        };
        put(&mut self.bytes, (m.at - self.last) << 2 | what);
        if let Some(pages) = pages {
            put_signed(&mut self.bytes, pages);
        }
        self.last = m.at;
        self.count += 1;
    }

    fn iter(&self) -> impl Iterator<Item = Move> {
        let (mut numbers, mut at) = (Numbers(&self.bytes), 0);
        std::iter::from_fn(move || {
            if numbers.is_empty() {
                return None;
            }
            let n = numbers.take();
            at += n >> 2;
            let what = match n & 3 {
                Self::EIP => Moved::Eip,
                Self::PAGE => Moved::Page,
                _ => Moved::Slot(numbers.take_signed()),
            };
            Some(Move { at, what })
        })
    }
}

impl Jit {
    /// Notes what another address would change in code of a page.
    pub(super) fn add_moves(&mut self, page: (u32, bool), moves: &[Move]) {
        /// Code that comes and goes leaves some behind.
        const MANY: usize = 1024;
        let all = self.moves.entry(page).or_default();
        let more = all.bytes.len() + 2 * moves.len();
        if more > MANY && more > all.bytes.capacity() {
            let old = std::mem::take(all);
            for m in old.iter().filter(|m| self.codes.is_live(m.at)) {
                all.add(m);
            }
        }
        for &m in moves {
            all.add(m);
        }
    }

    /// Makes the translations of a page those of another address: they are the same but for a few places.
    fn move_page(&mut self, page: u32, user: bool, from: u32, to: u32) {
        self.counters.pages_moved += 1;
        let Some(moves) = self.moves.get(&(page, user)) else { return };
        self.counters.moves += u64::from(moves.count);
        let by = to.wrapping_sub(from);
        for m in moves.iter() {
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
        let moves = jit.moves.get(&(page, user)).map_or(0, |m| m.count);
        // Nothing that is translated may reach the end of linear space.
        if lin == !0xfff || cpu.icount.wrapping_sub(old.since) < STAYS * u64::from(moves) {
            return false;
        }
        cpu.tlb.fetch_no_more(user, old.lin, page);
        cpu.code.set_base(page, user, Base { lin, since: cpu.icount });
        jit.move_page(page, user, old.lin, lin);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_are_as_they_were_noted() {
        let kinds = [Moved::Eip, Moved::Page, Moved::Slot(1), Moved::Slot(0_u32.wrapping_sub(0x8_0000))];
        let mut m = Moves::default();
        let all: Vec<Move> =
            (0..400).map(|n| Move { at: 4096 + n * n * 5, what: kinds[n as usize % 4] }).collect();
        for &n in &all {
            m.add(n);
        }
        assert_eq!(m.count, 400);
        assert_eq!(m.iter().collect::<Vec<_>>(), all);
    }
}
