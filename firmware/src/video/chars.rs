//! Characters, cursor, scrolling and pixels: INT 10h AH=01h-0Ah, 0Ch-0Fh, 13h.

use crate::bda::bda;
use crate::bus::{Bus, Far};
use crate::frame::Frame;
use crate::video::Screen;
use crate::video::modes::Layout;

/// A rectangle of character cells, edges included.
#[derive(Debug, Clone, Copy)]
struct Rect {
    left: u16,
    top: u16,
    right: u16,
    bottom: u16,
}

pub async fn serve(bus: &Bus, f: &mut Frame) {
    let mut s = Screen::load(bus).await;
    match f.ah() {
        0x01 => shape(bus, &s, f.cx()).await,
        0x02 => set_cursor(bus, &mut s, f.bh(), f.dl(), f.dh()).await,
        0x03 => {
            let (col, row) = s.cursor(f.bh());
            f.set_dl(col);
            f.set_dh(row);
            f.set_cx(s.shape());
        }
        // No light pen.
        0x04 => f.set_ah(0),
        0x05 => show_page(bus, &s, f.al()).await,
        0x06 | 0x07 => {
            let r = Rect {
                left: u16::from(f.cl()),
                top: u16::from(f.ch()),
                right: u16::from(f.dl()),
                bottom: u16::from(f.dh()),
            };
            scroll(bus, &s, r, f.al(), f.bh(), f.ah() == 7).await;
        }
        0x08 => {
            let (ch, attr) = read_cell(bus, &s, f.bh()).await;
            f.set_al(ch);
            f.set_ah(attr);
        }
        0x09 | 0x0a => {
            let (page, count) = (f.bh(), f.cx());
            let attr = (f.ah() == 9 || s.layout() != Some(Layout::Text)).then_some(f.bl());
            let (col, row) = s.cursor(page);
            put(bus, &s, page, (col, row), f.al(), attr, count).await;
        }
        0x0c => pixel(bus, &s, f.bh(), f.cx(), f.dx(), f.al()).await,
        0x0d => f.set_al(read_pixel(bus, &s, f.bh(), f.cx(), f.dx()).await),
        0x0e => {
            let page = s.page();
            teletype(bus, &mut s, page, f.al(), None, f.bl()).await;
        }
        0x0f => {
            let kept = bus.read8(bda(0x87)).await & 0x80;
            f.set_al(s.mode() | kept);
            f.set_ah(s.columns() as u8);
            f.set_bh(s.page());
        }
        _ => string(bus, &mut s, f).await,
    }
}

async fn shape(bus: &Bus, s: &Screen, cx: u16) {
    bus.write16(bda(0x60), cx).await;
    let (mut start, mut end) = (cx >> 8 & 0x3f, cx & 0x1f);
    // Unless 40:87 bit 0 says otherwise, shapes made for 8-line characters are stretched to the font's height.
    let emulate = bus.read8(bda(0x87)).await & 1 == 0;
    let h = s.height();
    if emulate && h > 8 && end < 8 && start < 0x20 {
        if end == start + 1 {
            (start, end) = (h - 3, h - 2);
        } else {
            start = ((start + 1) * h / 8).saturating_sub(1);
            end = (end + 1) * h / 8 - 1;
        }
    }
    bus.out_pairs(s.crtc(), &[start << 8 | 0x0a, end << 8 | 0x0b]).await;
}

async fn set_cursor(bus: &Bus, s: &mut Screen, page: u8, col: u8, row: u8) {
    let page = page & 7;
    let at = 0x50 + 2 * u16::from(page);
    let v = u16::from(row) << 8 | u16::from(col);
    bus.write16(bda(at), v).await;
    let i = usize::from(at - crate::bda::VIDEO);
    s.area[i..i + 2].copy_from_slice(&v.to_le_bytes());
    if page == s.page() && s.layout() == Some(Layout::Text) {
        show_cursor(bus, s).await;
    }
}

async fn show_cursor(bus: &Bus, s: &Screen) {
    let (col, row) = s.cursor(s.page());
    let start = u16::from(s.page()).wrapping_mul(s.page_size()) / 2;
    let at = start.wrapping_add(u16::from(row) * s.columns()).wrapping_add(u16::from(col));
    bus.out_pairs(s.crtc(), &[at & 0xff00 | 0x0e, at << 8 | 0x0f]).await;
}

