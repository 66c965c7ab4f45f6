//! Decoded basic blocks, and which bytes of memory they came from.
//!
//! A block is a run of instructions in one page, keyed by the arena offset of its first byte and the [`key`] bits
//! that decoding and fetching depend on. (An instruction that crosses into the next page is a block of its own.)
//! The run loop holds the [`Cache`]; [`Cpu`](crate::cpu::Cpu) holds the [`CodeMap`], so that stores can see what is
//! decoded while a block of the cache executes: a store into decoded bytes queues the range, and the run loop drops
//! the blocks at the end of the storing instruction.
//!
//! Decoded instructions lie in a ring, where new ones take the place of the oldest. A block whose instructions are gone
//! stays, with its translation: they are decoded again when they are asked for.
//!
//! A block remembers its last few successors ([`Link`]), so that loops do not search. A link names the linear
//! address and the epoch of the address translation that it was made for, and the target's serial number, which
//! moves when the target is dropped.

use ram::Arena;

use crate::decode::{MAX_LEN, blank, decode};
use crate::insn::Insn;

/// Bits of a block's key besides its address.
pub(crate) mod key {
    /// CS.D.
    pub(crate) const BIG: u8 = 1 << 0;
    /// CPL 3: what may be fetched differs.
    pub(crate) const USER: u8 = 1 << 1;
    /// Where [`crate::cpu::Cpu::world`] lies: USER, and whether memory is accessed in a view.
    pub(crate) const WORLD: u8 = 1;
}

const PAGE: u32 = 0x1000;
const NONE: u32 = u32::MAX;
/// So many stores that hit code, and the page is taken to be filled anew: if they follow each other in memory, or come
/// with nothing decoded from the page between them.
const HITS_OF_A_FILL: u32 = 4;
/// ... and so many more of the latter for each translation that would be lost: it costs more than blocks that go one by
/// one.
const HITS_PER_TRANSLATION: u32 = 8;

/// Where translations of an arena page are for.
#[derive(Clone, Copy)]
pub(crate) struct Base {
    /// The linear address of the page, or [`NONE`].
    pub(crate) lin: u32,
    /// Since when, in instructions retired.
    pub(crate) since: u64,
}

/// Decoded code of one arena page.
struct CodePage {
    page: u32,
    /// The supervisor's, and the user's.
    bases: [Base; 2],
    /// One bit for each byte that a block came from, perhaps one that was dropped.
    bytes: [u64; 64],
    /// The blocks, as [`Cache`] numbers them.
    blocks: Vec<u32>,
    /// The end of the last store, and how many hit since one did not begin there.
    end: u32,
    in_a_row: u32,
    /// How many hit since a block was decoded.
    hits: u32,
}

impl CodePage {
    fn new() -> Self {
        let bases = [Base { lin: NONE, since: 0 }; 2];
        Self { page: 0, bases, bytes: [0; 64], blocks: Vec::new(), end: NONE, in_a_row: 0, hits: 0 }
    }

    /// Starts anew, for another page. The room for blocks stays.
    fn begin(&mut self, page: u32) {
        self.blocks.clear();
        *self = Self { page, blocks: std::mem::take(&mut self.blocks), ..Self::new() };
    }

    /// The words of `bytes` that `first..=last` (within the page) touches, each with the mask of that part.
    fn words(first: u32, last: u32) -> impl Iterator<Item = (usize, u64)> {
        (first >> 6..=last >> 6).map(move |w| {
            let from = if w == first >> 6 { first & 63 } else { 0 };
            let to = if w == last >> 6 { last & 63 } else { 63 };
            (w as usize, (u64::MAX << from) & (u64::MAX >> (63 - to)))
        })
    }

    /// A byte of `first..=last` is marked.
    fn hit(&self, first: u32, last: u32) -> bool {
        Self::words(first, last).any(|(w, mask)| self.bytes[w] & mask != 0)
    }

    fn mark(&mut self, first: u32, last: u32) {
        for (w, mask) in Self::words(first, last) {
            self.bytes[w] |= mask;
        }
    }
}

