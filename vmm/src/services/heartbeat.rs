//! Is the agent there? Asked every five seconds of guest time.

use board::{SECOND, Tick};
use channel::services::heartbeat::{Beat, ToGuest, ToHost};
use devices::channel::Refused;

use super::{At, Request, Service, parse};

const EVERY: Tick = 5 * SECOND;
/// Beats without an answer, and the agent is said to be stuck.
pub const STUCK: u32 = 3;

#[derive(Default)]
pub(super) struct Heartbeat {
    number: u64,
    next: Tick,
}

impl Heartbeat {
    fn beat(&mut self, at: &mut At<'_, '_>) {
        self.number += 1;
        self.next = at.out.now() + EVERY;
        at.send(&ToGuest::Beat(Beat { number: self.number, up: 0 }));
        let unanswered = {
            let mut shown = at.shown();
            shown.unanswered += 1;
            shown.unanswered
        };
        if unanswered == STUCK {
            tracing::warn!(
                "integration channel: the guest's agent does not answer: it, or the guest, is stuck"
            );
        }
        at.out.wake_at(self.next);
    }
}

impl Service for Heartbeat {
    fn opened(&mut self, at: &mut At<'_, '_>) {
        at.shown().unanswered = 0;
        self.beat(at);
    }

    fn message(&mut self, at: &mut At<'_, '_>, message: &[u8]) -> Result<(), Refused> {
        match parse(at, message)? {
            Some(ToHost::Beat(Beat { number, up })) if number == self.number => {
                let mut shown = at.shown();
                shown.unanswered = 0;
                shown.up = Some(up);
            }
            // A late one, or an agent that does not know how.
            Some(ToHost::Beat(_) | ToHost::Unsupported(_)) | None => {}
        }
        Ok(())
    }

    fn closed(&mut self, at: &mut At<'_, '_>) {
        let mut shown = at.shown();
        (shown.unanswered, shown.up) = (0, None);
    }

    fn request(&mut self, _: &mut At<'_, '_>, _: Request) {}

    fn timer(&mut self, at: &mut At<'_, '_>) {
        if !at.open() {
            return;
        }
        if at.out.now() >= self.next {
            self.beat(at);
        } else {
            at.out.wake_at(self.next);
        }
    }

    fn save(&self) -> Vec<u8> {
        super::wire::bytes(&(self.number, self.next))
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), minicbor::decode::Error> {
        (self.number, self.next) = minicbor::decode(saved)?;
        Ok(())
    }
}
