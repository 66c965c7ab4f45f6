//! UDP: a socket of the host for each port from which the guest sends.
//!
//! Whoever the guest sent to may answer, from any port of its own (TFTP does); others may not.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;

use super::env::{Env, GATEWAY, Route};
use super::frame::UDP;
use super::icmp::{self, Trouble};
use super::slab::Slab;
use super::waiter::Owner;
use super::{Packet, host_errors};

/// Sources of the guest at a time; the one that is silent for longest goes.
pub(super) const SOURCES: usize = 1024;
const IDLE: Duration = Duration::from_secs(300);
/// Far ends that one source may hear from: those it sent to last.
const PEERS: usize = 64;

struct Source {
    guest: SocketAddrV4,
    socket: UdpSocket,
    last: Instant,
    ttl: u8,
    peers: VecDeque<Ipv4Addr>,
    queued: bool,
}

pub(super) struct Udp {
    sources: Slab<Source>,
    by_guest: HashMap<SocketAddrV4, usize>,
    /// Those that may have something for the guest.
    active: VecDeque<usize>,
    limit: usize,
    scratch: Vec<u8>,
}

impl Udp {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            sources: Slab::new(),
            by_guest: HashMap::new(),
            active: VecDeque::new(),
            limit,
            scratch: vec![0; 65536],
        }
    }

    /// A datagram that is not for the gateway's own services.
    pub(super) fn input(
        &mut self,
        env: &mut Env,
        p: &Packet<'_>,
        from: SocketAddrV4,
        to: SocketAddrV4,
        data: &[u8],
    ) {
        let host = match env.route(*to.ip()) {
            Route::World => to,
            Route::Gateway if env.host => SocketAddrV4::new(Ipv4Addr::LOCALHOST, to.port()),
            // As if nobody listened there.
            Route::Gateway => {
                env.counters.denied.one();
                return icmp::error(env, GATEWAY, Trouble::PORT, p.whole);
            }
            Route::Nobody => return icmp::error(env, GATEWAY, Trouble::HOST, p.whole),
            Route::Denied => {
                env.counters.denied.one();
                return icmp::error(env, GATEWAY, Trouble::FORBIDDEN, p.whole);
            }
            // Windows sends broadcasts all the time.
            Route::Nowhere => return env.counters.ignored.one(),
        };
        let known = self.by_guest.get(&from).copied();
        let Some(source) = known.or_else(|| self.open(env, from)).and_then(|i| self.sources.get_mut(i))
        else {
            return;
        };
        source.last = env.now;
        source.remember(*host.ip());
        if source.ttl != p.ttl && source.socket.set_ttl(u32::from(p.ttl)).is_ok() {
            source.ttl = p.ttl;
        }
        let mut sent = source.socket.send_to(data, host.into());
        if sent.is_err() && source.troubles(env) {
            // That was the error of an earlier one.
            sent = source.socket.send_to(data, host.into());
        }
        if let Some(t) = sent.err().and_then(|e| Trouble::of(&e)) {
            icmp::error(env, GATEWAY, t, p.whole);
        }
    }

    fn open(&mut self, env: &mut Env, guest: SocketAddrV4) -> Option<usize> {
        let waiter = env.waiter.as_ref()?;
        if self.sources.len() >= self.limit
            && let Some(oldest) = self.sources.iter().min_by_key(|(_, s)| s.last).map(|(i, _)| i)
        {
            self.close(oldest);
        }
        let opened = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into()).and_then(|mut s| {
            host_errors::ask(&s);
            waiter.watch(&mut s, Owner::Udp(self.sources.next())).map(|()| s)
        });
        let socket = match opened {
            Ok(s) => s,
            Err(e) => {
                tracing::debug!("network: no socket for {guest}: {e}");
                return None;
            }
        };
        env.counters.udp_opened.one();
        let peers = VecDeque::new();
        let i = self.sources.insert(Source { guest, socket, last: env.now, ttl: 0, peers, queued: false });
        self.by_guest.insert(guest, i);
        Some(i)
    }

    fn close(&mut self, i: usize) {
        if let Some(s) = self.sources.remove(i) {
            self.by_guest.remove(&s.guest);
        }
    }

    pub(super) fn ready(&mut self, i: usize) {
        if let Some(s) = self.sources.get_mut(i).filter(|s| !s.queued) {
            s.queued = true;
            self.active.push_back(i);
        }
    }

    /// Passes one datagram on; false: there is none.
    pub(super) fn pump(&mut self, env: &mut Env) -> bool {
        while let Some(i) = self.active.pop_front() {
            let Some(s) = self.sources.get_mut(i) else { continue };
            let more = s.receive(env, &mut self.scratch);
            s.queued = more;
            if more {
                self.active.push_back(i);
                return true;
            }
        }
        false
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let old = self.sources.iter().filter(|(_, s)| now.duration_since(s.last) >= IDLE);
        for i in old.map(|(i, _)| i).collect::<Vec<_>>() {
            self.close(i);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.sources.len() == 0
    }
}

impl Source {
    fn remember(&mut self, peer: Ipv4Addr) {
        if self.peers.contains(&peer) {
            return;
        }
        if self.peers.len() >= PEERS {
            self.peers.pop_front();
        }
        self.peers.push_back(peer);
    }

    /// False: nothing more to read.
    fn receive(&mut self, env: &mut Env, scratch: &mut [u8]) -> bool {
        match self.socket.recv_from(scratch) {
            Ok((n, SocketAddr::V4(from))) => {
                if self.peers.contains(from.ip()) {
                    self.last = env.now;
                    let seen = if from.ip().is_loopback() { GATEWAY } else { *from.ip() };
                    env.udp(SocketAddrV4::new(seen, from.port()), self.guest, &scratch[..n]);
                }
                true
            }
            Ok(_) => true,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                // Some errors are only in the queue.
                self.troubles(env);
                false
            }
            Err(_) => self.troubles(env),
        }
    }

    /// Tells the guest what its datagrams met; false: there was nothing.
    fn troubles(&self, env: &mut Env) -> bool {
        let mut any = false;
        while let Some(t) = host_errors::take(&self.socket) {
            any = true;
            let seen = if t.to.ip().is_loopback() { GATEWAY } else { *t.to.ip() };
            let mut packet = icmp::original(UDP, self.guest, SocketAddrV4::new(seen, 0), 8 + t.packet.len());
            packet.extend(self.guest.port().to_be_bytes());
            packet.extend(t.to.port().to_be_bytes());
            packet.extend((8 + t.packet.len() as u16).to_be_bytes());
            packet.extend([0, 0]);
            let from = t.from.filter(|f| !f.is_loopback()).unwrap_or(GATEWAY);
            icmp::error(env, from, t.what, &packet);
        }
        any
    }
}
