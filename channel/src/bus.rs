//! Messages of channel 0. docs/design/channel.md, section 2.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Guid;

/// Longest message to the host, and what a receive buffer of channel 0 holds for one to the guest.
pub const MOST: usize = 256;
/// Longest name of a service, of the agent and of the machine, in bytes.
pub const NAME_MOST: usize = 64;

/// What the agent runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum System {
    #[default]
    Other,
    Linux,
    Windows,
}

impl System {
    pub fn number(self) -> u32 {
        match self {
            Self::Other => 0,
            Self::Linux => 1,
            Self::Windows => 2,
        }
    }

    pub fn from_number(n: u32) -> Self {
        match n {
            1 => Self::Linux,
            2 => Self::Windows,
            _ => Self::Other,
        }
    }
}

/// What came of OPEN or MOVE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Opened {
    Open = 0,
    NoOffer = 1,
    /// The offer is open already.
    Already = 2,
    InUse = 3,
    Rings = 4,
    Version = 5,
    Forbidden = 6,
}

impl Opened {
    pub const ALL: [Self; 7] =
        [Self::Open, Self::NoOffer, Self::Already, Self::InUse, Self::Rings, Self::Version, Self::Forbidden];
}

/// Why a channel is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Closed {
    Asked = 0,
    Rescinded = 1,
    Fault = 2,
    /// The service ended it.
    Ended = 3,
}

impl Closed {
    pub const ALL: [Self; 4] = [Self::Asked, Self::Rescinded, Self::Fault, Self::Ended];
}

/// WELCOME: the session is open on the other transport.
pub const JOINED: u32 = 1;

/// Where a channel's rings are in the window. All zero on the serial link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rings {
    pub tx: u32,
    pub rx: u32,
    pub tx_size: u16,
    pub rx_size: u16,
    /// Bytes of each receive buffer, header and all.
    pub rx_buffer: u32,
}

/// A service that the host offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub offer: u32,
    pub class: Guid,
    pub instance: Guid,
    /// Newest version that the service speaks.
    pub version: u32,
    /// 0 (served first) to 7.
    pub priority: u8,
    pub name: String,
}

/// OPEN and MOVE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    pub offer: u32,
    pub channel: u16,
    pub version: u32,
    pub rings: Rings,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToHost {
    Hello { newest: u32, oldest: u32, session: u64, features: u32, system: System, name: String },
    RequestOffers,
    Open(Open),
    Close { channel: u16 },
    Released { offer: u32 },
    Move(Open),
    Bye,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToGuest {
    Welcome { version: u32, flags: u32, features: u32, longest: u32, name: String },
    Refused { newest: u32, oldest: u32 },
    Offer(Offer),
    AllOffered,
    Opened { offer: u32, channel: u16, result: Opened },
    Closed { channel: u16, reason: Closed },
    Rescind { offer: u32 },
    Moved { channel: u16, result: Opened },
    Gone,
}

/// A message that is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a message of the bus that is not as it must be")
    }
}

impl core::error::Error for Malformed {}

struct Out(Vec<u8>);

impl Out {
    fn new(kind: u16) -> Self {
        Self(Vec::with_capacity(MOST)).u16(kind).u16(0)
    }

    fn u16(mut self, v: u16) -> Self {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }

    fn u32(mut self, v: u32) -> Self {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }

    fn bytes(mut self, b: &[u8]) -> Self {
        self.0.extend_from_slice(b);
        self
    }

    /// As much of a name as fits.
    fn name(self, name: &str) -> Self {
        let end = (0..=NAME_MOST.min(name.len())).rev().find(|&n| name.is_char_boundary(n)).unwrap_or(0);
        self.bytes(&name.as_bytes()[..end])
    }

    fn open(self, o: &Open) -> Self {
        let r = &o.rings;
        self.u32(o.offer)
            .u16(o.channel)
            .u16(0)
            .u32(o.version)
            .u32(r.tx)
            .u32(r.rx)
            .u16(r.tx_size)
            .u16(r.rx_size)
            .u32(r.rx_buffer)
    }
}

struct In<'a>(&'a [u8]);

