//! Saved form of a channel and its drives. Version 1.

use board::{StateError, StateIn};
use minicbor::{Decode, Encode};

use super::atapi::{self as cd, CdRomV1};
use super::channel::Channel;
use super::drive::{Drive, Kind};
use super::hard_disk::{self as disk, HardDiskV1};
use super::task_file::{Core, DevCtl, Flow, Pending, PendingOp, Previous, Status, TaskFile};

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ChannelV1 {
    #[n(0)]
    control: u8,
    #[n(1)]
    dev: bool,
    #[n(2)]
    drives: [Option<DriveV1>; 2],
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct DriveV1 {
    /// Error, features, count, low, mid, high, device, status.
    #[n(0)]
    task_file: [u8; 8],
    #[n(1)]
    flow: u8,
    #[cbor(n(2), with = "minicbor::bytes")]
    buf: Vec<u8>,
    #[n(3)]
    pos: u32,
    #[n(4)]
    end: u32,
    #[n(5)]
    intrq: bool,
    #[n(6)]
    pending: Option<PendingV1>,
    #[n(7)]
    tag: u32,
    #[n(8)]
    disk: Option<HardDiskV1>,
    #[n(9)]
    cd: Option<CdRomV1>,
    /// High order bytes: features, count, low, mid, high. Not saved by the first builds.
    #[n(10)]
    previous: Option<[u8; 5]>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct PendingV1 {
    #[n(0)]
    tag: u32,
    /// 0 read, 1 write, 2 flush, 3 discard.
    #[n(1)]
    op: u8,
    #[n(2)]
    lba: u64,
    /// Sectors of a read, bytes of a write or of LBA range entries.
    #[n(3)]
    len: u32,
}

impl Channel {
    pub fn save(&self) -> ChannelV1 {
        let Self { drives, control, dev } = self;
        ChannelV1 {
            control: control.into_bits(),
            dev: *dev,
            drives: drives.each_ref().map(|d| d.as_ref().map(save_drive)),
        }
    }

    pub fn load(&mut self, s: &StateIn<'_>, v: ChannelV1) -> Result<(), StateError> {
        self.control = DevCtl::from(v.control & DevCtl::KNOWN);
        self.dev = v.dev;
        for (unit, (drive, v)) in self.drives.iter_mut().zip(v.drives).enumerate() {
            match (drive, v) {
                (Some(d), Some(v)) => load_drive(d, s, v)?,
                (None, None) => {}
                // The saved machine had other drives than this one.
                _ => return Err(s.bad("drives", unit as u64)),
            }
        }
        Ok(())
    }
}

fn save_drive(d: &Drive) -> DriveV1 {
    let Drive { core, kind } = d;
    let Core { unit: _, tf, flow, buf, sent, pos, end, intrq, pending, tag } = core;
    // What the host may be doing by itself has not begun.
    let straight = pending.and_then(|p| if let PendingOp::Straight(f) = p.op { Some(f) } else { None });
    let flow = straight.unwrap_or(*flow);
    let TaskFile { error, features, count, low, mid, high, device, status, previous } = tf;
    let Previous { features: f, count: n, low: l, mid: m, high: h } = *previous;
    let shown = if straight.is_some() { Status::DATA } else { *status };
    DriveV1 {
        task_file: [*error, *features, *count, *low, *mid, *high, device.into_bits(), shown.into_bits()],
        flow: flow as u8,
        buf: sent.as_deref().unwrap_or(buf).clone(),
        pos: *pos as u32,
        end: *end as u32,
        intrq: *intrq,
        pending: pending.and_then(|p| {
            let (op, lba, len) = match p.op {
                PendingOp::Read { lba, count } => (0, lba, count),
                PendingOp::Write { lba, len } => (1, lba, len),
                PendingOp::Flush => (2, 0, 0),
                PendingOp::Discard { len } => (3, 0, len),
                PendingOp::Straight(_) => return None,
            };
            Some(PendingV1 { tag: p.tag, op, lba, len })
        }),
        tag: *tag,
        disk: if let Kind::Disk(h) = kind { Some(disk::save(h)) } else { None },
        cd: if let Kind::Cd(c) = kind { Some(cd::save(c)) } else { None },
        previous: Some([f, n, l, m, h]),
    }
}

fn load_drive(d: &mut Drive, s: &StateIn<'_>, v: DriveV1) -> Result<(), StateError> {
    let DriveV1 { task_file, flow, buf, pos, end, intrq, pending, tag, disk, cd, previous } = v;
    let [f, n, l, m, h] = previous.unwrap_or_default();
    let previous = Previous { features: f, count: n, low: l, mid: m, high: h };
    let [error, features, count, low, mid, high, device, status] = task_file;
    let (device, status) = (device.into(), status.into());
    let tf = TaskFile { error, features, count, low, mid, high, device, status, previous };
    let flow = match flow {
        0 => Flow::None,
        1 => Flow::PioIn,
        2 => Flow::PioOut,
        3 => Flow::DmaIn,
        4 => Flow::DmaOut,
        n => return Err(s.bad("flow", u64::from(n))),
    };
    let (pos, end) = (pos as usize, end as usize);
    if pos > end || end > buf.len() {
        return Err(s.bad("end", end as u64));
    }
    let pending = match pending {
        None => None,
        Some(p) => {
            let op = match p.op {
                0 => PendingOp::Read { lba: p.lba, count: p.len },
                1 if p.len as usize <= buf.len() => PendingOp::Write { lba: p.lba, len: p.len },
                2 => PendingOp::Flush,
                3 if p.len as usize <= buf.len() => PendingOp::Discard { len: p.len },
                n => return Err(s.bad("pending", u64::from(n))),
            };
            Some(Pending { tag: p.tag, op })
        }
    };
    match (&mut d.kind, disk, cd) {
        (Kind::Disk(h), Some(v), None) => disk::load(h, s, v)?,
        (Kind::Cd(c), None, Some(v)) => cd::load(c, s, v)?,
        _ => return Err(s.bad("kind", 0)),
    }
    let unit = d.core.unit;
    d.core = Core { unit, tf, flow, buf, sent: None, pos, end, intrq, pending, tag };
    Ok(())
}