async fn show_page(bus: &Bus, s: &Screen, page: u8) {
    if page > 7 {
        return;
    }
    let start = u16::from(page).wrapping_mul(s.page_size());
    bus.write16(bda(0x4e), start).await;
    bus.write8(bda(0x62), page).await;
    let crtc = if s.layout() == Some(Layout::Planar) { start } else { start / 2 };
    bus.out_pairs(s.crtc(), &[crtc & 0xff00 | 0x0c, crtc << 8 | 0x0d]).await;
    if s.layout() == Some(Layout::Text) {
        let (col, row) = s.cursor(page);
        let at = (start / 2).wrapping_add(u16::from(row) * s.columns()).wrapping_add(u16::from(col));
        bus.out_pairs(s.crtc(), &[at & 0xff00 | 0x0e, at << 8 | 0x0f]).await;
    }
}

fn cell(s: &Screen, page: u8, col: u16, row: u16) -> Far {
    let off = u16::from(page).wrapping_mul(s.page_size());
    Far::new(s.segment(), off.wrapping_add((row * s.columns() + col).wrapping_mul(2)))
}

async fn scroll(bus: &Bus, s: &Screen, mut r: Rect, lines: u8, attr: u8, down: bool) {
    r.right = r.right.min(s.columns() - 1);
    r.bottom = r.bottom.min(s.rows() - 1);
    if r.left > r.right || r.top > r.bottom {
        return;
    }
    let height = r.bottom - r.top + 1;
    let lines = if lines == 0 || u16::from(lines) > height { height } else { u16::from(lines) };
    match s.layout() {
        Some(Layout::Text) => scroll_text(bus, s, r, lines, attr, down).await,
        Some(layout) => scroll_pixels(bus, s, layout, r, lines, attr, down).await,
        None => {}
    }
}

async fn scroll_text(bus: &Bus, s: &Screen, r: Rect, lines: u16, attr: u8, down: bool) {
    let page = s.page();
    let width = r.right - r.left + 1;
    let height = r.bottom - r.top + 1;
    let moved = height - lines;
    let blank = u16::from(attr) << 8 | 0x20;
    let whole = width == s.columns();
    if whole && moved > 0 {
        let (from, to) = if down {
            // Backwards, from the last word of what moves.
            (cell(s, page, r.right, r.bottom - lines), cell(s, page, r.right, r.bottom))
        } else {
            (cell(s, page, 0, r.top + lines), cell(s, page, 0, r.top))
        };
        bus.move_words(from, to, moved * width, down).await;
    } else {
        for i in 0..moved {
            let (from, to) =
                if down { (r.bottom - lines - i, r.bottom - i) } else { (r.top + lines + i, r.top + i) };
            bus.move_words(cell(s, page, r.left, from), cell(s, page, r.left, to), width, false).await;
        }
    }
    let first = if down { r.top } else { r.bottom + 1 - lines };
    if whole {
        bus.fill_words(cell(s, page, 0, first), lines * width, blank).await;
    } else {
        for row in first..first + lines {
            bus.fill_words(cell(s, page, r.left, row), width, blank).await;
        }
    }
}

/// Offset of the first byte of pixel row `y`, and the bytes of one text column.
fn pixel_row(s: &Screen, layout: Layout, page: u8, y: u16) -> (u16, u16) {
    let cols = s.columns();
    match layout {
        Layout::Cga4 => ((y / 2) * 80 + (y & 1) * 0x2000, 2),
        Layout::Cga2 => ((y / 2) * 80 + (y & 1) * 0x2000, 1),
        Layout::Linear8 => (y.wrapping_mul(320), 8),
        Layout::Planar | Layout::Text => {
            (u16::from(page).wrapping_mul(s.page_size()).wrapping_add(y.wrapping_mul(cols)), 1)
        }
    }
}

