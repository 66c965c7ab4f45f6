//! Diskettes: INT 13h for drives 00h and 01h through the 82077AA and DMA channel 2. 82077AA datasheet (290166),
//! sections 5 and 6; RBIL INT 13h.

use board::{MILLISECOND, SECOND};

use super::ata::error;
use super::{chs, finish, give_geometry};
use crate::bda::{self, bda};
use crate::bus::{Bus, Far};
use crate::frame::Frame;
use crate::rom::SYSTEM_SEG;
use crate::rom::tables::DISKETTES;

const DOR: u16 = 0x3f2;
pub(crate) const MSR: u16 = 0x3f4;
const FIFO: u16 = 0x3f5;
const CCR: u16 = 0x3f7;

/// Cylinders, sectors a track and data rate code of a drive type, best format first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    cylinders: u16,
    spt: u16,
    rate: u8,
    /// Twice a step for 40-track media in an 80-track drive.
    double_step: bool,
    gap: u8,
}

const fn fmt(cylinders: u16, spt: u16, rate: u8, double_step: bool, gap: u8) -> Format {
    Format { cylinders, spt, rate, double_step, gap }
}

const F360: &[Format] = &[fmt(40, 9, 2, false, 0x2a)];
const F1200: &[Format] = &[fmt(80, 15, 0, false, 0x1b), fmt(40, 9, 1, true, 0x2a)];
const F720: &[Format] = &[fmt(80, 9, 2, false, 0x2a)];
const F1440: &[Format] = &[
    fmt(80, 18, 0, false, 0x1b),
    fmt(80, 9, 2, false, 0x2a),
    // Microsoft's distribution format and its like.
    fmt(80, 21, 0, false, 0x1c),
    fmt(80, 23, 0, false, 0x1c),
];
const F2880: &[Format] = &[
    fmt(80, 36, 3, false, 0x1b),
    fmt(80, 18, 0, false, 0x1b),
    fmt(80, 9, 2, false, 0x2a),
    fmt(80, 21, 0, false, 0x1c),
    fmt(80, 23, 0, false, 0x1c),
];

/// What each CMOS drive type can hold.
fn formats(kind: u8) -> &'static [Format] {
    match kind {
        1 => F360,
        2 => F1200,
        3 => F720,
        4 => F1440,
        5 | 6 => F2880,
        _ => &[],
    }
}

async fn drive_type(bus: &Bus, drive: u8) -> u8 {
    let v = bus.cmos(0x10).await;
    match drive {
        0 => v >> 4,
        1 => v & 15,
        _ => 0,
    }
}

async fn drives(bus: &Bus) -> u8 {
    let v = bus.cmos(0x10).await;
    u8::from(v >> 4 != 0) + u8::from(v & 15 != 0)
}

pub async fn serve(bus: &Bus, f: &mut Frame) {
    let drive = f.dl();
    let kind = drive_type(bus, drive).await;
    if f.ah() == 0x08 {
        return parameters(bus, f, kind).await;
    }
    if kind == 0 || drive > 1 {
        if f.ah() == 0x15 {
            f.set_ah(0);
            f.carry(true);
            return;
        }
        let code = if f.ah() == 0 { 0 } else { error::BAD_PARAMETER };
        return finish(bus, f, if f.ah() > 0x18 || drive > 1 { error::BAD_PARAMETER } else { code }).await;
    }
    let status = match f.ah() {
        0x00 => {
            bus.write8(bda(bda::FD_RECALIBRATE), 0).await;
            reset(bus).await.err().unwrap_or(0)
        }
        0x01 => {
            let last = bus.read8(bda(bda::FD_STATUS)).await;
            f.set_ah(last);
            f.carry(last != 0);
            return;
        }
        0x02..=0x04 => transfer(bus, f, kind).await,
        0x05 => format_track(bus, f, kind).await,
        0x15 => {
            f.set_ah(if kind == 1 { 1 } else { 2 });
            f.carry(false);
            return;
        }
        0x16 => {
            motor(bus, drive).await;
            if bus.inb(CCR).await & 0x80 != 0 { error::CHANGED } else { 0 }
        }
        0x17 => 0,
        0x18 => {
            let spt = u16::from(f.cl() & 0x3f);
            let cyl = (u16::from(f.ch()) | u16::from(f.cl() & 0xc0) << 2) + 1;
            if formats(kind).iter().any(|x| x.spt == spt && x.cylinders == cyl) {
                f.es = SYSTEM_SEG;
                f.set_di(DISKETTES + 16 * u16::from(kind));
                0
            } else {
                0x0c
            }
        }
        _ => error::BAD_PARAMETER,
    };
    finish(bus, f, status).await;
}

