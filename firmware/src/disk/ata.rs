//! Hard disks through the task file, polled. ATA/ATAPI-4 (T13/1153D), sections 8 and 9.

use board::{MILLISECOND, SECOND, Tick};

use crate::bus::{Bus, Far};
use crate::state::Drive;

pub const BSY: u8 = 0x80;
pub const DF: u8 = 0x20;
pub const DRQ: u8 = 0x08;
pub const ERR: u8 = 0x01;

/// Longest wait for a drive.
const PATIENCE: Tick = 30 * SECOND;

/// INT 13h error codes.
pub mod error {
    pub const BAD_PARAMETER: u8 = 0x01;
    pub const NO_ADDRESS_MARK: u8 = 0x02;
    pub const WRITE_PROTECTED: u8 = 0x03;
    pub const NOT_FOUND: u8 = 0x04;
    pub const CHANGED: u8 = 0x06;
    pub const BOUNDARY: u8 = 0x09;
    pub const CRC: u8 = 0x10;
    pub const CONTROLLER: u8 = 0x20;
    pub const NO_MEDIUM: u8 = 0x31;
    pub const SEEK: u8 = 0x40;
    pub const TIMEOUT: u8 = 0x80;
    pub const NOT_READY: u8 = 0xaa;
}

/// Ports of one channel, and which of its two devices.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    pub command: u16,
    pub control: u16,
    pub device: u8,
}

impl Unit {
    pub fn new(unit: u8) -> Self {
        let (command, control) = if unit < 2 { (0x1f0, 0x3f6) } else { (0x170, 0x376) };
        Self { command, control, device: unit & 1 }
    }

    /// Waits until BSY is clear; then the status, read from the register that takes the interrupt back.
    pub async fn wait(&self, bus: &Bus, patience: Tick) -> Result<u8, u8> {
        let end = bus.now() + patience;
        while bus.poll8(self.control, BSY, 0, 200).await & BSY != 0 {
            if bus.now() > end {
                return Err(error::TIMEOUT);
            }
            bus.let_interrupts_in().await;
        }
        Ok(bus.inb(self.command + 7).await)
    }

    /// Waits for a data phase (DRQ) or the end of a command.
    pub async fn wait_data(&self, bus: &Bus) -> Result<(), u8> {
        let end = bus.now() + PATIENCE;
        loop {
            let s = self.wait(bus, PATIENCE).await?;
            if s & (ERR | DF) != 0 {
                return Err(self.fault(bus, s).await);
            }
            if s & DRQ != 0 {
                return Ok(());
            }
            if bus.now() > end {
                return Err(error::TIMEOUT);
            }
        }
    }

    async fn fault(&self, bus: &Bus, status: u8) -> u8 {
        if status & DF != 0 {
            return error::CONTROLLER;
        }
        match bus.inb(self.command + 1).await {
            e if e & 0xc0 != 0 => error::CRC,
            e if e & 0x10 != 0 => error::NOT_FOUND,
            e if e & 0x04 != 0 => error::BAD_PARAMETER,
            _ => error::CONTROLLER,
        }
    }

    /// Chooses the device, interrupts off, ready for a command.
    pub async fn select(&self, bus: &Bus, head: u8) -> Result<(), u8> {
        bus.outb(self.control, 0x0a).await;
        bus.outb(self.command + 6, 0xa0 | self.device << 4 | head).await;
        self.wait(bus, PATIENCE).await.map(|_| ())
    }

    /// Interrupts back on, as the state after POST has it.
    pub async fn release(&self, bus: &Bus) {
        bus.outb(self.control, 0x08).await;
    }

    /// Gives a command with LBA and count.
    async fn command(&self, bus: &Bus, cmd: u8, lba: u32, count: u32) -> Result<(), u8> {
        self.select(bus, 0x40 | (lba >> 24) as u8 & 0x0f).await?;
        bus.outb(self.command + 2, count as u8).await;
        bus.outb(self.command + 3, lba as u8).await;
        bus.outb(self.command + 4, (lba >> 8) as u8).await;
        bus.outb(self.command + 5, (lba >> 16) as u8).await;
        bus.outb(self.command + 7, cmd).await;
        Ok(())
    }

