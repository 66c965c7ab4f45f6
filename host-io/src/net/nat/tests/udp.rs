//! Datagrams.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use smoltcp::wire::{IpAddress, IpEndpoint};

use super::super::{GATEWAY, frame};
use super::guest::{ADDRESS, Guest, MAC, closed_port};
use super::wire::{icmp_error, packet};

/// Sends back what comes, from this port and from another one, as TFTP does.
fn echo() -> u16 {
    let s = UdpSocket::bind("127.0.0.1:0").unwrap();
    s.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let port = s.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut b = vec![0; 65536];
        while let Ok((n, from)) = s.recv_from(&mut b) {
            s.send_to(&b[..n], from).unwrap();
            other.send_to(b"other", from).unwrap();
        }
    });
    port
}

#[test]
fn datagrams_come_back_and_so_do_those_of_another_port() {
    let port = echo();
    let mut g = Guest::new("host=allow");
    let h = g.udp_socket(5000);
    g.udp(h).send_slice(b"hello", (GATEWAY, port)).unwrap();
    let mut got = Vec::new();
    g.until("both", |g| {
        while let Ok((data, meta)) = g.udp(h).recv() {
            got.push((data.to_vec(), meta.endpoint));
        }
        got.len() == 2
    });
    assert_eq!(got[0], (b"hello".to_vec(), IpEndpoint::new(IpAddress::Ipv4(GATEWAY), port)));
    assert_eq!((got[1].0.as_slice(), got[1].1.addr), (b"other".as_slice(), IpAddress::Ipv4(GATEWAY)));
    assert_eq!(g.nat.metrics().udp_opened.get(), 1);
}

#[test]
fn strangers_are_not_heard() {
    // The guest sends to this host's loopback; what another address sends to the same socket is not passed on. One of
    // loopback's own other addresses is such a stranger, where there are any.
    let Ok(stranger) = UdpSocket::bind("127.0.0.2:0") else { return };
    let s = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut g = Guest::new("host=allow");
    let h = g.udp_socket(5000);
    g.udp(h).send_slice(b"hello", (GATEWAY, s.local_addr().unwrap().port())).unwrap();
    g.step();
    g.step();
    let (_, from) = s.recv_from(&mut [0; 16]).unwrap();
    stranger.send_to(b"spoofed", from).unwrap();
    s.send_to(b"true", from).unwrap();
    let mut got = Vec::new();
    g.until("an answer", |g| {
        got.extend(g.udp(h).recv().ok().map(|(d, _)| d.to_vec()));
        !got.is_empty()
    });
    assert_eq!(got, [b"true".to_vec()]);
}

#[test]
fn long_ones_go_in_fragments_and_come_back_so() {
    let port = echo();
    let mut g = Guest::new("host=allow");
    let data = seeded::Rng::new(3).bytes(8192);
    let d = frame::datagram(
        std::net::SocketAddrV4::new(ADDRESS, 5000),
        std::net::SocketAddrV4::new(GATEWAY, port),
        &data,
    )
    .unwrap();
    // The last one first: any order will do.
    let mut parts: Vec<_> = frame::packets(MAC, frame::Ip::new(frame::UDP, ADDRESS, GATEWAY), &d)
        .map(|mut f| {
            f[..6].copy_from_slice(super::super::GATEWAY_MAC.as_bytes());
            f[6..12].copy_from_slice(MAC.as_bytes());
            f
        })
        .collect();
    assert_eq!(parts.len(), 6);
    parts.reverse();
    for p in parts {
        g.say(&p);
    }
    assert_eq!(g.nat.metrics().reassembled.get(), 1);
    let mut back = Vec::new();
    let mut more = true;
    while more {
        let f = g.frame_soon();
        let (ip, payload) = packet(&f);
        assert!(f.len() <= 1514 && ip.src_addr() == GATEWAY);
        assert_eq!(usize::from(ip.frag_offset()), back.len());
        more = ip.more_frags();
        back.extend_from_slice(payload);
    }
    let d = smoltcp::wire::UdpPacket::new_checked(&back[..]).unwrap();
    assert!(d.verify_checksum(&GATEWAY.into(), &ADDRESS.into()));
    assert!(d.payload() == data, "8 KiB came back changed");
}

#[cfg(target_os = "linux")]
#[test]
fn a_refused_one_is_reported() {
    let mut g = Guest::new("host=allow");
    let port = closed_port();
    g.say(&super::wire::udp(5000, GATEWAY, port, b"anybody?"));
    let f = g.frame_soon();
    let (what, quoted) = icmp_error(&f);
    assert_eq!(what, (3, 3));
    assert_eq!(quoted[16..20], GATEWAY.octets());
    assert_eq!(quoted[20..24], [5000_u16.to_be_bytes(), port.to_be_bytes()].concat());
}

#[test]
fn forbidden_and_unknown_places_are_reported() {
    let mut g = Guest::new("");
    for (to, port, what) in [
        (GATEWAY, 9, (3, 3)),
        (Ipv4Addr::new(10, 0, 2, 77), 9, (3, 1)),
        (Ipv4Addr::new(127, 0, 0, 1), 9, (3, 13)),
        (Ipv4Addr::new(169, 254, 169, 254), 80, (3, 13)),
    ] {
        g.say(&super::wire::udp(5000, to, port, b"?"));
        assert_eq!(icmp_error(&g.frame_soon()).0, what, "{to}");
    }
    // Broadcasts and multicasts are for nobody.
    for to in [[255; 4], [10, 0, 2, 255], [224, 0, 0, 1], [239, 255, 255, 250]] {
        g.say(&super::wire::udp(137, to.into(), 137, b"?"));
        assert_eq!(g.frame(), None);
    }
}
