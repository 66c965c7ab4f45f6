//! Enhanced disk drive services: INT 13h AH=41h-49h, 4Eh. Phoenix EDD 1.1/3.0, T13/1572D.

use super::ata::{self, Action, Unit, error};
use super::{atapi, logical};
use crate::bda::{DPTE, ebda};
use crate::bus::{Bus, Far, le16, le32, lock};
use crate::frame::Frame;
use crate::rom::checksum;
use crate::state::Drive;
use crate::wiring::EBDA_SEG;

/// A disk address packet.
struct Packet {
    at: Far,
    count: u16,
    buffer: Option<Far>,
    lba: u64,
}

impl Packet {
    async fn read(bus: &Bus, f: &Frame) -> Option<Self> {
        let at = Far::new(f.ds, f.si());
        let p = bus.read(at, 24).await;
        if p[0] < 16 {
            return None;
        }
        let seg_off = Far::from_bits(le32(&p[4..]));
        let flat = u64::from(le32(&p[16..])) | u64::from(le32(&p[20..])) << 32;
        // FFFF:FFFF says that a 64-bit flat address follows; real mode reaches what is below 1 MiB + 64 KiB.
        let buffer = if seg_off == Far::new(0xffff, 0xffff) && p[0] >= 24 {
            (flat < 0x10_fff0).then(|| Far::new(0, 0).plus(flat as u32))
        } else {
            Some(seg_off.plus(0))
        };
        let lba = u64::from(le32(&p[8..])) | u64::from(le32(&p[12..])) << 32;
        Some(Self { at, count: le16(&p[2..]), buffer, lba })
    }

    /// The count word says what was done, on success too.
    async fn done(&self, bus: &Bus, count: u32) {
        bus.write16(Far::new(self.at.seg, self.at.off.wrapping_add(2)), count as u16).await;
    }
}

fn installed(f: &mut Frame) -> Option<u8> {
    if f.bx() != 0x55aa {
        return Some(error::BAD_PARAMETER);
    }
    f.set_bx(0xaa55);
    f.set_ah(0x30);
    f.set_cx(0x0007);
    f.carry(false);
    None
}

pub async fn disk(bus: &Bus, f: &mut Frame, d: &Drive) -> Option<u8> {
    Some(match f.ah() {
        0x41 => return installed(f),
        ah @ (0x42..=0x44 | 0x47) => {
            let Some(p) = Packet::read(bus, f).await else { return Some(error::BAD_PARAMETER) };
            if ah == 0x47 {
                return Some(if p.lba < d.sectors { 0 } else { error::BAD_PARAMETER });
            }
            if p.lba >= d.sectors || p.lba + u64::from(p.count) > d.sectors {
                p.done(bus, 0).await;
                return Some(error::BAD_PARAMETER);
            }
            let action = match ah {
                0x42 => Action::Read,
                0x43 => Action::Write,
                _ => Action::Verify,
            };
            let Some(buffer) = p.buffer.or((ah == 0x44).then_some(Far::new(0, 0))) else {
                p.done(bus, 0).await;
                return Some(error::BAD_PARAMETER);
            };
            match ata::transfer(bus, d, action, p.lba, u32::from(p.count), buffer).await {
                Ok(()) => {
                    p.done(bus, u32::from(p.count)).await;
                    0
                }
                Err((code, done)) => {
                    p.done(bus, done).await;
                    code
                }
            }
        }
        // Fixed media lock and unlock without effect, and can't be ejected.
        0x45 | 0x49 => 0,
        0x46 => 0xb2,
        0x48 => parameters(bus, f, d).await,
        0x4e => hardware(f),
        _ => error::BAD_PARAMETER,
    })
}

pub async fn cd(bus: &Bus, f: &mut Frame, n: u8, d: &Drive) -> Option<u8> {
    Some(match f.ah() {
        0x41 => return installed(f),
        0x42 => {
            let Some(p) = Packet::read(bus, f).await else { return Some(error::BAD_PARAMETER) };
            let (Some(buffer), Ok(lba)) = (p.buffer, u32::try_from(p.lba)) else {
                p.done(bus, 0).await;
                return Some(error::BAD_PARAMETER);
            };
            match atapi::read(bus, d, lba, u32::from(p.count), buffer).await {
                Ok(()) => {
                    p.done(bus, u32::from(p.count)).await;
                    0
                }
                Err((code, done)) => {
                    p.done(bus, done).await;
                    code
                }
            }
        }
        0x44 | 0x47 => 0,
        0x45 => return Some(lock_drive(bus, f, n, d).await),
        0x46 => {
            let locked = lock(&bus.world.shared).locks.get(usize::from(n)).copied().unwrap_or(0);
            if locked > 0 {
                0xb1
            } else if atapi::eject(bus, d).await.is_ok() {
                0
            } else {
                0xb5
            }
        }
        0x48 => parameters(bus, f, d).await,
        0x49 => 0,
        0x4e => hardware(f),
        _ => error::BAD_PARAMETER,
    })
}

