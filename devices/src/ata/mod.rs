//! Drives behind an IDE controller, and the cable that joins two of them.
//!
//! A [`Channel`] is one cable: it holds up to two [`Drive`]s, their selection and the device control register,
//! and answers the task file's registers as ATA-4 says for each mix of present and absent drives. A drive is
//! either a [`hard_disk`] or an [`atapi`] CD-ROM; both work on the same [`task_file`] core: registers, the data
//! port with its DRQ blocks, DMARQ, INTRQ and the one host job that a drive may wait for.
//!
//! The controller (`chipset/piix4/ide`) owns two channels; it carries DMARQ data to memory and INTRQ to the
//! 8259 pair.
//!
//! Sources: T13 1153D revision 18 (ATA/ATAPI-4), T13 1321D (ATA/ATAPI-5) where -4 is silent, SFF-8020i and
//! MMC-2 for the packet commands.

pub mod atapi;
mod channel;
mod drive;
pub mod hard_disk;
pub mod state;
pub mod task_file;

pub use channel::Channel;
pub use drive::{Drive, DriveSpec};
