//! Saved state of the floppy controller and its drives. What lies in a drive is the machine's to give; a state that
//! saw another medium makes the drive say that it was changed.

use board::{StateError, StateIn, StateOut};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::drive::{Drive, LAST_TRACK, Seek, Target};
use super::regs::{Config, Dor, Op};
use super::run::{BYTES, Id, Run, Step};
use super::{I82077, Phase, Regs, TIMERS, UNITS};

const VERSION: u16 = 1;
/// Command and result bytes.
const MOST_BYTES: usize = 17;
/// Of a track side.
const MOST_SIDE: usize = 36 * BYTES;

#[derive(Encode, Decode)]
struct DriveV1 {
    #[n(0)]
    track: u8,
    #[n(1)]
    changed: bool,
    #[n(2)]
    pcn: u8,
    /// Steps and the PCN at the end (`None`: to track 0), and HDS.
    #[n(3)]
    seek: Option<(Option<(i16, u8)>, u8)>,
    #[n(4)]
    pending: Option<u8>,
    /// Sectors of the medium, and whether it is read-only.
    #[n(5)]
    media: Option<(u64, bool)>,
}

#[derive(Encode, Decode)]
struct RunV1 {
    #[n(0)]
    op: u8,
    #[n(1)]
    unit: u8,
    #[n(2)]
    head: u8,
    /// MT, MFM, SK, TC.
    #[n(3)]
    bits: (bool, bool, bool, bool),
    /// C, H, R, N.
    #[n(4)]
    id: (u8, u8, u8, u8),
    #[n(5)]
    eot: u8,
    #[n(6)]
    dtl: u8,
    #[n(7)]
    left: Option<u8>,
    #[n(8)]
    step: u8,
    #[n(9)]
    status: (u8, u8),
    #[n(10)]
    side: ByteVec,
    #[n(11)]
    unit_bytes: ByteVec,
    #[n(12)]
    moved: u16,
    #[n(13)]
    waited: u64,
}

#[derive(Encode, Decode)]
struct I82077V1 {
    #[n(0)]
    dor: u8,
    #[n(1)]
    tdr: u8,
    #[n(2)]
    dsr: u8,
    #[n(3)]
    rate: u8,
    #[n(4)]
    awake: bool,
    /// 0 command, 1 execution, 2 result.
    #[n(5)]
    phase: u8,
    #[n(6)]
    command: ByteVec,
    #[n(7)]
    result: ByteVec,
    #[n(8)]
    taken: u8,
    #[n(9)]
    last: u8,
    #[n(10)]
    int: bool,
    #[n(11)]
    specify: (u8, u8),
    #[n(12)]
    config: u8,
    #[n(13)]
    pretrk: u8,
    #[n(14)]
    perpendicular: u8,
    #[n(15)]
    lock: bool,
    #[n(16)]
    eot: u8,
    #[n(17)]
    drive_spec: ByteVec,
    #[n(18)]
    option: u8,
    #[n(19)]
    powerdown: u8,
    #[n(20)]
    tag: u32,
    #[n(21)]
    due: Vec<Option<u64>>,
    #[n(22)]
    drives: Vec<DriveV1>,
    #[n(23)]
    run: Option<RunV1>,
}

fn drive_v1(d: &Drive) -> DriveV1 {
    let Drive { kind: _, media, track, changed, pcn, seek, pending } = *d;
    let seek = seek.map(|Seek { to, head }| match to {
        Target::Steps { by, pcn } => (Some((by, pcn)), head),
        Target::Track0 => (None, head),
    });
    DriveV1 { track, changed, pcn, seek, pending, media: media.map(|m| (m.sectors, m.read_only)) }
}

fn run_v1(r: &Run) -> RunV1 {
    let Run {
        op,
        unit,
        head,
        mt,
        mfm,
        sk,
        id: Id { c, h, r, n },
        eot,
        dtl,
        left,
        step,
        status: [st1, st2],
        side,
        unit_bytes,
        moved,
        tc,
        waited,
    } = r;
    let step = match step {
        Step::Locate => 0,
        Step::Host => 1,
        Step::Pass => 2,
        Step::Data => 3,
        Step::Fail => 4,
    };
    RunV1 {
        op: op.code(),
        unit: *unit as u8,
        head: *head,
        bits: (*mt, *mfm, *sk, *tc),
        id: (*c, *h, *r, *n),
        eot: *eot,
        dtl: *dtl,
        left: *left,
        step,
        status: (*st1, *st2),
        side: side.clone().into(),
        unit_bytes: unit_bytes.clone().into(),
        moved: *moved as u16,
        waited: *waited,
    }
}

pub(super) fn save(f: &I82077, out: &mut StateOut) {
    let I82077 { irq: _, drives, regs, run, seen: _ } = f;
    let Regs {
        dor,
        tdr,
        dsr,
        rate,
        awake,
        phase,
        command,
        result,
        taken,
        last,
        int,
        specify: [srt, hlt],
        config,
        pretrk,
        perpendicular,
        lock,
        eot,
        drive_spec,
        option,
        powerdown,
        tag,
        due,
    } = regs;
    let phase = match phase {
        Phase::Command => 0,
        Phase::Execution => 1,
        Phase::Result => 2,
    };
    let v = I82077V1 {
        dor: dor.into_bits(),
        tdr: *tdr,
        dsr: *dsr,
        rate: *rate,
        awake: *awake,
        phase,
        command: command.clone().into(),
        result: result.clone().into(),
        taken: *taken as u8,
        last: *last,
        int: *int,
        specify: (*srt, *hlt),
        config: config.into_bits(),
        pretrk: *pretrk,
        perpendicular: *perpendicular,
        lock: *lock,
        eot: *eot,
        drive_spec: drive_spec.to_vec().into(),
        option: *option,
        powerdown: *powerdown,
        // The job that is under way is asked for anew, with the next tag.
        tag: tag.wrapping_sub(u32::from(run.as_ref().is_some_and(|r| r.step == Step::Host))),
        due: due.to_vec(),
        drives: drives.iter().map(drive_v1).collect(),
        run: run.as_ref().map(run_v1),
    };
    out.put(VERSION, &v);
}

