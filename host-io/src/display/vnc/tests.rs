//! A client of the test's own against a real socket; its decoders are written from RFC 6143.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};

use board::{Key, Scanout, VideoMode};
use proptest::prelude::*;

use super::*;
use crate::display::{FrameScanout, Rect};
use crate::input::{InputEvent, PointerAt};

struct Setup {
    server: VncServer,
    frame: Frame,
    out: FrameScanout,
    events: Receiver<InputEvent>,
    px: Vec<u32>,
    mode: VideoMode,
}

/// Every kind of tile: flat, two colours, few colours in runs, noise.
fn picture(mode: VideoMode) -> Vec<u32> {
    let mut seed = 1u32;
    (0..mode.width * mode.height)
        .map(|n| {
            let (x, y) = (n % mode.width, n / mode.width);
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match (x / 64 + y / 64 * 3) % 6 {
                0 => 0x10_80f0,
                1 => [0, 0xff_ffff][((x ^ y) >> 2 & 1) as usize],
                2 => (x / 9 % 5) * 0x30_2010,
                3 => seed >> 8,
                4 => (x / 5 + y * 3) % 100 * 0x01_0203,
                _ => u32::from(x.is_multiple_of(37)) * 0xff,
            }
        })
        .collect()
}

fn start(password: Option<&str>) -> Setup {
    let mode = VideoMode { width: 331, height: 203 };
    let frame = Frame::new();
    let (tx, events) = channel();
    let config = VncConfig {
        listener: VncListener::bind("127.0.0.1:0".parse().unwrap()).unwrap(),
        password: password.map(Into::into),
        name: "a machine".into(),
    };
    let tx = std::sync::Mutex::new(tx);
    let input = Box::new(move |e| {
        // A test that has ended listens no more.
        let _ = tx.lock().unwrap().send(e);
    });
    let server = VncServer::start(config, frame.clone(), input).unwrap();
    let mut out = frame.scanout();
    let px = picture(mode);
    out.mode(mode);
    out.rows(0..mode.height, &px);
    out.frame();
    Setup { server, frame, out, events, px, mode }
}

impl Setup {
    fn event(&self) -> InputEvent {
        self.events.recv_timeout(Duration::from_secs(20)).expect("an event")
    }
}

struct Client {
    s: TcpStream,
    mode: VideoMode,
    px: Vec<u32>,
    format: PixelFormat,
    inflate: flate2::Decompress,
    seen: Vec<(i32, Rect)>,
    leds: Option<u8>,
}

impl Client {
    fn raw(setup: &Setup) -> TcpStream {
        let s = TcpStream::connect(setup.server.address()).unwrap();
        s.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        s
    }

    fn connect(setup: &Setup, version: &str, password: Option<&str>) -> Self {
        let mut c = Self {
            s: Self::raw(setup),
            mode: VideoMode { width: 0, height: 0 },
            px: Vec::new(),
            format: PixelFormat::NATIVE,
            inflate: flate2::Decompress::new(true),
            seen: Vec::new(),
            leds: None,
        };
        assert_eq!(&c.take::<12>(), b"RFB 003.008\n");
        c.s.write_all(version.as_bytes()).unwrap();
        let kind = if password.is_some() { 2 } else { 1 };
        if version.contains("003.003") {
            assert_eq!(c.u32(), kind);
        } else {
            assert_eq!(c.take(), [1, kind as u8]);
            c.s.write_all(&[kind as u8]).unwrap();
        }
        if let Some(p) = password {
            let answer = auth::response(p, c.take());
            c.s.write_all(&answer).unwrap();
        }
        if password.is_some() || version.contains("003.008") {
            assert_eq!(c.u32(), 0, "SecurityResult");
        }
        c.s.write_all(&[1]).unwrap();
        c.mode = VideoMode { width: c.u16(), height: c.u16() };
        assert_eq!(c.take(), PixelFormat::NATIVE.to_wire());
        let n = c.u32() as usize;
        assert_eq!(c.bytes(n), b"a machine");
        c.px = vec![0x00be_ef00; (c.mode.width * c.mode.height) as usize];
        assert_eq!(setup.event(), InputEvent::Redraw);
        c
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut b = [0; N];
        self.s.read_exact(&mut b).unwrap();
        b
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut b = vec![0; n];
        self.s.read_exact(&mut b).unwrap();
        b
    }

