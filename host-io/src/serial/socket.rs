//! Ports on a socket. They listen: one peer at a time, a new one takes the place of the last. Or they connect, and
//! when nobody listens, or who did has left, they try again each second.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Input, Port, SerialError, pass_on, reader};

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

/// Between two tries to connect, and how long one may take.
const AGAIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// What the threads of a port share.
struct Line<S> {
    peer: Mutex<Option<Arc<S>>>,
    /// There is a peer.
    up: Arc<AtomicBool>,
    stop: AtomicBool,
    input: Input,
}

impl<S: Peer> Line<S> {
    fn new(input: Input) -> Arc<Self> {
        Arc::new(Self { peer: Mutex::new(None), up: Arc::default(), stop: AtomicBool::new(false), input })
    }

    fn peer(&self) -> MutexGuard<'_, Option<Arc<S>>> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The guest's modem inputs follow.
    fn set_up(&self, up: bool) {
        if self.up.swap(up, Ordering::Relaxed) != up {
            (self.input)(Vec::new());
        }
    }

    /// Somebody is at the other end.
    fn came(&self, s: &Arc<S>) {
        if let Some(old) = self.peer().replace(s.clone()) {
            old.hang_up();
        }
        self.set_up(true);
    }

    /// He has left, if he was the last.
    fn left(&self, s: &Arc<S>) {
        let mut now = self.peer();
        if now.as_ref().is_some_and(|n| Arc::ptr_eq(n, s)) {
            *now = None;
            drop(now);
            self.set_up(false);
        }
    }

    fn accept(self: &Arc<Self>, accept: impl Fn() -> io::Result<S>) {
        loop {
            let got = accept();
            if self.stopped() {
                return;
            }
            let talk = |s: S| {
                let s = Arc::new(s);
                self.came(&s);
                let (line, gone) = (self.clone(), s.clone());
                let from = s.clone();
                reader("serial-in", move |b| from.receive(b), self.input.clone(), move || line.left(&gone))
                    .inspect_err(|_| self.left(&s))
                    .map_err(io::Error::other)
            };
            if let Err(e) = got.and_then(talk) {
                // Out of file handles or threads, or a peer that left at once.
                tracing::warn!("serial port: accept: {e}");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    fn dial(&self, at: &str, connect: impl Fn() -> io::Result<S>) {
        let mut told = false;
        while !self.stopped() {
            match connect() {
                Ok(s) => {
                    told = false;
                    let s = Arc::new(s);
                    self.came(&s);
                    pass_on(|b| s.receive(b), &self.input);
                    self.left(&s);
                }
                Err(e) if !std::mem::replace(&mut told, true) => {
                    tracing::warn!("serial port {at}: {e}; trying again each second");
                }
                Err(_) => {}
            }
            let end = Instant::now() + AGAIN;
            while !self.stopped() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Not under the lock: a new peer may take the place of one that does not read.
    fn deliver(&self, bytes: &[u8]) {
        let Some(s) = self.peer().clone() else { return };
        if s.deliver(bytes).is_err() {
            // The reader sees it too, and tells.
            s.hang_up();
        }
    }

    /// No more peers; the one that is there is hung up on.
    fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(s) = self.peer().take() {
            s.hang_up();
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

    /// What listens on the Unix socket at `path`, now or later.
    pub fn unix_connect(path: &Path, input: Input) -> Result<Self, SerialError> {
        let at = path.to_owned();
        Self::connect(path.display().to_string(), input, move || UnixStream::connect(&at))
    }

    /// What listens on a TCP port, now or later.
    pub fn tcp_connect(address: &str, input: Input) -> Result<Self, SerialError> {
        let to = address.to_owned();
        Self::connect(address.into(), input, move || {
            let mut failed = io::ErrorKind::NotFound.into();
            for at in to.to_socket_addrs()? {
                match TcpStream::connect_timeout(&at, PATIENCE) {
                    Ok(s) => return s.set_nodelay(true).map(|()| s),
                    Err(e) => failed = e,
                }
            }
            Err(failed)
        })
    }

    fn connect<S: Peer>(
        at: String,
        input: Input,
        connect: impl Fn() -> io::Result<S> + Send + 'static,
    ) -> Result<Self, SerialError> {
        let line = Line::new(input);
        let mut port = Self::on(&line)?;
        let shared = line.clone();
        std::thread::Builder::new()
            .name("serial-dial".into())
            .spawn(move || shared.dial(&at, connect))
            .map_err(SerialError::Thread)?;
        // The thread may be waiting for somebody far away; it ends by itself.
        port.hang_up = Some(Box::new(move || line.end()));
        Ok(port)
    }

    /// A port whose output goes to whoever is on the line.
    fn on<S: Peer>(line: &Arc<Line<S>>) -> Result<Self, SerialError> {
        let shared = line.clone();
        let mut port = Self::new(move |bytes| shared.deliver(bytes))?;
        port.up = Some(line.up.clone());
        Ok(port)
    }

    /// `knock` takes the listening thread out of `accept`, and says whether it could.
    fn listen<S: Peer>(
        input: Input,
        accept: impl Fn() -> io::Result<S> + Send + 'static,
        knock: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<Self, SerialError> {
        let line = Line::new(input);
        let mut port = Self::on(&line)?;
        let shared = line.clone();
        let listening = std::thread::Builder::new()
            .name("serial-accept".into())
            .spawn(move || shared.accept(accept))
            .map_err(SerialError::Thread)?;
        port.hang_up = Some(Box::new(move || {
            line.stop.store(true, Ordering::Relaxed);
            if knock() {
                drop(listening.join());
            }
            line.end();
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
