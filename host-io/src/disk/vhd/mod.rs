//! Virtual PC's disk images: fixed, dynamic and differencing VHD. "Virtual Hard Disk Image Format Specification" 1.0.
//!
//! Fixed: the disk's sectors, then a footer of 512 bytes. Dynamic: a copy of the footer, a header, the block
//! allocation table (BAT), blocks of (usually) 2 MiB each behind a bitmap of its sectors, the footer.
//!
//! The disk's size is what Virtual PC shows its guest: the footer's geometry, not its size field; the programs
//! known to write a size that is not the geometry's are the exception (`layout.rs`).
//!
//! Differencing: as dynamic, over a parent that has all sectors which the bitmaps leave out (`parent.rs`).
//!
//! Order of writes, so that power may go at any moment: the file grows ahead of its blocks and is synced, so that
//! nothing but zeros is where a block will be; a block's bitmap and table entry say no more than what is on the disk,
//! or reads as before without it. docs/disk-images.md has it in full. Zeros written where there is no block
//! allocate none. A footer that is missing while its copy is good is written anew with the first change.

mod create;
mod dynamic;
mod footer;
mod geometry;
mod layout;
mod parent;
mod rewrite;
mod sequence;

pub use create::BLOCK;
pub(crate) use create::{format_child, format_dynamic, format_fixed};
pub(crate) use dynamic::Dynamic;
pub(crate) use footer::{COOKIE, FOOTER, Footer, HEADER, Header, UNUSED, checksum, stamp};
pub use footer::{Uuid, VhdType};
pub(crate) use geometry::covered;
pub use geometry::{geometry, round_up};
pub use layout::VhdFault;
pub(crate) use layout::{Blocks, Layout, MAX_BLOCK, MIN_BLOCK, Parts, bitmap_bytes, examine, examine_parts};
pub(crate) use parent::{Link, Parent};
pub(crate) use rewrite::{Rewrite, Side};
pub(crate) use sequence::PIECE;
