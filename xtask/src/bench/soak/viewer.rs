//! Somebody who looks at the screen all the time. RFC 6143: no password, raw pictures.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Until the machine listens.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between an update and the next request: a slow viewer.
const PAUSE: Duration = Duration::from_millis(100);
const RAW: i32 = 0;
const DESKTOP_SIZE: i32 = -223;

/// It ends with the machine.
pub(super) struct Viewer(Arc<AtomicU64>);

impl Viewer {
    pub(super) fn start(port: u16) -> Result<Self> {
        let begun = Instant::now();
        let stream = loop {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                Ok(s) => break s,
                Err(e) if begun.elapsed() > PATIENCE => return Err(e).context("the machine shows no screen"),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        };
        let count = Arc::new(AtomicU64::new(0));
        let theirs = count.clone();
        thread::spawn(move || look(stream, &theirs));
        Ok(Self(count))
    }

    /// Updates that had a part of the picture.
    pub(super) fn pictures(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

fn read<const N: usize>(s: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut b = [0; N];
    s.read_exact(&mut b)?;
    Ok(b)
}

/// How much comes is the server's to say: read and dropped piece by piece.
fn skip(s: &mut TcpStream, bytes: u64) -> std::io::Result<()> {
    std::io::copy(&mut s.take(bytes), &mut std::io::sink()).map(drop)
}

fn look(mut s: TcpStream, count: &AtomicU64) -> std::io::Result<()> {
    let _version = read::<12>(&mut s)?;
    s.write_all(b"RFB 003.008\n")?;
    let [kinds] = read(&mut s)?;
    skip(&mut s, kinds.into())?;
    // None, and share the screen.
    s.write_all(&[1])?;
    let _result = read::<4>(&mut s)?;
    s.write_all(&[1])?;
    let head = read::<24>(&mut s)?;
    skip(&mut s, u32::from_be_bytes([head[20], head[21], head[22], head[23]]).into())?;
    let mut size = [head[0], head[1], head[2], head[3]];
    s.write_all(&[0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0])?;
    s.write_all(&[&[2, 0, 0, 2][..], &RAW.to_be_bytes(), &DESKTOP_SIZE.to_be_bytes()].concat())?;
    let mut only_what_changed = 0;
    loop {
        s.write_all(&[&[3, only_what_changed, 0, 0, 0, 0][..], &size].concat())?;
        only_what_changed = 1;
        let [_kind, _, high, low] = read(&mut s)?;
        for _ in 0..u16::from_be_bytes([high, low]) {
            let r = read::<12>(&mut s)?;
            if i32::from_be_bytes([r[8], r[9], r[10], r[11]]) == DESKTOP_SIZE {
                size = [r[4], r[5], r[6], r[7]];
                only_what_changed = 0;
            } else {
                let [w, h] = [4, 6].map(|n| u64::from(u16::from_be_bytes([r[n], r[n + 1]])));
                skip(&mut s, w * h * 4)?;
                count.fetch_add(1, Relaxed);
            }
        }
        thread::sleep(PAUSE);
    }
}
