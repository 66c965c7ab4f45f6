//! The emitter: x86-64 instructions as bytes. SDM vol. 2, chapter 2.
//!
//! It knows encodings, not operations: callers give the opcode bytes, because most of what is emitted is the guest's
//! own instruction with other operands.

/// A register by its number in ModRM, REX included.
pub(crate) type Reg = u8;

pub(crate) const RAX: Reg = 0;
pub(crate) const RCX: Reg = 1;
pub(crate) const RDX: Reg = 2;
pub(crate) const RBX: Reg = 3;
pub(crate) const RSP: Reg = 4;
pub(crate) const RBP: Reg = 5;
pub(crate) const RSI: Reg = 6;
pub(crate) const RDI: Reg = 7;
pub(crate) const R8: Reg = 8;
pub(crate) const R9: Reg = 9;
pub(crate) const R10: Reg = 10;
pub(crate) const R11: Reg = 11;
pub(crate) const R12: Reg = 12;
pub(crate) const R13: Reg = 13;
pub(crate) const R14: Reg = 14;
pub(crate) const R15: Reg = 15;

/// The r/m operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rm {
    Reg(Reg),
    /// `[base + disp]`
    Base(Reg, i32),
    /// `[base + index << scale + disp]`; RSP can't be the index.
    Index(Reg, Reg, u8, i32),
    /// `[index << scale + disp]`; without index: RSP.
    Scaled(Reg, u8, i32),
    /// The guest's memory operand, [`Asm::operand`].
    Operand,
}

/// Operand size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    B,
    W,
    D,
    Q,
}

impl Size {
    pub(crate) fn bytes(self) -> u32 {
        match self {
            Self::B => 1,
            Self::W => 2,
            Self::D => 4,
            Self::Q => 8,
        }
    }
}

/// Condition codes as the low four bits of Jcc.
pub(crate) mod cond {
    pub(crate) const B: u8 = 2;
    pub(crate) const AE: u8 = 3;
    pub(crate) const E: u8 = 4;
    pub(crate) const NE: u8 = 5;
    pub(crate) const A: u8 = 7;
    pub(crate) const L: u8 = 12;
    pub(crate) const G: u8 = 15;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(u32);

const UNBOUND: u32 = u32::MAX;

/// Code on its way into the buffer.
#[derive(Debug, Default)]
pub(crate) struct Asm {
    pub(crate) buf: Vec<u8>,
    labels: Vec<u32>,
    /// Position of a 32-bit displacement, and what it must reach.
    fixups: Vec<(u32, Label)>,
    /// What [`Rm::Operand`] stands for, and whether that is a 32-bit address in the segment GS of the host's.
    pub(crate) operand: Option<(Rm, bool)>,
}

impl Asm {
    pub(crate) fn clear(&mut self) {
        self.buf.clear();
        self.labels.clear();
        self.fixups.clear();
    }

    pub(crate) fn here(&self) -> u32 {
        self.buf.len() as u32
    }

    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(UNBOUND);
        Label(self.labels.len() as u32 - 1)
    }

    pub(crate) fn bind(&mut self, l: Label) {
        self.labels[l.0 as usize] = self.here();
    }

    /// A label that is bound here.
    pub(crate) fn mark(&mut self) -> Label {
        let l = self.label();
        self.bind(l);
        l
    }

    pub(crate) fn at(&self, l: Label) -> u32 {
        self.labels[l.0 as usize]
    }

    /// Resolves jumps between labels.
    ///
    /// # Panics
    /// If a label that is used was never bound.
    pub(crate) fn finish(&mut self) {
        for &(pos, l) in &self.fixups {
            let target = self.labels[l.0 as usize];
            assert!(target != UNBOUND, "label {} is not bound", l.0);
            let rel = target.wrapping_sub(pos + 4);
            self.buf[pos as usize..][..4].copy_from_slice(&rel.to_le_bytes());
        }
        self.fixups.clear();
    }

    pub(crate) fn bytes(&mut self, b: &[u8]) {
        self.buf.extend_from_slice(b);
    }

    fn u8(&mut self, v: u8) {
        self.buf.push(v);
    }

    pub(crate) fn u32(&mut self, v: u32) {
        self.buf.extend_from_slice(&v.to_le_bytes());
    }

