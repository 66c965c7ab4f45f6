//! Why a network could not be made.

use std::io;
use std::path::PathBuf;

use super::options::Forward;

/// Each is one line, with the mend.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("network option {field}: {value:?} is not {want}")]
    Field { field: &'static str, value: String, want: &'static str },
    #[error(
        "network option {name:?} is not known; there are forward=tcp:[ADDR:]HOST:GUEST, host=allow, dns=ADDR, \
         pcap=FILE, tftp=ADDR and bootfile=NAME"
    )]
    Unknown { name: String },
    #[error("network option {field} is given twice; leave one")]
    Twice { field: &'static str },
    #[error(
        "cannot forward {forward}: port {} is in use on this host; choose another, or end the program that has it",
        forward.host.port()
    )]
    InUse { forward: Forward },
    #[error(
        "cannot forward {forward}: port {} needs privileges on this host; choose one above 1023",
        forward.host.port()
    )]
    Privileged { forward: Forward },
    #[error("cannot forward {forward}: {} is no address of this host; leave it out, or give one that is", forward.host.ip())]
    NotOurs { forward: Forward },
    #[error("cannot forward {forward}: {source}")]
    Forward { forward: Forward, source: io::Error },
    #[error("network capture {path} is in use by a machine; choose another file for pcap=")]
    CaptureInUse { path: PathBuf },
    #[error(
        "cannot create network capture {path}: {source}; check that its directory exists and is writable"
    )]
    Capture { path: PathBuf, source: io::Error },
    #[error("cannot wait for the host's sockets: {0}; the host has too many open files")]
    Poll(io::Error),
    #[error("cannot start a thread for the network: {0}; the host has too many processes")]
    Thread(io::Error),
}
