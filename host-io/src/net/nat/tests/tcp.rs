//! Connections of the guest to servers on this host, which stand for all others.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use smoltcp::socket::tcp::State;

use super::super::GATEWAY;
use super::guest::{Guest, check, closed_port, pattern, server};

pub(super) const MUCH: usize = 64 << 20;
const BUFFER: usize = 1 << 20;

/// Sends so much of the pattern and ends.
pub(super) fn source(mut s: TcpStream, mut left: usize) {
    let p = pattern();
    while left > 0 {
        let n = left.min(p.len());
        s.write_all(&p[..n]).unwrap();
        left -= n;
    }
    s.shutdown(Shutdown::Write).unwrap();
    // Until the guest has ended too.
    let _ = s.read(&mut [0]);
}

/// Reads the pattern to its end; how much it was.
pub(super) fn sink(mut s: TcpStream) -> usize {
    let p = pattern();
    let mut b = vec![0; 1 << 18];
    let mut at = 0;
    loop {
        match s.read(&mut b).unwrap() {
            0 => return at,
            n => {
                check(&p, at, &b[..n]);
                at += n;
            }
        }
    }
}

pub(super) fn download(g: &mut Guest, port: u16, much: usize) {
    let h = g.connect((GATEWAY, port), 40000, BUFFER);
    let p = pattern();
    let mut got = 0;
    g.until("all of it", |g| {
        let s = g.tcp(h);
        while s.can_recv() {
            got += s
                .recv(|d| {
                    (d.len(), {
                        check(&p, got, d);
                        d.len()
                    })
                })
                .unwrap();
        }
        !s.may_recv() && got > 0
    });
    assert_eq!(got, much);
    g.tcp(h).close();
    g.until("the end", |g| matches!(g.tcp(h).state(), State::TimeWait | State::Closed));
}

pub(super) fn upload(g: &mut Guest, port: u16, much: usize) {
    let h = g.connect((GATEWAY, port), 40001, BUFFER);
    let p = pattern();
    let mut put = 0;
    g.until("all of it", |g| {
        let s = g.tcp(h);
        while put < much && s.can_send() {
            let from = put % p.len();
            put += s.send_slice(&p[from..p.len().min(from + much - put)]).unwrap();
        }
        if put == much {
            s.close();
        }
        matches!(s.state(), State::TimeWait | State::Closed)
    });
}

fn rate(what: &str, began: Instant) {
    let s = began.elapsed().as_secs_f64();
    println!("{what}: {:.0} MB/s ({:.2} Gb/s)", MUCH as f64 / s / 1e6, MUCH as f64 * 8.0 / s / 1e9);
}

#[test]
fn much_comes_down_whole() {
    let (port, thread) = server(|s| source(s, MUCH));
    let mut g = Guest::new("host=allow");
    let began = Instant::now();
    download(&mut g, port, MUCH);
    rate("down", began);
    thread.join().unwrap();
}

#[test]
fn much_goes_up_whole() {
    let (port, thread) = server(sink);
    let mut g = Guest::new("host=allow");
    let began = Instant::now();
    upload(&mut g, port, MUCH);
    assert_eq!(thread.join().unwrap(), MUCH);
    rate("up", began);
}

#[test]
fn a_slow_guest_loses_nothing() {
    let (port, thread) = server(|s| source(s, 300_000));
    let mut g = Guest::new("host=allow");
    // Its window closes again and again.
    let h = g.connect((GATEWAY, port), 40000, 2048);
    let p = pattern();
    let mut got = 0;
    g.until("all of it", |g| {
        let s = g.tcp(h);
        if s.can_recv() {
            got += s
                .recv(|d| {
                    let n = d.len().min(700);
                    check(&p, got, &d[..n]);
                    (n, n)
                })
                .unwrap();
        }
        !s.may_recv() && got > 0
    });
    assert_eq!(got, 300_000);
    g.tcp(h).close();
    g.until("the end", |g| !g.tcp(h).is_active() || g.tcp(h).state() == State::TimeWait);
    thread.join().unwrap();
}

#[test]
fn a_window_that_was_closed_is_asked_for() {
    let (port, thread) = server(|s| source(s, 20_000));
    let mut g = Guest::new("host=allow");
    let h = g.connect((GATEWAY, port), 40000, 4096);
    g.until("a full buffer", |g| g.tcp(h).recv_queue() == 4096);
    g.idle(Duration::from_millis(900));
    let mut got = 0;
    g.until("the rest", |g| {
        let s = g.tcp(h);
        got += s.recv(|d| (d.len(), d.len())).unwrap_or(0);
        !s.may_recv()
    });
    assert_eq!(got, 20_000);
    g.tcp(h).close();
    g.until("the end", |g| g.tcp(h).state() == State::Closed);
    thread.join().unwrap();
}

#[test]
fn a_slow_host_closes_the_window() {
    const ALL: usize = 8 << 20;
    let (port, thread) = server(|s| {
        std::thread::sleep(Duration::from_millis(300));
        sink(s)
    });
    let mut g = Guest::new("host=allow");
    upload(&mut g, port, ALL);
    assert_eq!(thread.join().unwrap(), ALL);
    assert_eq!(g.nat.metrics().tcp_out_of_order.get(), 0);
}

