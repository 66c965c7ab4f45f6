//! Boot from CD: the boot catalog, and drives emulated from images on the CD. El Torito specification 1.0.

use super::ata::error;
use super::{FIRST_CD, atapi, chs_lba, disk_count, give_geometry};
use crate::bda::{self, bda};
use crate::bus::{Bus, Far, le16, le32, lock};
use crate::frame::Frame;
use crate::rom::SYSTEM_SEG;
use crate::rom::tables::DISKETTES;
use crate::state::{Drive, ElTorito};

/// Why a CD doesn't boot, for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBoot {
    NoMedium,
    NotBootable,
    ReadError,
}

/// Reads the catalog of CD drive `n`, loads the default entry's image. The drive number to boot with and the address.
pub async fn load(bus: &Bus, n: u8, d: &Drive) -> Result<(u8, Far), NoBoot> {
    if !atapi::ready(bus, d).await {
        return Err(NoBoot::NoMedium);
    }
    let block = |lba| atapi::read_blocks(bus, d, lba, 1);
    let record = block(0x11).await.map_err(|_| NoBoot::ReadError)?;
    if record[0] != 0 || &record[1..6] != b"CD001" || !record[7..].starts_with(b"EL TORITO SPECIFICATION") {
        return Err(NoBoot::NotBootable);
    }
    let catalog = le32(&record[0x47..]);
    let c = block(catalog).await.map_err(|_| NoBoot::ReadError)?;
    let sum = c[..32].chunks_exact(2).fold(0u16, |s, w| s.wrapping_add(le16(w)));
    if c[0] != 1 || sum != 0 || c[30..32] != [0x55, 0xaa] || c[1] != 0 || c[32] != 0x88 {
        return Err(NoBoot::NotBootable);
    }
    let entry = &c[32..64];
    let media = entry[1] & 0x0f;
    let segment = match le16(&entry[2..]) {
        0 => 0x07c0,
        s => s,
    };
    let count = match le16(&entry[6..]) {
        0 => 4,
        n => n,
    };
    let lba = le32(&entry[8..]);
    let mut t =
        ElTorito { media, source: n, lba, segment, count, catalog, active: true, ..ElTorito::default() };
    match media {
        0 => t.drive = FIRST_CD + n,
        1..=3 => {
            t.drive = 0;
            (t.cylinders, t.heads, t.spt) = (80, 2, [15, 18, 36][usize::from(media) - 1]);
        }
        4 => t.drive = 0x80,
        _ => return Err(NoBoot::NotBootable),
    }
    let first = block(lba).await.map_err(|_| NoBoot::ReadError)?;
    if media == 4 {
        // The geometry is where the image's first partition ends.
        let p = &first[0x1be..0x1ce];
        t.heads = u16::from(p[5]) + 1;
        t.spt = u16::from(p[6] & 0x3f).max(1);
        t.cylinders = (u16::from(p[6] & 0xc0) << 2 | u16::from(p[7])) + 1;
    }
    let to = Far::new(segment, 0);
    let bytes = u32::from(count) * 512;
    if media == 0 {
        atapi::read(bus, d, lba, bytes.div_ceil(2048), to).await.map_err(|_| NoBoot::ReadError)?;
    } else {
        read_virtual(bus, d, &t, 0, bytes / 512, to).await.map_err(|_| NoBoot::ReadError)?;
    }
    let drive = t.drive;
    {
        lock(&bus.world.shared).torito = t;
    }
    if media == 4 {
        bus.write8(bda(bda::HD_COUNT), disk_count(bus)).await;
    } else if media != 0 {
        // There is a diskette drive now.
        let e = bus.read16(bda(bda::EQUIPMENT)).await;
        bus.write16(bda(bda::EQUIPMENT), if e & 1 == 0 { e | 1 } else { e | 0x40 }).await;
    }
    Ok((drive, Far::new(0, 0).plus(to.linear())))
}

/// Reads 512-byte sectors of the image; blocks at the edges come through the service.
async fn read_virtual(
    bus: &Bus,
    d: &Drive,
    t: &ElTorito,
    first: u32,
    count: u32,
    to: Far,
) -> Result<(), (u8, u32)> {
    let mut done = 0;
    while done < count {
        let at = first + done;
        let (block, part) = (t.lba + at / 4, at % 4);
        let left = count - done;
        if part == 0 && left >= 4 {
            let n = (left / 4).min(16);
            atapi::read(bus, d, block, n, to.plus(done * 512)).await.map_err(|(e, m)| (e, done + m * 4))?;
            done += n * 4;
        } else {
            let n = left.min(4 - part);
            let b = atapi::read_blocks(bus, d, block, 1).await.map_err(|e| (e, done))?;
            let from = part as usize * 512;
            bus.write(to.plus(done * 512), &b[from..from + n as usize * 512]).await;
            done += n;
        }
    }
    Ok(())
}

