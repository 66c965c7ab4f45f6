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
//! address and the epoch of the address translation that it was made for, and where the target begins in memory: if a
//! block with the target's number is there, it is the target, or what was decoded there since.

use std::collections::HashMap;

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

/// 64 words, most of which are 0.
#[derive(Default)]
pub(crate) struct Bits {
    /// Those that are not.
    some: u64,
    words: Vec<u64>,
}

impl Bits {
    /// Where word `n` is, or would be.
    fn place(&self, n: usize) -> usize {
        (self.some & !(u64::MAX << n)).count_ones() as usize
    }

    #[inline(always)]
    pub(crate) fn get(&self, n: usize) -> u64 {
        if self.some & 1 << n == 0 { 0 } else { self.words[self.place(n)] }
    }

    pub(crate) fn set(&mut self, n: usize, mask: u64) {
        let at = self.place(n);
        if self.some & 1 << n == 0 {
            if self.words.len() == self.words.capacity() {
                // There are thousands of pages: no room for twice as many.
                self.words.reserve_exact(4);
            }
            self.words.insert(at, 0);
            self.some |= 1 << n;
        }
        self.words[at] |= mask;
    }
}

/// Blocks of a page are found by which part of it they begin in; a power of two.
const PARTS: usize = 16;

/// Decoded code of one arena page.
struct CodePage {
    page: u32,
    /// The supervisor's, and the user's.
    bases: [Base; 2],
    /// One bit for each byte that a block came from, perhaps one that was dropped.
    bytes: Bits,
    /// The first block of each part, or [`NONE`]; the others follow by [`Block::next`].
    parts: [u32; PARTS],
    /// Blocks whose last instruction ends here and begins in another page.
    crossing: Vec<u32>,
    /// All these.
    blocks: u32,
    /// The end of the last store, and how many hit since one did not begin there.
    end: u32,
    in_a_row: u32,
    /// How many hit since a block was decoded.
    hits: u32,
}

impl CodePage {
    fn new(page: u32) -> Self {
        Self {
            page,
            bases: [Base { lin: NONE, since: 0 }; 2],
            bytes: Bits::default(),
            parts: [NONE; PARTS],
            crossing: Vec::new(),
            blocks: 0,
            end: NONE,
            in_a_row: 0,
            hits: 0,
        }
    }

    /// Where [`Self::parts`] has the blocks that begin like one at `arena`.
    fn part(arena: u32) -> usize {
        (arena & (PAGE - 1)) as usize * PARTS / PAGE as usize
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
        Self::words(first, last).any(|(w, mask)| self.bytes.get(w) & mask != 0)
    }

