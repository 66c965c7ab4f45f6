//! CD drives: packet commands in PIO. ATA/ATAPI-4, section 8.20; SFF-8020i.

use board::SECOND;

use super::ata::{DF, DRQ, ERR, Unit, error};
use crate::bus::{Bus, Far};
use crate::state::Drive;

/// Where a packet command's data goes.
#[derive(Debug, Clone, Copy)]
pub enum Sink {
    Guest(Far),
    Service,
}

/// Runs a packet command that reads. Returns what came to the service.
pub async fn packet(bus: &Bus, d: &Drive, cdb: &[u8; 12], sink: Sink) -> Result<Vec<u8>, u8> {
    let u = Unit::new(d.unit);
    let r = run(bus, &u, cdb, sink).await;
    u.release(bus).await;
    r
}

async fn run(bus: &Bus, u: &Unit, cdb: &[u8; 12], sink: Sink) -> Result<Vec<u8>, u8> {
    u.select(bus, 0).await?;
    bus.outb(u.command + 1, 0).await;
    // At most this much in one data phase.
    bus.outb(u.command + 4, 0x00).await;
    bus.outb(u.command + 5, 0xf8).await;
    bus.outb(u.command + 7, 0xa0).await;
    u.wait_data(bus).await?;
    let words: Vec<u16> = cdb.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    bus.out_words(u.command, &words).await;
    let mut got = Vec::new();
    let mut moved = 0u32;
    loop {
        let s = u.wait(bus, 30 * SECOND).await?;
        if s & (ERR | DF) != 0 {
            return Err(sense_code(bus.inb(u.command + 1).await >> 4));
        }
        if s & DRQ == 0 {
            return Ok(got);
        }
        let n = u16::from(bus.inb(u.command + 4).await) | u16::from(bus.inb(u.command + 5).await) << 8;
        match sink {
            Sink::Guest(at) => {
                bus.in_words_to(u.command, at.plus(moved), n.div_ceil(2)).await;
            }
            Sink::Service => {
                got.extend(bus.in_words(u.command, n.div_ceil(2)).await);
            }
        }
        moved += u32::from(n);
    }
}

/// INT 13h code of a sense key.
fn sense_code(key: u8) -> u8 {
    match key {
        2 => error::NOT_READY,
        3 => error::CRC,
        5 => error::BAD_PARAMETER,
        6 => error::CHANGED,
        7 => error::WRITE_PROTECTED,
        _ => error::CONTROLLER,
    }
}

/// Key and additional code of the last failure.
async fn sense(bus: &Bus, d: &Drive) -> (u8, u8) {
    let cdb = [0x03, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0];
    match packet(bus, d, &cdb, Sink::Service).await {
        Ok(s) if s.len() >= 14 => (s[2] & 15, s[12]),
        _ => (4, 0),
    }
}

/// Waits until the medium can be read; false when there is none.
pub async fn ready(bus: &Bus, d: &Drive) -> bool {
    for _ in 0..5 {
        if packet(bus, d, &[0; 12], Sink::Service).await.is_ok() {
            return true;
        }
        match sense(bus, d).await {
            // No medium.
            (2, 0x3a) => return false,
            // Becoming ready.
            (2, _) => bus.delay(100 * board::MILLISECOND).await,
            // Unit attention after reset or change: told once.
            _ => {}
        }
    }
    false
}

/// Number of 2048-byte blocks.
pub async fn capacity(bus: &Bus, d: &Drive) -> Option<u32> {
    let cdb = [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let v = packet(bus, d, &cdb, Sink::Service).await.ok()?;
    let last: [u8; 4] = v.get(..4)?.try_into().ok()?;
    u32::from_be_bytes(last).checked_add(1)
}

fn read10(lba: u32, count: u16) -> [u8; 12] {
    let mut cdb = [0; 12];
    cdb[0] = 0x28;
    cdb[2..6].copy_from_slice(&lba.to_be_bytes());
    cdb[7..9].copy_from_slice(&count.to_be_bytes());
    cdb
}

/// Reads blocks to guest memory; on an error the code and blocks done.
pub async fn read(bus: &Bus, d: &Drive, lba: u32, count: u32, to: Far) -> Result<(), (u8, u32)> {
    let mut done = 0;
    while done < count {
        let n = (count - done).min(32);
        let at = to.plus(done * 2048);
        let mut tries = 0;
        loop {
            match packet(bus, d, &read10(lba + done, n as u16), Sink::Guest(at)).await {
                Ok(_) => break,
                // A unit attention comes once; anything else stays.
                Err(error::CHANGED) if tries < 3 => tries += 1,
                Err(code) => {
                    let (key, asc) = sense(bus, d).await;
                    let code = if key == 2 && asc == 0x3a { error::NO_MEDIUM } else { code };
                    return Err((code, done));
                }
            }
        }
        done += n;
    }
    Ok(())
}

/// Reads blocks to the service.
pub async fn read_blocks(bus: &Bus, d: &Drive, lba: u32, count: u16) -> Result<Vec<u8>, u8> {
    let mut tries = 0;
    loop {
        match packet(bus, d, &read10(lba, count), Sink::Service).await {
            Ok(v) if v.len() >= usize::from(count) * 2048 => return Ok(v),
            Ok(_) => return Err(error::CONTROLLER),
            Err(error::CHANGED) if tries < 3 => tries += 1,
            Err(e) => return Err(e),
        }
    }
}

/// START STOP UNIT with eject; PREVENT/ALLOW.
pub async fn eject(bus: &Bus, d: &Drive) -> Result<(), u8> {
    packet(bus, d, &[0x1b, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], Sink::Service).await.map(|_| ())
}

pub async fn prevent(bus: &Bus, d: &Drive, lock: bool) -> Result<(), u8> {
    packet(bus, d, &[0x1e, 0, 0, 0, u8::from(lock), 0, 0, 0, 0, 0, 0, 0], Sink::Service).await.map(|_| ())
}
