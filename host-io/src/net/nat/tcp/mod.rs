//! TCP: each connection of the guest ends here, and is spliced to one of the host's sockets.
//!
//! Data wait where they came from until the other side has room: in the host's socket for the guest's window, in the
//! guest for the window that is told to it.

mod early;
mod flow;
mod input;
mod output;
mod ring;
mod seq;
mod stream;
mod timers;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use smoltcp::wire::{EthernetAddress as Mac, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};

use self::flow::{Flow, State};
use self::output::Step;
use self::ring::Memory;
use self::stream::Stream;
use super::dns;
use super::env::{Env, GATEWAY, Route};
use super::frame::{IPV4, Ip, TCP};
use super::icmp::{self, Trouble};
use super::slab::Slab;
use super::waiter::{Owner, Pace};

/// Connections at a time; the one that is silent for longest goes.
pub(super) const FLOWS: usize = 4096;
/// Callers of forwarded ports begin here when their own port is taken.
const ALIASES: u16 = 32768;

/// The guest's end and the far end, as the guest knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) guest: SocketAddrV4,
    pub(super) far: SocketAddrV4,
}

pub(super) struct Tcp {
    flows: Slab<Flow>,
    by_key: HashMap<Key, usize>,
    /// Those that may have a frame for the guest.
    active: VecDeque<usize>,
    /// Those that have data for the host.
    dirty: Vec<usize>,
    memory: Arc<Memory>,
    limit: usize,
    /// Something waits for an answer: time matters.
    urgent: bool,
}

impl Tcp {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            flows: Slab::new(),
            by_key: HashMap::new(),
            active: VecDeque::new(),
            dirty: Vec::new(),
            memory: Arc::default(),
            limit,
            urgent: false,
        }
    }

    /// A segment from the guest.
    pub(super) fn input(&mut self, env: &mut Env, mac: Mac, key: Key, segment: &TcpRepr<'_>) {
        if let Some(&i) = self.by_key.get(&key)
            && let Some(flow) = self.flows.get_mut(i)
        {
            let again =
                segment.control == TcpControl::Syn && segment.ack_number.is_none() && flow.may_be_replaced();
            if !again {
                flow.input(env, mac, segment);
                self.touch(i);
                return;
            }
            self.remove(i);
        }
        if segment.control == TcpControl::Syn && segment.ack_number.is_none() {
            self.open(env, mac, key, segment);
        } else {
            refuse(env, mac, key, segment);
        }
    }

    /// The guest calls.
    fn open(&mut self, env: &mut Env, mac: Mac, key: Key, syn: &TcpRepr<'_>) {
        let target = match env.route(*key.far.ip()) {
            Route::World => SocketAddr::V4(key.far),
            Route::Gateway if key.far.port() == dns::PORT => match env.resolver.server(env.now) {
                Some(server) => server,
                None => return refuse(env, mac, key, syn),
            },
            Route::Gateway if env.host => (Ipv4Addr::LOCALHOST, key.far.port()).into(),
            Route::Gateway | Route::Denied if env.waiter.is_some() => {
                env.counters.denied.one();
                return refuse(env, mac, key, syn);
            }
            Route::Gateway => SocketAddr::V4(key.far),
            Route::Nobody => return icmp::error(env, GATEWAY, Trouble::HOST, &quote(key, syn.seq_number)),
            Route::Denied | Route::Nowhere => return env.counters.ignored.one(),
        };
        self.make_room(env);
        let i = self.flows.next();
        match connect(env, target, i) {
            Ok(stream) => {
                let flow = Flow::called(env, mac, key, stream, syn, &self.memory);
                self.insert(env, flow);
                self.connected(env, i);
            }
            Err(e) => failed(env, mac, key, syn, &e),
        }
    }

    /// Somebody calls the guest by a forwarded port.
    pub(super) fn call(&mut self, env: &mut Env, guest: SocketAddrV4, port: u16, mut stream: TcpStream) {
        self.make_room(env);
        let free = |p: &u16| {
            let far = SocketAddrV4::new(GATEWAY, *p);
            *p >= 1024 && !self.by_key.contains_key(&Key { guest, far })
        };
        let mut ports = std::iter::once(port).chain(ALIASES..=u16::MAX);
        let (Some(port), Some(mac)) = (ports.find(free), env.mac(*guest.ip())) else { return };
        if let Some(w) = &env.waiter
            && let Err(e) = w.watch(&mut stream, Owner::Tcp(self.flows.next()))
        {
            tracing::warn!("network: a forwarded connection: {e}");
            return;
        }
        let key = Key { guest, far: SocketAddrV4::new(GATEWAY, port) };
        let stream = Stream::Host(stream);
        stream.prepare();
        let i = self.insert(env, Flow::calling(env, mac, key, stream, &self.memory));
        self.touch(i);
    }

    fn insert(&mut self, env: &Env, flow: Flow) -> usize {
        env.counters.tcp_opened.one();
        self.urgent = true;
        let key = flow.key;
        let i = self.flows.insert(flow);
        self.by_key.insert(key, i);
        i
    }

    /// Gives up a connection if there are too many.
    fn make_room(&mut self, env: &mut Env) {
        if self.flows.len() < self.limit {
            return;
        }
        if let Some(i) =
            self.flows.iter().min_by_key(|(_, f)| (!f.may_be_replaced(), f.heard)).map(|(i, _)| i)
        {
            env.counters.tcp_evicted.one();
            if let Some(f) = self.flows.get_mut(i) {
                f.say_goodbye(env);
            }
            self.remove(i);
        }
    }

    fn remove(&mut self, i: usize) {
        if let Some(f) = self.flows.remove(i) {
            self.by_key.remove(&f.key);
        }
    }

    /// The flow may have something to do for both sides.
    fn touch(&mut self, i: usize) {
        self.touch_dirty(i);
        let Some(f) = self.flows.get_mut(i) else { return };
        if !f.queued {
            f.queued = true;
            self.active.push_back(i);
        }
    }

    fn touch_dirty(&mut self, i: usize) {
        if let Some(f) = self.flows.get_mut(i).filter(|f| !f.dirty && f.has_data_for_host()) {
            f.dirty = true;
            self.dirty.push(i);
        }
    }

    fn connected(&mut self, env: &mut Env, i: usize) {
        let Some(f) = self.flows.get_mut(i) else { return };
        match f.settled() {
            Ok(false) => {}
            Ok(true) => self.touch(i),
            Err(e) => {
                let (mac, key, syn) = (f.mac, f.key, f.syn());
                self.remove(i);
                failed(env, mac, key, &syn, &e);
            }
        }
    }

    pub(super) fn ready(&mut self, env: &mut Env, i: usize, read: bool, write: bool) {
        let Some(f) = self.flows.get_mut(i) else { return };
        f.readable |= read;
        f.writable |= write;
        if f.state == State::Connecting {
            if write {
                self.connected(env, i);
            }
        } else {
            self.touch(i);
        }
    }

    /// Gives the host what the guest sent.
    pub(super) fn flush(&mut self, env: &Env) {
        for i in std::mem::take(&mut self.dirty) {
            let Some(f) = self.flows.get_mut(i) else { continue };
            f.dirty = false;
            f.write(env);
            self.touch(i);
        }
    }

    /// The next frame for the guest.
    pub(super) fn next(&mut self, env: &mut Env, frame: &mut [u8]) -> Option<usize> {
        while let Some(i) = self.active.pop_front() {
            let Some(f) = self.flows.get_mut(i) else { continue };
            f.queued = false;
            let step = f.next(env, frame);
            self.urgent |= f.is_urgent();
            match step {
                Step::Frame(n) => {
                    f.queued = true;
                    self.active.push_back(i);
                    return Some(n);
                }
                Step::Last(n) => {
                    self.remove(i);
                    return Some(n);
                }
                Step::Gone => self.remove(i),
                Step::Idle if f.has_data_for_host() => self.touch_dirty(i),
                Step::Idle => {}
            }
        }
        None
    }

    pub(super) fn tick(&mut self, now: Instant) {
        self.urgent = false;
        let mut due = Vec::new();
        for (i, f) in self.flows.iter_mut() {
            if f.tick(now) {
                due.push(i);
            }
            self.urgent |= f.is_urgent();
        }
        for i in due {
            self.touch(i);
        }
    }

    pub(super) fn pace(&self) -> Pace {
        if self.urgent {
            Pace::Fast
        } else if self.flows.len() > 0 {
            Pace::Slow
        } else {
            Pace::Never
        }
    }

    /// Is there anything to do without news from outside?
    pub(super) fn is_quiet(&self) -> bool {
        self.active.is_empty() && self.dirty.is_empty()
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.urgent
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }
}

