//! Where everything lies in the linear address space, the same on both processors.
//!
//! User memory stays inside one 2 MiB piece so that the guest needs one page table whatever the paging mode.
//! Between the pieces nothing is mapped, so whatever runs off an end faults.

pub const PAGE: usize = 4096;

/// Two writable pages of code, then nothing.
pub const CODE: u32 = 0x1001_0000;
pub const CODE_LEN: usize = 2 * PAGE;
/// Three writable pages of data, one that is read-only, then nothing.
pub const DATA: u32 = 0x1004_0000;
pub const DATA_RW: usize = 3 * PAGE;
pub const DATA_LEN: usize = 4 * PAGE;
/// Two pages of stack, nothing on either side.
pub const STACK: u32 = 0x1008_0000;
pub const STACK_LEN: usize = 2 * PAGE;
/// The code pages once more, to be written through another linear address.
pub const ALIAS: u32 = 0x100a_0000;
/// Every sequence ends with a jump to here.
pub const EXIT: u32 = 0x100c_0000;

/// The selectors a 32-bit program has under 64-bit Linux; the guest's GDT has the same.
pub const CS32: u16 = 0x23;
pub const DS32: u16 = 0x2b;

/// All that a sequence can read and write.
#[derive(Clone, PartialEq, Eq)]
pub struct Memory {
    pub code: Box<[u8; CODE_LEN]>,
    pub data: Box<[u8; DATA_LEN]>,
    pub stack: Box<[u8; STACK_LEN]>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            code: Box::new([0xcc; CODE_LEN]),
            data: Box::new([0; DATA_LEN]),
            stack: Box::new([0; STACK_LEN]),
        }
    }
}

impl Memory {
    /// The pieces with their linear addresses.
    pub fn pieces(&self) -> [(u32, &[u8]); 3] {
        [(CODE, &self.code[..]), (DATA, &self.data[..]), (STACK, &self.stack[..])]
    }

    pub fn pieces_mut(&mut self) -> [(u32, &mut [u8]); 3] {
        [(CODE, &mut self.code[..]), (DATA, &mut self.data[..]), (STACK, &mut self.stack[..])]
    }

    /// The byte at a linear address.
    pub fn get(&self, at: u32) -> Option<u8> {
        let at = Self::own(at);
        self.pieces().into_iter().find_map(|(from, bytes)| bytes.get(at.wrapping_sub(from) as usize).copied())
    }

    /// Where the piece itself has what lies at a linear address.
    fn own(at: u32) -> u32 {
        if at.wrapping_sub(ALIAS) < CODE_LEN as u32 { at - ALIAS + CODE } else { at }
    }

    /// The same, to write it.
    pub fn byte(&mut self, at: u32) -> Option<&mut u8> {
        let at = Self::own(at);
        self.pieces_mut().into_iter().find_map(|(from, bytes)| bytes.get_mut(at.wrapping_sub(from) as usize))
    }

    pub fn copy_from(&mut self, other: &Self) {
        self.code.copy_from_slice(&other.code[..]);
        self.data.copy_from_slice(&other.data[..]);
        self.stack.copy_from_slice(&other.stack[..]);
    }
}
