//! Has the guest shut down, restart, log off, lock.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use channel::services::power::{Action, Do, Done, ToGuest, ToHost};
use devices::channel::Refused;

use super::{At, GuestError, Request, Service, parse};

/// Orders without an answer that are remembered.
const MOST: usize = 64;

#[derive(Default)]
pub(super) struct Power {
    last: u32,
    asked: BTreeMap<u32, (Action, Sender<Result<(), GuestError>>)>,
}

impl Service for Power {
    fn message(&mut self, at: &mut At<'_, '_>, message: &[u8]) -> Result<(), Refused> {
        match parse(at, message)? {
            Some(ToHost::Done(Done { request, error })) => {
                if let Some((_, done)) = self.asked.remove(&request) {
                    let _ = done.send(if error.is_empty() { Ok(()) } else { Err(GuestError::Guest(error)) });
                }
            }
            Some(ToHost::Unsupported(_)) => {
                for (_, done) in std::mem::take(&mut self.asked).into_values() {
                    let _ = done.send(Err(GuestError::Unsupported));
                }
            }
            None => {}
        }
        Ok(())
    }

    fn closed(&mut self, _: &mut At<'_, '_>) {
        for (action, done) in std::mem::take(&mut self.asked).into_values() {
            // A guest may be faster than its agent's answer. Who waits for something else hears that the agent has left.
            if matches!(action, Action::ShutDown | Action::Restart) {
                let _ = done.send(Ok(()));
            }
        }
    }

    fn request(&mut self, at: &mut At<'_, '_>, request: Request) {
        let Request::Power { order, done } = request else { return };
        if !at.open() {
            return;
        }
        self.last = self.last.wrapping_add(1);
        if self.asked.len() >= MOST {
            self.asked.pop_first();
        }
        self.asked.insert(self.last, (order.action, done));
        at.send(&ToGuest::Do(Do { request: self.last, ..order }));
    }

    fn save(&self) -> Vec<u8> {
        super::wire::bytes(&self.last)
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), minicbor::decode::Error> {
        self.last = minicbor::decode(saved)?;
        Ok(())
    }
}