    fn u16(&mut self) -> u32 {
        u32::from(u16::from_be_bytes(self.take()))
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn encodings(&mut self, list: &[i32]) {
        let mut m = vec![2, 0];
        m.extend((list.len() as u16).to_be_bytes());
        list.iter().for_each(|e| m.extend(e.to_be_bytes()));
        self.s.write_all(&m).unwrap();
    }

    fn set_format(&mut self, f: PixelFormat) {
        let mut m = vec![0; 4];
        m.extend(f.to_wire());
        self.s.write_all(&m).unwrap();
        self.format = f;
    }

    fn request(&mut self, incremental: bool, r: Rect) {
        let mut m = vec![3, u8::from(incremental)];
        [r.x, r.y, r.width, r.height].iter().for_each(|v| m.extend((*v as u16).to_be_bytes()));
        self.s.write_all(&m).unwrap();
    }

    fn whole(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.mode.width, height: self.mode.height }
    }

    fn pixel(&self, b: &[u8]) -> u32 {
        let n = b.iter().enumerate().fold(0, |v, (i, &b)| {
            let shift = if self.format.big_endian { b_len(&self.format) - 1 - i } else { i };
            v | u32::from(b) << (8 * shift)
        });
        // As the decoder sees it: compare in the client's own format.
        n
    }

    fn put(&mut self, r: Rect, i: usize, v: u32) {
        let (x, y) = (r.x + i as u32 % r.width, r.y + i as u32 / r.width);
        let at = (y * self.mode.width + x) as usize;
        self.px[at] = v;
    }

    /// Reads one FramebufferUpdate.
    fn update(&mut self) {
        let [kind, _] = self.take::<2>();
        assert_eq!(kind, 0, "FramebufferUpdate");
        for _ in 0..self.u16() {
            let r = Rect { x: self.u16(), y: self.u16(), width: self.u16(), height: self.u16() };
            let encoding = self.u32() as i32;
            self.seen.push((encoding, r));
            match encoding {
                0 => self.raw_rect(r),
                5 => self.hextile_rect(r),
                16 => self.zrle_rect(r),
                -223 => self.resize(r),
                -308 => {
                    let screens = self.take::<4>()[0];
                    self.bytes(16 * usize::from(screens));
                    self.resize(r);
                }
                -261 => self.leds = Some(self.take::<1>()[0]),
                e => panic!("encoding {e}"),
            }
        }
    }

    fn resize(&mut self, r: Rect) {
        self.mode = VideoMode { width: r.width, height: r.height };
        self.px = vec![0x00be_ef00; (r.width * r.height) as usize];
    }

    fn raw_rect(&mut self, r: Rect) {
        let n = self.format.bytes();
        let data = self.bytes((r.width * r.height) as usize * n);
        for (i, b) in data.chunks_exact(n).enumerate() {
            self.put(r, i, self.pixel(b));
        }
    }

    fn wire_pixel(&mut self) -> u32 {
        let b = self.bytes(self.format.bytes());
        self.pixel(&b)
    }

    fn hextile_rect(&mut self, r: Rect) {
        let (mut bg, mut fg) = (None, None);
        for ty in (0..r.height).step_by(16) {
            for tx in (0..r.width).step_by(16) {
                let t = Rect {
                    x: r.x + tx,
                    y: r.y + ty,
                    width: 16.min(r.width - tx),
                    height: 16.min(r.height - ty),
                };
                let [flags] = self.take::<1>();
                if flags & 1 != 0 {
                    self.raw_rect(t);
                    (bg, fg) = (None, None);
                    continue;
                }
                if flags & 2 != 0 {
                    bg = Some(self.wire_pixel());
                }
                if flags & 4 != 0 {
                    fg = Some(self.wire_pixel());
                }
                for i in 0..(t.width * t.height) as usize {
                    self.put(t, i, bg.expect("a background"));
                }
                if flags & 8 != 0 {
                    for _ in 0..self.take::<1>()[0] {
                        let v = if flags & 16 != 0 { self.wire_pixel() } else { fg.expect("a foreground") };
                        let [xy, wh] = self.take::<2>();
                        for y in 0..u32::from(wh & 15) + 1 {
                            for x in 0..u32::from(wh >> 4) + 1 {
                                let (x, y) = (u32::from(xy >> 4) + x, u32::from(xy & 15) + y);
                                self.put(t, (y * t.width + x) as usize, v);
                            }
                        }
                    }
                }
                if flags & 16 != 0 {
                    fg = None;
                }
            }
        }
    }