fn connect(env: &Env, to: SocketAddr, i: usize) -> io::Result<Stream> {
    let Some(waiter) = &env.waiter else { return Ok(Stream::echo()) };
    let mut s = TcpStream::connect(to)?;
    waiter.watch(&mut s, Owner::Tcp(i))?;
    let s = Stream::Host(s);
    s.prepare();
    Ok(s)
}

/// The far end can't be reached: the guest hears of it as it would without us.
fn failed(env: &mut Env, mac: Mac, key: Key, syn: &TcpRepr<'_>, e: &io::Error) {
    match Trouble::of(e) {
        Some(t @ (Trouble::HOST | Trouble::NET)) => icmp::error(env, GATEWAY, t, &quote(key, syn.seq_number)),
        // The guest has long given up.
        _ if e.kind() == io::ErrorKind::TimedOut => {}
        t => {
            // A guest may try for ever.
            if t.is_none() && !std::mem::replace(&mut env.complained, true) {
                tracing::warn!("network: connecting to {}: {e}; more of these are not told", key.far);
            }
            env.counters.tcp_refused.one();
            refuse(env, mac, key, syn);
        }
    }
}

/// The header and eight bytes of a SYN, for an ICMP error.
fn quote(key: Key, seq: TcpSeqNumber) -> Vec<u8> {
    let mut p = icmp::original(TCP, key.guest, key.far, 20);
    p.extend(key.guest.port().to_be_bytes());
    p.extend(key.far.port().to_be_bytes());
    p.extend(seq.0.to_be_bytes());
    debug_assert_eq!(p.len(), IPV4 + 8);
    p
}

/// RFC 9293, 3.10.7.1: a segment that belongs to nothing.
fn refuse(env: &mut Env, mac: Mac, key: Key, segment: &TcpRepr<'_>) {
    if segment.control == TcpControl::Rst {
        return;
    }
    let (seq, ack) = match segment.ack_number {
        Some(ack) => (ack, None),
        None => (TcpSeqNumber(0), Some(segment.seq_number + segment.segment_len())),
    };
    reset(env, mac, key, seq, ack);
}

fn reset(env: &mut Env, mac: Mac, key: Key, seq: TcpSeqNumber, ack: Option<TcpSeqNumber>) {
    let (src, dst) = (*key.far.ip(), *key.guest.ip());
    let rst = TcpRepr {
        src_port: key.far.port(),
        dst_port: key.guest.port(),
        control: TcpControl::Rst,
        seq_number: seq,
        ack_number: ack,
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let mut b = [0; 20];
    rst.emit(&mut TcpPacket::new_unchecked(&mut b[..]), &src.into(), &dst.into(), &Default::default());
    env.packet_to(mac, Ip::new(TCP, src, dst), &b);
}

#[cfg(test)]
mod tests;
