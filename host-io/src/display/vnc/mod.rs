//! A VNC server: RFB 3.3, 3.7 and 3.8 (RFC 6143), any number of viewers.
//!
//! - `handshake.rs`: versions, security types None and VNC Authentication (`auth.rs`), initialisation.
//! - `message.rs`: what clients send, parsed from bytes ([`parse_client_message`]).
//! - `pixel.rs`, `encode/`: pixel formats; Raw, Hextile and ZRLE.
//! - `client.rs`: two threads for each client: one reads messages, one sends what changed when it was asked to.
//!
//! Viewers that ask for it (QEMU LED State) are told which lamps of the keyboard are lit. The guest draws its own cursor, so none is sent. Clipboard text is read and dropped. VNC passwords are eight
//! characters and the traffic is plain: listen on this host alone, or behind a tunnel.

mod auth;
mod client;
mod encode;
mod handshake;
mod message;
mod pixel;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Frame;
use crate::input::InputSink;

pub use message::{ClientMessage, Malformed, parse_client_message};
pub use pixel::PixelFormat;

/// More viewers than this are turned away.
const MOST_CLIENTS: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum VncError {
    #[error("VNC address {address} is in use: another machine or program listens there; choose another port")]
    InUse { address: SocketAddr },
    #[error(
        "cannot listen for VNC viewers on {address}: {source}; use an address of this host, as in 127.0.0.1:5900"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error("{text:?} is no VNC address; use HOST:PORT, HOST:DISPLAY or :DISPLAY")]
    Address { text: String },
}

/// An address that is ours, on which nobody is answered yet.
pub struct VncListener {
    socket: TcpListener,
    address: SocketAddr,
}

impl VncListener {
    pub fn bind(address: SocketAddr) -> Result<Self, VncError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => VncError::InUse { address },
            _ => VncError::Listen { address, source },
        };
        let socket = TcpListener::bind(address).map_err(failed)?;
        // With port 0 asked for, the port that was given.
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }
}

/// How to serve.
pub struct VncConfig {
    pub listener: VncListener,
    /// Viewers must know it; only the first eight bytes count.
    pub password: Option<String>,
    /// The title of viewers' windows.
    pub name: String,
}

/// Reads `HOST:PORT`; a port below 100 is a display, counted from 5900; no host is this host alone.
pub fn parse_address(text: &str) -> Result<SocketAddr, VncError> {
    let bad = || VncError::Address { text: text.into() };
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port: u16 = port.parse().map_err(|_| bad())?;
    let port = if port < 100 { 5900 + port } else { port };
    if host.is_empty() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    (host, port).to_socket_addrs().ok().and_then(|mut a| a.next()).ok_or_else(bad)
}

/// What the threads of a server share.
struct Service {
    frame: Frame,
    input: InputSink,
    password: Option<String>,
    name: String,
    stop: AtomicBool,
    /// Sockets of live clients, to hang up on.
    clients: Mutex<BTreeMap<u64, TcpStream>>,
}

impl Service {
    fn clients(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server; dropping it hangs up on all viewers.
pub struct VncServer {
    address: SocketAddr,
    service: Arc<Service>,
    listener: Option<JoinHandle<()>>,
}

impl VncServer {
    pub fn start(config: VncConfig, frame: Frame, input: InputSink) -> Result<Self, VncError> {
        let VncListener { socket, address } = config.listener;
        let service = Arc::new(Service {
            frame,
            input,
            password: config.password,
            name: config.name,
            stop: AtomicBool::new(false),
            clients: Mutex::new(BTreeMap::new()),
        });
        let shared = service.clone();
        let listener = std::thread::Builder::new()
            .name("vnc".into())
            .spawn(move || accept(&socket, &shared))
            .map_err(|source| VncError::Listen { address, source })?;
        Ok(Self { address, service, listener: Some(listener) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn clients(&self) -> usize {
        self.service.clients().len()
    }
}

impl Drop for VncServer {
    fn drop(&mut self) {
        self.service.stop.store(true, Ordering::Relaxed);
        // A connection of our own takes the listener out of `accept`.
        let mut knock = self.address;
        match knock.ip() {
            ip if !ip.is_unspecified() => {}
            IpAddr::V4(_) => knock.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            IpAddr::V6(_) => knock.set_ip(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        }
        let heard = TcpStream::connect_timeout(&knock, Duration::from_secs(1)).is_ok();
        if let Some(l) = self.listener.take().filter(|_| heard) {
            drop(l.join());
        }
        // Nobody joins any more: all that are here can be hung up on.
        for socket in self.service.clients().values() {
            // One that has gone already is as good.
            drop(socket.shutdown(Shutdown::Both));
        }
        self.service.frame.poke();
    }
}

fn accept(socket: &TcpListener, service: &Arc<Service>) {
    let mut next = 0;
    loop {
        let got = socket.accept();
        if service.stop.load(Ordering::Relaxed) {
            return;
        }
        let (stream, peer) = match got {
            Ok(c) => c,
            Err(e) => {
                // Out of file handles, or a client that left at once.
                tracing::warn!("vnc: accept: {e}");
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let Ok(copy) = stream.try_clone() else { continue };
        let mut clients = service.clients();
        if clients.len() >= MOST_CLIENTS {
            tracing::warn!("vnc: {peer} turned away: {MOST_CLIENTS} viewers are connected");
            continue;
        }
        next += 1;
        let id = next;
        clients.insert(id, copy);
        drop(clients);
        let shared = service.clone();
        let run = std::thread::Builder::new().name(format!("vnc-{id}")).spawn(move || {
            if let Err(e) = client::serve(stream, &shared) {
                tracing::info!("vnc: {peer}: {e}");
            }
            shared.clients().remove(&id);
        });
        if let Err(e) = run {
            tracing::warn!("vnc: no thread for {peer}: {e}");
            service.clients().remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
