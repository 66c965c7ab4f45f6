//! A serial port, read and written without waiting.
#![allow(unsafe_code, reason = "opens and sets the port")]

use alloc::format;
use alloc::vec::Vec;
use core::mem::{size_of, zeroed};
use core::ptr::{null, null_mut};

use windows_sys::Win32::Devices::Communication::{
    COMMTIMEOUTS, COMSTAT, ClearCommError, DCB, NOPARITY, ONESTOPBIT, PURGE_RXCLEAR, PURGE_TXCLEAR,
    PurgeComm, SetCommState, SetCommTimeouts, SetupComm,
};
use windows_sys::Win32::Foundation::{GENERIC_READ, GENERIC_WRITE};
use windows_sys::Win32::Storage::FileSystem::{CreateFileW, FILE_FLAG_OVERLAPPED, OPEN_EXISTING};
use xp_base::handle::Handle;
use xp_base::{Error, Result, text};

use super::overlapped::{Ended, Operation};

/// Room of the port's own buffers, and of one read.
const QUEUE: usize = 4096;
/// What may wait to be written.
const BACKLOG: usize = 512;

pub struct Serial {
    // The operations end before the port closes: fields are dropped in this order.
    first: Operation,
    rest: Operation,
    writing: Operation,
    backlog: Vec<u8>,
    port: Handle,
}

impl Serial {
    /// `name` as COM2, at 115,200 baud, 8N1, no flow control.
    pub fn open(name: &str) -> Result<Self> {
        let path = text::wide(&format!("\\\\.\\{name}"));
        // SAFETY: the path ends with a zero; null security; not shared.
        let h = unsafe {
            CreateFileW(
                path.as_ptr(),
                GENERIC_READ | GENERIC_WRITE,
                0,
                null(),
                OPEN_EXISTING,
                FILE_FLAG_OVERLAPPED,
                null_mut(),
            )
        };
        let port = Handle::take(h, format!("cannot open {name}"))?;
        set(&port, name)?;
        let mut s = Self {
            first: Operation::new(1)?,
            rest: Operation::new(QUEUE)?,
            writing: Operation::new(QUEUE)?,
            backlog: Vec::new(),
            port,
        };
        s.first.read(&s.port, 1)?;
        Ok(s)
    }

    /// What has come, as far as it fits: how many bytes. One byte is always waited for; the rest is there when it came.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        match self.first.ended()? {
            Ended::Not => return Ok(0),
            Ended::With(1) => {}
            Ended::With(_) => {
                self.first.read(&self.port, 1)?;
                return Ok(0);
            }
        }
        let there = waiting(&self.port)?.min(into.len() - 1);
        let mut n = 0;
        if there > 0 {
            self.rest.read(&self.port, there)?;
            n = self.rest.end()?;
        }
        let bytes = self.first.bytes(1).iter().chain(self.rest.bytes(n));
        for (to, from) in into.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.first.read(&self.port, 1)?;
        Ok(1 + n)
    }

    /// How many bytes `write` takes now.
    pub fn room(&self) -> usize {
        BACKLOG.saturating_sub(self.backlog.len())
    }

    /// Takes up to `room` bytes; how many it took.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let n = bytes.len().min(self.room());
        self.backlog.extend_from_slice(bytes.get(..n).unwrap_or_default());
        self.push()?;
        Ok(n)
    }

    /// Goes on writing.
    pub fn push(&mut self) -> Result<()> {
        self.writing.ended()?;
        if !self.writing.is_under_way() && !self.backlog.is_empty() {
            let n = self.backlog.len().min(QUEUE);
            self.writing.write(&self.port, self.backlog.get(..n).unwrap_or_default())?;
            self.backlog.drain(..n);
        }
        Ok(())
    }

    /// What to wait for: something came; what was written has gone.
    pub fn events(&self) -> impl Iterator<Item = &Handle> {
        let writing = self.writing.is_under_way().then(|| self.writing.event());
        core::iter::once(self.first.event()).chain(writing)
    }
}

fn set(port: &Handle, name: &str) -> Result<()> {
    // DCB's flags: binary (bit 0), DTR and RTS on (5:4 and 13:12).
    const FLAGS: u32 = 1 | 1 << 4 | 1 << 12;
    // SAFETY: numbers only.
    let mut dcb: DCB = unsafe { zeroed() };
    dcb.DCBlength = size_of::<DCB>() as u32;
    dcb.BaudRate = 115_200;
    dcb._bitfield = FLAGS;
    dcb.ByteSize = 8;
    dcb.Parity = NOPARITY;
    dcb.StopBits = ONESTOPBIT;
    // A read ends when all of it has come, a write when all has gone.
    // SAFETY: numbers only.
    let times: COMMTIMEOUTS = unsafe { zeroed() };
    // SAFETY: both structures live over their calls; the port is open.
    unsafe {
        SetupComm(port.raw(), QUEUE as u32, QUEUE as u32);
        if SetCommState(port.raw(), &raw const dcb) == 0 || SetCommTimeouts(port.raw(), &raw const times) == 0
        {
            return Err(Error::last(format!("cannot set {name} to 115200 baud, 8N1")));
        }
        PurgeComm(port.raw(), PURGE_RXCLEAR | PURGE_TXCLEAR);
    }
    Ok(())
}

/// Bytes that have come and were not read. Breaks and overruns are no matter: the link has a checksum.
fn waiting(port: &Handle) -> Result<usize> {
    // SAFETY: numbers only.
    let mut status: COMSTAT = unsafe { zeroed() };
    let mut errors = 0;
    // SAFETY: fills both; the port is open.
    if unsafe { ClearCommError(port.raw(), &raw mut errors, &raw mut status) } == 0 {
        return Err(Error::last("the port does not say what has come"));
    }
    Ok(status.cbInQue as usize)
}
