//! Messages from clients. RFC 6143 7.5; SetDesktopSize as the community's RFB specification has it.

use super::pixel::{BadFormat, PixelFormat};

/// Longest clipboard text that is worth reading past; a longer one ends the connection.
const MOST_CUT_TEXT: u32 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    SetPixelFormat(PixelFormat),
    SetEncodings(Vec<i32>),
    UpdateRequest { incremental: bool, x: u16, y: u16, width: u16, height: u16 },
    Key { down: bool, keysym: u32 },
    Pointer { buttons: u8, x: u16, y: u16 },
    CutText { bytes: u32 },
    SetDesktopSize { width: u16, height: u16 },
}

/// Why a connection cannot go on: after such bytes nobody knows where the next message begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("message type {kind} is unknown")]
    Kind { kind: u8 },
    #[error("clipboard text of {bytes} bytes")]
    CutText { bytes: u32 },
    #[error(transparent)]
    Format(#[from] BadFormat),
}

/// A cursor over bytes that may not all have come.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[b]| b)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn skip(&mut self, n: usize) -> Option<()> {
        self.0 = self.0.get(n..)?;
        Some(())
    }
}

/// The first message in `bytes` and its length; `None` if more bytes are needed.
pub fn parse_client_message(bytes: &[u8]) -> Result<Option<(ClientMessage, usize)>, Malformed> {
    let mut b = Bytes(bytes);
    let Some(kind) = b.u8() else { return Ok(None) };
    let message = match kind {
        0 => set_pixel_format(&mut b)?,
        2 => set_encodings(&mut b),
        3 => update_request(&mut b),
        4 => key(&mut b),
        5 => pointer(&mut b),
        6 => cut_text(&mut b)?,
        251 => set_desktop_size(&mut b),
        _ => return Err(Malformed::Kind { kind }),
    };
    Ok(message.map(|m| (m, bytes.len() - b.0.len())))
}

fn set_pixel_format(b: &mut Bytes<'_>) -> Result<Option<ClientMessage>, BadFormat> {
    let Some(format) = b.skip(3).and_then(|()| b.take::<16>()) else { return Ok(None) };
    PixelFormat::from_wire(format).map(|f| Some(ClientMessage::SetPixelFormat(f)))
}

fn set_encodings(b: &mut Bytes<'_>) -> Option<ClientMessage> {
    b.skip(1)?;
    let n = b.u16()?;
    let list = (0..n).map(|_| b.u32().map(|e| e as i32)).collect::<Option<_>>()?;
    Some(ClientMessage::SetEncodings(list))
}

fn update_request(b: &mut Bytes<'_>) -> Option<ClientMessage> {
    let incremental = b.u8()? != 0;
    Some(ClientMessage::UpdateRequest {
        incremental,
        x: b.u16()?,
        y: b.u16()?,
        width: b.u16()?,
        height: b.u16()?,
    })
}

fn key(b: &mut Bytes<'_>) -> Option<ClientMessage> {
    let down = b.u8()? != 0;
    b.skip(2)?;
    Some(ClientMessage::Key { down, keysym: b.u32()? })
}

fn pointer(b: &mut Bytes<'_>) -> Option<ClientMessage> {
    Some(ClientMessage::Pointer { buttons: b.u8()?, x: b.u16()?, y: b.u16()? })
}

fn cut_text(b: &mut Bytes<'_>) -> Result<Option<ClientMessage>, Malformed> {
    let Some(bytes) = b.skip(3).and_then(|()| b.u32()) else { return Ok(None) };
    if bytes > MOST_CUT_TEXT {
        return Err(Malformed::CutText { bytes });
    }
    Ok(b.skip(bytes as usize).map(|()| ClientMessage::CutText { bytes }))
}

fn set_desktop_size(b: &mut Bytes<'_>) -> Option<ClientMessage> {
    b.skip(1)?;
    let (width, height) = (b.u16()?, b.u16()?);
    let screens = b.u8()?;
    b.skip(1 + 16 * usize::from(screens))?;
    Some(ClientMessage::SetDesktopSize { width, height })
}