    fn mark(&mut self, first: u32, last: u32) {
        for (w, mask) in Self::words(first, last) {
            self.bytes.set(w, mask);
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

    #[inline(always)]
    fn page(&self, page: u32) -> Option<&CodePage> {
        self.pages.get(self.index[page as usize] as usize)
    }

    fn page_mut(&mut self, page: u32) -> Option<&mut CodePage> {
        self.pages.get_mut(self.index[page as usize] as usize)
    }

    /// A store to `len` bytes (in one page) of a page with decoded code. True if it hit any.
    pub(crate) fn wrote(&mut self, arena: u32, len: u32) -> bool {
        let Some(p) = self.page_mut(arena >> 12) else { return false };
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
        let Some(p) = self.page_mut(arena >> 12) else { return true };
        let first = arena & (PAGE - 1);
        let hit = p.hit(first, first + (len - 1));
        if !hit && p.end == first {
            p.end = first + len;
        }
        !hit
    }

    /// Of the `len` bytes at `arena` (in one page), those in front of the first that a block came from.
    pub(crate) fn clear_before(&self, arena: u32, len: u32) -> u32 {
        let Some(p) = self.page(arena >> 12) else { return len };
        let first = arena & (PAGE - 1);
        let hit = CodePage::words(first, first + (len - 1)).find_map(|(w, mask)| {
            let hit = p.bytes.get(w) & mask;
            (hit != 0).then(|| w as u32 * 64 + hit.trailing_zeros())
        });
        hit.map_or(len, |at| at - first)
    }

    /// A block may have come from this byte.
    fn has(&self, arena: u32) -> bool {
        let bit = (arena & (PAGE - 1)) as usize;
        self.page(arena >> 12).is_some_and(|p| p.bytes.get(bit >> 6) & 1 << (bit & 63) != 0)
    }

    pub(crate) fn anything_written(&self) -> bool {
        !self.written.is_empty()
    }

    /// Notes a block's piece of `len` bytes in a page. Returns the page, and whether it is new.
    fn add(&mut self, arena: u32, len: u32) -> (&mut CodePage, bool) {
        let page = arena >> 12;
        let mut at = self.index[page as usize];
        let new = at == NONE;
        if new {
            at = self.free.pop().unwrap_or(self.pages.len() as u32);
            if at as usize == self.pages.len() {
                self.pages.push(CodePage::new(page));
            } else {
                self.pages[at as usize] = CodePage::new(page);
            }
            self.index[page as usize] = at;
        }
        let p = &mut self.pages[at as usize];
        p.hits = 0;
        p.blocks += 1;
        p.mark(arena & (PAGE - 1), (arena & (PAGE - 1)) + (len - 1));
        (p, new)
    }

    /// A block of a page is gone. Without any, it is plain memory.
    fn remove(&mut self, arena: &Arena, page: u32) {
        let at = self.index[page as usize];
        let Some(p) = self.pages.get_mut(at as usize) else { return };
        p.blocks -= 1;
        if p.blocks == 0 {
            self.index[page as usize] = NONE;
            self.free.push(at);
            arena.set_code(page, false);
        }
    }

    /// All translations of an arena page, for one privilege, are for one place in linear space, if there are any.
    #[inline]
    pub(crate) fn base(&self, page: u32, user: bool) -> Option<Base> {
        Some(self.page(page)?.bases[usize::from(user)]).filter(|b| b.lin != NONE)
    }

    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "there is no translator"))]
    pub(crate) fn set_base(&mut self, page: u32, user: bool, base: Base) {
        if let Some(p) = self.page_mut(page) {
            p.bases[usize::from(user)] = base;
        }
    }

    /// The EIP that the translation of block `b` is for.
    #[inline(always)]
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "there is no translator"))]
    pub(crate) fn eip(&self, b: &Block) -> u32 {
        let p = &self.pages[self.index[(b.arena >> 12) as usize] as usize];
        p.bases[usize::from(b.is_users())].lin | b.arena & (PAGE - 1)
    }
}

/// A successor of a block.
#[derive(Clone, Copy)]
struct Link {
    /// Epoch of the address translation, then the linear address.
    key: u64,
    /// The block's number, and above that its key.
    to: u32,
    /// Where it begins in the arena.
    arena: u32,
}

/// Bits of a block's number.
const ID_BITS: u32 = 24;
const NO_LINK: Link = Link { key: 0, to: u32::MAX, arena: NONE };

/// What a block remembers.
#[derive(Clone, Copy)]
struct Successors {
    of: u32,
    links: [Link; LINKS],
}

const NO_SUCCESSORS: Successors = Successors { of: NONE, links: [NO_LINK; LINKS] };

impl Link {
    fn new(key: u64, id: u32, b: &Block) -> Self {
        Self { key, to: id | u32::from(b.key) << ID_BITS, arena: b.arena }
    }
}

/// Where a transfer to linear address `lin` goes, as long as the translation's epoch is `epoch`.
#[inline(always)]
pub(crate) fn link_key(epoch: u32, lin: u32) -> u64 {
    u64::from(epoch) << 32 | u64::from(lin)
}

