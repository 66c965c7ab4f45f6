//! From video memory to the host's display: which lines changed since the last refresh, and those drawn.
//!
//! A text screen compares characters, attributes, fonts and the cursor, so that an idle one costs a look at the
//! dirty bits. Graphics redraw the lines whose pages of video memory were written. A change of registers or
//! colours redraws everything.

use board::{SECOND, Scanout, Tick, VideoMode};
use ram::{GuestRam, PAGE_SHIFT};

use super::sprite::Sprite;
use super::vga::{Cursor, Kind, Picture, TextLook, Vga, Vram};

/// Guest time from refresh to refresh while somebody looks.
pub const REFRESH: Tick = SECOND / 60;
/// How often to ask whether somebody does.
pub const IDLE: Tick = SECOND / 2;
/// Lines handed over at once.
const BATCH: usize = 64;

/// What was shown last.
#[derive(Default)]
pub struct Screen {
    shown: Option<Picture>,
    mode: Option<VideoMode>,
    look: Option<TextLook>,
    cursor: Option<Cursor>,
    cells: Vec<u16>,
    fonts: Vec<u8>,
    sprite: Option<Sprite>,
    stale: bool,
    /// For metrics: refreshes that found something, and lines drawn.
    pub frames: u64,
    pub lines: u64,
}

fn look(now: Tick) -> TextLook {
    TextLook::at_frame(now / REFRESH)
}

impl Screen {
    /// The next refresh draws everything.
    pub fn forget(&mut self) {
        self.stale = true;
    }

