//! One connection: segments to the guest.

use std::io;

use smoltcp::wire::{TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};

use super::super::env::Env;
use super::super::frame::{self, ETH, IPV4, Ip, TCP};
use super::flow::{End, Flow, MSS, SHIFT, State};
use super::ring::LARGEST;
use super::seq::{ahead, before, later};

const HEADER: usize = 20;
/// More than the guest's window is read from the host at once, so that there are few reads.
const AHEAD: usize = 64 << 10;

/// What [`Flow::next`] made.
pub(super) enum Step {
    /// A frame, and there may be more.
    Frame(usize),
    /// A frame, and the connection is gone.
    Last(usize),
    Gone,
    Idle,
}

#[derive(Clone, Copy, Default)]
struct Flags {
    push: bool,
    fin: bool,
    reset: bool,
}

impl Flow {
    pub(super) fn next(&mut self, env: &mut Env, frame: &mut [u8]) -> Step {
        if let Some(end) = self.end {
            return self.break_off(env, end, frame);
        }
        match self.state {
            State::Connecting => Step::Idle,
            State::SynReceived | State::SynSent => {
                if !std::mem::take(&mut self.syn_due) {
                    return Step::Idle;
                }
                Step::Frame(self.emit_syn(env, frame))
            }
            State::Open => {
                let step = self.next_open(env, frame);
                // Reading may have shown that the connection is broken.
                match (self.end, &step) {
                    (Some(end), Step::Idle) => self.break_off(env, end, frame),
                    _ => step,
                }
            }
            State::TimeWait => self.next_ack(env, frame),
        }
    }

    fn break_off(&mut self, env: &Env, end: End, frame: &mut [u8]) -> Step {
        if let Some(s) = self.stream.take() {
            s.abort();
        }
        match end {
            End::Silent => Step::Gone,
            End::Reset => {
                let flags = Flags { reset: true, ..Flags::default() };
                Step::Last(self.emit(env, frame, self.nxt, 0..0, flags))
            }
        }
    }

    fn next_open(&mut self, env: &mut Env, frame: &mut [u8]) -> Step {
        self.read();
        if std::mem::take(&mut self.resend_first) && self.una != self.max {
            let n = self.data.len().min(self.mss);
            let fin = n == self.data.len() && self.eof;
            return Step::Frame(self.emit(
                env,
                frame,
                self.una,
                0..n,
                Flags { fin, push: true, reset: false },
            ));
        }
        let out = self.nxt.wrapping_sub(self.una) as usize;
        let pending = self.data.len().saturating_sub(out);
        if pending > 0 {
            let usable = ahead(self.nxt, self.una.wrapping_add(self.window)) as usize;
            let n = pending.min(self.mss).min(usable);
            // RFC 9293, 3.8.6.2.1: no small segments because a window is nearly full.
            if n > 0 && (n == self.mss || n == pending || out == 0) {
                let last = n == pending;
                let fin = last && self.eof;
                let flags = Flags { fin, push: last, reset: false };
                return Step::Frame(self.emit(env, frame, self.nxt, out..out + n, flags));
            }
            if out == 0 {
                // The window is closed: what lacks is not an acknowledgment.
                self.resend_at = None;
                self.probe_at.get_or_insert(env.now + self.rto);
            }
        } else if self.eof && !self.fin_acked && out == self.data.len() {
            return Step::Frame(self.emit(
                env,
                frame,
                self.nxt,
                0..0,
                Flags { fin: true, ..Flags::default() },
            ));
        }
        if std::mem::take(&mut self.probe_due) {
            // What was acknowledged long ago is answered with the window.
            let seq = self.una.wrapping_sub(1);
            return Step::Frame(self.emit(env, frame, seq, 0..0, Flags::default()));
        }
        self.next_ack(env, frame)
    }

    fn next_ack(&mut self, env: &Env, frame: &mut [u8]) -> Step {
        if self.acks_due == 0 {
            return Step::Idle;
        }
        Step::Frame(self.emit(env, frame, self.nxt, 0..0, Flags::default()))
    }

