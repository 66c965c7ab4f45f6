//! How a guest gets its address, and who answers for which.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, UdpPacket,
};

use super::super::frame::{self, ETH, IPV4, Ip, UDP};
use super::super::{GATEWAY, GATEWAY_MAC};
use super::guest::{ADDRESS, Guest, MAC};

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;

/// A client's message: kind (0: BOOTP), its address, options.
#[derive(Clone)]
struct Message {
    mac: EthernetAddress,
    client: Ipv4Addr,
    broadcast: bool,
    options: Vec<(u8, Vec<u8>)>,
}

impl Message {
    fn new(kind: u8) -> Self {
        let options = if kind == 0 { vec![] } else { vec![(53, vec![kind])] };
        Self { mac: MAC, client: ANY, broadcast: false, options }
    }

    fn option(mut self, code: u8, data: &[u8]) -> Self {
        self.options.push((code, data.to_vec()));
        self
    }

    fn frame(&self) -> Vec<u8> {
        let mut b = vec![0; 240];
        b[..3].copy_from_slice(&[1, 1, 6]);
        b[4..8].copy_from_slice(b"xid!");
        b[10] = if self.broadcast { 0x80 } else { 0 };
        b[12..16].copy_from_slice(&self.client.octets());
        b[28..34].copy_from_slice(self.mac.as_bytes());
        b[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        for (code, data) in &self.options {
            b.extend([*code, data.len() as u8]);
            b.extend(data);
        }
        b.push(255);
        let (src, dst) = if self.client == ANY { (ANY, ALL) } else { (self.client, GATEWAY) };
        let d = frame::datagram(SocketAddrV4::new(src, 68), SocketAddrV4::new(dst, 67), &b).unwrap();
        let to = if dst == ALL { EthernetAddress::BROADCAST } else { GATEWAY_MAC };
        let mut f = frame::packets(to, Ip::new(UDP, src, dst), &d).next().unwrap();
        f[6..12].copy_from_slice(self.mac.as_bytes());
        f
    }
}

#[derive(Debug)]
struct Reply {
    mac: EthernetAddress,
    to: Ipv4Addr,
    yours: Ipv4Addr,
    text: Vec<u8>,
    options: Vec<(u8, Vec<u8>)>,
}

impl Reply {
    fn get(&self, code: u8) -> Option<&[u8]> {
        self.options.iter().find(|(c, _)| *c == code).map(|(_, d)| &d[..])
    }

    fn kind(&self) -> Option<u8> {
        self.get(53).map(|d| d[0])
    }
}

fn ask(g: &mut Guest, m: &Message) -> Option<Reply> {
    g.say(&m.frame());
    let f = g.frame()?;
    assert_eq!(g.frame(), None, "one answer");
    let e = EthernetFrame::new_checked(&f[..]).unwrap();
    let ip = smoltcp::wire::Ipv4Packet::new_checked(&f[ETH..]).unwrap();
    let d = UdpPacket::new_checked(&f[ETH + IPV4..usize::from(ip.total_len()) + ETH]).unwrap();
    assert!(d.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()));
    assert_eq!((ip.src_addr(), d.src_port(), d.dst_port()), (GATEWAY, 67, 68));
    let text = d.payload().to_vec();
    assert!(text.len() >= 300, "a BOOTP client may drop {} bytes", text.len());
    assert_eq!((text[0], &text[4..8], &text[28..34]), (2, &b"xid!"[..], m.mac.as_bytes()));
    let mut options = Vec::new();
    let mut at = 240;
    while text[at] != 255 {
        let n = usize::from(text[at + 1]);
        options.push((text[at], text[at + 2..at + 2 + n].to_vec()));
        at += 2 + n;
    }
    let yours = Ipv4Addr::new(text[16], text[17], text[18], text[19]);
    Some(Reply { mac: e.dst_addr(), to: ip.dst_addr(), yours, text, options })
}

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const ACK: u8 = 5;
const NAK: u8 = 6;
const RELEASE: u8 = 7;
const INFORM: u8 = 8;

#[test]
fn smoltcps_client_gets_a_lease() {
    let mut g = Guest::nameless("");
    let lease = g.lease();
    assert_eq!((lease.address.address(), lease.address.prefix_len()), (ADDRESS, 24));
    assert_eq!((lease.router, &lease.dns_servers[..]), (Some(GATEWAY), &[GATEWAY][..]));
    assert_eq!(g.nat.metrics().dhcp_acks.get(), 1);
}

#[test]
fn an_offer_has_all_that_clients_want() {
    let mut g = Guest::nameless("");
    let r = ask(&mut g, &Message::new(DISCOVER)).unwrap();
    assert_eq!((r.kind(), r.yours), (Some(OFFER), ADDRESS));
    // The client has no address yet, and did not ask for a broadcast.
    assert_eq!((r.mac, r.to), (MAC, ADDRESS));
    assert_eq!(r.get(1), Some(&[255, 255, 255, 0][..]));
    for code in [3, 6, 54] {
        assert_eq!(r.get(code), Some(&GATEWAY.octets()[..]), "option {code}");
    }
    let secs = |code| u32::from_be_bytes(r.get(code).unwrap().try_into().unwrap());
    assert!(secs(58) < secs(59) && secs(59) < secs(51));

    let r = ask(&mut g, &Message { broadcast: true, ..Message::new(DISCOVER) }).unwrap();
    assert_eq!((r.mac, r.to, r.text[10]), (EthernetAddress::BROADCAST, ALL, 0x80));
}

