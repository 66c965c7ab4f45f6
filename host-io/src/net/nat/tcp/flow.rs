//! One connection: what is known of it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smoltcp::wire::{EthernetAddress as Mac, TcpControl, TcpRepr, TcpSeqNumber};

use super::super::env::Env;
use super::super::frame::{IPV4, MTU};
use super::early::Early;
use super::ring::{Memory, Ring};
use super::seq::ahead;
use super::stream::Stream;
use super::{Key, reset};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The guest called; the host's socket is on its way.
    Connecting,
    /// The guest called and was answered.
    SynReceived,
    /// The guest is called.
    SynSent,
    Open,
    /// All is said and done; a FIN of the guest that comes again is still acknowledged.
    TimeWait,
}

/// How a connection that breaks off ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The guest is told.
    Reset,
    /// It told us, or does not answer.
    Silent,
}

/// The longest segment; what a guest without the option takes.
pub(super) const MSS: usize = MTU - IPV4 - 20;
const OLD_MSS: usize = 536;
/// The window that the guest is told is counted in these units if it knows how: up to 1 MiB.
pub(super) const SHIFT: u8 = 4;
/// As much as the guest may have on its way to the host.
const WINDOW: usize = 512 << 10;
pub(super) const FIRST_RTO: Duration = Duration::from_millis(200);

pub(super) struct Flow {
    pub(super) key: Key,
    pub(super) mac: Mac,
    pub(super) state: State,
    /// It breaks off.
    pub(super) end: Option<End>,
    pub(super) stream: Option<Stream>,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// In the list of those with frames for the guest; of those with data for the host.
    pub(super) queued: bool,
    pub(super) dirty: bool,

    // To the guest: `una` is the first byte that is not acknowledged, and the first in `data`; `nxt` the next to be
    // sent, `max` behind the last one ever sent.
    pub(super) una: u32,
    pub(super) nxt: u32,
    pub(super) max: u32,
    pub(super) data: Ring,
    pub(super) window: u32,
    /// The guest's window scale; `None`: it knows of none, and is told none.
    pub(super) scale: Option<u8>,
    pub(super) mss: usize,
    pub(super) syn_due: bool,
    /// The host has no more.
    pub(super) eof: bool,
    pub(super) fin_acked: bool,
    pub(super) resend_first: bool,
    pub(super) probe_due: bool,
    pub(super) same_acks: u32,
    /// Lost segments are sent again one by one until this is acknowledged.
    pub(super) recover: Option<u32>,

    // From the guest: `rcv` is the next byte, `edge` the end of the window that it was told.
    pub(super) rcv: u32,
    pub(super) edge: u32,
    pub(super) to_host: Ring,
    pub(super) early: Early,
    pub(super) guest_fin: bool,
    pub(super) shut: bool,
    pub(super) acks_due: u32,

    pub(super) born: Instant,
    pub(super) heard: Instant,
    pub(super) resend_at: Option<Instant>,
    pub(super) probe_at: Option<Instant>,
    pub(super) rto: Duration,
    pub(super) tries: u32,
}

impl Flow {
    fn new(env: &Env, mac: Mac, key: Key, stream: Stream, state: State, memory: &Arc<Memory>) -> Self {
        let iss = random();
        Self {
            key,
            mac,
            state,
            end: None,
            stream: Some(stream),
            readable: true,
            writable: true,
            queued: false,
            dirty: false,
            una: iss,
            nxt: iss,
            max: iss,
            data: Ring::new(memory),
            window: 0,
            scale: None,
            mss: OLD_MSS,
            syn_due: false,
            eof: false,
            fin_acked: false,
            resend_first: false,
            probe_due: false,
            same_acks: 0,
            recover: None,
            rcv: 0,
            edge: 0,
            to_host: Ring::new(memory),
            early: Early::new(memory),
            guest_fin: false,
            shut: false,
            acks_due: 0,
            born: env.now,
            heard: env.now,
            resend_at: None,
            probe_at: None,
            rto: FIRST_RTO,
            tries: 0,
        }
    }

    /// The guest calls.
    pub(super) fn called(
        env: &Env,
        mac: Mac,
        key: Key,
        stream: Stream,
        syn: &TcpRepr<'_>,
        memory: &Arc<Memory>,
    ) -> Self {
        let mut f = Self::new(env, mac, key, stream, State::Connecting, memory);
        f.hear_syn(syn);
        f
    }

