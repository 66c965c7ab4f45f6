//! COM2 as the channel's second way: what the guest sends goes to the channel's chip, and back.

use std::sync::{Arc, OnceLock};

use board::{HostEvent, SerialPort, SlotId};
use devices::channel::Wire;

use crate::mailbox::{Mailbox, Message};

/// A chip that is not on the board yet when its other end is made.
pub(crate) type Later = Arc<OnceLock<SlotId>>;

/// Bytes for a chip, by the mailbox: it is not called while another one is.
pub(crate) struct To {
    pub(crate) mailbox: Mailbox,
    pub(crate) chip: Later,
}

impl To {
    fn bytes(&self, bytes: Vec<u8>) {
        if let Some(&slot) = self.chip.get() {
            // A machine that is gone needs none.
            self.mailbox.send(Message::Chip(slot, HostEvent::Serial(bytes)));
        }
    }
}

impl SerialPort for To {
    fn send(&mut self, byte: u8) {
        self.bytes(vec![byte]);
    }
}

impl Wire for To {
    fn send(&mut self, bytes: Vec<u8>) {
        self.bytes(bytes);
    }
}
