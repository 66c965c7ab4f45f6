//! Saved state of the card: DSP with its transfers, mixer, MPU-401, synthesizer, Plug and Play, and what the converters and
//! output filters hold of the sound.

use board::{StateError, StateIn, StateOut};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::Sb16;
use super::adpcm::{Adpcm, Packing};
use super::dsp::{Dsp, MOST_OUT, Rate};
use super::lane::{FIFO, Kind, Lane, Run};
use super::mixer::{Mixer, Tone};
use super::mpu401::Mpu401;
use crate::audio::desk::WaitingV1;
use crate::audio::opl3::Opl3V1;
use crate::audio::track::{Frame, HeardV1, Period, Track};
use crate::isa::pnp::CardV1;

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct RunV1 {
    /// 0 PCM, 1 silence, 2 to 4 ADPCM of 4, 2.6 and 2 bits.
    #[n(0)]
    kind: u8,
    /// PCM: 16 bits, signed, stereo.
    #[n(1)]
    pcm: (bool, bool, bool),
    /// ADPCM: a reference comes; sample, step, byte, codes used.
    #[n(2)]
    adpcm: (bool, u8, u8, u8, u8),
    #[n(3)]
    record: bool,
    #[n(4)]
    auto: bool,
    #[n(5)]
    block: u32,
    #[n(6)]
    left: u32,
    #[n(7)]
    paused: bool,
    #[n(8)]
    ending: bool,
}

#[derive(Encode, Decode)]
struct LaneV1 {
    #[n(0)]
    run: Option<RunV1>,
    /// Of the sample clock: numerator and denominator of its period, and what is over of this one.
    #[n(1)]
    clock: (u64, u64, u64),
    /// Frames that the DMA channel owes.
    #[n(2)]
    owed: u64,
    /// Frames that the converter has not had yet, and the last one that it had.
    #[n(3)]
    fifo: Option<(Vec<Frame>, Frame)>,
    #[n(4)]
    heard: Option<HeardV1>,
}

#[derive(Encode, Decode)]
struct Sb16V1 {
    #[n(0)]
    held: bool,
    #[n(1)]
    ready_at: u64,
    #[n(2)]
    busy_until: u64,
    #[n(3)]
    out: ByteVec,
    #[n(4)]
    last_byte: u8,
    #[n(5)]
    command: Option<u8>,
    #[n(6)]
    args: ByteVec,
    #[n(7)]
    midi: bool,
    /// Output, input: a time constant (false) or Hz (true).
    #[n(8)]
    rate: (bool, u16, bool, u16),
    #[n(9)]
    block: u16,
    #[n(10)]
    speaker: bool,
    #[n(11)]
    stereo_in: bool,
    #[n(12)]
    test: u8,
    #[n(13)]
    challenge: (u8, u8),
    #[n(14)]
    ram: ByteVec,
    #[n(15)]
    lanes: Vec<LaneV1>,
    #[n(16)]
    level: i16,
    #[n(17)]
    level_at: u64,
    #[n(18)]
    forced: (Option<u64>, Option<u64>),
    #[n(19)]
    mixer_index: u8,
    #[n(20)]
    mixer: ByteVec,
    #[n(21)]
    uart: bool,
    #[n(22)]
    midi_in: ByteVec,
    #[n(23)]
    midi_last: u8,
    #[n(24)]
    pending: u8,
    #[n(25)]
    last: u64,
    /// Of the synthesizer's sample clock: what is over of this period.
    #[n(26)]
    opl_part: u64,
    #[n(27)]
    opl: Opl3V1,
    #[n(28)]
    pnp: CardV1,
    /// Of the synthesizer.
    #[n(29)]
    heard: Option<HeardV1>,
    /// Of the tone controls, left and right: what is below their corners.
    #[n(30)]
    tone: Option<[[f32; 2]; 2]>,
    /// The DMA channel was masked for longer than a driver needs to look at it.
    #[n(31)]
    starving: Option<bool>,
    /// The port has heard something since it last rested.
    #[n(32)]
    awake: Option<bool>,
    #[n(33)]
    waiting: Option<WaitingV1>,
}

