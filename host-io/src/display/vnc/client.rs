//! One viewer: a thread that reads what it sends, and one that sends what changed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use board::{Leds, VideoMode};
use flate2::CompressError;

use super::encode::{self, DESKTOP_SIZE, EXTENDED_DESKTOP_SIZE, HEXTILE, LED_STATE, RAW, Source, ZRLE, Zrle};
use super::handshake::{Refused, handshake};
use super::message::{ClientMessage, Malformed, parse_client_message};
use super::pixel::PixelFormat;
use super::{Frame, Service};
use crate::display::{Rect, Viewer};
use crate::input::{InputEvent, KeyboardState, PointerAt};

/// A viewer that does not get through the handshake, or does not take data, in this time is hung up on.
const HANDSHAKE: Duration = Duration::from_secs(30);
const STALLED: Duration = Duration::from_secs(60);
/// More rectangles than this waiting are sent as the whole screen.
const MOST_PENDING: usize = 512;
/// The writer looks at the state of the connection at least this often.
const LOOK: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error(transparent)]
    Handshake(#[from] Refused),
    #[error("connection lost")]
    Io(#[from] std::io::Error),
    #[error("broken protocol: {0}")]
    Protocol(#[from] Malformed),
}

/// What the reader has learnt for the writer.
struct Wishes {
    format: PixelFormat,
    colour_map: bool,
    encoding: i32,
    desktop_size: bool,
    extended_size: bool,
    /// The client has just learnt of ExtendedDesktopSize: it must hear the size once.
    announce: bool,
    /// The client shows the keyboard's lamps, and what it was told of them.
    led_state: bool,
    leds: Option<Leds>,
    /// An answer to SetDesktopSize is due.
    size_refused: bool,
    /// The region of the pending update request.
    request: Option<Rect>,
    /// Some of it wanted whole.
    whole: Option<Rect>,
    gone: bool,
}

type Shared = Arc<Mutex<Wishes>>;

fn lock(w: &Mutex<Wishes>) -> MutexGuard<'_, Wishes> {
    w.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The smallest rectangle round both.
fn around(a: Rect, b: Rect) -> Rect {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    let (right, bottom) = ((a.x + a.width).max(b.x + b.width), (a.y + a.height).max(b.y + b.height));
    Rect { x, y, width: right - x, height: bottom - y }
}

/// Serves a client until it leaves.
pub fn serve(mut socket: TcpStream, service: &Arc<Service>) -> Result<(), Ended> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(HANDSHAKE))?;
    socket.set_write_timeout(Some(STALLED))?;
    let mode = service.frame.mode();
    handshake(&mut socket, service.password.as_deref(), &service.name, mode)?;
    socket.set_read_timeout(None)?;
    let wishes = Arc::new(Mutex::new(Wishes {
        format: PixelFormat::NATIVE,
        colour_map: false,
        encoding: RAW,
        desktop_size: false,
        extended_size: false,
        announce: false,
        led_state: false,
        leds: None,
        size_refused: false,
        request: None,
        whole: None,
        gone: false,
    }));
    let viewer = service.frame.viewer();
    // The adapter may have drawn for nobody until now.
    (service.input)(InputEvent::Redraw);
    let writer = Writer {
        socket: socket.try_clone()?,
        wishes: wishes.clone(),
        viewer,
        size: mode,
        pending: Vec::new(),
        zrle: Zrle::default(),
    };
    let thread = std::thread::Builder::new().name("vnc-send".into()).spawn(move || writer.run())?;
    let mut reader = Reader {
        input: &service.input,
        frame: &service.frame,
        wishes: &wishes,
        keyboard: KeyboardState::default(),
        pointer: None,
        buttons: 0,
    };
    let ended = reader.run(&mut socket);
    reader.leave();
    lock(&wishes).gone = true;
    service.frame.poke();
    drop(socket.shutdown(Shutdown::Both));
    drop(thread.join());
    ended
}

struct Reader<'a> {
    input: &'a (dyn Fn(InputEvent) + Send + Sync),
    frame: &'a Frame,
    wishes: &'a Mutex<Wishes>,
    keyboard: KeyboardState,
    /// Where the client's pointer was last.
    pointer: Option<(u16, u16)>,
    /// As the client last said.
    buttons: u8,
}

