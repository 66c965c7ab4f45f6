//! What the DSP does with its commands. Sound Blaster Series Hardware Programming Guide, chapter 6, and the commands that
//! drivers use without its leave (E0h, E2h, E4h, E8h, F2h, F8h to FAh).

use board::{At, Cx, Dir, Width};

use super::adpcm::{Adpcm, Packing};
use super::dsp::{EIGHT, FORCED, Rate, SIXTEEN, VERSION};
use super::lane::{Kind, Run};
use super::{DSP, Sb16, WRITE_PORT};

const COPYRIGHT: &[u8] = b"COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.\0";

/// How many bytes follow a command.
fn parameters(command: u8) -> usize {
    match command {
        0x04 | 0x08 | 0x0f | 0x10 | 0x38 | 0x40 | 0xe0 | 0xe2 | 0xe4 | 0xf9 => 1,
        0x05 | 0x0e | 0x14 | 0x16 | 0x17 | 0x24 | 0x41 | 0x42 | 0x48 | 0x74..=0x77 | 0x80 | 0xfa => 2,
        0xb0..=0xcf => 3,
        _ => 0,
    }
}

/// What E2h adds for each bit of its byte, and without one, by how many it had before.
const CHALLENGE: [[i16; 9]; 4] = [
    [0x01, -0x02, -0x04, 0x08, -0x10, 0x20, 0x40, -0x80, -106],
    [-0x01, 0x02, -0x04, 0x08, 0x10, -0x20, 0x40, -0x80, 165],
    [-0x01, 0x02, 0x04, -0x08, 0x10, -0x20, -0x40, 0x80, -151],
    [0x01, -0x02, 0x04, -0x08, -0x10, 0x20, -0x40, 0x80, 90],
];

const BYTES: Kind = Kind::Pcm { wide: false, signed: false, stereo: false };

impl Sb16 {
    /// A byte for port Ch.
    pub(super) fn command_byte(&mut self, cx: &mut Cx<'_>, v: u8) {
        if self.dsp.held {
            return;
        }
        self.dsp.busy_until = cx.now() + super::dsp::BUSY;
        if self.dsp.midi {
            self.mpu.write(v);
            return;
        }
        let command = match self.dsp.command {
            None => {
                self.dsp.command = Some(v);
                v
            }
            Some(c) => {
                self.dsp.args.push(v);
                c
            }
        };
        if self.dsp.args.len() >= parameters(command) {
            self.dsp.command = None;
            self.seen.commands += 1;
            let given = std::mem::take(&mut self.dsp.args);
            let args: [u8; 3] = std::array::from_fn(|n| given.get(n).copied().unwrap_or(0));
            self.carry_out(cx, command, args);
        }
    }

