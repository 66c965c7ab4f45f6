//! Cables that lose frames: every so many, of both directions together.

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
