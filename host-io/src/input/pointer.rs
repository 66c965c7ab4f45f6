//! Positions as the movements that a PS/2 mouse tells.

use board::{Pointer, VideoMode};

/// Farther than any screen is large.
const FAR: i32 = 4096;

/// Where somebody points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PointerAt {
    pub x: i32,
    pub y: i32,
    pub wheel: i32,
    /// As [`Pointer`] has them
    pub buttons: u8,
    /// The screen that he sees
    pub screen: VideoMode,
    /// He points for the first time: what others know of the guest's pointer may be wrong by now.
    pub anew: bool,
}

/// Where the guest's pointer is, as far as anybody knows. One for a machine: viewers and control connections share it.
#[derive(Debug, Default)]
pub struct PointerPath {
    at: Option<(i32, i32)>,
    /// Guests put their pointer elsewhere when they set a mode.
    screen: Option<VideoMode>,
    buttons: u8,
}

impl PointerPath {
    /// The movements that bring the guest's pointer there: by the corner if nobody knows where it is.
    pub fn to(&mut self, p: PointerAt) -> Vec<Pointer> {
        let moves = p.wheel != 0 || self.at != Some((p.x, p.y));
        if p.anew || self.screen != Some(p.screen) {
            self.at = None;
        }
        let mut path = Vec::new();
        let from = self.at.unwrap_or_else(|| {
            path.push(Pointer { dx: -FAR, dy: -FAR, wheel: 0, buttons: self.buttons });
            (0, 0)
        });
        if moves || !path.is_empty() || p.buttons != self.buttons {
            path.push(Pointer { dx: p.x - from.0, dy: p.y - from.1, wheel: p.wheel, buttons: p.buttons });
        }
        *self = Self { at: Some((p.x, p.y)), screen: Some(p.screen), buttons: p.buttons };
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: i32, y: i32) -> PointerAt {
        PointerAt { x, y, wheel: 0, buttons: 0, screen: VideoMode { width: 640, height: 480 }, anew: false }
    }

    fn by(dx: i32, dy: i32, buttons: u8) -> Pointer {
        Pointer { dx, dy, wheel: 0, buttons }
    }

    #[test]
    fn the_first_goes_by_the_corner_and_the_next_straight() {
        let mut p = PointerPath::default();
        assert_eq!(p.to(at(10, 20)), [by(-FAR, -FAR, 0), by(10, 20, 0)]);
        assert_eq!(p.to(at(13, 18)), [by(3, -2, 0)]);
        assert_eq!(p.to(at(13, 18)), []);
        assert_eq!(p.to(PointerAt { wheel: -1, ..at(13, 18) }), [Pointer { wheel: -1, ..by(0, 0, 0) }]);
    }

    #[test]
    fn a_new_viewer_and_a_new_mode_begin_at_the_corner_with_what_is_held() {
        let mut p = PointerPath::default();
        p.to(at(5, 5));
        assert_eq!(p.to(PointerAt { buttons: 1, ..at(6, 5) }), [by(1, 0, 1)]);
        assert_eq!(p.to(PointerAt { buttons: 1, anew: true, ..at(6, 5) }), [by(-FAR, -FAR, 1), by(6, 5, 1)]);
        assert_eq!(
            p.to(PointerAt { screen: VideoMode { width: 800, height: 600 }, ..at(6, 5) }),
            [by(-FAR, -FAR, 1), by(6, 5, 0)]
        );
    }
}