async fn scroll_pixels(bus: &Bus, s: &Screen, layout: Layout, r: Rect, lines: u16, attr: u8, down: bool) {
    let h = s.height();
    let seg = s.segment();
    let page = s.page();
    let rows = (r.bottom - r.top + 1) * h;
    let moved = rows - lines * h;
    let planar = layout == Layout::Planar;
    if planar {
        // Write mode 1 copies all four planes through the latches.
        bus.out_pairs(0x3ce, &[0x0105]).await;
        bus.out_pairs(0x3c4, &[0x0f02]).await;
    }
    for i in 0..moved {
        let y = if down { r.top * h + rows - 1 - i } else { r.top * h + i };
        let from = if down { y - lines * h } else { y + lines * h };
        let (a, n) = pixel_row(s, layout, page, from);
        let (b, _) = pixel_row(s, layout, page, y);
        let (x, w) = (r.left * n, (r.right - r.left + 1) * n);
        bus.move_bytes(Far::new(seg, a.wrapping_add(x)), Far::new(seg, b.wrapping_add(x)), w, false).await;
    }
    let fill = match layout {
        Layout::Planar => {
            bus.out_pairs(0x3ce, &[0x0005, u16::from(attr & 15) << 8, 0x0f01, 0x0003, 0xff08]).await;
            0xff
        }
        Layout::Cga4 => (attr & 3) * 0x55,
        Layout::Cga2 => (attr & 1) * 0xff,
        Layout::Linear8 | Layout::Text => attr,
    };
    let first = if down { r.top * h } else { r.top * h + moved };
    for y in first..first + lines * h {
        let (a, n) = pixel_row(s, layout, page, y);
        let at = Far::new(seg, a.wrapping_add(r.left * n));
        bus.fill_bytes(at, (r.right - r.left + 1) * n, fill).await;
    }
    if planar {
        bus.out_pairs(0x3ce, PLANAR_IDLE).await;
    }
}

/// Graphics controller as modes leave it: set/reset off, write mode 0, all bits.
const PLANAR_IDLE: &[u16] = &[0x0000, 0x0001, 0x0003, 0x0005, 0xff08];

/// Writes `count` characters from a cell on, without moving the cursor.
async fn put(bus: &Bus, s: &Screen, page: u8, at: (u8, u8), ch: u8, attr: Option<u8>, count: u16) {
    let (col, row) = (u16::from(at.0), u16::from(at.1));
    match s.layout() {
        Some(Layout::Text) => {
            let to = cell(s, page, col, row);
            match (attr, count) {
                (_, 0) => {}
                (Some(a), 1) => bus.write16(to, u16::from(a) << 8 | u16::from(ch)).await,
                (Some(a), n) => bus.fill_words(to, n.min(0x4000), u16::from(a) << 8 | u16::from(ch)).await,
                (None, 1) => bus.write8(to, ch).await,
                (None, n) => {
                    bus.write_stride(to, 2, &vec![ch; usize::from(n.min(0x4000))], false).await;
                }
            }
        }
        Some(layout) => {
            let glyph = glyph(bus, s, layout, ch).await;
            let mut cells = count.min(s.columns() * s.rows());
            let (mut x, mut y) = (col, row);
            while cells > 0 && y < s.rows() {
                draw(bus, s, layout, page, (x, y), &glyph, attr.unwrap_or(7)).await;
                cells -= 1;
                x += 1;
                if x >= s.columns() {
                    (x, y) = (0, y + 1);
                }
            }
        }
        None => {}
    }
}

async fn glyph(bus: &Bus, s: &Screen, layout: Layout, ch: u8) -> Vec<u8> {
    let h = s.height();
    let cga = matches!(layout, Layout::Cga4 | Layout::Cga2);
    let (vector, index) = if cga && ch >= 0x80 { (0x1f, ch - 0x80) } else { (0x43, ch) };
    let font = Far::from_bits(bus.read32(Far::new(0, 4 * vector)).await);
    let at = Far::new(font.seg, font.off.wrapping_add(u16::from(index) * h));
    bus.read(at, usize::from(h)).await
}

async fn draw(bus: &Bus, s: &Screen, layout: Layout, page: u8, at: (u16, u16), glyph: &[u8], attr: u8) {
    let seg = s.segment();
    let y = at.1 * s.height();
    let (base, n) = pixel_row(s, layout, page, y);
    let to = Far::new(seg, base.wrapping_add(at.0 * n));
    let xor = attr & 0x80 != 0;
    match layout {
        Layout::Planar => {
            bus.out_pairs(0x3c4, &[0x0f02]).await;
            if !xor {
                // The background goes through the latches: written once, read once.
                bus.out_pairs(0x3ce, &[0x0005, 0x0000, 0x0f01, 0x0003, 0xff08]).await;
                bus.write_stride(to, 0, &[0], false).await;
                bus.read8(to).await;
            }
            let function = if xor { 0x1803 } else { 0x0003 };
            // Write mode 3: the byte is the bit mask for the colour in set/reset.
            bus.out_pairs(0x3ce, &[0x0305, u16::from(attr & 15) << 8, function, 0xff08]).await;
            bus.write_stride(to, s.columns(), glyph, xor).await;
            bus.out_pairs(0x3ce, PLANAR_IDLE).await;
        }
        Layout::Linear8 => {
            for (i, bits) in glyph.iter().enumerate() {
                let to = Far::new(seg, to.off.wrapping_add(320 * i as u16));
                let mut row = if xor { bus.read(to, 8).await } else { vec![0; 8] };
                for (x, p) in row.iter_mut().enumerate() {
                    if bits & 0x80 >> x != 0 {
                        *p ^= if xor { attr & 0x7f } else { attr };
                    }
                }
                bus.write(to, &row).await;
            }
        }
        Layout::Cga4 | Layout::Cga2 => {
            for (i, bits) in glyph.iter().enumerate() {
                let (b, n) = pixel_row(s, layout, page, y + i as u16);
                let to = Far::new(seg, b.wrapping_add(at.0 * n));
                let mut row = if layout == Layout::Cga2 {
                    vec![if attr & 1 != 0 { *bits } else { 0 }]
                } else {
                    let wide = (0..8).fold(0u16, |w, x| w << 2 | if bits & 0x80 >> x != 0 { 3 } else { 0 });
                    (wide & (u16::from(attr & 3) * 0x5555)).to_be_bytes().to_vec()
                };
                if xor {
                    let old = bus.read(to, row.len()).await;
                    row.iter_mut().zip(old).for_each(|(r, o)| *r ^= o);
                }
                bus.write(to, &row).await;
            }
        }
        Layout::Text => {}
    }
}