#[test]
fn requests_are_granted_refused_or_left_to_others() {
    let mut g = Guest::nameless("");
    let r = ask(&mut g, &Message::new(REQUEST).option(54, &GATEWAY.octets()).option(50, &ADDRESS.octets()))
        .unwrap();
    assert_eq!((r.kind(), r.yours), (Some(ACK), ADDRESS));
    // Another server's.
    let other = Message::new(REQUEST).option(54, &[10, 0, 2, 9]).option(50, &[10, 0, 2, 44]);
    assert!(ask(&mut g, &other).is_none());
    // Of another net: it moved.
    let r = ask(&mut g, &Message::new(REQUEST).option(50, &[192, 168, 1, 5])).unwrap();
    assert_eq!((r.kind(), r.yours, r.to, r.mac), (Some(NAK), ANY, ALL, EthernetAddress::BROADCAST));
    // One that it had before this process began.
    let r = ask(&mut g, &Message::new(REQUEST).option(50, &[10, 0, 2, 77])).unwrap();
    assert_eq!((r.kind(), r.yours), (Some(ACK), Ipv4Addr::new(10, 0, 2, 77)));
    // Another's, and the gateway's.
    let second = EthernetAddress([2, 0, 0, 0, 0, 2]);
    for ip in [[10, 0, 2, 77], [10, 0, 2, 1], [10, 0, 2, 255]] {
        let m = Message { mac: second, ..Message::new(REQUEST).option(50, &ip) };
        assert_eq!(ask(&mut g, &m).unwrap().kind(), Some(NAK), "{ip:?}");
    }
    // Renewal, straight to us.
    let renew = Message { client: Ipv4Addr::new(10, 0, 2, 77), ..Message::new(REQUEST) };
    let r = ask(&mut g, &renew).unwrap();
    assert_eq!((r.kind(), r.to, r.mac), (Some(ACK), renew.client, MAC));
}

#[test]
fn inform_release_and_decline() {
    let mut g = Guest::nameless("");
    let by_hand = Ipv4Addr::new(10, 0, 2, 50);
    let r = ask(&mut g, &Message { client: by_hand, ..Message::new(INFORM) }).unwrap();
    assert_eq!((r.kind(), r.yours, r.get(51), r.to), (Some(ACK), ANY, None, by_hand));
    assert!(r.get(6).is_some());

    ask(&mut g, &Message::new(REQUEST).option(50, &ADDRESS.octets())).unwrap();
    assert!(ask(&mut g, &Message { client: ADDRESS, ..Message::new(RELEASE) }).is_none());
    let r = ask(&mut g, &Message::new(DISCOVER)).unwrap();
    assert_eq!(r.yours, ADDRESS, "the same as before");
    assert!(ask(&mut g, &Message::new(DECLINE).option(50, &ADDRESS.octets())).is_none());
    let r = ask(&mut g, &Message::new(DISCOVER)).unwrap();
    assert_ne!(r.yours, ADDRESS, "somebody else has it");
}

#[test]
fn there_is_an_address_for_everybody_who_comes() {
    let mut g = Guest::nameless("");
    let mut seen = std::collections::HashSet::new();
    for i in 0..600_u16 {
        let [high, low] = i.to_be_bytes();
        let m = Message { mac: EthernetAddress([2, 0, 0, 1, high, low]), ..Message::new(DISCOVER) };
        seen.insert(ask(&mut g, &m).unwrap().yours);
    }
    assert_eq!(seen.len(), 253);
    assert!(!seen.contains(&GATEWAY));
}

#[test]
fn bootp_and_netboot() {
    let mut g = Guest::nameless("tftp=192.0.2.9,bootfile=pxelinux.0");
    let r = ask(&mut g, &Message::new(0)).unwrap();
    assert_eq!((r.kind(), r.yours), (None, ADDRESS));
    assert_eq!(r.text[20..24], [192, 0, 2, 9]);
    assert_eq!(&r.text[108..119], b"pxelinux.0\0");
    let r = ask(&mut g, &Message::new(DISCOVER)).unwrap();
    assert_eq!((r.get(66), r.get(67)), (Some(&b"192.0.2.9"[..]), Some(&b"pxelinux.0"[..])));
}

fn arp(sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let r = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: MAC,
        source_protocol_addr: sender,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    let mut f = vec![0; 42];
    let mut e = EthernetFrame::new_unchecked(&mut f[..]);
    e.set_dst_addr(EthernetAddress::BROADCAST);
    e.set_src_addr(MAC);
    e.set_ethertype(EthernetProtocol::Arp);
    r.emit(&mut ArpPacket::new_unchecked(&mut f[ETH..]));
    f
}

#[test]
fn only_the_gateway_is_answered_for() {
    let mut g = Guest::nameless("");
    g.say(&arp(ADDRESS, GATEWAY));
    let f = g.frame().unwrap();
    let r = ArpRepr::parse(&ArpPacket::new_checked(&f[ETH..]).unwrap()).unwrap();
    assert_eq!(
        r,
        ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: GATEWAY_MAC,
            source_protocol_addr: GATEWAY,
            target_hardware_addr: MAC,
            target_protocol_addr: ADDRESS,
        }
    );
    // The guest's own probe and announcement, and a neighbour that is not there.
    for (sender, target) in [(ANY, ADDRESS), (ADDRESS, ADDRESS), (ADDRESS, Ipv4Addr::new(10, 0, 2, 3))] {
        g.say(&arp(sender, target));
        assert_eq!(g.frame(), None, "{target}");
    }
    // Who probes for the gateway's address must hear that it is taken.
    g.say(&arp(ANY, GATEWAY));
    assert!(g.frame().is_some());
}