impl In<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (now, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*now)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn name(&mut self) -> Result<String, Malformed> {
        let s = core::str::from_utf8(self.0).map_err(|_| Malformed)?;
        if s.len() > NAME_MOST {
            return Err(Malformed);
        }
        self.0 = &[];
        Ok(s.into())
    }

    fn open(&mut self) -> Result<Open, Malformed> {
        let (offer, channel, _zero, version) = (self.u32()?, self.u16()?, self.u16()?, self.u32()?);
        let (tx, rx, tx_size, rx_size, rx_buffer) =
            (self.u32()?, self.u32()?, self.u16()?, self.u16()?, self.u32()?);
        Ok(Open { offer, channel, version, rings: Rings { tx, rx, tx_size, rx_size, rx_buffer } })
    }

    fn opened(&mut self) -> Result<Opened, Malformed> {
        Opened::ALL.get(usize::from(self.u16()?)).copied().ok_or(Malformed)
    }
}

impl ToHost {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Hello { newest, oldest, session, features, system, name } => Out::new(1)
                .u32(*newest)
                .u32(*oldest)
                .bytes(&session.to_le_bytes())
                .u32(*features)
                .u32(system.number())
                .name(name),
            Self::RequestOffers => Out::new(4),
            Self::Open(o) => Out::new(7).open(o),
            Self::Close { channel } => Out::new(9).u16(*channel).u16(0),
            Self::Released { offer } => Out::new(12).u32(*offer),
            Self::Move(o) => Out::new(13).open(o),
            Self::Bye => Out::new(15),
        }
        .0
    }

    /// Bytes behind the last field are of a newer version.
    pub fn parse(b: &[u8]) -> Result<Self, Malformed> {
        let mut i = In(b);
        let (kind, _zero) = (i.u16()?, i.u16()?);
        Ok(match kind {
            1 => Self::Hello {
                newest: i.u32()?,
                oldest: i.u32()?,
                session: i.u64()?,
                features: i.u32()?,
                system: System::from_number(i.u32()?),
                name: i.name()?,
            },
            4 => Self::RequestOffers,
            7 => Self::Open(i.open()?),
            9 => Self::Close { channel: i.u16()? },
            12 => Self::Released { offer: i.u32()? },
            13 => Self::Move(i.open()?),
            15 => Self::Bye,
            _ => return Err(Malformed),
        })
    }
}

impl ToGuest {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Welcome { version, flags, features, longest, name } => {
                Out::new(2).u32(*version).u32(*flags).u32(*features).u32(*longest).name(name)
            }
            Self::Refused { newest, oldest } => Out::new(3).u32(*newest).u32(*oldest),
            Self::Offer(o) => Out::new(5)
                .u32(o.offer)
                .bytes(&o.class.0)
                .bytes(&o.instance.0)
                .u32(o.version)
                .bytes(&[o.priority, 0, 0, 0])
                .name(&o.name),
            Self::AllOffered => Out::new(6),
            Self::Opened { offer, channel, result } => {
                Out::new(8).u32(*offer).u16(*channel).u16(*result as u16)
            }
            Self::Closed { channel, reason } => Out::new(10).u16(*channel).u16(*reason as u16),
            Self::Rescind { offer } => Out::new(11).u32(*offer),
            Self::Moved { channel, result } => Out::new(14).u16(*channel).u16(*result as u16),
            Self::Gone => Out::new(16),
        }
        .0
    }

    pub fn parse(b: &[u8]) -> Result<Self, Malformed> {
        let mut i = In(b);
        let (kind, _zero) = (i.u16()?, i.u16()?);
        Ok(match kind {
            2 => Self::Welcome {
                version: i.u32()?,
                flags: i.u32()?,
                features: i.u32()?,
                longest: i.u32()?,
                name: i.name()?,
            },
            3 => Self::Refused { newest: i.u32()?, oldest: i.u32()? },
            5 => Self::Offer(Offer {
                offer: i.u32()?,
                class: Guid(i.array()?),
                instance: Guid(i.array()?),
                version: i.u32()?,
                priority: {
                    let p = i.u8()?;
                    i.array::<3>()?;
                    p
                },
                name: i.name()?,
            }),
            6 => Self::AllOffered,
            8 => Self::Opened { offer: i.u32()?, channel: i.u16()?, result: i.opened()? },
            10 => Self::Closed {
                channel: i.u16()?,
                reason: Closed::ALL.get(usize::from(i.u16()?)).copied().ok_or(Malformed)?,
            },
            11 => Self::Rescind { offer: i.u32()? },
            14 => Self::Moved { channel: i.u16()?, result: i.opened()? },
            16 => Self::Gone,
            _ => return Err(Malformed),
        })
    }
}

#[cfg(test)]
mod tests;
