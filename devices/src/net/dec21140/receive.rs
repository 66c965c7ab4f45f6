//! The receive process. HRM 4.3: descriptors from CSR3 on, as long as they are ours.
//!
//! The port is asked for a frame only when the last one has found its place. One that finds no descriptor waits in the
//! FIFO: the chip suspends itself with RU as the manual says, and looks again at a poll demand, when the port has news,
//! and by and by, as it would with the next frame from a wire.

use board::{Cx, MICROSECOND, MILLISECOND, Tick};

use super::crc::crc32;
use super::descriptor::{Abort, Process, fetch, write};
use super::filter::{Mac, Verdict, is_group};
use super::regs::{Rdes0, Rdes1, status};
use super::transmit::SHORTEST;
use super::{Dec21140, RECEIVE, SOON, VISITS};

/// Room for the longest frame of a port, and more.
const ROOM: usize = 2048;
/// Frames in the FIFO: more than one only in loopback.
const FIFO: usize = 16;
/// How long a suspended receiver waits before it looks again: at first, and at most.
pub(super) const FIRST_LOOK: Tick = 50 * MICROSECOND;
const LAST_LOOK: Tick = MILLISECOND;
/// A frame that waited so long is lost.
const PATIENCE: Tick = 100 * MILLISECOND;

/// A frame on its way in, its check behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    /// RDES0.DT.
    pub(super) from: u8,
    /// Let in by receive-all alone.
    pub(super) failed: bool,
}

enum Pulled {
    Frame(Frame),
    /// It was not for us.
    Other,
    Nothing,
}

enum Placed {
    Done,
    /// No descriptor is ours.
    Full,
}

fn destination(frame: &[u8]) -> Option<Mac> {
    frame.first_chunk().copied()
}

impl Dec21140 {
    /// The port has frames.
    pub(super) fn news(&mut self, cx: &mut Cx<'_>) {
        if self.rx.stopped() { self.discard(cx) } else { self.receive(cx) }
    }

    /// Puts frames into memory while there are frames and room.
    pub(super) fn receive(&mut self, cx: &mut Cx<'_>) {
        if self.rx.stopped() || !self.may_master() {
            return;
        }
        if self.place_all(cx).is_err() {
            self.bus_error();
        }
    }

    fn place_all(&mut self, cx: &mut Cx<'_>) -> Result<(), Abort> {
        let mut visits = 0;
        while visits < VISITS {
            let frame = match self.fifo.pop_front().map_or_else(|| self.pull(), Pulled::Frame) {
                Pulled::Frame(f) => f,
                Pulled::Other => {
                    visits += 1;
                    continue;
                }
                Pulled::Nothing => {
                    cx.cancel(RECEIVE);
                    return Ok(());
                }
            };
            match self.place(cx, &frame, &mut visits)? {
                Placed::Done => {
                    self.waits = None;
                    self.look = FIRST_LOOK;
                    self.spare = frame.bytes;
                }
                Placed::Full => {
                    self.wait(cx, frame);
                    return Ok(());
                }
            }
        }
        // More than one access may take; the rest in a moment.
        cx.wake_at(RECEIVE, cx.now() + SOON);
        Ok(())
    }

    /// The frame stays in the FIFO, for a while.
    fn wait(&mut self, cx: &mut Cx<'_>, frame: Frame) {
        let now = cx.now();
        let since = *self.waits.get_or_insert(now);
        if now.saturating_sub(since) < PATIENCE {
            self.fifo.push_front(frame);
        } else {
            self.waits = None;
            self.counters.miss();
            self.seen.missed += 1;
        }
        cx.wake_at(RECEIVE, now + self.look);
        self.look = (2 * self.look).min(LAST_LOOK);
    }

    /// Takes the port's next frame.
    fn pull(&mut self) -> Pulled {
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.resize(ROOM, 0);
        let Some(n) = self.port.receive(&mut bytes) else {
            self.spare = bytes;
            return Pulled::Nothing;
        };
        bytes.truncate(n);
        // A loop inside the chip has cut the wire.
        let wanted = if self.op_mode.om() == 0 { self.wanted(&bytes) } else { None };
        let Some(failed) = wanted else {
            self.spare = bytes;
            return Pulled::Other;
        };
        // Whoever sends a short frame pads it.
        bytes.resize(n.max(SHORTEST), 0);
        bytes.extend(crc32(&bytes).to_le_bytes());
        Pulled::Frame(Frame { bytes, from: 0, failed })
    }

