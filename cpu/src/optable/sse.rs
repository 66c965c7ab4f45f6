//! The MMX, SSE and SSE2 rows of 0F xx, with FXSAVE and its kin. SDM vol. 2, table A-3.

use super::attr::MODRM;
use super::{Entry, Imm, pending};

pub(super) const fn entry(n: u8) -> Entry {
    match n {
        0x77 => pending("EMMS", Imm::None, 0),
        0x70..=0x73 | 0xc2 | 0xc4..=0xc6 => pending("SSE", Imm::Ib, MODRM),
        0x10..=0x17 | 0x28..=0x2f | 0x50..=0x76 | 0x7e | 0x7f | 0xae | 0xd1..=0xfe => {
            pending("SSE", Imm::None, MODRM)
        }
        _ => Entry::Undefined,
    }
}
