//! Keys and values that host and guest leave for each other, in the registry: the host's in `Host`, the guest's in `Guest`.

use alloc::string::String;
use alloc::vec::Vec;

use xp_base::Result;

use xp_base::registry::Key;

const HOST: &str = "SOFTWARE\\Heirloom\\Host";
const GUEST: &str = "SOFTWARE\\Heirloom\\Guest";

/// The host's; an empty value takes it away.
pub fn set_host(key: &str, value: &str) -> Result<()> {
    let k = Key::make(HOST)?;
    if value.is_empty() { k.remove(key) } else { k.set(key, value) }
}

/// The guest's.
pub fn guest() -> Vec<(String, String)> {
    let Some(k) = Key::machine(GUEST) else { return Vec::new() };
    k.values().into_iter().map(|name| (k.string(&name), name)).map(|(value, name)| (name, value)).collect()
}