fn load_run(s: &StateIn<'_>, v: RunV1) -> Result<Run, StateError> {
    let RunV1 { op, unit, head, bits, id, eot, dtl, left, step, status, side, unit_bytes, moved, waited } = v;
    let op = Op::from_code(op).ok_or_else(|| s.bad("op", u64::from(op)))?;
    let step = match step {
        0 => Step::Locate,
        1 => Step::Host,
        2 => Step::Pass,
        3 => Step::Data,
        4 => Step::Fail,
        v => return Err(s.bad("step", u64::from(v))),
    };
    if usize::from(unit) >= UNITS || head > 1 {
        return Err(s.bad("unit or head", u64::from(unit.max(head))));
    }
    if side.len() > MOST_SIDE || unit_bytes.len() > BYTES {
        return Err(s.bad("side or sector", side.len().max(unit_bytes.len()) as u64));
    }
    let run = Run {
        op,
        unit: unit.into(),
        head,
        mt: bits.0,
        mfm: bits.1,
        sk: bits.2,
        id: Id { c: id.0, h: id.1, r: id.2, n: id.3 },
        eot,
        dtl,
        left,
        step,
        status: [status.0, status.1],
        side: side.into(),
        unit_bytes: unit_bytes.into(),
        moved: moved.into(),
        tc: bits.3,
        waited,
    };
    let whole = run.unit_bytes.len() == run.unit_len();
    let in_sector = match run.step {
        Step::Data => whole && run.moved < run.unit_bytes.len(),
        Step::Host if run.op.writes() => whole,
        _ => true,
    };
    if in_sector { Ok(run) } else { Err(s.bad("moved", u64::from(moved))) }
}

fn load_drive(s: &StateIn<'_>, d: &mut Drive, v: DriveV1) -> Result<(), StateError> {
    let DriveV1 { track, changed, pcn, seek, pending, media } = v;
    if track > LAST_TRACK {
        return Err(s.bad("track", u64::from(track)));
    }
    let other = media != d.media.map(|m| (m.sectors, m.read_only));
    d.track = track;
    d.changed = changed || other && d.kind.is_some();
    d.pcn = pcn;
    d.pending = pending;
    d.seek = match seek {
        None => None,
        Some((_, head)) if head > 1 => return Err(s.bad("head", u64::from(head))),
        Some((Some((by, _)), _)) if by.unsigned_abs() > 255 => {
            return Err(s.bad("steps", u64::from(by.unsigned_abs())));
        }
        Some((Some((by, pcn)), head)) => Some(Seek { to: Target::Steps { by, pcn }, head }),
        Some((None, head)) => Some(Seek { to: Target::Track0, head }),
    };
    Ok(())
}

pub(super) fn load(f: &mut I82077, s: &StateIn<'_>) -> Result<(), StateError> {
    let v: I82077V1 = s.get(VERSION)?;
    if v.command.len() >= MOST_BYTES || v.result.len() > MOST_BYTES || usize::from(v.taken) > v.result.len() {
        return Err(s.bad("command or result", v.command.len().max(v.result.len()) as u64));
    }
    if v.drives.len() != UNITS {
        return Err(s.bad("drives", v.drives.len() as u64));
    }
    let phase = match (v.phase, &v.run) {
        (0, None) => Phase::Command,
        (1, Some(_)) => Phase::Execution,
        (2, None) => Phase::Result,
        (p, _) => return Err(s.bad("phase", u64::from(p))),
    };
    let due: [Option<u64>; TIMERS] =
        v.due.try_into().map_err(|d: Vec<Option<u64>>| s.bad("due", d.len() as u64))?;
    let drive_spec =
        v.drive_spec.as_slice().try_into().map_err(|_| s.bad("drive_spec", v.drive_spec.len() as u64))?;
    let run = v.run.map(|r| load_run(s, r)).transpose()?;
    for (d, saved) in f.drives.iter_mut().zip(v.drives) {
        load_drive(s, d, saved)?;
    }
    f.run = run;
    f.regs = Regs {
        dor: Dor::from_bits(v.dor),
        tdr: v.tdr & 3,
        dsr: v.dsr & 0x7f,
        rate: v.rate & 3,
        awake: v.awake,
        phase,
        command: v.command.into(),
        result: v.result.into(),
        taken: v.taken.into(),
        last: v.last,
        int: v.int,
        specify: [v.specify.0, v.specify.1],
        config: Config::from_bits(v.config & 0x7f),
        pretrk: v.pretrk,
        perpendicular: v.perpendicular & 0x3f,
        lock: v.lock,
        eot: v.eot,
        drive_spec,
        option: v.option,
        powerdown: v.powerdown,
        tag: v.tag,
        due,
    };
    Ok(())
}