async fn parameters(bus: &Bus, f: &mut Frame, kind: u8) {
    let count = drives(bus).await;
    if kind == 0 || f.dl() > 1 {
        f.set_ax(0);
        f.set_bx(0);
        f.set_cx(0);
        f.set_dx(u16::from(count));
        f.es = SYSTEM_SEG;
        f.set_di(DISKETTES + 64);
        let absent = f.dl() > 1;
        f.carry(absent);
        if absent {
            f.set_ah(error::BAD_PARAMETER);
        }
        return;
    }
    let best = formats(kind)[0];
    give_geometry(f, best.cylinders, 2, best.spt, count);
    f.set_ah(0);
    f.set_bx(u16::from(kind));
    f.es = SYSTEM_SEG;
    f.set_di(DISKETTES + 16 * u16::from(kind));
    f.carry(false);
}

/// Waits for the FIFO in the wanted direction (MSR DIO).
async fn ready(bus: &Bus, to_guest: bool) -> Result<(), u8> {
    let want = if to_guest { 0xc0 } else { 0x80 };
    let end = bus.now() + 2 * SECOND;
    while bus.poll8(MSR, 0xc0, want, 100).await & 0xc0 != want {
        if bus.now() > end {
            return Err(error::TIMEOUT);
        }
        bus.let_interrupts_in().await;
    }
    Ok(())
}

async fn command(bus: &Bus, bytes: &[u8]) -> Result<(), u8> {
    for b in bytes {
        ready(bus, false).await?;
        bus.outb(FIFO, *b).await;
    }
    Ok(())
}

async fn results(bus: &Bus, n: usize) -> Result<Vec<u8>, u8> {
    let mut v = Vec::new();
    for _ in 0..n {
        ready(bus, true).await?;
        v.push(bus.inb(FIFO).await);
    }
    let mut kept = v.clone();
    kept.resize(7, 0);
    bus.write(bda(bda::FD_RESULT), &kept).await;
    Ok(v)
}

/// Waits for IRQ 6: INT 0Eh sets 40:3E bit 7.
async fn interrupt(bus: &Bus) -> Result<(), u8> {
    let end = bus.now() + 3 * SECOND;
    loop {
        let v = bus.read8(bda(bda::FD_RECALIBRATE)).await;
        if v & 0x80 != 0 {
            bus.write8(bda(bda::FD_RECALIBRATE), v & 0x7f).await;
            return Ok(());
        }
        if bus.now() > end {
            return Err(error::TIMEOUT);
        }
        bus.wait_interrupt().await;
    }
}

async fn expect_interrupt(bus: &Bus) {
    let v = bus.read8(bda(bda::FD_RECALIBRATE)).await;
    bus.write8(bda(bda::FD_RECALIBRATE), v & 0x7f).await;
}

async fn reset(bus: &Bus) -> Result<(), u8> {
    expect_interrupt(bus).await;
    let motors = bus.read8(bda(bda::FD_MOTOR)).await & 3;
    bus.outb(DOR, motors << 4 | 0x08).await;
    bus.delay(10_000).await;
    bus.outb(DOR, motors << 4 | 0x0c).await;
    interrupt(bus).await?;
    for _ in 0..4 {
        command(bus, &[0x08]).await?;
        results(bus, 2).await?;
    }
    // SPECIFY: step rate, head times; DMA.
    command(bus, &[0x03, 0xaf, 0x02]).await
}

/// Motor on, time to spin up, and turned off by the tick later.
async fn motor(bus: &Bus, drive: u8) {
    let v = bus.read8(bda(bda::FD_MOTOR)).await;
    bus.write8(bda(bda::FD_MOTOR_TICKS), 37).await;
    bus.outb(DOR, 0x0c | drive | 0x10 << drive | (v & 3 & !(1 << drive)) << 4).await;
    if v & 1 << drive == 0 {
        bus.write8(bda(bda::FD_MOTOR), v & 0xf0 | v & 3 | 1 << drive).await;
        bus.delay(MILLISECOND).await;
    }
}

async fn recalibrate(bus: &Bus, drive: u8) -> Result<(), u8> {
    // A recalibration steps 79 times at most: drives of 80 tracks may need two.
    for _ in 0..2 {
        expect_interrupt(bus).await;
        command(bus, &[0x07, drive]).await?;
        interrupt(bus).await?;
        command(bus, &[0x08]).await?;
        let r = results(bus, 2).await?;
        if r[0] & 0xf0 == 0x20 {
            let v = bus.read8(bda(bda::FD_RECALIBRATE)).await;
            bus.write8(bda(bda::FD_RECALIBRATE), v | 1 << drive).await;
            bus.write8(bda(bda::FD_TRACK + u16::from(drive)), 0).await;
            return Ok(());
        }
    }
    Err(error::SEEK)
}

