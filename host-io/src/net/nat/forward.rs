//! Ports of the host that lead to the guest.
//!
//! To the guest it is the gateway that calls. Connections wait in the host's backlog until the guest has an address.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use super::env::{Env, GATEWAY};
use super::error::NetError;
use super::options::{Forward, Protocol};
use super::tcp::Tcp;
use super::waiter::{Owner, Waiter};

/// Callers of one UDP port; the one that is silent for longest goes.
const CALLERS: usize = 256;
const IDLE: Duration = Duration::from_secs(300);

struct Caller {
    host: SocketAddr,
    /// The gateway's port that it has for the guest.
    alias: u16,
    last: Instant,
}

enum Socket {
    Tcp(mio::net::TcpListener),
    Udp(mio::net::UdpSocket, Vec<Caller>),
}

struct Port {
    guest: u16,
    socket: Socket,
    readable: bool,
    /// The host could not give a socket: its backlog is looked at again in a while.
    stuck: bool,
}

pub(super) struct Forwards {
    ports: Vec<Port>,
    scratch: Vec<u8>,
}

impl Forwards {
    pub(super) fn new(forwards: &[Forward], waiter: Option<&Waiter>) -> Result<Self, NetError> {
        let mut ports = Vec::new();
        for &forward in forwards {
            let Some(waiter) = waiter else { break };
            let failed = |source: io::Error| match source.kind() {
                io::ErrorKind::AddrInUse => NetError::InUse { forward },
                io::ErrorKind::PermissionDenied => NetError::Privileged { forward },
                io::ErrorKind::AddrNotAvailable => NetError::NotOurs { forward },
                _ => NetError::Forward { forward, source },
            };
            let socket = open(forward, waiter, Owner::Forward(ports.len())).map_err(failed)?;
            ports.push(Port { guest: forward.guest, socket, readable: true, stuck: false });
        }
        Ok(Self { ports, scratch: vec![0; 65536] })
    }

    pub(super) fn ready(&mut self, i: usize) {
        if let Some(p) = self.ports.get_mut(i) {
            p.readable = true;
        }
    }

    /// Takes one caller or datagram of each port; true: there may be more.
    pub(super) fn pump(&mut self, env: &mut Env, tcp: &mut Tcp) -> bool {
        let mut again = false;
        let Some(guest) = env.guest else { return false };
        for port in self.ports.iter_mut().filter(|p| p.readable) {
            let to = SocketAddrV4::new(guest, port.guest);
            let more = match &mut port.socket {
                Socket::Tcp(listener) => {
                    listener.accept().map(|(stream, from)| tcp.call(env, to, from.port(), stream))
                }
                Socket::Udp(socket, callers) => socket.recv_from(&mut self.scratch).map(|(n, from)| {
                    let alias = alias(callers, from, env.now);
                    env.udp(SocketAddrV4::new(GATEWAY, alias), to, &self.scratch[..n]);
                }),
            };
            match more {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => port.readable = false,
                // A caller that left again, or an answer that was refused.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) => {
                    if !std::mem::replace(&mut env.complained, true) {
                        tracing::warn!("network: a forwarded port: {e}; more of these are not told");
                    }
                    (port.readable, port.stuck) = (false, true);
                }
                Ok(()) => {}
            }
            again |= port.readable;
        }
        again
    }

    /// Time passed; true: a port is to be looked at again.
    pub(super) fn tick(&mut self) -> bool {
        let mut any = false;
        for p in self.ports.iter_mut().filter(|p| p.stuck) {
            (p.readable, p.stuck, any) = (true, false, true);
        }
        any
    }

    /// Somebody may have waited for the guest to have an address.
    pub(super) fn is_waiting(&self, env: &Env) -> bool {
        env.guest.is_some() && self.ports.iter().any(|p| p.readable)
    }

    /// Is this the guest's answer to a caller? Then it is sent.
    pub(super) fn answer(&mut self, env: &Env, from: SocketAddrV4, to: u16, data: &[u8]) -> bool {
        for port in self.ports.iter_mut().filter(|p| p.guest == from.port()) {
            if let Socket::Udp(socket, callers) = &mut port.socket
                && let Some(c) = callers.iter_mut().find(|c| c.alias == to)
            {
                c.last = env.now;
                let _ = socket.send_to(data, c.host);
                return true;
            }
        }
        false
    }
}

fn open(forward: Forward, waiter: &Waiter, owner: Owner) -> io::Result<Socket> {
    match forward.protocol {
        Protocol::Tcp => {
            let l = TcpListener::bind(forward.host)?;
            l.set_nonblocking(true)?;
            let mut l = mio::net::TcpListener::from_std(l);
            waiter.watch(&mut l, owner)?;
            Ok(Socket::Tcp(l))
        }
        Protocol::Udp => {
            let s = UdpSocket::bind(forward.host)?;
            s.set_nonblocking(true)?;
            let mut s = mio::net::UdpSocket::from_std(s);
            waiter.watch(&mut s, owner)?;
            Ok(Socket::Udp(s, Vec::new()))
        }
    }
}

/// The gateway's port by which a caller is known: its own, or one near it.
fn alias(callers: &mut Vec<Caller>, host: SocketAddr, now: Instant) -> u16 {
    if let Some(c) = callers.iter_mut().find(|c| c.host == host) {
        c.last = now;
        return c.alias;
    }
    callers.retain(|c| now.duration_since(c.last) < IDLE);
    if callers.len() >= CALLERS
        && let Some(oldest) = (0..callers.len()).min_by_key(|&i| callers[i].last)
    {
        callers.swap_remove(oldest);
    }
    // The gateway has services of its own below.
    let free = |p: &u16| *p >= 1024 && callers.iter().all(|c| c.alias != *p);
    let alias = (0..=u16::MAX).map(|i| host.port().wrapping_add(i)).find(free).unwrap_or(u16::MAX);
    callers.push(Caller { host, alias, last: now });
    alias
}
