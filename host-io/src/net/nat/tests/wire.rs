//! Frames one by one: what is answered, what is dropped and counted, what is written down.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv4Repr, Ipv4Packet, TcpControl, TcpPacket, TcpRepr,
    TcpSeqNumber,
};

use super::super::frame::{self, ETH, ICMP, IPV4, Ip, TCP};
use super::super::{GATEWAY, GATEWAY_MAC, NatOptions};
use super::guest::{ADDRESS, Guest, MAC};

/// A frame of the guest.
pub(super) fn of_guest(ip: Ip, payload: &[u8]) -> Vec<u8> {
    let mut f = frame::packets(GATEWAY_MAC, ip, payload).next().unwrap();
    f[6..12].copy_from_slice(MAC.as_bytes());
    f
}

pub(super) fn udp(from: u16, to: Ipv4Addr, port: u16, data: &[u8]) -> Vec<u8> {
    let d = frame::datagram(SocketAddrV4::new(ADDRESS, from), SocketAddrV4::new(to, port), data).unwrap();
    of_guest(Ip::new(frame::UDP, ADDRESS, to), &d)
}

pub(super) fn ping(to: Ipv4Addr, data: &[u8]) -> Vec<u8> {
    let r = Icmpv4Repr::EchoRequest { ident: 0x200, seq_no: 7, data };
    let mut b = vec![0; r.buffer_len()];
    r.emit(&mut Icmpv4Packet::new_unchecked(&mut b[..]), &ChecksumCapabilities::default());
    of_guest(Ip::new(ICMP, ADDRESS, to), &b)
}

/// A segment to a far port 80; the control says what it is.
pub(super) fn segment(control: TcpControl, seq: u32, ack: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let to = Ipv4Addr::new(192, 0, 2, 1);
    let r = TcpRepr {
        src_port: 5000,
        dst_port: 80,
        control,
        seq_number: TcpSeqNumber(seq as i32),
        ack_number: ack.map(|a| TcpSeqNumber(a as i32)),
        window_len: 8000,
        window_scale: None,
        max_seg_size: (control == TcpControl::Syn).then_some(1000),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    };
    let mut b = vec![0; r.buffer_len()];
    let mut p = TcpPacket::new_unchecked(&mut b[..]);
    r.emit(&mut p, &ADDRESS.into(), &to.into(), &ChecksumCapabilities::default());
    of_guest(Ip::new(TCP, ADDRESS, to), &b)
}

/// A frame's packet, checked.
pub(super) fn packet(f: &[u8]) -> (Ipv4Packet<&[u8]>, &[u8]) {
    let e = EthernetFrame::new_checked(f).unwrap();
    assert_eq!((e.src_addr(), e.dst_addr(), e.ethertype()), (GATEWAY_MAC, MAC, EthernetProtocol::Ipv4));
    let ip = Ipv4Packet::new_checked(&f[ETH..]).unwrap();
    assert!(ip.verify_checksum() && ip.hop_limit() == 64 && ip.dst_addr() == ADDRESS);
    let end = usize::from(ip.total_len());
    (ip, &f[ETH + IPV4..ETH + end])
}

/// Type and code, and the packet that it is about.
pub(super) fn icmp_error(f: &[u8]) -> ((u8, u8), Vec<u8>) {
    let (ip, payload) = packet(f);
    assert_eq!(ip.next_header(), ICMP);
    assert!(Icmpv4Packet::new_checked(payload).unwrap().verify_checksum());
    ((payload[0], payload[1]), payload[8..].to_vec())
}

/// Control, numbers and data of a segment to the guest.
pub(super) fn tcp(f: &[u8]) -> (TcpRepr<'_>, u32, Option<u32>) {
    let (ip, payload) = packet(f);
    let (src, dst) = (ip.src_addr().into(), ip.dst_addr().into());
    let p = TcpPacket::new_checked(payload).unwrap();
    assert!(p.verify_checksum(&src, &dst));
    let r = TcpRepr::parse(&p, &src, &dst, &ChecksumCapabilities::default()).unwrap();
    (r, r.seq_number.0 as u32, r.ack_number.map(|a| a.0 as u32))
}

#[test]
fn the_gateway_answers_ping_of_any_length() {
    let mut g = Guest::new("");
    for len in [0, 32, 1472] {
        let data = seeded::Rng::new(1).bytes(len);
        g.say(&ping(GATEWAY, &data));
        let f = g.frame().unwrap();
        let (_, payload) = packet(&f);
        let p = Icmpv4Packet::new_checked(payload).unwrap();
        let r = Icmpv4Repr::parse(&p, &ChecksumCapabilities::default()).unwrap();
        assert_eq!(r, Icmpv4Repr::EchoReply { ident: 0x200, seq_no: 7, data: &data });
        assert!(f.len() >= 60);
    }
}

