//! Saved state of the timer.

use board::{StateError, StateIn, StateOut};
use minicbor::{Decode, Encode};

use super::I8254;
use super::channel::Channel;
use super::regs::{Control, Nmisc};
use super::speaker::{Speaker, SpeakerV1};
use super::ticks::Ticks;
use crate::audio::desk::WaitingV1;

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct TimerV1 {
    #[n(0)]
    ch: [ChannelV1; 3],
    #[n(1)]
    port61: u8,
    #[n(2)]
    owed: u64,
    #[n(3)]
    on_wire: bool,
    #[n(4)]
    put: u64,
    #[n(5)]
    untaken: u32,
    #[n(6)]
    speaker: Option<SpeakerV1>,
    #[n(7)]
    waiting: Option<WaitingV1>,
}

#[derive(Encode, Decode)]
struct ChannelV1 {
    #[n(0)]
    control: u8,
    #[n(1)]
    cr: u16,
    #[n(2)]
    write_high: bool,
    #[n(3)]
    read_high: bool,
    #[n(4)]
    latch: Option<u16>,
    #[n(5)]
    status: Option<u8>,
    #[n(6)]
    null: bool,
    #[n(7)]
    gate: bool,
    #[n(8)]
    out: bool,
    #[n(9)]
    armed: bool,
    #[n(10)]
    loaded: bool,
    #[n(11)]
    load: bool,
    #[n(12)]
    halted: bool,
    #[n(13)]
    live: bool,
    #[n(14)]
    strobe: bool,
    #[n(15)]
    odd: bool,
    #[n(16)]
    ce: u32,
    #[n(17)]
    at: u64,
    #[n(18)]
    low: u8,
}

impl From<&Channel> for ChannelV1 {
    fn from(c: &Channel) -> Self {
        let Channel {
            control,
            cr,
            write_high,
            read_high,
            latch,
            status,
            null,
            gate,
            out,
            armed,
            loaded,
            load,
            halted,
            live,
            strobe,
            odd,
            ce,
            at,
            low,
        } = *c;
        Self {
            control: control.into_bits(),
            cr,
            write_high,
            read_high,
            latch,
            status,
            null,
            gate,
            out,
            armed,
            loaded,
            load,
            halted,
            live,
            strobe,
            odd,
            ce,
            at,
            low,
        }
    }
}

fn channel(s: &StateIn<'_>, v: ChannelV1) -> Result<Channel, StateError> {
    let ChannelV1 {
        control,
        cr,
        write_high,
        read_high,
        latch,
        status,
        null,
        gate,
        out,
        armed,
        loaded,
        load,
        halted,
        live,
        strobe,
        odd,
        ce,
        at,
        low,
    } = v;
    if ce > 0x1_0000 || live && loaded && ce == 0 && matches!(control >> 1 & 7, 0 | 1 | 4 | 5) {
        return Err(s.bad("ce", u64::from(ce)));
    }
    Ok(Channel {
        control: Control::from_bits(control),
        cr,
        write_high,
        read_high,
        latch,
        status,
        null,
        gate,
        out,
        armed,
        loaded,
        load,
        halted,
        live,
        strobe,
        odd,
        ce,
        at,
        low,
    })
}

pub(super) fn save(t: &I8254, out: &mut StateOut) {
    let I8254 { irq0: _, ch, port61, ticks, speaker } = t;
    let Ticks { owed, on_wire, put, untaken, mark: _, delivered: _, made_up: _, given_up: _ } = *ticks;
    let ch = [(&ch[0]).into(), (&ch[1]).into(), (&ch[2]).into()];
    let waiting = speaker.as_ref().and_then(Speaker::waiting);
    let speaker = speaker.as_ref().and_then(Speaker::save);
    out.put(
        VERSION,
        &TimerV1 { ch, port61: port61.into_bits(), owed, on_wire, put, untaken, speaker, waiting },
    );
}

pub(super) fn load(t: &mut I8254, s: &StateIn<'_>) -> Result<(), StateError> {
    let TimerV1 { ch: [a, b, c], port61, owed, on_wire, put, untaken, speaker, waiting } = s.get(VERSION)?;
    t.ch = [channel(s, a)?, channel(s, b)?, channel(s, c)?];
    t.port61 = Nmisc::from_bits(port61 & 0x0f);
    t.ticks = Ticks { owed, on_wire, put, untaken, ..Ticks::default() };
    if let Some(own) = &mut t.speaker {
        // The waiting frames first: they come before those that follow.
        let sane = own.load_waiting(waiting);
        let sane = sane
            && match speaker {
                Some(v) => own.load(v),
                None => {
                    own.reset(t.port61.speaker() && t.ch[2].out);
                    true
                }
            };
        if !sane {
            return Err(s.bad("speaker", 0));
        }
    }
    Ok(())
}