/// Character and attribute at a page's cursor; in graphics the glyph is looked up in the font.
async fn read_cell(bus: &Bus, s: &Screen, page: u8) -> (u8, u8) {
    let (col, row) = s.cursor(page);
    let (col, row) = (u16::from(col), u16::from(row));
    let Some(layout) = s.layout() else { return (0, 0) };
    if layout == Layout::Text {
        let v = bus.read16(cell(s, page, col, row)).await;
        return (v as u8, (v >> 8) as u8);
    }
    let h = s.height();
    let mut seen = Vec::new();
    for y in row * h..(row + 1) * h {
        let (base, n) = pixel_row(s, layout, page, y);
        let at = Far::new(s.segment(), base.wrapping_add(col * n));
        seen.push(match layout {
            Layout::Planar => {
                // Read mode 1, colour compare with 0: bits that are background.
                bus.out_pairs(0x3ce, &[0x0805, 0x0002, 0x0f07]).await;
                let b = !bus.read8(at).await;
                bus.out_pairs(0x3ce, &[0x0005, 0x0f07]).await;
                b
            }
            Layout::Linear8 => {
                let px = bus.read(at, 8).await;
                px.iter().fold(0, |b: u8, p| b << 1 | u8::from(*p != 0))
            }
            Layout::Cga4 => {
                let v =
                    u16::from_be_bytes([bus.read8(at).await, bus.read8(Far::new(at.seg, at.off + 1)).await]);
                (0..8).fold(0, |b: u8, i| b << 1 | u8::from(v >> (14 - 2 * i) & 3 != 0))
            }
            Layout::Cga2 | Layout::Text => bus.read8(at).await,
        });
    }
    let font = Far::from_bits(bus.read32(Far::new(0, 4 * 0x43)).await);
    let all = bus.read(font, 256 * usize::from(h)).await;
    let ch = all.chunks(usize::from(h)).position(|g| g == seen).unwrap_or(0);
    (ch as u8, 0)
}

async fn pixel(bus: &Bus, s: &Screen, page: u8, x: u16, y: u16, colour: u8) {
    let Some(layout) = s.layout() else { return };
    let (base, _) = pixel_row(s, layout, page, y);
    let seg = s.segment();
    let xor = colour & 0x80 != 0;
    match layout {
        Layout::Planar => {
            let at = Far::new(seg, base.wrapping_add(x / 8));
            let function = if xor { 0x1803 } else { 0x0003 };
            let mask = 0x80u16 >> (x & 7);
            bus.out_pairs(0x3c4, &[0x0f02]).await;
            let set = [0x0005, u16::from(colour & 15) << 8, 0x0f01, function, mask << 8 | 8];
            bus.out_pairs(0x3ce, &set).await;
            bus.write_stride(at, 0, &[0xff], true).await;
            bus.out_pairs(0x3ce, PLANAR_IDLE).await;
        }
        Layout::Linear8 => bus.write8(Far::new(seg, base.wrapping_add(x)), colour).await,
        Layout::Cga4 | Layout::Cga2 => {
            let (bits, per) = if layout == Layout::Cga4 { (2, 4) } else { (1, 8) };
            let at = Far::new(seg, base.wrapping_add(x / per));
            let shift = 8 - bits * (x % per + 1);
            let mask = ((1u16 << bits) - 1) << shift;
            let v = (u16::from(colour) << shift) & mask;
            let old = u16::from(bus.read8(at).await);
            bus.write8(at, (if xor { old ^ v } else { old & !mask | v }) as u8).await;
        }
        Layout::Text => {}
    }
}