/// INT 13h on an emulated drive.
pub async fn emulated(bus: &Bus, f: &mut Frame, t: &ElTorito, d: &Drive) -> Option<u8> {
    let (c, h, s) = (u32::from(t.cylinders), u32::from(t.heads), u32::from(t.spt));
    let floppy = t.media < 4;
    Some(match f.ah() {
        0x00 | 0x09 | 0x0c | 0x0d | 0x10 | 0x11 | 0x14 => 0,
        0x01 => {
            let at = if floppy { bda::FD_STATUS } else { bda::HD_STATUS };
            let last = bus.read8(bda(at)).await;
            f.set_ah(last);
            f.carry(last != 0);
            return None;
        }
        ah @ (0x02 | 0x04) => {
            let n = u32::from(f.al());
            let Some(lba) = chs_lba(f, c, h, s) else {
                f.set_al(0);
                return Some(error::NOT_FOUND);
            };
            if ah == 4 {
                return Some(0);
            }
            match read_virtual(bus, d, t, lba as u32, n, Far::new(f.es, f.bx()).plus(0)).await {
                Ok(()) => 0,
                Err((code, done)) => {
                    f.set_al(done as u8);
                    code
                }
            }
        }
        0x03 | 0x05 => error::WRITE_PROTECTED,
        0x08 => {
            if floppy {
                let kind: u8 = [2, 4, 6][usize::from(t.media.clamp(1, 3)) - 1];
                give_geometry(f, t.cylinders, t.heads, t.spt, 1);
                f.set_bl(kind);
                f.es = SYSTEM_SEG;
                f.set_di(DISKETTES + 16 * u16::from(kind));
            } else {
                give_geometry(f, t.cylinders, t.heads, t.spt, disk_count(bus));
            }
            0
        }
        0x15 => {
            if floppy {
                f.set_ah(1);
            } else {
                let total = c * h * s;
                f.set_cx((total >> 16) as u16);
                f.set_dx(total as u16);
                f.set_ah(3);
            }
            f.carry(false);
            return None;
        }
        0x16 if floppy => 0,
        _ => error::BAD_PARAMETER,
    })
}

/// AH=4Ah-4Dh.
pub async fn serve(bus: &Bus, f: &mut Frame) {
    let (t, cd) = {
        let s = lock(&bus.world.shared);
        (s.torito.clone(), s.cds.get(usize::from(s.torito.source)).cloned())
    };
    let at = Far::new(f.ds, f.si());
    let status = match (f.ah(), f.al(), cd) {
        (0x4b, 0..=1, Some(d)) if t.active => {
            bus.write(at, &packet(&t, &d)).await;
            // Query, or terminate: emulation ends, an emulated hard disk disappears.
            if f.al() == 0 && (f.dl() == t.drive || f.dl() == 0x7f) && t.media != 0 {
                lock(&bus.world.shared).torito.active = false;
                bus.write8(bda(bda::HD_COUNT), disk_count(bus)).await;
            }
            0
        }
        (0x4d, _, Some(d)) if t.active => {
            // Packet: size, sectors to read, buffer, first sector of the catalog.
            let p = bus.read(at, 8).await;
            let to = Far::from_bits(le32(&p[2..])).plus(0);
            let first = t.catalog + u32::from(le16(&p[6..])) / 4;
            match atapi::read(bus, &d, first, u32::from(p[1]).div_ceil(4).max(1), to).await {
                Ok(()) => 0,
                Err((code, _)) => code,
            }
        }
        _ => error::BAD_PARAMETER,
    };
    f.set_ah(status);
    f.carry(status != 0);
}

/// Specification packet of 13h bytes.
fn packet(t: &ElTorito, d: &Drive) -> [u8; 0x13] {
    let mut p = [0u8; 0x13];
    p[0] = 0x13;
    p[1] = t.media;
    p[2] = t.drive;
    p[3] = d.unit / 2;
    p[4..8].copy_from_slice(&t.lba.to_le_bytes());
    p[8..10].copy_from_slice(&u16::from(d.unit & 1).to_le_bytes());
    p[12..14].copy_from_slice(&t.segment.to_le_bytes());
    p[14..16].copy_from_slice(&t.count.to_le_bytes());
    p[0x10] = t.cylinders.saturating_sub(1) as u8;
    p[0x11] = (t.cylinders.saturating_sub(1) >> 2 & 0xc0) as u8 | t.spt as u8 & 0x3f;
    p[0x12] = t.heads.saturating_sub(1) as u8;
    p
}
