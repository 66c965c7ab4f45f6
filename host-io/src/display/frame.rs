//! The guest's screen, between the machine thread that draws it and the threads that show it.
//!
//! The machine thread pushes rows into a [`FrameScanout`]; each [`Viewer`] keeps its own copy and fetches the tiles
//! that changed since it last looked. A tile is marked only if a pixel of it really changed, so a guest that redraws
//! what is there costs viewers nothing.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use board::{Leds, Scanout, VideoMode};

/// Size of a tile in pixels.
const TILE_W: u32 = 64;
const TILE_H: u32 = 16;

/// A part of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Rect {
    /// The part of it inside `other`, unless there is none.
    pub fn within(self, other: Rect) -> Option<Rect> {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let right = (self.x + self.width).min(other.x + other.width);
        let bottom = (self.y + self.height).min(other.y + other.height);
        (x < right && y < bottom).then(|| Rect { x, y, width: right - x, height: bottom - y })
    }

    /// The parts of it outside `other`: above, below, left and right.
    pub fn minus(self, other: Rect) -> Vec<Rect> {
        let Some(hole) = self.within(other) else { return vec![self] };
        let (right, bottom) = (self.x + self.width, self.y + self.height);
        let (hole_right, hole_bottom) = (hole.x + hole.width, hole.y + hole.height);
        let parts = [
            Rect { height: hole.y - self.y, ..self },
            Rect { y: hole_bottom, height: bottom - hole_bottom, ..self },
            Rect { width: hole.x - self.x, y: hole.y, height: hole.height, ..self },
            Rect { x: hole_right, width: right - hole_right, y: hole.y, height: hole.height },
        ];
        parts.into_iter().filter(|r| r.width > 0 && r.height > 0).collect()
    }
}

struct Picture {
    mode: VideoMode,
    px: Vec<u32>,
    /// Counts pushes that changed something.
    serial: u64,
    /// The serial of each tile's last change.
    tiles: Vec<u64>,
    /// Counts changes of size.
    modes: u64,
}

fn tiles_of(mode: VideoMode) -> (u32, u32) {
    (mode.width.div_ceil(TILE_W), mode.height.div_ceil(TILE_H))
}

