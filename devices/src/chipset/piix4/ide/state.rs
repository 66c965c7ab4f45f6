//! Saved form of the IDE function. Version 1.

use board::{StateError, StateIn, StateOut};
use minicbor::{Decode, Encode};

use super::bus_master::{BusMaster, Walk};
use super::{Piix4Ide, Side};
use crate::ata::state::ChannelV1;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
struct Piix4IdeV1 {
    #[cbor(n(0), with = "minicbor::bytes")]
    config: Vec<u8>,
    #[n(1)]
    sides: [SideV1; 2],
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
struct SideV1 {
    #[n(0)]
    cable: ChannelV1,
    #[n(1)]
    bmicx: u8,
    #[n(2)]
    bmisx: u8,
    #[n(3)]
    bmidtpx: u32,
    #[n(4)]
    prd_next: u32,
    #[n(5)]
    prd_at: u32,
    #[n(6)]
    prd_left: u32,
    #[n(7)]
    prd_last: bool,
    #[n(8)]
    intrq: bool,
}

pub(super) fn save(ide: &Piix4Ide, out: &mut StateOut) {
    let Piix4Ide { wiring: _, wide_bmiba: _, config, sides, seen: _ } = ide;
    let sides = sides.each_ref().map(|side| {
        let Side { cable, bm, intrq } = side;
        let BusMaster { bmicx, bmisx, bmidtpx, walk: Walk { next, at, left, last }, plan: _ } = *bm;
        SideV1 {
            cable: cable.save(),
            bmicx: bmicx.into_bits(),
            bmisx: bmisx.into_bits(),
            bmidtpx,
            prd_next: next,
            prd_at: at,
            prd_left: left,
            prd_last: last,
            intrq: *intrq,
        }
    });
    out.put(1, &Piix4IdeV1 { config: config.bytes().to_vec(), sides });
}

pub(super) fn load(ide: &mut Piix4Ide, s: &StateIn<'_>) -> Result<(), StateError> {
    let v: Piix4IdeV1 = s.get(1)?;
    let config = v.config.as_slice().try_into();
    ide.config.set_bytes(config.map_err(|_| s.bad("config", v.config.len() as u64))?);
    for (side, v) in ide.sides.iter_mut().zip(v.sides) {
        if v.prd_left > 0x1_0000 {
            return Err(s.bad("prd_left", u64::from(v.prd_left)));
        }
        side.cable.load(s, v.cable)?;
        side.bm = BusMaster {
            bmicx: (v.bmicx & 0x09).into(),
            bmisx: (v.bmisx & 0x67).into(),
            bmidtpx: v.bmidtpx & !3,
            walk: Walk { next: v.prd_next, at: v.prd_at, left: v.prd_left, last: v.prd_last },
            plan: None,
        };
        side.intrq = v.intrq;
    }
    Ok(())
}
