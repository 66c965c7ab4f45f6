//! A VNC viewer: raw pictures, keys, lamps. RFC 6143.

use std::io::{self, Read, Write};
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
    pub fn connect(at: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut v = Self { stream, screen: Screen { width: 0, height: 0, pixels: Vec::new() } };
        let _version = v.read::<12>()?;
        v.send(b"RFB 003.008\n")?;
        if v.read::<2>()? != [1, 1] {
            return Err(wrong("it asks for a password"));
        }
        v.send(&[1])?;
        if v.read::<4>()? != [0; 4] {
            return Err(wrong("it lets nobody in"));
        }
        v.send(&[1])?;
        let head = v.read::<24>()?;
        let [w, h] = [0, 2].map(|n| usize::from(u16::from_be_bytes([head[n], head[n + 1]])));
        v.screen = Screen { width: w, height: h, pixels: vec![0; w * h] };
        let name = u32::from_be_bytes([head[20], head[21], head[22], head[23]]);
        v.skip(name as usize)?;
        // 32 bits, little-endian, 00RRGGBBh.
        v.send(&[0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0])?;
        let known = [RAW, DESKTOP_SIZE, LED_STATE].map(i32::to_be_bytes);
        v.send(&[&[2, 0, 0, known.len() as u8][..], known.as_flattened()].concat())?;
        Ok(v)
    }

    fn size(&self) -> (usize, usize) {
        (self.screen.width, self.screen.height)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn read<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut b = [0; N];
        self.stream.read_exact(&mut b)?;
        Ok(b)
    }

    fn skip(&mut self, bytes: usize) -> io::Result<()> {
        self.stream.read_exact(&mut vec![0; bytes])
    }

    /// Asks for so much of the screen, and takes the update that comes. Its lamps, if it tells of them.
    fn update(&mut self, width: usize, height: usize) -> io::Result<Option<u8>> {
        let [w, h] = [width, height].map(|n| (n as u16).to_be_bytes());
        self.send(&[3, 0, 0, 0, 0, 0, w[0], w[1], h[0], h[1]])?;
        let mut leds = None;
        let [_, high, low] = self.head_of_update()?;
        for _ in 0..u16::from_be_bytes([high, low]) {
            let r = self.read::<12>()?;
            let [x, y, w, h] = [0, 2, 4, 6].map(|n| usize::from(u16::from_be_bytes([r[n], r[n + 1]])));
            match i32::from_be_bytes([r[8], r[9], r[10], r[11]]) {
                LED_STATE => leds = Some(self.read::<1>()?[0]),
                RAW => self.take(x, y, w, h)?,
                DESKTOP_SIZE => self.screen = Screen { width: w, height: h, pixels: vec![0; w * h] },
                e => return Err(wrong(&format!("encoding {e} was not asked for"))),
            }
        }
        Ok(leds)
    }

    /// The rest of the next FramebufferUpdate's head: bells are not heard, and there is no clipboard.
    fn head_of_update(&mut self) -> io::Result<[u8; 3]> {
        loop {
            match self.read::<1>()?[0] {
                0 => return self.read(),
                2 => {}
                3 => {
                    let [_, _, _, a, b, c, d] = self.read()?;
                    self.skip(u32::from_be_bytes([a, b, c, d]) as usize)?;
                }
                n => return Err(wrong(&format!("message {n} is not of a server"))),
            }
        }
    }

    fn take(&mut self, x: usize, y: usize, w: usize, h: usize) -> io::Result<()> {
        let mut b = vec![0; 4 * w * h];
        self.stream.read_exact(&mut b)?;
        if w == 0 {
            return Ok(());
        }
        let all = self.screen.width;
        for (row, line) in b.chunks_exact(4 * w).enumerate() {
            let to = self.screen.pixels.get_mut((y + row) * all + x..).and_then(|r| r.get_mut(..w));
            let to = to.ok_or_else(|| wrong("a rectangle beyond the screen"))?;
            for (p, b) in to.iter_mut().zip(line.chunks_exact(4)) {
                *p = u32::from_le_bytes([b[0], b[1], b[2], 0]);
            }
        }
        Ok(())
    }

    /// What the screen shows.
    pub fn picture(&mut self) -> io::Result<&Screen> {
        loop {
            let size = self.size();
            self.update(size.0, size.1)?;
            if self.size() == size {
                return Ok(&self.screen);
            }
        }
    }

    /// The lamps, once an update tells of them.
    pub fn leds(&mut self) -> io::Result<u8> {
        loop {
            if let Some(leds) = self.update(1, 1)? {
                return Ok(leds);
            }
        }
    }

    /// A key by its X11 keysym.
    pub fn key(&mut self, keysym: u32, down: bool) -> io::Result<()> {
        self.send(&[&[4, u8::from(down), 0, 0][..], &keysym.to_be_bytes()].concat())
    }

    /// The pointer, and which buttons are held: 1 left, 2 middle, 4 right.
    pub fn pointer(&mut self, x: u16, y: u16, buttons: u8) -> io::Result<()> {
        let ([a, b], [c, d]) = (x.to_be_bytes(), y.to_be_bytes());
        self.send(&[5, buttons, a, b, c, d])
    }

    /// On a US keyboard.
    pub fn type_text(&mut self, text: &str) -> io::Result<()> {
        for c in text.chars() {
            let shifted = c.is_ascii_uppercase() || "~!@#$%^&*()_+{}|:\"<>?".contains(c);
            let keysym = if c == '\n' { RETURN } else { u32::from(c) };
            if shifted {
                self.key(SHIFT, true)?;
            }
            self.key(keysym, true)?;
            self.key(keysym, false)?;
            if shifted {
                self.key(SHIFT, false)?;
            }
        }
        Ok(())
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(format!("the VNC server: {what}"))
}
