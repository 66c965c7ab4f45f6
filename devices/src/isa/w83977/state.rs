//! Saved state of the W83977.

use board::{StateError, StateIn, StateOut};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::regs::{DEVICES, GLOBAL, logical_reset};
use super::{Lock, W83977};

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct W83977V1 {
    /// 0 closed, 1 half open, 2 open.
    #[n(0)]
    lock: u8,
    #[n(1)]
    index: u8,
    #[n(2)]
    global: ByteVec,
    /// One after the other.
    #[n(3)]
    devices: ByteVec,
}

pub(super) fn save(d: &W83977, out: &mut StateOut) {
    let W83977 { lock, index, global, devices } = d;
    let lock = match lock {
        Lock::Closed => 0,
        Lock::HalfOpen => 1,
        Lock::Open => 2,
    };
    let devices: Vec<u8> = devices.iter().flatten().copied().collect();
    out.put(
        VERSION,
        &W83977V1 { lock, index: *index, global: global.to_vec().into(), devices: devices.into() },
    );
}

pub(super) fn load(d: &mut W83977, s: &StateIn<'_>) -> Result<(), StateError> {
    let W83977V1 { lock, index, global, devices } = s.get(VERSION)?;
    let each = 0x100 - GLOBAL;
    if devices.len() != DEVICES * each {
        return Err(s.bad("devices", devices.len() as u64));
    }
    d.global = global.as_slice().try_into().map_err(|_| s.bad("global", global.len() as u64))?;
    d.lock = match lock {
        0 => Lock::Closed,
        1 => Lock::HalfOpen,
        2 => Lock::Open,
        v => return Err(s.bad("lock", u64::from(v))),
    };
    d.index = index;
    d.devices = logical_reset();
    for (to, from) in d.devices.iter_mut().zip(devices.chunks_exact(each)) {
        to.copy_from_slice(from);
    }
    Ok(())
}
