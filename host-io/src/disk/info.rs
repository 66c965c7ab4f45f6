//! What an image is, and all that is wrong with it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::chain::{Chain, Opened};
use super::error::Finding;
use super::iso::{self, IsoInfo};
use super::split::{self, Files};
use super::store::Store;
use super::vhd::VhdType;
use super::{DiskError, Format, Medium, Mode, SECTOR, absolute, ends_as_vhd, named_vhd, open_file, vhd};

/// What `heirloom disk info` tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageInfo {
    pub path: PathBuf,
    pub format: Format,
    /// Bytes that the guest sees.
    pub virtual_size: u64,
    pub file_size: u64,
    /// Bytes that the host has set aside for the file.
    pub allocated: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vhd: Option<VhdInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso: Option<IsoInfo>,
    /// The files of a split disk behind the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<PathBuf>,
    /// What a differencing disk lies over, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<PathBuf>,
    /// Faults that do not keep it from use.
    pub notes: Vec<Finding>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VhdInfo {
    pub cylinders: u16,
    pub heads: u8,
    pub sectors_per_track: u8,
    /// The footer's size field; the guest sees `virtual_size`.
    pub stated_size: u64,
    pub uuid: String,
    pub creator: String,
    pub creator_version: String,
    /// Seconds since 1970.
    pub created: u64,
    pub in_saved_state: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks_used: Option<usize>,
}

/// What `heirloom disk check` tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    pub path: PathBuf,
    pub format: Format,
    pub findings: Vec<Finding>,
    /// Bytes of blocks that the table does not refer to.
    pub leaked: u64,
}

impl CheckReport {
    /// Can the image be used?
    pub fn usable(&self) -> bool {
        !self.findings.iter().any(|f| f.fatal)
    }
}

fn note(fault: &vhd::VhdFault) -> Finding {
    Finding { fatal: fault.fatal(), what: fault.to_string(), mend: fault.mend().to_owned() }
}

/// An error of a parent, whose mend is its last part.
fn below(e: &DiskError) -> Finding {
    let text = e.to_string();
    let (what, mend) = text.split_once("; ").unwrap_or((&text, "see there"));
    Finding { fatal: true, what: what.to_owned(), mend: mend.to_owned() }
}

fn iso_note(fault: &iso::IsoFault) -> Finding {
    Finding { fatal: fault.fatal(), what: fault.to_string(), mend: fault.mend().to_owned() }
}

fn vhd_info(l: &vhd::Layout) -> VhdInfo {
    let f = &l.footer;
    let version = f.creator_version();
    VhdInfo {
        cylinders: l.geometry.cylinders,
        heads: l.geometry.heads,
        sectors_per_track: l.geometry.sectors,
        stated_size: f.current_size(),
        uuid: f.uuid().to_string(),
        creator: String::from_utf8_lossy(&f.creator_app()).trim_end_matches([' ', '\0']).to_owned(),
        creator_version: format!("{}.{}", version >> 16, version & 0xffff),
        created: f.created(),
        in_saved_state: f.in_saved_state(),
        block_size: l.dynamic.as_ref().map(|d| d.block_size),
        blocks: l.dynamic.as_ref().map(|d| d.bat.len()),
        blocks_used: l.dynamic.as_ref().map(vhd::Blocks::used),
    }
}

/// Describes an image that can be used; its faults are an error as for opening it.
pub fn info(path: &Path) -> Result<ImageInfo, DiskError> {
    let s = open_file(path, Medium::Disk(Mode::ReadOnly))?;
    let (file_size, allocated) = (s.len(), s.allocated());
    let pieces = if matches!(s, Files::Split(_)) { split::others(path)? } else { Vec::new() };
    let base = |format, virtual_size| ImageInfo {
        path: absolute(path),
        format,
        virtual_size,
        file_size,
        allocated,
        vhd: None,
        iso: None,
        pieces: pieces.clone(),
        parents: Vec::new(),
        notes: Vec::new(),
    };
    let mut chain = Chain::default();
    match chain.open_on(s, path, Mode::ReadOnly) {
        Ok(Opened { image, layout, faults }) => Ok(ImageInfo {
            vhd: layout.as_ref().map(vhd_info),
            notes: faults.iter().map(note).collect(),
            parents: chain.parents(),
            ..base(image.format, image.disk.sectors() * SECTOR)
        }),
        Err(DiskError::IsCd { .. }) => {
            let (image, iso) = super::open_cdrom(path)?;
            Ok(ImageInfo {
                notes: iso.faults.iter().map(iso_note).collect(),
                iso: Some(iso),
                ..base(Format::Iso, image.disk.sectors() * SECTOR)
            })
        }
        Err(e) => Err(e),
    }
}

/// Lists all that is wrong with an image. Changes nothing.
pub fn check(path: &Path) -> Result<CheckReport, DiskError> {
    let mut s = open_file(path, Medium::Disk(Mode::ReadOnly))?;
    let io = |source| DiskError::Io { path: path.into(), doing: "reading", source };
    let mut head = [0; 8];
    if s.len() >= 8 {
        s.read_at(0, &mut head).map_err(io)?;
    }
    let report = |format, findings, leaked| CheckReport { path: absolute(path), format, findings, leaked };
    if head == *vhd::COOKIE || ends_as_vhd(&mut s).map_err(io)? || named_vhd(path) {
        let (layout, faults) = vhd::examine(&mut s).map_err(io)?;
        let mut findings: Vec<Finding> = faults.iter().map(note).collect();
        let format = match layout.as_ref().map(vhd::Layout::kind) {
            Some(VhdType::Differencing) => {
                // What is wrong below is wrong with it.
                if let Err(e) = Chain::default().open_on(s, path, Mode::ReadOnly) {
                    findings.push(below(&e));
                }
                Format::VhdDifferencing
            }
            Some(VhdType::Dynamic) => Format::VhdDynamic,
            None if head == *vhd::COOKIE => Format::VhdDynamic,
            Some(VhdType::Fixed) | None => Format::VhdFixed,
        };
        let link = layout.as_ref().and_then(|l| l.parent.as_ref());
        let leaked = layout.as_ref().and_then(|l| l.dynamic.as_ref()).map_or(0, |d| d.leaked(link));
        return Ok(report(format, findings, leaked));
    }
    match Chain::default().open_on(s, path, Mode::ReadOnly) {
        Ok(Opened { image, .. }) => Ok(report(image.format, Vec::new(), 0)),
        Err(DiskError::IsCd { .. }) => {
            let (_, iso) = super::open_cdrom(path)?;
            Ok(report(Format::Iso, iso.faults.iter().map(iso_note).collect(), 0))
        }
        Err(e) => Err(e),
    }
}
