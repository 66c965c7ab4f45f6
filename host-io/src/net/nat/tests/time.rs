//! What time brings, with a clock that tests move.

use std::net::UdpSocket;
use std::time::Duration;

use smoltcp::wire::TcpControl;

use super::super::GATEWAY;
use super::guest::Guest;
use super::wire::{connect, offline, segment, tcp, udp};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn what_is_not_acknowledged_is_sent_again_more_and_more_slowly() {
    let mut g = offline();
    let theirs = connect(&mut g, 0);
    g.say(&segment(TcpControl::Psh, 1, Some(theirs), b"data"));
    let first = g.frame().unwrap();
    let mut pause = 200;
    for _ in 0..12 {
        g.wait(ms(pause - 60));
        assert_eq!(g.frame(), None);
        g.wait(ms(120));
        let f = g.frame().unwrap();
        assert_eq!((tcp(&f).1, tcp(&f).0.payload), (tcp(&first).1, &b"data"[..]));
        assert_eq!(g.frame(), None);
        // Late by 60 ms each time.
        pause = (pause * 2).min(30_000);
        g.wait(ms(0));
    }
    assert_eq!(g.nat.metrics().tcp_resent.get(), 12);
    g.wait(ms(31_000));
    let f = g.frame().unwrap();
    assert_eq!(tcp(&f).0.control, TcpControl::Rst);
    assert_eq!((g.frame(), g.nat.connections()), (None, 0));
}

#[test]
fn three_equal_acknowledgments_are_a_loss() {
    let mut g = offline();
    let theirs = connect(&mut g, 0);
    g.say(&segment(TcpControl::Psh, 1, Some(theirs), &[5; 1200]));
    assert_eq!(std::iter::from_fn(|| g.frame()).count(), 2);
    for _ in 0..3 {
        assert_eq!(g.frame(), None);
        g.say(&segment(TcpControl::None, 1201, Some(theirs), b""));
    }
    let f = g.frame().unwrap();
    assert_eq!((tcp(&f).1, tcp(&f).0.payload.len()), (theirs, 1000), "the first one, at once");
    assert_eq!(g.frame(), None);
    // The second was lost too.
    g.say(&segment(TcpControl::None, 1201, Some(theirs + 1000), b""));
    let f = g.frame().unwrap();
    assert_eq!((tcp(&f).1, tcp(&f).0.payload.len()), (theirs + 1000, 200));
}

#[test]
fn a_closed_connection_is_forgotten_after_a_while() {
    let mut g = offline();
    let theirs = connect(&mut g, 0);
    g.say(&segment(TcpControl::Fin, 1, Some(theirs), b""));
    let f = g.frame().unwrap();
    assert_eq!(tcp(&f).0.control, TcpControl::Fin);
    g.say(&segment(TcpControl::None, 2, Some(theirs + 1), b""));
    assert_eq!((g.frame(), g.nat.connections()), (None, 1));
    g.wait(ms(6000));
    assert_eq!((g.frame(), g.nat.connections()), (None, 0));
}

#[test]
fn a_silent_guest_is_asked_and_then_given_up() {
    let mut g = offline();
    let theirs = connect(&mut g, 0);
    assert_eq!(g.frame(), None);
    g.wait(2 * HOUR);
    let f = g.frame().unwrap();
    assert_eq!((tcp(&f).1, tcp(&f).0.payload.len()), (theirs - 1, 0));
    // It is there.
    g.say(&segment(TcpControl::None, 1, Some(theirs), b""));
    g.wait(HOUR);
    assert_eq!((g.frame(), g.nat.connections()), (None, 1));
    g.wait(HOUR);
    let mut asked = 0;
    while g.nat.connections() == 1 {
        asked += g.frame().is_some_and(|f| tcp(&f).0.control == TcpControl::None) as u32;
        g.wait(ms(75_000));
        assert!(asked < 20);
    }
    assert_eq!(asked, 9);
}

#[test]
fn a_closed_window_is_probed_for_as_long_as_the_guest_says_so() {
    let mut g = offline();
    let theirs = connect(&mut g, 0);
    let mut closed = segment(TcpControl::Psh, 1, Some(theirs), b"data");
    let shut = |f: &mut Vec<u8>| {
        let (src, dst) = (super::guest::ADDRESS.into(), std::net::Ipv4Addr::new(192, 0, 2, 1).into());
        let end = 14 + usize::from(u16::from_be_bytes([f[16], f[17]]));
        let mut p = smoltcp::wire::TcpPacket::new_unchecked(&mut f[34..end]);
        p.set_window_len(0);
        p.fill_checksum(&src, &dst);
    };
    shut(&mut closed);
    g.say(&closed);
    let f = g.frame().unwrap();
    assert_eq!((tcp(&f).0.payload.len(), tcp(&f).2), (0, Some(5)), "an acknowledgment only");
    let mut probes = 0;
    for _ in 0..100 {
        g.wait(ms(10_000));
        while g.frame().is_some() {
            probes += 1;
            let mut still = segment(TcpControl::None, 5, Some(theirs), b"");
            shut(&mut still);
            g.say(&still);
        }
    }
    assert!(probes > 20, "{probes} probes");
    g.say(&segment(TcpControl::None, 5, Some(theirs), b""));
    let f = g.frame().unwrap();
    assert_eq!(tcp(&f).0.payload, b"data");
}

#[test]
fn silent_sources_are_closed() {
    let s = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = s.local_addr().unwrap().port();
    let mut g = Guest::new("host=allow");
    g.still();
    let mut from = || {
        g.say(&udp(5000, GATEWAY, port, b"hello"));
        let from = s.recv_from(&mut [0; 16]).unwrap().1;
        g.wait(Duration::from_secs(200));
        g.frame();
        from
    };
    assert_eq!(from(), from(), "the same while it is used");
    g.wait(Duration::from_secs(301));
    g.frame();
    g.say(&udp(5000, GATEWAY, port, b"hello"));
    s.recv_from(&mut [0; 16]).unwrap();
    assert_eq!(g.nat.metrics().udp_opened.get(), 2);
}