/// Bytes of decoded code, by arena page.
pub(crate) struct CodeMap {
    /// Index into `pages`, or [`NONE`], for each arena page.
    index: Vec<u32>,
    pages: Vec<CodePage>,
    free: Vec<u32>,
    /// Ranges (arena offset, length) written since the run loop looked.
    written: Vec<(u32, u32)>,
}

impl CodeMap {
    pub(crate) fn new(arena_len: usize) -> Self {
        Self { index: vec![NONE; arena_len >> 12], pages: Vec::new(), free: Vec::new(), written: Vec::new() }
    }

    /// A store to `len` bytes (in one page) of a page with decoded code. True if it hit any.
    pub(crate) fn wrote(&mut self, arena: u32, len: u32) -> bool {
        let Some(p) = self.pages.get_mut(self.index[(arena >> 12) as usize] as usize) else { return false };
        let first = arena & (PAGE - 1);
        if p.end != first {
            p.in_a_row = 0;
        }
        p.end = first + len;
        let hit = p.hit(first, first + (len - 1));
        if hit {
            p.in_a_row += 1;
            p.hits += 1;
            self.written.push((arena, len));
        }
        hit
    }

    /// A store to `len` bytes (in one page) that is about to come hits no decoded code.
    pub(crate) fn passes(&mut self, arena: u32, len: u32) -> bool {
        let Some(p) = self.pages.get_mut(self.index[(arena >> 12) as usize] as usize) else { return true };
        let first = arena & (PAGE - 1);
        let hit = p.hit(first, first + (len - 1));
        if !hit && p.end == first {
            p.end = first + len;
        }
        !hit
    }

    /// Of the `len` bytes at `arena` (in one page), those in front of the first that a block came from.
    pub(crate) fn clear_before(&self, arena: u32, len: u32) -> u32 {
        let Some(p) = self.pages.get(self.index[(arena >> 12) as usize] as usize) else { return len };
        let first = arena & (PAGE - 1);
        let hit = CodePage::words(first, first + (len - 1)).find_map(|(w, mask)| {
            (p.bytes[w] & mask != 0).then(|| w as u32 * 64 + (p.bytes[w] & mask).trailing_zeros())
        });
        hit.map_or(len, |at| at - first)
    }

    /// A block may have come from this byte.
    fn has(&self, arena: u32) -> bool {
        let bit = (arena & (PAGE - 1)) as usize;
        let page = self.pages.get(self.index[(arena >> 12) as usize] as usize);
        page.is_some_and(|p| p.bytes[bit >> 6] & 1 << (bit & 63) != 0)
    }

    pub(crate) fn anything_written(&self) -> bool {
        !self.written.is_empty()
    }

    /// Enters a block's piece in one page. True if it is the page's first.
    fn add(&mut self, id: u32, arena: u32, len: u32) -> bool {
        let page = arena >> 12;
        let mut at = self.index[page as usize];
        let new = at == NONE;
        if new {
            at = self.free.pop().unwrap_or(self.pages.len() as u32);
            if at as usize == self.pages.len() {
                self.pages.push(CodePage::new());
            }
            self.pages[at as usize].begin(page);
            self.index[page as usize] = at;
        }
        let p = &mut self.pages[at as usize];
        p.hits = 0;
        p.mark(arena & (PAGE - 1), (arena & (PAGE - 1)) + (len - 1));
        p.blocks.push(id);
        new
    }

    /// All translations of an arena page, for one privilege, are for one place in linear space, if there are any.
    #[inline]
    pub(crate) fn base(&self, page: u32, user: bool) -> Option<Base> {
        let p = self.pages.get(self.index[page as usize] as usize)?;
        Some(p.bases[usize::from(user)]).filter(|b| b.lin != NONE)
    }

    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "there is no translator"))]
    pub(crate) fn set_base(&mut self, page: u32, user: bool, base: Base) {
        if let Some(p) = self.pages.get_mut(self.index[page as usize] as usize) {
            p.bases[usize::from(user)] = base;
        }
    }

    /// The EIP that the translation of block `b` is for.
    #[inline(always)]
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "there is no translator"))]
    pub(crate) fn eip(&self, b: &Block) -> u32 {
        self.pages[b.place as usize].bases[usize::from(b.is_users())].lin | b.arena & (PAGE - 1)
    }

    fn blocks(&self, page: u32) -> &[u32] {
        self.pages.get(self.index[page as usize] as usize).map_or(&[], |p| &p.blocks)
    }
}