struct Shared {
    picture: Mutex<Picture>,
    changed: Condvar,
    viewers: AtomicUsize,
    leds: AtomicU8,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Picture> {
        // A viewer that panicked has changed nothing here.
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to the guest's screen.
#[derive(Clone)]
pub struct Frame {
    shared: Arc<Shared>,
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Frame {
    /// A black screen of the size of VGA text.
    pub fn new() -> Self {
        let mode = VideoMode { width: 720, height: 400 };
        let (w, h) = tiles_of(mode);
        let picture = Picture {
            mode,
            px: vec![0; (mode.width * mode.height) as usize],
            serial: 1,
            tiles: vec![1; (w * h) as usize],
            modes: 0,
        };
        Self {
            shared: Arc::new(Shared {
                picture: Mutex::new(picture),
                changed: Condvar::new(),
                viewers: AtomicUsize::new(0),
                leds: AtomicU8::new(0),
            }),
        }
    }

    /// The end that the display adapter pushes into.
    pub fn scanout(&self) -> FrameScanout {
        FrameScanout { shared: self.shared.clone(), moved: false }
    }

    /// Somebody who looks. While there is one, the adapter draws.
    pub fn viewer(&self) -> Viewer {
        self.shared.viewers.fetch_add(1, Ordering::Relaxed);
        let mode = self.shared.lock().mode;
        Viewer { shared: self.shared.clone(), mode, modes: None, seen: 0, px: Vec::new(), tiles: Vec::new() }
    }

    /// Makes viewers that wait look at their condition again.
    pub fn poke(&self) {
        // With the lock held, so that a viewer between its look and its wait is not missed.
        let _held = self.shared.lock();
        self.shared.changed.notify_all();
    }

    /// The keyboard's lamps, which viewers may show beside the picture.
    pub fn set_leds(&self, leds: Leds) {
        self.shared.leds.store(leds.into_bits(), Ordering::Relaxed);
        self.poke();
    }

    pub fn viewers(&self) -> usize {
        self.shared.viewers.load(Ordering::Relaxed)
    }

    pub fn mode(&self) -> VideoMode {
        self.shared.lock().mode
    }

    /// What was pushed so far. A screen that nobody looks at is not up to date: ask the adapter instead.
    pub fn snapshot(&self) -> (VideoMode, Vec<u32>) {
        let p = self.shared.lock();
        (p.mode, p.px.clone())
    }
}

/// The adapter's end of a [`Frame`].
pub struct FrameScanout {
    shared: Arc<Shared>,
    moved: bool,
}

impl Scanout for FrameScanout {
    fn mode(&mut self, m: VideoMode) {
        let mut p = self.shared.lock();
        let (w, h) = tiles_of(m);
        p.mode = m;
        p.px.clear();
        p.px.resize(m.width as usize * m.height as usize, 0);
        p.serial += 1;
        p.tiles = vec![p.serial; (w * h) as usize];
        p.modes += 1;
        self.moved = true;
    }

    fn rows(&mut self, y: Range<u32>, px: &[u32]) {
        let mut guard = self.shared.lock();
        let p = &mut *guard;
        let width = p.mode.width as usize;
        let (across, _) = tiles_of(p.mode);
        let serial = p.serial + 1;
        let mut any = false;
        for (y, new) in y.zip(px.chunks_exact(width.max(1))) {
            let at = y as usize * width;
            let Some(old) = p.px.get_mut(at..at + width) else { break };
            if *old == *new {
                continue;
            }
            any = true;
            let tiles = &mut p.tiles[(y / TILE_H * across) as usize..];
            let chunks = old.chunks_mut(TILE_W as usize).zip(new.chunks(TILE_W as usize));
            for ((old, new), tile) in chunks.zip(tiles) {
                if *old != *new {
                    old.copy_from_slice(new);
                    *tile = serial;
                }
            }
        }
        if any {
            p.serial = serial;
            self.moved = true;
        }
    }

    fn frame(&mut self) {
        if std::mem::take(&mut self.moved) {
            let _held = self.shared.lock();
            self.shared.changed.notify_all();
        }
    }

    fn wanted(&self) -> bool {
        self.shared.viewers.load(Ordering::Relaxed) > 0
    }
}

/// What a viewer got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The size is another than before (always so the first time).
    pub resized: bool,
    pub changed: Vec<Rect>,
}

/// One pair of eyes.
pub struct Viewer {
    shared: Arc<Shared>,
    mode: VideoMode,
    modes: Option<u64>,
    seen: u64,
    px: Vec<u32>,
    /// Scratch: which tiles changed.
    tiles: Vec<bool>,
}

impl Viewer {
    /// The size of the viewer's copy.
    pub fn mode(&self) -> VideoMode {
        self.mode
    }

    /// The viewer's copy, as of the last `update`.
    pub fn pixels(&self) -> &[u32] {
        &self.px
    }

    /// The keyboard's lamps as of now.
    pub fn leds(&self) -> Leds {
        Leds::from_bits(self.shared.leds.load(Ordering::Relaxed))
    }

    /// Waits until something changed or `until` holds; `until` is asked at each change and each [`Frame::poke`].
    pub fn wait(&self, most: Duration, mut until: impl FnMut(bool) -> bool) {
        let p = self.shared.lock();
        let test = |p: &mut Picture| !until(p.serial != self.seen || Some(p.modes) != self.modes);
        // Time-out or not: the caller looks for itself.
        drop(self.shared.changed.wait_timeout_while(p, most, test));
    }

    /// Brings the copy up to date.
    pub fn update(&mut self) -> Update {
        let p = self.shared.lock();
        let resized = self.modes != Some(p.modes);
        let (across, down) = tiles_of(p.mode);
        self.tiles.clear();
        if resized {
            self.mode = p.mode;
            self.px.clone_from(&p.px);
            self.tiles.resize((across * down) as usize, true);
        } else {
            self.tiles.extend(p.tiles.iter().map(|&t| t > self.seen));
            let width = p.mode.width as usize;
            for (n, _) in self.tiles.iter().enumerate().filter(|(_, t)| **t) {
                let r = tile(p.mode, n as u32 % across, n as u32 / across);
                for y in r.y..r.y + r.height {
                    let at = y as usize * width + r.x as usize;
                    let row = at..at + r.width as usize;
                    self.px[row.clone()].copy_from_slice(&p.px[row]);
                }
            }
        }
        self.seen = p.serial;
        self.modes = Some(p.modes);
        drop(p);
        Update { resized, changed: join(self.mode, &self.tiles) }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.shared.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn tile(mode: VideoMode, col: u32, row: u32) -> Rect {
    let (x, y) = (col * TILE_W, row * TILE_H);
    Rect { x, y, width: TILE_W.min(mode.width - x), height: TILE_H.min(mode.height - y) }
}

/// Neighbouring tiles as rectangles: runs in a row, and equal runs in rows below each other.
fn join(mode: VideoMode, tiles: &[bool]) -> Vec<Rect> {
    let (across, down) = tiles_of(mode);
    let mut out: Vec<Rect> = Vec::new();
    for row in 0..down {
        let mut col = 0;
        while col < across {
            let first = col;
            while col < across && tiles[(row * across + col) as usize] {
                col += 1;
            }
            if first == col {
                col += 1;
                continue;
            }
            let (a, b) = (tile(mode, first, row), tile(mode, col - 1, row));
            let run = Rect { width: b.x + b.width - a.x, ..a };
            let above =
                out.iter_mut().find(|r| r.x == run.x && r.width == run.width && r.y + r.height == run.y);
            match above {
                Some(r) => r.height += run.height,
                None => out.push(run),
            }
        }
    }
    out
}
