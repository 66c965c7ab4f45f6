//! Ports that listen on a socket: one peer at a time, a new one takes the place of the last.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Input, Port, SerialError, reader};

/// A connected stream that one thread reads, another writes and a third ends.
trait Peer: Send + Sync + 'static {
    fn receive(&self, b: &mut [u8]) -> io::Result<usize>;
    fn deliver(&self, b: &[u8]) -> io::Result<()>;
    fn hang_up(&self);
}

macro_rules! peer {
    ($stream:ty) => {
        impl Peer for $stream {
            fn receive(&self, b: &mut [u8]) -> io::Result<usize> {
                (&mut &*self).read(b)
            }
            fn deliver(&self, b: &[u8]) -> io::Result<()> {
                (&mut &*self).write_all(b)
            }
            fn hang_up(&self) {
                // One that has gone already is as good.
                let _ = self.shutdown(Shutdown::Both);
            }
        }
    };
}
peer!(UnixStream);
peer!(TcpStream);

/// What the threads of a port share.
struct Line<S> {
    peer: Mutex<Option<Arc<S>>>,
    stop: AtomicBool,
}

impl<S: Peer> Line<S> {
    fn peer(&self) -> MutexGuard<'_, Option<Arc<S>>> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, accept: impl Fn() -> io::Result<S>, input: &Input) {
        loop {
            let got = accept();
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let talk = |s: S| {
                let s = Arc::new(s);
                if let Some(old) = self.peer().replace(s.clone()) {
                    old.hang_up();
                }
                reader("serial-in", move |b| s.receive(b), input.clone()).map_err(io::Error::other)
            };
            if let Err(e) = got.and_then(talk) {
                // Out of file handles or threads, or a peer that left at once.
                tracing::warn!("serial port: accept: {e}");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// Not under the lock: a new peer may take the place of one that does not read.
    fn deliver(&self, bytes: &[u8]) {
        let Some(s) = self.peer().clone() else { return };
        if s.deliver(bytes).is_err() {
            let mut now = self.peer();
            if now.as_ref().is_some_and(|n| Arc::ptr_eq(n, &s)) {
                *now = None;
            }
        }
    }
}

impl Port {
    /// A Unix socket at `path`, which is removed with the port.
    pub fn unix(path: &Path, input: Input) -> Result<Self, SerialError> {
        let listener = bind(path)?;
        let file = path.to_owned();
        let knock = move || {
            let heard = UnixStream::connect(&file).is_ok();
            let _ = std::fs::remove_file(&file);
            heard
        };
        Self::listen(input, move || listener.accept().map(|(s, _)| s), knock)
    }

    /// A TCP port.
    pub fn tcp(address: &str, input: Input) -> Result<Self, SerialError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => SerialError::InUse { at: address.into() },
            _ => SerialError::Tcp { at: address.into(), source },
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let mut at = listener.local_addr().map_err(failed)?;
        match at.ip() {
            ip if !ip.is_unspecified() => {}
            IpAddr::V4(_) => at.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(_) => at.set_ip(Ipv6Addr::LOCALHOST.into()),
        }
        let accept = move || {
            let (s, _) = listener.accept()?;
            s.set_nodelay(true)?;
            Ok(s)
        };
        Self::listen(input, accept, move || TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_ok())
    }

    /// `knock` takes the listening thread out of `accept`, and says whether it could.
    fn listen<S: Peer>(
        input: Input,
        accept: impl Fn() -> io::Result<S> + Send + 'static,
        knock: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<Self, SerialError> {
        let line = Arc::new(Line { peer: Mutex::new(None), stop: AtomicBool::new(false) });
        let shared = line.clone();
        let mut port = Self::new(move |bytes| shared.deliver(bytes))?;
        let shared = line.clone();
        let listening = std::thread::Builder::new()
            .name("serial-accept".into())
            .spawn(move || shared.accept(accept, &input))
            .map_err(SerialError::Thread)?;
        port.hang_up = Some(Box::new(move || {
            line.stop.store(true, Ordering::Relaxed);
            if knock() {
                drop(listening.join());
            }
            if let Some(s) = line.peer().take() {
                s.hang_up();
            }
        }));
        Ok(port)
    }
}

/// A socket that a process left behind when it was killed is nobody's.
fn bind(path: &Path) -> Result<UnixListener, SerialError> {
    let bound = match UnixListener::bind(path) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            if std::fs::symlink_metadata(path).is_ok_and(|m| !m.file_type().is_socket()) {
                return Err(SerialError::Taken { path: path.into() });
            }
            match UnixStream::connect(path) {
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).and_then(|()| UnixListener::bind(path))
                }
                _ => return Err(SerialError::InUse { at: path.display().to_string() }),
            }
        }
        bound => bound,
    };
    bound.map_err(|source| SerialError::Unix { path: path.into(), source })
}
