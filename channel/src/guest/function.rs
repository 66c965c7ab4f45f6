//! The PCI function as the guest's end drives it.

use crate::regs::{self, control, status};
use crate::ring::{Place, Rx, Tx, Window};

use super::areas::Areas;

/// Registers and window as the guest has them mapped.
pub trait Function: Window {
    /// A register of BAR0, 32 bits.
    fn read(&self, register: u32) -> u32;
    fn write(&self, register: u32, value: u32);
}

/// Not a function of this kind, or of a version that we don't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOurs;

/// A window that is smaller or larger is not one of this version.
const WINDOW: core::ops::RangeInclusive<u32> = 1 << 16..=64 << 20;
/// Channel 0: entries, and bytes of a buffer, which hold 256 bytes behind a header.
const TX_SIZE: u16 = 32;
const RX_SIZE: u16 = 32;
const BUFFER: u32 = 320;

pub(super) struct Started<F: Function> {
    pub(super) f: F,
    pub(super) areas: Areas,
    places: (Place, Place),
    pub(super) tx: Tx,
    pub(super) rx: Rx,
    /// Something is in a ring that channel 0's doorbell is not yet rung for.
    pub(super) blocked: bool,
}

impl<F: Function> Started<F> {
    pub(super) fn new(f: F) -> Result<Self, NotOurs> {
        let window = f.read(regs::WINDOW);
        let ours = f.read(regs::ID) == regs::ID_VALUE
            && f.read(regs::VERSION) >> 16 == regs::VERSION_VALUE >> 16
            && WINDOW.contains(&window);
        if !ours {
            return Err(NotOurs);
        }
        f.write(regs::CONTROL, 0);
        let (tx, next) = Place::new(0, TX_SIZE, BUFFER, window).ok_or(NotOurs)?;
        let (rx, next) = Place::new(next, RX_SIZE, BUFFER, window).ok_or(NotOurs)?;
        let rings = (Tx::new(&f, tx), Rx::new(&f, rx));
        let areas = Areas::new(next..window);
        Ok(Self { f, areas, places: (tx, rx), tx: rings.0, rx: rings.1, blocked: false })
    }

    pub(super) fn into_inner(self) -> F {
        self.stop();
        self.f
    }

    pub(super) fn stop(&self) {
        self.f.write(regs::CONTROL, 0);
    }

    /// The bus begins, with empty rings.
    pub(super) fn start(&mut self) {
        self.stop();
        let (tx, rx) = self.places;
        (self.tx, self.rx) = (Tx::new(&self.f, tx), Rx::new(&self.f, rx));
        self.blocked = false;
        self.areas.clear();
        self.f.write(regs::TX, tx.layout.at);
        self.f.write(regs::RX, rx.layout.at);
        self.f.write(regs::SIZE, u32::from(tx.layout.size) | u32::from(rx.layout.size) << 16);
        self.f.write(regs::CONTROL, control::RUN | control::INTE);
    }

    pub(super) fn is_running(&self) -> bool {
        self.f.read(regs::STATUS) & status::RUNNING != 0
    }

    /// Where channel 0's rings are, for MOVE.
    pub(super) fn rings(&self) -> crate::bus::Rings {
        let (tx, rx) = self.places;
        crate::bus::Rings {
            tx: tx.layout.at,
            rx: rx.layout.at,
            tx_size: tx.layout.size,
            rx_size: rx.layout.size,
            rx_buffer: rx.buffer,
        }
    }

    pub(super) fn ring(&self, channel: u16) {
        self.f.write(regs::DOORBELL, channel.into());
    }
}
