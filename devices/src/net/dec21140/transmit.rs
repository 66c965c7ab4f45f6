//! The transmit process. HRM 4.3: descriptors from CSR4 on, as long as they are ours.

use board::{Cx, MICROSECOND, Tick};

use super::crc::crc32;
use super::descriptor::{Abort, Descriptor, Process, fetch, read};
use super::filter::{Kind, SETUP_BYTES};
use super::regs::{SETUP_DONE, Tdes0, Tdes1, status};
use super::{Dec21140, SOON, TRANSMIT, VISITS};

/// The shortest frame, and the longest with a VLAN tag, without their checks.
pub(super) const SHORTEST: usize = 60;
const LONGEST: usize = 1522;
const HEADER: usize = 14;
/// Bytes after which a transmitter that is not told otherwise by CSR15 talks too long.
const JABBER: usize = 32 << 10;
const JABBER_SHORT: usize = 2560;
/// How often a suspended transmitter looks again, by CSR0.TAP, at 10 Mb/s. The four fastest are 12.8 to 102.4 us in the
/// manual; who asks for them can't tell.
const AUTO_POLL: [Option<Tick>; 8] = {
    const fn us(n: Tick) -> Option<Tick> {
        Some(n * MICROSECOND)
    }
    [None, us(200), us(800), us(1600), us(100), us(100), us(100), us(100)]
};

/// Frames that are demanded so soon after others go together with those of the next moments: the far end answers them at
/// once, and with one interrupt. So long for each of those others, which would have been on the wire for up to 120 us each;
/// the first of a burst does not wait.
const GATHERED: Tick = 40 * MICROSECOND;
const MOST_GATHERED: u32 = 4;

/// How the gathering of a frame ended.
enum Gathered {
    /// The whole of it: its last descriptor, and its length.
    Whole(Descriptor<Tdes1>, usize),
    /// The list or the transmitter failed it.
    Failed,
}

impl Dec21140 {
    /// CSR1.
    pub(super) fn demand(&mut self, cx: &mut Cx<'_>) {
        let gather = |n: u32| GATHERED * Tick::from(n.min(MOST_GATHERED));
        let busy = self.sent_at.map(|(t, n)| t + gather(n)).filter(|&t| cx.now() < t);
        match busy {
            _ if self.tx.process == Process::Running => {}
            Some(t) if self.tx.process == Process::Suspended && self.may_master() => {
                self.tx.process = Process::Running;
                cx.wake_by(TRANSMIT, t);
            }
            _ => self.transmit(cx, true),
        }
    }

    /// Sends all that is ours. `demand`: the host asked (CSR1), so it is told if there is nothing.
    pub(super) fn transmit(&mut self, cx: &mut Cx<'_>, demand: bool) {
        if self.tx.stopped() || !self.may_master() {
            return;
        }
        if self.send_all(cx, demand).is_err() {
            self.bus_error();
        }
        let sent = std::mem::take(&mut self.unflushed);
        if sent > 0 {
            self.sent_at = Some((cx.now(), sent));
            if self.port.flush() {
                self.news(cx);
            }
        }
        match self.tx.process {
            Process::Stopped => cx.cancel(TRANSMIT),
            // More than one access may take; the rest in a moment.
            Process::Running => cx.wake_at(TRANSMIT, cx.now() + SOON),
            Process::Suspended => match AUTO_POLL[self.bus_mode.tap()] {
                Some(t) => cx.wake_at(TRANSMIT, cx.now() + t),
                None => cx.cancel(TRANSMIT),
            },
        }
    }

