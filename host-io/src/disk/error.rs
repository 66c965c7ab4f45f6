//! What can be wrong with an image. Every message is one line: the file, what is wrong with it, the mend.

use std::path::PathBuf;
use std::{fmt, io};

use serde::Serialize;

use super::iso::IsoFault;
use super::vhd::VhdFault;
use super::{Format, Mode};

/// What a file was to be opened as: errors name it, and each has mends of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    Disk(Mode),
    Cd,
    Floppy(Mode),
}

impl Medium {
    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::Disk(mode) | Self::Floppy(mode) => mode,
            Self::Cd => Mode::ReadOnly,
        }
    }

    fn mend_missing(self) -> &'static str {
        match self {
            Self::Disk(Mode::ReadWrite) => "check the path, or make one with `heirloom disk create`",
            Self::Disk(Mode::ReadOnly) => "check the path",
            Self::Cd => "check the path, or use --cdrom none for an empty drive",
            Self::Floppy(_) => "check the path, or use --floppy none for an empty drive",
        }
    }

    fn mend_closed(self) -> &'static str {
        match self {
            Self::Disk(Mode::ReadWrite) => "check its permissions, or add ,ro to open it read-only",
            Self::Disk(Mode::ReadOnly) | Self::Cd | Self::Floppy(_) => "check its permissions",
        }
    }

    fn mend_empty(self) -> &'static str {
        match self {
            Self::Disk(_) => "remove it, then make a new one with `heirloom disk create`",
            Self::Cd => "copy or download it again",
            Self::Floppy(_) => "copy it again, or make an empty one with `truncate -s 1440K`",
        }
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk(_) => "disk",
            Self::Cd => "CD",
            Self::Floppy(_) => "diskette",
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("{medium} image {path} does not exist; {}", medium.mend_missing())]
    Missing { path: PathBuf, medium: Medium },
    #[error("{path} is a directory, not a {medium} image; give the image file inside it")]
    Directory { path: PathBuf, medium: Medium },
    #[error("{path} is neither a file nor a disk device; give a {medium} image")]
    Special { path: PathBuf, medium: Medium },
    #[error("cannot open {medium} image {path}: {source}; {}", medium.mend_closed())]
    Open { path: PathBuf, medium: Medium, source: io::Error },
    #[error("{medium} image {path} is in use by another machine or command; end that first, or make a copy")]
    InUse { path: PathBuf, medium: Medium },
    #[error("{medium} image {path} is empty; {}", medium.mend_empty())]
    Empty { path: PathBuf, medium: Medium },
    #[error(
        "disk image {path} has {got} bytes, not a whole number of 512-byte sectors: it is cut off or no disk image; \
         copy it again, or pad it with `truncate -s %512`"
    )]
    Ragged { path: PathBuf, got: u64 },
    #[error("{path} is a {what} image, which no machine uses; {} makes a VHD of it", mend_foreign(what))]
    Foreign { path: PathBuf, what: &'static str },
    #[error("{what} image {path}: {why}; it is damaged or cut off, copy it again")]
    ForeignBad { path: PathBuf, what: &'static str, why: String },
    #[error("{what} image {path} is not supported: {why}; `qemu-img convert -O vpc` may make a VHD of it")]
    ForeignUnknown { path: PathBuf, what: &'static str, why: String },
    #[error("{path} is a CD image without a partition table; attach it with --cdrom")]
    IsCd { path: PathBuf },
    #[error("diskette image {path}: {why}")]
    Diskette { path: PathBuf, why: String },
    #[error("VHD {path}: {fault}; {}", fault.mend())]
    Vhd { path: PathBuf, fault: VhdFault },
    #[error(
        "VHD {child} holds what differs from a parent, which is not there (looked for: {tried}); put it there, or \
         tell where it is with `heirloom disk relink {child} --parent FILE`"
    )]
    ParentMissing { child: PathBuf, tried: String },
    #[error(
        "{parent} is not the parent that VHD {child} was made over: its UUID is another; find that file and use \
         `heirloom disk relink {child} --parent FILE`"
    )]
    ParentOther { child: PathBuf, parent: PathBuf },
    #[error(
        "{parent} was changed after VHD {child} was made over it, so that they may no longer fit; restore it as it \
         was, or accept it with `heirloom disk relink {child}` if only its time differs (a copy)"
    )]
    ParentChanged { child: PathBuf, parent: PathBuf },
    #[error(
        "{parent}, the parent of VHD {child}, has {got} bytes, not {want}: it was changed; restore it from a backup"
    )]
    ParentSize { child: PathBuf, parent: PathBuf, got: u64, want: u64 },
    #[error(
        "{parent} is its own parent (by way of VHD {child}); restore the one that is wrong from a backup"
    )]
    ParentLoop { child: PathBuf, parent: PathBuf },
    #[error("{source} (it is the parent of VHD {child})")]
    Parent { child: PathBuf, source: Box<DiskError> },
    #[error("{path}: a differencing VHD is made over a parent; use `heirloom disk create` with --parent")]
    NeedsParent { path: PathBuf },
    #[error(
        "{path} is not a differencing VHD over {parent}; choose another undo file, or move this one away"
    )]
    NotOver { path: PathBuf, parent: PathBuf },
    #[error(
        "disk {path} does not come from {frozen}, so going back would lose it; give the machine the disk that it was \
         saved with, or {frozen} with undo=keep"
    )]
    OtherFamily { path: PathBuf, frozen: PathBuf },
    #[error("{path} is a {format} image and has no parent; give a differencing VHD")]
    NoParent { path: PathBuf, format: Format },
    #[error(
        "{path} is a {format} image, which does not grow; `heirloom disk convert` makes a dynamic VHD of it"
    )]
    NotDynamic { path: PathBuf, format: Format },
    #[error(
        "{path} is a {format} image, over which no differencing VHD can be made; convert it to a VHD first"
    )]
    NoChildren { path: PathBuf, format: Format },
    #[error("CD image {path}: {fault}; {}", fault.mend())]
    Iso { path: PathBuf, fault: IsoFault },
    #[error(
        "the repair of {path} was interrupted; run `heirloom disk check` with --repair again, which begins anew"
    )]
    HalfRepaired { path: PathBuf },
    #[error(
        "{path} ends before its blocks do: {piece}, the next piece of a split disk, is missing, or the file was cut off; \
         put all pieces into one folder, or restore it from a backup"
    )]
    PieceMissing { path: PathBuf, piece: PathBuf },
    #[error(
        "{piece}, a piece of the split disk {path}, has {got} bytes, where all but the last have {want}: it was cut off or \
         is another disk's; copy it again"
    )]
    PieceSize { path: PathBuf, piece: PathBuf, got: u64, want: u64 },
    #[error("{path} is a piece of a split disk; give {first}, its first piece")]
    IsPiece { path: PathBuf, first: PathBuf },
    #[error(
        "{path} is split into several files and is not compacted; make one file of it with `heirloom disk convert` first"
    )]
    IsSplit { path: PathBuf },
    #[error("{path} has no {path}.before-repair, which a repair leaves; there is nothing to take back")]
    NoUndo { path: PathBuf },
    #[error("{path}: {why}; it cannot take the repair back, restore the image from a backup")]
    Undo { path: PathBuf, why: String },
    #[error("{path} already exists; choose another name or remove it first")]
    Exists { path: PathBuf },
    #[error("cannot create {path}: {source}; check that its directory exists and is writable")]
    Create { path: PathBuf, source: io::Error },
    #[error("a disk of {bytes} bytes cannot be made: sizes go from 1 MiB to 2040 GiB; choose one between")]
    Size { bytes: u64 },
    #[error(
        "disk image {path} can't be used with cache=none: the host or its file system has no I/O beside the cache there \
         ({source}); use cache=writeback or writethrough, or move the image to another file system"
    )]
    Direct { path: PathBuf, source: io::Error },
    #[error("{doing} {path}: {source}; check the host's disk for errors and free space")]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
}

fn mend_foreign(what: &str) -> &'static str {
    if what == "VDI" { "`qemu-img convert -O vpc`" } else { "`heirloom disk convert`" }
}

/// One thing that `check` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Can the image be used in spite of it?
    pub fatal: bool,
    pub what: String,
    pub mend: String,
}