    fn zrle_rect(&mut self, r: Rect) {
        let n = self.u32() as usize;
        let data = self.bytes(n);
        let mut plain = Vec::with_capacity((r.width * r.height * 5 + 65536) as usize);
        let before = self.inflate.total_in();
        self.inflate.decompress_vec(&data, &mut plain, flate2::FlushDecompress::Sync).unwrap();
        assert_eq!(self.inflate.total_in() - before, n as u64, "all of the zlib data is used");
        let each = self.format.compressed_bytes();
        let mut at = 0;
        let mut next = |n: usize| {
            at += n;
            plain[at - n..at].to_vec()
        };
        let drop_first = each == 3 && {
            let f = &self.format;
            let used = (0..3).fold(0, |m, i| m | u32::from(f.max[i]) << f.shift[i]);
            // CPIXEL: the bytes that the primaries use.
            if f.big_endian { used & 0xff00_0000 == 0 } else { used & 0xff00_0000 != 0 }
        };
        let cpixel = |c: &Self, b: Vec<u8>| {
            let mut b = b;
            if each == 3 {
                if drop_first { b.insert(0, 0) } else { b.push(0) }
            }
            c.pixel(&b)
        };
        for ty in (0..r.height).step_by(64) {
            for tx in (0..r.width).step_by(64) {
                let t = Rect {
                    x: r.x + tx,
                    y: r.y + ty,
                    width: 64.min(r.width - tx),
                    height: 64.min(r.height - ty),
                };
                let total = (t.width * t.height) as usize;
                let kind = next(1)[0];
                let colours = usize::from(kind & 127);
                let palette: Vec<u32> = (0..colours).map(|_| cpixel(self, next(each))).collect();
                match kind {
                    0 => {
                        for i in 0..total {
                            let v = cpixel(self, next(each));
                            self.put(t, i, v);
                        }
                    }
                    1 => (0..total).for_each(|i| self.put(t, i, palette[0])),
                    2..=16 => {
                        let bits = if colours == 2 {
                            1
                        } else if colours <= 4 {
                            2
                        } else {
                            4
                        };
                        for y in 0..t.height as usize {
                            let row = next((t.width as usize * bits).div_ceil(8));
                            for x in 0..t.width as usize {
                                let b = row[x * bits / 8] >> (8 - bits - x * bits % 8);
                                let i = usize::from(b) & ((1 << bits) - 1);
                                self.put(t, y * t.width as usize + x, palette[i]);
                            }
                        }
                    }
                    128.. => {
                        let mut i = 0;
                        while i < total {
                            let (v, run) = if kind == 128 {
                                (cpixel(self, next(each)), true)
                            } else {
                                let b = next(1)[0];
                                (palette[usize::from(b & 127)], b & 128 != 0)
                            };
                            let mut length = 1;
                            if run {
                                loop {
                                    let b = next(1)[0];
                                    length += usize::from(b);
                                    if b != 255 {
                                        break;
                                    }
                                }
                            }
                            (i..i + length).for_each(|i| self.put(t, i, v));
                            i += length;
                        }
                    }
                    k => panic!("subencoding {k}"),
                }
            }
        }
        assert_eq!(at, plain.len(), "nothing left over");
    }

    #[track_caller]
    fn shows(&self, px: &[u32]) {
        let want: Vec<u32> = px.iter().map(|&p| self.format.convert(p)).collect();
        assert!(self.px == want, "the client shows the picture");
    }
}

fn b_len(f: &PixelFormat) -> usize {
    f.bytes()
}

const RGB565: PixelFormat = PixelFormat {
    bits: 16,
    depth: 16,
    big_endian: false,
    true_colour: true,
    max: [31, 63, 31],
    shift: [11, 5, 0],
};
const BGR233: PixelFormat =
    PixelFormat { bits: 8, depth: 8, big_endian: false, true_colour: true, max: [7, 7, 3], shift: [0, 3, 6] };
