//! The assembled machine. Read `board_map.rs` first: the board as one table.
//!
//! ```text
//! MachineSpec (spec.rs)  ->  Machine::build (machine.rs)  ->  Machine::run (run.rs), on the caller's thread
//!      ports of the embedder (disks, display, serial) go in at build;   Handle (api.rs) talks to it from others
//! ```
//! One thread owns [`Machine`]: the engine's processor, and the [`Board`](board_io) with all chips. Other threads
//! only put messages into the mailbox and kick the processor.

mod api;
mod board_io;
mod board_map;
mod cable;
mod clock;
mod disks;
mod engine;
mod events;
pub mod floppy;
pub mod fuzz;
mod linux;
mod machine;
mod mailbox;
mod run;
pub mod services;
pub mod snapshot;
pub mod spec;

pub use api::{
    Bay, Command, FreezeDisks, Handle, NoAnswer, NotFrozen, Outcome, Phase, Pressed, Status, Unknown,
};
pub use clock::ClockKind;
pub use engine::{Choice, Engine, EngineReport, engines, pick};
pub use events::{Batch, DiskTrouble, Event, Events, Follow, KEPT, Record};
pub use firmware::BootFile;
pub use floppy::FloppyError;
pub use linux::LinuxBoot;
pub use machine::{BuildError, ChannelParts, Drive, Floppy, Machine, Parts, Ports};
pub use snapshot::Saved;

#[cfg(test)]
mod tests;