    /// The guest is called.
    pub(super) fn calling(env: &Env, mac: Mac, key: Key, stream: Stream, memory: &Arc<Memory>) -> Self {
        let mut f = Self::new(env, mac, key, stream, State::SynSent, memory);
        f.syn_due = true;
        // As if it had been offered: the guest's answer says whether it counts.
        f.scale = Some(0);
        f
    }

    /// What the guest's SYN says of it.
    pub(super) fn hear_syn(&mut self, syn: &TcpRepr<'_>) {
        self.rcv = (syn.seq_number.0 as u32).wrapping_add(1);
        self.edge = self.rcv;
        self.scale = syn.window_scale.map(|s| s.min(14));
        // One below 64 would make a frame of nearly every byte.
        self.mss = syn.max_seg_size.map_or(OLD_MSS, usize::from).clamp(64, MSS);
        self.window = u32::from(syn.window_len);
    }

    /// The SYN with which the guest called, in what an answer needs.
    pub(super) fn syn(&self) -> TcpRepr<'static> {
        TcpRepr {
            src_port: self.key.guest.port(),
            dst_port: self.key.far.port(),
            control: TcpControl::Syn,
            seq_number: TcpSeqNumber(self.rcv.wrapping_sub(1) as i32),
            ack_number: None,
            window_len: 0,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        }
    }

    /// Is the host's connection made? Then the guest is answered.
    pub(super) fn settled(&mut self) -> io::Result<bool> {
        let made = self.stream.as_ref().map_or(Ok(false), Stream::settled)?;
        if made && self.state == State::Connecting {
            self.state = State::SynReceived;
            self.syn_due = true;
        }
        Ok(made)
    }

    pub(super) fn may_be_replaced(&self) -> bool {
        self.state == State::TimeWait
    }

    pub(super) fn has_data_for_host(&self) -> bool {
        self.writable && !self.to_host.is_empty() || self.to_host.is_empty() && self.guest_fin && !self.shut
    }

    /// A new end of the window, if the guest were told one now. What it was told once stays.
    pub(super) fn window_edge(&self) -> u32 {
        let scale = if self.scale.is_some() { SHIFT } else { 0 };
        let most = WINDOW.min(0xffff << scale).min(self.to_host.potential());
        let room = most.saturating_sub(self.to_host.len());
        super::seq::later(self.edge, self.rcv.wrapping_add(room as u32))
    }

    /// Is it worth a segment to tell the guest of the room that came about?
    fn window_opened(&self) -> bool {
        let (told, now) = (ahead(self.rcv, self.edge), ahead(self.rcv, self.window_edge()));
        // RFC 9293, 3.8.6.2.2: not in small steps.
        now > told && now - told >= ((2 * MSS) as u32).max(now / 4)
    }

    /// Gives the host what the guest sent.
    pub(super) fn write(&mut self, env: &Env) {
        let Some(stream) = &mut self.stream else { return };
        while !self.to_host.is_empty() && self.writable && self.end.is_none() {
            match stream.write(self.to_host.slices()) {
                Ok(n) => {
                    self.to_host.consume(n);
                    // An echo has no other way to say so.
                    self.readable |= stream.is_echo();
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.end = Some(End::Reset),
            }
        }
        if self.to_host.is_empty() && self.guest_fin && !self.shut {
            self.shut = true;
            stream.shutdown();
            self.readable |= stream.is_echo();
        }
        if self.window_opened() {
            self.acks_due = self.acks_due.max(1);
        }
        self.finish(env);
    }

    /// Both sides are told that it is over.
    pub(super) fn say_goodbye(&mut self, env: &mut Env) {
        if let Some(s) = &self.stream {
            s.abort();
        }
        if self.state != State::TimeWait {
            let seq = TcpSeqNumber(self.nxt as i32);
            reset(env, self.mac, self.key, seq, Some(TcpSeqNumber(self.rcv as i32)));
        }
    }
}

/// An initial sequence number that nobody guesses.
fn random() -> u32 {
    getrandom::u32().unwrap_or_else(|_| {
        use std::hash::BuildHasher;
        std::hash::RandomState::new().hash_one(0) as u32
    })
}
