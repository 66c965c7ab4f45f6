//! Saved form of an adapter. Version 1.

use board::{StateError, StateIn, StateOut};
use minicbor::{Decode, Encode};

use super::Dec21140;
use super::csr::{Counters, GeneralTimer, Gpr};
use super::descriptor::{List, Process};
use super::filter::{Filter, Kind};
use super::mii::{self, Mii};
use super::receive::{FIRST_LOOK, Frame};
use super::regs::{self, BusMode, OpMode, status};
use super::srom::{self, Srom};

#[derive(Encode, Decode)]
struct Dec21140V1 {
    #[cbor(n(0), with = "minicbor::bytes")]
    config: Vec<u8>,
    #[n(1)]
    srom: Vec<u16>,
    /// Where it is in an instruction: which step, and its numbers.
    #[n(2)]
    srom_step: (u8, u8, u16),
    #[n(3)]
    srom_pins: (bool, bool, bool),
    #[n(4)]
    mii: Vec<u16>,
    #[n(5)]
    mii_step: (u8, u8, u16, Option<u8>),
    #[n(6)]
    mii_pins: (bool, bool, bool),
    #[n(7)]
    filter_kind: u8,
    #[n(8)]
    filter: Option<Vec<u16>>,
    #[n(9)]
    bus_mode: u32,
    #[n(10)]
    status: u32,
    #[n(11)]
    op_mode: u32,
    #[n(12)]
    mask: u32,
    #[n(13)]
    counters: (u32, u32),
    #[n(14)]
    csr9: u32,
    #[n(15)]
    csr10: u32,
    #[n(16)]
    general: (u16, bool, Option<(u64, u64)>),
    #[n(17)]
    gpr: (u8, u8),
    #[n(18)]
    csr15: u32,
    #[n(19)]
    tx: ListV1,
    #[n(20)]
    rx: ListV1,
    #[n(21)]
    aborted: bool,
    #[n(22)]
    fifo: Vec<FrameV1>,
    #[n(23)]
    waits: Option<u64>,
    #[n(24)]
    stopping: u32,
}

#[derive(Encode, Decode)]
struct ListV1 {
    #[n(0)]
    base: u32,
    #[n(1)]
    at: u32,
    #[n(2)]
    process: u8,
}

#[derive(Encode, Decode)]
struct FrameV1 {
    #[cbor(n(0), with = "minicbor::bytes")]
    bytes: Vec<u8>,
    #[n(1)]
    from: u8,
    #[n(2)]
    failed: bool,
}

/// Longer than any frame that gets into the FIFO.
const FRAME_MOST: usize = 4096;
/// Marks a 93C46 instruction for all words.
const ALL_WORDS: u8 = 0xff;

fn list(l: &List) -> ListV1 {
    let process = match l.process {
        Process::Stopped => 0,
        Process::Running => 1,
        Process::Suspended => 2,
    };
    ListV1 { base: l.base, at: l.at, process }
}

fn list_from(s: &StateIn<'_>, l: &ListV1) -> Result<List, StateError> {
    let process = match l.process {
        0 => Process::Stopped,
        1 => Process::Running,
        2 => Process::Suspended,
        n => return Err(s.bad("process", n.into())),
    };
    Ok(List { base: l.base & !3, at: l.at & !3, process })
}

fn srom_step(step: srom::Step) -> (u8, u8, u16) {
    match step {
        srom::Step::Idle => (0, 0, 0),
        srom::Step::Command { bits, value } => (1, bits, value),
        srom::Step::Read { at, out } => (2, out, at.into()),
        // Value and place: a place has six bits, and the value comes as it is.
        srom::Step::Write { at: Some(at), bits, value } => (4 + at, bits, value),
        srom::Step::Write { at: None, bits, value } => (ALL_WORDS, bits, value),
        srom::Step::Done => (3, 0, 0),
    }
}

fn srom_step_from(s: &StateIn<'_>, (step, bits, value): (u8, u8, u16)) -> Result<srom::Step, StateError> {
    if bits > 15 {
        return Err(s.bad("srom_bits", bits.into()));
    }
    Ok(match step {
        0 => srom::Step::Idle,
        1 if bits < 8 => srom::Step::Command { bits, value },
        2 if usize::from(value) < srom::WORDS => srom::Step::Read { at: value as u8, out: bits },
        3 => srom::Step::Done,
        ALL_WORDS => srom::Step::Write { at: None, bits, value },
        n if (4..4 + srom::WORDS as u8).contains(&n) => srom::Step::Write { at: Some(n - 4), bits, value },
        n => return Err(s.bad("srom_step", n.into())),
    })
}

fn mii_step(step: mii::Step) -> (u8, u8, u16, Option<u8>) {
    match step {
        mii::Step::Idle { zero } => (0, zero.into(), 0, None),
        mii::Step::Command { bits, value } => (1, bits, value, None),
        mii::Step::Read { bits, value } => (2, bits, value, None),
        mii::Step::Write { bits, register, value } => (3, bits, value, register),
        mii::Step::Skip { bits } => (4, bits, 0, None),
    }
}

fn mii_step_from(
    s: &StateIn<'_>,
    (step, bits, value, register): (u8, u8, u16, Option<u8>),
) -> Result<mii::Step, StateError> {
    if bits > 17 || register.is_some_and(|r| usize::from(r) >= mii::REGISTERS) {
        return Err(s.bad("mii_bits", bits.into()));
    }
    Ok(match step {
        0 => mii::Step::Idle { zero: bits != 0 },
        1 if bits < 12 => mii::Step::Command { bits, value },
        2 if bits < 17 => mii::Step::Read { bits, value },
        3 => mii::Step::Write { bits, register, value },
        4 => mii::Step::Skip { bits },
        n => return Err(s.bad("mii_step", n.into())),
    })
}

