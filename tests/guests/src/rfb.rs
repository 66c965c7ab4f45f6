//! A VNC viewer: raw pictures, keys, lamps. RFC 6143.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Screen;

const RAW: i32 = 0;
const DESKTOP_SIZE: i32 = -223;
const LED_STATE: i32 = -261;
const SHIFT: u32 = 0xffe1;
const RETURN: u32 = 0xff0d;

pub struct Viewer {
    stream: TcpStream,
    screen: Screen,
}

impl Viewer {
    pub fn connect(at: &str) -> Self {
        let stream = TcpStream::connect(at).expect("the machine shows its screen");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        let mut v = Self { stream, screen: Screen { width: 0, height: 0, pixels: Vec::new() } };
        let _version = v.read::<12>();
        v.send(b"RFB 003.008\n");
        assert_eq!(v.read::<2>(), [1, 1], "no password");
        v.send(&[1]);
        assert_eq!(v.read::<4>(), [0; 4]);
        v.send(&[1]);
        let head = v.read::<24>();
        let [w, h] = [0, 2].map(|n| usize::from(u16::from_be_bytes([head[n], head[n + 1]])));
        v.screen = Screen { width: w, height: h, pixels: vec![0; w * h] };
        let name = u32::from_be_bytes([head[20], head[21], head[22], head[23]]);
        v.skip(name as usize);
        // 32 bits, little-endian, 00RRGGBBh.
        v.send(&[0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]);
        let known = [RAW, DESKTOP_SIZE, LED_STATE].map(i32::to_be_bytes);
        v.send(&[&[2, 0, 0, known.len() as u8][..], known.as_flattened()].concat());
        v
    }

    fn size(&self) -> (usize, usize) {
        (self.screen.width, self.screen.height)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server listens");
    }

    fn read<const N: usize>(&mut self) -> [u8; N] {
        let mut b = [0; N];
        self.stream.read_exact(&mut b).expect("the server goes on");
        b
    }

    fn skip(&mut self, bytes: usize) {
        self.stream.read_exact(&mut vec![0; bytes]).expect("the server goes on");
    }

    /// Asks for so much of the screen, and takes the update that comes. Its lamps, if it tells of them.
    fn update(&mut self, width: usize, height: usize) -> Option<u8> {
        let [w, h] = [width, height].map(|n| (n as u16).to_be_bytes());
        self.send(&[3, 0, 0, 0, 0, 0, w[0], w[1], h[0], h[1]]);
        let mut leds = None;
        let [kind, _, high, low] = self.read::<4>();
        assert_eq!(kind, 0, "an update");
        for _ in 0..u16::from_be_bytes([high, low]) {
            let r = self.read::<12>();
            let [x, y, w, h] = [0, 2, 4, 6].map(|n| usize::from(u16::from_be_bytes([r[n], r[n + 1]])));
            match i32::from_be_bytes([r[8], r[9], r[10], r[11]]) {
                LED_STATE => leds = Some(self.read::<1>()[0]),
                RAW => self.take(x, y, w, h),
                DESKTOP_SIZE => self.screen = Screen { width: w, height: h, pixels: vec![0; w * h] },
                e => panic!("encoding {e} was not asked for"),
            }
        }
        leds
    }

    fn take(&mut self, x: usize, y: usize, w: usize, h: usize) {
        let mut b = vec![0; 4 * w * h];
        self.stream.read_exact(&mut b).expect("the server goes on");
        let all = self.screen.width;
        for (row, line) in b.chunks_exact(4 * w).enumerate() {
            let to = &mut self.screen.pixels[(y + row) * all + x..][..w];
            for (p, b) in to.iter_mut().zip(line.chunks_exact(4)) {
                *p = u32::from_le_bytes([b[0], b[1], b[2], 0]);
            }
        }
    }

    /// What the screen shows.
    pub fn picture(&mut self) -> &Screen {
        loop {
            let size = self.size();
            self.update(size.0, size.1);
            if self.size() == size {
                return &self.screen;
            }
        }
    }

    /// The lamps, once an update tells of them.
    pub fn leds(&mut self) -> u8 {
        loop {
            if let Some(leds) = self.update(1, 1) {
                return leds;
            }
        }
    }

    fn key(&mut self, keysym: u32, down: bool) {
        self.send(&[&[4, u8::from(down), 0, 0][..], &keysym.to_be_bytes()].concat());
    }

    /// On a US keyboard.
    pub fn type_text(&mut self, text: &str) {
        for c in text.chars() {
            let shifted = c.is_ascii_uppercase() || "~!@#$%^&*()_+{}|:\"<>?".contains(c);
            let keysym = if c == '\n' { RETURN } else { u32::from(c) };
            if shifted {
                self.key(SHIFT, true);
            }
            self.key(keysym, true);
            self.key(keysym, false);
            if shifted {
                self.key(SHIFT, false);
            }
        }
    }
}