    /// An instruction with ModRM. `reg` is a register or the opcode's extension. For byte operands the registers are
    /// those that a REX prefix selects: never AH to BH.
    pub(crate) fn rm(&mut self, w: Size, opcode: &[u8], reg: u8, rm: Rm) {
        self.rm_full(w, opcode, reg, rm, w == Size::B);
    }

    /// The same; `byte_rm`: the r/m operand is a byte register whatever `w`.
    pub(crate) fn rm_full(&mut self, w: Size, opcode: &[u8], reg: u8, rm: Rm, byte_rm: bool) {
        if w == Size::W {
            self.u8(0x66);
        }
        let (rm, gs) = match rm {
            Rm::Operand => self.operand.unwrap_or_else(|| unreachable!("no memory operand")),
            rm => (rm, false),
        };
        if gs {
            // GS, address size: the address wraps at 4 GiB as the guest's does, then the segment's base is added.
            self.bytes(&[0x65, 0x67]);
        }
        let (x, b) = match rm {
            Rm::Reg(r) | Rm::Base(r, _) => (0, r >> 3),
            Rm::Index(base, index, ..) => (index >> 3, base >> 3),
            Rm::Scaled(index, ..) => (index >> 3, 0),
            Rm::Operand => unreachable!("an operand of operands"),
        };
        let rex = u8::from(w == Size::Q) << 3 | (reg >> 3 & 1) << 2 | x << 1 | b;
        let needs = |r: u8| (RSP..8).contains(&r);
        let byte_reg = w == Size::B && needs(reg) || byte_rm && matches!(rm, Rm::Reg(r) if needs(r));
        if rex != 0 || byte_reg {
            self.u8(0x40 | rex);
        }
        self.bytes(opcode);
        self.modrm(reg & 7, rm);
    }

    fn modrm(&mut self, reg: u8, rm: Rm) {
        let reg = reg << 3;
        match rm {
            Rm::Reg(r) => self.u8(0xc0 | reg | r & 7),
            Rm::Base(base, disp) => {
                let m = Self::disp_mod(base, disp);
                if base & 7 == RSP {
                    self.u8(m | reg | 4);
                    self.u8(0x24);
                } else {
                    self.u8(m | reg | base & 7);
                }
                self.disp(m, disp);
            }
            Rm::Index(base, index, scale, disp) => {
                let m = Self::disp_mod(base, disp);
                self.u8(m | reg | 4);
                self.u8(scale << 6 | (index & 7) << 3 | base & 7);
                self.disp(m, disp);
            }
            Rm::Scaled(index, scale, disp) => {
                self.u8(reg | 4);
                self.u8(scale << 6 | (index & 7) << 3 | 5);
                self.u32(disp as u32);
            }
            Rm::Operand => {}
        }
    }

    /// The mod field: base RBP and R13 have no form without displacement.
    fn disp_mod(base: u8, disp: i32) -> u8 {
        if disp == 0 && base & 7 != RBP {
            0
        } else if i8::try_from(disp).is_ok() {
            0x40
        } else {
            0x80
        }
    }

    fn disp(&mut self, m: u8, disp: i32) {
        match m {
            0 => {}
            0x40 => self.u8(disp as u8),
            _ => self.u32(disp as u32),
        }
    }

    /// One of the eight arithmetic operations (ADD OR ADC SBB AND SUB XOR CMP) with an immediate.
    pub(crate) fn alu_imm(&mut self, w: Size, op: u8, rm: Rm, imm: u32) {
        let short = i8::try_from(imm as i32).is_ok();
        match w {
            Size::B => {
                self.rm(w, &[0x80], op, rm);
                self.u8(imm as u8);
            }
            _ if short => {
                self.rm(w, &[0x83], op, rm);
                self.u8(imm as u8);
            }
            _ => {
                self.rm(w, &[0x81], op, rm);
                self.imm(w, imm);
            }
        }
    }

    /// An immediate of the operand size; 32 bits for 64.
    pub(crate) fn imm(&mut self, w: Size, v: u32) {
        match w {
            Size::B => self.u8(v as u8),
            Size::W => self.bytes(&(v as u16).to_le_bytes()),
            Size::D | Size::Q => self.u32(v),
        }
    }

