//! Disk jobs: on a thread per disk, or at once when the run must be repeatable.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use board::{Disk, DiskDone, DiskFault, DiskJob, DiskOp, HostEvent, SlotId};

use crate::mailbox::{Mailbox, Message};

/// What serves one drive's jobs.
enum Worker {
    /// Jobs run inside `submit`; the machine delivers the answer at a fixed guest time.
    Inline(Box<dyn Disk>),
    Thread {
        jobs: Sender<(SlotId, DiskJob)>,
        thread: Option<JoinHandle<()>>,
    },
}

/// All drives of the machine, by controller and the controller's own unit number.
pub(crate) struct Disks {
    units: BTreeMap<(SlotId, u8), Worker>,
    mailbox: Mailbox,
    inline: bool,
}

impl Disks {
    pub(crate) fn new(mailbox: Mailbox, inline: bool) -> Self {
        Self { units: BTreeMap::new(), mailbox, inline }
    }

    /// Puts a disk behind a drive.
    pub(crate) fn insert(&mut self, slot: SlotId, unit: u8, disk: Box<dyn Disk>) -> std::io::Result<()> {
        let worker =
            if self.inline { Worker::Inline(disk) } else { spawn(unit, disk, self.mailbox.clone())? };
        self.units.insert((slot, unit), worker);
        Ok(())
    }

    /// Lets go of the disk behind a drive, once what is queued for it is done.
    pub(crate) fn remove(&mut self, slot: SlotId, unit: u8) {
        self.units.remove(&(slot, unit));
    }

    /// Runs or queues a job. Some: the answer, to be delivered by the caller.
    pub(crate) fn submit(&mut self, slot: SlotId, job: DiskJob) -> Option<DiskDone> {
        let fault = |job: &DiskJob, f| Some(DiskDone { unit: job.unit, tag: job.tag, result: Err(f) });
        match self.units.get_mut(&(slot, job.unit)) {
            None => fault(&job, DiskFault::Absent),
            Some(_) if job.op == DiskOp::Eject => {
                self.units.remove(&(slot, job.unit));
                Some(DiskDone { unit: job.unit, tag: job.tag, result: Ok(Vec::new()) })
            }
            Some(Worker::Inline(d)) => Some(serve(d.as_mut(), job)),
            Some(Worker::Thread { jobs, .. }) => match jobs.send((slot, job)) {
                Ok(()) => None,
                Err(mpsc::SendError((_, job))) => fault(&job, DiskFault::Io),
            },
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Self::Thread { jobs, thread } = self {
            // Closing the queue ends the thread after what is queued: accepted writes reach the image.
            let (closed, _) = mpsc::channel();
            *jobs = closed;
            if let Some(t) = thread.take()
                && t.join().is_err()
            {
                tracing::error!("a disk thread panicked");
            }
        }
    }
}

fn spawn(unit: u8, mut disk: Box<dyn Disk>, mailbox: Mailbox) -> std::io::Result<Worker> {
    let (jobs, queue) = mpsc::channel::<(SlotId, DiskJob)>();
    let thread = std::thread::Builder::new().name(format!("disk{unit}")).spawn(move || {
        while let Ok((slot, job)) = queue.recv() {
            let done = serve(disk.as_mut(), job);
            mailbox.send(Message::Chip(slot, HostEvent::Disk(done)));
        }
        if !disk.read_only()
            && let Err(e) = disk.flush()
        {
            tracing::error!("disk {unit}: the last flush failed: {e}");
        }
    })?;
    Ok(Worker::Thread { jobs, thread: Some(thread) })
}

fn serve(disk: &mut dyn Disk, job: DiskJob) -> DiskDone {
    let DiskJob { unit, tag, op } = job;
    let result = match op {
        DiskOp::Read { lba, count } => within(disk, lba, u64::from(count)).and_then(|()| {
            let mut b = vec![0; count as usize * 512];
            host(unit, "read", lba, disk.read(lba, &mut b)).map(|()| b)
        }),
        DiskOp::Write { .. } if disk.read_only() => Err(DiskFault::ReadOnly),
        DiskOp::Write { lba, data } => within(disk, lba, data.len() as u64 / 512)
            .and_then(|()| host(unit, "write", lba, disk.write(lba, &data)))
            .map(|()| Vec::new()),
        DiskOp::Flush if disk.read_only() => Ok(Vec::new()),
        DiskOp::Flush => host(unit, "flush", 0, disk.flush()).map(|()| Vec::new()),
        DiskOp::Eject => Ok(Vec::new()),
    };
    DiskDone { unit, tag, result }
}

fn within(disk: &dyn Disk, lba: u64, count: u64) -> Result<(), DiskFault> {
    match lba.checked_add(count) {
        Some(end) if end <= disk.sectors() => Ok(()),
        _ => Err(DiskFault::Range),
    }
}

fn host(unit: u8, what: &str, lba: u64, r: std::io::Result<()>) -> Result<(), DiskFault> {
    r.map_err(|e| {
        tracing::error!("disk {unit}: {what} at sector {lba} failed: {e}");
        DiskFault::Io
    })
}
