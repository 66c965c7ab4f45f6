//! ICMP: echo, and what the guest is told when something can't be reached.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use smoltcp::wire::{Icmpv4Message as Message, Icmpv4Packet};

use super::env::{Env, GATEWAY, Route};
use super::frame::{ICMP, IPV4, Ip};
use super::slab::Slab;
use super::waiter::Owner;
use super::{Packet, host_errors};

/// One for each `ping` that runs in the guest.
const PINGS: usize = 64;
const IDLE: Duration = Duration::from_secs(60);
const HEADER: usize = 8;

/// An ICMP error: type and code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trouble(pub(super) u8, pub(super) u8);

impl Trouble {
    pub(super) const NET: Self = Self(3, 0);
    pub(super) const HOST: Self = Self(3, 1);
    pub(super) const PORT: Self = Self(3, 3);
    /// Forbidden by whoever runs the host.
    pub(super) const FORBIDDEN: Self = Self(3, 13);
    pub(super) const EXPIRED: Self = Self(11, 0);

    /// What an error of a host's socket means to the guest.
    pub(super) fn of(e: &io::Error) -> Option<Self> {
        match e.kind() {
            io::ErrorKind::ConnectionRefused => Some(Self::PORT),
            io::ErrorKind::HostUnreachable => Some(Self::HOST),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => Some(Self::NET),
            io::ErrorKind::PermissionDenied => Some(Self::FORBIDDEN),
            _ => None,
        }
    }
}

/// Tells the guest that its packet, which is given whole from its IP header on, did not arrive.
pub(super) fn error(env: &mut Env, from: Ipv4Addr, what: Trouble, packet: &[u8]) {
    let Some(source) = packet.get(12..16) else { return };
    let guest = Ipv4Addr::new(source[0], source[1], source[2], source[3]);
    // RFC 792: the header and eight bytes. Nobody minds more, but old stacks choke on much more.
    let header = usize::from(packet[0] & 15) * 4;
    let quoted = &packet[..packet.len().min(header + 8)];
    let mut m = vec![0; HEADER + quoted.len()];
    m[..2].copy_from_slice(&[what.0, what.1]);
    m[HEADER..].copy_from_slice(quoted);
    Icmpv4Packet::new_unchecked(&mut m[..]).fill_checksum();
    env.packet(Ip::new(ICMP, from, guest), &m);
}

struct Ping {
    guest: (Ipv4Addr, u16),
    socket: UdpSocket,
    last: Instant,
    ttl: u8,
    readable: bool,
}

/// Echo requests that the host sends on, if it lets a user do that.
pub(super) struct Icmp {
    pings: Slab<Ping>,
    by_guest: HashMap<(Ipv4Addr, u16), usize>,
    scratch: Vec<u8>,
}

impl Icmp {
    pub(super) fn new() -> Self {
        Self { pings: Slab::new(), by_guest: HashMap::new(), scratch: vec![0; 65536] }
    }

    pub(super) fn input(&mut self, env: &mut Env, p: &Packet<'_>) {
        let Ok(icmp) = Icmpv4Packet::new_checked(p.payload) else {
            env.counters.malformed.one();
            return;
        };
        if !icmp.verify_checksum() {
            env.counters.bad_checksums.one();
            return;
        }
        if icmp.msg_type() != Message::EchoRequest || p.payload.len() < HEADER {
            env.counters.ignored.one();
            return;
        }
        match env.route(p.dst) {
            Route::Gateway => {
                let mut m = p.payload.to_vec();
                m[0] = 0;
                Icmpv4Packet::new_unchecked(&mut m[..]).fill_checksum();
                env.packet(Ip::new(ICMP, GATEWAY, p.src), &m);
            }
            Route::World => self.forward(env, p, icmp.echo_ident()),
            Route::Nobody => error(env, GATEWAY, Trouble::HOST, p.whole),
            Route::Denied => {
                env.counters.denied.one();
                error(env, GATEWAY, Trouble::FORBIDDEN, p.whole);
            }
            Route::Nowhere => env.counters.ignored.one(),
        }
    }

