//! One connection: what happens when nothing does.

use std::time::{Duration, Instant};

use super::flow::{End, Flow, State};

const LONGEST_RTO: Duration = Duration::from_secs(30);
/// A call that is not answered; data that are not acknowledged.
const CALLS: u32 = 6;
const TRIES: u32 = 12;
/// The host's own patience is no longer.
const CONNECT: Duration = Duration::from_secs(150);
const TIME_WAIT: Duration = Duration::from_secs(5);
/// A silent guest is asked whether it still knows of the connection (RFC 9293, 3.8.4).
const SILENCE: Duration = Duration::from_secs(7200);
const ASK: Duration = Duration::from_secs(75);
const ASKS: u32 = 9;
/// Empty rings are given back then.
const IDLE: Duration = Duration::from_secs(10);

impl Flow {
    /// Time passed; true: there is something to be done.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        if self.end.is_some() {
            return true;
        }
        match self.state {
            State::Connecting => {
                if now.duration_since(self.born) >= CONNECT {
                    self.end = Some(End::Silent);
                }
            }
            State::TimeWait => {
                if now.duration_since(self.heard) >= TIME_WAIT {
                    self.end = Some(End::Silent);
                }
            }
            State::SynReceived | State::SynSent => {
                if self.late(now, CALLS) {
                    self.syn_due = true;
                    return true;
                }
            }
            State::Open => {
                if self.late(now, TRIES) {
                    // All is sent again: the guest may have lost more than one.
                    self.nxt = self.una;
                    self.recover = None;
                    return true;
                }
                return self.probe(now) || self.end.is_some();
            }
        }
        self.end.is_some()
    }

    /// No acknowledgment came in time.
    fn late(&mut self, now: Instant, tries: u32) -> bool {
        if self.resend_at.is_none_or(|at| now < at) {
            return false;
        }
        self.tries += 1;
        if self.tries > tries {
            self.end = Some(End::Reset);
        }
        self.rto = (self.rto * 2).min(LONGEST_RTO);
        self.resend_at = Some(now + self.rto);
        self.same_acks = 0;
        true
    }

    /// A closed window, or long silence.
    fn probe(&mut self, now: Instant) -> bool {
        let silent = now.duration_since(self.heard);
        if self.probe_at.is_none() && silent >= SILENCE && self.resend_at.is_none() {
            (self.probe_at, self.tries) = (Some(now), 0);
        }
        if silent >= IDLE {
            self.data.release();
            self.to_host.release();
        }
        if self.probe_at.is_none_or(|at| now < at) {
            return false;
        }
        // A window may be closed for ever, as long as the guest says so.
        let closed = silent < SILENCE;
        self.tries = if closed && silent < self.rto * 2 { 0 } else { self.tries + 1 };
        if self.tries > if closed { TRIES } else { ASKS } {
            self.end = Some(End::Reset);
        }
        self.rto = (self.rto * 2).min(LONGEST_RTO);
        self.probe_at = Some(now + if closed { self.rto } else { ASK });
        self.probe_due = true;
        true
    }

    /// Nothing is left but to acknowledge a FIN that comes again.
    pub(super) fn linger(&mut self, now: Instant) {
        self.state = State::TimeWait;
        self.heard = now;
        self.stream = None;
        self.data.release();
        self.to_host.release();
        self.early.clear();
        (self.resend_at, self.probe_at) = (None, None);
    }

    /// Must it be looked after often?
    pub(super) fn is_urgent(&self) -> bool {
        self.end.is_some() || self.resend_at.is_some() || self.probe_at.is_some() && self.window == 0
    }
}