    pub(crate) fn mov(&mut self, w: Size, to: Reg, from: Reg) {
        self.load(w, to, Rm::Reg(from));
    }

    pub(crate) fn load(&mut self, w: Size, to: Reg, from: Rm) {
        self.rm(w, if w == Size::B { &[0x8a] } else { &[0x8b] }, to, from);
    }

    pub(crate) fn store(&mut self, w: Size, to: Rm, from: Reg) {
        self.rm(w, if w == Size::B { &[0x88] } else { &[0x89] }, from, to);
    }

    /// Zero-extended to 64 bits. Leaves the flags alone.
    pub(crate) fn mov_imm(&mut self, to: Reg, v: u32) {
        if to >= R8 {
            self.u8(0x41);
        }
        self.u8(0xb8 | to & 7);
        self.u32(v);
    }

    pub(crate) fn mov_imm64(&mut self, to: Reg, v: u64) {
        self.u8(0x48 | to >> 3);
        self.u8(0xb8 | to & 7);
        self.bytes(&v.to_le_bytes());
    }

    pub(crate) fn store_imm(&mut self, w: Size, to: Rm, v: u32) {
        self.rm(w, if w == Size::B { &[0xc6] } else { &[0xc7] }, 0, to);
        self.imm(w, v);
    }

    pub(crate) fn lea(&mut self, w: Size, to: Reg, from: Rm) {
        self.rm(w, &[0x8d], to, from);
    }

    /// RORX, which leaves the flags alone. BMI2.
    pub(crate) fn rorx(&mut self, to: Reg, from: Reg, by: u8) {
        self.bytes(&[
            0xc4,
            (if to < R8 { 0x80 } else { 0 }) | 0x40 | (if from < R8 { 0x20 } else { 0 }) | 3,
            0x7b,
        ]);
        self.bytes(&[0xf0, 0xc0 | (to & 7) << 3 | from & 7, by]);
    }

    pub(crate) fn shift_imm(&mut self, w: Size, ext: u8, r: Reg, by: u8) {
        self.rm(w, &[0xc1], ext, Rm::Reg(r));
        self.u8(by);
    }

    /// The address of a label. `to` is one of the first eight.
    pub(crate) fn lea_label(&mut self, to: Reg, l: Label) {
        self.bytes(&[0x48, 0x8d, 0x05 | to << 3]);
        self.reach(l);
    }

    pub(crate) fn jmp(&mut self, l: Label) {
        self.u8(0xe9);
        self.reach(l);
    }

    pub(crate) fn call(&mut self, l: Label) {
        self.u8(0xe8);
        self.reach(l);
    }

    pub(crate) fn jcc(&mut self, cc: u8, l: Label) {
        self.bytes(&[0x0f, 0x80 | cc]);
        self.reach(l);
    }

    fn reach(&mut self, l: Label) {
        self.fixups.push((self.here(), l));
        self.u32(0);
    }

    /// JMP or CALL to a place given relative to the start of this code.
    pub(crate) fn jmp_to(&mut self, target: i64) {
        self.u8(0xe9);
        self.rel32(target);
    }

    pub(crate) fn call_to(&mut self, target: i64) {
        self.u8(0xe8);
        self.rel32(target);
    }

    pub(crate) fn jcc_to(&mut self, cc: u8, target: i64) {
        self.bytes(&[0x0f, 0x80 | cc]);
        self.rel32(target);
    }

    fn rel32(&mut self, target: i64) {
        let rel = target - (i64::from(self.here()) + 4);
        debug_assert!(i32::try_from(rel).is_ok());
        self.u32(rel as u32);
    }

    pub(crate) fn push(&mut self, r: Reg) {
        if r >= R8 {
            self.u8(0x41);
        }
        self.u8(0x50 | r & 7);
    }

    pub(crate) fn pop(&mut self, r: Reg) {
        if r >= R8 {
            self.u8(0x41);
        }
        self.u8(0x58 | r & 7);
    }

    pub(crate) fn call_reg(&mut self, r: Reg) {
        self.rm(Size::D, &[0xff], 2, Rm::Reg(r));
    }

    pub(crate) fn ret(&mut self) {
        self.u8(0xc3);
    }
}
