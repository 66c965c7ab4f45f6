//! The outside world behind the host-port traits of `board`: disk images, displays, input, serial ports, networks, sound.

pub mod audio;
pub mod disk;
pub mod display;
pub mod input;
pub mod net;
pub mod serial;
