//! Compressed pieces.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};

use super::damaged;

/// Unpacks into a buffer that has to become full. `zlib`: with a header and a sum, else bare.
pub(super) fn inflate(packed: &[u8], zlib: bool, to: &mut [u8]) -> io::Result<()> {
    let mut d = Decompress::new(zlib);
    let done = d.decompress(packed, to, FlushDecompress::Finish);
    match done {
        Ok(Status::StreamEnd | Status::BufError | Status::Ok) if d.total_out() == to.len() as u64 => Ok(()),
        _ => Err(damaged("a compressed piece is damaged")),
    }
}
