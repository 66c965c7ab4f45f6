//! Saved form of a hard disk. Version 1.

use board::{Geometry, StateError, StateIn};
use minicbor::{Decode, Encode};

use super::{Active, Built, Doing, HardDisk, PowerMode, SECTOR, Settings};
use crate::ata::task_file::DmaMode;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct HardDiskV1 {
    /// The disk's size: a state belongs to its disk.
    #[n(0)]
    sectors: u32,
    #[n(1)]
    cylinders: u16,
    #[n(2)]
    heads: u8,
    #[n(3)]
    spt: u8,
    #[n(4)]
    multiple: u8,
    /// The count of SET FEATURES 03h: 20h + n, 40h + n; 0 = none.
    #[n(5)]
    dma: u8,
    #[n(6)]
    write_cache: bool,
    #[n(7)]
    look_ahead: bool,
    #[n(8)]
    revert: bool,
    #[n(9)]
    smart: bool,
    #[n(10)]
    standby: bool,
    #[n(11)]
    active: ActiveV1,
    #[cbor(n(12), with = "minicbor::bytes")]
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ActiveV1 {
    #[n(0)]
    doing: u8,
    #[n(1)]
    first: u32,
    #[n(2)]
    asked: u32,
    #[n(3)]
    good: u32,
    #[n(4)]
    block: u32,
    #[n(5)]
    verdict: u8,
    #[n(6)]
    singly: Option<u32>,
    /// A 48-bit command. Not saved by the first builds, which had none.
    #[n(7)]
    ext: Option<bool>,
}

const DOINGS: [Doing; 10] = [
    Doing::Nothing,
    Doing::PioRead,
    Doing::PioWrite,
    Doing::DmaRead,
    Doing::DmaWrite,
    Doing::Verify,
    Doing::Flush,
    Doing::ToBuffer,
    Doing::FromBuffer,
    Doing::Trim,
];

pub(crate) fn save(d: &HardDisk) -> HardDiskV1 {
    let HardDisk { spec, set, power, active, buffer } = d;
    let Built { sectors, serial: _, geometry: _, write_cache: _, trim: _ } = spec;
    let Settings { current, multiple, dma, write_cache, look_ahead, revert, smart } = *set;
    let Active { doing, first, asked, good, block, verdict, singly, ext } = *active;
    HardDiskV1 {
        sectors: *sectors,
        cylinders: current.cylinders,
        heads: current.heads,
        spt: current.sectors,
        multiple,
        dma: dma.count(),
        write_cache,
        look_ahead,
        revert,
        smart,
        standby: *power == PowerMode::Standby,
        active: ActiveV1 {
            doing: DOINGS.iter().position(|d| *d == doing).unwrap_or(0) as u8,
            first,
            asked,
            good,
            block,
            verdict,
            singly,
            ext: Some(ext),
        },
        buffer: buffer.clone(),
    }
}

pub(crate) fn load(d: &mut HardDisk, s: &StateIn<'_>, v: HardDiskV1) -> Result<(), StateError> {
    if v.sectors != d.spec.sectors {
        return Err(s.bad("sectors", u64::from(v.sectors)));
    }
    if v.heads == 0 || v.spt == 0 || v.cylinders == 0 {
        return Err(s.bad("geometry", u64::from(v.cylinders)));
    }
    if v.multiple > super::MAX_MULTIPLE {
        return Err(s.bad("multiple", u64::from(v.multiple)));
    }
    if v.buffer.len() != SECTOR {
        return Err(s.bad("buffer", v.buffer.len() as u64));
    }
    let a = v.active;
    let Some(&doing) = DOINGS.get(usize::from(a.doing)) else {
        return Err(s.bad("doing", u64::from(a.doing)));
    };
    // No command moves more than 65,536 sectors, and none beyond the disk.
    let inside = a.asked <= 0x1_0000 && a.good <= a.asked && a.singly.is_none_or(|n| n <= a.good);
    if !inside || a.first > d.spec.sectors || a.block > 0x1_0000 {
        return Err(s.bad("active", u64::from(a.asked)));
    }
    d.set = Settings {
        current: Geometry { cylinders: v.cylinders, heads: v.heads, sectors: v.spt },
        multiple: v.multiple,
        dma: dma_mode(s, v.dma)?,
        write_cache: v.write_cache,
        look_ahead: v.look_ahead,
        revert: v.revert,
        smart: v.smart,
    };
    d.power = if v.standby { PowerMode::Standby } else { PowerMode::Active };
    d.active = Active {
        doing,
        first: a.first,
        asked: a.asked,
        good: a.good,
        block: a.block,
        verdict: a.verdict,
        singly: a.singly,
        ext: a.ext.unwrap_or_default(),
    };
    d.buffer = v.buffer;
    Ok(())
}

/// A DMA mode from its saved form.
pub(crate) fn dma_mode(s: &StateIn<'_>, count: u8) -> Result<DmaMode, StateError> {
    match DmaMode::from_count(count) {
        _ if count == 0 => Ok(DmaMode::None),
        Some(Some(mode)) => Ok(mode),
        _ => Err(s.bad("dma", u64::from(count))),
    }
}