    /// Draws what changed. Collects the dirty bits of video memory. `sprite`: the hardware cursor, if it is on.
    pub fn refresh(
        &mut self,
        vga: &Vga,
        ram: &GuestRam,
        v: Vram<'_>,
        sprite: Option<Sprite>,
        now: Tick,
        to: &mut dyn Scanout,
    ) {
        let mut pages = vec![false; (v.len() >> PAGE_SHIFT) as usize];
        let mut written = false;
        ram.take_dirty(v.extent(), |at| {
            pages[((at - v.extent().start) >> PAGE_SHIFT) as usize] = true;
            written = true;
        });
        let mut pic = vga.picture(v);
        if let (false, Some(m)) = (pic.on, self.mode) {
            // A set-up in progress: black, at the size that was.
            (pic.width, pic.height) = (m.width, m.height);
        }
        let mode = VideoMode { width: pic.width, height: pic.height };
        if self.mode != Some(mode) {
            self.mode = Some(mode);
            to.mode(mode);
            self.stale = true;
        }
        let all = std::mem::take(&mut self.stale) || self.shown != Some(pic);
        self.shown = Some(pic);
        // Where the cursor was and where it is, if it is another than the last time.
        let before = std::mem::replace(&mut self.sprite, sprite);
        let any_moved = before != self.sprite;
        let moved = if any_moved { [before, self.sprite.clone()] } else { [None, None] };
        let moved = |y: u32| moved.iter().flatten().any(|s| s.covers(y));
        if !pic.on {
            if all {
                self.push(vga, v, &pic, look(now), to, |_| true);
            }
        } else if pic.kind == Kind::Text {
            self.text(vga, v, &pic, now, all, written, moved, to);
        } else if all || written || any_moved {
            self.push(vga, v, &pic, look(now), to, |y| {
                all || moved(y)
                    || written && {
                        let (first, end) = pic.extent(pic.line(y), v.len());
                        let last = (end - 1).min(v.len() - 1) >> PAGE_SHIFT;
                        pages[(first >> PAGE_SHIFT) as usize..=last as usize].iter().any(|&p| p)
                    }
            });
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one call site; a struct of these would be used once")]
    fn text(
        &mut self,
        vga: &Vga,
        v: Vram<'_>,
        pic: &Picture,
        now: Tick,
        all: bool,
        written: bool,
        moved: impl Fn(u32) -> bool,
        to: &mut dyn Scanout,
    ) {
        let (look, cursor) = (look(now), vga.cursor());
        let (old_look, old_cursor) = (self.look.replace(look), std::mem::replace(&mut self.cursor, cursor));
        if !all && !written && old_look == Some(look) && old_cursor == cursor {
            self.push(vga, v, pic, look, to, moved);
            return;
        }
        let mut all = all;
        if all || written {
            let mut fonts = Vec::with_capacity(self.fonts.len());
            vga.fonts(v, pic, &mut fonts);
            all |= fonts != self.fonts;
            self.fonts = fonts;
        }
        // A row of characters is a run of lines with one counter value (and one CGA row bit, if that is on).
        let mut cells = Vec::with_capacity(self.cells.len());
        let mut changed = vec![false; pic.height as usize];
        let mut y = 0;
        while y < pic.height {
            let line = pic.line(y);
            let mut end = y + 1;
            while end < pic.height && pic.cells_key(pic.line(end)) == pic.cells_key(line) {
                end += 1;
            }
            let at = cells.len();
            vga.cells(v, pic, line, &mut cells);
            let row = &cells[at..];
            let holds = |c: Option<Cursor>| {
                c.is_some_and(|c| c.at.wrapping_sub(line.counter) & 0xffff < row.len() as u32)
            };
            let stepped = cursor != old_cursor || old_look.is_none_or(|o| o.cursor != look.cursor);
            let blinked = old_look.is_none_or(|o| o.blink != look.blink)
                && vga.blinks()
                && row.iter().any(|c| c & 0x8000 != 0);
            let differs = self.cells.get(at..at + row.len()) != Some(row);
            if all || differs || blinked || stepped && (holds(cursor) || holds(old_cursor)) {
                changed[y as usize..end as usize].fill(true);
            }
            y = end;
        }
        self.cells = cells;
        self.push(vga, v, pic, look, to, |y| changed[y as usize] || moved(y));
    }

    /// Draws the lines that `wants` names and hands them over in runs.
    fn push(
        &mut self,
        vga: &Vga,
        v: Vram<'_>,
        pic: &Picture,
        look: TextLook,
        to: &mut dyn Scanout,
        wants: impl Fn(u32) -> bool,
    ) {
        let width = pic.width as usize;
        let mut brush = vga.brush();
        let mut px: Vec<u32> = Vec::with_capacity(width * BATCH);
        let mut first = 0;
        let mut before = None;
        let mut any = false;
        let sprite = self.sprite.as_ref().filter(|_| pic.on);
        for y in 0..pic.height {
            let wanted = wants(y);
            if wanted {
                let line = pic.line(y);
                let at = px.len();
                if at == 0 {
                    first = y;
                }
                if at > 0 && before == Some(line) {
                    px.extend_from_within(at - width..at);
                } else {
                    px.resize(at + width, 0);
                    vga.draw(v, pic, line, look, &mut brush, &mut px[at..]);
                }
                before = Some(line);
                if let Some(s) = sprite.filter(|s| s.covers(y)) {
                    s.paint(y, &mut px[at..]);
                    before = None;
                }
                self.lines += 1;
                any = true;
            }
            if !px.is_empty() && (!wanted || px.len() >= width * BATCH) {
                to.rows(first..first + (px.len() / width) as u32, &px);
                px.clear();
            }
        }
        if !px.is_empty() {
            to.rows(first..pic.height, &px);
        }
        if any {
            self.frames += 1;
            to.frame();
        }
    }
}

/// The whole picture as it is now, without telling anybody.
pub fn snapshot(vga: &Vga, v: Vram<'_>, sprite: Option<&Sprite>, now: Tick) -> (VideoMode, Vec<u32>) {
    let pic = vga.picture(v);
    let width = pic.width as usize;
    let mut px = vec![0; width * pic.height as usize];
    let mut brush = vga.brush();
    for (y, out) in px.chunks_exact_mut(width).enumerate() {
        vga.draw(v, &pic, pic.line(y as u32), look(now), &mut brush, out);
        if let Some(s) = sprite.filter(|_| pic.on) {
            s.paint(y as u32, out);
        }
    }
    (VideoMode { width: pic.width, height: pic.height }, px)
}
