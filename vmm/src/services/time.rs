//! Tells the guest what time it is: every ten seconds, and at once when it missed some.

use board::{SECOND, Tick};
use channel::services::time::{Sample, ToGuest, ToHost, Was};
use devices::channel::Refused;

use super::{At, Request, Service, WorldClock, parse};

const EVERY: Tick = 10 * SECOND;

pub(super) struct Time {
    clock: WorldClock,
    number: u64,
    next: Tick,
}

impl Time {
    pub(super) fn new(clock: WorldClock) -> Self {
        Self { clock, number: 0, next: 0 }
    }

    fn sample(&mut self, at: &mut At<'_, '_>, step: bool) {
        let now = at.out.now();
        self.number += 1;
        self.next = now + EVERY;
        at.send(&ToGuest::Sample(Sample { utc: (self.clock)(now), step, number: self.number }));
        at.out.wake_at(self.next);
    }
}

impl Service for Time {
    fn opened(&mut self, at: &mut At<'_, '_>) {
        self.sample(at, false);
    }

    fn message(&mut self, at: &mut At<'_, '_>, message: &[u8]) -> Result<(), Refused> {
        match parse(at, message)? {
            Some(ToHost::Ask) => self.sample(at, true),
            Some(ToHost::Was(Was { ahead, stepped, .. })) => at.shown().ahead = Some((ahead, stepped)),
            Some(ToHost::Unsupported(_)) | None => {}
        }
        Ok(())
    }

    fn closed(&mut self, at: &mut At<'_, '_>) {
        at.shown().ahead = None;
    }

    fn request(&mut self, _: &mut At<'_, '_>, _: Request) {}

    fn timer(&mut self, at: &mut At<'_, '_>) {
        if !at.open() {
            return;
        }
        if at.out.now() >= self.next {
            self.sample(at, false);
        } else {
            at.out.wake_at(self.next);
        }
    }

    fn missed(&mut self, at: &mut At<'_, '_>) {
        if at.open() {
            self.sample(at, true);
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