    fn send_all(&mut self, cx: &mut Cx<'_>, demand: bool) -> Result<(), Abort> {
        let mut visits = 0;
        while visits < VISITS && !self.tx.stopped() {
            let d = fetch::<Tdes1>(cx.ram, self.tx.at)?;
            if !d.own() {
                if demand || self.tx.process == Process::Running {
                    self.status |= status::TU;
                }
                self.tx.process = Process::Suspended;
                return Ok(());
            }
            self.tx.process = Process::Running;
            let c = d.control;
            if c.set() {
                visits += 1;
                self.set_up(cx, &d)?;
            } else if !c.fs() {
                // Nothing to send: drivers put such a one before a setup frame. A frame without its beginning goes too.
                visits += 1;
                self.close(cx, &d, Tdes0::new());
            } else if let Gathered::Whole(last, total) = self.gather(cx, d, &mut visits)? {
                let done = self.send(cx, last.control, total);
                self.close(cx, &last, done);
                if self.op_mode.om() != 0 {
                    self.receive(cx);
                }
            } else {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives a descriptor back with this status and goes on to the next.
    fn close(&mut self, cx: &mut Cx<'_>, d: &Descriptor<Tdes1>, done: Tdes0) {
        self.tx.at = self.tx.behind(d, self.bus_mode.dsl());
        d.close(cx.ram, done.into_bits());
        if d.control.ls() && d.control.ic() {
            self.status |= status::TI;
        }
    }

    /// A setup frame: what the filter knows from now on. HRM 4.2.3.
    fn set_up(&mut self, cx: &mut Cx<'_>, d: &Descriptor<Tdes1>) -> Result<(), Abort> {
        let [(at, len), _] = d.buffers();
        if len as usize >= SETUP_BYTES {
            let mut frame = [0; SETUP_BYTES];
            read(cx.ram, at, &mut frame)?;
            self.filter.set_up(Kind::from_bits(d.control.ft1(), d.control.ft0()), &frame);
        }
        self.tx.at = self.tx.behind(d, self.bus_mode.dsl());
        d.close(cx.ram, SETUP_DONE);
        if d.control.ic() {
            self.status |= status::TI;
        }
        self.seen.setups += 1;
        Ok(())
    }

    fn jabber(&self) -> usize {
        // CSR15: JBD, JCK.
        match self.csr15 & 5 {
            0 => JABBER,
            4 => JABBER_SHORT,
            _ => usize::MAX,
        }
    }

    /// Reads a frame into `self.buffer`, as much of it as a frame may have. All its descriptors but the last are closed.
    fn gather(
        &mut self,
        cx: &mut Cx<'_>,
        first: Descriptor<Tdes1>,
        visits: &mut u32,
    ) -> Result<Gathered, Abort> {
        let mut d = first;
        let mut total = 0;
        self.buffer.clear();
        loop {
            *visits += 1;
            for (at, len) in d.buffers() {
                total += len as usize;
                let from = self.buffer.len();
                let room = LONGEST + 4 - from;
                self.buffer.resize(from + room.min(len as usize), 0);
                read(cx.ram, at, &mut self.buffer[from..])?;
            }
            // A list without an end talks for ever, too.
            if total > self.jabber() || *visits > 2 * VISITS {
                self.close(cx, &d, Tdes0::new().with_to(true).with_es(true));
                self.tx.process = Process::Stopped;
                self.status |= status::TJT | status::TPS;
                return Ok(Gathered::Failed);
            }
            if d.control.ls() {
                return Ok(Gathered::Whole(d, total));
            }
            let next = fetch::<Tdes1>(cx.ram, self.tx.behind(&d, self.bus_mode.dsl()))?;
            if !next.own() || next.control.fs() {
                // The wire does not wait for the host.
                self.close(cx, &d, Tdes0::new().with_uf(true).with_es(true));
                self.tx.process = Process::Suspended;
                self.status |= status::UNF | status::TU;
                return Ok(Gathered::Failed);
            }
            self.close(cx, &d, Tdes0::new());
            d = next;
        }
    }

    /// Puts the gathered frame on the wire, or into our own receiver.
    fn send(&mut self, cx: &mut Cx<'_>, c: Tdes1, total: usize) -> Tdes0 {
        let mode = self.op_mode;
        if mode.om() == 1 && mode.fc() {
            return Tdes0::new().with_ec(true).with_es(true);
        }
        let mut frame = std::mem::take(&mut self.buffer);
        // A frame that is padded gets a check, too, whatever AC says.
        let padded = !c.dpd() && total < SHORTEST;
        if padded {
            frame.resize(SHORTEST, 0);
        }
        let checked = c.ac() && !padded;
        if mode.om() != 0 {
            if !checked {
                let check = crc32(&frame);
                frame.extend(check.to_le_bytes());
            }
            self.loop_back(cx, &frame, mode.om());
        } else {
            let body = if checked { without_check(&frame) } else { Some(&frame[..]) };
            // What no switch lets through ends here.
            match body {
                Some(body) if total <= LONGEST + 4 && (HEADER..=LONGEST).contains(&body.len()) => {
                    self.port.send(body);
                    self.unflushed += 1;
                    self.seen.sent += 1;
                    self.seen.sent_bytes += body.len() as u64;
                }
                _ => self.seen.unsent += 1,
            }
        }
        self.buffer = frame;
        Tdes0::new()
    }
}

/// The frame without the check that the host put behind it; None if that is wrong.
fn without_check(frame: &[u8]) -> Option<&[u8]> {
    let (body, check) = frame.split_last_chunk::<4>()?;
    (crc32(body).to_le_bytes() == *check).then_some(body)
}