async fn seek(bus: &Bus, drive: u8, head: u8, cylinder: u8) -> Result<(), u8> {
    expect_interrupt(bus).await;
    command(bus, &[0x0f, head << 2 | drive, cylinder]).await?;
    interrupt(bus).await?;
    command(bus, &[0x08]).await?;
    let r = results(bus, 2).await?;
    if r[0] & 0xf8 & !4 != 0x20 {
        return Err(error::SEEK);
    }
    bus.write8(bda(bda::FD_TRACK + u16::from(drive)), cylinder).await;
    Ok(())
}

/// Gets the drive going: controller, motor, head position known, disk change seen.
async fn prepare(bus: &Bus, drive: u8) -> Result<(), u8> {
    if bus.inb(DOR).await & 0x0c != 0x0c {
        reset(bus).await?;
    }
    motor(bus, drive).await;
    let changed = bus.inb(CCR).await & 0x80 != 0;
    if changed {
        bus.write8(bda(bda::FD_MEDIA + u16::from(drive)), 0).await;
    }
    let calibrated = bus.read8(bda(bda::FD_RECALIBRATE)).await & 1 << drive != 0;
    if changed || !calibrated {
        recalibrate(bus, drive).await?;
        if changed {
            // The change line drops when the head steps with a medium in the drive.
            seek(bus, drive, 0, 1).await?;
            seek(bus, drive, 0, 0).await?;
            if bus.inb(CCR).await & 0x80 != 0 {
                return Err(error::TIMEOUT);
            }
        }
    }
    Ok(())
}

/// 8237 channel 2 for a run of bytes at a linear address; false where it would cross 64 KiB.
async fn dma(bus: &Bus, mode: u8, at: u32, len: u32) -> bool {
    if at >> 16 != (at + len - 1) >> 16 {
        return false;
    }
    let n = len - 1;
    for (port, v) in [
        (0x0a, 0x06),
        (0x0c, 0),
        (0x0b, mode),
        (0x04, at as u8),
        (0x04, (at >> 8) as u8),
        (0x81, (at >> 16) as u8),
        (0x05, n as u8),
        (0x05, (n >> 8) as u8),
        (0x0a, 0x02),
    ] {
        bus.outb(port, v).await;
    }
    true
}

/// Code of a command's result bytes.
fn outcome(r: &[u8]) -> u8 {
    if r[0] & 0xc0 == 0 {
        return 0;
    }
    match (r[0], r[1], r[2]) {
        (s, _, _) if s & 0x08 != 0 => error::TIMEOUT,
        (_, s, _) if s & 0x02 != 0 => error::WRITE_PROTECTED,
        (_, s, _) if s & 0x10 != 0 => 0x08,
        (_, s, _) if s & 0x20 != 0 => error::CRC,
        (_, s, _) if s & 0x04 != 0 => error::NOT_FOUND,
        (_, s, t) if (s | t) & 0x01 != 0 => error::NO_ADDRESS_MARK,
        _ => error::CONTROLLER,
    }
}

async fn transfer(bus: &Bus, f: &mut Frame, kind: u8) -> u8 {
    let drive = f.dl();
    let count = f.al();
    let (c, h, s) = chs(f);
    f.set_al(0);
    if count == 0 || h > 1 || s == 0 || c > 255 {
        return error::BAD_PARAMETER;
    }
    if let Err(e) = prepare(bus, drive).await {
        return e;
    }
    // The format that worked last, then the others of this drive.
    let state = bus.read8(bda(bda::FD_MEDIA + u16::from(drive))).await;
    let all = formats(kind);
    let known = if state & 0x10 != 0 { usize::from(state & 7) % all.len() } else { 0 };
    let mut last = error::NO_ADDRESS_MARK;
    for i in 0..all.len() {
        let n = (known + i) % all.len();
        let fm = all[n];
        last = run(bus, f, drive, &fm, count).await;
        match last {
            0 => {
                let known = state & 0x10 != 0;
                let n = if known { n } else { densest(bus, f, drive, all, n).await };
                let v = 0x10 | n as u8 | fm.rate << 6 | u8::from(fm.double_step) << 5;
                bus.write8(bda(bda::FD_MEDIA + u16::from(drive)), v).await;
                f.set_al(count);
                return 0;
            }
            error::NO_ADDRESS_MARK | error::NOT_FOUND if state & 0x10 == 0 => {}
            _ => break,
        }
    }
    last
}

