//! Diskette drives: which images make diskettes, and which drives take them.

use devices::isa::i82077::media::{DriveKind, FORMATS, FloppySpec, Format};

/// Diskette drives A: and B:.
pub(crate) const FLOPPIES: usize = 2;

/// Why an image is no diskette, or none for this drive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FloppyError {
    #[error("{got} bytes are no diskette's; sizes that work: {}", sizes())]
    Size { got: u64 },
    #[error("a {name} diskette does not fit into a {drive} drive; start the machine with it")]
    Misfit { name: &'static str, drive: &'static str },
}

/// "163840 (160K), ..."
fn sizes() -> String {
    FORMATS.map(|f| format!("{} ({})", f.sectors() * 512, f.name)).join(", ")
}

fn format(sectors: u64) -> Result<Format, FloppyError> {
    Format::of(sectors).ok_or(FloppyError::Size { got: sectors.saturating_mul(512) })
}

/// Is an image of so many 512-byte sectors a diskette?
pub fn check(sectors: u64) -> Result<(), FloppyError> {
    format(sectors).map(drop)
}

/// The drive for what lies in it at power-on.
pub(crate) fn drive(media: Option<board::Media>) -> Result<FloppySpec, FloppyError> {
    let f = media.map(|m| format(m.sectors)).transpose()?;
    Ok(FloppySpec { kind: DriveKind::of(f), media })
}

/// Does a diskette go into this drive?
pub(crate) fn fits(kind: DriveKind, sectors: u64) -> Result<(), FloppyError> {
    let f = format(sectors)?;
    if kind.takes(f) { Ok(()) } else { Err(FloppyError::Misfit { name: f.name, drive: kind.name() }) }
}
