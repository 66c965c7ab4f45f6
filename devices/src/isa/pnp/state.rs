//! Saved state of a card's Plug and Play logic: a part of the card's own.

use board::{StateError, StateIn};
use minicbor::{Decode, Encode};

use super::{Card, Device, FIRST_READ_PORT, KEY_BYTES, RANGES, SERIAL_BYTES, State};

#[derive(Encode, Decode)]
pub(crate) struct CardV1 {
    /// 0 wait for key, 1 sleep, 2 isolation, 3 configuration.
    #[n(0)]
    state: u8,
    #[n(1)]
    key: u8,
    #[n(2)]
    matched: u8,
    #[n(3)]
    address: u8,
    #[n(4)]
    csn: u8,
    #[n(5)]
    ldn: u8,
    #[n(6)]
    read_port: u16,
    #[n(7)]
    isolated: u8,
    #[n(8)]
    given: u16,
    #[n(9)]
    active: bool,
    #[n(10)]
    range_check: u8,
    #[n(11)]
    io: Vec<u16>,
    /// Number, type; number, type.
    #[n(12)]
    irq: (u8, u8, u8, u8),
    #[n(13)]
    dma: (u8, u8),
}

impl Card {
    pub(crate) fn save(&self) -> CardV1 {
        let Self { identity: _, state, key, matched, address, csn, ldn, read_port, isolated, given, device } =
            self;
        let Device { active, range_check, io, irq: [a, b], dma: [low, high] } = *device;
        let state = match state {
            State::WaitForKey => 0,
            State::Sleep => 1,
            State::Isolation => 2,
            State::Config => 3,
        };
        CardV1 {
            state,
            key: *key,
            matched: *matched,
            address: *address,
            csn: *csn,
            ldn: *ldn,
            read_port: *read_port,
            isolated: *isolated,
            given: *given,
            active,
            range_check,
            io: io.to_vec(),
            irq: (a.0, a.1, b.0, b.1),
            dma: (low, high),
        }
    }

    pub(crate) fn load(&mut self, s: &StateIn<'_>, v: CardV1) -> Result<(), StateError> {
        let state = match v.state {
            0 => State::WaitForKey,
            1 => State::Sleep,
            2 => State::Isolation,
            3 => State::Config,
            n => return Err(s.bad("pnp state", u64::from(n))),
        };
        if v.matched >= KEY_BYTES || v.given > self.end() {
            return Err(s.bad("pnp key or data", u64::from(v.matched)));
        }
        if usize::from(v.isolated) > SERIAL_BYTES * 16 {
            return Err(s.bad("pnp isolation", u64::from(v.isolated)));
        }
        if v.read_port != 0 && (v.read_port & 3 != 3 || !(FIRST_READ_PORT..=0x3ff).contains(&v.read_port)) {
            return Err(s.bad("pnp read port", u64::from(v.read_port)));
        }
        let io: [u16; RANGES] =
            v.io.try_into().map_err(|io: Vec<u16>| s.bad("pnp ranges", io.len() as u64))?;
        let (a, at, b, bt) = v.irq;
        if a.max(b) > 15 || at.max(bt) > 3 || v.dma.0.max(v.dma.1) > 7 || v.range_check > 3 {
            return Err(s.bad("pnp resources", u64::from(a.max(b))));
        }
        let device = Device {
            active: v.active,
            range_check: v.range_check,
            io,
            irq: [(a, at), (b, bt)],
            dma: [v.dma.0, v.dma.1],
        };
        *self = Self {
            identity: self.identity,
            state,
            key: v.key,
            matched: v.matched,
            address: v.address,
            csn: v.csn,
            ldn: v.ldn,
            read_port: v.read_port,
            isolated: v.isolated,
            given: v.given,
            device,
        };
        Ok(())
    }
}