/// AH=45h: AL 0 lock, 1 unlock, 2 how it is. Locks count.
async fn lock_drive(bus: &Bus, f: &mut Frame, n: u8, d: &Drive) -> u8 {
    let n = usize::from(n);
    let count = lock(&bus.world.shared).locks.get(n).copied().unwrap_or(0);
    let new = match f.al() {
        0 if count == 255 => return 0xb4,
        0 => count + 1,
        1 if count == 0 => return 0xb0,
        1 => count - 1,
        2 => {
            f.set_al(u8::from(count > 0));
            return 0;
        }
        _ => return error::BAD_PARAMETER,
    };
    if (new == 0) != (count == 0) && atapi::prevent(bus, d, new > 0).await.is_err() {
        return 0xb5;
    }
    if let Some(l) = lock(&bus.world.shared).locks.get_mut(n) {
        *l = new;
    }
    f.set_al(u8::from(new > 0));
    0
}

/// AH=4Eh: hardware configuration; asks for what is so anyway.
fn hardware(f: &mut Frame) -> u8 {
    match f.al() {
        0x01 | 0x03 | 0x04 | 0x06 => {
            f.set_al(0);
            0
        }
        _ => error::BAD_PARAMETER,
    }
}

/// AH=48h.
async fn parameters(bus: &Bus, f: &Frame, d: &Drive) -> u8 {
    let at = Far::new(f.ds, f.si());
    let size = usize::from(bus.read16(at).await);
    if size < 26 {
        return error::BAD_PARAMETER;
    }
    let mut b = [0u8; 0x4a];
    let mut put = |at: usize, bytes: &[u8]| b[at..at + bytes.len()].copy_from_slice(bytes);
    if d.atapi {
        put(2, &0x0074u16.to_le_bytes());
        put(4, &[0xff; 12]);
        let blocks = atapi::capacity(bus, d).await.map_or(u64::MAX, u64::from);
        put(16, &blocks.to_le_bytes());
        put(24, &2048u16.to_le_bytes());
    } else {
        let fits = u64::from(d.cylinders) * u64::from(d.heads) * u64::from(d.spt) >= d.sectors
            || d.cylinders < 0x3fff;
        // DMA boundaries are handled; the geometry is valid while it covers the disk; writes with verify.
        put(2, &(0x0009u16 | if fits { 2 } else { 0 }).to_le_bytes());
        let cylinders = if fits { d.cylinders } else { 0x3fff };
        put(4, &u32::from(cylinders).to_le_bytes());
        put(8, &u32::from(d.heads).to_le_bytes());
        put(12, &u32::from(d.spt).to_le_bytes());
        put(16, &d.sectors.to_le_bytes());
        put(24, &512u16.to_le_bytes());
    }
    let mut len = 26;
    if size >= 30 {
        let slot = DPTE + 16 * u16::from(d.unit);
        bus.write(ebda(slot), &dpte(d)).await;
        put(26, &(u32::from(EBDA_SEG) << 16 | u32::from(slot)).to_le_bytes());
        len = 30;
    }
    if size >= 66 {
        // Device path: EDD 3.0's 36 bytes, T13's 44 when there is room.
        let t13 = size >= 74;
        put(30, &[0xdd, 0xbe, if t13 { 44 } else { 36 }, 0, 0, 0]);
        put(36, b"PCI ");
        put(40, if d.atapi { b"ATAPI   " } else { b"ATA     " });
        put(48, &[0, 7, 1, d.unit / 2, 0, 0, 0, 0]);
        put(56, &[d.unit & 1]);
        let end = if t13 { 74 } else { 66 };
        let sum = checksum(&b[30..end - 1]);
        b[end - 1] = sum;
        len = end;
    }
    b[..2].copy_from_slice(&(len as u16).to_le_bytes());
    bus.write(at, &b[..len]).await;
    0
}

/// Device parameter table extension.
fn dpte(d: &Drive) -> [u8; 16] {
    let u = Unit::new(d.unit);
    let (_, _, spt) = logical(d);
    let translated = !d.atapi && (d.log_heads != d.heads || d.log_cylinders != d.cylinders || d.spt != spt);
    // Bits: 3 CHS translation, 4 LBA, 5 removable, 6 ATAPI, 7 32-bit transfers, 10:9 kind of translation (LBA-assisted).
    let options: u16 = 0x90 | if translated { 0x0208 } else { 0 } | if d.atapi { 0x60 } else { 0 };
    let mut t = [0u8; 16];
    t[..2].copy_from_slice(&u.command.to_le_bytes());
    t[2..4].copy_from_slice(&u.control.to_le_bytes());
    t[4] = 0xe0 | u.device << 4;
    t[5] = 0xcb;
    t[6] = if d.unit < 2 { 14 } else { 15 };
    t[7] = d.multiple.max(1);
    t[8] = if d.dma { 0x22 } else { 0 };
    t[9] = 4;
    t[10..12].copy_from_slice(&options.to_le_bytes());
    t[14] = 0x11;
    t[15] = checksum(&t);
    t
}