/// A successor of a block.
#[derive(Clone, Copy)]
struct Link {
    /// Epoch of the address translation, then the linear address.
    key: u64,
    id: u32,
    serial: u32,
}

const NO_LINK: Link = Link { key: 0, id: 0, serial: u32::MAX };

/// Where a transfer to linear address `lin` goes, as long as the translation's epoch is `epoch`.
#[inline(always)]
pub(crate) fn link_key(epoch: u32, lin: u32) -> u64 {
    u64::from(epoch) << 32 | u64::from(lin)
}

pub(crate) struct Block {
    /// Place of the first instruction in the ring, counted from the beginning of time.
    first: u64,
    /// Instructions.
    pub(crate) n: u16,
    /// Bytes.
    pub(crate) len: u16,
    arena: u32,
    /// Which of [`CodeMap::pages`] it begins in.
    place: u32,
    /// The second page of an instruction that crosses, or [`NONE`].
    second: u32,
    /// Moves when the block is dropped. Never 0 for a live block.
    serial: u32,
    /// Next of the same hash.
    next: u32,
    key: u8,
    /// The last instruction is such that the run loop must look at everything: no links.
    pub(crate) leaves: bool,
    /// Executions, as far as the translator wants to know.
    pub(crate) heat: u8,
    /// Much of what it accesses can't be in a view.
    pub(crate) careful: bool,
    /// The translation's number, or 0. [`CodeMap::eip`] says what it is for.
    pub(crate) code: u32,
}

impl Block {
    pub(crate) fn second(&self) -> Option<u32> {
        (self.second != NONE).then_some(self.second)
    }

    /// Where it begins in the arena.
    pub(crate) fn arena(&self) -> u32 {
        self.arena
    }

    pub(crate) fn is_users(&self) -> bool {
        self.key & key::USER != 0
    }
}

/// Entry of the jump cache, for transfers with many targets.
#[derive(Clone, Copy)]
struct Jump {
    link: Link,
    key: u8,
}

/// A new block on its way into the cache.
pub(crate) struct NewBlock<'a> {
    pub(crate) insns: &'a [Insn],
    pub(crate) arena: u32,
    /// Arena offset of the second page, if the only instruction crosses.
    pub(crate) second: Option<u32>,
    pub(crate) len: u32,
    pub(crate) key: u8,
    pub(crate) leaves: bool,
}

/// Decoded instructions; a power of two.
const RING: usize = 128 * 1024;
/// Blocks of all sizes.
const MAX_BLOCKS: usize = 128 * 1024;
const BUCKETS: usize = 256 * 1024;
const JUMPS: usize = 16384;
/// Most instructions of a block; a power of two.
pub(crate) const MAX_INSNS: usize = 64;

/// Successors that a block remembers.
const LINKS: usize = 4;
/// Most conditional jumps of a block. Translated code skips within a block, so there it pays that blocks are long.
pub(crate) const MAX_BRANCHES: usize = 7;