#[test]
fn whoever_sends_hears_whether_there_are_answers() {
    let mut g = Guest::new("");
    let silent = udp(137, Ipv4Addr::BROADCAST, 137, b"nobody answers");
    assert!(g.say(&ping(GATEWAY, b"1")));
    assert!(g.say(&silent), "the answer has not been fetched");
    while g.frame().is_some() {}
    assert!(!g.say(&silent));
    assert!(g.say(&ping(GATEWAY, b"2")));
    assert!(!g.was_woken(), "nobody else need be told");
}

/// Where the host lets a user ping, and else silence.
#[test]
fn others_are_pinged_by_the_host() {
    let mut g = Guest::new("");
    // TEST-NET-1: nobody, whatever the host's network.
    g.say(&ping(Ipv4Addr::new(192, 0, 2, 1), b"?"));
    g.idle(std::time::Duration::from_millis(50));
    g.say(&ping(Ipv4Addr::new(10, 0, 2, 9), b"?"));
    let last = std::iter::from_fn(|| g.frame()).last().unwrap();
    assert_eq!(icmp_error(&last).0, (3, 1), "nobody is there on our own net");
}

#[test]
fn the_gateway_is_the_first_router_of_a_trace() {
    let mut g = Guest::new("");
    let mut f = ping(Ipv4Addr::new(192, 0, 2, 1), b"trace");
    let mut ip = Ipv4Packet::new_unchecked(&mut f[ETH..]);
    ip.set_hop_limit(1);
    ip.fill_checksum();
    g.say(&f);
    let f = g.frame().unwrap();
    assert_eq!(icmp_error(&f).0, (11, 0));
    assert_eq!(packet(&f).0.src_addr(), GATEWAY);
}

#[test]
fn wrong_checksums_are_dropped_and_counted() {
    let mut g = Guest::new("");
    let frames = [ping(GATEWAY, b"x"), udp(1, GATEWAY, 9, b"x"), segment(TcpControl::Syn, 1, None, b"")];
    let mut bad = 0;
    for f in frames {
        for at in [ETH + 8, ETH + IPV4 + 1] {
            let mut f = f.clone();
            f[at] ^= 0x10;
            g.say(&f);
            assert_eq!(g.frame(), None);
            bad += 1;
            assert_eq!(g.nat.metrics().bad_checksums.get(), bad);
        }
    }
}

#[test]
fn what_is_not_for_us_is_counted() {
    let mut g = Guest::new("");
    let mut foreign = ping(GATEWAY, b"x");
    foreign[0] = 0x00;
    let mut ipv6 = ping(GATEWAY, b"x");
    ipv6[12..14].copy_from_slice(&[0x86, 0xdd]);
    let mut spoofed =
        of_guest(Ip::new(ICMP, Ipv4Addr::new(192, 168, 0, 5), GATEWAY), &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]);
    spoofed[6] = 2;
    for (n, f) in [foreign, ipv6, spoofed].iter().enumerate() {
        g.say(f);
        assert_eq!(g.frame(), None);
        assert_eq!(g.nat.metrics().ignored.get(), n as u64 + 1);
    }
    for len in 0..14 {
        g.say(&[0; 14][..len]);
    }
    assert_eq!(g.nat.metrics().malformed.get(), 14);
}

/// A network without a host: what the guest sends comes back, whatever the numbers are.
pub(super) fn offline() -> Guest {
    let mut g = Guest::with(NatOptions { offline: true, ..NatOptions::default() });
    g.still();
    g
}

/// A connection whose numbers from the guest begin at `isn`; the first number of the far end.
pub(super) fn connect(g: &mut Guest, isn: u32) -> u32 {
    g.say(&segment(TcpControl::Syn, isn, None, b""));
    let f = g.frame().unwrap();
    let (r, seq, ack) = tcp(&f);
    assert_eq!((r.control, ack), (TcpControl::Syn, Some(isn.wrapping_add(1))));
    assert_eq!(
        (r.max_seg_size, r.window_scale),
        (Some(1460), None),
        "no scale was offered, so none is given"
    );
    g.say(&segment(TcpControl::None, isn.wrapping_add(1), Some(seq.wrapping_add(1)), b""));
    assert_eq!(g.frame(), None);
    seq.wrapping_add(1)
}

#[test]
fn sequence_numbers_wrap() {
    let mut g = offline();
    let isn = u32::MAX - 3;
    let mut theirs = connect(&mut g, isn);
    let mut ours = isn.wrapping_add(1);
    for round in 0..4_u8 {
        g.say(&segment(TcpControl::Psh, ours, Some(theirs), &[round; 3]));
        ours = ours.wrapping_add(3);
        let f = g.frame().unwrap();
        let (r, seq, ack) = tcp(&f);
        assert_eq!((seq, ack, r.payload), (theirs, Some(ours), &[round; 3][..]));
        theirs = theirs.wrapping_add(3);
        assert_eq!(g.frame(), None);
    }
}