const BIG: PixelFormat = PixelFormat { big_endian: true, ..PixelFormat::NATIVE };
const HIGH: PixelFormat = PixelFormat { shift: [24, 16, 8], ..PixelFormat::NATIVE };
const BIG_HIGH: PixelFormat = PixelFormat { big_endian: true, ..HIGH };

#[test]
fn every_encoding_in_every_format_shows_the_picture() {
    let setup = start(None);
    for encoding in [0, 5, 16] {
        for format in [PixelFormat::NATIVE, RGB565, BGR233, BIG, HIGH, BIG_HIGH] {
            let mut c = Client::connect(&setup, "RFB 003.008\n", None);
            c.set_format(format);
            c.encodings(&[7, encoding, 0]);
            let whole = c.whole();
            c.request(false, whole);
            c.update();
            c.shows(&setup.px);
            assert!(c.seen.iter().all(|&(e, _)| e == encoding));
            // A second time, through the same zlib stream.
            c.px.fill(0);
            c.request(false, whole);
            c.update();
            c.shows(&setup.px);
        }
    }
}

#[test]
fn all_versions_with_and_without_a_password() {
    let setup = start(None);
    for version in ["RFB 003.003\n", "RFB 003.005\n", "RFB 003.007\n", "RFB 003.008\n"] {
        // 3.5 was never published: it is answered as 3.3.
        if version.contains(".005") {
            let mut s = Client::raw(&setup);
            s.read_exact(&mut [0; 12]).unwrap();
            s.write_all(version.as_bytes()).unwrap();
            let mut kind = [0; 4];
            s.read_exact(&mut kind).unwrap();
            assert_eq!(kind, [0, 0, 0, 1]);
            continue;
        }
        Client::connect(&setup, version, None);
    }
    let setup = start(Some("secret"));
    for version in ["RFB 003.003\n", "RFB 003.007\n", "RFB 003.008\n"] {
        Client::connect(&setup, version, Some("secret"));
    }
}

#[test]
fn a_wrong_password_is_refused_with_a_reason() {
    let setup = start(Some("secret"));
    let mut s = Client::raw(&setup);
    s.read_exact(&mut [0; 12]).unwrap();
    s.write_all(b"RFB 003.008\n").unwrap();
    s.read_exact(&mut [0; 2]).unwrap();
    s.write_all(&[2]).unwrap();
    let mut challenge = [0; 16];
    s.read_exact(&mut challenge).unwrap();
    s.write_all(&auth::response("secreT", challenge)).unwrap();
    let mut rest = Vec::new();
    s.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\0\0\0\x01\0\0\0\x0ewrong password");
}

#[test]
fn the_challenge_is_answered_as_des_has_it() {
    // Key 0 and plain text 0 is a published DES vector; "\x80" mirrors to 01h, a parity bit that DES ignores.
    let zero = [0x8c, 0xa6, 0x4d, 0xe9, 0xc1, 0xb1, 0x23, 0xa7];
    assert_eq!(auth::response("", [0; 16])[..8], zero);
    // Key 0101010101010101h, plain text 95F8A5E5DD31D900h: NBS Special Publication 500-20, 8000000000000000h.
    let mut c = [0; 16];
    c[..8].copy_from_slice(&[0x95, 0xf8, 0xa5, 0xe5, 0xdd, 0x31, 0xd9, 0x00]);
    assert_eq!(auth::response("", c)[..8], [0x80, 0, 0, 0, 0, 0, 0, 0]);
    // Variable key, same publication: key 8001010101010101h, so the password's first byte mirrors 80h.
    let want = [0x95, 0xa8, 0xd7, 0x28, 0x13, 0xda, 0xa9, 0x4d];
    assert_eq!(auth::response("\x01", [0; 16])[..8], want);
    // Only eight bytes count.
    assert_eq!(auth::response("password", [7; 16]), auth::response("password!", [7; 16]));
}

