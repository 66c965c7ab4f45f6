//! Answers the host's beats.

use channel::services::Unknown;
use channel::services::heartbeat::{Beat, ToGuest, ToHost};
use channel::services::parse;

use crate::{Cx, Platform};

#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    beats: u64,
}

impl Heartbeat {
    pub(crate) fn message<P: Platform>(
        &mut self,
        cx: &mut Cx<'_, P>,
        channel: u16,
        m: &[u8],
    ) -> Result<(), Unknown> {
        let ToGuest::Beat(Beat { number, .. }) = parse(m)?;
        self.beats += 1;
        cx.say(channel, &ToHost::Beat(Beat { number, up: cx.now / 1_000_000 }));
        Ok(())
    }
}
