//! A state of a machine that runs on. Most of memory is copied while the guest runs; what it writes meanwhile is copied once
//! more. Then the machine stands still for as long as chips, the rest of memory and the disks take. A thread writes the file.

use std::io::{self, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use board::pieces::zero_bytes;
use board::{MICROSECOND, Tick};
use ram::GuestRam;

use super::{CHUNK, HeadV1, MEMORY, SaveError, StateSink, chunk_bytes, write_head};
use crate::api::FreezeDisks;
use crate::disks::NotExchanged;
use crate::engine::Engine;
use crate::machine::Machine;

/// Guest time from one slice to the next.
pub(crate) const STEP: Tick = 500 * MICROSECOND;
/// A copy of so much takes a third of a millisecond.
const SLICE: u32 = 1 << 20;
/// So much may wait for the file while the guest runs.
const QUEUE: usize = 16 << 20;
/// With no more than that written since it was copied, the rest can be copied while the machine stands still.
const REST: usize = 16 << 20;
/// A guest that writes faster than memory is copied is not waited for.
const PASSES: u32 = 3;
const PAGE: u32 = 4096;

/// What the thread that writes the file gets.
enum Part {
    /// Bytes of the arena, in whole chunks or a page of one.
    Memory {
        off: u32,
        bytes: Vec<u8>,
    },
    /// How long the machine stood still.
    End(Box<HeadV1>, Duration),
    GiveUp(SaveError),
}

/// A snapshot under way.
pub(crate) struct Live {
    writer: Sender<Part>,
    /// Bytes that wait for the writer.
    queued: Arc<AtomicUsize>,
    disks: Box<dyn FreezeDisks>,
    /// What of main RAM this pass still has to copy; before the first, nothing.
    left: std::vec::IntoIter<Range<u32>>,
    passes: u32,
    /// The guest time of the next slice.
    next: Tick,
}

impl Live {
    /// Starts the thread that writes the file.
    pub(crate) fn begin(
        file: Box<dyn StateSink>,
        disks: Box<dyn FreezeDisks>,
        done: Sender<Result<Duration, SaveError>>,
    ) -> io::Result<Self> {
        let (writer, parts) = mpsc::channel();
        let queued = Arc::<AtomicUsize>::default();
        let waits = queued.clone();
        std::thread::Builder::new().name("snapshot".into()).spawn(move || {
            // Whoever asked may have gone away.
            let _ = done.send(write(file, &parts, &waits));
        })?;
        Ok(Self { writer, queued, disks, left: Vec::new().into_iter(), passes: 0, next: 0 })
    }

    /// Copies some of memory. False: it is time to end.
    pub(crate) fn copy_ahead(&mut self, m: &mut Machine) -> bool {
        // The processor of another engine doesn't tell which pages it writes.
        if m.engine != Engine::Software {
            return false;
        }
        // The loop comes here whenever something happens, too.
        let now = m.board.clock.now();
        if now < self.next || self.queued.load(Ordering::Relaxed) > QUEUE {
            return true;
        }
        self.next = now + STEP;
        let ram = &m.board.ram;
        let mut room = SLICE;
        while room > 0 {
            let Some(r) = self.left.next() else {
                return self.next_pass(ram);
            };
            if ram.fetch_range(r.clone()).is_err() || !self.copy(ram, r.clone()) {
                // The end tells.
                return false;
            }
            room = room.saturating_sub(r.len() as u32);
        }
        true
    }

    /// Is there enough left for one more pass while the guest runs?
    fn next_pass(&mut self, ram: &GuestRam) -> bool {
        let first = self.passes == 0;
        if self.passes == PASSES || !first && dirty(ram) <= REST {
            return false;
        }
        self.passes += 1;
        let written = take_dirty(ram);
        self.left = if first { pieces(0..ram.main_len() as u32) } else { written }.into_iter();
        true
    }

    /// False: the writer has given up.
    fn copy(&self, ram: &GuestRam, r: Range<u32>) -> bool {
        let mut bytes = vec![0; r.len()];
        ram.arena().copy_out(r.start, &mut bytes);
        self.queued.fetch_add(bytes.len(), Ordering::Relaxed);
        self.writer.send(Part::Memory { off: r.start, bytes }).is_ok()
    }

    /// Everything that is left, while the machine stands still. An error: a disk is lost, and the machine can't go on.
    pub(crate) fn end(mut self, m: &mut Machine) -> Result<(), String> {
        let begun = Instant::now();
        let head = match self.copy_rest(m) {
            Ok(head) => head,
            Err(e) => {
                // Whatever the writer says: it has heard of it first.
                let _ = self.writer.send(Part::GiveUp(e));
                return Ok(());
            }
        };
        match m.freeze_disks(self.disks.as_mut()) {
            Ok(()) => {
                let _ = self.writer.send(Part::End(Box::new(head), begun.elapsed()));
                Ok(())
            }
            Err(NotExchanged { why, gone }) => {
                let _ = self.writer.send(Part::GiveUp(SaveError::Disk(why.clone())));
                if gone { Err(why) } else { Ok(()) }
            }
        }
    }

    fn copy_rest(&mut self, m: &mut Machine) -> Result<HeadV1, SaveError> {
        // Before memory: what chips do in the background may move some of it.
        let head = m.head()?;
        let ram = &m.board.ram;
        let arena = ram.arena().len() as u32;
        let main = ram.main_len() as u32;
        let all = if self.passes == 0 { pieces(0..main) } else { take_dirty(ram) };
        let left = std::mem::take(&mut self.left);
        for r in left.chain(all).chain(pieces(main..arena)) {
            ram.fetch_range(r.clone())?;
            if !self.copy(ram, r) {
                // The writer has told why.
                return Err(SaveError::Io(io::ErrorKind::BrokenPipe.into()));
            }
        }
        Ok(head)
    }
}

impl Machine {
    fn freeze_disks(&mut self, with: &mut dyn FreezeDisks) -> Result<(), NotExchanged> {
        let slot = self.roles.ide;
        for unit in self.board.disks.writable(slot) {
            if self.removable.get(usize::from(unit)).is_some_and(|r| *r) {
                continue;
            }
            self.board.disks.exchange(slot, unit, |disk| with.freeze(unit, disk))?;
        }
        Ok(())
    }
}

/// A range in whole chunks.
fn pieces(r: Range<u32>) -> Vec<Range<u32>> {
    r.clone().step_by(CHUNK).map(|at| at..r.end.min(at.saturating_add(CHUNK as u32))).collect()
}

/// Bytes of main RAM that were written to.
fn dirty(ram: &GuestRam) -> usize {
    let pages = ram.main_len() as u32 / PAGE;
    (0..pages).filter(|p| ram.arena().is_dirty(*p)).count() * PAGE as usize
}

/// Pages of main RAM that were written to since the last call.
fn take_dirty(ram: &GuestRam) -> Vec<Range<u32>> {
    let mut pages = Vec::new();
    ram.take_dirty(0..ram.main_len() as u32, |at| pages.push(at..at + PAGE));
    pages
}

/// The writer's thread. Returns how long the machine stood still.
fn write(
    mut file: Box<dyn StateSink>,
    parts: &mpsc::Receiver<Part>,
    queued: &AtomicUsize,
) -> Result<Duration, SaveError> {
    let (mut chunks, mut place) = (Vec::new(), None);
    // Without an end the machine is gone.
    while let Ok(part) = parts.recv() {
        match part {
            Part::Memory { off, bytes } => {
                queued.fetch_sub(bytes.len(), Ordering::Relaxed);
                let n = off as usize / CHUNK;
                let (byte, bit) = (n / 8, 1_u8 << (n % 8));
                if chunks.len() <= byte {
                    chunks.resize(byte + 1, 0);
                }
                // Zeros may take the place of what was there.
                if chunks[byte] & bit == 0 && zero_bytes(&bytes) {
                    continue;
                }
                chunks[byte] |= bit;
                let to = MEMORY + u64::from(off);
                if place != Some(to) {
                    file.seek(SeekFrom::Start(to))?;
                }
                file.write_all(&bytes)?;
                place = Some(to + bytes.len() as u64);
            }
            Part::End(mut head, stood) => {
                chunks.resize(chunk_bytes((head.board.memory + head.board.slots) as usize), 0);
                head.chunks = chunks;
                write_head(file.as_mut(), &head)?;
                return Ok(stood);
            }
            Part::GiveUp(e) => return Err(e),
        }
    }
    Err(SaveError::Io(io::Error::other("the machine ended before its state was whole")))
}
