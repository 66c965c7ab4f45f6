//! Whether a state is one of a machine: told before its ports are opened.

use std::io;
use std::sync::Arc;

use board::{Device, Lamps, Leds, NetPort, NoCable, Scanout, StateError, StateIn, VideoMode};
use ram::GuestRam;

use super::{BoardV1, EntryV1, LoadError, Saved};
use crate::board_map;
use crate::events::Events;
use crate::floppy::{self, FLOPPIES};
use crate::machine::{Drive, Parts, host_services};
use crate::mailbox::Mailbox;
use crate::services;

impl Saved {
    /// Is it of a machine of these sizes? For embedders that open ports after it; what is plugged in shows in the restore.
    pub fn fits(&self, parts: &Parts) -> Result<(), LoadError> {
        let memory = parts.memory_mib << 20;
        self.fits_board(&BoardV1 { memory, slots: board_map::slot_bytes(parts), nx: parts.nx })
    }

    /// Would the chips of a machine with these drives, and so many diskette drives and network adapters, take it? What lies
    /// in drives does not matter. For embedders that open other ports after it.
    pub fn fits_drives(
        &self,
        parts: &Parts,
        drives: &[Option<Drive>; board_map::DRIVES],
        floppies: usize,
        nets: usize,
    ) -> Result<(), LoadError> {
        // Chips hardly look at memory, and not at how much there is.
        const MEMORY: u64 = 4 << 20;
        let ram = GuestRam::new(MEMORY, board_map::slot_bytes(parts)).map_err(io::Error::other)?;
        let mut floppy_specs = [None; FLOPPIES];
        for f in floppy_specs.iter_mut().take(floppies) {
            *f = floppy::drive(None).ok();
        }
        let outside = board_map::Outside {
            drives: drives.each_ref().map(|d| d.as_ref().map(Drive::found)),
            floppies: floppy_specs,
            serial: [None, None],
            net: std::array::from_fn(|n| (n < nets).then(|| Box::new(NoCable) as Box<dyn NetPort>)),
            parallel: None,
            sound: None,
            display: Box::new(Nobody),
            lamps: Box::new(Nobody),
            services: host_services(parts, &services::Shared::new(Events::default())),
            mailbox: Mailbox::default(),
        };
        let (mut built, _) = board_map::build(parts, &Arc::new(ram), outside);
        Ok(load_each(&self.head.entries, &mut built.devices())?)
    }

    pub(super) fn fits_board(&self, own: &BoardV1) -> Result<(), LoadError> {
        let state = &self.head.board;
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        let other = |field, state: String, machine: String| Err(LoadError::Other { field, state, machine });
        if state.memory != own.memory {
            return other("memory of", mib(state.memory), mib(own.memory));
        }
        if state.slots != own.slots {
            return other("video memory, ROMs and channel window of", mib(state.slots), mib(own.slots));
        }
        if state.nx != own.nx {
            return other("execute disable", state.nx.to_string(), own.nx.to_string());
        }
        Ok(())
    }
}

/// Gives each chip its entry; there must be one for each, and none for others.
pub(super) fn load_each(entries: &[EntryV1], chips: &mut [&mut dyn Device]) -> Result<(), StateError> {
    if let Some(e) = entries.iter().find(|e| chips.iter().all(|d| d.name() != e.chip)) {
        return Err(StateError::Unknown { chip: e.chip.clone() });
    }
    for d in chips {
        let e = entries.iter().find(|e| e.chip == d.name());
        let e = e.ok_or_else(|| StateError::Missing { chip: d.name().into() })?;
        d.load(&StateIn::new(&e.chip, e.version, &e.body))?;
    }
    Ok(())
}

/// Nobody sees it.
struct Nobody;

impl Scanout for Nobody {
    fn mode(&mut self, _: VideoMode) {}

    fn rows(&mut self, _: std::ops::Range<u32>, _: &[u32]) {}

    fn wanted(&self) -> bool {
        false
    }
}

impl Lamps for Nobody {
    fn show(&mut self, _: Leds) {}
}
