//! Guest memory as instructions see it: segment, linear address, page, arena or bus.
//!
//! - `access.rs`: loads and stores by segment and offset; the quick path is a limit compare and a TLB compare.
//! - `linear.rs`: by linear address: the slow path of the above, implicit supervisor accesses, code fetch.
//! - `walk.rs`: page tables.
//! - `tlb.rs`: the cache of all that;
//! - `views.rs`: the same by the host's paging, for busy user programs.

mod access;
mod linear;
mod stack;
mod tlb;
mod views;
mod walk;

pub(crate) use linear::{Access, CodePage, InView, Priv};
pub(crate) use tlb::{Slot, Tlb};
pub(crate) use views::{Key, Views};

#[cfg(test)]
mod tests;
