//! What every protocol's table works with: addresses, time, the queue of small frames, the host.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smoltcp::wire::EthernetAddress as Mac;

use super::counters::Counters;
use super::frame::{self, Ip};
use super::resolver::Resolver;
use super::waiter::Waiter;

/// 10.0.2.0/24.
pub(super) const NET: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 0);
pub(super) const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// Gateway, DHCP server and resolver.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 1);
pub(super) const BROADCAST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 255);
/// Locally administered.
pub const GATEWAY_MAC: Mac = Mac([0x52, 0x55, 10, 0, 2, 1]);

/// Small frames that wait for the guest. More are lost, as they would be on a wire.
const OUTBOX: usize = 1024;
/// Addresses that the guest showed. It has one, or a few if it is a bridge.
const NEIGHBOURS: usize = 256;
/// For how long it is believed that an address is, or is not, the host's own.
const OWN: Duration = Duration::from_secs(5);

pub(super) fn in_net(ip: Ipv4Addr) -> bool {
    ip.to_bits() & MASK.to_bits() == NET.to_bits()
}

/// May this be one machine's address on our net?
pub(super) fn is_guest(ip: Ipv4Addr) -> bool {
    in_net(ip) && ip != NET && ip != BROADCAST && ip != GATEWAY
}

/// Where a packet of the guest goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Gateway,
    World,
    /// On our net, where nobody is.
    Nobody,
    /// Of the host, and not to be reached.
    Denied,
    /// Broadcasts, multicasts and what else is no address of one machine.
    Nowhere,
}

pub(super) struct Env {
    pub(super) now: Instant,
    pub(super) counters: Arc<Counters>,
    /// `None`: no socket of the host may be opened.
    pub(super) waiter: Option<Waiter>,
    pub(super) resolver: Resolver,
    /// The guest may reach the host.
    pub(super) host: bool,
    /// Where forwarded connections go: the guest's lease, or the address that it showed.
    pub(super) guest: Option<Ipv4Addr>,
    /// The host gave no socket, and that was said.
    pub(super) complained: bool,
    neighbours: HashMap<Ipv4Addr, Mac>,
    own: HashMap<Ipv4Addr, (bool, Instant)>,
    outbox: VecDeque<Vec<u8>>,
    ident: u16,
}

impl Env {
    pub(super) fn new(waiter: Option<Waiter>, resolver: Resolver, host: bool) -> Self {
        Self {
            now: Instant::now(),
            counters: Arc::default(),
            waiter,
            resolver,
            host,
            guest: None,
            complained: false,
            neighbours: HashMap::new(),
            own: HashMap::new(),
            outbox: VecDeque::new(),
            ident: 0,
        }
    }

    /// The guest showed that it has this address.
    pub(super) fn learn(&mut self, ip: Ipv4Addr, mac: Mac) {
        if !is_guest(ip) || !mac.is_unicast() || self.neighbours.get(&ip) == Some(&mac) {
            return;
        }
        if self.neighbours.len() >= NEIGHBOURS {
            self.neighbours.clear();
        }
        // The same machine with another address has moved to it.
        if self.guest.is_none_or(|g| self.mac(g).is_none_or(|m| m == mac)) {
            self.guest = Some(ip);
        }
        self.neighbours.insert(ip, mac);
    }

    pub(super) fn mac(&self, ip: Ipv4Addr) -> Option<Mac> {
        self.neighbours.get(&ip).copied()
    }

    /// The lease is at an end.
    pub(super) fn forget(&mut self, ip: Ipv4Addr) {
        self.neighbours.remove(&ip);
        self.guest = self.guest.filter(|&g| g != ip);
    }

    pub(super) fn queue(&mut self, frame: Vec<u8>) {
        if self.outbox.len() < OUTBOX {
            self.outbox.push_back(frame);
        } else {
            self.counters.overruns.one();
        }
    }

    pub(super) fn queued(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.outbox.is_empty()
    }

    /// A packet for the guest, in as many frames as it takes.
    pub(super) fn packet(&mut self, ip: Ip, payload: &[u8]) {
        if let Some(mac) = self.mac(ip.dst) {
            self.packet_to(mac, ip, payload);
        }
    }

    pub(super) fn packet_to(&mut self, mac: Mac, mut ip: Ip, payload: &[u8]) {
        self.ident = self.ident.wrapping_add(1);
        ip.ident = self.ident;
        for f in frame::packets(mac, ip, payload) {
            self.queue(f);
        }
    }

    pub(super) fn udp(&mut self, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) {
        if let Some(mac) = self.mac(*to.ip()) {
            self.udp_to(mac, from, to, payload);
        }
    }

    pub(super) fn udp_to(&mut self, mac: Mac, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) {
        if let Some(datagram) = frame::datagram(from, to, payload) {
            self.packet_to(mac, Ip::new(frame::UDP, *from.ip(), *to.ip()), &datagram);
        }
    }

    pub(super) fn route(&mut self, dst: Ipv4Addr) -> Route {
        let first = dst.octets()[0];
        if dst == GATEWAY {
            Route::Gateway
        } else if dst == NET || dst == BROADCAST || dst.is_multicast() || first == 0 || first >= 240 {
            Route::Nowhere
        } else if in_net(dst) {
            Route::Nobody
        } else if dst.is_loopback() || !self.host && (dst.is_link_local() || self.own(dst)) {
            Route::Denied
        } else {
            Route::World
        }
    }

    /// Is this an address of the host itself? Its services trust those who reach them without crossing a network.
    fn own(&mut self, ip: Ipv4Addr) -> bool {
        if self.waiter.is_none() {
            return false;
        }
        if let Some(&(own, at)) = self.own.get(&ip)
            && self.now.duration_since(at) < OWN
        {
            return own;
        }
        // The host takes an address for the source only if the destination is that address. Nothing is sent.
        let source = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
            .and_then(|s| s.connect((ip, 9)).and_then(|()| s.local_addr()));
        let own = source.is_ok_and(|s| s.ip() == ip);
        if self.own.len() >= 1024 {
            self.own.clear();
        }
        self.own.insert(ip, (own, self.now));
        own
    }
}
