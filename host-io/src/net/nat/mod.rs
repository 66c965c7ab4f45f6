//! A network of its own for the guest, behind the host's sockets: no privileges, nothing to set up.
//!
//! The guest's frames end here. Its connections and datagrams are taken apart and go out by sockets of this process;
//! what comes back is made into frames when the chip asks for them. All of that is done on the machine's thread, in
//! [`NetPort`]'s calls; the thread of `waiter` only waits.
//!
//! What works, with addresses and limits: docs/networking.md.

mod arp;
mod capture;
mod counters;
mod dhcp;
mod dispatch;
mod dns;
mod env;
mod error;
mod forward;
mod fragment;
mod frame;
mod fuzz;
mod host_errors;
mod icmp;
mod options;
mod resolver;
mod slab;
mod tcp;
mod udp;
mod waiter;

use std::sync::Arc;
use std::time::{Duration, Instant};

use board::NetPort;
use smoltcp::wire::{EthernetFrame, EthernetProtocol};

pub use self::counters::{Counter, Counters};
pub use self::env::{GATEWAY, GATEWAY_MAC};
pub use self::error::NetError;
pub use self::fuzz::fuzz_frames;
pub use self::options::{Forward, NatOptions, NetBoot, Protocol};

use self::capture::Capture;
use self::dhcp::Dhcp;
use self::dispatch::Packet;
use self::dns::Dns;
use self::env::Env;
use self::forward::Forwards;
use self::fragment::Fragments;
use self::frame::{ETH, FRAME};
use self::icmp::Icmp;
use self::resolver::Resolver;
use self::tcp::Tcp;
use self::udp::Udp;
use self::waiter::{Owner, Pace, Ready, Waiter};
use super::Wake;

pub struct Nat {
    env: Env,
    dhcp: Dhcp,
    dns: Dns,
    icmp: Icmp,
    udp: Udp,
    tcp: Tcp,
    forwards: Forwards,
    fragments: Fragments,
    capture: Option<Capture>,
    /// Datagrams or callers may wait in the host's sockets.
    pumping: bool,
    pace: Pace,
    next_tick: Instant,
    ready: Vec<Ready>,
    /// Connections and all the rest give frames in turn.
    turn: bool,
    /// Tests hold the time still.
    #[cfg(test)]
    still: Option<Instant>,
}

impl Nat {
    /// `wake` is called when asking for frames is worth while, from another thread.
    pub fn new(options: NatOptions, wake: Wake) -> Result<Self, NetError> {
        let waiter = if options.offline { None } else { Some(Waiter::new(wake)?) };
        let forwards = Forwards::new(&options.forwards, waiter.as_ref())?;
        let capture = options.pcap.as_deref().map(Capture::create).transpose()?;
        let (flows, sources) = limits();
        let env = Env::new(waiter, Resolver::new(options.dns), options.host);
        let next_tick = env.now;
        Ok(Self {
            env,
            dhcp: Dhcp::new(options.boot),
            dns: Dns::new(),
            icmp: Icmp::new(),
            udp: Udp::new(sources),
            tcp: Tcp::new(flows),
            forwards,
            fragments: Fragments::default(),
            capture,
            pumping: false,
            pace: Pace::Never,
            next_tick,
            ready: Vec::new(),
            turn: false,
            #[cfg(test)]
            still: None,
        })
    }

    /// Counts of what happened; they go on while the machine has the port.
    pub fn metrics(&self) -> Arc<Counters> {
        self.env.counters.clone()
    }

    /// TCP connections that there are.
    pub fn connections(&self) -> usize {
        self.tcp.len()
    }

    fn time(&self) -> Instant {
        #[cfg(test)]
        if let Some(still) = self.still {
            return still;
        }
        Instant::now()
    }

    /// Takes up what the waiting thread saw, and what time brings.
    fn news(&mut self) {
        self.env.now = self.time();
        let mut ready = std::mem::take(&mut self.ready);
        if let Some(w) = &self.env.waiter {
            w.news(&mut ready);
        }
        for r in ready.drain(..) {
            match r.owner {
                Owner::Tcp(i) => {
                    self.tcp.ready(&mut self.env, i, r.read, r.write);
                    continue;
                }
                Owner::Udp(i) => self.udp.ready(i),
                Owner::Dns(i) => self.dns.ready(i),
                Owner::Ping(i) => self.icmp.ready(i),
                Owner::Forward(i) => self.forwards.ready(i),
            }
            self.pumping = true;
        }
        self.ready = ready;
        if self.env.now >= self.next_tick {
            self.tick();
        }
    }