#[test]
fn an_incremental_request_waits_for_a_change_and_gets_only_that() {
    let mut setup = start(None);
    let mut c = Client::connect(&setup, "RFB 003.008\n", None);
    let whole = c.whole();
    c.request(false, whole);
    c.update();
    c.seen.clear();
    c.request(true, whole);
    c.s.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(c.s.read(&mut [0]).is_err(), "nothing changed, nothing sent");
    c.s.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let at = (100 * setup.mode.width + 70) as usize;
    setup.px[at] ^= 0xff;
    setup.out.rows(0..setup.mode.height, &setup.px);
    setup.out.frame();
    c.update();
    c.shows(&setup.px);
    assert_eq!(c.seen, [(0, Rect { x: 64, y: 96, width: 64, height: 16 })]);
}

#[test]
fn changes_outside_what_was_asked_for_come_when_they_are() {
    let mut setup = start(None);
    let mut c = Client::connect(&setup, "RFB 003.008\n", None);
    let whole = c.whole();
    let left = Rect { width: 100, ..whole };
    c.request(false, whole);
    c.update();
    setup.px.iter_mut().for_each(|p| *p ^= 0x0f_0f0f);
    setup.out.rows(0..setup.mode.height, &setup.px);
    setup.out.frame();
    c.request(true, left);
    c.update();
    let old = setup.px[150] ^ 0x0f_0f0f;
    assert_eq!((c.px[99], c.px[150]), (setup.px[99], old));
    c.request(true, whole);
    c.update();
    c.shows(&setup.px);
}

#[test]
fn a_new_size_reaches_clients_that_can_and_those_that_cannot() {
    let mut setup = start(None);
    let small = VideoMode { width: 64, height: 32 };
    let mut able = Client::connect(&setup, "RFB 003.008\n", None);
    able.encodings(&[0, -223]);
    let mut extended = Client::connect(&setup, "RFB 003.008\n", None);
    extended.encodings(&[0, -308, -223]);
    let mut unable = Client::connect(&setup, "RFB 003.008\n", None);
    let whole = able.whole();
    extended.request(false, whole);
    extended.update();
    assert_eq!(extended.seen[0], (-308, whole), "told of the extension at once");
    for c in [&mut able, &mut unable, &mut extended] {
        c.request(false, whole);
        c.update();
        c.request(true, whole);
    }
    let px = vec![0x12_3456; 64 * 32];
    setup.out.mode(small);
    setup.out.rows(0..32, &px);
    setup.out.frame();
    for c in [&mut able, &mut extended] {
        c.update();
        assert_eq!((c.mode.width, c.mode.height), (64, 32));
        let whole = c.whole();
        c.request(false, whole);
        c.update();
        c.shows(&px);
    }
    unable.update();
    let want: Vec<u32> = (0..unable.px.len() as u32)
        .map(|n| if n % 331 < 64 && n / 331 < 32 { 0x12_3456 } else { 0 })
        .collect();
    assert!(unable.px == want, "the picture in the corner, black round it");
}

#[test]
fn clients_that_ask_are_told_of_the_lamps() {
    let setup = start(None);
    let leds = |v| setup.frame.set_leds(board::Leds::from_bits(v));
    leds(2);
    let mut plain = Client::connect(&setup, "RFB 003.008\n", None);
    let mut c = Client::connect(&setup, "RFB 003.008\n", None);
    c.encodings(&[0, -261]);
    let whole = c.whole();
    c.request(false, whole);
    c.update();
    assert_eq!(c.leds, Some(2), "Num Lock, with the first picture");
    c.shows(&setup.px);
    c.request(true, whole);
    leds(5);
    c.update();
    assert_eq!(c.leds, Some(5));
    // Whoever did not ask gets pictures alone: the reader of the test would panic at another encoding it does not wait for.
    plain.request(false, whole);
    plain.update();
    assert_eq!((plain.leds, plain.seen.iter().any(|s| s.0 == -261)), (None, false));
}

#[test]
fn a_client_cannot_set_the_size() {
    let setup = start(None);
    let mut c = Client::connect(&setup, "RFB 003.008\n", None);
    c.encodings(&[0, -308]);
    let whole = c.whole();
    c.request(false, whole);
    c.update();
    c.seen.clear();
    let mut m = vec![251, 0, 4, 0, 3, 0, 1, 0];
    m.extend([0; 16]);
    c.s.write_all(&m).unwrap();
    c.update();
    assert_eq!(c.seen, [(-308, Rect { x: 1, y: 1, ..whole })]);
}

