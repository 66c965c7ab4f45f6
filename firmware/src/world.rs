//! What all services share.

use std::sync::{Arc, Mutex};

use ram::GuestRam;

use crate::config::Config;
use crate::rom::Rom;
use crate::rom::kernel::Kernel;
use crate::state::Shared;

pub struct World {
    pub config: Config,
    pub ram: Arc<GuestRam>,
    pub kernel: Kernel,
    /// The ROM image; POST shadows it.
    pub image: Vec<u8>,
    pub pci32_entry: u16,
    pub shared: Mutex<Shared>,
}

impl World {
    pub fn new(config: Config, ram: Arc<GuestRam>) -> Self {
        let Rom { image, kernel, pci32 } = rom();
        Self { config, ram, kernel, image, pci32_entry: pci32.entry, shared: Mutex::default() }
    }
}

/// The assembled ROM.
///
/// # Panics
/// Never: the code is fixed, and a test assembles it.
pub fn rom() -> Rom {
    Rom::assemble().unwrap_or_else(|e| panic!("the ROM's own code does not assemble: {e}"))
}
