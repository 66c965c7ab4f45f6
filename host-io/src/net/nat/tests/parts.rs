//! Parts by themselves.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use proptest::prelude::*;
use smoltcp::wire::Ipv4Packet;

use super::super::fragment::Fragments;
use super::super::frame::{ETH, Ip, UDP, packets};
use super::super::resolver::{Resolver, parse};
use super::guest::{ADDRESS, MAC};

fn addresses(servers: &[SocketAddr]) -> Vec<String> {
    servers.iter().map(ToString::to_string).collect()
}

#[test]
fn resolv_conf_is_read() {
    let s = parse(
        "# c\nnameserver 192.0.2.1\n nameserver  ::1 # x\nnameserver fe80::1%eth0\nsearch a.example. b\n",
    );
    assert_eq!(addresses(&s.servers), ["192.0.2.1:53", "[::1]:53"]);
    assert_eq!(s.domain.as_deref(), Some("a.example"));
    assert_eq!(addresses(&parse("search .").servers), ["127.0.0.1:53"]);
    assert_eq!(parse("search .").domain, None);
}

#[test]
fn resolv_conf_is_read_again_when_it_changed() {
    let file = std::env::temp_dir().join(format!("heirloom-net-resolv-{}", std::process::id()));
    std::fs::write(&file, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n").unwrap();
    let mut r = Resolver::of_file(file.clone());
    let mut now = Instant::now();
    let first = r.server(now).unwrap();
    assert_eq!(first.to_string(), "192.0.2.1:53");
    r.failed(first);
    assert_eq!(r.server(now).unwrap().to_string(), "192.0.2.2:53");
    std::fs::write(&file, "nameserver 192.0.2.33\n").unwrap();
    assert_eq!(r.server(now).unwrap().to_string(), "192.0.2.2:53", "not looked at for every question");
    now += std::time::Duration::from_secs(2);
    assert_eq!(r.server(now).unwrap().to_string(), "192.0.2.33:53");
    std::fs::remove_file(&file).unwrap();
}

fn add(f: &mut Fragments, frame: &[u8]) -> Option<Vec<u8>> {
    f.add(Instant::now(), &Ipv4Packet::new_checked(&frame[ETH..]).unwrap())
}

fn cut(data: &[u8], ident: u16) -> Vec<Vec<u8>> {
    let ip = Ip { ident, ..Ip::new(UDP, ADDRESS, Ipv4Addr::new(192, 0, 2, 1)) };
    packets(MAC, ip, data).collect()
}

proptest! {
    #[test]
    fn fragments_in_any_order_are_the_packet(
        len in 1481_usize..60000,
        order in any::<prop::sample::Index>(),
        again in any::<prop::sample::Index>(),
    ) {
        let data = seeded::Rng::new(len as u64).bytes(len);
        let mut parts = cut(&data, 1);
        let n = parts.len();
        parts.rotate_left(order.index(n));
        let twice = parts[again.index(n)].clone();
        let mut f = Fragments::default();
        let mut got = None;
        for (i, p) in parts.iter().enumerate() {
            prop_assert!(got.is_none());
            if i + 1 < n && *p == twice {
                prop_assert!(add(&mut f, p).is_none());
            }
            got = add(&mut f, p);
        }
        prop_assert!(got == Some(data));
    }
}

#[test]
fn fragments_that_overlap_or_never_end_are_dropped() {
    let data = seeded::Rng::new(1).bytes(4000);
    let mut f = Fragments::default();
    let mut parts = cut(&data, 1);
    assert!(add(&mut f, &parts[0]).is_none());
    // The same place with other bytes.
    parts[0][100] ^= 1;
    assert!(add(&mut f, &parts[0]).is_none());
    assert!(add(&mut f, &parts[1]).is_none());
    assert!(add(&mut f, &parts[2]).is_none(), "the first one is gone");

    // Many beginnings: the last ones are remembered.
    for ident in 100..200 {
        assert!(add(&mut f, &cut(&data, ident)[0]).is_none());
    }
    for (ident, whole) in [(100, false), (199, true)] {
        add(&mut f, &cut(&data, ident)[1]);
        assert_eq!(add(&mut f, &cut(&data, ident)[2]).is_some(), whole);
    }
}