async fn read_pixel(bus: &Bus, s: &Screen, page: u8, x: u16, y: u16) -> u8 {
    let Some(layout) = s.layout() else { return 0 };
    let (base, _) = pixel_row(s, layout, page, y);
    let seg = s.segment();
    match layout {
        Layout::Planar => {
            let at = Far::new(seg, base.wrapping_add(x / 8));
            let mut v = 0;
            for plane in 0..4u16 {
                bus.out_pairs(0x3ce, &[plane << 8 | 4]).await;
                v |= (bus.read8(at).await >> (7 - (x & 7)) & 1) << plane;
            }
            bus.out_pairs(0x3ce, &[0x0004]).await;
            v
        }
        Layout::Linear8 => bus.read8(Far::new(seg, base.wrapping_add(x))).await,
        Layout::Cga4 => bus.read8(Far::new(seg, base.wrapping_add(x / 4))).await >> (6 - 2 * (x % 4)) & 3,
        Layout::Cga2 => bus.read8(Far::new(seg, base.wrapping_add(x / 8))).await >> (7 - x % 8) & 1,
        Layout::Text => 0,
    }
}

/// Writes one character at a page's cursor as a terminal would. `attr`: None keeps a text cell's attribute;
/// `colour` is the foreground in graphics modes.
async fn teletype(bus: &Bus, s: &mut Screen, page: u8, ch: u8, attr: Option<u8>, colour: u8) {
    let (mut col, mut row) = s.cursor(page);
    match ch {
        0x07 => return beep(bus).await,
        0x08 => col = col.saturating_sub(1),
        0x0a => row = row.wrapping_add(1),
        0x0d => col = 0,
        _ => {
            let attr = if s.layout() == Some(Layout::Text) { attr } else { Some(attr.unwrap_or(colour)) };
            put(bus, s, page, (col, row), ch, attr, 1).await;
            col = col.wrapping_add(1);
            if u16::from(col) >= s.columns() {
                (col, row) = (0, row.wrapping_add(1));
            }
        }
    }
    if u16::from(row) >= s.rows() {
        row = (s.rows() - 1) as u8;
        let all = Rect { left: 0, top: 0, right: s.columns() - 1, bottom: s.rows() - 1 };
        // New lines get the attribute under the cursor, black in graphics.
        let fill = if s.layout() == Some(Layout::Text) {
            attr.unwrap_or(
                (bus.read16(cell(s, page, u16::from(col.min(s.columns() as u8 - 1)), u16::from(row))).await
                    >> 8) as u8,
            )
        } else {
            0
        };
        if page == s.page() {
            scroll(bus, s, all, 1, fill, false).await;
        }
    }
    set_cursor(bus, s, page, col, row).await;
}

/// A short 896 Hz tone on the speaker. Doesn't wait for its end where that would take time from the caller's clock.
async fn beep(bus: &Bus) {
    let gate = bus.inb(0x61).await;
    bus.outb(0x43, 0xb6).await;
    bus.outb(0x42, 0x33).await;
    bus.outb(0x42, 0x05).await;
    bus.outb(0x61, gate | 3).await;
    bus.delay(30 * board::MILLISECOND).await;
    bus.outb(0x61, gate & !3).await;
}

async fn string(bus: &Bus, s: &mut Screen, f: &Frame) {
    let page = f.bh() & 7;
    let (old_col, old_row) = s.cursor(page);
    set_cursor(bus, s, page, f.dl(), f.dh()).await;
    let with_attrs = f.al() & 2 != 0;
    let each = if with_attrs { 2 } else { 1 };
    let text = bus.read(Far::new(f.es, f.bp()), usize::from(f.cx()) * each).await;
    for c in text.chunks(each) {
        let attr = c.get(1).copied().unwrap_or(f.bl());
        teletype(bus, s, page, c[0], Some(attr), attr).await;
    }
    if f.al() & 1 == 0 {
        set_cursor(bus, s, page, old_col, old_row).await;
    }
}

/// Prints on the active page in light grey, from POST and the boot code.
pub async fn print(bus: &Bus, text: &str) {
    let mut s = Screen::load(bus).await;
    let page = s.page();
    for b in text.bytes() {
        teletype(bus, &mut s, page, b, Some(7), 7).await;
    }
}
