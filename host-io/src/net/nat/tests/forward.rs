//! Ports of the host that lead to the guest.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use smoltcp::socket::tcp::State;

use super::super::{GATEWAY, Nat, NatOptions};
use super::guest::{Guest, closed_port};

fn caller(port: u16) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut s = TcpStream::connect(("127.0.0.1", port)).unwrap();
        s.write_all(b"knock").unwrap();
        let mut b = Vec::new();
        s.read_to_end(&mut b).unwrap();
        b
    })
}

#[test]
fn a_caller_waits_until_the_guest_has_an_address() {
    let port = closed_port();
    let mut g = Guest::nameless(&format!("forward=tcp:{port}:22"));
    let h = g.tcp_socket(4096);
    g.tcp(h).listen(22).unwrap();
    let call = caller(port);
    g.idle(Duration::from_millis(100));
    assert_eq!(g.tcp(h).state(), State::Listen);
    g.lease();
    g.until("a call", |g| g.tcp(h).recv_queue() == 5);
    assert_eq!(g.tcp(h).remote_endpoint().unwrap().addr, GATEWAY.into());
    g.tcp(h).send_slice(b"who is there?").unwrap();
    g.tcp(h).close();
    g.until("the end", |g| matches!(g.tcp(h).state(), State::TimeWait | State::Closed));
    assert_eq!(call.join().unwrap(), b"who is there?");
}

#[test]
fn a_port_that_the_guest_does_not_serve_is_closed() {
    let port = closed_port();
    let mut g = Guest::new(&format!("forward=tcp:127.0.0.1:{port}:23"));
    g.say(&super::wire::ping(GATEWAY, b"here I am"));
    let call = std::thread::spawn(move || {
        let mut s = TcpStream::connect(("127.0.0.1", port)).unwrap();
        s.read(&mut [0]).map_err(|e| e.kind())
    });
    g.until("the end", |g| g.nat.metrics().tcp_opened.get() == 1 && g.nat.connections() == 0);
    assert!(matches!(call.join().unwrap(), Err(std::io::ErrorKind::ConnectionReset)));
}

#[test]
fn datagrams_of_two_callers() {
    let port = closed_port();
    let mut g = Guest::nameless(&format!("forward=udp:{port}:69"));
    g.lease();
    let h = g.udp_socket(69);
    let callers = [1, 2].map(|i| {
        let s = UdpSocket::bind("127.0.0.1:0").unwrap();
        s.set_nonblocking(true).unwrap();
        s.send_to(&[i], ("127.0.0.1", port)).unwrap();
        s
    });
    let mut heard = 0;
    g.until("both", |g| {
        while let Ok((d, meta)) = g.udp(h).recv() {
            let d = d[0];
            assert_eq!(meta.endpoint.addr, GATEWAY.into());
            g.udp(h).send_slice(&[d + 10], meta.endpoint).unwrap();
            heard += 1;
        }
        heard == 2
    });
    for (i, s) in callers.iter().enumerate() {
        let mut b = [0; 4];
        g.until("an answer", |_| s.recv(&mut b).is_ok());
        assert_eq!(usize::from(b[0]), i + 11);
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = l.local_addr().unwrap().port();
    let failed = |text: &str| {
        let o = NatOptions::parse(text).unwrap();
        Nat::new(o, std::sync::Arc::new(|| {})).err().unwrap().to_string()
    };
    let e = failed(&format!("forward=tcp:{port}:80"));
    assert!(e.contains(&format!("port {port} is in use")) && e.contains("choose another"), "{e}");
    let e = failed("forward=tcp:192.0.2.1:4000:80");
    assert!(e.contains("192.0.2.1 is no address of this host"), "{e}");
}