    /// A command without data.
    pub async fn simple(&self, bus: &Bus, cmd: u8, features: u8, count: u8) -> Result<(), u8> {
        self.select(bus, 0).await?;
        bus.outb(self.command + 1, features).await;
        bus.outb(self.command + 2, count).await;
        bus.outb(self.command + 7, cmd).await;
        let s = self.wait(bus, PATIENCE).await?;
        if s & (ERR | DF) != 0 { Err(self.fault(bus, s).await) } else { Ok(()) }
    }

    /// IDENTIFY DEVICE (ECh) or IDENTIFY PACKET DEVICE (A1h).
    pub async fn identify(&self, bus: &Bus, cmd: u8) -> Option<Vec<u16>> {
        self.select(bus, 0).await.ok()?;
        bus.outb(self.command + 7, cmd).await;
        let s = self.wait(bus, SECOND).await.ok()?;
        if s & (ERR | DF) != 0 || s & DRQ == 0 {
            return None;
        }
        let bytes = bus.in_words(self.command, 256).await;
        Some(bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect())
    }
}

/// What a transfer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Read,
    Write,
    Verify,
}

/// Moves `count` sectors between the disk and guest memory. On an error: the code, and sectors done before it.
pub async fn transfer(
    bus: &Bus,
    d: &Drive,
    action: Action,
    lba: u64,
    count: u32,
    buffer: Far,
) -> Result<(), (u8, u32)> {
    let unit = Unit::new(d.unit);
    let mut done = 0;
    let mut result = Ok(());
    while done < count {
        let n = (count - done).min(256);
        let at = lba as u32 + done;
        let r = chunk(bus, &unit, d, action, at, n, buffer, done).await;
        match r {
            Ok(()) => done += n,
            Err((code, more)) => {
                result = Err((code, done + more));
                break;
            }
        }
    }
    unit.release(bus).await;
    result
}

#[allow(clippy::too_many_arguments, reason = "one command's parameters, used in one place")]
async fn chunk(
    bus: &Bus,
    unit: &Unit,
    d: &Drive,
    action: Action,
    lba: u32,
    count: u32,
    buffer: Far,
    before: u32,
) -> Result<(), (u8, u32)> {
    let multiple = u32::from(d.multiple.max(1));
    let cmd = match (action, d.multiple > 1) {
        (Action::Read, true) => 0xc4,
        (Action::Read, false) => 0x20,
        (Action::Write, true) => 0xc5,
        (Action::Write, false) => 0x30,
        (Action::Verify, _) => 0x40,
    };
    unit.command(bus, cmd, lba, count).await.map_err(|e| (e, 0))?;
    if action != Action::Verify {
        let mut done = 0;
        while done < count {
            unit.wait_data(bus).await.map_err(|e| (e, done))?;
            let n = multiple.min(count - done);
            let at = buffer.plus((before + done) * 512);
            if action == Action::Read {
                bus.in_dwords_to(unit.command, at, (n * 128) as u16).await;
            } else {
                bus.out_words_from(unit.command, at, (n * 256) as u16).await;
            }
            done += n;
        }
    }
    let s = unit.wait(bus, PATIENCE).await.map_err(|e| (e, 0))?;
    if s & (ERR | DF) != 0 {
        return Err((unit.fault(bus, s).await, 0));
    }
    Ok(())
}

/// Software reset of a channel; true if something answers on it.
pub async fn reset_channel(bus: &Bus, unit: &Unit) -> bool {
    bus.outb(unit.control, 0x0e).await;
    bus.delay(5_000).await;
    bus.outb(unit.control, 0x0a).await;
    bus.delay(2 * MILLISECOND / 1000).await;
    let s = bus.inb(unit.command + 7).await;
    // FFh and 7Fh are empty channels: no drive sets all of these at once.
    s & 0x7f != 0x7f
}

