//! The CT1745 mixer: an index and a data port, volumes in steps of 2 dB, and the card's interrupt and DMA set-up.
//! Sound Blaster Series Hardware Programming Guide, chapter 4, "CT1745 Mixer".

/// Index 00h: any write resets.
const RESET: u8 = 0x00;
/// Five-bit volumes in bits 7:3, left then right.
const MASTER: u8 = 0x30;
const VOICE: u8 = 0x32;
const MIDI: u8 = 0x34;
const CD: u8 = 0x36;
const LINE: u8 = 0x38;
const MIC: u8 = 0x3a;
const OUTPUT_GAIN: u8 = 0x41;
const TREBLE: u8 = 0x44;
const BASS: u8 = 0x46;
/// What this chip answers elsewhere: interrupt and DMA set-up and interrupt status are the card's.
pub(super) const IRQ_SETUP: u8 = 0x80;
pub(super) const DMA_SETUP: u8 = 0x81;
pub(super) const IRQ_STATUS: u8 = 0x82;
pub(super) const MPU_SETUP: u8 = 0x84;

const FIRST: u8 = MASTER;
const LAST: u8 = 0x47;
const REGISTERS: usize = (LAST - FIRST) as usize + 1;

/// Bits that are there, from [`FIRST`].
const MASK: [u8; REGISTERS] = [
    0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, // volumes
    0xf8, 0xc0, // microphone, speaker
    0x1f, 0x7f, 0x7f, // output and input switches
    0xc0, 0xc0, 0xc0, 0xc0, // gains
    0x01, // AGC
    0xf0, 0xf0, 0xf0, 0xf0, // treble, bass
];

/// Full where the card itself makes the sound, nothing of its inputs.
const DEFAULTS: [u8; REGISTERS] = [
    0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0x00, 0x00, // volumes
    0x00, 0x80, // microphone, speaker
    0x1f, 0x15, 0x0b, // output and input switches
    0x00, 0x00, 0x00, 0x00, // gains
    0x00, // AGC
    0x80, 0x80, 0x80, 0x80, // treble, bass
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mixer {
    pub index: u8,
    pub regs: [u8; REGISTERS],
}

/// What an index is.
enum What {
    Register(usize),
    /// A Sound Blaster Pro's register: four bits of the left and the right one that begins here.
    Pair(usize),
    /// Its microphone: three bits.
    Mic,
    Nothing,
}

fn what(index: u8) -> What {
    let pair = |r: u8| What::Pair(usize::from(r - FIRST));
    match index {
        0x04 => pair(VOICE),
        0x0a => What::Mic,
        0x22 => pair(MASTER),
        0x26 => pair(MIDI),
        0x28 => pair(CD),
        0x2e => pair(LINE),
        FIRST..=LAST => What::Register(usize::from(index - FIRST)),
        _ => What::Nothing,
    }
}

const MIC_AT: usize = (MIC - FIRST) as usize;

impl Mixer {
    pub(super) fn new() -> Self {
        Self { index: 0, regs: DEFAULTS }
    }

    /// `None`: no such register.
    pub(super) fn read(&self) -> Option<u8> {
        Some(match what(self.index) {
            _ if self.index == RESET => 0,
            What::Register(n) => self.regs[n],
            What::Pair(n) => self.regs[n] & 0xf0 | self.regs[n + 1] >> 4,
            What::Mic => self.regs[MIC_AT] >> 5,
            What::Nothing => return None,
        })
    }

    /// False: no such register.
    pub(super) fn write(&mut self, v: u8) -> bool {
        // The step between what four bits can say and what five can: full is full.
        const HALF: u8 = 0x08;
        match what(self.index) {
            _ if self.index == RESET => self.regs = DEFAULTS,
            What::Register(n) => self.regs[n] = v & MASK[n],
            What::Pair(n) => {
                (self.regs[n], self.regs[n + 1]) = (v & 0xf0 | HALF, v << 4 | HALF);
            }
            What::Mic => self.regs[MIC_AT] = v << 5 | 0x18,
            What::Nothing => return false,
        }
        true
    }

    fn reg(&self, index: u8) -> u8 {
        self.regs[usize::from(index - FIRST)]
    }

    /// 31 is 0 dB, each step below 2 dB less; 0 is off, as drivers mute with it.
    fn volume(&self, index: u8) -> f32 {
        let v = self.reg(index) >> 3;
        if v == 0 { 0.0 } else { decibels(2.0 * (f32::from(v) - 31.0)) }
    }

    /// Output gain: 0, 6, 12, 18 dB.
    fn output(&self, side: u8) -> f32 {
        let gain = self.reg(OUTPUT_GAIN + side) >> 6;
        self.volume(MASTER + side) * f32::from(1_u8 << gain)
    }

    /// From the DSP to the output, left and right.
    pub(super) fn voice(&self) -> [f32; 2] {
        [0, 1].map(|side| self.volume(VOICE + side) * self.output(side))
    }

    /// From the synthesizer to the output.
    pub(super) fn midi(&self) -> [f32; 2] {
        [0, 1].map(|side| self.volume(MIDI + side) * self.output(side))
    }

    /// Gains of treble and bass, left and right: 14 dB either way in steps of 2 dB, flat at 7 and 8.
    pub(super) fn tone(&self, side: u8) -> (f32, f32) {
        let gain = |v: u8| {
            let v = v >> 4;
            let steps = if v < 8 { i16::from(v) - 7 } else { i16::from(v) - 8 };
            decibels(2.0 * f32::from(steps))
        };
        (gain(self.reg(TREBLE + side)), gain(self.reg(BASS + side)))
    }
}

fn decibels(db: f32) -> f32 {
    10_f32.powf(db / 20.0)
}

/// The treble and bass controls of one side: what lies above and below two corners, amplified.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tone {
    pub low: f32,
    pub mid: f32,
}

impl Tone {
    /// Of a first-order low-pass at 48 kHz: corners at about 250 Hz and 3 kHz.
    const LOW: f32 = 0.032;
    const HIGH: f32 = 0.325;

    pub(super) fn apply(&mut self, v: f32, (treble, bass): (f32, f32)) -> f32 {
        self.low += (v - self.low) * Self::LOW;
        self.mid += (v - self.mid) * Self::HIGH;
        if treble == 1.0 && bass == 1.0 {
            return v;
        }
        v + self.low * (bass - 1.0) + (v - self.mid) * (treble - 1.0)
    }
}
