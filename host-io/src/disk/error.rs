//! What can be wrong with an image. Every message is one line: the file, what is wrong with it, the mend.

use std::io;
use std::path::PathBuf;

use serde::Serialize;

use super::iso::IsoFault;
use super::vhd::VhdFault;

#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("disk image {path} does not exist; check the path, or make one with `heirloom disk create`")]
    Missing { path: PathBuf },
    #[error("{path} is a directory, not a disk image; give the image file inside it")]
    Directory { path: PathBuf },
    #[error(
        "cannot open disk image {path}: {source}; check its permissions, or add ,ro to open it read-only"
    )]
    Open { path: PathBuf, source: io::Error },
    #[error("disk image {path} is in use by another machine or command; end that first, or make a copy")]
    InUse { path: PathBuf },
    #[error("disk image {path} is empty; make a new one with `heirloom disk create`")]
    Empty { path: PathBuf },
    #[error(
        "disk image {path} has {got} bytes, not a whole number of 512-byte sectors: it is cut off or no disk image; \
         copy it again, or pad it with `truncate -s %512`"
    )]
    Ragged { path: PathBuf, got: u64 },
    #[error("{path} is a {what} image, which is not supported; convert it with `qemu-img convert -O vpc`")]
    Foreign { path: PathBuf, what: &'static str },
    #[error("{path} is a CD image without a partition table; attach it with --cdrom")]
    IsCd { path: PathBuf },
    #[error("VHD {path}: {fault}; {}", fault.mend())]
    Vhd { path: PathBuf, fault: VhdFault },
    #[error("CD image {path}: {fault}; {}", fault.mend())]
    Iso { path: PathBuf, fault: IsoFault },
    #[error("{path} already exists; choose another name or remove it first")]
    Exists { path: PathBuf },
    #[error("cannot create {path}: {source}; check that its directory exists and is writable")]
    Create { path: PathBuf, source: io::Error },
    #[error("a disk of {bytes} bytes cannot be made: sizes go from 1 MiB to 2040 GiB; choose one between")]
    Size { bytes: u64 },
    #[error("{doing} {path}: {source}; check the host's disk for errors and free space")]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
}

/// One thing that `check` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Can the image be used in spite of it?
    pub fatal: bool,
    pub what: String,
    pub mend: String,
}