    fn tick(&mut self) {
        let now = self.env.now;
        self.tcp.tick(now);
        self.udp.tick(now);
        self.dns.tick(now);
        self.icmp.tick(now);
        self.pumping |= self.forwards.tick();
        let pace = match self.tcp.pace() {
            Pace::Never if !self.is_idle() => Pace::Slow,
            pace => pace,
        };
        self.set_pace(pace);
    }

    fn is_idle(&self) -> bool {
        self.udp.is_idle() && self.dns.is_idle() && self.icmp.is_idle()
    }

    /// Time begins to matter. That it does no more, a tick finds out: not each pause is worth a system call.
    fn hurry(&mut self) {
        if self.pace != Pace::Fast && self.tcp.is_urgent() {
            self.set_pace(Pace::Fast);
        } else if self.pace == Pace::Never && !(self.is_idle() && self.tcp.len() == 0) {
            self.set_pace(Pace::Slow);
        }
    }

    fn set_pace(&mut self, pace: Pace) {
        let period = if pace == Pace::Fast { pace } else { Pace::Slow };
        self.next_tick = self.env.now + Duration::from_millis(period as u64);
        if pace != self.pace {
            self.pace = pace;
            if let Some(w) = &self.env.waiter {
                w.pace(pace);
            }
        }
    }

    /// Reads one round of what waits in the host's sockets.
    fn pump(&mut self) {
        let mut more = self.forwards.pump(&mut self.env, &mut self.tcp);
        more |= self.dns.pump(&mut self.env);
        more |= self.icmp.pump(&mut self.env);
        more |= self.udp.pump(&mut self.env);
        self.pumping = more;
    }

    fn next(&mut self, frame: &mut [u8]) -> Option<usize> {
        self.turn = !self.turn;
        if self.turn
            && let Some(n) = self.tcp.next(&mut self.env, frame)
        {
            return Some(n);
        }
        loop {
            if self.pumping && self.env.is_quiet() {
                self.pump();
            }
            if let Some(f) = self.env.queued() {
                frame[..f.len()].copy_from_slice(&f);
                return Some(f.len());
            }
            self.tcp.flush(&self.env);
            if let Some(n) = self.tcp.next(&mut self.env, frame) {
                return Some(n);
            }
            if !self.pumping && self.env.is_quiet() && self.tcp.is_quiet() {
                return None;
            }
        }
    }
}

impl NetPort for Nat {
    fn send(&mut self, frame: &[u8]) {
        self.env.now = self.time();
        let counters = &self.env.counters;
        counters.frames_from_guest.one();
        counters.bytes_from_guest.add(frame.len() as u64);
        if let Some(c) = &mut self.capture {
            c.record(frame);
        }
        let Ok(f) = EthernetFrame::new_checked(frame) else { return self.env.counters.malformed.one() };
        let for_us = f.dst_addr() == GATEWAY_MAC || f.dst_addr().is_broadcast();
        if !for_us || !f.src_addr().is_unicast() {
            return self.env.counters.ignored.one();
        }
        match f.ethertype() {
            EthernetProtocol::Arp => arp::input(&mut self.env, &frame[ETH..]),
            EthernetProtocol::Ipv4 => self.ipv4(f.src_addr(), &frame[ETH..]),
            _ => self.env.counters.ignored.one(),
        }
    }

    fn flush(&mut self) -> bool {
        self.tcp.flush(&self.env);
        self.pumping |= self.forwards.is_waiting(&self.env);
        self.hurry();
        if let Some(c) = &mut self.capture {
            c.flush();
        }
        // Answers are there at once.
        !self.env.is_quiet() || !self.tcp.is_quiet() || self.pumping
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        if frame.len() < FRAME {
            return None;
        }
        self.news();
        let n = self.next(frame);
        match n {
            Some(n) => {
                self.env.counters.frames_to_guest.one();
                self.env.counters.bytes_to_guest.add(n as u64);
                if let Some(c) = &mut self.capture {
                    c.record(&frame[..n]);
                }
            }
            None => {
                self.hurry();
                if let Some(w) = &self.env.waiter {
                    w.rest();
                }
                if let Some(c) = &mut self.capture {
                    c.flush();
                }
            }
        }
        n
    }
}

/// Connections and UDP sources at a time. Half of the files that this process may open stay for disks and displays.
fn limits() -> (usize, usize) {
    let files = open_files() / 2;
    (tcp::FLOWS.min(files / 4 * 3), udp::SOURCES.min(files / 4))
}

#[cfg(target_os = "linux")]
fn open_files() -> usize {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX))
}

#[cfg(not(target_os = "linux"))]
fn open_files() -> usize {
    1024
}

#[cfg(test)]
mod tests;