/// Finds what is on the four positions, and sets the drives up for what they can do.
pub async fn detect(bus: &Bus) -> Vec<Drive> {
    let mut found = Vec::new();
    for channel in 0..2u8 {
        if !reset_channel(bus, &Unit::new(channel * 2)).await {
            continue;
        }
        for device in 0..2 {
            let n = channel * 2 + device;
            if let Some(d) = probe(bus, n).await {
                found.push(d);
            }
        }
        Unit::new(channel * 2).select(bus, 0).await.ok();
        Unit::new(channel * 2).release(bus).await;
    }
    found
}

async fn probe(bus: &Bus, n: u8) -> Option<Drive> {
    let u = Unit::new(n);
    bus.outb(u.control, 0x0a).await;
    bus.outb(u.command + 6, 0xa0 | u.device << 4).await;
    u.wait(bus, SECOND).await.ok()?;
    // A register that doesn't keep its value is no drive's.
    bus.outb(u.command + 2, 0x55).await;
    bus.outb(u.command + 3, 0xaa).await;
    if bus.inb(u.command + 2).await != 0x55 || bus.inb(u.command + 3).await != 0xaa {
        return None;
    }
    let (w, atapi) = match u.identify(bus, 0xec).await {
        Some(w) => (w, false),
        // A packet device aborts that and shows its signature.
        None => {
            let sig = (bus.inb(u.command + 4).await, bus.inb(u.command + 5).await);
            if sig != (0x14, 0xeb) {
                return None;
            }
            (u.identify(bus, 0xa1).await?, true)
        }
    };
    let mut drive = describe(n, &w, atapi);
    set_up(bus, &u, &w, &mut drive).await;
    Some(drive)
}

fn describe(unit: u8, w: &[u16], atapi: bool) -> Drive {
    let text: Vec<u8> = w[27..47].iter().flat_map(|v| v.to_be_bytes()).collect();
    let model = String::from_utf8_lossy(&text).trim().to_string();
    let sectors = u64::from(w[60]) | u64::from(w[61]) << 16;
    let (cylinders, heads, spt) = (w[1], w[3], w[6]);
    let (log_cylinders, log_heads) = translate(sectors, cylinders, heads, spt);
    Drive {
        unit,
        atapi,
        sectors,
        cylinders,
        heads,
        spt,
        log_cylinders,
        log_heads,
        multiple: 0,
        dma: w[49] & 0x100 != 0,
        model,
    }
}

/// LBA-assisted translation: the geometry that programs see through INT 13h AH=08h. Cylinders, heads; 63 sectors
/// unless the drive's own geometry fits as it is.
fn translate(sectors: u64, cylinders: u16, heads: u16, spt: u16) -> (u16, u16) {
    if cylinders <= 1024 && heads != 0 && spt != 0 {
        return (cylinders, heads);
    }
    let heads: u16 = match sectors / 63 / 1024 {
        0..=16 => 16,
        17..=32 => 32,
        33..=64 => 64,
        65..=128 => 128,
        _ => 255,
    };
    ((sectors / 63 / u64::from(heads)).min(1024) as u16, heads)
}

/// Block size, PIO and DMA modes: the best that both sides know.
async fn set_up(bus: &Bus, u: &Unit, w: &[u16], d: &mut Drive) {
    if !d.atapi {
        let most = (w[47] & 0xff).min(128) as u8;
        if most > 1 && most.is_power_of_two() && u.simple(bus, 0xc6, 0, most).await.is_ok() {
            d.multiple = most;
        }
    }
    let pio = if w[53] & 2 != 0 && w[64] & 3 != 0 { 2 + (w[64] & 3).min(3).count_ones() as u8 } else { 0 };
    if pio > 0 {
        // Drives without IORDY refuse; that changes nothing.
        u.simple(bus, 0xef, 3, 0x08 | pio).await.ok();
    }
    let udma = if w[53] & 4 != 0 { w[88] & 7 } else { 0 };
    let mwdma = w[63] & 7;
    let mode = match (udma, mwdma) {
        (0, 0) => None,
        (0, m) => Some(0x20 | m.ilog2() as u8),
        (u, _) => Some(0x40 | u.ilog2() as u8),
    };
    d.dma = match mode {
        Some(mode) => u.simple(bus, 0xef, 3, mode).await.is_ok(),
        None => false,
    };
}
