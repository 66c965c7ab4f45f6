//! A hardware cursor as it is laid over the picture.

/// What becomes of a dot of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dot {
    /// As it is.
    Screen,
    Invert,
    /// 0xRRGGBB.
    Colour(u32),
}

/// A rectangle of dots, which may begin left of or above the screen's corner and go beyond its edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sprite {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    /// Row by row.
    pub dots: Vec<Dot>,
}

impl Sprite {
    fn height(&self) -> u32 {
        self.dots.len() as u32 / self.width.max(1)
    }

    /// Does it cover line `y`?
    pub fn covers(&self, y: u32) -> bool {
        (self.y..self.y + self.height()).contains(&y)
    }

    /// Lays it over line `y`.
    pub fn paint(&self, y: u32, line: &mut [u32]) {
        if !self.covers(y) {
            return;
        }
        let row = self.dots.chunks_exact(self.width as usize).nth((y - self.y) as usize).unwrap_or_default();
        for (px, dot) in line.iter_mut().skip(self.x as usize).zip(row) {
            match dot {
                Dot::Screen => {}
                Dot::Invert => *px ^= 0xff_ffff,
                Dot::Colour(c) => *px = *c,
            }
        }
    }
}