impl Reader<'_> {
    fn run(&mut self, socket: &mut TcpStream) -> Result<(), Ended> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let mut used = 0;
            while let Some((message, length)) = parse_client_message(&bytes[used..])? {
                used += length;
                self.take(message);
            }
            bytes.drain(..used);
            match socket.read(&mut chunk)? {
                0 => return Ok(()),
                n => bytes.extend_from_slice(&chunk[..n]),
            }
        }
    }

    fn take(&mut self, message: ClientMessage) {
        match message {
            ClientMessage::SetPixelFormat(format) => {
                let mut w = lock(self.wishes);
                w.format = format;
                w.colour_map = !format.true_colour;
            }
            ClientMessage::SetEncodings(list) => {
                let mut w = lock(self.wishes);
                let known = list.iter().find(|e| [RAW, HEXTILE, ZRLE].contains(e));
                w.encoding = known.copied().unwrap_or(RAW);
                w.desktop_size = list.contains(&DESKTOP_SIZE);
                let extended = list.contains(&EXTENDED_DESKTOP_SIZE);
                w.announce |= extended && !w.extended_size;
                w.led_state = list.contains(&LED_STATE);
                w.extended_size = extended;
            }
            ClientMessage::UpdateRequest { incremental, x, y, width, height } => {
                let [x, y, width, height] = [x, y, width, height].map(u32::from);
                let r = Rect { x, y, width, height };
                let mut w = lock(self.wishes);
                w.request = Some(w.request.map_or(r, |old| around(old, r)));
                if !incremental {
                    w.whole = Some(w.whole.map_or(r, |old| around(old, r)));
                }
                drop(w);
                self.frame.poke();
            }
            ClientMessage::Key { down, keysym } => {
                for (key, down) in self.keyboard.event(keysym, down) {
                    (self.input)(InputEvent::Key { key, down });
                }
            }
            ClientMessage::Pointer { buttons, x, y } => self.pointer(buttons, x, y),
            ClientMessage::CutText { .. } => {}
            // The guest alone sets its resolution.
            ClientMessage::SetDesktopSize { .. } => {
                lock(self.wishes).size_refused = true;
                self.frame.poke();
            }
        }
    }

    /// RFC 6143 7.5.5. Bits 0-2 are left, middle and right; 3 and 4 turn the wheel by one when they go down.
    fn pointer(&mut self, buttons: u8, x: u16, y: u16) {
        let anew = self.pointer.replace((x, y)).is_none();
        let pressed = buttons & !self.buttons;
        self.buttons = buttons;
        let wheel = i32::from(pressed >> 4 & 1) - i32::from(pressed >> 3 & 1);
        self.point((x, y), wheel, anew);
    }

    fn point(&self, (x, y): (u16, u16), wheel: i32, anew: bool) {
        (self.input)(InputEvent::Pointer(PointerAt {
            x: i32::from(x),
            y: i32::from(y),
            wheel,
            buttons: guest_buttons(self.buttons),
            screen: self.frame.mode(),
            anew,
        }));
    }

    /// Lets go of everything that the client held.
    fn leave(&mut self) {
        for (key, down) in self.keyboard.release_all() {
            (self.input)(InputEvent::Key { key, down });
        }
        if guest_buttons(self.buttons) != 0 {
            self.buttons = 0;
            self.point(self.pointer.unwrap_or_default(), 0, false);
        }
    }
}

/// Left, middle, right as left, right, middle.
fn guest_buttons(rfb: u8) -> u8 {
    rfb & 1 | (rfb >> 2 & 1) << 1 | (rfb >> 1 & 1) << 2
}

struct Writer {
    socket: TcpStream,
    wishes: Shared,
    viewer: Viewer,
    /// The size that the client knows.
    size: VideoMode,
    /// Changed, and not yet sent.
    pending: Vec<Rect>,
    zrle: Zrle,
}

impl Writer {
    fn run(mut self) {
        while let Ok(true) = self.step() {}
        // The reader, if it still waits, ends with the socket.
        drop(self.socket.shutdown(Shutdown::Both));
    }