#[test]
fn a_client_without_true_colour_gets_a_map() {
    let setup = start(None);
    let mut c = Client::connect(&setup, "RFB 003.008\n", None);
    c.set_format(PixelFormat::MAPPED);
    let whole = c.whole();
    c.request(false, whole);
    let head = c.take::<6>();
    assert_eq!(head, [1, 0, 0, 0, 1, 0]);
    let map = c.bytes(256 * 6);
    c.update();
    let entry = |v: u32| {
        let at = v as usize * 6;
        [map[at], map[at + 2], map[at + 4]]
    };
    for (got, want) in c.px.iter().zip(&setup.px) {
        for (got, want) in entry(*got).into_iter().zip([want >> 16, want >> 8, *want]) {
            assert!(i32::from(got).abs_diff((want & 0xff) as i32) <= 43, "near the colour");
        }
    }
}

#[test]
fn keys_and_pointer_reach_the_machine_and_are_let_go_at_the_end() {
    let setup = start(None);
    let mut c = Client::connect(&setup, "RFB 003.008\n", None);
    let key = |down: bool, keysym: u32| {
        let mut m = vec![4, u8::from(down), 0, 0];
        m.extend(keysym.to_be_bytes());
        m
    };
    let pointer = |buttons: u8, x: u16, y: u16| {
        let mut m = vec![5, buttons];
        m.extend(x.to_be_bytes());
        m.extend(y.to_be_bytes());
        m
    };
    let all = [
        key(true, 0xffe3),
        key(true, u32::from('c')),
        key(false, u32::from('c')),
        pointer(0, 100, 100),
        pointer(0, 103, 98),
        pointer(0b100, 103, 98),
        pointer(0b1_0100, 103, 98),
        pointer(0b0_1100, 103, 98),
        pointer(0b010, 103, 99),
    ];
    c.s.write_all(&all.concat()).unwrap();
    let key = |code, down| InputEvent::Key { key: Key(code), down };
    let screen = setup.frame.mode();
    let at = |x, y, wheel, buttons| PointerAt { x, y, wheel, buttons, screen, anew: false };
    let pointer = |x, y, wheel, buttons| InputEvent::Pointer(at(x, y, wheel, buttons));
    let want = [
        key(0x1d, true),
        key(0x2e, true),
        key(0x2e, false),
        InputEvent::Pointer(PointerAt { anew: true, ..at(100, 100, 0, 0) }),
        pointer(103, 98, 0, 0),
        pointer(103, 98, 0, 2),
        pointer(103, 98, 1, 2),
        pointer(103, 98, -1, 2),
        pointer(103, 99, 0, 4),
    ];
    for w in want {
        assert_eq!(setup.event(), w);
    }
    drop(c);
    assert_eq!(setup.event(), key(0x1d, false));
    assert_eq!(setup.event(), pointer(103, 99, 0, 0));
}

#[test]
fn a_port_in_use_is_named() {
    let setup = start(None);
    let e = VncListener::bind(setup.server.address()).err().expect("in use");
    assert!(matches!(e, VncError::InUse { .. }), "{e:?}");
    assert!(e.to_string().contains(&setup.server.address().to_string()), "{e}");
}

#[test]
fn addresses_are_ports_or_displays() {
    for (text, want) in [
        (":1", "127.0.0.1:5901"),
        ("127.0.0.1:5905", "127.0.0.1:5905"),
        ("0.0.0.0:0", "0.0.0.0:5900"),
        ("[::1]:7", "[::1]:5907"),
    ] {
        assert_eq!(parse_address(text).unwrap(), want.parse().unwrap(), "{text}");
    }
    for bad in ["", "5900", "host:", ":-1", ":99999"] {
        assert!(matches!(parse_address(bad), Err(VncError::Address { .. })), "{bad:?}");
    }
}

#[test]
fn stopping_hangs_up() {
    let setup = start(None);
    let mut c = Client::connect(&setup, "RFB 003.008\n", None);
    let address = setup.server.address();
    drop(setup.server);
    assert_eq!(c.s.read(&mut [0]).unwrap_or(0), 0);
    assert!(TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_err());
}

