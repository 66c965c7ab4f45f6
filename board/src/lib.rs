//! What a chip may see of the machine.
//!
//! A chip is a plain struct that implements [`Device`]. It declares [`WinSpec`] windows, is called with
//! offsets into them, and acts on the world only through [`Cx`]: it sets wires ([`Lines`]), arms timers, moves
//! its windows, masters the bus ([`ram::GuestRam`], [`IsaDma`]) and hands jobs to the host. It owns no lock,
//! no thread and no clock. The machine (crate `vmm`) owns all chips, calls them on one thread and carries out
//! what they asked for when they return.
//!
//! Time is guest time: nanoseconds since power-on, [`Tick`].

mod bus;
mod cx;
mod device;
mod lines;
mod pci;
pub mod pieces;
mod ports;
mod state;
pub mod testkit;
mod time;

pub use bus::{Decode, Decoder, Hit};
pub use cx::{Cx, Effects, Power, SlotId, Unknowns};
pub use device::{At, Device, Moment, Reset, Width, Win, WinKind, WinSpec};
pub use lines::{Line, Lines, Route};
pub use pci::{Bar, CONFIG_ADDRESS, CONFIG_DATA, ConfigSpace};
pub use ports::{
    Cache, Dir, Disk, DiskDone, DiskFault, DiskJob, DiskOp, Dreq, Geometry, HostEvent, HostJob, IntCtl,
    IsaDma, Key, Lamps, Leds, Lost, Media, Moved, NetPort, NoCable, NoDma, ParallelPort, Pointer, SOUND_HZ,
    Scanout, SerialPort, SoundPort, VideoMode,
};
pub use state::{Entries, StateError, StateIn, StateOut};
pub use time::{MICROSECOND, MILLISECOND, SECOND, Tick, TimerId, Timers, end_of, periods};

#[cfg(test)]
mod tests;
