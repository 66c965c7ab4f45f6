//! Frames for the guest, built from the inside out.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{
    EthernetAddress as Mac, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, UdpPacket, UdpRepr,
};

use super::env::GATEWAY_MAC;

pub(super) const ICMP: IpProtocol = IpProtocol::Icmp;
pub(super) const TCP: IpProtocol = IpProtocol::Tcp;
pub(super) const UDP: IpProtocol = IpProtocol::Udp;

pub(super) const ETH: usize = 14;
pub(super) const IPV4: usize = 20;
pub(super) const MTU: usize = 1500;
/// The longest frame that is made.
pub(super) const FRAME: usize = ETH + MTU;
/// Shorter ones are filled up with zeros, as a wire asks.
const SHORTEST: usize = 60;
const TTL: u8 = 64;
/// What fits behind an IP header, in the units in which fragments count.
const FRAGMENT: usize = (MTU - IPV4) & !7;

/// An IPv4 header in what varies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ip {
    pub(super) protocol: IpProtocol,
    pub(super) src: Ipv4Addr,
    pub(super) dst: Ipv4Addr,
    pub(super) ident: u16,
    pub(super) dont_fragment: bool,
    pub(super) more: bool,
    pub(super) offset: u16,
}

impl Ip {
    pub(super) fn new(protocol: IpProtocol, src: Ipv4Addr, dst: Ipv4Addr) -> Self {
        Self { protocol, src, dst, ident: 0, dont_fragment: false, more: false, offset: 0 }
    }

    /// The header before `payload` bytes.
    pub(super) fn emit(&self, header: &mut [u8], payload: usize) {
        let mut p = Ipv4Packet::new_unchecked(header);
        p.set_version(4);
        p.set_header_len(IPV4 as u8);
        p.set_dscp(0);
        p.set_ecn(0);
        p.set_total_len((IPV4 + payload) as u16);
        p.set_ident(self.ident);
        p.clear_flags();
        p.set_dont_frag(self.dont_fragment);
        p.set_more_frags(self.more);
        p.set_frag_offset(self.offset);
        p.set_hop_limit(TTL);
        p.set_next_header(self.protocol);
        p.set_src_addr(self.src);
        p.set_dst_addr(self.dst);
        p.fill_checksum();
    }
}

/// The headers of Ethernet and IP before `payload` bytes that stand there already, or will. The length of the frame, which
/// is filled up to the shortest.
pub(super) fn wrap(frame: &mut [u8], to: Mac, ip: &Ip, payload: usize) -> usize {
    ethernet(frame, to, EthernetProtocol::Ipv4);
    ip.emit(&mut frame[ETH..], payload);
    pad(frame, ETH + IPV4 + payload)
}

pub(super) fn ethernet(frame: &mut [u8], to: Mac, kind: EthernetProtocol) {
    let mut f = EthernetFrame::new_unchecked(frame);
    f.set_dst_addr(to);
    f.set_src_addr(GATEWAY_MAC);
    f.set_ethertype(kind);
}

pub(super) fn pad(frame: &mut [u8], len: usize) -> usize {
    if len < SHORTEST && frame.len() >= SHORTEST {
        frame[len..SHORTEST].fill(0);
        return SHORTEST;
    }
    len
}

/// A packet as frames: one, or fragments.
pub(super) fn packets(to: Mac, ip: Ip, payload: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let whole = payload.len() <= MTU - IPV4;
    let step = if whole { MTU } else { FRAGMENT };
    let count = payload.len().div_ceil(step).max(1);
    (0..count).map(move |i| {
        let part = &payload[i * step..payload.len().min((i + 1) * step)];
        let ip = Ip { more: i + 1 < count, offset: (i * step) as u16, ..ip };
        let mut frame = vec![0; (ETH + IPV4 + part.len()).max(SHORTEST)];
        frame[ETH + IPV4..][..part.len()].copy_from_slice(part);
        wrap(&mut frame, to, &ip, part.len());
        frame
    })
}

/// A UDP header and its data; `None`: too long for one.
pub(super) fn datagram(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Option<Vec<u8>> {
    let mut d = vec![0; 8 + payload.len()];
    if d.len() > usize::from(u16::MAX) - IPV4 {
        return None;
    }
    let repr = UdpRepr { src_port: from.port(), dst_port: to.port() };
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut d[..]),
        &(*from.ip()).into(),
        &(*to.ip()).into(),
        payload.len(),
        |b| b.copy_from_slice(payload),
        &Default::default(),
    );
    Some(d)
}
