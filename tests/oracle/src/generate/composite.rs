//! Groups of instructions that only make sense together.

use super::builder::{Build, Fix};
use super::forms::Family;
use super::operands::{Bytes, SEG_PREFIX};
use crate::layout::{ALIAS, CODE, CS32, DATA, DATA_RW, STACK};
use crate::snapshot::{AC, ARITH, DF, ID, NT, TF};

impl Build<'_> {
    fn put(&mut self, bytes: &[u8]) -> bool {
        self.push(&Bytes::of(bytes), None)
    }

    /// Instruction bytes that end in a 32-bit field with the address of, or distance to, an item.
    fn put_label(&mut self, bytes: &[u8], relative: bool, item: usize, plus: u32) -> bool {
        let mut b = Bytes::of(bytes);
        let at = b.len as u8;
        b.push32(0);
        self.push(&b, Some(Fix { at, size: 4, relative, item, plus }))
    }

    /// 32-bit operand size whatever the code segment's default.
    fn wide(&self, bytes: &[u8]) -> Bytes {
        let mut b = Bytes::default();
        if self.code16 {
            b.push(0x66);
        }
        bytes.iter().for_each(|&x| b.push(x));
        b
    }

    fn push_imm(&mut self, v: u32) {
        let mut b = self.wide(&[0x68]);
        b.push32(v);
        self.push(&b, None);
    }

    fn push_label(&mut self, item: usize) {
        let mut b = self.wide(&[0x68]);
        let at = b.len as u8;
        b.push32(0);
        self.push(&b, Some(Fix { at, size: 4, relative: false, item, plus: 0 }));
    }

    pub(super) fn composite(&mut self, family: Family) {
        let here = self.items.len();
        let kind = match family {
            Family::Stack => self.rng.below(3),
            Family::Control => 3 + self.rng.below(5),
            Family::Selector => self.rng.pick(&[8, 9, 13]),
            Family::X87Control => 10,
            Family::SseMove => 11,
            Family::Strings => self.rng.pick(&[12, 12, 13]),
            _ => self.rng.below(14),
        };
        match kind {
            // POPF with all that a program may change, and what it may not.
            0 | 1 => {
                let tf = if self.rng.per_mille(150) { TF } else { 0 };
                let changeable = ARITH | DF | ID | AC;
                let mut v = self.rng.u32() & (0x3f_7fd7 & !TF & !AC & !NT) | tf;
                if self.rng.per_mille(50) {
                    v |= AC;
                }
                if self.rng.per_mille(800) {
                    v &= changeable | TF;
                }
                self.push_imm(v);
                if self.rng.per_mille(800) {
                    let b = self.wide(&[0x9d]);
                    self.push(&b, None);
                } else {
                    self.put(&[0x66, 0x9d]);
                }
            }
            // ENTER and LEAVE.
            2 => {
                let level = self.rng.pick(&[0, 0, 1, 2, 3, 31]);
                let size = self.rng.below(64) as u8;
                self.put(&[0xc8, size, 0, level]);
                if self.rng.per_mille(600) {
                    self.put(&[0xc9]);
                }
            }
            // A call and its return.
            3 => {
                let pop = self.rng.below(3) as u8 * 4;
                if self.code16 {
                    return;
                }
                self.put_label(&[0xe8], true, here + 2, 0);
                self.undefined.branches = true;
                self.put(&[0x90]);
                if self.rng.per_mille(500) {
                    self.put(&[0xc3])
                } else {
                    self.put(&[0xc2, pop, 0])
                };
            }
            // A computed jump.
            4 => {
                self.push_label(here + 3);
                self.put(&[0x58]);
                self.put(&[0xff, 0xe0]);
                self.undefined.branches = true;
            }
            // RETF, IRET within the ring.
            5 | 6 => {
                let iret = self.rng.per_mille(500);
                if iret {
                    let tf = if self.rng.per_mille(200) { TF } else { 0 };
                    let v = self.rng.u32() & (ARITH | DF | ID) | tf | 0x202;
                    self.push_imm(v);
                }
                let sel = if self.rng.per_mille(850) || self.code16 {
                    u32::from(CS32)
                } else {
                    u32::from(self.selector())
                };
                self.push_imm(sel);
                // In an LDT code segment the label is an offset in it, so the flat selector lands elsewhere.
                let next = self.items.len() + 2;
                self.push_label(next);
                let b = self.wide(&[if iret { 0xcf } else { 0xcb }]);
                self.push(&b, None);
                self.undefined.branches = true;
            }
            // JMP far, CALL far with an immediate.
            7 => {
                if self.code16 {
                    return;
                }
                let op = if self.rng.per_mille(500) { 0xea } else { 0x9a };
                let mut b = Bytes::of(&[op]);
                b.push32(0);
                let sel = if self.rng.per_mille(800) { CS32 } else { self.selector() };
                b.push16(sel);
                self.push(&b, Some(Fix { at: 1, size: 4, relative: false, item: here + 1, plus: 0 }));
                self.undefined.branches = true;
            }
            // A segment register by POP.
            8 => {
                let sel = self.selector();
                self.push_imm(u32::from(sel));
                let which = self.rng.pick(&[0x07, 0x1f, 0xa1, 0xa9, 0x17]);
                let two = which >= 0xa0;
                let mut b = self.wide(&[]);
                if two {
                    b.push(0x0f);
                }
                b.push(which);
                self.push(&b, None);
                self.use_segment(match which {
                    0x07 => 0,
                    0x1f => 3,
                    0xa1 => 4,
                    0xa9 => 5,
                    _ => 2,
                });
            }
            // MOV to a segment register, LAR and the like of a chosen selector.
            9 => {
                let sel = self.selector();
                let mut b = Bytes::default();
                if !self.code16 {
                    b.push(0x66);
                }
                b.push(0xb8);
                b.push16(sel);
                self.push(&b, None);
                match self.rng.below(6) {
                    0 => self.put(&[0x0f, 0x02, 0xd0]),
                    1 => self.put(&[0x0f, 0x03, 0xd0]),
                    2 => self.put(&[0x0f, 0x00, 0xe0]),
                    3 => self.put(&[0x0f, 0x00, 0xe8]),
                    4 => self.put(&[0x63, 0xc1]),
                    _ => {
                        let seg = self.rng.pick(&[0usize, 3, 4, 5]);
                        self.put(&[0x8e, 0xc0 | (seg as u8) << 3]);
                        self.use_segment(seg);
                        true
                    }
                };
            }
            10 | 11 => self.saved_image(kind == 11),
            // A single step: over MOV SS, which holds the trap off, over one round of REP, over anything.
            13 => {
                if self.code16 {
                    return;
                }
                self.put(&[0x66, 0xb8, self.segs[2] as u8, (self.segs[2] >> 8) as u8]);
                let flags = 0x202 | TF | self.rng.u32() & (ARITH | DF);
                self.push_imm(flags);
                self.put(&[0x9d]);
                match self.rng.below(4) {
                    0 => self.put(&[0x8e, 0xd0]),
                    1 => self.put(&[0xf3, 0xa4]),
                    2 => self.put(&[0x9c]),
                    _ => true,
                };
                self.put(&[0x90]);
            }
            // REP with a small count.
            _ => {
                let mut b = self.wide(&[0xb9]);
                let n = self.rng.below(70);
                b.push32(n);
                self.push(&b, None);
                let op = self.rng.pick(&[0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]);
                let rep = self.rng.pick(&[0xf3, 0xf3, 0xf2]);
                self.put(&[rep, op]);
            }
        }
    }

    /// A load through a segment register that just changed.
    fn use_segment(&mut self, seg: usize) {
        if self.code16 || self.rng.per_mille(400) {
            return;
        }
        let mut b = Bytes::of(&[SEG_PREFIX[seg], 0xa0]);
        let at = if self.rng.per_mille(500) { DATA + self.rng.below(64) } else { self.rng.below(0x3010) };
        b.push32(at);
        self.push(&b, None);
    }

    /// FNSTENV, FNSAVE, FXSAVE; then zeroes over the pointers, which are the address of host code or a matter
    /// of the model (FOP, FDP: SDM vol. 1, 8.1.8 and 8.1.9).
    fn saved_image(&mut self, fx: bool) {
        if self.code16 || self.segments {
            return;
        }
        let here = self.items.len();
        let at = (DATA + self.rng.below(DATA_RW as u32 - 0x400)) & !15;
        self.scrubbing = true;
        let (head, fields): (&[u8], &[u32]) = match (fx, self.rng.below(5)) {
            (true, 0) => (&[0x0f, 0xae, 0x0d], &[]),
            (true, _) => (&[0x0f, 0xae, 0x05], &[4, 8, 12, 16, 20, 28]),
            (_, 0) => (&[0x66, 0xd9, 0x35], &[6, 8, 10, 12]),
            (_, 1) => (&[0xdd, 0x35], &[12, 16, 20, 24]),
            (_, 3) => (&[0x66, 0xdd, 0x35], &[6, 8, 10, 12]),
            (_, 2) => (&[0xdd, 0x25], &[]),
            _ => (&[0xd9, 0x35], &[12, 16, 20, 24]),
        };
        let mut b = Bytes::of(head);
        b.push32(at);
        let done = self.push(&b, None);
        if done {
            for &f in fields {
                // mov dword [at + f], 0. FXSAVE has the tag byte at 4 beside FOP: only FOP goes.
                let mut b =
                    if fx && f == 4 { Bytes::of(&[0x66, 0xc7, 0x05]) } else { Bytes::of(&[0xc7, 0x05]) };
                if fx && f == 4 {
                    b.push32(at + 6);
                    b.push16(0);
                } else if head[0] == 0x66 {
                    b = Bytes::of(&[0x66, 0xc7, 0x05]);
                    b.push32(at + f);
                    b.push16(0);
                } else {
                    b.push32(at + f);
                    b.push32(0);
                }
                self.push(&b, None);
            }
        }
        self.scrubbing = false;
        if done {
            self.items[here + 1..].iter_mut().for_each(|i| i.glued = true);
        }
    }

    /// Makes the whole sequence run a few times, so that code that was decoded once runs again. Only where every path
    /// comes by the end, and nothing inexact would be computed with.
    pub(super) fn around_again(&mut self) {
        if self.code16
            || self.segments
            || self.once
            || self.undefined.branches
            || self.x87_inexact
            || self.sse_inexact
        {
            return;
        }
        let counter = DATA + 4 * self.rng.below(16);
        let mut b = Bytes::of(&[0xc7, 0x05]);
        b.push32(counter);
        let times = 2 + self.rng.below(3);
        b.push32(times);
        self.push(&b, None);
        // The instructions so far become the body: they move behind the one that sets the counter.
        let Some(set) = self.items.pop() else { return };
        self.items.insert(0, set);
        for i in &mut self.items {
            i.shift_target(1);
        }
        let mut b = Bytes::of(&[0x83, 0x2d]);
        b.push32(counter);
        b.push(1);
        self.push(&b, None);
        let b = Bytes::of(&[0x0f, 0x8f, 0, 0, 0, 0]);
        self.push(&b, Some(Fix { at: 2, size: 4, relative: true, item: 1, plus: 0 }));
    }

    /// Four bytes of code that are legal whatever the one that gets changed becomes.
    fn slot(&mut self) -> [u8; 4] {
        const ONE: [u8; 24] = [
            0x90, 0x40, 0x41, 0x42, 0x43, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4d, 0x4e, 0x4f, 0xf8,
            0xf9, 0xf5, 0xfc, 0x98, 0x99, 0x9b, 0x91, 0x92,
        ];
        let v = self.rng.u8();
        match self.rng.below(4) {
            0 => [0x83, 0xc0, v, 0x90],
            1 => [0x80, 0xc2, v, 0x90],
            _ => std::array::from_fn(|_| self.rng.pick(&ONE)),
        }
    }

    fn put_slot(&mut self, bytes: [u8; 4]) {
        // Decode piece by piece, so that each becomes an item; the first one is the label.
        if bytes[0] & 0xfc == 0x80 {
            self.put(&bytes[..3]);
            self.put(&bytes[3..]);
        } else {
            for b in bytes {
                // Always four bytes: CMC is refused where CF is undefined.
                if !self.put(&[b]) {
                    self.put(&[0x90]);
                }
            }
        }
    }

    /// Code that changes code: ahead of itself at any small distance, behind itself in a loop, through the
    /// stack or by a string instruction.
    pub(super) fn rewrite(&mut self) {
        if self.code16 || self.segments {
            return;
        }
        self.modifies_code = true;
        self.known = [None; 8];
        let here = self.items.len();
        let (old, new) = (self.slot(), self.slot());
        let new = u32::from_le_bytes(new);
        let pad = self.rng.below(5) as usize;
        // Through the code's own address or the other one.
        let by = if self.rng.per_mille(400) { ALIAS - CODE } else { 0 };
        match self.rng.below(6) {
            // mov [slot], new; padding; slot
            0 | 1 => {
                let mut b = Bytes::of(&[0xc7, 0x05]);
                b.push32(0);
                b.push32(new);
                self.push(&b, Some(Fix { at: 2, size: 4, relative: false, item: here + 1 + pad, plus: by }));
                (0..pad).for_each(|_| {
                    self.put(&[0x90]);
                });
                self.put_slot(old);
            }
            // add byte [slot's immediate], n; add eax, imm
            2 => {
                let n = self.rng.u8();
                let mut b = Bytes::of(&[0x80, 0x05]);
                b.push32(0);
                b.push(n);
                self.push(&b, Some(Fix { at: 2, size: 4, relative: false, item: here + 1, plus: by + 2 }));
                self.put_slot([0x83, 0xc0, n, 0x90]);
            }
            // The slot runs first, then is changed, then runs again.
            3 => {
                let loops = 1 + self.rng.below(3);
                let mut b = Bytes::of(&[0xb9]);
                b.push32(loops);
                self.push(&b, None);
                let top = self.items.len();
                self.undefined.branches = true;
                self.put_slot([0x83, 0xc0, 1, 0x90]);
                let n = self.rng.u8();
                let mut b = Bytes::of(&[0x80, 0x05]);
                b.push32(0);
                b.push(n);
                self.push(&b, Some(Fix { at: 2, size: 4, relative: false, item: top, plus: by + 2 }));
                let b = Bytes::of(&[0xe2, 0]);
                self.push(&b, Some(Fix { at: 1, size: 1, relative: true, item: top, plus: 0 }));
            }
            // rep stosb over the slot with a one-byte instruction.
            4 => {
                let op = self.rng.pick(&[0x90, 0x42, 0x4a, 0xf5, 0xf8]);
                self.put(&[0xfc]);
                self.put(&[0xb0, op]);
                self.put(&[0xb9, 4, 0, 0, 0]);
                self.put_label(&[0xbf], false, here + 5 + pad, by);
                self.put(&[0xf3, 0xaa]);
                (0..pad).for_each(|_| {
                    self.put(&[0x90]);
                });
                self.put_slot(old);
            }
            // A push onto the slot.
            _ => {
                self.put_label(&[0xbc], false, here + 2 + pad, by + 4);
                let mut b = Bytes::of(&[0x68]);
                b.push32(new);
                self.push(&b, None);
                (0..pad).for_each(|_| {
                    self.put(&[0x90]);
                });
                self.put_slot(old);
                let mut b = Bytes::of(&[0xbc]);
                b.push32(STACK + 0x1000);
                self.push(&b, None);
            }
        }
        self.known = [None; 8];
    }
}