#[test]
fn each_direction_ends_for_itself() {
    // The host answers only when it has heard all.
    let (port, thread) = server(|mut s| {
        let mut all = Vec::new();
        s.read_to_end(&mut all).unwrap();
        all.reverse();
        s.write_all(&all).unwrap();
    });
    let mut g = Guest::new("host=allow");
    let h = g.connect((GATEWAY, port), 40000, 4096);
    g.until("a connection", |g| g.tcp(h).may_send());
    g.tcp(h).send_slice(b"olleh").unwrap();
    g.tcp(h).close();
    let mut got = Vec::new();
    g.until("the answer", |g| {
        let s = g.tcp(h);
        let _ = s.recv(|d| {
            got.extend_from_slice(d);
            (d.len(), ())
        });
        got.len() == 5
    });
    assert_eq!(got, b"hello");
    thread.join().unwrap();
    g.until("the end", |g| g.tcp(h).state() == State::TimeWait);

    // The guest goes on when the host has ended.
    let (port, thread) = server(|mut s| {
        s.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        s.read_to_end(&mut all).unwrap();
        all
    });
    let h = g.connect((GATEWAY, port), 40001, 4096);
    g.until("the host's end", |g| g.tcp(h).state() == State::CloseWait);
    g.tcp(h).send_slice(b"still here").unwrap();
    g.tcp(h).close();
    g.until("the end", |g| g.tcp(h).state() == State::Closed);
    assert_eq!(thread.join().unwrap(), b"still here");
}

#[test]
fn a_closed_port_is_refused() {
    let mut g = Guest::new("host=allow");
    let h = g.connect((GATEWAY, closed_port()), 40000, 4096);
    let began = Instant::now();
    g.until("a refusal", |g| g.tcp(h).state() == State::Closed);
    assert!(began.elapsed() < Duration::from_secs(5), "a reset, not a time-out");
    assert_eq!(g.nat.metrics().tcp_refused.get(), 1);
    assert_eq!(g.nat.connections(), 0);
}

#[test]
fn the_host_is_out_of_reach_unless_allowed() {
    let l = TcpListener::bind("0.0.0.0:0").unwrap();
    l.set_nonblocking(true).unwrap();
    let port = l.local_addr().unwrap().port();
    // The address by which this host reaches others, if it has one.
    let own = std::net::UdpSocket::bind("0.0.0.0:0")
        .and_then(|s| s.connect("192.0.2.1:9").and_then(|()| s.local_addr()));
    let mut targets = vec![GATEWAY];
    targets.extend(own.ok().and_then(|a| match a.ip() {
        std::net::IpAddr::V4(ip) => Some(ip),
        std::net::IpAddr::V6(_) => None,
    }));
    let mut g = Guest::new("");
    for (i, to) in targets.into_iter().enumerate() {
        let h = g.connect((to, port), 40000 + i as u16, 4096);
        g.until("a refusal", |g| g.tcp(h).state() == State::Closed);
    }
    assert!(l.accept().is_err(), "the guest came through");
    assert!(g.nat.metrics().denied.get() > 0);

    // Allowed or not: loopback is no address on a wire.
    let mut g = Guest::new("host=allow");
    let h = g.connect((Ipv4Addr::LOCALHOST, port), 40000, 4096);
    g.until("a refusal", |g| g.tcp(h).state() == State::Closed);
    assert!(l.accept().is_err(), "the guest came through");
}

#[test]
fn a_reset_goes_through_both_ways() {
    let (port, thread) = server(|mut s| s.read(&mut [0; 16]).map_err(|e| e.kind()));
    let mut g = Guest::new("host=allow");
    let h = g.connect((GATEWAY, port), 40000, 4096);
    g.until("a connection", |g| g.tcp(h).may_send());
    g.tcp(h).abort();
    g.until("the end", |g| g.nat.connections() == 0);
    assert_eq!(thread.join().unwrap(), Err(std::io::ErrorKind::ConnectionReset));

    let (port, thread) = server(|s| socket2::SockRef::from(&s).set_linger(Some(Duration::ZERO)).unwrap());
    let h = g.connect((GATEWAY, port), 40001, 4096);
    g.until("a connection", |g| g.tcp(h).state() != State::SynSent);
    thread.join().unwrap();
    g.until("a reset", |g| g.tcp(h).state() == State::Closed);
    assert_eq!(g.nat.connections(), 0);
}

#[test]
fn many_at_once() {
    const MANY: u16 = 200;
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = l.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let all: Vec<_> = (0..MANY).map(|_| l.accept().unwrap().0).collect();
        for mut s in all {
            let mut b = [0; 2];
            s.read_exact(&mut b).unwrap();
            s.write_all(&b).unwrap();
        }
    });
    let mut g = Guest::new("host=allow");
    let all: Vec<_> = (0..MANY).map(|i| g.connect((GATEWAY, port), 20000 + i, 256)).collect();
    g.until("all connections", |g| all.iter().all(|&h| g.tcp(h).may_send()));
    for (i, &h) in all.iter().enumerate() {
        g.tcp(h).send_slice(&(i as u16).to_be_bytes()).unwrap();
    }
    g.until("all answers", |g| all.iter().all(|&h| g.tcp(h).recv_queue() == 2));
    for (i, &h) in all.iter().enumerate() {
        let mut b = [0; 2];
        g.tcp(h).recv_slice(&mut b).unwrap();
        assert_eq!(usize::from(u16::from_be_bytes(b)), i);
        g.tcp(h).close();
    }
    thread.join().unwrap();
    g.until("the end", |g| all.iter().all(|&h| matches!(g.tcp(h).state(), State::TimeWait | State::Closed)));
}
