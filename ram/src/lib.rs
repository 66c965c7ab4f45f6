//! Guest memory.
//!
//! One mapping, the *arena*, holds everything the guest can address as memory: main RAM first
//! (arena offset = physical address, so the RAM behind A0000h-FFFFFh is there for PAM shadowing), then each
//! [`Slot`] that a chip allocated: ROM, frame buffer, channel window. Over it lies the *physical map*: 256
//! pages of 4 KiB below 1 MiB, each with its own read and write target, main RAM above 1 MiB, and the placed
//! slots. Whoever executes instructions resolves a page once ([`GuestRam::resolve`]), keeps the arena offset
//! in its TLB and then uses the plain `load_*`/`store_*`; chips that master the bus use [`GuestRam::read`]
//! and [`GuestRam::write`], which follow the map.
//!
//! Every change of the map, of A20 or of code under a decoded block moves [`GuestRam::generation`]; an engine
//! compares it after each call out and drops what it derived from the old map.
//!
//! Per page of the arena there is one byte of flags: *dirty* (a display or a snapshot wants to know), *code* (the
//! software processor has decoded instructions from it) and *table* (it holds page tables that a view came from).
//!
//! A [`View`] is guest memory as one of the guest's address spaces sees it, by the host's own paging.
//!
//! Main RAM may come from a file, piece by piece when it is asked for ([`GuestRam::come_from`]).
//!
//! All `unsafe` of this crate is in `arena.rs` and `view.rs`.

mod absent;
mod arena;
mod map;
mod view;
mod window;

pub use arena::Arena;
pub use map::{GuestRam, LowTarget, MAX_MAIN, Mapping, PAGE, PAGE_SHIFT, RamError, Region, Slot};
pub use view::View;
pub use window::Window;

#[cfg(test)]
mod tests;
