//! Saved state: a machine in a file, and back. Page: docs/design/saved-state.md.
//!
//! ```text
//! 0          magic, version, where the other parts are, and their CRC-32 (written last)
//! 64 KiB     the arena as it is: main memory, then what chips keep in it; what is all zeros is a hole
//! behind it  the head: what machine it is, time, processor, one entry for each chip (CBOR, numbered fields)
//! behind it  what the embedder adds: which disks go with it
//! ```

mod fits;
pub(crate) mod live;
mod processor;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use board::pieces::zero_bytes;
use board::{StateError, StateOut};
use hv_vcpu::HvError;
use minicbor::{Decode, Encode};
use ram::GuestRam;

use crate::board_io::{Board, DueAnswer};
use crate::engine::Engine;
use crate::machine::Machine;

const MAGIC: &[u8; 16] = b"Heirloom state\r\n";
const VERSION: u32 = 1;
/// The first bytes of a state.
const FIXED: usize = 16 + 4 + 4 + 6 * 8;
/// Where memory begins: a multiple of every host's page.
const MEMORY: u64 = 64 << 10;
/// Memory that is all zeros is left out by so much.
const CHUNK: usize = 64 << 10;
/// No head is longer: a damaged file must not eat the host's memory.
const LONGEST_HEAD: u64 = 64 << 20;

/// The beginning of the file.
struct Fixed {
    /// Of head and extra.
    crc: u32,
    head: u64,
    head_len: u64,
    memory: u64,
    memory_len: u64,
    extra: u64,
    extra_len: u64,
}

impl Fixed {
    fn read(file: &mut (impl Read + Seek)) -> Result<Self, LoadError> {
        let mut b = [0; FIXED];
        if file.seek(SeekFrom::End(0))? < FIXED as u64 {
            return Err(LoadError::NotAState);
        }
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut b)?;
        if !b.starts_with(MAGIC) {
            return Err(LoadError::NotAState);
        }
        let version = le32(&b[16..20]);
        if version != VERSION {
            return Err(LoadError::Version(version));
        }
        let [head, head_len, memory, memory_len, extra, extra_len] =
            [24, 32, 40, 48, 56, 64].map(|field| le64(&b[field..field + 8]));
        Ok(Self { crc: le32(&b[20..24]), head, head_len, memory, memory_len, extra, extra_len })
    }

    fn write(&self, file: &mut (impl Write + Seek + ?Sized)) -> io::Result<()> {
        let Self { crc, head, head_len, memory, memory_len, extra, extra_len } = *self;
        let mut b = MAGIC.to_vec();
        b.extend(VERSION.to_le_bytes());
        b.extend(crc.to_le_bytes());
        for v in [head, head_len, memory, memory_len, extra, extra_len] {
            b.extend(v.to_le_bytes());
        }
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&b)?;
        file.flush()
    }
}

/// Reads a part that is no longer than it may be.
fn part(file: &mut (impl Read + Seek), at: u64, len: u64) -> Result<Vec<u8>, LoadError> {
    let end = at.checked_add(len).filter(|_| len <= LONGEST_HEAD);
    if end.is_none_or(|end| file.seek(SeekFrom::End(0)).is_ok_and(|have| end > have)) {
        return Err(LoadError::Damaged("it ends too early"));
    }
    let mut b = vec![0; len as usize];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut b)?;
    Ok(b)
}

/// Adds to a state what [`Saved::extra`] will tell.
pub fn set_extra(file: &mut (impl Read + Write + Seek), extra: &[u8]) -> Result<(), LoadError> {
    let mut fixed = Fixed::read(file)?;
    let head = part(file, fixed.head, fixed.head_len)?;
    fixed.extra = fixed.head + fixed.head_len;
    fixed.extra_len = extra.len() as u64;
    file.seek(SeekFrom::Start(fixed.extra))?;
    file.write_all(extra)?;
    fixed.crc = crc(&head, extra);
    fixed.write(file)?;
    Ok(())
}

/// The same for a state that is in use: at each instant it is whole, with the old one or the new one.
pub fn replace_extra(file: &mut File, extra: &[u8]) -> Result<(), LoadError> {
    let mut fixed = Fixed::read(file)?;
    let head = part(file, fixed.head, fixed.head_len)?;
    // Behind the old one.
    fixed.extra = file.seek(SeekFrom::End(0))?;
    fixed.extra_len = extra.len() as u64;
    file.write_all(extra)?;
    file.sync_data()?;
    fixed.crc = crc(&head, extra);
    fixed.write(file)?;
    Ok(file.sync_data()?)
}

