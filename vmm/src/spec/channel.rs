//! The integration channel of a spec: `on[,window=MIB][,no-pci][,no-com2][,no-SERVICE]...`.

use crate::services::NAMES;

/// The window, in MiB.
pub const WINDOW_MIB: [u32; 5] = [4, 8, 16, 32, 64];

/// A machine's integration channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSpec {
    /// Memory that guest and host share, in MiB.
    pub window_mib: u32,
    /// The PCI function is there.
    pub pci: bool,
    /// COM2 is the channel's too, unless the spec connects it to something.
    pub serial: bool,
    /// Services that are not offered.
    pub off: Vec<&'static str>,
}

impl Default for ChannelSpec {
    fn default() -> Self {
        Self { window_mib: 16, pci: true, serial: true, off: Vec::new() }
    }
}

/// `off` is no channel.
pub fn channel(s: &str) -> Result<Option<ChannelSpec>, String> {
    let bad = || {
        let all: Vec<String> = NAMES.iter().map(|n| format!("no-{n}")).collect();
        format!(
            "channel {s:?}; use off, or on with any of window=4|8|16|32|64, no-pci, no-com2, {}",
            all.join(", ")
        )
    };
    let mut words = s.split(',');
    let mut spec = match words.next() {
        Some("off") if s == "off" => return Ok(None),
        Some("on") => ChannelSpec::default(),
        _ => return Err(bad()),
    };
    for w in words {
        if let Some(mib) = w.strip_prefix("window=") {
            let mib = mib.parse().ok().filter(|m| WINDOW_MIB.contains(m));
            spec.window_mib = mib.ok_or_else(bad)?;
        } else if w == "no-pci" {
            spec.pci = false;
        } else if w == "no-com2" {
            spec.serial = false;
        } else {
            let name = w.strip_prefix("no-").and_then(|w| NAMES.into_iter().find(|n| *n == w));
            spec.off.push(name.ok_or_else(bad)?);
        }
    }
    if !spec.pci && !spec.serial {
        return Err("channel with no-pci and no-com2: no agent could come; leave one of them out".into());
    }
    Ok(Some(spec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_or_told() {
        assert_eq!(channel("off"), Ok(None));
        assert_eq!(channel("on"), Ok(Some(ChannelSpec::default())));
        let spec = ChannelSpec { window_mib: 32, off: vec!["programs", "time"], ..ChannelSpec::default() };
        assert_eq!(channel("on,window=32,no-programs,no-time"), Ok(Some(spec)));
        let why = channel("on,no-pci,no-com2").expect_err("no way");
        assert!(why.contains("leave one"), "{why}");
        for bad in ["", "yes", "off,window=4", "on,window=5", "on,no-nothing", "on,programs"] {
            let why = channel(bad).expect_err(bad);
            assert!(why.contains("no-programs") && why.contains("window=4|8"), "{why}");
        }
    }
}
