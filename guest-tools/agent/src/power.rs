//! Shuts down, restarts, logs off, locks.

use alloc::format;
use alloc::string::String;

use channel::services::power::{Do, Done, ToGuest, ToHost};
use channel::services::{Unknown, parse};

use crate::{Cx, Level, Platform};

pub(crate) fn message<P: Platform>(cx: &mut Cx<'_, P>, channel: u16, m: &[u8]) -> Result<(), Unknown> {
    let ToGuest::Do(Do { request, action, force, message }) = parse(m)?;
    let error = match cx.p.power(action, force, &message) {
        Ok(()) => {
            cx.p.log(Level::Info, &format!("the host asked for {action:?}"));
            String::new()
        }
        Err(e) => {
            cx.p.log(Level::Error, &format!("{action:?}, which the host asked for: {e}"));
            e
        }
    };
    cx.say(channel, &ToHost::Done(Done { request, error }));
    Ok(())
}