pub(crate) struct Block {
    /// Where it begins in the arena; [`NONE`]: it was dropped.
    arena: u32,
    /// The next that begins in this part of the page; of those that were dropped, the next.
    next: u32,
    /// The translation's number, or 0. [`CodeMap::eip`] says what it is for.
    pub(crate) code: u32,
    /// Bytes.
    pub(crate) len: u16,
    /// Place of the first instruction in the ring, if that says so.
    first: u16,
    /// Instructions.
    pub(crate) n: u8,
    key: u8,
    /// Executions, as far as the translator wants to know.
    pub(crate) heat: u8,
    marks: u8,
}

const _: () = assert!(size_of::<Block>() == 20);

impl Block {
    /// The last instruction is such that the run loop must look at everything: no links.
    const LEAVES: u8 = 1 << 0;
    /// The only instruction ends in another page.
    const CROSSES: u8 = 1 << 1;
    /// Much of what it accesses can't be in a view.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "there is no translator"))]
    const CAREFUL: u8 = 1 << 2;

    pub(crate) fn leaves(&self) -> bool {
        self.marks & Self::LEAVES != 0
    }

    pub(crate) fn crosses(&self) -> bool {
        self.marks & Self::CROSSES != 0
    }

    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "there is no translator"))]
    pub(crate) fn is_careful(&self) -> bool {
        self.marks & Self::CAREFUL != 0
    }

    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "there is no translator"))]
    pub(crate) fn be_careful(&mut self) {
        self.marks |= Self::CAREFUL;
    }

    /// Where it begins in the arena.
    pub(crate) fn arena(&self) -> u32 {
        self.arena
    }

    pub(crate) fn is_users(&self) -> bool {
        self.key & key::USER != 0
    }

    fn is_live(&self) -> bool {
        self.arena != NONE
    }
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
pub(crate) const RING: usize = 32 * 1024;
/// Blocks of all sizes: as many as there may be, and as there is room for at first.
const MAX_BLOCKS: usize = 128 * 1024;
pub(crate) const FEW_BLOCKS: usize = 64 * 1024;
/// For transfers with many targets.
const JUMPS: usize = 16384;
/// Most instructions of a block; a power of two.
pub(crate) const MAX_INSNS: usize = 64;

/// Successors that a block remembers.
const LINKS: usize = 4;
/// Blocks whose successors are remembered at a time; a power of two.
const SUCCESSORS: usize = 8192;
/// Most conditional jumps of a block. Translated code skips within a block, so there it pays that blocks are long.
pub(crate) const MAX_BRANCHES: usize = 7;

pub(crate) struct Cache {
    ring: Vec<Insn>,
    /// The block whose first instruction is at a place in the ring, or [`NONE`].
    owners: Box<[u32]>,
    /// Where the next instructions go.
    head: usize,
    blocks: Vec<Block>,
    /// The first of those that were dropped, or [`NONE`].
    dropped_blocks: u32,
    /// Those without a translation may go when there are so many.
    room: usize,
    /// The second pages of blocks that have one.
    seconds: HashMap<u32, u32>,
    /// By the low bits of the blocks' numbers: code that is translated does without, so few suffice.
    links: Box<[Successors]>,
    /// Blocks that are to be dropped, while they are.
    hit: Vec<u32>,
    jumps: Box<[Link]>,
    pub(crate) built: u64,
    pub(crate) dropped: u64,
    pub(crate) flushes: u64,
    /// Translations whose blocks were dropped since the run loop looked, and where these began in the arena; or all were.
    pub(crate) dropped_code: Vec<(u32, u32)>,
    pub(crate) all_dropped: bool,
}

