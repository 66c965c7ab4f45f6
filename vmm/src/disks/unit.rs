//! A disk with what becomes of its failures, and how a job is done on it.

use std::io;
use std::ops::Range;

use board::{Disk, DiskDone, DiskFault, DiskJob, DiskOp, Lost, Media};
use ram::GuestRam;

use crate::api::NotFrozen;
use crate::spec::OnError;

pub(crate) struct Unit {
    disk: Box<dyn Disk>,
    /// For messages.
    name: String,
    on_error: OnError,
    /// Something that was written may be lost, and no FLUSH CACHE has told the guest yet.
    lost: bool,
}

/// Why a drive has no other disk.
pub(crate) struct NotExchanged {
    pub(crate) why: String,
    /// It has none at all now.
    pub(crate) gone: bool,
}

/// In the place of a disk that is not there any more.
struct Gone;

impl Disk for Gone {
    fn sectors(&self) -> u64 {
        0
    }

    fn read(&mut self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What became of a job.
pub(super) struct Served {
    /// `None`: it is to be done again.
    pub(super) done: Option<DiskDone>,
    /// The machine is to be paused for it.
    pub(super) pause: Option<String>,
}

/// Why a job was not done.
enum Failure {
    /// The drive is told.
    Fault(DiskFault),
    /// The host failed.
    Host(io::Error),
}

impl Unit {
    pub(crate) fn new(disk: Box<dyn Disk>, name: String, on_error: OnError) -> Self {
        Self { disk, name, on_error, lost: false }
    }

    /// Does a job, without `ram` one that needs none.
    pub(super) fn serve(&mut self, job: &DiskJob, ram: Option<&GuestRam>) -> Served {
        let r = self.perform(&job.op, ram);
        self.judge(job, r)
    }

    /// `None`: it would have to wait, or to be done again, and is a thread's from its beginning.
    pub(super) fn serve_at_once(&mut self, job: &DiskJob, ram: &GuestRam) -> Option<DiskDone> {
        if !self.disk.at_once(true) {
            return None;
        }
        let r = self.perform(&job.op, Some(ram));
        self.disk.at_once(false);
        match r {
            Err(Failure::Host(e)) if e.kind() == io::ErrorKind::WouldBlock || self.on_error.pauses(&e) => {
                None
            }
            r => self.judge(job, r).done,
        }
    }

    fn judge(&mut self, job: &DiskJob, r: Result<Vec<u8>, Failure>) -> Served {
        let flush = job.op == DiskOp::Flush;
        let mut pause = None;
        let result = match r {
            Ok(_) if flush && std::mem::take(&mut self.lost) => {
                tracing::error!("{}: the guest is told of what may be lost", self.name);
                Err(DiskFault::Io)
            }
            Ok(data) => Ok(data),
            Err(Failure::Fault(f)) => Err(f),
            Err(Failure::Host(e)) => {
                let what = format!("{}: {} failed: {e}", self.name, describe(&job.op));
                let again = !Lost::is(&e);
                if self.on_error.pauses(&e) {
                    let told = if again { "" } else { "the guest is told of it; " };
                    let why = format!("{what}; {told}{}, then resume the machine", mend(&e));
                    tracing::error!("the machine is paused: {why}");
                    pause = Some(why);
                    if again {
                        return Served { done: None, pause };
                    }
                } else {
                    tracing::error!("{what}");
                }
                // The guest is told of this job now; of what it wrote before, with a FLUSH CACHE.
                self.lost = !flush && (self.lost || !again);
                Err(DiskFault::Io)
            }
        };
        Served { done: Some(DiskDone { unit: job.unit, tag: job.tag, result }), pause }
    }

    /// See [`Disk::settle`]. What fails stays in memory; false.
    pub(super) fn settle(&mut self, again: bool) -> bool {
        let Err(e) = self.disk.settle() else { return true };
        self.lost |= Lost::is(&e);
        if !again {
            tracing::error!("{}: {e}; what was written stays in memory for now", self.name);
        }
        false
    }

    pub(super) fn media(&self) -> Media {
        Media { sectors: self.disk.sectors(), read_only: self.disk.read_only() }
    }

    pub(super) fn read_only(&self) -> bool {
        self.disk.read_only()
    }

    /// What was written is in the old disk when the new one, which `with` makes of it, takes its place.
    pub(super) fn exchange(
        &mut self,
        with: impl FnOnce(Box<dyn Disk>) -> Result<Box<dyn Disk>, NotFrozen>,
    ) -> Result<(), NotExchanged> {
        self.flush().map_err(|why| NotExchanged { why, gone: false })?;
        match with(std::mem::replace(&mut self.disk, Box::new(Gone))) {
            Ok(disk) => self.disk = disk,
            Err(NotFrozen { why, disk }) => {
                let gone = disk.is_none();
                self.disk = disk.unwrap_or(Box::new(Gone));
                return Err(NotExchanged { why, gone });
            }
        }
        Ok(())
    }

    /// A flush that is not the guest's. The error: what failed, and the mend.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        if self.disk.read_only() {
            return Ok(());
        }
        self.disk.flush().map_err(|e| {
            self.lost |= Lost::is(&e);
            format!("{}: flush failed: {e}; {}", self.name, mend(&e))
        })
    }