#[test]
fn repeated_and_early_segments() {
    let mut g = offline();
    let theirs = connect(&mut g, 100);
    // The SYN again: the connection stands.
    g.say(&segment(TcpControl::Syn, 100, None, b""));
    let f = g.frame().unwrap();
    assert_eq!((tcp(&f).0.control, tcp(&f).2), (TcpControl::None, Some(101)));

    // Too early, twice: two acknowledgments of what is there.
    g.say(&segment(TcpControl::Psh, 106, Some(theirs), b"world"));
    g.say(&segment(TcpControl::Psh, 111, Some(theirs), b"!"));
    for _ in 0..2 {
        let f = g.frame().unwrap();
        assert_eq!((tcp(&f).2, tcp(&f).0.payload.len()), (Some(101), 0));
    }
    assert_eq!(g.frame(), None);
    assert_eq!(g.nat.metrics().tcp_out_of_order.get(), 2);

    // What lacked: all of it is there at once.
    g.say(&segment(TcpControl::Psh, 101, Some(theirs), b"hello"));
    let f = g.frame().unwrap();
    assert_eq!((tcp(&f).2, tcp(&f).0.payload), (Some(112), &b"helloworld!"[..]));
    // Half of it is known.
    g.say(&segment(TcpControl::Psh, 111, Some(theirs + 11), b"! again"));
    let f = g.frame().unwrap();
    assert_eq!((tcp(&f).2, tcp(&f).0.payload), (Some(118), &b" again"[..]));

    // The end, twice.
    g.say(&segment(TcpControl::Fin, 118, Some(theirs + 17), b""));
    let f = g.frame().unwrap();
    assert_eq!((tcp(&f).0.control, tcp(&f).1, tcp(&f).2), (TcpControl::Fin, theirs + 17, Some(119)));
    g.say(&segment(TcpControl::None, 119, Some(theirs + 18), b""));
    assert_eq!(g.frame(), None);
    g.say(&segment(TcpControl::Fin, 118, Some(theirs + 18), b""));
    let f = g.frame().unwrap();
    assert_eq!((tcp(&f).0.control, tcp(&f).2), (TcpControl::None, Some(119)));
    // And the same ports anew.
    connect(&mut g, 5_000_000);
}

#[test]
fn segments_of_no_connection_are_reset() {
    let mut g = offline();
    g.say(&segment(TcpControl::None, 100, Some(77), b"data"));
    let f = g.frame().unwrap();
    assert_eq!((tcp(&f).0.control, tcp(&f).1, tcp(&f).2), (TcpControl::Rst, 77, None));
    g.say(&segment(TcpControl::Fin, 100, None, b"data"));
    let f = g.frame().unwrap();
    assert_eq!((tcp(&f).0.control, tcp(&f).1, tcp(&f).2), (TcpControl::Rst, 0, Some(105)));
    g.say(&segment(TcpControl::Rst, 100, None, b""));
    assert_eq!(g.frame(), None);
}

/// A guest that calls and calls, and never hangs up.
#[test]
fn connections_are_bounded() {
    let mut g = offline();
    for port in 1..6000_u16 {
        let mut f = segment(TcpControl::Syn, 0, None, b"");
        let (src, dst) = (ADDRESS.into(), Ipv4Addr::new(192, 0, 2, 1).into());
        let mut p = TcpPacket::new_unchecked(&mut f[ETH + IPV4..ETH + IPV4 + 24]);
        p.set_src_port(port);
        p.fill_checksum(&src, &dst);
        g.say(&f);
        while g.frame().is_some() {}
    }
    let evicted = g.nat.metrics().tcp_evicted.get() as usize;
    assert!(g.nat.connections() <= 4096 && evicted > 0);
    assert_eq!(g.nat.connections() + evicted, 5999);
}

#[test]
fn no_segment_is_longer_than_the_guest_wants() {
    let mut g = offline();
    let theirs = connect(&mut g, 0);
    g.say(&segment(TcpControl::Psh, 1, Some(theirs), &[1; 1400]));
    let lengths: Vec<_> = std::iter::from_fn(|| g.frame().map(|f| tcp(&f).0.payload.len())).collect();
    assert_eq!(lengths, [1000, 400], "1000 was the guest's limit");
}

#[test]
fn a_capture_has_every_frame_of_both_directions() {
    let dir = std::env::temp_dir().join(format!("heirloom-net-pcap-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("net.pcap");
    let question = ping(GATEWAY, b"seen?");
    let answer = {
        let mut g = Guest::new(&format!("pcap={}", path.display()));
        assert!(
            super::super::Nat::new(
                NatOptions::parse(&format!("pcap={}", path.display())).unwrap(),
                std::sync::Arc::new(|| {})
            )
            .is_err_and(|e| e.to_string().contains("in use"))
        );
        g.say(&question);
        g.frame().unwrap()
    };
    let b = std::fs::read(&path).unwrap();
    let _ = std::fs::remove_dir_all(&dir);
    let le = |at: usize| u32::from_le_bytes(b[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((le(0), le(20)), (0xa1b2_c3d4, 1));
    let mut at = 24;
    for want in [question, answer] {
        assert_eq!((le(at + 8), le(at + 12)), (want.len(), want.len()));
        assert_eq!(b[at + 16..][..want.len()], want);
        at += 16 + want.len();
    }
    assert_eq!(at, b.len());
}
