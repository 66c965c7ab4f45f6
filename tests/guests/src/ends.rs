//! The other ends of a machine that runs in the test's own process: a neighbour on the network, serial ports, a printer and
//! screens. They are handles: a second machine can go on with what a first one had.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use board::{NetPort, ParallelPort, Scanout, SerialPort, VideoMode};

use crate::Screen;

const PEER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 2];
pub const PEER_IP: [u8; 4] = [10, 0, 2, 2];
pub const ARP: [u8; 2] = [0x08, 0x06];
const IP: [u8; 2] = [0x08, 0x00];
const ICMP: u8 = 1;

#[derive(Default)]
pub struct Cable {
    /// All frames of the guest's.
    pub sent: Vec<Vec<u8>>,
    answers: VecDeque<Vec<u8>>,
    pub unplugged: bool,
}

/// A neighbour at 10.0.2.2 that tells its address and sends pings back.
#[derive(Clone, Default)]
pub struct Peer(Arc<Mutex<Cable>>);

impl Peer {
    pub fn cable(&self) -> MutexGuard<'_, Cable> {
        self.0.lock().expect("nobody panicked with it")
    }
}

fn ethernet(to: &[u8], kind: [u8; 2], body: &[u8]) -> Vec<u8> {
    [to, &PEER_MAC, &kind, body].concat()
}

/// Who has 10.0.2.2?
fn arp(f: &[u8]) -> Option<Vec<u8>> {
    let asks = f.get(20..22)? == [0, 1] && f.get(38..42)? == PEER_IP;
    let mut body = f[14..42].to_vec();
    body[7] = 2;
    body[8..14].copy_from_slice(&PEER_MAC);
    body[14..18].copy_from_slice(&PEER_IP);
    body[18..28].copy_from_slice(&f[22..32]);
    asks.then(|| ethernet(&f[6..12], ARP, &body))
}

/// An echo, whole or in fragments: only the first one has ICMP's header.
fn ping(f: &[u8]) -> Option<Vec<u8>> {
    let len = usize::from(u16::from_be_bytes([*f.get(16)?, *f.get(17)?]));
    let mut p = f.get(14..14 + len)?.to_vec();
    if p[9] != ICMP || p[16..20] != PEER_IP {
        return None;
    }
    let (from, to) = (p[12..16].to_vec(), p[16..20].to_vec());
    p[12..16].copy_from_slice(&to);
    p[16..20].copy_from_slice(&from);
    let fragment = u16::from_be_bytes([p[6], p[7]]) & 0x1fff;
    if fragment == 0 {
        // An echo (8) becomes its reply (0); the check grows by what it lost.
        assert_eq!(p[20], 8);
        p[20] = 0;
        let check = u32::from(u16::from_be_bytes([p[22], p[23]])) + 0x0800;
        p[22..24].copy_from_slice(&((check + (check >> 16)) as u16).to_be_bytes());
    }
    Some(ethernet(&f[6..12], IP, &p))
}

impl NetPort for Peer {
    fn send(&mut self, f: &[u8]) {
        let answer = match [f[12], f[13]] {
            ARP => arp(f),
            IP => ping(f),
            _ => None,
        };
        let mut cable = self.cable();
        cable.sent.push(f.to_vec());
        if !cable.unplugged {
            cable.answers.extend(answer);
        }
    }

    fn flush(&mut self) -> bool {
        !self.cable().answers.is_empty()
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let f = self.cable().answers.pop_front()?;
        frame[..f.len()].copy_from_slice(&f);
        Some(f.len())
    }

    fn link(&self) -> bool {
        !self.cable().unplugged
    }
}

/// Nobody looks.
pub struct Blind;

impl Scanout for Blind {
    fn mode(&mut self, _: VideoMode) {}
    fn rows(&mut self, _: std::ops::Range<u32>, _: &[u32]) {}
    fn wanted(&self) -> bool {
        false
    }
}

/// Somebody looks: what is on the screen.
#[derive(Clone, Default)]
pub struct Eye(Arc<Mutex<Screen>>);

impl Eye {
    pub fn screen(&self) -> MutexGuard<'_, Screen> {
        self.0.lock().expect("nobody panicked with it")
    }
}

impl Scanout for Eye {
    fn mode(&mut self, m: VideoMode) {
        let (width, height) = (m.width as usize, m.height as usize);
        *self.screen() = Screen { width, height, pixels: vec![0; width * height] };
    }

    fn rows(&mut self, y: std::ops::Range<u32>, px: &[u32]) {
        let mut s = self.screen();
        let first = y.start as usize * s.width;
        s.pixels[first..][..px.len()].copy_from_slice(px);
    }

    fn wanted(&self) -> bool {
        true
    }
}

/// Keeps what comes from a serial port or to a printer.
#[derive(Clone, Default)]
pub struct Tape(Arc<Mutex<Vec<u8>>>);

impl Tape {
    pub fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("nobody panicked with it")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

impl SerialPort for Tape {
    fn send(&mut self, byte: u8) {
        self.bytes().push(byte);
    }
}

impl ParallelPort for Tape {
    fn strobe(&mut self, byte: u8) {
        self.bytes().push(byte);
    }
}