fn run_v1(r: &Run) -> RunV1 {
    let Run { kind, record, auto, block, left, paused, ending } = *r;
    let (none, no_adpcm) = ((false, false, false), (false, 0, 0, 0, 0));
    let (kind, pcm, adpcm) = match kind {
        Kind::Pcm { wide, signed, stereo } => (0, (wide, signed, stereo), no_adpcm),
        Kind::Silence => (1, none, no_adpcm),
        Kind::Adpcm(Adpcm { packing, reference, sample, step, byte, used }) => {
            let kind = match packing {
                Packing::Four => 2,
                Packing::TwoSix => 3,
                Packing::Two => 4,
            };
            (kind, none, (reference, sample, step, byte, used))
        }
    };
    RunV1 { kind, pcm, adpcm, record, auto, block, left, paused, ending }
}

fn load_run(s: &StateIn<'_>, v: RunV1) -> Result<Run, StateError> {
    let RunV1 { kind, pcm, adpcm, record, auto, block, left, paused, ending } = v;
    let packed = |packing: Packing| {
        let (reference, sample, step, byte, used) = adpcm;
        Kind::Adpcm(Adpcm { packing, reference, sample, step, byte, used })
    };
    let kind = match kind {
        0 => Kind::Pcm { wide: pcm.0, signed: pcm.1, stereo: pcm.2 },
        1 => Kind::Silence,
        2 => packed(Packing::Four),
        3 => packed(Packing::TwoSix),
        4 => packed(Packing::Two),
        n => return Err(s.bad("kind", n.into())),
    };
    if let Kind::Adpcm(a) = kind
        && (a.step > 5 || u32::from(a.used) > a.packing.samples() || record)
    {
        return Err(s.bad("adpcm", a.used.into()));
    }
    if !(1..=0x1_0000).contains(&block) || left > block || left == 0 && !matches!(kind, Kind::Adpcm(_)) {
        return Err(s.bad("block or left", left.into()));
    }
    Ok(Run { kind, record, auto, block, left, paused, ending })
}

fn lane_v1(l: &Lane) -> LaneV1 {
    let Lane { track, run, owed, fifo, last, bytes: _ } = l;
    let Period { num, den } = track.period;
    LaneV1 {
        run: run.as_ref().map(run_v1),
        clock: (num, den, track.part),
        owed: *owed,
        fifo: Some((fifo.iter().copied().collect(), *last)),
        heard: track.heard(),
    }
}

fn load_lane(s: &StateIn<'_>, l: &mut Lane, v: LaneV1) -> Result<(), StateError> {
    let (num, den, part) = v.clock;
    // From 22 us to two channels' 256 us each, or a whole number of Hz.
    let sane = (1..=45_454).contains(&den) && num <= board::SECOND && num >= den * 11_000 && part < num;
    if !sane {
        return Err(s.bad("sample clock", num));
    }
    if v.owed > FIFO as u64 {
        return Err(s.bad("owed", v.owed));
    }
    let run = v.run.map(|r| load_run(s, r)).transpose()?;
    l.track.restart(Period { num, den });
    l.track.part = part;
    (l.run, l.owed) = (run, v.owed);
    match v.fifo {
        // No block is longer.
        Some((fifo, _)) if fifo.len() > 0x1_0000 => return Err(s.bad("fifo", fifo.len() as u64)),
        Some((fifo, last)) => (l.fifo, l.last) = (fifo.into(), last),
        None => l.prime(),
    }
    hear(s, &mut l.track, v.heard)
}

fn hear(s: &StateIn<'_>, t: &mut Track, heard: Option<HeardV1>) -> Result<(), StateError> {
    match heard {
        None => Ok(()),
        Some(h) if h.is_sane() => {
            t.hear(&h);
            Ok(())
        }
        Some(_) => Err(s.bad("heard", 0)),
    }
}

fn rate_v1(r: Rate) -> (bool, u16) {
    match r {
        Rate::Constant(v) => (false, v.into()),
        Rate::Hz(v) => (true, v),
    }
}

fn load_rate(s: &StateIn<'_>, hz: bool, v: u16) -> Result<Rate, StateError> {
    if hz {
        return Ok(Rate::Hz(v));
    }
    u8::try_from(v).map(Rate::Constant).map_err(|_| s.bad("time constant", v.into()))
}

