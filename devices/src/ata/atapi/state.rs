//! Saved form of a CD-ROM drive. Version 1.

use board::{Media, StateError, StateIn};
use minicbor::{Decode, Encode};

use super::media::{Change, Event};
use super::read::{Fields, Reading};
use super::sense::Sense;
use super::{CdRom, Phase};
use crate::ata::hard_disk::dma_mode;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct CdRomV1 {
    /// Sectors of 512 bytes of the medium.
    #[n(0)]
    media: Option<u64>,
    #[n(1)]
    tray_open: bool,
    #[n(2)]
    locked: bool,
    #[n(3)]
    change: u8,
    #[n(4)]
    empty_told: bool,
    #[n(5)]
    event: u8,
    #[n(6)]
    was_reset: bool,
    #[n(7)]
    sense: [u8; 3],
    #[n(8)]
    dma: u8,
    #[n(9)]
    standby: bool,
    #[n(10)]
    recovery: [u8; 2],
    #[n(11)]
    volume: [u8; 8],
    #[n(12)]
    phase: u8,
    #[n(13)]
    cdb: [u8; 12],
    #[n(14)]
    by_dma: bool,
    #[n(15)]
    limit: u16,
    /// Next block, blocks left, fields.
    #[n(16)]
    reading: Option<(u32, u32, u8)>,
}

const CHANGES: [Change; 3] = [Change::None, Change::Opened, Change::NewMedium];
const EVENTS: [Event; 4] = [Event::None, Event::EjectRequest, Event::NewMedia, Event::Removal];
const PHASES: [Phase; 5] = [Phase::Idle, Phase::Packet, Phase::DataIn, Phase::DataOut, Phase::Identify];

fn number<T: PartialEq>(of: &[T], v: &T) -> u8 {
    of.iter().position(|x| x == v).unwrap_or(0) as u8
}

pub(crate) fn save(c: &CdRom) -> CdRomV1 {
    let CdRom {
        serial: _,
        media,
        tray_open,
        locked,
        change,
        empty_told,
        event,
        was_reset,
        sense: Sense { key, asc, ascq },
        dma_mode,
        standby,
        recovery,
        volume,
        phase,
        cdb,
        by_dma,
        limit,
        reading,
    } = c;
    CdRomV1 {
        media: media.map(|m| m.sectors),
        tray_open: *tray_open,
        locked: *locked,
        change: number(&CHANGES, change),
        empty_told: *empty_told,
        event: number(&EVENTS, event),
        was_reset: *was_reset,
        sense: [*key, *asc, *ascq],
        dma: dma_mode.count(),
        standby: *standby,
        recovery: *recovery,
        volume: *volume,
        phase: number(&PHASES, phase),
        cdb: *cdb,
        by_dma: *by_dma,
        limit: *limit,
        reading: reading.map(|r| (r.next, r.left, r.fields.0)),
    }
}

pub(crate) fn load(c: &mut CdRom, s: &StateIn<'_>, v: CdRomV1) -> Result<(), StateError> {
    let of = |field, n: u8| s.bad(field, u64::from(n));
    c.change = *CHANGES.get(usize::from(v.change)).ok_or_else(|| of("change", v.change))?;
    c.event = *EVENTS.get(usize::from(v.event)).ok_or_else(|| of("event", v.event))?;
    c.phase = *PHASES.get(usize::from(v.phase)).ok_or_else(|| of("phase", v.phase))?;
    c.dma_mode = dma_mode(s, v.dma)?;
    // A data phase goes in pieces of at least a word.
    if v.limit < 2 && matches!(c.phase, Phase::DataIn | Phase::DataOut) {
        return Err(s.bad("limit", u64::from(v.limit)));
    }
    c.media = v.media.map(|sectors| Media { sectors, read_only: true });
    c.tray_open = v.tray_open;
    c.locked = v.locked;
    c.empty_told = v.empty_told;
    c.was_reset = v.was_reset;
    let [key, asc, ascq] = v.sense;
    c.sense = Sense { key: key & 15, asc, ascq };
    c.standby = v.standby;
    c.recovery = v.recovery;
    c.volume = v.volume;
    c.cdb = v.cdb;
    c.by_dma = v.by_dma;
    c.limit = v.limit;
    c.reading = match v.reading {
        Some((next, left, _)) if next.checked_add(left).is_none() => {
            return Err(s.bad("reading", u64::from(left)));
        }
        r => r.map(|(next, left, fields)| Reading { next, left, fields: Fields(fields & 0xf8) }),
    };
    Ok(())
}