    /// The last one.
    pub(super) fn close(&mut self) {
        if let Err(e) = self.flush() {
            tracing::error!("{e}");
        }
    }

    fn perform(&mut self, op: &DiskOp, ram: Option<&GuestRam>) -> Result<Vec<u8>, Failure> {
        let disk = self.disk.as_mut();
        match op {
            DiskOp::Read { lba, count } => {
                within(disk, *lba, u64::from(*count))?;
                let mut b = vec![0; *count as usize * 512];
                disk.read(*lba, &mut b).map(|()| b)
            }
            DiskOp::ReadTo { lba, to } => {
                let ram = ram.ok_or(Failure::Fault(DiskFault::Later))?;
                within(disk, *lba, sectors(to))?;
                ram.fill(to, |to| disk.read_to(*lba, to)).map(|()| Vec::new())
            }
            DiskOp::Write { .. } | DiskOp::WriteFrom { .. } | DiskOp::Discard { .. } if disk.read_only() => {
                return Err(Failure::Fault(DiskFault::ReadOnly));
            }
            DiskOp::WriteFrom { lba, from } => {
                let ram = ram.ok_or(Failure::Fault(DiskFault::Later))?;
                within(disk, *lba, sectors(from))?;
                ram.lend(from, |from| disk.write_from(*lba, from)).map(|()| Vec::new())
            }
            DiskOp::Write { lba, data } => {
                within(disk, *lba, data.len() as u64 / 512)?;
                disk.write(*lba, data).map(|()| Vec::new())
            }
            DiskOp::Discard { runs } => {
                for (lba, count) in runs {
                    within(disk, *lba, u64::from(*count))?;
                }
                let mut all = runs.iter();
                all.try_for_each(|(lba, count)| disk.discard(*lba, u64::from(*count))).map(|()| Vec::new())
            }
            DiskOp::Flush if disk.read_only() => Ok(Vec::new()),
            DiskOp::Flush => disk.flush().map(|()| Vec::new()),
            DiskOp::Eject => Ok(Vec::new()),
        }
        .map_err(Failure::Host)
    }
}

fn describe(op: &DiskOp) -> String {
    match op {
        DiskOp::Read { lba, .. } | DiskOp::ReadTo { lba, .. } => format!("read at sector {lba}"),
        DiskOp::Write { lba, .. } | DiskOp::WriteFrom { lba, .. } => format!("write at sector {lba}"),
        DiskOp::Discard { .. } => "discard".into(),
        DiskOp::Flush | DiskOp::Eject => "flush".into(),
    }
}

fn mend(e: &io::Error) -> &'static str {
    if OnError::full(e) { "make room on the host" } else { "mend the cause" }
}

fn sectors(ranges: &[Range<u32>]) -> u64 {
    ranges.iter().map(|r| r.len() as u64).sum::<u64>() / 512
}

fn within(disk: &dyn Disk, lba: u64, count: u64) -> Result<(), Failure> {
    match lba.checked_add(count) {
        Some(end) if end <= disk.sectors() => Ok(()),
        _ => Err(Failure::Fault(DiskFault::Range)),
    }
}
