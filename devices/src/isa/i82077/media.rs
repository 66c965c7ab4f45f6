//! What a diskette image's size says about the diskette, and which drives take it.

use board::Media;

/// How bits lie on a diskette: which data rate reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Density {
    /// 250 kbit/s; 300 where the drive turns faster.
    Double,
    /// 500 kbit/s.
    High,
    /// 1 Mbit/s, perpendicular.
    Extra,
}

/// A diskette's format. Sectors are of 512 bytes always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub cylinders: u8,
    pub heads: u8,
    /// Sectors a track.
    pub spt: u8,
    pub density: Density,
    /// 5.25 inches wide, else 3.5.
    pub wide: bool,
    /// What it is called.
    pub name: &'static str,
}

const fn format(
    name: &'static str,
    cylinders: u8,
    heads: u8,
    spt: u8,
    density: Density,
    wide: bool,
) -> Format {
    Format { cylinders, heads, spt, density, wide, name }
}

/// All formats, by size.
pub const FORMATS: [Format; 12] = [
    format("160K", 40, 1, 8, Density::Double, true),
    format("180K", 40, 1, 9, Density::Double, true),
    format("320K", 40, 2, 8, Density::Double, true),
    format("360K", 40, 2, 9, Density::Double, true),
    format("720K", 80, 2, 9, Density::Double, false),
    format("1.2M", 80, 2, 15, Density::High, true),
    format("1.44M", 80, 2, 18, Density::High, false),
    // Microsoft's distribution format.
    format("1.68M", 80, 2, 21, Density::High, false),
    format("1.72M", 82, 2, 21, Density::High, false),
    format("1.74M", 83, 2, 21, Density::High, false),
    format("1.84M", 80, 2, 23, Density::High, false),
    format("2.88M", 80, 2, 36, Density::Extra, false),
];

impl Format {
    pub const fn sectors(&self) -> u64 {
        self.cylinders as u64 * self.heads as u64 * self.spt as u64
    }

    /// The format of an image of so many sectors.
    pub fn of(sectors: u64) -> Option<Self> {
        FORMATS.into_iter().find(|f| f.sectors() == sectors)
    }
}

/// A kind of drive, by its code in CMOS register 10h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum DriveKind {
    /// 5.25 inches, 1.2 MB: turns at 360 rpm, 80 tracks.
    Wide1200 = 2,
    /// 3.5 inches, 1.44 MB.
    Mini1440 = 4,
    /// 3.5 inches, 2.88 MB.
    Mini2880 = 5,
}

impl DriveKind {
    /// The drive for what lies in it at power-on; 1.44 MB if nothing does.
    pub fn of(f: Option<Format>) -> Self {
        match f {
            Some(f) if f.wide => Self::Wide1200,
            Some(Format { density: Density::Extra, .. }) => Self::Mini2880,
            _ => Self::Mini1440,
        }
    }

    pub const fn cmos_type(self) -> u8 {
        self as u8
    }

    /// Does this diskette go in, and can the drive read it?
    pub fn takes(self, f: Format) -> bool {
        match self {
            Self::Wide1200 => f.wide,
            Self::Mini1440 => !f.wide && f.density != Density::Extra,
            Self::Mini2880 => !f.wide,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Wide1200 => "5.25-inch 1.2M",
            Self::Mini1440 => "3.5-inch 1.44M",
            Self::Mini2880 => "3.5-inch 2.88M",
        }
    }

    /// The data rate code (DSR, CCR) that reads a diskette in this drive.
    pub(super) const fn rate(self, d: Density) -> u8 {
        match (d, self) {
            (Density::High, _) => 0,
            (Density::Extra, _) => 3,
            (Density::Double, Self::Wide1200) => 1,
            (Density::Double, _) => 2,
        }
    }

    /// Steps of the head from one of the diskette's cylinders to the next.
    pub(super) const fn steps(self, f: Format) -> u8 {
        if f.cylinders <= 40 { 2 } else { 1 }
    }
}

/// A drive of the machine, as it is at power-on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloppySpec {
    pub kind: DriveKind,
    pub media: Option<Media>,
}
