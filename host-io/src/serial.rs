//! The far ends of COM ports: the terminal, a file, a Unix socket, a TCP port.
//!
//! Output never blocks the machine: it goes through a bounded queue to a writer thread; when the other end
//! does not read for long, the oldest bytes are dropped and the loss is logged once.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use board::SerialPort;

/// Gets what the other end typed.
pub type Input = Arc<dyn Fn(Vec<u8>) + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    #[error("cannot create serial output file {path}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen on {at} for a serial port (is it in use by another program?)")]
    Listen {
        at: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot start a thread for a serial port")]
    Thread(#[source] io::Error),
}

/// More than any guest prints while a terminal is away for a moment.
const QUEUE: usize = 1 << 20;

#[derive(Default)]
struct Queue {
    bytes: VecDeque<u8>,
    closed: bool,
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

    fn close(&self) {
        self.lock().closed = true;
        self.inner.1.notify_one();
    }
}

/// A COM port whose output is written by a thread of its own.
pub struct Port {
    out: Outbox,
    writer: Option<std::thread::JoinHandle<()>>,
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
            })
            .map_err(SerialError::Thread)?;
        Ok(Self { out, writer: Some(writer) })
    }

    /// Standard output, and standard input as it comes. Whoever calls this puts the terminal into raw mode.
    pub fn stdio(input: Input) -> Result<Self, SerialError> {
        reader("serial-stdin", io::stdin(), input)?;
        Self::new(|bytes| {
            let mut o = io::stdout().lock();
            // A closed pipe ends the reader's interest, not the machine.
            let _ = o.write_all(bytes).and_then(|()| o.flush());
        })
    }

    /// A file that is created anew.
    pub fn file(path: &Path) -> Result<Self, SerialError> {
        let mut f: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(|source| SerialError::File { path: path.into(), source })?;
        let name = path.to_owned();
        let mut failed = false;
        Self::new(move |bytes| {
            if let Err(e) = f.write_all(bytes)
                && !std::mem::replace(&mut failed, true)
            {
                tracing::error!("serial output file {}: {e}", name.display());
            }
        })
    }

    /// A Unix socket at `path`; one peer at a time, a new one takes the place of the last.
    pub fn unix(path: &Path, input: Input) -> Result<Self, SerialError> {
        let listener = UnixListener::bind(path)
            .map_err(|source| SerialError::Listen { at: path.display().to_string(), source })?;
        let file = Unlink(path.to_owned());
        Self::socket(input, move || {
            let _keep = &file;
            let (s, _) = listener.accept()?;
            Ok((s.try_clone()?, s))
        })
    }

    /// A TCP port; one peer at a time.
    pub fn tcp(address: &str, input: Input) -> Result<Self, SerialError> {
        let listener = TcpListener::bind(address)
            .map_err(|source| SerialError::Listen { at: address.into(), source })?;
        Self::socket(input, move || {
            let (s, _) = listener.accept()?;
            s.set_nodelay(true)?;
            Ok((s.try_clone()?, s))
        })
    }

    fn socket<S: Peer>(
        input: Input,
        accept: impl Fn() -> io::Result<(S, S)> + Send + 'static,
    ) -> Result<Self, SerialError> {
        let peer: Arc<Mutex<Option<S>>> = Arc::default();
        let current = peer.clone();
        std::thread::Builder::new()
            .name("serial-accept".into())
            .spawn(move || {
                while let Ok((read, write)) = accept() {
                    if let Some(old) = current.lock().unwrap_or_else(PoisonError::into_inner).replace(write) {
                        old.hang_up();
                    }
                    if reader("serial-in", read, input.clone()).is_err() {
                        return;
                    }
                }
            })
            .map_err(SerialError::Thread)?;
        Self::new(move |bytes| {
            let mut p = peer.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(s) = p.as_mut()
                && s.write_all(bytes).is_err()
            {
                *p = None;
            }
        })
    }
}

/// A connected stream that can be ended from another thread.
trait Peer: Read + Write + Send + 'static {
    fn hang_up(&self);
}

impl Peer for UnixStream {
    fn hang_up(&self) {
        let _ = self.shutdown(std::net::Shutdown::Both);
    }
}

impl Peer for TcpStream {
    fn hang_up(&self) {
        let _ = self.shutdown(std::net::Shutdown::Both);
    }
}

/// Removes a socket's file when its port goes.
struct Unlink(PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn reader(name: &str, mut from: impl Read + Send + 'static, input: Input) -> Result<(), SerialError> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || {
            let mut b = [0; 4096];
            while let Ok(n) = from.read(&mut b) {
                if n == 0 {
                    return;
                }
                input(b[..n].to_vec());
            }
        })
        .map(drop)
        .map_err(SerialError::Thread)
}

impl SerialPort for Port {
    fn send(&mut self, byte: u8) {
        self.out.push(byte);
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.out.close();
        if let Some(w) = self.writer.take() {
            let _ = w.join();
        }
    }
}

/// Passes a port's output on and looks for a text in it.
pub struct Expect {
    inner: Option<Box<dyn SerialPort>>,
    want: Vec<u8>,
    matched: usize,
    found: Option<Box<dyn FnOnce() + Send>>,
}

impl Expect {
    /// Calls `found` once when `want` came. `inner` may be missing: then output is only looked at.
    pub fn new(inner: Option<Box<dyn SerialPort>>, want: &str, found: Box<dyn FnOnce() + Send>) -> Self {
        Self { inner, want: want.as_bytes().to_vec(), matched: 0, found: Some(found) }
    }
}

impl SerialPort for Expect {
    fn send(&mut self, byte: u8) {
        if let Some(p) = &mut self.inner {
            p.send(byte);
        }
        if self.found.is_none() {
            return;
        }
        // The longest beginning of `want` that ends here.
        let mut seen = self.want[..self.matched].to_vec();
        seen.push(byte);
        while !self.want.starts_with(&seen) {
            seen.remove(0);
        }
        self.matched = seen.len();
        if self.matched == self.want.len()
            && let Some(f) = self.found.take()
        {
            f();
        }
    }

    fn modem(&mut self, dtr: bool, rts: bool) {
        if let Some(p) = &mut self.inner {
            p.modem(dtr, rts);
        }
    }

    fn connected(&self) -> bool {
        self.inner.as_ref().is_none_or(|p| p.connected())
    }
}

#[cfg(test)]
mod tests;
