//! Names: against a resolver of our own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use super::super::GATEWAY;
use super::super::dns;
use super::guest::{Guest, closed_port};

/// A question for "a.b", kind A; with an OPT record if `room` is given.
fn question(id: u16, room: Option<u16>) -> Vec<u8> {
    let mut q = id.to_be_bytes().to_vec();
    q.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(room.is_some())]);
    q.extend(b"\x01a\x01b\0\0\x01\0\x01");
    if let Some(r) = room {
        q.extend([0, 0, 41]);
        q.extend(r.to_be_bytes());
        q.extend([0; 6]);
    }
    q
}

/// Answers with the question, marked as an answer and filled up to `len`, over UDP and TCP.
fn resolver(len: usize) -> SocketAddr {
    let (s, l) = loop {
        let s = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(l) = TcpListener::bind(s.local_addr().unwrap()) {
            break (s, l);
        }
    };
    let at = s.local_addr().unwrap();
    s.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let answer = move |q: &[u8]| {
        let mut a = q.to_vec();
        a[2] |= 0x80;
        a.resize(len.max(a.len()), 0);
        a
    };
    std::thread::spawn(move || {
        let mut b = [0; 2048];
        while let Ok((n, from)) = s.recv_from(&mut b) {
            s.send_to(&answer(&b[..n]), from).unwrap();
        }
    });
    std::thread::spawn(move || {
        let (mut s, _) = l.accept().unwrap();
        let mut n = [0; 2];
        s.read_exact(&mut n).unwrap();
        let mut q = vec![0; usize::from(u16::from_be_bytes(n))];
        s.read_exact(&mut q).unwrap();
        let a = answer(&q);
        s.write_all(&(a.len() as u16).to_be_bytes()).unwrap();
        s.write_all(&a).unwrap();
    });
    at
}

fn ask(g: &mut Guest, questions: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let h = g.udp_socket(5353);
    for q in questions {
        g.udp(h).send_slice(q, (GATEWAY, 53)).unwrap();
    }
    let mut got = Vec::new();
    g.until("answers", |g| {
        while let Ok((d, meta)) = g.udp(h).recv() {
            assert_eq!(meta.endpoint, (GATEWAY, 53).into());
            got.push(d.to_vec());
        }
        got.len() == questions.len()
    });
    g.sockets.remove(h);
    got
}

#[test]
fn names_are_asked_of_the_hosts_resolver() {
    let at = resolver(100);
    let mut g = Guest::new(&format!("dns={at}"));
    let questions = [question(1, None), question(2, None)];
    let answers = ask(&mut g, &questions);
    for (q, a) in questions.iter().zip(&answers) {
        assert_eq!((&a[..2], a[2], a.len()), (&q[..2], 0x81, 100));
    }
    assert_eq!(g.nat.metrics().dns_queries.get(), 2);
}

#[test]
fn a_long_answer_is_cut_and_asked_for_by_tcp() {
    let at = resolver(1000);
    let mut g = Guest::new(&format!("dns={at}"));
    let a = &ask(&mut g, &[question(1, None)])[0];
    assert_eq!((a[2] & 0x02, a.len()), (0x02, 12 + 9));
    assert_eq!(ask(&mut g, &[question(2, Some(1232))])[0].len(), 1000, "this client takes it");

    let h = g.connect((GATEWAY, 53), 5000, 4096);
    g.until("a connection", |g| g.tcp(h).may_send());
    let q = question(3, None);
    g.tcp(h).send_slice(&[&[0, q.len() as u8], &q[..]].concat()).unwrap();
    g.until("an answer", |g| g.tcp(h).recv_queue() == 1002);
}

#[test]
fn without_a_resolver_there_is_an_error_at_once() {
    let mut g = Guest::new(&format!("dns=127.0.0.1:{}", closed_port()));
    let a = &ask(&mut g, &[question(9, None)])[0];
    if cfg!(target_os = "linux") {
        assert_eq!((&a[..2], a[2] & 0x80, a[3] & 15), (&[0, 9][..], 0x80, 2));
    }
}

#[test]
fn lengths_and_cuts() {
    assert_eq!(dns::room(&question(1, None)), 512);
    assert_eq!(dns::room(&question(1, Some(1232))), 1232);
    assert_eq!(dns::room(&question(1, Some(4096))), 1472);
    assert_eq!(dns::room(&question(1, Some(0))), 512);
    // Whatever it is, it is never longer than it was, and a header at least.
    let mut rng = seeded::Rng::new(5);
    for _ in 0..2000 {
        let len = 13 + rng.index(60);
        let text = rng.bytes(len);
        for m in [dns::truncated(&text), dns::failure(&text)] {
            assert!((12..=len).contains(&m.len()));
        }
        assert!((512..=1472).contains(&dns::room(&text)));
    }
}
