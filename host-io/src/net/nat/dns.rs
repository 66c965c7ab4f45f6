//! The resolver at the gateway's address: questions go to the host's, as they are.
//!
//! Over TCP a connection is passed on like any other (`tcp`); this is UDP.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;

use super::env::{Env, GATEWAY};
use super::slab::Slab;
use super::waiter::Owner;

pub(super) const PORT: u16 = 53;
const IDLE: Duration = Duration::from_secs(30);
/// A server that says nothing for so long is passed over by the next question.
const PATIENCE: Duration = Duration::from_secs(3);
const CLIENTS: usize = 256;
/// Questions of one source that wait: systems ask for both kinds of address at once.
const WAITING: usize = 8;
const HEADER: usize = 12;
/// RFC 1035: what every client takes.
const SHORT: usize = 512;
/// No answer is fragmented.
const LONG: usize = 1472;

struct Question {
    text: Vec<u8>,
    asked: Instant,
}

impl Question {
    fn id(&self) -> &[u8] {
        &self.text[..2]
    }
}

/// A port of the guest that asks.
struct Client {
    guest: SocketAddrV4,
    socket: UdpSocket,
    server: SocketAddr,
    waiting: VecDeque<Question>,
    last: Instant,
    /// How many servers have refused.
    refusals: usize,
    readable: bool,
}

pub(super) struct Dns {
    clients: Slab<Client>,
    by_guest: HashMap<SocketAddrV4, usize>,
    scratch: Vec<u8>,
}

impl Dns {
    pub(super) fn new() -> Self {
        Self { clients: Slab::new(), by_guest: HashMap::new(), scratch: vec![0; 65536] }
    }

    pub(super) fn input(&mut self, env: &mut Env, guest: SocketAddrV4, text: &[u8]) {
        let is_question = text.len() > HEADER && text[2] & 0x80 == 0;
        if !is_question {
            env.counters.malformed.one();
            return;
        }
        env.counters.dns_queries.one();
        let known = self.by_guest.get(&guest).copied();
        let Some(i) = known.or_else(|| self.open(env, guest).ok()) else {
            return answer(env, guest, &failure(text));
        };
        let Some(c) = self.clients.get_mut(i) else { return };
        c.last = env.now;
        if c.waiting.front().is_some_and(|q| env.now.duration_since(q.asked) >= PATIENCE) {
            env.resolver.failed(c.server);
            c.waiting.clear();
            c.turn(env, Owner::Dns(i));
        }
        // The guest asks again.
        c.waiting.retain(|q| q.id() != &text[..2]);
        if c.waiting.len() >= WAITING {
            c.waiting.pop_front();
        }
        c.waiting.push_back(Question { text: text.to_vec(), asked: env.now });
        if let Err(e) = c.socket.send(text)
            && e.kind() != io::ErrorKind::WouldBlock
        {
            c.refused(env, Owner::Dns(i));
        }
    }

    fn open(&mut self, env: &mut Env, guest: SocketAddrV4) -> io::Result<usize> {
        if self.clients.len() >= CLIENTS
            && let Some(oldest) = self.clients.iter().min_by_key(|(_, c)| c.last).map(|(i, _)| i)
        {
            self.close(oldest);
        }
        let owner = Owner::Dns(self.clients.next());
        let (server, socket) = connect(env, owner)?;
        let client = Client {
            guest,
            socket,
            server,
            waiting: VecDeque::new(),
            last: env.now,
            refusals: 0,
            readable: true,
        };
        let i = self.clients.insert(client);
        self.by_guest.insert(guest, i);
        Ok(i)
    }

    fn close(&mut self, i: usize) {
        if let Some(c) = self.clients.remove(i) {
            self.by_guest.remove(&c.guest);
        }
    }

    pub(super) fn ready(&mut self, i: usize) {
        if let Some(c) = self.clients.get_mut(i) {
            c.readable = true;
        }
    }

