//! The far ends of COM ports: the terminal, a file, a Unix socket, a TCP port.
//!
//! Output never blocks the machine: it goes through a bounded queue to a writer thread; when the other end
//! does not read for long, the oldest bytes are dropped and the loss is logged once. A port that goes delivers what
//! is queued, unless the other end does not take it. A socket's port has its modem inputs on while somebody is
//! connected; an input without bytes says that this changed.

mod expect;
mod socket;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use board::{ParallelPort, SerialPort};

pub use self::expect::Expect;

/// Gets what the other end typed; nothing when somebody came to the other end or left it.
pub type Input = Arc<dyn Fn(Vec<u8>) + Send + Sync>;

/// Why a port could not be opened: one line, with the mend.
#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    #[error("cannot create output file {path}: {source}; check that its directory exists and is writable")]
    File { path: PathBuf, source: io::Error },
    #[error("output file {path} is in use by a machine; choose another file")]
    FileInUse { path: PathBuf },
    #[error("serial port {at} is in use: another program listens there; choose another, or end that program")]
    InUse { at: String },
    #[error("serial port {path} cannot be made: there is a file of that name; choose another, or remove it")]
    Taken { path: PathBuf },
    #[error("cannot make serial port {path}: {source}; check that its directory exists and is writable")]
    Unix { path: PathBuf, source: io::Error },
    #[error(
        "cannot listen on {at} for a serial port: {source}; use an address of this host, as in 127.0.0.1:4000"
    )]
    Tcp { at: String, source: io::Error },
    #[error("cannot start a thread for a serial port: {0}; the host has too many processes")]
    Thread(io::Error),
}

/// More than any guest prints while a terminal is away for a moment.
const QUEUE: usize = 1 << 20;
/// How long a port that goes waits for the other end to take what is queued.
const LINGER: Duration = Duration::from_secs(3);

#[derive(Default)]
struct Queue {
    bytes: VecDeque<u8>,
    closed: bool,
    /// The writer has written everything.
    done: bool,
    lossy: bool,
}

/// Bytes on their way to a writer thread.
#[derive(Clone, Default)]
struct Outbox {
    inner: Arc<(Mutex<Queue>, Condvar)>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, byte: u8) {
        let mut q = self.lock();
        if q.bytes.len() >= QUEUE {
            q.bytes.pop_front();
            if !std::mem::replace(&mut q.lossy, true) {
                tracing::warn!("a serial port's other end does not read; output is lost");
            }
        }
        q.bytes.push_back(byte);
        if q.bytes.len() == 1 {
            self.inner.1.notify_one();
        }
    }

    /// Waits for bytes; None when the port is gone and everything was taken.
    fn take(&self) -> Option<Vec<u8>> {
        let mut q = self.lock();
        while q.bytes.is_empty() {
            if q.closed {
                return None;
            }
            q = self.inner.1.wait(q).unwrap_or_else(PoisonError::into_inner);
        }
        q.lossy = false;
        Some(q.bytes.drain(..).collect())
    }

    fn finish(&self) {
        self.lock().done = true;
        self.inner.1.notify_all();
    }

    /// No more will come. Waits until everything is written, at most so long.
    fn close(&self, patience: Duration) -> bool {
        let mut q = self.lock();
        q.closed = true;
        self.inner.1.notify_all();
        let waited = self.inner.1.wait_timeout_while(q, patience, |q| !q.done);
        waited.unwrap_or_else(PoisonError::into_inner).0.done
    }
}

/// A COM port whose output is written by a thread of its own.
pub struct Port {
    out: Outbox,
    writer: Option<JoinHandle<()>>,
    /// Whether somebody is at the other end; `None`: always.
    up: Option<Arc<AtomicBool>>,
    /// Hangs up on the other end, for good.
    hang_up: Option<Box<dyn FnOnce() + Send>>,
}

impl Port {
    fn new(mut write: impl FnMut(&[u8]) + Send + 'static) -> Result<Self, SerialError> {
        let out = Outbox::default();
        let from = out.clone();
        let writer = std::thread::Builder::new()
            .name("serial-out".into())
            .spawn(move || {
                while let Some(bytes) = from.take() {
                    write(&bytes);
                }
                from.finish();
            })
            .map_err(SerialError::Thread)?;
        Ok(Self { out, writer: Some(writer), up: None, hang_up: None })
    }

    /// Standard output, and standard input as it comes. Whoever calls this puts the terminal into raw mode.
    pub fn stdio(input: Input) -> Result<Self, SerialError> {
        reader("serial-stdin", |b| io::stdin().read(b), input, || ())?;
        Self::new(|bytes| {
            let mut o = io::stdout().lock();
            // A closed pipe ends the reader's interest, not the machine.
            let _ = o.write_all(bytes).and_then(|()| o.flush());
        })
    }

    /// A file that is created anew. One that another machine writes, or a disk image in use, is refused.
    pub fn file(path: &Path) -> Result<Self, SerialError> {
        let mut f = create(path)?;
        let name = path.to_owned();
        let mut failed = false;
        Self::new(move |bytes| {
            if let Err(e) = f.write_all(bytes)
                && !std::mem::replace(&mut failed, true)
            {
                tracing::error!("output file {}: {e}", name.display());
            }
        })
    }
}

fn create(path: &Path) -> Result<File, SerialError> {
    let failed = |source| SerialError::File { path: path.into(), source };
    // Emptied only once the lock is ours.
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    // Pipes and terminals may be shared, and have no length.
    if file.metadata().map_err(failed)?.is_file() {
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(SerialError::FileInUse { path: path.into() });
        }
        file.set_len(0).map_err(failed)?;
    }
    Ok(file)
}

/// Passes on what `read` brings, until it brings nothing more.
fn pass_on(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>, input: &Input) {
    let mut b = [0; 4096];
    loop {
        match read(&mut b) {
            Ok(0) => return,
            Ok(n) => input(b[..n].to_vec()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// A thread that does so, and then calls `ended`.
fn reader(
    name: &str,
    read: impl FnMut(&mut [u8]) -> io::Result<usize> + Send + 'static,
    input: Input,
    ended: impl FnOnce() + Send + 'static,
) -> Result<(), SerialError> {
    let run = move || {
        pass_on(read, &input);
        ended();
    };
    std::thread::Builder::new().name(name.into()).spawn(run).map(drop).map_err(SerialError::Thread)
}

/// A printer that writes what it prints, as with [`Port::file`].
impl ParallelPort for Port {
    fn strobe(&mut self, byte: u8) {
        self.out.push(byte);
    }
}

impl SerialPort for Port {
    fn send(&mut self, byte: u8) {
        self.out.push(byte);
    }

    fn connected(&self) -> bool {
        self.up.as_ref().is_none_or(|up| up.load(Ordering::Relaxed))
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut done = self.out.close(LINGER);
        if let Some(hang_up) = self.hang_up.take() {
            hang_up();
            // A writer that waited for the other end fails now.
            done = done || self.out.close(LINGER);
        }
        match self.writer.take() {
            Some(w) if done => drop(w.join()),
            _ => tracing::warn!("a serial port's other end does not read; its last output is lost"),
        }
    }
}

#[cfg(test)]
mod tests;