pub(super) fn save(n: &Dec21140, out: &mut StateOut) {
    let Dec21140 {
        place: _,
        inta: _,
        port: _,
        config,
        srom: Srom { words, step, write_enabled, sk, data_out },
        mii: Mii { registers, step: mii_at, mdc, mdi, lost },
        filter: Filter { kind, words: filter },
        bus_mode,
        status,
        op_mode,
        mask,
        counters: Counters { missed, overflowed },
        csr9,
        csr10,
        general: GeneralTimer { value, continuous, runs },
        gpr: Gpr { direction, out: latch },
        csr15,
        tx,
        rx,
        aborted,
        stopping,
        fifo,
        waits,
        look: _,
        buffer: _,
        spare: _,
        unflushed: _,
        sent_at: _,
        seen: _,
    } = n;
    let frame = |f: &Frame| FrameV1 { bytes: f.bytes.clone(), from: f.from, failed: f.failed };
    let v = Dec21140V1 {
        config: config.bytes().to_vec(),
        srom: words.to_vec(),
        srom_step: srom_step(*step),
        srom_pins: (*write_enabled, *sk, *data_out),
        mii: registers.to_vec(),
        mii_step: mii_step(*mii_at),
        mii_pins: (*mdc, *mdi, *lost),
        filter_kind: kind.code(),
        filter: filter.map(|w| w.to_vec()),
        bus_mode: bus_mode.into_bits(),
        status: *status,
        op_mode: op_mode.into_bits(),
        mask: *mask,
        counters: (*missed, *overflowed),
        csr9: *csr9,
        csr10: *csr10,
        general: (*value, *continuous, *runs),
        gpr: (*direction, *latch),
        csr15: *csr15,
        tx: list(tx),
        rx: list(rx),
        aborted: *aborted,
        fifo: fifo.iter().map(frame).collect(),
        waits: *waits,
        stopping: *stopping,
    };
    out.put(1, &v);
}

pub(super) fn load(n: &mut Dec21140, s: &StateIn<'_>) -> Result<(), StateError> {
    let v: Dec21140V1 = s.get(1)?;
    n.config.set_bytes(v.config.as_slice().try_into().map_err(|_| s.bad("config", v.config.len() as u64))?);
    let words = v.srom.as_slice().try_into().map_err(|_| s.bad("srom", v.srom.len() as u64))?;
    let (write_enabled, sk, data_out) = v.srom_pins;
    n.srom = Srom { words, step: srom_step_from(s, v.srom_step)?, write_enabled, sk, data_out };
    let registers = v.mii.as_slice().try_into().map_err(|_| s.bad("mii", v.mii.len() as u64))?;
    let (mdc, mdi, lost) = v.mii_pins;
    n.mii = Mii { registers, step: mii_step_from(s, v.mii_step)?, mdc, mdi, lost };
    let filter = match v.filter {
        Some(w) => Some(w.as_slice().try_into().map_err(|_| s.bad("filter", w.len() as u64))?),
        None => None,
    };
    if v.filter_kind > 3 {
        return Err(s.bad("filter_kind", v.filter_kind.into()));
    }
    n.filter =
        Filter { kind: Kind::from_bits(v.filter_kind & 2 != 0, v.filter_kind & 1 != 0), words: filter };
    n.bus_mode = BusMode::from_bits(v.bus_mode & regs::BUS_MODE_WRITABLE);
    n.status = v.status & status::ALL;
    n.op_mode = OpMode::from_bits(v.op_mode & regs::OP_MODE_WRITABLE);
    n.mask = v.mask & (status::ALL | status::AIS | status::NIS);
    let (missed, overflowed) = v.counters;
    if missed > Counters::MISSED_MOST || overflowed > Counters::OVERFLOWED_MOST {
        return Err(s.bad("counters", u64::from(missed.max(overflowed))));
    }
    n.counters = Counters { missed, overflowed };
    n.csr9 = v.csr9 & 0x0007_fc07;
    n.csr10 = v.csr10 & 0x0003_ffff;
    let (value, continuous, runs) = v.general;
    if let Some((from, count)) = runs
        && (count == 0 || count > 1_000_000 || value == 0 || from > u64::MAX / 2)
    {
        return Err(s.bad("general", count));
    }
    n.general = GeneralTimer { value, continuous, runs };
    n.gpr = Gpr { direction: v.gpr.0, out: v.gpr.1 };
    n.csr15 = v.csr15 & 0x37;
    n.tx = list_from(s, &v.tx)?;
    n.rx = list_from(s, &v.rx)?;
    n.aborted = v.aborted;
    n.stopping = v.stopping & (status::TPS | status::RPS);
    if let Some(f) = v.fifo.iter().find(|f| f.bytes.len() > FRAME_MOST) {
        return Err(s.bad("fifo", f.bytes.len() as u64));
    }
    n.fifo =
        v.fifo.into_iter().map(|f| Frame { bytes: f.bytes, from: f.from & 3, failed: f.failed }).collect();
    n.waits = v.waits;
    n.look = FIRST_LOOK;
    n.sent_at = None;
    Ok(())
}