    /// Is the frame for us? Some(true): by receive-all alone.
    fn wanted(&mut self, frame: &[u8]) -> Option<bool> {
        match self.filter.judge(self.op_mode, destination(frame)?) {
            Verdict::Pass => Some(false),
            Verdict::PassFailed => Some(true),
            Verdict::Drop => {
                self.seen.filtered += 1;
                None
            }
        }
    }

    /// What came on the wire while nobody listened is gone.
    pub(super) fn discard(&mut self, cx: &mut Cx<'_>) {
        self.fifo.clear();
        self.waits = None;
        self.buffer.resize(ROOM, 0);
        for _ in 0..VISITS {
            if self.port.receive(&mut self.buffer).is_none() {
                cx.cancel(RECEIVE);
                return;
            }
        }
        cx.wake_at(RECEIVE, cx.now() + SOON);
    }

    /// Our own frame, in loopback.
    pub(super) fn loop_back(&mut self, cx: &mut Cx<'_>, frame: &[u8], om: u8) {
        if self.rx.stopped() {
            return;
        }
        let verdict = destination(frame).map_or(Verdict::Drop, |to| self.filter.judge(self.op_mode, to));
        if verdict == Verdict::Drop || frame.len() < 64 && !self.op_mode.pb() {
            return;
        }
        if self.fifo.len() >= FIFO {
            self.receive(cx);
        }
        if self.fifo.len() >= FIFO {
            self.counters.overflow();
            return;
        }
        let failed = verdict == Verdict::PassFailed;
        self.fifo.push_back(Frame { bytes: frame.to_vec(), from: om, failed });
    }

    /// Looks whether the current descriptor is ours, as the chip does ahead of a frame.
    pub(super) fn look_ahead(&mut self, cx: &mut Cx<'_>) -> Result<bool, Abort> {
        let ours = fetch::<Rdes1>(cx.ram, self.rx.at)?.own();
        if !ours && self.rx.process == Process::Running {
            // Once: not for one after the other that is the host's.
            self.status |= status::RU;
        }
        self.rx.process = if ours { Process::Running } else { Process::Suspended };
        Ok(ours)
    }

    fn place(&mut self, cx: &mut Cx<'_>, f: &Frame, visits: &mut u32) -> Result<Placed, Abort> {
        if !self.look_ahead(cx)? {
            return Ok(Placed::Full);
        }
        let mut d = fetch::<Rdes1>(cx.ram, self.rx.at)?;
        let mut rest = &f.bytes[..];
        let mut state = Rdes0::new().with_fs(true);
        loop {
            *visits += 1;
            for (at, len) in d.buffers() {
                let (part, behind) = rest.split_at(rest.len().min(len as usize));
                write(cx.ram, at, part)?;
                rest = behind;
            }
            self.rx.at = self.rx.behind(&d, self.bus_mode.dsl());
            if rest.is_empty() {
                d.close(cx.ram, self.closing(state, f).into_bits());
                break;
            }
            let next = fetch::<Rdes1>(cx.ram, self.rx.at)?;
            if !next.own() || *visits > 2 * VISITS {
                let cut = state.with_ls(true).with_de(true).with_es(true);
                d.close(cx.ram, cut.into_bits());
                break;
            }
            d.close(cx.ram, state.into_bits());
            state = Rdes0::new();
            d = next;
        }
        self.status |= status::RI;
        self.seen.received += 1;
        self.seen.received_bytes += f.bytes.len() as u64;
        self.look_ahead(cx)?;
        Ok(Placed::Done)
    }

    /// RDES0 of a frame's last descriptor.
    fn closing(&self, state: Rdes0, f: &Frame) -> Rdes0 {
        let (body, check) = f.bytes.split_at(f.bytes.len().saturating_sub(4));
        let kind = body.get(12..14).map_or(0, |t| u16::from_be_bytes([t[0], t[1]]));
        let runt = f.bytes.len() < 64;
        // What came from the port was never damaged.
        let damaged = f.from != 0 && crc32(body).to_le_bytes() != *check;
        state
            .with_ls(true)
            .with_fl(f.bytes.len() as u16)
            .with_ft(kind > 1500)
            .with_mf(destination(body).is_some_and(is_group))
            .with_tl(f.bytes.len() > 1518)
            .with_rf(runt)
            .with_ce(damaged)
            .with_es(runt || damaged)
            .with_dt(f.from & 3)
            .with_ff(f.failed)
    }
}
