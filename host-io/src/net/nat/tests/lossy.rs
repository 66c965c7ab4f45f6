//! Cables that lose frames, double them and change their order.

use smoltcp::socket::tcp::State;

use super::super::NatOptions;
use super::guest::{Guest, server};
use super::tcp::{download, sink, source, upload};

const SOME: usize = 512 << 10;

#[test]
fn all_comes_down_though_frames_are_lost() {
    for lose in [13, 50, 301] {
        let (port, thread) = server(|s| source(s, SOME));
        let mut g = Guest::new("host=allow");
        g.lose = lose;
        download(&mut g, port, SOME);
        thread.join().unwrap();
        assert!(g.nat.metrics().tcp_resent.get() > 0, "every {lose}th was lost, and none sent again");
    }
}

#[test]
fn all_goes_up_though_frames_are_lost() {
    for lose in [11, 50, 301] {
        let (port, thread) = server(sink);
        let mut g = Guest::new("host=allow");
        g.lose = lose;
        upload(&mut g, port, SOME);
        assert_eq!(thread.join().unwrap(), SOME);
    }
}

/// Without a host: what the guest sends comes back. A few seconds of other cables each time.
#[test]
fn an_echo_survives_every_cable() {
    let mut seed = 0;
    let runs = seeded::for_a_while(|rng| {
        seed += 1;
        let data = rng.bytes(1 + seed * 4999 % 60_000);
        let mut g = Guest::with(NatOptions { offline: true, ..NatOptions::default() });
        g.address(smoltcp::wire::IpCidr::new(super::guest::ADDRESS.into(), 24));
        g.noise = Some(rng.clone());
        let size = 1 << (11 + rng.below(6));
        let h = g.connect(([192, 0, 2, 1].into(), 7), 40000, size);
        let (mut put, mut got) = (0, Vec::new());
        g.until("the echo", |g| {
            let s = g.tcp(h);
            if s.can_send() && put < data.len() {
                put += s.send_slice(&data[put..]).unwrap();
                if put == data.len() {
                    s.close();
                }
            }
            while s.can_recv() {
                s.recv(|d| (d.len(), got.extend_from_slice(d))).unwrap();
            }
            matches!(s.state(), State::TimeWait | State::Closed)
        });
        assert!(got == data, "{} bytes of {} came back", got.len(), data.len());
    });
    println!("{runs} cables");
}