    fn carry_out(&mut self, cx: &mut Cx<'_>, command: u8, args: [u8; 3]) {
        let [a, b, c] = args;
        let low_high = u16::from_le_bytes([a, b]);
        let block = self.dsp.block;
        let d = &mut self.dsp;
        match command {
            // No signal processor (ASP) in its socket: its registers read as an open bus, what is set goes nowhere.
            0x04 | 0x05 | 0x0e => {}
            0x03 | 0x08 | 0x0f => d.give(&[0xff]),
            0x10 => (d.level, d.level_at) = ((i16::from(a) - 0x80) << 8, cx.now()),
            0x14 | 0x91 => {
                self.start(EIGHT, BYTES, false, false, if command == 0x14 { low_high } else { block })
            }
            0x1c | 0x90 => self.start(EIGHT, BYTES, false, true, block),
            0x16 | 0x17 => self.adpcm(Packing::Two, command, false, low_high),
            0x1f => self.adpcm(Packing::Two, command, true, block),
            0x74 | 0x75 => self.adpcm(Packing::Four, command, false, low_high),
            0x7d => self.adpcm(Packing::Four, command, true, block),
            0x76 | 0x77 => self.adpcm(Packing::TwoSix, command, false, low_high),
            0x7f => self.adpcm(Packing::TwoSix, command, true, block),
            // Silence on the line.
            0x20 => d.give(&[0x80]),
            0x24 | 0x2c | 0x98 | 0x99 => {
                let kind = Kind::Pcm { wide: false, signed: false, stereo: d.stereo_in };
                let auto = matches!(command, 0x2c | 0x98);
                self.start(EIGHT, kind, true, auto, if command == 0x24 { low_high } else { block });
            }
            // MIDI input: nothing comes.
            0x30 | 0x31 => {}
            0x34..=0x37 => d.midi = true,
            0x38 => self.mpu.write(a),
            0x40 => self.set_rate([Some(Rate::Constant(a)); 2]),
            0x41 => self.set_rate([Some(Rate::Hz(u16::from_be_bytes([a, b]))), None]),
            0x42 => self.set_rate([None, Some(Rate::Hz(u16::from_be_bytes([a, b])))]),
            0x45 => self.end_auto(EIGHT, false),
            0x47 => self.end_auto(SIXTEEN, false),
            0x48 => d.block = low_high,
            0x80 => self.start(EIGHT, Kind::Silence, false, false, low_high),
            0xa0 => d.stereo_in = false,
            0xa8 => d.stereo_in = true,
            0xb0..=0xcf => {
                let wide = command < 0xc0;
                let kind = Kind::Pcm { wide, signed: a & 0x10 != 0, stereo: a & 0x20 != 0 };
                let lane = if wide { SIXTEEN } else { EIGHT };
                let (record, auto) = (command & 8 != 0, command & 4 != 0);
                self.start(lane, kind, record, auto, u16::from_le_bytes([b, c]));
            }
            0xd0 => self.pause(EIGHT, true),
            0xd4 => self.pause(EIGHT, false),
            0xd5 => self.pause(SIXTEEN, true),
            0xd6 => self.pause(SIXTEEN, false),
            // From DSP 4.04 on the speaker is always connected; only what D8h says changes.
            0xd1 => d.speaker = true,
            0xd3 => d.speaker = false,
            0xd8 => d.give(&[if d.speaker { 0xff } else { 0 }]),
            0xd9 => self.end_auto(SIXTEEN, true),
            0xda => self.end_auto(EIGHT, true),
            0xe0 => d.give(&[!a]),
            0xe1 => {
                d.out.clear();
                d.give(&VERSION);
            }
            0xe2 => self.challenge(cx, a),
            0xe3 => d.give(COPYRIGHT),
            0xe4 => d.test = a,
            0xe8 => d.give(&[d.test]),
            0xf2 => d.forced[EIGHT] = Some(cx.now() + FORCED),
            0xf3 => d.forced[SIXTEEN] = Some(cx.now() + FORCED),
            0xf8 => d.give(&[0]),
            0xf9 => d.give(&[d.ram[usize::from(a)]]),
            0xfa => d.ram[usize::from(a)] = b,
            _ => {
                cx.open_bus(At { win: DSP, off: WRITE_PORT, width: Width::B });
            }
        }
    }

    /// `count`: samples or bytes of a block, less one.
    fn start(&mut self, lane: usize, kind: Kind, record: bool, auto: bool, count: u16) {
        let block = u32::from(count) + 1;
        let run = Run { kind, record, auto, block, left: block, paused: false, ending: false };
        let period = self.dsp.rate[usize::from(record)].period(run.channels());
        self.dsp.lanes[lane].start(run, period);
    }

    /// The commands with a reference byte are the odd ones.
    fn adpcm(&mut self, packing: Packing, command: u8, auto: bool, count: u16) {
        self.start(EIGHT, Kind::Adpcm(Adpcm::new(packing, command & 1 != 0)), false, auto, count);
    }

    /// A new rate counts at once, also for what is playing.
    fn set_rate(&mut self, to: [Option<Rate>; 2]) {
        for (rate, to) in self.dsp.rate.iter_mut().zip(to) {
            *rate = to.unwrap_or(*rate);
        }
        for lane in &mut self.dsp.lanes {
            if let Some(run) = &lane.run {
                lane.track.set_period(self.dsp.rate[usize::from(run.record)].period(run.channels()));
            }
        }
    }

    fn pause(&mut self, lane: usize, paused: bool) {
        self.dsp.lanes[lane].pause(paused);
    }

    fn end_auto(&mut self, lane: usize, ending: bool) {
        if let Some(run) = &mut self.dsp.lanes[lane].run {
            run.ending = ending;
        }
    }

    /// E2h: a byte that depends on all such bytes so far goes to memory.
    fn challenge(&mut self, cx: &mut Cx<'_>, v: u8) {
        let (sum, count) = self.dsp.challenge;
        let row = CHALLENGE[usize::from(count & 3)];
        let by: i16 = (0..8).filter(|n| v >> n & 1 != 0).map(|n| row[n]).sum::<i16>() + row[8];
        let sum = sum.wrapping_add(by as u8);
        self.dsp.challenge = (sum, count.wrapping_add(1));
        let dreq = self.dreq(EIGHT);
        cx.dma.transfer(dreq, cx.ram, &mut [sum], Dir::ToMemory);
    }
}
