//! INT 13h: disks, CD drives, diskettes, and emulated drives of El Torito.

pub mod ata;
pub mod atapi;
pub mod edd;
pub mod eltorito;
pub mod floppy;

use crate::bda::{self, bda};
use crate::bus::{Bus, Far, lock};
use crate::frame::{Frame, IF};
use crate::state::{Drive, ElTorito};
use ata::{Action, error};

/// First drive number of CD drives.
pub const FIRST_CD: u8 = 0xe0;

/// What a drive number stands for.
#[derive(Debug, Clone)]
pub enum Target {
    Disk(Drive),
    Cd(u8, Drive),
    /// The drive that a CD's boot image stands in for.
    Emulated(ElTorito, Drive),
}

/// Finds the drive of an INT 13h number from 80h on (or an emulated one).
pub fn target(bus: &Bus, dl: u8) -> Option<Target> {
    let s = lock(&bus.world.shared);
    let t = &s.torito;
    if t.active && t.media != 0 && t.drive == dl {
        return s.cds.get(usize::from(t.source)).map(|d| Target::Emulated(t.clone(), d.clone()));
    }
    if dl >= FIRST_CD {
        let n = dl - FIRST_CD;
        return s.cds.get(usize::from(n)).map(|d| Target::Cd(n, d.clone()));
    }
    // An emulated hard disk is 80h and moves the real ones up.
    let shift = u8::from(t.active && t.media == 4);
    let n = dl.checked_sub(0x80 + shift)?;
    s.disks.get(usize::from(n)).map(|d| Target::Disk(d.clone()))
}

/// Hard disks that 40:75 counts.
pub fn disk_count(bus: &Bus) -> u8 {
    let s = lock(&bus.world.shared);
    s.disks.len() as u8 + u8::from(s.torito.active && s.torito.media == 4)
}

pub async fn int13(bus: &Bus, f: &mut Frame) {
    let dl = f.dl();
    // AH=4Ah-4Dh belong to the boot CD whatever the drive number.
    if matches!(f.ah(), 0x4a..=0x4d) {
        return eltorito::serve(bus, f).await;
    }
    let t = target(bus, dl);
    if dl < 0x80 && t.is_none() {
        return int40(bus, f).await;
    }
    // Programs rely on interrupts being on afterwards, as real BIOSes leave them.
    f.set_flag(IF, true);
    if f.ah() != 0x01 && dl >= 0x80 {
        bus.write8(bda(bda::HD_DONE), 0).await;
    }
    let status = match t {
        Some(Target::Disk(d)) => disk(bus, f, &d).await,
        Some(Target::Cd(n, d)) => cd(bus, f, n, &d).await,
        Some(Target::Emulated(e, d)) => eltorito::emulated(bus, f, &e, &d).await,
        // Reset of anything works: it also resets the diskettes.
        None if f.ah() == 0 && dl < 0x80 + 16 => Some(0),
        None => Some(error::BAD_PARAMETER),
    };
    if let Some(status) = status {
        finish(bus, f, status).await;
    }
}

/// INT 40h: diskettes.
pub async fn int40(bus: &Bus, f: &mut Frame) {
    f.set_flag(IF, true);
    floppy::serve(bus, f).await;
}

/// Status to AH, carry and data area.
pub async fn finish(bus: &Bus, f: &mut Frame, status: u8) {
    f.set_ah(status);
    f.carry(status != 0);
    let at = if f.dl() < 0x80 { bda::FD_STATUS } else { bda::HD_STATUS };
    bus.write8(bda(at), status).await;
}

/// Cylinder, head and sector of CX and DX.
pub fn chs(f: &Frame) -> (u32, u32, u32) {
    let cylinder = u32::from(f.ch()) | u32::from(f.cl() & 0xc0) << 2;
    (cylinder, u32::from(f.dh()), u32::from(f.cl() & 0x3f))
}

