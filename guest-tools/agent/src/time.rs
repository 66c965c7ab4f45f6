//! Keeps the guest's clock by the host's.

use alloc::format;

use channel::services::time::{Sample, ToGuest, ToHost, Was};
use channel::services::{Unknown, parse};

use crate::{Cx, Level, Platform, SECOND};

/// A clock that is off by less is slewed.
const SLEW_MOST: i64 = 500_000_000;
/// Less than what a sample takes on its way is nothing to mend.
const FINE: i64 = 1_000_000;
const LOOK: u64 = 2 * SECOND;

#[derive(Debug, Default)]
pub(crate) struct Time {
    channel: Option<u16>,
    look_at: u64,
    /// A slew is under way.
    slewing: bool,
}

impl Time {
    pub(crate) fn opened(&mut self, channel: u16) {
        self.channel = Some(channel);
    }

    pub(crate) fn closed(&mut self) {
        self.channel = None;
    }

    pub(crate) fn message<P: Platform>(
        &mut self,
        cx: &mut Cx<'_, P>,
        channel: u16,
        m: &[u8],
    ) -> Result<(), Unknown> {
        let ToGuest::Sample(Sample { utc, step, number }) = parse(m)?;
        let ahead = (i128::from(cx.p.utc()) - i128::from(utc)).clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        let far = ahead.unsigned_abs() >= SLEW_MOST as u64;
        let fine = ahead.unsigned_abs() < FINE as u64;
        let stepped = (far || step) && !fine;
        let done = if stepped {
            self.slewing = false;
            cx.p.set_clock(utc)
        } else if !fine || self.slewing {
            // What an older one had still to do is of no use.
            self.slewing = !fine;
            cx.p.slew_clock(if fine { 0 } else { -ahead })
        } else {
            Ok(())
        };
        match done {
            Ok(()) if far => cx.p.log(Level::Info, &format!("the clock was off by {} ms", ahead / 1_000_000)),
            Ok(()) => {}
            Err(e) => cx.p.log(Level::Warning, &format!("the clock can't be set: {e}")),
        }
        cx.say(channel, &ToHost::Was(Was { number, ahead, stepped }));
        Ok(())
    }

    pub(crate) fn poll<P: Platform>(&mut self, cx: &mut Cx<'_, P>) -> u64 {
        let Some(channel) = self.channel else { return u64::MAX };
        if cx.now >= self.look_at {
            self.look_at = cx.now + LOOK;
            if cx.p.slept() {
                cx.say(channel, &ToHost::Ask);
            }
        }
        self.look_at
    }
}