    fn forward(&mut self, env: &mut Env, p: &Packet<'_>, ident: u16) {
        let key = (p.src, ident);
        let known = self.by_guest.get(&key).copied();
        let Some(i) = known.or_else(|| self.open(env, key).ok()) else {
            // The host does not let us: it looks like a far end that does not answer.
            env.counters.ignored.one();
            return;
        };
        let Some(ping) = self.pings.get_mut(i) else { return };
        ping.last = env.now;
        if ping.ttl != p.ttl && ping.socket.set_ttl(u32::from(p.ttl)).is_ok() {
            ping.ttl = p.ttl;
        }
        let to = SocketAddr::from((p.dst, 0));
        let mut sent = ping.socket.send_to(p.payload, to);
        if sent.is_err() {
            // It may have been the error of an earlier one.
            ping.troubles(env);
            sent = ping.socket.send_to(p.payload, to);
        }
        if let Some(t) = sent.err().and_then(|e| Trouble::of(&e)) {
            error(env, GATEWAY, t, p.whole);
        }
    }

    fn open(&mut self, env: &mut Env, guest: (Ipv4Addr, u16)) -> io::Result<usize> {
        let Some(waiter) = &env.waiter else { return Err(io::ErrorKind::Unsupported.into()) };
        let mut socket = ping_socket()?;
        host_errors::ask(&socket);
        if self.pings.len() >= PINGS
            && let Some(oldest) = self.pings.iter().min_by_key(|(_, p)| p.last).map(|(i, _)| i)
        {
            self.close(oldest);
        }
        waiter.watch(&mut socket, Owner::Ping(self.pings.next()))?;
        let i = self.pings.insert(Ping { guest, socket, last: env.now, ttl: 0, readable: true });
        self.by_guest.insert(guest, i);
        Ok(i)
    }

    fn close(&mut self, i: usize) {
        if let Some(p) = self.pings.remove(i) {
            self.by_guest.remove(&p.guest);
        }
    }

    pub(super) fn ready(&mut self, i: usize) {
        if let Some(p) = self.pings.get_mut(i) {
            p.readable = true;
        }
    }

    /// Passes on what came; true: there may be more.
    pub(super) fn pump(&mut self, env: &mut Env) -> bool {
        let mut more = false;
        for (_, ping) in self.pings.iter_mut().filter(|(_, p)| p.readable) {
            match ping.socket.recv_from(&mut self.scratch) {
                Ok((n, SocketAddr::V4(from))) if n >= HEADER => {
                    let (ip, ident) = ping.guest;
                    let m = &mut self.scratch[..n];
                    // The kernel put its own there.
                    m[4..6].copy_from_slice(&ident.to_be_bytes());
                    Icmpv4Packet::new_unchecked(&mut m[..]).fill_checksum();
                    env.packet(Ip::new(ICMP, *from.ip(), ip), m);
                }
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ping.readable = false,
                Err(_) => {
                    if !ping.troubles(env) {
                        ping.readable = false;
                    }
                }
            }
            more |= ping.readable;
        }
        more
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let old = self.pings.iter().filter(|(_, p)| now.duration_since(p.last) >= IDLE);
        for i in old.map(|(i, _)| i).collect::<Vec<_>>() {
            self.close(i);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pings.len() == 0
    }
}

impl Ping {
    /// Passes on what routers said, as `tracert` wants it; false: they said nothing.
    fn troubles(&self, env: &mut Env) -> bool {
        let mut any = false;
        while let Some(t) = host_errors::take(&self.socket) {
            any = true;
            let (ip, ident) = self.guest;
            let mut packet = original(ICMP, SocketAddrV4::new(ip, 0), t.to, t.packet.len());
            packet.extend(&t.packet[..t.packet.len().min(HEADER)]);
            if let Some(field) = packet.get_mut(IPV4 + 4..IPV4 + 6) {
                field.copy_from_slice(&ident.to_be_bytes());
                error(env, t.from.unwrap_or(GATEWAY), t.what, &packet);
            }
        }
        any
    }
}

/// The IP header with which the guest sent something, as well as it can be known.
pub(super) fn original(
    protocol: smoltcp::wire::IpProtocol,
    guest: SocketAddrV4,
    to: SocketAddrV4,
    payload: usize,
) -> Vec<u8> {
    let mut h = vec![0; IPV4];
    Ip::new(protocol, *guest.ip(), *to.ip()).emit(&mut h, payload.min(1480));
    h
}

/// A socket that sends echo requests without privileges; many hosts allow them to some groups only.
#[cfg(target_os = "linux")]
fn ping_socket() -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let s = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4))?;
    s.set_nonblocking(true)?;
    let s: std::os::fd::OwnedFd = s.into();
    Ok(UdpSocket::from_std(s.into()))
}

#[cfg(not(target_os = "linux"))]
fn ping_socket() -> io::Result<UdpSocket> {
    Err(io::ErrorKind::Unsupported.into())
}