fn crc(head: &[u8], extra: &[u8]) -> u32 {
    let mut h = crc32fast::Hasher::new();
    h.update(head);
    h.update(extra);
    h.finalize()
}

/// A file that takes a state.
pub trait StateSink: Write + Seek + Send {}

impl<T: Write + Seek + Send> StateSink for T {}

/// Why a state was not written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("cannot write the state: {0}; check the host's disk for free space")]
    Io(#[from] io::Error),
    #[error("the processor's state cannot be read")]
    Processor(#[source] HvError),
    #[error("its disks are not as the guest has them: {0}; then save again")]
    Waits(String),
    #[error("{0}")]
    Disk(String),
}

/// Why a state can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    #[error("it is no saved state; give a file that `heirloom ctl NAME save` wrote")]
    NotAState,
    #[error(
        "it is of version {0}, this build reads version {VERSION}; use the build that wrote it, or a newer one"
    )]
    Version(u32),
    #[error("it is damaged or cut off ({0}); restore it from a backup, or start the machine without it")]
    Damaged(&'static str),
    #[error(
        "it is of a machine with {field} {state}, this one has {machine}; start it with what it was saved with"
    )]
    Other { field: &'static str, state: String, machine: String },
    #[error("{0}; start the machine with the drives, adapters and ports that it was saved with")]
    Chip(#[from] StateError),
    #[error("its processor's state is impossible; restore the file from a backup")]
    Processor,
    #[error("the engine does not take its processor's state")]
    Engine(#[source] HvError),
}

/// What a state must fit.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
struct BoardV1 {
    #[n(0)]
    memory: u64,
    /// Bytes that chips keep in the arena.
    #[n(1)]
    slots: u64,
    #[n(2)]
    nx: bool,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
struct EntryV1 {
    #[n(0)]
    chip: String,
    #[n(1)]
    version: u16,
    #[cbor(n(2), with = "minicbor::bytes")]
    body: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
struct HeadV1 {
    #[n(0)]
    board: BoardV1,
    /// Nanoseconds since power-on.
    #[n(1)]
    guest_ns: u64,
    #[n(2)]
    retired: u64,
    /// Seconds since 1970.
    #[n(3)]
    saved_at: u64,
    #[n(4)]
    processor: processor::ProcessorV1,
    /// The address register of PCI configuration mechanism 1.
    #[n(5)]
    config_address: u32,
    #[n(6)]
    a20: bool,
    /// In S1.
    #[n(7)]
    asleep: bool,
    #[n(8)]
    entries: Vec<EntryV1>,
    /// A bit for each 64 KiB of memory that is not all zeros.
    #[cbor(n(9), with = "minicbor::bytes")]
    chunks: Vec<u8>,
    /// On the instruction clock: which chip's drive was to be answered when.
    #[n(10)]
    due: Option<Vec<(String, u8, u64)>>,
}

const WRONG_SIZE: LoadError = LoadError::Damaged("its memory is not of the size that it says");

impl HeadV1 {
    fn decode(bytes: &[u8]) -> Result<Self, LoadError> {
        let head: Self = minicbor::decode(bytes).map_err(|_| LoadError::Damaged("its head can't be read"))?;
        let memory = head.board.memory.checked_add(head.board.slots).ok_or(WRONG_SIZE)?;
        let chunks = memory.div_ceil(CHUNK as u64).div_ceil(8);
        if head.chunks.len() as u64 == chunks { Ok(head) } else { Err(WRONG_SIZE) }
    }
}

/// A state that was read, but for its memory.
pub struct Saved {
    head: HeadV1,
    memory: u64,
    extra: Vec<u8>,
}

fn le32(b: &[u8]) -> u32 {
    b.iter().rev().fold(0, |v, b| v << 8 | u32::from(*b))
}

fn le64(b: &[u8]) -> u64 {
    b.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))
}

impl Saved {
    /// Reads and checks all but the memory.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Self, LoadError> {
        let fixed = Fixed::read(file)?;
        let head = part(file, fixed.head, fixed.head_len)?;
        let extra = part(file, fixed.extra, fixed.extra_len)?;
        if crc(&head, &extra) != fixed.crc {
            return Err(LoadError::Damaged("its checksum is wrong"));
        }
        let head = HeadV1::decode(&head)?;
        let Fixed { memory, memory_len, .. } = fixed;
        let end = memory.checked_add(memory_len);
        if head.board.memory.checked_add(head.board.slots) != Some(memory_len)
            || end.is_none_or(|end| end > fixed.head)
        {
            return Err(WRONG_SIZE);
        }
        Ok(Self { head, memory, extra })
    }

    /// The head of a file, as it is.
    pub(crate) fn head_of(file: &mut (impl Read + Seek)) -> Result<Vec<u8>, LoadError> {
        let fixed = Fixed::read(file)?;
        part(file, fixed.head, fixed.head_len)
    }

    /// A state without memory: for a head that somebody changed.
    pub(crate) fn of_head(head: &[u8]) -> Result<Self, LoadError> {
        let mut head = HeadV1::decode(head)?;
        head.chunks.fill(0);
        Ok(Self { head, memory: 0, extra: Vec::new() })
    }

    /// Names of what is not the same in both, but memory and the time of day: to find out which chip's state is not whole.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (a, b) = (&self.head, &other.head);
        let mut all = Vec::new();
        if (a.guest_ns, a.retired) != (b.guest_ns, b.retired) {
            all.push(format!(
                "time: {} and {} ns, {} and {} instructions",
                a.guest_ns, b.guest_ns, a.retired, b.retired
            ));
        }
        if !a.processor.same(&b.processor) {
            all.push(format!("processor: {:?} and {:?}", a.processor, b.processor));
        }
        let chips = a.entries.iter().zip(&b.entries).filter(|(a, b)| a != b);
        all.extend(chips.map(|(a, b)| format!("{}: {:02x?} and {:02x?}", a.chip, a.body, b.body)));
        all
    }

    /// What [`set_extra`] added.
    pub fn extra(&self) -> &[u8] {
        &self.extra
    }

    /// Seconds since 1970 at which it was saved.
    pub fn saved_at(&self) -> u64 {
        self.head.saved_at
    }

    pub fn memory_mib(&self) -> u64 {
        self.head.board.memory >> 20
    }
}

