//! A drive: where its head is, what lies in it, the disk change latch.

use board::Media;

use super::media::{DriveKind, FloppySpec, Format};

/// The innermost track that the head can reach.
pub(super) const LAST_TRACK: u8 = 83;
/// Step pulses that RECALIBRATE gives at most.
pub(super) const RECALIBRATE_STEPS: u8 = 79;

/// Where a seek ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// SEEK and RELATIVE SEEK: steps inwards, and the PCN at the end.
    Steps { by: i16, pcn: u8 },
    /// RECALIBRATE.
    Track0,
}

/// A seek under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seek {
    pub(super) to: Target,
    /// HDS of the command, for ST0.
    pub(super) head: u8,
}

/// One drive with what the controller knows of it. A unit without a drive answers no line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Drive {
    pub(super) kind: Option<DriveKind>,
    pub(super) media: Option<Media>,
    /// The track that the head stands over.
    pub(super) track: u8,
    /// DSKCHG: set when the medium leaves (and by power-on), cleared by a step with a medium in the drive.
    pub(super) changed: bool,
    /// The controller's present cylinder number, which may be wrong.
    pub(super) pcn: u8,
    pub(super) seek: Option<Seek>,
    /// ST0 that SENSE INTERRUPT STATUS has not yet fetched.
    pub(super) pending: Option<u8>,
}

impl Drive {
    pub(super) fn new(spec: Option<FloppySpec>) -> Self {
        let Some(FloppySpec { kind, media }) = spec else { return Self::default() };
        Self { kind: Some(kind), media, changed: true, ..Self::default() }
    }

    pub(super) fn format(&self) -> Option<Format> {
        let f = Format::of(self.media?.sectors)?;
        self.kind?.takes(f).then_some(f)
    }

    pub(super) fn write_protected(&self) -> bool {
        self.media.is_some_and(|m| m.read_only)
    }

    /// TRK0.
    pub(super) fn at_track0(&self) -> bool {
        self.kind.is_some() && self.track == 0
    }

    /// The cylinder of the diskette under the head; `None` between two, or where it has none.
    pub(super) fn cylinder(&self, f: Format) -> Option<u8> {
        let steps = self.kind?.steps(f);
        let c = self.track / steps;
        (self.track.is_multiple_of(steps) && c < f.cylinders).then_some(c)
    }

    /// Steps that a seek takes from here.
    pub(super) fn steps(&self, to: Target) -> u8 {
        match to {
            Target::Steps { by, .. } => by.unsigned_abs().min(255) as u8,
            Target::Track0 if self.kind.is_none() => RECALIBRATE_STEPS,
            Target::Track0 => self.track.min(RECALIBRATE_STEPS),
        }
    }

    /// Ends a seek: true if the drive was where it should be.
    pub(super) fn arrive(&mut self, to: Target) -> bool {
        let by = match to {
            Target::Steps { by, .. } => by,
            Target::Track0 => -i16::from(self.steps(to)),
        };
        if self.kind.is_some() {
            self.track = (i16::from(self.track) + by).clamp(0, i16::from(LAST_TRACK)) as u8;
            self.changed &= by == 0 || self.media.is_none();
        }
        match to {
            Target::Steps { pcn, .. } => {
                self.pcn = pcn;
                true
            }
            Target::Track0 => {
                self.pcn = 0;
                self.at_track0()
            }
        }
    }
}
