//! Saved state of the clock.

use board::{StateError, StateIn, StateOut};
use minicbor::{Decode, Encode};

use super::{Mc146818, Regs};

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct ClockV1 {
    #[cbor(n(0), with = "minicbor::bytes")]
    bytes: [u8; 256],
    #[n(1)]
    index: [u8; 2],
    #[n(2)]
    phase: u64,
    #[n(3)]
    seconds: u64,
    #[n(4)]
    periods: u64,
    #[n(5)]
    owed: u32,
    #[n(6)]
    give_at: Option<u64>,
}

pub(super) fn save(c: &Mc146818, out: &mut StateOut) {
    let Mc146818 { irq8: _, regs: Regs { bytes, index, phase, seconds, periods, owed, give_at } } = c;
    out.put(
        VERSION,
        &ClockV1 {
            bytes: *bytes,
            index: *index,
            phase: *phase,
            seconds: *seconds,
            periods: *periods,
            owed: *owed,
            give_at: *give_at,
        },
    );
}

pub(super) fn load(c: &mut Mc146818, s: &StateIn<'_>) -> Result<(), StateError> {
    let ClockV1 { bytes, index, phase, seconds, periods, owed, give_at } = s.get(VERSION)?;
    if index.iter().any(|i| *i > 0x7f) {
        return Err(s.bad("index", u64::from(index[0].max(index[1]))));
    }
    c.regs = Regs { bytes, index, phase, seconds, periods, owed, give_at };
    Ok(())
}