fn unix_seconds() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs())
}

fn board_of(ram: &GuestRam, nx: bool) -> BoardV1 {
    BoardV1 { memory: ram.main_len(), slots: ram.arena().len() as u64 - ram.main_len(), nx }
}

/// Bytes of a bit for each chunk.
fn chunk_bytes(memory: usize) -> usize {
    memory.div_ceil(CHUNK).div_ceil(8)
}

/// Writes memory; returns which chunks are not all zeros.
fn write_memory(ram: &GuestRam, file: &mut (impl Write + Seek + ?Sized)) -> io::Result<Vec<u8>> {
    let arena = ram.arena();
    let mut chunks = vec![0; chunk_bytes(arena.len())];
    let mut buf = vec![0; CHUNK];
    let mut place = None;
    for at in (0..arena.len()).step_by(CHUNK) {
        let part = &mut buf[..CHUNK.min(arena.len() - at)];
        arena.copy_out(at as u32, part);
        if zero_bytes(part) {
            continue;
        }
        let to = MEMORY + at as u64;
        if place != Some(to) {
            file.seek(SeekFrom::Start(to))?;
        }
        file.write_all(part)?;
        place = Some(to + part.len() as u64);
        let n = at / CHUNK;
        chunks[n / 8] |= 1 << (n % 8);
    }
    Ok(chunks)
}

/// Writes the head behind the memory, and then what makes the file a state.
fn write_head(file: &mut (impl Write + Seek + ?Sized), head: &HeadV1) -> io::Result<()> {
    // Encoding into memory can't fail.
    let b = minicbor::to_vec(head).map_err(|e| io::Error::other(e.to_string()))?;
    let memory_len = head.board.memory + head.board.slots;
    let at = MEMORY + memory_len.next_multiple_of(CHUNK as u64);
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&b)?;
    let head_len = b.len() as u64;
    // Last: until then it is no state.
    Fixed {
        crc: crc(&b, &[]),
        head: at,
        head_len,
        memory: MEMORY,
        memory_len,
        extra: at + head_len,
        extra_len: 0,
    }
    .write(file)
}

impl Machine {
    /// Writes the machine as it is between two instructions.
    pub fn save(&mut self, file: &mut (impl Write + Seek + ?Sized)) -> Result<(), SaveError> {
        // Before memory: what chips do in the background may move some of it.
        let mut head = self.head()?;
        self.board.ram.fetch_all()?;
        head.chunks = write_memory(&self.board.ram, file)?;
        Ok(write_head(file, &head)?)
    }

