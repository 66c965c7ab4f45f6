//! The agent's loop: what it waits for, and how it ends.

use alloc::vec::Vec;

use agent::Agent;
use xp_base::handle::{Handle, wait_any};
use xp_base::{Result, log};

use crate::platform::clock;
use crate::platform::service::Wishes;
use crate::system::Windows;

const MILLISECOND: u64 = 1_000_000;
/// Pipes have no events: they are looked at so often while programs run, and when the machine's clock must be.
const PIPES: u64 = 10 * MILLISECOND;
const LONGEST: u64 = 1000 * MILLISECOND;

/// Until it is to stop, and has said so.
pub(crate) fn serve(port: &str, wishes: &Wishes) -> Result<()> {
    log::line(format_args!("heirloom-agent {} begins", env!("CARGO_PKG_VERSION")));
    let mut agent = Agent::new(Windows::new(port, &wishes.woke));
    while !agent.has_ended() {
        if wishes.stop.handle().is_signalled() {
            agent.end();
        }
        interrupts(&mut agent);
        let mut next = agent.poll();
        if agent.has_ended() {
            break;
        }
        next = next.min(agent.platform().tend());
        let now = clock::nanoseconds();
        if agent.programs().next().is_some() {
            next = next.min(now + PIPES);
        }
        if agent.arm() || next <= now {
            continue;
        }
        let milliseconds = (next - now).min(LONGEST).div_ceil(MILLISECOND) as u32;
        let stopping = wishes.stop.handle().is_signalled();
        let platform = agent.platform();
        let mut all: Vec<&Handle> = platform.events().chain([wishes.woke.handle()]).collect();
        if !stopping {
            all.push(wishes.stop.handle());
        }
        wait_any(&all, milliseconds);
    }
    log::line(format_args!("heirloom-agent ends"));
    Ok(())
}

/// What the function's driver says.
fn interrupts(agent: &mut Agent<Windows<'_>>) {
    let Some(bus) = agent.platform().bus() else { return };
    match bus.interrupt() {
        Ok(None) => {}
        Ok(Some(i)) if i.stopped => {
            log::line(format_args!(
                "the machine slept, and its function is as after a reset: over COM2 meanwhile"
            ));
            agent.release_function();
        }
        Ok(Some(_)) => agent.interrupt(),
        Err(e) => {
            log::line(format_args!("{e}"));
            agent.release_function();
            // Its event stays as it is: nothing would be waited for any more.
            agent.platform().close_bus();
        }
    }
}