pub(crate) struct Cache {
    ring: Vec<Insn>,
    /// Where the next instructions go: a place in the ring is this modulo its length.
    head: u64,
    blocks: Vec<Block>,
    free_blocks: Vec<u32>,
    /// The blocks' successors, as far as any were remembered: code that is translated does without.
    links: Vec<[Link; LINKS]>,
    /// Pages that lost blocks, while they do.
    touched: Vec<u32>,
    buckets: Box<[u32]>,
    jumps: Box<[Jump]>,
    serial: u32,
    pub(crate) built: u64,
    pub(crate) dropped: u64,
    pub(crate) flushes: u64,
    /// Translations whose blocks were dropped since the run loop looked, and where these began in the arena; or all were.
    pub(crate) dropped_code: Vec<(u32, u32)>,
    pub(crate) all_dropped: bool,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            // Room that the host gives as it is used, and that never moves.
            ring: Vec::with_capacity(RING),
            head: 0,
            blocks: Vec::with_capacity(MAX_BLOCKS),
            free_blocks: Vec::new(),
            links: Vec::new(),
            touched: Vec::new(),
            buckets: vec![NONE; BUCKETS].into(),
            jumps: vec![Jump { link: NO_LINK, key: 0 }; JUMPS].into(),
            serial: 0,
            built: 0,
            dropped: 0,
            flushes: 0,
            dropped_code: Vec::new(),
            all_dropped: false,
        }
    }

    #[inline(always)]
    pub(crate) fn block(&self, id: u32) -> &Block {
        &self.blocks[id as usize]
    }

    #[inline(always)]
    pub(crate) fn block_mut(&mut self, id: u32) -> &mut Block {
        &mut self.blocks[id as usize]
    }

    /// No block has a translation any more.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "there is no translator"))]
    pub(crate) fn forget_code(&mut self) {
        for b in &mut self.blocks {
            b.code = 0;
        }
    }

    /// Are the instructions of block `id` in the ring?
    #[inline(always)]
    pub(crate) fn is_decoded(&self, id: u32) -> bool {
        self.head - self.blocks[id as usize].first <= RING as u64
    }

    /// The instructions of a block that [`Self::is_decoded`].
    #[inline(always)]
    pub(crate) fn insns(&self, id: u32) -> &[Insn] {
        let b = &self.blocks[id as usize];
        &self.ring[b.first as usize % RING..][..usize::from(b.n)]
    }

    /// Decodes block `id` again, from bytes that have not changed since it was built.
    #[cold]
    pub(crate) fn decode_again(&mut self, arena: &Arena, id: u32) {
        let b = &self.blocks[id as usize];
        let mut bytes = [0; MAX_INSNS * MAX_LEN];
        let mut len = 0;
        for (piece, n) in pieces(b) {
            arena.copy_out(piece, &mut bytes[len..][..n as usize]);
            len += n as usize;
        }
        let mut insns = [blank(); MAX_INSNS];
        let insns = &mut insns[..usize::from(b.n)];
        let mut end = 0;
        for insn in &mut *insns {
            let Ok(d) = decode(&bytes[end..len], b.key & key::BIG != 0) else { break };
            *insn = d.insn;
            end += usize::from(d.insn.len);
            insn.end = end as u16;
        }
        self.blocks[id as usize].first = self.keep(insns);
    }

    /// Puts instructions into the ring. Returns where.
    fn keep(&mut self, insns: &[Insn]) -> u64 {
        let room = RING - self.head as usize % RING;
        if room < insns.len() {
            // They lie in one piece.
            self.ring.resize(RING, blank());
            self.head += room as u64;
        }
        let (first, at) = (self.head, self.head as usize % RING);
        self.head += insns.len() as u64;
        if self.ring.len() < at + insns.len() {
            self.ring.extend_from_slice(insns);
        } else {
            self.ring[at..][..insns.len()].copy_from_slice(insns);
        }
        first
    }

    #[inline(always)]
    fn live(&self, l: Link) -> Option<u32> {
        (self.blocks.get(l.id as usize)?.serial == l.serial).then_some(l.id)
    }

    /// The successor that block `id` remembers.
    #[inline(always)]
    pub(crate) fn follow(&self, id: u32, key: u64) -> Option<u32> {
        for l in self.links.get(id as usize)? {
            if l.key == key {
                return self.live(*l);
            }
        }
        None
    }

    /// Notes a successor of block `from` in the place of one that is gone. If all stand, the oldest makes room, but not
    /// for a target that `jump` knows anyway (`known`): returns have more targets than there are links.
    pub(crate) fn remember(&mut self, from: u32, key: u64, to: u32, known: bool) {
        let serial = self.blocks[to as usize].serial;
        if self.links.len() <= from as usize {
            self.links.resize(from as usize + 1, [NO_LINK; LINKS]);
        }
        let links = self.links[from as usize];
        let gone = |l: &Link| l.key >> 32 != key >> 32 || self.live(*l).is_none();
        let free = links.iter().position(gone);
        if known && free.is_none() {
            return;
        }
        let links = &mut self.links[from as usize];
        let at = free.unwrap_or(LINKS - 1);
        links.copy_within(..at, 1);
        links[0] = Link { key, id: to, serial };
    }

    #[inline(always)]
    fn jump_index(key: u64) -> usize {
        let lin = key as u32;
        (lin ^ lin >> 12) as usize & (JUMPS - 1)
    }

    /// The target of a transfer, from anywhere.
    #[inline(always)]
    pub(crate) fn jump(&self, link: u64, key: u8) -> Option<u32> {
        let j = &self.jumps[Self::jump_index(link)];
        if j.link.key == link && j.key == key { self.live(j.link) } else { None }
    }

    pub(crate) fn remember_jump(&mut self, link: u64, key: u8, to: u32) {
        let serial = self.blocks[to as usize].serial;
        self.jumps[Self::jump_index(link)] = Jump { link: Link { key: link, id: to, serial }, key };
    }

    /// What lies together in memory does so here.
    fn bucket(arena: u32, key: u8) -> usize {
        let page = (arena >> 12 ^ u32::from(key) << 29).wrapping_mul(0x9e37_79b1) >> (32 - BUCKETS.ilog2());
        (page + (arena & (PAGE - 1)) / 8) as usize % BUCKETS
    }

    pub(crate) fn find(&self, code: &CodeMap, arena: u32, key: u8) -> Option<u32> {
        if !code.has(arena) {
            // New code: nothing that is cold is looked at.
            return None;
        }
        let mut id = self.buckets[Self::bucket(arena, key)];
        while id != NONE {
            let b = &self.blocks[id as usize];
            if b.arena == arena && b.key == key {
                return Some(id);
            }
            id = b.next;
        }
        None
    }

    /// Enters a block. Calls `first` with each arena page that had no code before.
    pub(crate) fn insert(
        &mut self,
        code: &mut CodeMap,
        arena: &Arena,
        new: &NewBlock<'_>,
        mut first: impl FnMut(u32),
    ) -> u32 {
        if self.blocks.len() == MAX_BLOCKS && self.free_blocks.is_empty() {
            self.make_room(code, arena);
        }
        let first_insn = self.keep(new.insns);
        self.serial = (self.serial + 1) % u32::MAX;
        self.serial = self.serial.max(1);
        self.built += 1;
        let bucket = Self::bucket(new.arena, new.key);
        let b = Block {
            first: first_insn,
            n: new.insns.len() as u16,
            len: new.len as u16,
            arena: new.arena,
            place: NONE,
            second: new.second.unwrap_or(NONE),
            serial: self.serial,
            next: self.buckets[bucket],
            key: new.key,
            leaves: new.leaves,
            heat: 0,
            careful: false,
            code: 0,
        };
        let id = match self.free_blocks.pop() {
            Some(id) => {
                self.blocks[id as usize] = b;
                if let Some(l) = self.links.get_mut(id as usize) {
                    *l = [NO_LINK; LINKS];
                }
                id
            }
            None => {
                self.blocks.push(b);
                self.blocks.len() as u32 - 1
            }
        };
        self.buckets[bucket] = id;
        for (piece, len) in pieces(&self.blocks[id as usize]) {
            if code.add(id, piece, len) {
                arena.set_code(piece >> 12, true);
                first(piece >> 12);
            }
        }
        self.blocks[id as usize].place = code.index[(new.arena >> 12) as usize];
        id
    }

    fn unhash(&mut self, id: u32) {
        let b = &self.blocks[id as usize];
        let (bucket, next) = (Self::bucket(b.arena, b.key), b.next);
        let mut at = self.buckets[bucket];
        if at == id {
            self.buckets[bucket] = next;
            return;
        }
        while at != NONE {
            let following = self.blocks[at as usize].next;
            if following == id {
                self.blocks[at as usize].next = next;
                return;
            }
            at = following;
        }
    }

    /// Takes block `id` out of all but its pages, which are noted. Their bytes stay marked.
    fn discard(&mut self, id: u32) {
        self.unhash(id);
        let b = &mut self.blocks[id as usize];
        b.serial = 0;
        if b.code != 0 {
            self.dropped_code.push((std::mem::take(&mut b.code), b.arena));
        }
        self.free_blocks.push(id);
        self.dropped += 1;
        for (piece, _) in pieces(&self.blocks[id as usize]) {
            if self.touched.last() != Some(&(piece >> 12)) {
                self.touched.push(piece >> 12);
            }
        }
    }

    /// Forgets discarded blocks in the pages that had them.
    fn tidy(&mut self, code: &mut CodeMap, arena: &Arena) {
        let blocks = &self.blocks;
        for page in self.touched.drain(..) {
            let at = code.index[page as usize];
            let Some(p) = code.pages.get_mut(at as usize) else { continue };
            p.blocks.retain(|&id| blocks[id as usize].serial != 0);
            if p.blocks.is_empty() {
                code.index[page as usize] = NONE;
                code.free.push(at);
                arena.set_code(page, false);
            }
        }
    }

    pub(crate) fn drop_block(&mut self, code: &mut CodeMap, arena: &Arena, id: u32) {
        self.discard(id);
        self.tidy(code, arena);
    }

    /// Drops the blocks that stores since the last call hit.
    #[cold]
    pub(crate) fn drop_written(&mut self, code: &mut CodeMap, arena: &Arena) {
        let mut written = std::mem::take(&mut code.written);
        for (at, len) in written.drain(..) {
            let page = at >> 12;
            let all = self.is_filled(code, page);
            let mut found = false;
            for &id in code.blocks(page) {
                if all || pieces(&self.blocks[id as usize]).any(|(p, n)| p < at + len && at < p + n) {
                    found = true;
                    self.discard(id);
                }
            }
            if found {
                self.tidy(code, arena);
            } else {
                // What marked these bytes was dropped before.
                self.remark(code, page);
            }
        }
        code.written = written;
    }

    /// The page gets other code: it is better dropped as a whole, and plain memory again, than block by block.
    fn is_filled(&self, code: &CodeMap, page: u32) -> bool {
        let Some(p) = code.pages.get(code.index[page as usize] as usize) else { return false };
        if p.in_a_row >= HITS_OF_A_FILL {
            return true;
        }
        let Some(more) = p.hits.checked_sub(HITS_OF_A_FILL) else { return false };
        let translated = p.blocks.iter().filter(|&&id| self.blocks[id as usize].code != 0);
        more >= translated.count() as u32 * HITS_PER_TRANSLATION
    }

    /// Marks what the blocks of a page came from, and nothing else.
    fn remark(&self, code: &mut CodeMap, page: u32) {
        let Some(p) = code.pages.get_mut(code.index[page as usize] as usize) else { return };
        p.bytes = [0; 64];
        for i in 0..p.blocks.len() {
            for (piece, len) in pieces(&self.blocks[p.blocks[i] as usize]) {
                if piece >> 12 == page {
                    p.mark(piece & (PAGE - 1), (piece & (PAGE - 1)) + (len - 1));
                }
            }
        }
    }

    /// The table of blocks is full: those that were never worth a translation go, or all.
    #[cold]
    fn make_room(&mut self, code: &mut CodeMap, arena: &Arena) {
        let cold = self.blocks.iter().filter(|b| b.code == 0).count();
        if cold < MAX_BLOCKS / 8 {
            self.flush(code, arena);
            return;
        }
        self.flushes += 1;
        for id in 0..MAX_BLOCKS as u32 {
            if self.blocks[id as usize].code == 0 {
                self.discard(id);
            }
        }
        self.tidy(code, arena);
    }

    /// Drops everything.
    pub(crate) fn flush(&mut self, code: &mut CodeMap, arena: &Arena) {
        self.flushes += 1;
        self.all_dropped = true;
        for p in &code.pages {
            if !p.blocks.is_empty() {
                code.index[p.page as usize] = NONE;
                arena.set_code(p.page, false);
            }
        }
        code.pages.clear();
        code.free.clear();
        code.written.clear();
        // Serial numbers go on, so that links from before find nothing.
        self.blocks.clear();
        self.free_blocks.clear();
        self.links.clear();
        self.buckets.fill(NONE);
    }
}

/// The bytes of a block, page by page: arena offset and length.
fn pieces(b: &Block) -> impl Iterator<Item = (u32, u32)> + use<> {
    let len = u32::from(b.len);
    let room = PAGE - (b.arena & (PAGE - 1));
    let second = (b.second != NONE).then(|| (b.second, len.saturating_sub(room)));
    std::iter::once((b.arena, len.min(room))).chain(second)
}
