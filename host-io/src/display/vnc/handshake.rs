//! From the first byte to ServerInit. RFC 6143 7.1-7.3.

use std::io::{self, Read, Write};
use std::time::Duration;

use board::VideoMode;

use super::auth;
use super::pixel::PixelFormat;

const NONE: u8 = 1;
const VNC_AUTHENTICATION: u8 = 2;

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("connection lost")]
    Io(#[from] io::Error),
    #[error("not an RFB client: it began with {greeting:?}")]
    NotRfb { greeting: String },
    #[error("it chose security type {got}, which was not offered")]
    Security { got: u8 },
    #[error("wrong password")]
    Password,
    #[error("no random numbers for a challenge")]
    Random,
}

/// Protocol versions that differ in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V3,
    V7,
    V8,
}

fn version(greeting: [u8; 12]) -> Result<Version, Refused> {
    let bad = || Refused::NotRfb { greeting: String::from_utf8_lossy(&greeting).into_owned() };
    let text = std::str::from_utf8(&greeting).map_err(|_| bad())?;
    let numbers = text.strip_prefix("RFB ").and_then(|t| t.strip_suffix('\n')).ok_or_else(bad)?;
    let (major, minor) = numbers.split_once('.').ok_or_else(bad)?;
    let (major, minor): (u16, u16) = (major.parse().map_err(|_| bad())?, minor.parse().map_err(|_| bad())?);
    Ok(match (major, minor) {
        (3, 7) => Version::V7,
        (3, 8..) | (4.., _) => Version::V8,
        // RFC 6143 7.1.1: others are treated as 3.3.
        (3, _) => Version::V3,
        _ => return Err(bad()),
    })
}

/// Takes a client from its greeting to the end of its initialisation.
pub fn handshake(
    s: &mut (impl Read + Write),
    password: Option<&str>,
    name: &str,
    mode: VideoMode,
) -> Result<(), Refused> {
    s.write_all(b"RFB 003.008\n")?;
    let mut greeting = [0; 12];
    s.read_exact(&mut greeting)?;
    let version = version(greeting)?;
    let offered = if password.is_some() { VNC_AUTHENTICATION } else { NONE };
    if version == Version::V3 {
        s.write_all(&u32::from(offered).to_be_bytes())?;
    } else {
        s.write_all(&[1, offered])?;
        let mut chosen = [0];
        s.read_exact(&mut chosen)?;
        if chosen[0] != offered {
            fail(s, version, "security type not offered")?;
            return Err(Refused::Security { got: chosen[0] });
        }
    }
    match password {
        Some(password) => {
            let mut challenge = [0; 16];
            getrandom::fill(&mut challenge).map_err(|_| Refused::Random)?;
            s.write_all(&challenge)?;
            let mut answer = [0; 16];
            s.read_exact(&mut answer)?;
            if !auth::matches(answer, auth::response(password, challenge)) {
                // Guessing takes its time.
                std::thread::sleep(Duration::from_secs(1));
                fail(s, version, "wrong password")?;
                return Err(Refused::Password);
            }
            s.write_all(&0u32.to_be_bytes())?;
        }
        // Before 3.8 nothing follows None.
        None if version == Version::V8 => s.write_all(&0u32.to_be_bytes())?,
        None => {}
    }
    // ClientInit: the shared flag. All clients share.
    s.read_exact(&mut [0])?;
    s.write_all(&server_init(name, mode))?;
    Ok(())
}

/// SecurityResult: failed; from 3.8 on with a reason.
fn fail(s: &mut impl Write, version: Version, reason: &str) -> io::Result<()> {
    s.write_all(&1u32.to_be_bytes())?;
    if version == Version::V8 {
        s.write_all(&(reason.len() as u32).to_be_bytes())?;
        s.write_all(reason.as_bytes())?;
    }
    Ok(())
}

fn server_init(name: &str, mode: VideoMode) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend((mode.width as u16).to_be_bytes());
    out.extend((mode.height as u16).to_be_bytes());
    out.extend(PixelFormat::NATIVE.to_wire());
    out.extend((name.len() as u32).to_be_bytes());
    out.extend(name.as_bytes());
    out
}
