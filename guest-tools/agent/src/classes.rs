//! Services that the agent knows, and what rings they get.

use alloc::vec::Vec;

use channel::guest::{Class, Shape};
use channel::services::{self, Kind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Heartbeat,
    Time,
    Power,
    Information,
    Programs,
    Diagnostics,
}

use Service::{Diagnostics, Heartbeat, Information, Power, Programs, Time};

const ALL: [Service; 6] = [Heartbeat, Time, Power, Information, Programs, Diagnostics];

impl Service {
    /// By its place in [`classes`].
    pub(crate) fn of(class: usize) -> Self {
        ALL[class]
    }

    fn kind(self) -> &'static Kind {
        match self {
            Heartbeat => &services::HEARTBEAT,
            Time => &services::TIME,
            Power => &services::POWER,
            Information => &services::INFORMATION,
            Programs => &services::PROGRAMS,
            Diagnostics => &services::DIAGNOSTICS,
        }
    }

    pub fn name(self) -> &'static str {
        self.kind().name
    }

    /// Buffers fit the longest packets there usually are, headers with them; and the longest message that is taken.
    fn shape(self) -> (Shape, usize) {
        let of = |tx_size, tx_buffer, rx_size, rx_buffer| Shape { tx_size, tx_buffer, rx_size, rx_buffer };
        match self {
            Heartbeat | Time => (of(16, 512, 16, 512), 4 << 10),
            Power => (of(16, 1 << 10, 16, 4 << 10), 64 << 10),
            Information => (of(16, 16 << 10, 16, 8 << 10), 64 << 10),
            Programs => (of(32, 34 << 10, 32, 34 << 10), 1 << 20),
            Diagnostics => (of(256, 16 << 10, 64, 66 << 10), channel::MESSAGE_MOST),
        }
    }
}

pub(crate) fn classes() -> Vec<Class> {
    let one = |s: Service| {
        let (shape, longest) = s.shape();
        Class { class: s.kind().class, version: s.kind().version, shape, longest }
    };
    ALL.into_iter().map(one).collect()
}