pub(super) fn save(c: &Sb16, out: &mut StateOut) {
    let Sb16 { irqs: _, output, dsp, mixer, mpu, opl, pnp, pending, last, placed: _, seen: _, starving } = c;
    let Dsp {
        held,
        ready_at,
        busy_until,
        out: bytes,
        last: last_byte,
        command,
        args,
        midi,
        rate: [play, record],
        block,
        speaker,
        stereo_in,
        test,
        challenge,
        ram,
        lanes,
        level,
        level_at,
        forced,
    } = dsp;
    let Mixer { index, regs } = mixer;
    let Mpu401 { uart, input, last: midi_last, sent: _ } = mpu;
    let ((play_hz, play), (record_hz, record)) = (rate_v1(*play), rate_v1(*record));
    let v = Sb16V1 {
        held: *held,
        ready_at: *ready_at,
        busy_until: *busy_until,
        out: Vec::from(bytes.clone()).into(),
        last_byte: *last_byte,
        command: *command,
        args: args.clone().into(),
        midi: *midi,
        rate: (play_hz, play, record_hz, record),
        block: *block,
        speaker: *speaker,
        stereo_in: *stereo_in,
        test: *test,
        challenge: *challenge,
        ram: ram.to_vec().into(),
        lanes: lanes.iter().map(lane_v1).collect(),
        level: *level,
        level_at: *level_at,
        forced: (forced[0], forced[1]),
        mixer_index: *index,
        mixer: regs.to_vec().into(),
        uart: *uart,
        midi_in: Vec::from(input.clone()).into(),
        midi_last: *midi_last,
        pending: *pending,
        last: *last,
        opl_part: output.track.part,
        opl: opl.save(),
        pnp: pnp.save(),
        heard: output.track.heard(),
        tone: Some(output.tone.map(|t| [t.low, t.mid])),
        starving: Some(*starving),
        awake: Some(output.awake),
        waiting: output.waiting(),
    };
    out.put(VERSION, &v);
}

pub(super) fn load(c: &mut Sb16, s: &StateIn<'_>) -> Result<(), StateError> {
    let v: Sb16V1 = s.get(VERSION)?;
    if v.out.len() > MOST_OUT || v.args.len() > 2 || v.midi_in.len() > Mpu401::MOST {
        return Err(s.bad("bytes that wait", v.out.len() as u64));
    }
    if v.pending & !7 != 0 || v.opl_part >= c.output.track.period.num {
        return Err(s.bad("pending or part", v.pending.into()));
    }
    let ram: [u8; 256] = v.ram.as_slice().try_into().map_err(|_| s.bad("ram", v.ram.len() as u64))?;
    let regs = v.mixer.as_slice().try_into().map_err(|_| s.bad("mixer", v.mixer.len() as u64))?;
    let lanes: [LaneV1; 2] = v.lanes.try_into().map_err(|l: Vec<LaneV1>| s.bad("lanes", l.len() as u64))?;
    let rate = [load_rate(s, v.rate.0, v.rate.1)?, load_rate(s, v.rate.2, v.rate.3)?];
    let mut dsp = Dsp {
        held: v.held,
        ready_at: v.ready_at,
        busy_until: v.busy_until,
        out: Vec::from(v.out).into(),
        last: v.last_byte,
        command: v.command,
        args: v.args.into(),
        midi: v.midi,
        rate,
        block: v.block,
        speaker: v.speaker,
        stereo_in: v.stereo_in,
        test: v.test,
        challenge: v.challenge,
        ram: Box::new(ram),
        level: v.level,
        level_at: v.level_at,
        forced: [v.forced.0, v.forced.1],
        ..Dsp::new()
    };
    for (lane, saved) in dsp.lanes.iter_mut().zip(lanes) {
        load_lane(s, lane, saved)?;
    }
    c.pnp.load(s, v.pnp)?;
    c.opl.load(s, &v.opl)?;
    c.output.track.part = v.opl_part;
    hear(s, &mut c.output.track, v.heard)?;
    let tone = v.tone.unwrap_or_default();
    if !tone.iter().flatten().all(|v| v.abs() <= 1e6) {
        return Err(s.bad("tone", 0));
    }
    c.output.tone = tone.map(|[low, mid]| Tone { low, mid });
    if let Some(w) = v.waiting.as_ref().filter(|w| !w.is_sane()) {
        return Err(s.bad("waiting frames", w.len() as u64));
    }
    c.output.load(v.awake.unwrap_or_default(), v.last, v.waiting);
    c.starving = v.starving.unwrap_or_default();
    c.dsp = dsp;
    c.mixer = Mixer { index: v.mixer_index, regs };
    c.mpu = Mpu401 { uart: v.uart, input: Vec::from(v.midi_in).into(), last: v.midi_last, sent: c.mpu.sent };
    (c.pending, c.last) = (v.pending, v.last);
    Ok(())
}
