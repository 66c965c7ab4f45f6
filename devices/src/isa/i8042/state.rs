//! Saved state of the controller, the keyboard and the mouse.

use std::collections::VecDeque;

use board::{Key, Pointer, StateError, StateIn, StateOut};
use minicbor::{Decode, Encode};

use super::keyboard::{Held, Keyboard};
use super::keys::Code;
use super::mouse::Mouse;
use super::regs::Ctr;
use super::{I8042, Regs};

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct I8042V1 {
    #[n(0)]
    regs: RegsV1,
    #[n(1)]
    keyboard: KeyboardV1,
    #[n(2)]
    mouse: MouseV1,
}

#[derive(Encode, Decode)]
struct RegsV1 {
    #[n(0)]
    ctr: u8,
    #[n(1)]
    ram: [u8; 32],
    #[n(2)]
    cd: bool,
    #[n(3)]
    sys: bool,
    #[n(4)]
    out: u8,
    #[n(5)]
    obf: bool,
    #[n(6)]
    aux: bool,
    #[n(7)]
    replies: Vec<(u8, bool)>,
    #[n(8)]
    expects: Option<u8>,
    #[n(9)]
    broke: bool,
    #[n(10)]
    link_at: u64,
}

#[derive(Encode, Decode)]
struct HeldV1 {
    #[n(0)]
    key: u16,
    /// Extended, make code, down.
    #[n(1)]
    undo: Vec<(bool, u8, bool)>,
}

#[derive(Encode, Decode)]
struct KeyboardV1 {
    #[n(0)]
    replies: Vec<u8>,
    #[n(1)]
    codes: Vec<u8>,
    #[n(2)]
    waiting: Vec<(u16, bool)>,
    #[n(3)]
    set: u8,
    #[n(4)]
    scanning: bool,
    #[n(5)]
    leds: u8,
    #[n(6)]
    rate: u8,
    #[n(7)]
    expects: Option<u8>,
    #[n(8)]
    last: u8,
    #[cbor(n(9), with = "minicbor::bytes")]
    types: [u8; 256],
    #[n(10)]
    held: Vec<HeldV1>,
    #[n(11)]
    repeat: Option<(u16, u64)>,
    #[n(12)]
    bat_at: Option<u64>,
}

#[derive(Encode, Decode)]
struct MouseV1 {
    #[n(0)]
    replies: Vec<u8>,
    #[n(1)]
    packet: Vec<u8>,
    #[n(2)]
    last: Vec<u8>,
    /// dx, dy, wheel, buttons.
    #[n(3)]
    waiting: Vec<(i32, i32, i32, u8)>,
    #[n(4)]
    buttons: u8,
    #[n(5)]
    reporting: bool,
    #[n(6)]
    remote: bool,
    #[n(7)]
    wrap: bool,
    #[n(8)]
    double: bool,
    #[n(9)]
    resolution: u8,
    #[n(10)]
    rate: u8,
    #[n(11)]
    id: u8,
    #[n(12)]
    knock: [u8; 3],
    #[n(13)]
    expects: Option<u8>,
    #[n(14)]
    erred: bool,
    #[n(15)]
    sample_at: u64,
    #[n(16)]
    bat_at: Option<u64>,
}

fn bytes(q: &VecDeque<u8>) -> Vec<u8> {
    q.iter().copied().collect()
}

fn regs(r: &Regs) -> RegsV1 {
    let Regs { ctr, ram, cd, sys, out, obf, aux, replies, expects, broke, link_at } = r;
    RegsV1 {
        ctr: ctr.into_bits(),
        ram: *ram,
        cd: *cd,
        sys: *sys,
        out: *out,
        obf: *obf,
        aux: *aux,
        replies: replies.iter().copied().collect(),
        expects: *expects,
        broke: *broke,
        link_at: *link_at,
    }
}

fn keyboard(k: &Keyboard) -> KeyboardV1 {
    let Keyboard {
        replies,
        codes,
        waiting,
        set,
        scanning,
        leds,
        rate,
        expects,
        last,
        types,
        held,
        repeat,
        bat_at,
    } = k;
    let undo = |h: &Held| h.undo.iter().map(|c| (c.extended, c.make, c.down)).collect();
    KeyboardV1 {
        replies: bytes(replies),
        codes: bytes(codes),
        waiting: waiting.iter().map(|(k, down)| (k.0, *down)).collect(),
        set: *set,
        scanning: *scanning,
        leds: *leds,
        rate: *rate,
        expects: *expects,
        last: *last,
        types: *types,
        held: held.iter().map(|h| HeldV1 { key: h.key.0, undo: undo(h) }).collect(),
        repeat: repeat.map(|(k, t)| (k.0, t)),
        bat_at: *bat_at,
    }
}