/// Linear sector of CX and DX in a geometry.
pub fn chs_lba(f: &Frame, cylinders: u32, heads: u32, spt: u32) -> Option<u64> {
    let (c, h, s) = chs(f);
    (c < cylinders && h < heads && (1..=spt).contains(&s))
        .then(|| (u64::from(c) * u64::from(heads) + u64::from(h)) * u64::from(spt) + u64::from(s - 1))
}

/// AH=08h's answer: highest cylinder, head and sector, and how many drives.
pub fn give_geometry(f: &mut Frame, cylinders: u16, heads: u16, spt: u16, drives: u8) {
    let c = cylinders.saturating_sub(1).min(1023);
    f.set_al(0);
    f.set_ch(c as u8);
    f.set_cl((c >> 2 & 0xc0) as u8 | spt as u8 & 0x3f);
    f.set_dh((heads.saturating_sub(1)) as u8);
    f.set_dl(drives);
}

/// The geometry of INT 13h: sectors are 63 when it is translated.
pub fn logical(d: &Drive) -> (u16, u16, u16) {
    let spt = if d.log_heads == d.heads && d.log_cylinders == d.cylinders { d.spt } else { 63 };
    (d.log_cylinders, d.log_heads, spt)
}

async fn disk(bus: &Bus, f: &mut Frame, d: &Drive) -> Option<u8> {
    let (c, h, s) = logical(d);
    Some(match f.ah() {
        0x00 | 0x0d => 0,
        0x01 => {
            let last = bus.read8(bda(bda::HD_STATUS)).await;
            f.set_ah(last);
            f.carry(last != 0);
            bus.write8(bda(bda::HD_STATUS), 0).await;
            return None;
        }
        ah @ (0x02..=0x04 | 0x0a | 0x0b) => {
            let action = match ah {
                0x02 | 0x0a => Action::Read,
                0x03 | 0x0b => Action::Write,
                _ => Action::Verify,
            };
            let n = f.al();
            let Some(lba) = chs_lba(f, u32::from(c), u32::from(h), u32::from(s)) else {
                f.set_al(0);
                return Some(if n == 0 || n > 128 { error::BAD_PARAMETER } else { error::NOT_FOUND });
            };
            if n == 0 || n > 128 {
                return Some(error::BAD_PARAMETER);
            }
            match ata::transfer(bus, d, action, lba, u32::from(n), Far::new(f.es, f.bx())).await {
                Ok(()) => 0,
                Err((code, done)) => {
                    f.set_al(done as u8);
                    code
                }
            }
        }
        0x05 | 0x06 | 0x07 | 0x09 | 0x0c | 0x10 | 0x11 | 0x14 => 0,
        0x08 => {
            give_geometry(f, c, h, s, disk_count(bus));
            0
        }
        0x15 => {
            let sectors = u32::from(c) * u32::from(h) * u32::from(s);
            f.set_cx((sectors >> 16) as u16);
            f.set_dx(sectors as u16);
            f.set_ah(3);
            f.carry(false);
            bus.write8(bda(bda::HD_STATUS), 0).await;
            return None;
        }
        0x41..=0x49 | 0x4e => return edd::disk(bus, f, d).await,
        _ => error::BAD_PARAMETER,
    })
}

async fn cd(bus: &Bus, f: &mut Frame, n: u8, d: &Drive) -> Option<u8> {
    Some(match f.ah() {
        0x00 | 0x09 | 0x0c | 0x0d | 0x11 | 0x14 => 0,
        0x01 => {
            let last = bus.read8(bda(bda::HD_STATUS)).await;
            f.set_ah(last);
            f.carry(last != 0);
            return None;
        }
        0x10 => {
            if atapi::ready(bus, d).await {
                0
            } else {
                error::NOT_READY
            }
        }
        0x15 => {
            // A disk without geometry.
            f.set_ah(2);
            f.carry(false);
            return None;
        }
        0x03 | 0x05 | 0x43 => error::WRITE_PROTECTED,
        0x41..=0x49 | 0x4e => return edd::cd(bus, f, n, d).await,
        _ => error::BAD_PARAMETER,
    })
}
