//! The host's end of a connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;

pub(super) enum Stream {
    Host(TcpStream),
    /// Without a host: what is written comes back. The end was written if `true`.
    Echo(VecDeque<u8>, bool),
}

const ECHO: usize = 64 << 10;

impl Stream {
    pub(super) fn echo() -> Self {
        Self::Echo(VecDeque::new(), false)
    }

    pub(super) fn prepare(&self) {
        if let Self::Host(s) = self {
            // What the guest sent was held back by it, if it wanted that.
            let _ = s.set_nodelay(true);
            // The guest's own probes are answered here, and don't reach the far end.
            let _ = SockRef::from(s).set_keepalive(true);
        }
    }

    /// Is the connection made? `Ok(false)`: not yet.
    pub(super) fn settled(&self) -> io::Result<bool> {
        let Self::Host(s) = self else { return Ok(true) };
        if let Some(e) = s.take_error()? {
            return Err(e);
        }
        match s.peer_addr() {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(e) => Err(e),
        }
    }

    pub(super) fn write(&mut self, data: [IoSlice<'_>; 2]) -> io::Result<usize> {
        match self {
            Self::Host(s) => s.write_vectored(&data),
            Self::Echo(..) if data[0].is_empty() => Ok(0),
            Self::Echo(q, _) => {
                let n = data[0].len().min(ECHO - q.len());
                q.extend(&data[0][..n]);
                if n == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(n) }
            }
        }
    }

    /// Nothing more will be written.
    pub(super) fn shutdown(&mut self) {
        match self {
            // It fails if the far end is gone, which reading shows too.
            Self::Host(s) => drop(s.shutdown(Shutdown::Write)),
            Self::Echo(_, end) => *end = true,
        }
    }

    /// Being dropped, it will tell the far end that the connection was broken.
    pub(super) fn abort(&self) {
        if let Self::Host(s) = self {
            let _ = SockRef::from(s).set_linger(Some(Duration::ZERO));
        }
    }

    pub(super) fn is_echo(&self) -> bool {
        matches!(self, Self::Echo(..))
    }
}

impl Read for Stream {
    fn read(&mut self, b: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Host(s) => s.read(b),
            Self::Echo(q, end) if q.is_empty() && !*end => Err(io::ErrorKind::WouldBlock.into()),
            Self::Echo(q, _) => q.read(b),
        }
    }
}