fn mouse(m: &Mouse) -> MouseV1 {
    let Mouse {
        replies,
        packet,
        last,
        waiting,
        buttons,
        reporting,
        remote,
        wrap,
        double,
        resolution,
        rate,
        id,
        knock,
        expects,
        erred,
        sample_at,
        bat_at,
    } = m;
    MouseV1 {
        replies: bytes(replies),
        packet: bytes(packet),
        last: last.clone(),
        waiting: waiting.iter().map(|p| (p.dx, p.dy, p.wheel, p.buttons)).collect(),
        buttons: *buttons,
        reporting: *reporting,
        remote: *remote,
        wrap: *wrap,
        double: *double,
        resolution: *resolution,
        rate: *rate,
        id: *id,
        knock: *knock,
        expects: *expects,
        erred: *erred,
        sample_at: *sample_at,
        bat_at: *bat_at,
    }
}

impl From<RegsV1> for Regs {
    fn from(v: RegsV1) -> Self {
        let RegsV1 { ctr, ram, cd, sys, out, obf, aux, replies, expects, broke, link_at } = v;
        let (ctr, replies) = (Ctr::from_bits(ctr), replies.into());
        Self { ctr, ram, cd, sys, out, obf, aux, replies, expects, broke, link_at }
    }
}

impl From<KeyboardV1> for Keyboard {
    fn from(v: KeyboardV1) -> Self {
        let KeyboardV1 {
            replies,
            codes,
            waiting,
            set,
            scanning,
            leds,
            rate,
            expects,
            last,
            types,
            held,
            repeat,
            bat_at,
        } = v;
        let code = |(extended, make, down)| Code { extended, make, down };
        let to_held = |h: HeldV1| Held { key: Key(h.key), undo: h.undo.into_iter().map(code).collect() };
        Self {
            replies: replies.into(),
            codes: codes.into(),
            waiting: waiting.into_iter().map(|(k, down)| (Key(k), down)).collect(),
            set,
            scanning,
            leds,
            rate,
            expects,
            last,
            types,
            held: held.into_iter().map(to_held).collect(),
            repeat: repeat.map(|(k, t)| (Key(k), t)),
            bat_at,
        }
    }
}

impl From<MouseV1> for Mouse {
    fn from(v: MouseV1) -> Self {
        let MouseV1 {
            replies,
            packet,
            last,
            waiting,
            buttons,
            reporting,
            remote,
            wrap,
            double,
            resolution,
            rate,
            id,
            knock,
            expects,
            erred,
            sample_at,
            bat_at,
        } = v;
        let pointer = |(dx, dy, wheel, buttons)| Pointer { dx, dy, wheel, buttons };
        Self {
            replies: replies.into(),
            packet: packet.into(),
            last,
            waiting: waiting.into_iter().map(pointer).collect(),
            buttons,
            reporting,
            remote,
            wrap,
            double,
            resolution,
            rate,
            id,
            knock,
            expects,
            erred,
            sample_at,
            bat_at,
        }
    }
}

pub(super) fn save(c: &I8042, out: &mut StateOut) {
    let I8042 { irq1: _, irq12: _, keyboard: k, mouse: m, regs: r, lamps: _, shown: _, seen: _ } = c;
    out.put(VERSION, &I8042V1 { regs: regs(r), keyboard: keyboard(k), mouse: mouse(m) });
}

pub(super) fn load(c: &mut I8042, s: &StateIn<'_>) -> Result<(), StateError> {
    let I8042V1 { regs, keyboard, mouse } = s.get(VERSION)?;
    if !(1..=3).contains(&keyboard.set) {
        return Err(s.bad("set", u64::from(keyboard.set)));
    }
    if !matches!(mouse.id, 0 | 3 | 4) {
        return Err(s.bad("id", u64::from(mouse.id)));
    }
    c.regs = regs.into();
    c.keyboard = keyboard.into();
    c.mouse = mouse.into();
    Ok(())
}
