//! Saved state of the 8237 pair.

use board::{StateError, StateIn, StateOut};
use minicbor::{Decode, Encode};

use super::regs::{Command, Mode};
use super::{Channel, Chip, I8237};

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct ChannelV1 {
    #[n(0)]
    base_address: u16,
    #[n(1)]
    base_count: u16,
    #[n(2)]
    address: u16,
    #[n(3)]
    count: u16,
    #[n(4)]
    mode: u8,
    #[n(5)]
    page: u8,
}

#[derive(Encode, Decode)]
struct ChipV1 {
    #[n(0)]
    command: u8,
    #[n(1)]
    mask: u8,
    #[n(2)]
    tc: u8,
    #[n(3)]
    request: u8,
    #[n(4)]
    high_byte: bool,
    #[n(5)]
    temporary: u8,
}

#[derive(Encode, Decode)]
struct I8237V1 {
    #[n(0)]
    channels: Vec<ChannelV1>,
    #[n(1)]
    chips: Vec<ChipV1>,
    #[n(2)]
    refresh_page: u8,
}

pub(super) fn save(d: &I8237, out: &mut StateOut) {
    let I8237 { channels, chips, refresh_page, seen: _ } = d;
    let channel = |c: &Channel| {
        let Channel { base_address, base_count, address, count, mode, page } = *c;
        ChannelV1 { base_address, base_count, address, count, mode: mode.into_bits(), page }
    };
    let chip = |c: &Chip| {
        let Chip { command, mask, tc, request, high_byte, temporary } = *c;
        ChipV1 { command: command.into_bits(), mask, tc, request, high_byte, temporary }
    };
    out.put(
        VERSION,
        &I8237V1 {
            channels: channels.iter().map(channel).collect(),
            chips: chips.iter().map(chip).collect(),
            refresh_page: *refresh_page,
        },
    );
}

pub(super) fn load(d: &mut I8237, s: &StateIn<'_>) -> Result<(), StateError> {
    let I8237V1 { channels, chips, refresh_page } = s.get(VERSION)?;
    if channels.len() != 8 {
        return Err(s.bad("channels", channels.len() as u64));
    }
    if chips.len() != 2 {
        return Err(s.bad("chips", chips.len() as u64));
    }
    for (to, c) in d.channels.iter_mut().zip(channels) {
        let ChannelV1 { base_address, base_count, address, count, mode, page } = c;
        *to = Channel { base_address, base_count, address, count, mode: Mode::from_bits(mode & 0xfc), page };
    }
    for (to, c) in d.chips.iter_mut().zip(chips) {
        let ChipV1 { command, mask, tc, request, high_byte, temporary } = c;
        if (mask | tc | request) & 0xf0 != 0 {
            return Err(s.bad("mask, tc or request", u64::from(mask | tc | request)));
        }
        *to = Chip { command: Command::from_bits(command), mask, tc, request, high_byte, temporary };
    }
    d.refresh_page = refresh_page;
    Ok(())
}
