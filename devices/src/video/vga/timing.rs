//! The raster in guest time.
//!
//! Nothing is clocked: a read of the status port asks where the beam would be by now. So both edges of retrace
//! come whenever a guest waits for them, however busy the host is.

use board::{SECOND, Tick};

use super::Vga;
use super::regs::{ClockingMode, MaxScan, Misc, Overflow};

/// The programmed raster. Lines count from the first displayed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    pub frame: Tick,
    lines: u32,
    display_lines: u32,
    retrace: (u32, u32),
    /// Characters in a line, and how many of them show.
    chars: u32,
    display_chars: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            frame: SECOND / 60,
            lines: 449,
            display_lines: 400,
            retrace: (412, 414),
            chars: 100,
            display_chars: 80,
        }
    }
}

impl Timing {
    /// Line and character position of the beam.
    fn beam(&self, now: Tick) -> (u32, u32) {
        let at = u64::from(self.lines) * (now % self.frame);
        let line = at / self.frame;
        let char = at % self.frame * u64::from(self.chars) / self.frame;
        (line as u32, char as u32)
    }

    /// Input Status 1: b0 not displaying, b3 vertical retrace.
    pub(super) fn status1(&self, now: Tick) -> u8 {
        let (line, char) = self.beam(now);
        let (start, end) = self.retrace;
        let off = line >= self.display_lines || char >= self.display_chars;
        let retrace = (start..end).contains(&line);
        // b5-4 feed two bits of the pixel back (diagnostics); BIOSes only look whether they move.
        u8::from(off) | u8::from(retrace) << 3 | if char & 1 == 0 { 0 } else { 0x30 }
    }

    /// How many vertical retraces have begun by now.
    pub fn retraces(&self, now: Tick) -> u64 {
        let start = self.frame * u64::from(self.retrace.0) / u64::from(self.lines);
        (now + self.frame - start) / self.frame
    }

    /// When the next vertical retrace begins.
    pub fn next_retrace(&self, now: Tick) -> Tick {
        let start = self.frame * u64::from(self.retrace.0) / u64::from(self.lines);
        self.retraces(now) * self.frame + start
    }
}

impl Vga {
    /// Total and displayed character clocks of a line.
    pub(super) fn horizontal(&self) -> (u32, u32) {
        let total = u32::from(self.crtc[0]) + self.ext.h_total + 5;
        let display = u32::from(self.crtc[1]) + self.ext.h_display + 1;
        (total, display)
    }

    /// Vertical display end in lines, blank start, line compare.
    pub(super) fn vertical(&self) -> (u32, u32, u32) {
        let o = Overflow::from_bits(self.crtc[7]);
        let m = MaxScan::from_bits(self.crtc[9]);
        let ten = |low: u8, b8: bool, b9: bool| u32::from(low) | u32::from(b8) << 8 | u32::from(b9) << 9;
        (
            ten(self.crtc[0x12], o.vde8(), o.vde9()) + self.ext.v_display + 1,
            ten(self.crtc[0x15], o.vbs8(), m.vbs9()) + self.ext.v_blank,
            ten(self.crtc[0x18], o.lc8(), m.lc9()) + self.ext.line_compare,
        )
    }

    /// Works out the raster anew after a write to any register that has part in it.
    pub(super) fn retime(&mut self) {
        let clocking = ClockingMode::from_bits(self.seq[1]);
        let o = Overflow::from_bits(self.crtc[7]);
        let (chars, display_chars) = self.horizontal();
        let (display_lines, ..) = self.vertical();
        let lines = (u32::from(self.crtc[6]) | u32::from(o.vt8()) << 8 | u32::from(o.vt9()) << 9)
            + self.ext.v_total
            + 2;
        let start = (u32::from(self.crtc[0x10]) | u32::from(o.vrs8()) << 8 | u32::from(o.vrs9()) << 9)
            + self.ext.v_retrace;
        let width = (u32::from(self.crtc[0x11]).wrapping_sub(start) & 15).max(1);
        let khz = match Misc::from_bits(self.misc).clock_select() {
            1 => 28_322,
            3 if self.ext.clock_khz != 0 => self.ext.clock_khz,
            _ => 25_175,
        };
        let cell = if clocking.dots_8() { 8 } else { 9 } << u32::from(clocking.dot_clock_half());
        let dots = u64::from(chars * cell);
        let frame = dots * u64::from(lines) * 1_000_000 / u64::from(khz);
        // A raster that no monitor would follow is one that is being programmed, or one whose clock this
        // adapter counts in another way.
        let sane = SECOND / 120..=SECOND / 43;
        self.timing = Timing {
            frame: if sane.contains(&frame) { frame } else { SECOND / 60 },
            lines,
            display_lines: display_lines.min(lines - 1),
            // A retrace that the counter never reaches would hang a guest that waits for it.
            retrace: if start + width < lines { (start, start + width) } else { (lines - 1, lines) },
            chars,
            display_chars: display_chars.min(chars - 1),
        };
    }

    pub fn timing(&self) -> &Timing {
        &self.timing
    }
}
