//! One connection: segments from the guest (RFC 9293, 3.10.7).

use smoltcp::wire::{EthernetAddress as Mac, TcpControl, TcpRepr};

use super::super::env::Env;
use super::flow::{End, FIRST_RTO, Flow, State};
use super::seq::{ahead, before};

/// As many equal acknowledgments say that a segment was lost (RFC 5681).
const SAME: u32 = 3;

impl Flow {
    pub(super) fn input(&mut self, env: &mut Env, mac: Mac, s: &TcpRepr<'_>) {
        self.mac = mac;
        self.heard = env.now;
        let seq = s.seq_number.0 as u32;
        let ack = s.ack_number.map(|a| a.0 as u32);
        match self.state {
            State::Connecting => self.while_connecting(s, seq),
            State::SynSent => self.answered(env, s, ack),
            State::SynReceived if s.control == TcpControl::Syn => {
                if ack.is_none() && seq.wrapping_add(1) == self.rcv {
                    self.syn_due = true;
                }
            }
            State::SynReceived => {
                if s.control == TcpControl::Rst {
                    if seq == self.rcv {
                        self.abandon();
                    }
                } else if ack == Some(self.una.wrapping_add(1)) {
                    self.established();
                    self.while_open(env, s, seq, ack);
                } else if ack.is_some() {
                    super::refuse(env, mac, self.key, s);
                }
            }
            State::Open | State::TimeWait => self.while_open(env, s, seq, ack),
        }
    }

    fn while_connecting(&mut self, s: &TcpRepr<'_>, seq: u32) {
        match s.control {
            TcpControl::Rst if seq == self.rcv => self.abandon(),
            // It tries again, or it is a new one from a guest that was restarted.
            TcpControl::Syn => self.hear_syn(s),
            _ => {}
        }
    }

    /// The guest's answer to our call.
    fn answered(&mut self, env: &mut Env, s: &TcpRepr<'_>, ack: Option<u32>) {
        let fits = ack == Some(self.una.wrapping_add(1)) && self.max != self.una;
        match s.control {
            TcpControl::Rst if fits => self.abandon(),
            TcpControl::Syn if fits => {
                self.hear_syn(s);
                self.established();
                self.acks_due = 1;
            }
            TcpControl::Rst => {}
            _ if ack.is_some() && !fits => super::refuse(env, self.mac, self.key, s),
            _ => {}
        }
    }

    /// The guest acknowledged our SYN.
    fn established(&mut self) {
        self.state = State::Open;
        self.una = self.una.wrapping_add(1);
        (self.nxt, self.max) = (self.una, self.una);
        self.acknowledged();
    }

    /// The guest broke it off; the far end shall know.
    fn abandon(&mut self) {
        if let Some(s) = &self.stream {
            s.abort();
        }
        self.end = Some(End::Silent);
    }

    fn while_open(&mut self, env: &mut Env, s: &TcpRepr<'_>, seq: u32, ack: Option<u32>) {
        match s.control {
            TcpControl::Rst => {
                if seq == self.rcv || !before(seq, self.rcv) && before(seq, self.edge) {
                    self.abandon();
                }
                return;
            }
            TcpControl::Syn => {
                // RFC 5961: a guest that was restarted answers this with a reset, and its next SYN gets through.
                self.acks_due = self.acks_due.max(1);
                return;
            }
            _ => {}
        }
        let Some(ack) = ack else { return };
        if before(self.max, ack) {
            // Of what was never sent.
            self.acks_due = self.acks_due.max(1);
            return;
        }
        self.hear_ack(env, s, ack);
        self.hear_data(env, s, seq);
        self.finish(env);
    }

    /// Both sides have said all, and know it of each other.
    pub(super) fn finish(&mut self, env: &Env) {
        if self.fin_acked && self.shut && self.state == State::Open {
            self.linger(env.now);
        }
    }

    fn hear_ack(&mut self, env: &Env, s: &TcpRepr<'_>, ack: u32) {
        if before(ack, self.una) {
            return;
        }
        let window = u32::from(s.window_len) << self.scale.unwrap_or(0);
        if ack != self.una {
            let all = ack.wrapping_sub(self.una) as usize;
            let bytes = all.min(self.data.len());
            self.data.consume(bytes);
            self.fin_acked |= all > bytes;
            self.una = ack;
            if before(self.nxt, ack) {
                self.nxt = ack;
            }
            self.acknowledged();
            if self.una != self.max {
                self.resend_at = Some(env.now + self.rto);
            }
            match self.recover {
                Some(r) if before(ack, r) => self.resend_first = true,
                _ => self.recover = None,
            }
        } else if self.una != self.max
            && s.payload.is_empty()
            && s.control != TcpControl::Fin
            && window == self.window
        {
            self.same_acks += 1;
            if self.same_acks == SAME && self.recover.is_none() {
                self.resend_first = true;
                self.recover = Some(self.max);
            }
        }
        if window > 0 {
            self.probe_at = None;
            if self.una == self.max {
                self.tries = 0;
            }
        }
        self.window = window;
    }

    /// Something new was acknowledged.
    fn acknowledged(&mut self) {
        self.same_acks = 0;
        self.tries = 0;
        self.rto = FIRST_RTO;
        self.resend_at = None;
    }

    fn hear_data(&mut self, env: &Env, s: &TcpRepr<'_>, seq: u32) {
        let fin = s.control == TcpControl::Fin;
        if s.payload.is_empty() && !fin {
            if seq != self.rcv {
                // It asks whether we are still there, or for the window.
                self.acks_due = self.acks_due.max(1);
            }
            return;
        }
        if before(self.rcv, seq) {
            // One is missing: each of these counts, so that the guest knows soon.
            env.counters.tcp_out_of_order.one();
            self.acks_due = (self.acks_due + 1).min(16);
            if !before(self.edge, seq.wrapping_add(s.payload.len() as u32)) {
                self.early.keep(seq, s.payload);
            }
            return;
        }
        self.acks_due = self.acks_due.max(1);
        if self.guest_fin {
            return;
        }
        let all = self.take(seq, s.payload);
        if all && fin {
            self.rcv = self.rcv.wrapping_add(1);
            self.guest_fin = true;
        }
        while !self.guest_fin
            && let Some((seq, data)) = self.early.follower(self.rcv)
        {
            self.take(seq, &data);
        }
        if before(self.edge, self.rcv) {
            // The FIN of a full window.
            self.edge = self.rcv;
        }
    }

    /// Takes what is new of data that begin at or before `rcv`; true: nothing of them lacks now.
    fn take(&mut self, seq: u32, data: &[u8]) -> bool {
        let Some(new) = data.get(self.rcv.wrapping_sub(seq) as usize..) else { return false };
        let room = ahead(self.rcv, self.edge) as usize;
        let n = self.to_host.push(&new[..new.len().min(room)]);
        self.rcv = self.rcv.wrapping_add(n as u32);
        n == new.len()
    }
}
