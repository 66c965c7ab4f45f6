//! Guest memory as instructions see it: segment, linear address, page, arena or bus.
//!
//! - `access.rs`: loads and stores by segment and offset; the quick path is a limit compare and a TLB compare.
//! - `linear.rs`: by linear address: the slow path of the above, implicit supervisor accesses, code fetch.
//! - `walk.rs`: page tables.
//! - `tlb.rs`: the cache of all that.

mod access;
mod linear;
mod stack;
mod tlb;
mod walk;

pub(crate) use linear::{Access, CodePage, Priv};
pub(crate) use tlb::{Slot, Tlb};

#[cfg(test)]
mod tests;
