//! Virtual PC's disk images: fixed and dynamic VHD. "Virtual Hard Disk Image Format Specification" 1.0.
//!
//! Fixed: the disk's sectors, then a footer of 512 bytes. Dynamic: a copy of the footer, a header, the block
//! allocation table (BAT), blocks of (usually) 2 MiB each behind a bitmap of its sectors, the footer.
//!
//! The disk's size is what Virtual PC shows its guest: the footer's geometry, not its size field; the programs
//! known to write a size that is not the geometry's are the exception (`layout.rs`).
//!
//! Order of writes: a new block comes with a footer behind it first, so that the file ends with a footer at any
//! moment; then its bitmap, where the old footer was, and its data; last its BAT entry. A process killed at
//! any point leaves an image that opens and holds all that was written; at worst, a block that nobody refers to.
//! Zeros written where there is no block allocate none. A footer that is missing while its copy is good is written
//! anew with the first change.
//!
//! Not supported: differencing disks (they come with overlays), disks split into .v01 files.

mod create;
mod dynamic;
mod footer;
mod geometry;
mod layout;

pub use create::{BLOCK, create};
pub(crate) use create::{format_dynamic, format_fixed};
pub(crate) use dynamic::Dynamic;
pub(crate) use footer::{COOKIE, checksum};
pub use footer::{Uuid, VhdType};
pub use geometry::{geometry, round_up};
pub use layout::VhdFault;
pub(crate) use layout::{Blocks, Layout, examine};