    /// Takes from the host what the guest will take soon.
    fn read(&mut self) {
        let Some(stream) = self.stream.as_mut().filter(|_| self.readable && !self.eof) else { return };
        let out = self.nxt.wrapping_sub(self.una) as usize;
        if self.data.len().saturating_sub(out) >= self.mss {
            return;
        }
        let room = (self.window as usize + AHEAD).min(LARGEST).saturating_sub(self.data.len());
        match self.data.read(stream, room) {
            None => {}
            Some(Ok(0)) => self.eof = true,
            // An echo has no other way to say that it has room again.
            Some(Ok(_)) => self.writable |= stream.is_echo(),
            Some(Err(e)) if e.kind() == io::ErrorKind::WouldBlock => self.readable = false,
            Some(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
            Some(Err(_)) => self.end = Some(End::Reset),
        }
    }

    fn emit_syn(&mut self, env: &Env, frame: &mut [u8]) -> usize {
        let ack = self.state == State::SynReceived;
        let window = ahead(self.rcv, self.window_edge()).min(0xffff);
        let repr = TcpRepr {
            src_port: self.key.far.port(),
            dst_port: self.key.guest.port(),
            control: TcpControl::Syn,
            seq_number: TcpSeqNumber(self.una as i32),
            ack_number: ack.then_some(TcpSeqNumber(self.rcv as i32)),
            window_len: window as u16,
            window_scale: self.scale.map(|_| SHIFT),
            max_seg_size: Some(MSS as u16),
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        if ack {
            self.edge = later(self.edge, self.rcv.wrapping_add(window));
        }
        let (src, dst) = (*self.key.far.ip(), *self.key.guest.ip());
        let len = repr.buffer_len();
        let mut p = TcpPacket::new_unchecked(&mut frame[ETH + IPV4..ETH + IPV4 + len]);
        repr.emit(&mut p, &src.into(), &dst.into(), &Default::default());
        self.sent(env, self.una, 1);
        self.wrap(frame, len)
    }

    fn emit(
        &mut self,
        env: &Env,
        frame: &mut [u8],
        seq: u32,
        data: std::ops::Range<usize>,
        flags: Flags,
    ) -> usize {
        let scale = if self.scale.is_some() { SHIFT } else { 0 };
        let window = (ahead(self.rcv, self.window_edge()) >> scale).min(0xffff);
        self.edge = later(self.edge, self.rcv.wrapping_add(window << scale));
        let len = HEADER + data.len();
        let mut p = TcpPacket::new_unchecked(&mut frame[ETH + IPV4..ETH + IPV4 + len]);
        p.set_src_port(self.key.far.port());
        p.set_dst_port(self.key.guest.port());
        p.set_seq_number(TcpSeqNumber(seq as i32));
        p.set_ack_number(TcpSeqNumber(self.rcv as i32));
        p.set_header_len(HEADER as u8);
        p.clear_flags();
        p.set_ack(true);
        p.set_psh(flags.push);
        p.set_fin(flags.fin);
        p.set_rst(flags.reset);
        p.set_window_len(window as u16);
        p.set_urgent_at(0);
        self.data.copy(data.start, p.payload_mut());
        p.fill_checksum(&(*self.key.far.ip()).into(), &(*self.key.guest.ip()).into());
        // Equal ones are counted by the guest, so each is sent.
        self.acks_due = self.acks_due.saturating_sub(1);
        self.sent(env, seq, data.len() as u32 + u32::from(flags.fin));
        self.wrap(frame, len)
    }

    fn wrap(&self, frame: &mut [u8], len: usize) -> usize {
        let mut ip = Ip::new(TCP, *self.key.far.ip(), *self.key.guest.ip());
        ip.dont_fragment = true;
        frame::wrap(frame, self.mac, &ip, len)
    }

    /// Sequence numbers went out: they are to be acknowledged.
    fn sent(&mut self, env: &Env, seq: u32, len: u32) {
        if len == 0 {
            return;
        }
        if before(seq, self.max) {
            env.counters.tcp_resent.one();
        }
        let end = seq.wrapping_add(len);
        (self.nxt, self.max) = (later(self.nxt, end), later(self.max, end));
        if self.resend_at.is_none() {
            self.resend_at = Some(env.now + self.rto);
        }
    }
}
