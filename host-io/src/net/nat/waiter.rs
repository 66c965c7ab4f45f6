//! The thread that waits: for the host's sockets, and for time to pass.
//!
//! It works on nothing. It notes which sockets are ready, calls `wake`, and rests until the machine's thread has asked
//! for frames and got none: a machine that is busy, or paused, is not called again and again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::event::Source;
use mio::{Events, Interest, Poll, Registry, Token};

use super::error::NetError;
use crate::net::Wake;

const WAKER: Token = Token(usize::MAX);

/// What a socket belongs to; the number is that of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Tcp(usize),
    Udp(usize),
    Dns(usize),
    Ping(usize),
    Forward(usize),
}

impl Owner {
    fn token(self) -> Token {
        let (kind, i) = match self {
            Self::Tcp(i) => (0, i),
            Self::Udp(i) => (1, i),
            Self::Dns(i) => (2, i),
            Self::Ping(i) => (3, i),
            Self::Forward(i) => (4, i),
        };
        Token(i << 3 | kind)
    }

    fn of(token: Token) -> Option<Self> {
        let i = token.0 >> 3;
        Some(match token.0 & 7 {
            0 => Self::Tcp(i),
            1 => Self::Udp(i),
            2 => Self::Dns(i),
            3 => Self::Ping(i),
            4 => Self::Forward(i),
            _ => return None,
        })
    }
}

/// A socket may be ready. It is a hint: the number may be another's by now, or somebody read already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) owner: Owner,
    pub(super) read: bool,
    pub(super) write: bool,
}

/// How often time matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pace {
    /// Something is to be sent again if no answer comes.
    Fast = 50,
    /// Only what idles is to be cleared away.
    Slow = 2000,
    Never = 0,
}

#[derive(Default)]
struct State {
    ready: Vec<Ready>,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    rested: Condvar,
    /// `wake` was called and the machine has not emptied us since. Changes under the lock only.
    asked: AtomicBool,
    /// Milliseconds between two calls for time's sake; 0: none.
    period: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Waiter {
    shared: Arc<Shared>,
    registry: Registry,
    waker: mio::Waker,
    thread: Option<JoinHandle<()>>,
}

impl Waiter {
    pub(super) fn new(wake: Wake) -> Result<Self, NetError> {
        let poll = Poll::new().map_err(NetError::Poll)?;
        let registry = poll.registry().try_clone().map_err(NetError::Poll)?;
        let waker = mio::Waker::new(&registry, WAKER).map_err(NetError::Poll)?;
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("net-wait".into())
            .spawn(move || run(poll, &theirs, &wake))
            .map_err(NetError::Thread)?;
        Ok(Self { shared, registry, waker, thread: Some(thread) })
    }

    /// Watches a new socket. It goes by being closed.
    pub(super) fn watch(&self, socket: &mut impl Source, owner: Owner) -> std::io::Result<()> {
        // Datagrams that find no room are lost, so nobody waits to send one.
        let interest = match owner {
            Owner::Tcp(_) => Interest::READABLE | Interest::WRITABLE,
            _ => Interest::READABLE,
        };
        self.registry.register(socket, owner.token(), interest)
    }

    /// Which sockets became ready since the last time.
    pub(super) fn news(&self, into: &mut Vec<Ready>) {
        if self.shared.asked.load(Ordering::Acquire) {
            into.append(&mut self.shared.lock().ready);
        }
    }

    /// The machine has got all there is: it wants to hear of more.
    pub(super) fn rest(&self) {
        if self.shared.asked.load(Ordering::Acquire) {
            let state = self.shared.lock();
            // What came between the last look and now is still to be worked on.
            if state.ready.is_empty() {
                self.shared.asked.store(false, Ordering::Release);
                self.shared.rested.notify_one();
            }
        }
    }

    pub(super) fn pace(&self, pace: Pace) {
        let new = pace as u64;
        let old = self.shared.period.swap(new, Ordering::Relaxed);
        if new != 0 && (old == 0 || new < old) {
            // It sleeps for longer than is right now.
            let _ = self.waker.wake();
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.rested.notify_one();
        let woken = self.waker.wake().is_ok();
        if let Some(t) = self.thread.take().filter(|_| woken) {
            drop(t.join());
        }
    }
}

fn run(mut poll: Poll, shared: &Shared, wake: &Wake) {
    let mut events = Events::with_capacity(256);
    loop {
        let period = shared.period.load(Ordering::Relaxed);
        let timeout = (period != 0).then(|| Duration::from_millis(period));
        if let Err(e) = poll.poll(&mut events, timeout)
            && e.kind() != std::io::ErrorKind::Interrupted
        {
            tracing::error!("network: waiting for the host's sockets: {e}");
            std::thread::sleep(Duration::from_secs(1));
        }
        let mut state = shared.lock();
        let tick = events.is_empty() && timeout.is_some();
        for e in &events {
            if let Some(owner) = Owner::of(e.token()) {
                let read = e.is_readable() || e.is_read_closed() || e.is_error();
                let write = e.is_writable() || e.is_write_closed() || e.is_error();
                state.ready.push(Ready { owner, read, write });
            }
        }
        if state.stop {
            return;
        }
        if !tick && state.ready.is_empty() {
            continue;
        }
        shared.asked.store(true, Ordering::Release);
        drop(state);
        wake();
        let state = shared.lock();
        let resting = |s: &mut State| shared.asked.load(Ordering::Acquire) && !s.stop;
        if shared.rested.wait_while(state, resting).unwrap_or_else(PoisonError::into_inner).stop {
            return;
        }
    }
}