/// Formats of one rate differ by what a track holds, which only a look for the next sector shows; once for a medium.
async fn densest(bus: &Bus, f: &Frame, drive: u8, all: &[Format], works: usize) -> usize {
    let (c, h, _) = chs(f);
    let mut best = works;
    for (n, x) in all.iter().enumerate() {
        let last = all[best].spt;
        if x.rate == all[works].rate && x.spt > last {
            let there = one_track(bus, drive, &all[best], VERIFY, (c, h, u32::from(last) + 1), 1, 0).await;
            best = if there.is_ok() { n } else { best };
        }
    }
    best
}

async fn run(bus: &Bus, f: &Frame, drive: u8, fm: &Format, count: u8) -> u8 {
    match tracks(bus, f, drive, fm, count).await {
        Ok(()) => 0,
        Err(e) => e,
    }
}

/// Sector runs, a track side at a time; a run may go over to the second side but not to another cylinder.
async fn tracks(bus: &Bus, f: &Frame, drive: u8, fm: &Format, count: u8) -> Result<(), u8> {
    let (c, mut h, mut s) = chs(f);
    bus.outb(CCR, fm.rate).await;
    let buffer = Far::new(f.es, f.bx()).linear();
    // Verify transfers nothing: DMA verify mode. Read: to memory. Write: from memory.
    let mode = match f.ah() {
        2 => READ,
        3 => WRITE,
        _ => VERIFY,
    };
    let mut done = 0u32;
    while done < u32::from(count) {
        // A first sector beyond the track is the controller's to miss: programs count sectors that way.
        if s > u32::from(fm.spt) && done > 0 {
            (s, h) = (1, h + 1);
        }
        if h > 1 {
            return Err(error::NOT_FOUND);
        }
        let n = (u32::from(fm.spt) + 1).saturating_sub(s).clamp(1, u32::from(count) - done);
        let steps = if fm.double_step { c * 2 } else { c };
        if bus.read8(bda(bda::FD_TRACK + u16::from(drive))).await != steps as u8 || done == 0 {
            seek(bus, drive, h as u8, steps as u8).await?;
        }
        let at = if mode == VERIFY { 0 } else { buffer + done * 512 };
        one_track(bus, drive, fm, mode, (c, h, s), n, at).await?;
        done += n;
        s += n;
    }
    Ok(())
}

/// Modes of DMA channel 2: single, towards memory, from it, or nowhere.
const READ: u8 = 0x46;
const WRITE: u8 = 0x4a;
const VERIFY: u8 = 0x42;

/// So many sectors of the side of a track that the head is over.
async fn one_track(
    bus: &Bus,
    drive: u8,
    fm: &Format,
    mode: u8,
    (c, h, s): (u32, u32, u32),
    n: u32,
    at: u32,
) -> Result<(), u8> {
    if !dma(bus, mode, at, n * 512).await {
        return Err(error::BOUNDARY);
    }
    expect_interrupt(bus).await;
    let cmd = if mode == WRITE { 0xc5 } else { 0xe6 };
    let last = (s + n - 1) as u8;
    command(bus, &[cmd, (h as u8) << 2 | drive, c as u8, h as u8, s as u8, 2, last, fm.gap, 0xff]).await?;
    interrupt(bus).await?;
    // The end of the track comes with TC at the same time: not an error.
    match outcome(&results(bus, 7).await?) {
        0 => Ok(()),
        e => Err(e),
    }
}

/// AH=05h: the buffer holds cylinder, head, sector and size code for each sector.
async fn format_track(bus: &Bus, f: &mut Frame, kind: u8) -> u8 {
    let drive = f.dl();
    let (c, h, _) = chs(f);
    if let Err(e) = prepare(bus, drive).await {
        return e;
    }
    let spt = u16::from(f.al());
    let Some(fm) = formats(kind).iter().find(|x| x.spt == spt).copied() else { return error::BAD_PARAMETER };
    let r = async {
        bus.outb(CCR, fm.rate).await;
        seek(bus, drive, h as u8, if fm.double_step { c * 2 } else { c } as u8).await?;
        if !dma(bus, 0x4a, Far::new(f.es, f.bx()).linear(), u32::from(spt) * 4).await {
            return Err(error::BOUNDARY);
        }
        expect_interrupt(bus).await;
        command(bus, &[0x4d, (h as u8) << 2 | drive, 2, spt as u8, 0x6c, 0xf6]).await?;
        interrupt(bus).await?;
        results(bus, 7).await
    };
    match r.await {
        Ok(r) => outcome(&r),
        Err(e) => e,
    }
}
