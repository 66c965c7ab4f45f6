//! Whose packet it is.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{EthernetAddress as Mac, IpProtocol, Ipv4Packet, TcpPacket, TcpRepr, UdpPacket};

use super::env::{self, GATEWAY};
use super::frame::IPV4;
use super::icmp::{self, Trouble};
use super::tcp::Key;
use super::{Nat, dns};

const DHCP: u16 = 67;

/// An IPv4 packet of the guest, whole.
pub(super) struct Packet<'a> {
    pub(super) src: Ipv4Addr,
    pub(super) dst: Ipv4Addr,
    /// What is left of it behind the gateway.
    pub(super) ttl: u8,
    pub(super) payload: &'a [u8],
    /// From its header on, at least as much as an error quotes.
    pub(super) whole: &'a [u8],
}

impl Nat {
    pub(super) fn ipv4(&mut self, mac: Mac, bytes: &[u8]) {
        let Ok(p) = Ipv4Packet::new_checked(bytes) else { return self.env.counters.malformed.one() };
        if p.version() != 4 || usize::from(p.header_len()) < IPV4 {
            return self.env.counters.malformed.one();
        }
        if !p.verify_checksum() {
            return self.env.counters.bad_checksums.one();
        }
        let header = usize::from(p.header_len());
        if p.more_frags() || p.frag_offset() > 0 {
            if let Some(payload) = self.fragments.add(self.env.now, &p) {
                self.env.counters.reassembled.one();
                let mut whole = bytes[..header].to_vec();
                whole.extend(&payload[..payload.len().min(8)]);
                let (src, dst, ttl) = (p.src_addr(), p.dst_addr(), p.hop_limit());
                self.packet(mac, p.next_header(), Packet { src, dst, ttl, payload: &payload, whole: &whole });
            }
            return;
        }
        let (src, dst, ttl) = (p.src_addr(), p.dst_addr(), p.hop_limit());
        let whole = &bytes[..usize::from(p.total_len())];
        self.packet(mac, p.next_header(), Packet { src, dst, ttl, payload: &whole[header..], whole });
    }

    fn packet(&mut self, mac: Mac, protocol: IpProtocol, mut p: Packet<'_>) {
        // Who has no address yet speaks DHCP only.
        let nameless = p.src.is_unspecified() && protocol == IpProtocol::Udp;
        if !env::is_guest(p.src) && !nameless {
            return self.env.counters.ignored.one();
        }
        if !nameless {
            self.env.learn(p.src, mac);
            if p.ttl <= 1 && p.dst != GATEWAY && !p.dst.is_broadcast() && !p.dst.is_multicast() {
                return icmp::error(&mut self.env, GATEWAY, Trouble::EXPIRED, p.whole);
            }
        }
        p.ttl = p.ttl.saturating_sub(1).max(1);
        match protocol {
            IpProtocol::Tcp => self.tcp(mac, &p),
            IpProtocol::Udp => self.udp(&p),
            IpProtocol::Icmp => self.icmp.input(&mut self.env, &p),
            _ => self.env.counters.ignored.one(),
        }
    }

    fn tcp(&mut self, mac: Mac, p: &Packet<'_>) {
        let (src, dst) = (p.src.into(), p.dst.into());
        let Ok(segment) = TcpPacket::new_checked(p.payload) else { return self.env.counters.malformed.one() };
        if !segment.verify_checksum(&src, &dst) {
            return self.env.counters.bad_checksums.one();
        }
        let Ok(repr) = TcpRepr::parse(&segment, &src, &dst, &ChecksumCapabilities::ignored()) else {
            return self.env.counters.malformed.one();
        };
        let key = Key {
            guest: SocketAddrV4::new(p.src, repr.src_port),
            far: SocketAddrV4::new(p.dst, repr.dst_port),
        };
        self.tcp.input(&mut self.env, mac, key, &repr);
    }

    fn udp(&mut self, p: &Packet<'_>) {
        let Ok(d) = UdpPacket::new_checked(p.payload) else { return self.env.counters.malformed.one() };
        if !d.verify_checksum(&p.src.into(), &p.dst.into()) {
            return self.env.counters.bad_checksums.one();
        }
        let from = SocketAddrV4::new(p.src, d.src_port());
        let to = SocketAddrV4::new(p.dst, d.dst_port());
        let ours = p.dst == GATEWAY;
        if to.port() == DHCP && (ours || p.dst.is_broadcast() || p.dst == env::BROADCAST) {
            self.dhcp.input(&mut self.env, d.payload());
        } else if p.src.is_unspecified() || from.port() == 0 {
            self.env.counters.ignored.one();
        } else if ours && self.forwards.answer(&self.env, from, to.port(), d.payload()) {
        } else if ours && to.port() == dns::PORT {
            self.dns.input(&mut self.env, from, d.payload());
        } else {
            self.udp.input(&mut self.env, p, from, to, d.payload());
        }
    }
}