    /// Waits for something to send, and sends it. False: the client has gone.
    fn step(&mut self) -> std::io::Result<bool> {
        let wishes = self.wishes.clone();
        let pending = &self.pending;
        let viewer = &self.viewer;
        viewer.wait(LOOK, |changed| {
            let w = lock(&wishes);
            let lamps = w.led_state && w.leds != Some(viewer.leds());
            let due = |r: Rect| {
                changed || lamps || w.whole.is_some() || pending.iter().any(|p| p.within(r).is_some())
            };
            w.gone || w.size_refused || w.request.is_some_and(due)
        });
        let mut out = Vec::new();
        {
            let mut w = lock(&wishes);
            if w.gone {
                return Ok(false);
            }
            if std::mem::take(&mut w.colour_map) {
                out = PixelFormat::colour_map();
            }
            if w.request.is_some() || w.size_refused {
                self.updates(&mut out, &mut w).map_err(std::io::Error::other)?;
            }
        }
        if !out.is_empty() {
            self.socket.write_all(&out)?;
        }
        Ok(true)
    }

    /// FramebufferUpdate for what was asked. RFC 6143 7.6.1.
    fn updates(&mut self, out: &mut Vec<u8>, w: &mut Wishes) -> Result<(), CompressError> {
        let update = self.viewer.update();
        let mode = self.viewer.mode();
        self.pending.extend(update.changed);
        let (mut rects, mut count) = (Vec::new(), 0u16);
        if std::mem::take(&mut w.size_refused) && w.extended_size {
            // Reason 1, a client's request; status 1, prohibited.
            extended_size(&mut rects, self.size, 1, 1);
            count += 1;
        }
        let leds = self.viewer.leds();
        if w.led_state && w.request.is_some() && w.leds.replace(leds) != Some(leds) {
            encode::header(&mut rects, Rect { x: 0, y: 0, width: 0, height: 0 }, LED_STATE);
            rects.push(leds.into_bits());
            count += 1;
        }
        if mode != self.size && (w.extended_size || w.desktop_size) || std::mem::take(&mut w.announce) {
            self.size = mode;
            if w.extended_size {
                extended_size(&mut rects, mode, 0, 0);
            } else {
                encode::header(&mut rects, screen(mode), DESKTOP_SIZE);
            }
            // The client begins anew; it asks again for what it wants to see.
            count += 1;
            self.pending = vec![screen(mode)];
            (w.request, w.whole) = (None, None);
        } else if let Some(asked) = w.request.and_then(|r| r.within(screen(self.size))) {
            if update.resized || self.pending.len() > MOST_PENDING {
                self.pending = vec![screen(self.size)];
            }
            if let Some(whole) = w.whole.take() {
                self.pending = self.pending.iter().flat_map(|p| p.minus(whole)).chain([whole]).collect();
            }
            let source = Source {
                px: self.viewer.pixels(),
                width: mode.width,
                height: mode.height,
                format: &w.format,
            };
            for p in std::mem::take(&mut self.pending) {
                // What lies outside of what was asked for comes later.
                self.pending.extend(p.minus(asked));
                let Some(r) = p.within(asked) else { continue };
                match w.encoding {
                    ZRLE => self.zrle.rect(&mut rects, source, r)?,
                    HEXTILE => encode::hextile(&mut rects, source, r),
                    _ => encode::raw(&mut rects, source, r),
                }
                count += 1;
            }
            if count > 0 {
                w.request = None;
            }
        }
        if count > 0 {
            out.extend([0, 0]);
            out.extend(count.to_be_bytes());
            out.append(&mut rects);
        }
        Ok(())
    }
}

/// All of a screen.
fn screen(mode: VideoMode) -> Rect {
    Rect { x: 0, y: 0, width: mode.width, height: mode.height }
}

/// ExtendedDesktopSize: one screen that fills the desktop.
fn extended_size(out: &mut Vec<u8>, mode: VideoMode, reason: u32, status: u32) {
    encode::header(
        out,
        Rect { x: reason, y: status, width: mode.width, height: mode.height },
        EXTENDED_DESKTOP_SIZE,
    );
    out.extend([1, 0, 0, 0]);
    out.extend(0u32.to_be_bytes());
    for v in [0, 0, mode.width, mode.height] {
        out.extend((v as u16).to_be_bytes());
    }
    out.extend(0u32.to_be_bytes());
}