    /// All but memory, and what of it is not all zeros.
    fn head(&mut self) -> Result<HeadV1, SaveError> {
        // What an image lacks when it is closed would be missing to the machine that goes on.
        self.board.disks.flush().map_err(SaveError::Waits)?;
        let processor = processor::save(&self.vcpu.state().map_err(SaveError::Processor)?);
        let entries = self.board.save_chips();
        Ok(HeadV1 {
            board: board_of(&self.board.ram, self.nx),
            guest_ns: self.board.clock.now(),
            retired: self.board.clock.instructions(),
            saved_at: unix_seconds(),
            processor,
            config_address: self.board.config_address(),
            a20: self.board.ram.a20(),
            asleep: self.asleep,
            entries,
            chunks: Vec::new(),
            due: Some(
                self.board.due_answers().map(|d| (self.board.name(d.slot).into(), d.unit, d.at)).collect(),
            ),
        })
    }

    /// Makes a machine that was built and has not run what it was when it was saved. `away`: the battery clock's time goes
    /// on by so many seconds, which the machine was not there. After an error the machine is of no use.
    pub fn restore(
        &mut self,
        saved: &Saved,
        file: &mut (impl Read + Seek),
        away: u64,
    ) -> Result<(), LoadError> {
        self.fits(saved)?;
        read_memory(&self.board.ram, file, saved, 0)?;
        self.restore_all_else(saved, away)
    }

    /// The same, with memory that comes from the file when the guest asks for it; nobody may change the file meanwhile.
    /// Engines that give their memory to the host's processor read it at once.
    pub fn restore_from(&mut self, saved: &Saved, mut file: File, away: u64) -> Result<(), LoadError> {
        if self.engine != Engine::Software {
            return self.restore(saved, &mut file, away);
        }
        self.fits(saved)?;
        let ram = &self.board.ram;
        read_memory(ram, &mut file, saved, ram.main_len() as usize)?;
        ram.come_from(file, saved.memory, &saved.head.chunks);
        self.restore_all_else(saved, away)
    }

    fn fits(&self, saved: &Saved) -> Result<(), LoadError> {
        saved.fits_board(&board_of(&self.board.ram, self.nx))
    }

    fn restore_all_else(&mut self, saved: &Saved, away: u64) -> Result<(), LoadError> {
        let head = &saved.head;
        let processor = processor::load(&head.processor).ok_or(LoadError::Processor)?;
        self.board.clock.set(head.guest_ns, head.retired, away);
        self.board.load_chips(head)?;
        self.vcpu.set_state(&processor).map_err(LoadError::Engine)?;
        self.asleep = head.asleep;
        Ok(())
    }
}

/// Reads memory from an arena offset on.
fn read_memory(ram: &GuestRam, file: &mut (impl Read + Seek), saved: &Saved, first: usize) -> io::Result<()> {
    let arena = ram.arena();
    let mut buf = vec![0; CHUNK];
    let mut place = None;
    for off in (first..arena.len()).step_by(CHUNK) {
        let part = &mut buf[..CHUNK.min(arena.len() - off)];
        let n = off / CHUNK;
        if saved.head.chunks[n / 8] & 1 << (n % 8) == 0 {
            // The board's ROMs are there already.
            if off >= ram.main_len() as usize {
                arena.clear(off as u32, part.len());
            }
            continue;
        }
        let from = saved.memory + off as u64;
        if place != Some(from) {
            file.seek(SeekFrom::Start(from))?;
        }
        file.read_exact(part)?;
        place = Some(from + part.len() as u64);
        arena.copy_in(off as u32, part);
        (off >> 12..(off + part.len()) >> 12).for_each(|page| ram.wrote(page as u32));
    }
    Ok(())
}

impl Board {
    /// One entry for each chip.
    fn save_chips(&mut self) -> Vec<EntryV1> {
        for slot in self.slots() {
            self.call(slot, |d, cx| d.catch_up(cx));
        }
        let save = |slot| {
            let d = self.device(slot);
            let mut out = StateOut::default();
            d.save(&mut out);
            let (version, body) = out.into_body()?;
            Some(EntryV1 { chip: d.name().into(), version, body })
        };
        self.slots().filter_map(save).collect()
    }

    /// Gives each chip its entry, then lets all drive their wires, windows and timers.
    fn load_chips(&mut self, head: &HeadV1) -> Result<(), StateError> {
        let HeadV1 { entries, config_address, a20, due, .. } = head;
        let names: Vec<&str> = self.slots().map(|s| self.name(s)).collect();
        let due = due.iter().flatten().filter_map(|(chip, unit, at)| {
            let n = names.iter().position(|name| name == chip)?;
            Some(DueAnswer { slot: self.slots().nth(n)?, unit: *unit, at: *at })
        });
        let due = due.collect();
        fits::load_each(entries, &mut self.devices())?;
        self.resume(*config_address, *a20, due);
        Ok(())
    }
}
