//! What the agent needs of the system that it runs on. All of it returns at once.

use alloc::string::String;
use alloc::vec::Vec;

use channel::bus::System;
use channel::guest::Function;
use channel::services::information::{About, Package, Pair};
use channel::services::power::Action;
use channel::services::programs::{Run, Stream};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error,
    Warning,
    Info,
}

/// What came of reading from a pipe or writing to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piped {
    /// So many bytes, at least one.
    Bytes(usize),
    /// None now.
    Later,
    /// None any more: the other end is closed.
    End,
}

/// A program that runs, or ran. Dropping it lets go of it: one that is detached goes on.
pub trait Program {
    /// The system's number for it.
    fn process(&self) -> u32;
    /// Of its output.
    fn read(&mut self, stream: Stream, into: &mut [u8]) -> Piped;
    /// To its input.
    fn write(&mut self, bytes: &[u8]) -> Piped;
    fn close_input(&mut self);
    /// Its exit code, once it has ended; of one that a signal ended, 128 and its number.
    fn ended(&mut self) -> Option<u32>;
    fn kill(&mut self);
}

pub trait Platform {
    type Function: Function;
    type Program: Program;

    const SYSTEM: System;

    /// The channel's PCI function, mapped, if there is one and a driver for it. Asked for again and again while the agent
    /// goes over COM2.
    fn function(&mut self) -> Option<Self::Function>;
    /// Opens COM2, or says that there is none.
    fn open_serial(&mut self) -> bool;
    /// COM2 is not needed any more.
    fn close_serial(&mut self);
    /// Bytes that have come on COM2; none: 0.
    fn read_serial(&mut self, into: &mut [u8]) -> usize;
    /// How many bytes [`Self::write_serial`] takes now. A queue of more than some hundred bytes only delays what is more
    /// important.
    fn serial_room(&mut self) -> usize;
    fn write_serial(&mut self, bytes: &[u8]);

    /// Nanoseconds that never go back.
    fn now(&mut self) -> u64;
    /// Nanoseconds since 1970-01-01 00:00 UTC, as the guest believes.
    fn utc(&mut self) -> u64;
    fn set_clock(&mut self, utc: u64) -> Result<(), String>;
    /// Has the clock gain (or lose) so many nanoseconds, little by little. A new call takes the place of an older one.
    fn slew_clock(&mut self, gain: i64) -> Result<(), String>;
    /// The guest slept since the last call.
    fn slept(&mut self) -> bool;

    /// Begins it.
    fn power(&mut self, action: Action, force: bool, message: &str) -> Result<(), String>;

    /// What the guest is. The agent puts in its own version.
    fn about(&mut self) -> About;
    fn software(&mut self) -> Vec<Package>;
    /// The host's pair of a key and a value; none: it is taken away.
    fn host_pair(&mut self, pair: &Pair);
    /// The guest's pairs for the host.
    fn guest_pairs(&mut self) -> Vec<Pair>;

    /// Starts a program. Its output and input are pipes, unless it is detached.
    fn run(&mut self, run: &Run) -> Result<Self::Program, String>;

    fn log(&mut self, level: Level, text: &str);
    /// A random number.
    fn random(&mut self) -> u64;
}
