//! The medium, the tray and its lock, and how the guest learns of a change. SFF-8020i 4.7, INF-8090 13.9.

use board::{Cx, Media};

use super::CdRom;
use super::sense::Sense;
use crate::ata::task_file::Core;

/// What the next command must be told before it may run: a drive whose disc was swapped shows an empty tray
/// once, then "medium may have changed", so that both kinds of polling drivers notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Change {
    #[default]
    None,
    /// The tray was open.
    Opened,
    /// And has another disc now.
    NewMedium,
}

/// What GET EVENT/STATUS NOTIFICATION tells once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Event {
    #[default]
    None,
    EjectRequest,
    NewMedia,
    Removal,
}

impl CdRom {
    /// The sense of an empty drive.
    pub(super) fn empty(&self) -> Sense {
        if self.tray_open { Sense::OPEN } else { Sense::EMPTY }
    }

    /// Blocks of 2048 bytes.
    pub(super) fn blocks(&self) -> Option<u32> {
        self.media.map(|m| u32::try_from(m.sectors / 4).unwrap_or(u32::MAX))
    }

    /// What keeps a command from running, once each.
    pub(super) fn attention(&mut self) -> Option<Sense> {
        if std::mem::take(&mut self.was_reset) {
            return Some(Sense::WAS_RESET);
        }
        match self.change {
            Change::None => None,
            Change::Opened => {
                self.change = Change::NewMedium;
                Some(Sense::OPEN)
            }
            Change::NewMedium => {
                self.change = Change::None;
                Some(Sense::NEW_MEDIUM)
            }
        }
    }

    /// The tray opens; its medium is gone.
    pub(super) fn open_tray(&mut self) {
        if self.media.take().is_some() {
            self.empty_told = false;
            self.event = Event::Removal;
        }
        self.change = Change::None;
        self.tray_open = true;
        self.locked = false;
    }

    /// From the host: a disc was put in, or is to be taken out.
    pub(crate) fn media_event(
        &mut self,
        core: &mut Core,
        cx: &mut Cx<'_>,
        media: Option<Media>,
        forced: bool,
    ) {
        match media {
            Some(m) => {
                // A guest that never saw the tray empty must see it so once.
                let seen = self.media.is_none() && self.empty_told;
                self.change = if seen { Change::NewMedium } else { Change::Opened };
                self.media = Some(m);
                self.tray_open = false;
                self.event = Event::NewMedia;
            }
            // The button on a locked drive is only a wish (MMC-2, persistent prevent).
            None if self.locked && !forced => self.event = Event::EjectRequest,
            None => {
                self.open_tray();
                if !forced {
                    core.eject(cx);
                }
            }
        }
    }
}
