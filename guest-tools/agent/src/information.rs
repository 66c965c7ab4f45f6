//! Tells what the guest is, again when it changed; keeps pairs of keys and values for both ends.

use alloc::vec::Vec;

use channel::services::information::{
    About, Ask, KEY_MOST, PAIRS_MOST, Pair, Software, ToGuest, ToHost, VALUE_MOST,
};
use channel::services::{Unknown, parse};

use crate::{Cx, Platform, SECOND};

const LOOK: u64 = 5 * SECOND;
/// Longest list of programs in one message, in bytes about; what is beyond is left out.
const SOFTWARE_MOST: usize = 1 << 20;

#[derive(Debug, Default)]
pub(crate) struct Information {
    channel: Option<u16>,
    look_at: u64,
    said: Option<About>,
    pairs: Vec<Pair>,
    host_keys: Vec<alloc::string::String>,
}

/// What is told when it changes: free memory always does.
fn is_news(old: &About, new: &About) -> bool {
    About { memory_free: 0, ..old.clone() } != About { memory_free: 0, ..new.clone() }
}

impl Information {
    pub(crate) fn opened(&mut self, channel: u16) {
        *self = Self {
            channel: Some(channel),
            host_keys: core::mem::take(&mut self.host_keys),
            ..Self::default()
        };
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
        match parse(m)? {
            ToGuest::Ask(Ask { software }) => {
                self.tell(cx, channel, true);
                if software {
                    let mut left = SOFTWARE_MOST;
                    let mut packages = cx.p.software();
                    packages.retain(|p| {
                        let len = p.name.len() + p.version.len() + p.publisher.len() + 10;
                        let fits = len <= left;
                        left -= if fits { len } else { 0 };
                        fits
                    });
                    cx.say(channel, &ToHost::Software(Software { packages }));
                }
            }
            ToGuest::Set(pair) => {
                // The host is not trusted to keep to its bounds.
                let known = self.host_keys.contains(&pair.key);
                let fits =
                    !pair.key.is_empty() && pair.key.len() <= KEY_MOST && pair.value.len() <= VALUE_MOST;
                if !fits || !known && (self.host_keys.len() >= PAIRS_MOST || pair.value.is_empty()) {
                    return Ok(());
                }
                if pair.value.is_empty() {
                    self.host_keys.retain(|k| *k != pair.key);
                } else if !known {
                    self.host_keys.push(pair.key.clone());
                }
                cx.p.host_pair(&pair);
            }
        }
        Ok(())
    }

    fn tell<P: Platform>(&mut self, cx: &mut Cx<'_, P>, channel: u16, asked: bool) {
        let about = About { agent: env!("CARGO_PKG_VERSION").into(), ..cx.p.about() };
        if asked || self.said.as_ref().is_none_or(|old| is_news(old, &about)) {
            cx.say(channel, &ToHost::About(about.clone()));
            self.said = Some(about);
        }
    }

    /// Looks whether something changed.
    pub(crate) fn poll<P: Platform>(&mut self, cx: &mut Cx<'_, P>) -> u64 {
        let Some(channel) = self.channel else { return u64::MAX };
        if cx.now < self.look_at {
            return self.look_at;
        }
        self.look_at = cx.now + LOOK;
        self.tell(cx, channel, false);
        let mut now = cx.p.guest_pairs();
        now.retain(|p| !p.key.is_empty() && p.key.len() <= KEY_MOST && p.value.len() <= VALUE_MOST);
        now.truncate(PAIRS_MOST);
        for gone in self.pairs.iter().filter(|p| !now.iter().any(|n| n.key == p.key)) {
            let none = Pair { key: gone.key.clone(), ..Pair::default() };
            cx.say(channel, &ToHost::Set(none));
        }
        for new in now.iter().filter(|n| !self.pairs.contains(n)) {
            cx.say(channel, &ToHost::Set(new.clone()));
        }
        self.pairs = now;
        self.look_at
    }
}
