//! The cable of a network adapter, which can be pulled out and put in again while the machine runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use board::NetPort;

use crate::events::{Event, Events};

/// What the machine knows of a cable whose port the adapter holds.
#[derive(Debug, Default)]
pub(crate) struct Plug {
    adapter: usize,
    events: Events,
    /// Pulled out by [`crate::Handle::set_link`].
    out: AtomicBool,
    /// The adapter had a link when it last looked.
    link: AtomicBool,
}

impl Plug {
    pub(crate) fn new(adapter: usize, events: Events) -> Self {
        Self { adapter, events, ..Self::default() }
    }

    pub(crate) fn pull(&self, out: bool) {
        self.out.store(out, Ordering::Relaxed);
    }

    pub(crate) fn link(&self) -> bool {
        self.link.load(Ordering::Relaxed)
    }
}

/// A port behind a plug. What is sent or comes while it is out is lost, as on a wire.
pub(crate) struct Cable {
    port: Box<dyn NetPort>,
    plug: Arc<Plug>,
}

impl Cable {
    pub(crate) fn new(port: Box<dyn NetPort>, plug: Arc<Plug>) -> Self {
        let c = Self { port, plug };
        c.link();
        c
    }

    fn is_out(&self) -> bool {
        self.plug.out.load(Ordering::Relaxed)
    }
}

impl NetPort for Cable {
    fn send(&mut self, frame: &[u8]) {
        if !self.is_out() {
            self.port.send(frame);
        }
    }

    fn flush(&mut self) -> bool {
        self.port.flush()
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        /// Of more, the machine hears anew.
        const MOST_LOST: usize = 256;
        if !self.is_out() {
            return self.port.receive(frame);
        }
        for _ in 0..MOST_LOST {
            self.port.receive(frame)?;
        }
        None
    }

    fn link(&self) -> bool {
        let link = !self.is_out() && self.port.link();
        if self.plug.link.swap(link, Ordering::Relaxed) != link {
            self.plug.events.tell(Event::Link { adapter: self.plug.adapter, up: link });
        }
        link
    }
}
