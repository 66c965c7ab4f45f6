//! Who the guests of the network's lines talk to: three services on this host's loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

/// As in `benches/guest/io.c`.
const PIECE: usize = 1 << 20;
const PIECES: usize = 4;

/// Ports.
pub(crate) struct Peer {
    down: u16,
    up: u16,
    turn: u16,
}

impl Peer {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self { down: serve(down)?, up: serve(up)?, turn: serve(turn)? })
    }

    /// Words of the guest's command line, who finds this host at `gateway`.
    pub(crate) fn words(&self, gateway: &str) -> String {
        format!("server={gateway} down={} up={} turn={}", self.down, self.up, self.turn)
    }
}

/// A service ends with its caller, whatever he does.
fn serve(work: fn(TcpStream) -> std::io::Result<()>) -> Result<u16> {
    let l = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for the guests to talk to")?;
    let port = l.local_addr()?.port();
    thread::spawn(move || {
        for c in l.incoming().flatten() {
            thread::spawn(move || work(c));
        }
    });
    Ok(port)
}

/// The same piece without end.
fn down(mut to: TcpStream) -> std::io::Result<()> {
    let piece: Vec<u8> = (0..PIECE).map(|n| (n * 13 >> 4) as u8).collect();
    loop {
        to.write_all(&piece)?;
    }
}

/// Takes a round's pieces and says so.
fn up(mut from: TcpStream) -> std::io::Result<()> {
    let mut round = vec![0; PIECES * PIECE];
    loop {
        from.read_exact(&mut round)?;
        from.write_all(&[u8::from(round.iter().all(|&b| b == 0x5a))])?;
    }
}

fn turn(mut with: TcpStream) -> std::io::Result<()> {
    with.set_nodelay(true)?;
    let mut b = [0];
    loop {
        with.read_exact(&mut b)?;
        with.write_all(&b)?;
    }
}