#[test]
fn garbage_ends_one_client_and_no_other() {
    let setup = start(None);
    let mut good = Client::connect(&setup, "RFB 003.008\n", None);
    let mut bad = Client::connect(&setup, "RFB 003.008\n", None);
    bad.s.write_all(&[99; 40]).unwrap();
    let mut rest = Vec::new();
    // Closed, perhaps by a reset since there were bytes left unread.
    drop(bad.s.read_to_end(&mut rest));
    let mut not = Client::raw(&setup);
    not.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    drop(not.read_to_end(&mut rest));
    let whole = good.whole();
    good.request(false, whole);
    good.update();
    good.shows(&setup.px);
}

/// A message as a client would send it.
fn wire(m: &ClientMessage) -> Vec<u8> {
    let words = |kind: u8, flag: u8, v: &[u16]| {
        let mut out = vec![kind, flag];
        v.iter().for_each(|v| out.extend(v.to_be_bytes()));
        out
    };
    match m {
        ClientMessage::SetPixelFormat(f) => [&[0; 4][..], &f.to_wire()].concat(),
        ClientMessage::SetEncodings(list) => {
            let mut out = words(2, 0, &[list.len() as u16]);
            list.iter().for_each(|e| out.extend(e.to_be_bytes()));
            out
        }
        &ClientMessage::UpdateRequest { incremental, x, y, width, height } => {
            words(3, u8::from(incremental), &[x, y, width, height])
        }
        &ClientMessage::Key { down, keysym } => {
            words(4, u8::from(down), &[0, (keysym >> 16) as u16, keysym as u16])
        }
        &ClientMessage::Pointer { buttons, x, y } => words(5, buttons, &[x, y]),
        &ClientMessage::CutText { bytes } => {
            let mut out = words(6, 0, &[0, (bytes >> 16) as u16, bytes as u16]);
            out.resize(8 + bytes as usize, b'x');
            out
        }
        &ClientMessage::SetDesktopSize { width, height } => {
            let mut out = words(251, 0, &[width, height, 0x0100]);
            out.extend([0; 16]);
            out
        }
    }
}

fn message() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        prop::sample::select(vec![PixelFormat::NATIVE, RGB565, BGR233, BIG, PixelFormat::MAPPED])
            .prop_map(ClientMessage::SetPixelFormat),
        prop::collection::vec(any::<i32>(), 0..40).prop_map(ClientMessage::SetEncodings),
        any::<(bool, u16, u16, u16, u16)>().prop_map(|(incremental, x, y, width, height)| {
            ClientMessage::UpdateRequest { incremental, x, y, width, height }
        }),
        any::<(bool, u32)>().prop_map(|(down, keysym)| ClientMessage::Key { down, keysym }),
        any::<(u8, u16, u16)>().prop_map(|(buttons, x, y)| ClientMessage::Pointer { buttons, x, y }),
        (0u32..300).prop_map(|bytes| ClientMessage::CutText { bytes }),
        any::<(u16, u16)>().prop_map(|(width, height)| ClientMessage::SetDesktopSize { width, height }),
    ]
}

proptest! {
    #[test]
    fn any_bytes_parse_to_a_message_an_error_or_a_wait(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Some((_, used))) = parse_client_message(&bytes) {
            prop_assert!(used > 0 && used <= bytes.len());
        }
    }

    #[test]
    fn messages_parse_whole_and_only_whole(m in message(), rest in prop::collection::vec(any::<u8>(), 0..8)) {
        let bytes = wire(&m);
        for n in 0..bytes.len() {
            prop_assert_eq!(parse_client_message(&bytes[..n]).unwrap(), None);
        }
        let all = [&bytes[..], &rest].concat();
        prop_assert_eq!(parse_client_message(&all).unwrap(), Some((m, bytes.len())));
    }

    #[test]
    fn any_pixel_format_is_refused_or_converts_inside_its_bits(w in any::<[u8; 16]>(), px in 0u32..0x100_0000) {
        if let Ok(f) = PixelFormat::from_wire(w) {
            let v = u64::from(f.convert(px));
            prop_assert!(v < 1 << f.bits);
        }
    }
}