impl Cache {
    /// `decoded`: see [`crate::Software::decoded`].
    pub(crate) fn new(decoded: usize) -> Self {
        let ring = decoded.clamp(MAX_INSNS, RING);
        Self {
            // Room that the host gives as it is used, and that never moves.
            ring: Vec::with_capacity(ring),
            owners: vec![NONE; ring].into(),
            head: 0,
            blocks: Vec::with_capacity(MAX_BLOCKS),
            dropped_blocks: NONE,
            room: FEW_BLOCKS,
            seconds: HashMap::new(),
            links: vec![NO_SUCCESSORS; SUCCESSORS].into(),
            hit: Vec::new(),
            jumps: vec![NO_LINK; JUMPS].into(),
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

    /// The second page of a block whose only instruction ends there.
    pub(crate) fn second(&self, id: u32) -> Option<u32> {
        if self.blocks[id as usize].crosses() { self.seconds.get(&id).copied() } else { None }
    }

    /// Are the instructions of block `id` in the ring? It is filled from front to back, so the first goes first.
    #[inline(always)]
    pub(crate) fn is_decoded(&self, id: u32) -> bool {
        self.owners[usize::from(self.blocks[id as usize].first)] == id
    }

    /// The instructions of a block that [`Self::is_decoded`].
    #[inline(always)]
    pub(crate) fn insns(&self, id: u32) -> &[Insn] {
        debug_assert!(self.is_decoded(id), "another block's instructions");
        let b = &self.blocks[id as usize];
        &self.ring[usize::from(b.first)..][..usize::from(b.n)]
    }

    /// Decodes block `id` again, from bytes that have not changed since it was built.
    #[cold]
    pub(crate) fn decode_again(&mut self, arena: &Arena, id: u32) {
        let b = &self.blocks[id as usize];
        let mut bytes = [0; MAX_INSNS * MAX_LEN];
        let mut len = 0;
        for (piece, n) in self.pieces(id) {
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
        self.keep(id, insns);
    }

    /// Puts the instructions of block `id` into the ring.
    fn keep(&mut self, id: u32, insns: &[Insn]) {
        let ring = self.owners.len();
        if ring - self.head < insns.len() {
            // They lie in one piece.
            self.ring.resize(ring, blank());
            self.head = 0;
        }
        let at = self.head;
        self.head += insns.len();
        if self.ring.len() < self.head {
            self.ring.extend_from_slice(insns);
        } else {
            self.ring[at..self.head].copy_from_slice(insns);
        }
        self.owners[at..self.head].fill(NONE);
        self.owners[at] = id;
        self.blocks[id as usize].first = at as u16;
    }

    #[inline(always)]
    fn live(&self, l: Link) -> Option<u32> {
        let id = l.to & ((1 << ID_BITS) - 1);
        let b = self.blocks.get(id as usize)?;
        (b.arena == l.arena && u32::from(b.key) == l.to >> ID_BITS).then_some(id)
    }

    /// The successor that block `id` remembers.
    #[inline(always)]
    pub(crate) fn follow(&self, id: u32, key: u64) -> Option<u32> {
        let known = &self.links[id as usize & (SUCCESSORS - 1)];
        if known.of != id {
            return None;
        }
        for l in &known.links {
            if l.key == key {
                return self.live(*l);
            }
        }
        None
    }

    /// Notes a successor of block `from` in the place of one that is gone. If all stand, the oldest makes room, but not
    /// for a target that `jump` knows anyway (`known`): returns have more targets than there are links.
    pub(crate) fn remember(&mut self, from: u32, key: u64, to: u32, known: bool) {
        let to = Link::new(key, to, &self.blocks[to as usize]);
        let place = from as usize & (SUCCESSORS - 1);
        if self.links[place].of != from {
            self.links[place] = Successors { of: from, ..NO_SUCCESSORS };
        }
        let links = self.links[place].links;
        let gone = |l: &Link| l.key >> 32 != key >> 32 || self.live(*l).is_none();
        let free = links.iter().position(gone);
        if known && free.is_none() {
            return;
        }
        let links = &mut self.links[place].links;
        let at = free.unwrap_or(LINKS - 1);
        links.copy_within(..at, 1);
        links[0] = to;
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
        if j.key == link && j.to >> ID_BITS == u32::from(key) { self.live(*j) } else { None }
    }

    pub(crate) fn remember_jump(&mut self, link: u64, to: u32) {
        self.jumps[Self::jump_index(link)] = Link::new(link, to, &self.blocks[to as usize]);
    }

    pub(crate) fn find(&self, code: &CodeMap, arena: u32, key: u8) -> Option<u32> {
        if !code.has(arena) {
            // New code: nothing that is cold is looked at.
            return None;
        }
        let mut id = code.page(arena >> 12)?.parts[CodePage::part(arena)];
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
        if self.blocks.len() >= self.room && self.dropped_blocks == NONE {
            self.make_room(code, arena);
        }
        self.built += 1;
        let mut marks = if new.leaves { Block::LEAVES } else { 0 };
        if new.second.is_some() {
            marks |= Block::CROSSES;
        }
        let b = Block {
            arena: new.arena,
            next: NONE,
            code: 0,
            len: new.len as u16,
            first: 0,
            n: new.insns.len() as u8,
            key: new.key,
            heat: 0,
            marks,
        };
        let id = self.dropped_blocks;
        let id = match self.blocks.get_mut(id as usize) {
            Some(old) => {
                self.dropped_blocks = old.next;
                *old = b;
                let known = &mut self.links[id as usize & (SUCCESSORS - 1)];
                if known.of == id {
                    *known = NO_SUCCESSORS;
                }
                id
            }
            None => {
                self.blocks.push(b);
                self.blocks.len() as u32 - 1
            }
        };
        self.keep(id, new.insns);
        if let Some(second) = new.second {
            self.seconds.insert(id, second);
        }
        for (n, (piece, len)) in self.pieces(id).enumerate() {
            let (p, is_first) = code.add(piece, len);
            if n == 0 {
                let part = &mut p.parts[CodePage::part(piece)];
                self.blocks[id as usize].next = std::mem::replace(part, id);
            } else {
                p.crossing.push(id);
            }
            if is_first {
                arena.set_code(piece >> 12, true);
                first(piece >> 12);
            }
        }
        id
    }

    /// The bytes of a block, page by page: arena offset and length.
    fn pieces(&self, id: u32) -> impl Iterator<Item = (u32, u32)> + use<> {
        let b = &self.blocks[id as usize];
        let len = u32::from(b.len);
        let room = PAGE - (b.arena & (PAGE - 1));
        let second = self.second(id).map(|second| (second, len.saturating_sub(room)));
        std::iter::once((b.arena, len.min(room))).chain(second)
    }

    /// The blocks of a page.
    fn of_page(&self, code: &CodeMap, page: u32) -> impl Iterator<Item = u32> {
        let some = |id| (id != NONE).then_some(id);
        code.page(page).into_iter().flat_map(move |p| {
            let part = move |first: &u32| {
                std::iter::successors(some(*first), move |id| some(self.blocks[*id as usize].next))
            };
            p.parts.iter().flat_map(part).chain(p.crossing.iter().copied())
        })
    }

    /// Takes block `id` out of its pages. Their bytes stay marked.
    pub(crate) fn drop_block(&mut self, code: &mut CodeMap, arena: &Arena, id: u32) {
        for (n, (piece, _)) in self.pieces(id).enumerate() {
            let Some(p) = code.page_mut(piece >> 12) else { continue };
            if n == 0 {
                self.unchain(&mut p.parts[CodePage::part(piece)], id);
            } else {
                p.crossing.retain(|&x| x != id);
            }
            code.remove(arena, piece >> 12);
        }
        let b = &mut self.blocks[id as usize];
        if b.code != 0 {
            self.dropped_code.push((b.code, b.arena));
        }
        if b.crosses() {
            self.seconds.remove(&id);
        }
        (b.arena, b.code) = (NONE, 0);
        b.next = std::mem::replace(&mut self.dropped_blocks, id);
        self.dropped += 1;
    }

    /// Takes block `id` out of the list that begins with `first`.
    fn unchain(&mut self, first: &mut u32, id: u32) {
        let next = self.blocks[id as usize].next;
        let mut at = first;
        while *at != id {
            if *at == NONE {
                return;
            }
            let n = *at as usize;
            at = &mut self.blocks[n].next;
        }
        *at = next;
    }

    /// Drops the blocks that stores since the last call hit.
    #[cold]
    pub(crate) fn drop_written(&mut self, code: &mut CodeMap, arena: &Arena) {
        let mut written = std::mem::take(&mut code.written);
        let mut hit = std::mem::take(&mut self.hit);
        for (at, len) in written.drain(..) {
            let page = at >> 12;
            let all = self.is_filled(code, page);
            let is_hit = |id: &u32| all || self.pieces(*id).any(|(p, n)| p < at + len && at < p + n);
            hit.extend(self.of_page(code, page).filter(is_hit));
            if hit.is_empty() {
                // What marked these bytes was dropped before.
                self.remark(code, page);
            }
            for id in hit.drain(..) {
                // Both pages of one that crosses may be the same.
                if self.blocks[id as usize].is_live() {
                    self.drop_block(code, arena, id);
                }
            }
        }
        code.written = written;
        self.hit = hit;
    }

    /// The page gets other code: it is better dropped as a whole, and plain memory again, than block by block.
    fn is_filled(&self, code: &CodeMap, page: u32) -> bool {
        let Some(p) = code.page(page) else { return false };
        if p.in_a_row >= HITS_OF_A_FILL {
            return true;
        }
        let Some(more) = p.hits.checked_sub(HITS_OF_A_FILL) else { return false };
        let translated = self.of_page(code, page).filter(|&id| self.blocks[id as usize].code != 0);
        more >= translated.count() as u32 * HITS_PER_TRANSLATION
    }

    /// Marks what the blocks of a page came from, and nothing else.
    fn remark(&self, code: &mut CodeMap, page: u32) {
        let mut fresh = CodePage::new(page);
        for (piece, len) in self.of_page(code, page).flat_map(|id| self.pieces(id)) {
            if piece >> 12 == page {
                fresh.mark(piece & (PAGE - 1), (piece & (PAGE - 1)) + (len - 1));
            }
        }
        if let Some(p) = code.page_mut(page) {
            p.bytes = fresh.bytes;
        }
    }

    /// The table of blocks is full: those go that were never worth a translation and were not decoded lately. If these are
    /// few, it becomes larger; if it can't, all go.
    #[cold]
    fn make_room(&mut self, code: &mut CodeMap, arena: &Arena) {
        let cold = |c: &Self, id| c.blocks[id as usize].code == 0 && !c.is_decoded(id);
        let ids = 0..self.blocks.len() as u32;
        let few = self.room / 8;
        if ids.clone().filter(|&id| cold(self, id)).count() < few {
            if self.room == MAX_BLOCKS {
                self.flush(code, arena);
            } else {
                self.room = (self.room + few).min(MAX_BLOCKS);
            }
            return;
        }
        self.flushes += 1;
        for id in ids {
            if cold(self, id) {
                self.drop_block(code, arena, id);
            }
        }
    }

    /// Drops everything.
    pub(crate) fn flush(&mut self, code: &mut CodeMap, arena: &Arena) {
        self.flushes += 1;
        self.all_dropped = true;
        for p in &code.pages {
            if p.blocks != 0 {
                code.index[p.page as usize] = NONE;
                arena.set_code(p.page, false);
            }
        }
        code.pages.clear();
        code.free.clear();
        code.written.clear();
        self.blocks.clear();
        self.dropped_blocks = NONE;
        self.room = FEW_BLOCKS;
        self.seconds.clear();
        self.links.fill(NO_SUCCESSORS);
        self.owners.fill(NONE);
        self.jumps.fill(NO_LINK);
    }
}
