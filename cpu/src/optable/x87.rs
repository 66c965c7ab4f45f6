//! D8-DF and WAIT. SDM vol. 2, tables.

use super::attr::MODRM;
use super::{Entry, Imm, pending};

pub(super) const WAIT: Entry = pending("WAIT", Imm::None, 0);

pub(super) const ESCAPES: [Entry; 8] = [pending("x87", Imm::None, MODRM); 8];