    /// Passes on what came; true: there may be more.
    pub(super) fn pump(&mut self, env: &mut Env) -> bool {
        let mut more = false;
        for (i, c) in self.clients.iter_mut().filter(|(_, c)| c.readable) {
            match c.socket.recv(&mut self.scratch) {
                Ok(n) => c.answered(env, &self.scratch[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => c.readable = false,
                Err(_) => c.refused(env, Owner::Dns(i)),
            }
            more |= c.readable;
        }
        more
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let old = self.clients.iter().filter(|(_, c)| now.duration_since(c.last) >= IDLE);
        for i in old.map(|(i, _)| i).collect::<Vec<_>>() {
            self.close(i);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.clients.len() == 0
    }
}

impl Client {
    fn answered(&mut self, env: &mut Env, text: &[u8]) {
        let of = |q: &Question| text.len() >= HEADER && q.id() == &text[..2];
        let Some(i) = self.waiting.iter().position(of) else { return };
        let Some(question) = self.waiting.remove(i) else { return };
        self.refusals = 0;
        let room = room(&question.text);
        if text.len() > room {
            answer(env, self.guest, &truncated(text))
        } else {
            answer(env, self.guest, text)
        }
    }

    /// Nobody listens at the server's port: the next one is asked all that waits.
    fn refused(&mut self, env: &mut Env, owner: Owner) {
        env.resolver.failed(self.server);
        self.refusals += 1;
        if self.refusals < env.resolver.count() && self.turn(env, owner) {
            for q in &self.waiting {
                let _ = self.socket.send(&q.text);
            }
            return;
        }
        self.refusals = 0;
        self.readable = false;
        for q in self.waiting.drain(..) {
            answer(env, self.guest, &failure(&q.text));
        }
    }

    fn turn(&mut self, env: &mut Env, owner: Owner) -> bool {
        let Ok((server, socket)) = connect(env, owner) else { return false };
        (self.server, self.socket, self.readable) = (server, socket, true);
        true
    }
}

/// A socket that hears nobody but the server.
fn connect(env: &mut Env, owner: Owner) -> io::Result<(SocketAddr, UdpSocket)> {
    let server = env.resolver.server(env.now).ok_or(io::ErrorKind::NotFound)?;
    let waiter = env.waiter.as_ref().ok_or(io::ErrorKind::Unsupported)?;
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let mut socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    waiter.watch(&mut socket, owner)?;
    Ok((server, socket))
}

fn answer(env: &mut Env, guest: SocketAddrV4, text: &[u8]) {
    env.udp(SocketAddrV4::new(GATEWAY, PORT), guest, text);
}

/// Header and question of a message, of which the other sections are empty.
fn bare(text: &[u8]) -> Vec<u8> {
    let mut m = text[..questions_end(text).unwrap_or(HEADER)].to_vec();
    if m.len() == HEADER {
        m[4..6].fill(0);
    }
    m[6..HEADER].fill(0);
    m
}

/// The answer without its records: the client asks again over TCP.
pub(super) fn truncated(text: &[u8]) -> Vec<u8> {
    let mut m = bare(text);
    m[2] |= 0x02;
    m
}

/// "No server could be asked", to a question.
pub(super) fn failure(text: &[u8]) -> Vec<u8> {
    const SERVFAIL: u8 = 2;
    let mut m = bare(text);
    m[2] = m[2] & 0x79 | 0x80;
    m[3] = 0x80 | SERVFAIL;
    m
}

fn be16(text: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([*text.get(at)?, *text.get(at + 1)?])))
}

/// Behind the name that begins at `at`.
fn name_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *text.get(at)? {
            0 => return Some(at + 1),
            n if n & 0xc0 == 0xc0 => return Some(at + 2),
            n => at += 1 + usize::from(n),
        }
    }
}

fn questions_end(text: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    for _ in 0..be16(text, 4)? {
        at = name_end(text, at)? + 4;
    }
    (at <= text.len()).then_some(at)
}

/// How long an answer the asker takes: it says so in an OPT record (RFC 6891).
pub(super) fn room(question: &[u8]) -> usize {
    const OPT: usize = 41;
    let find = || {
        let mut at = questions_end(question)?;
        let records = be16(question, 6)? + be16(question, 8)? + be16(question, 10)?;
        for _ in 0..records {
            at = name_end(question, at)?;
            if be16(question, at)? == OPT {
                return be16(question, at + 2);
            }
            at += 10 + be16(question, at + 8)?;
        }
        None
    };
    find().unwrap_or(SHORT).clamp(SHORT, LONG)
}
