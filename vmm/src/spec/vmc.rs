//! Virtual PC's configuration files (.vmc): a spec of the same machine, and what has no equal here; and back (write.rs).
//!
//! UTF-16 (or UTF-8) XML: `<preferences>`, settings as leaves with a `type`, list items with an `id`. Page:
//! docs/import-export.md.

mod write;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{MEMORY_MIB, VIDEO_MIB, show_mac};
use crate::floppy::FLOPPIES;

pub use write::missing;

/// A file is no longer than this: Virtual PC's have some KiB.
pub const LONGEST: usize = 4 << 20;

/// Why a file is no configuration, or of no machine that can be made here. Each on a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VmcError {
    #[error("it is {0} bytes long, more than any configuration; give a .vmc file")]
    Size(usize),
    #[error("it is neither UTF-16 nor UTF-8 text; give a .vmc file, and copy it again if it is one")]
    Text,
    #[error("it is no XML: {0}; give a .vmc file, and copy it again if it is one")]
    Xml(String),
    #[error(
        "its root is <{0}>, not <preferences>; give the machine's .vmc file (a .vmcx file names it in vmc_path)"
    )]
    Root(String),
    #[error("{field} is {value:?}: {why}; mend it in the file")]
    Value { field: String, value: String, why: String },
}

/// Names of networks that are none of a card of the host's.
const SHARED: &str = "Shared Networking (NAT)";
const NOT_CONNECTED: &str = "Not connected";

/// A diskette, as the file names it: Windows' paths. Empty: nothing is in the drive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Medium {
    pub absolute: String,
    pub relative: String,
}

/// A disk or CD, as the file names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drive {
    /// Controller and location.
    pub at: (u32, u32),
    pub cdrom: bool,
    /// Windows' paths; empty: nothing is in it.
    pub absolute: String,
    pub relative: String,
    /// It has an undo disk.
    pub undo: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adapter {
    /// "Shared networking (NAT)", "Local only", or a card of the host.
    pub network: String,
    pub mac: Option<[u8; 6]>,
}

/// What a configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vmc {
    pub memory_mib: Option<u64>,
    pub video_mib: Option<u32>,
    /// In the order of controllers and locations.
    pub drives: Vec<Drive>,
    /// Diskette drives A: and B:.
    pub floppies: Vec<Medium>,
    pub adapters: Vec<Adapter>,
    /// The sound card can be heard.
    pub sound: Option<bool>,
    /// What becomes of undo disks: 0 discard, 1 keep, 2 commit.
    pub undo_action: Option<u32>,
    /// What has no equal here: the setting and its value.
    pub left: Vec<(String, String)>,
}

fn text(bytes: &[u8]) -> Result<String, VmcError> {
    if bytes.len() > LONGEST {
        return Err(VmcError::Size(bytes.len()));
    }
    let units = |swap: bool| -> Vec<u16> {
        let (pairs, _) = bytes[2..].as_chunks::<2>();
        pairs.iter().map(|p| if swap { u16::from_be_bytes(*p) } else { u16::from_le_bytes(*p) }).collect()
    };
    match bytes {
        [0xff, 0xfe, ..] => String::from_utf16(&units(false)).map_err(|_| VmcError::Text),
        [0xfe, 0xff, ..] => String::from_utf16(&units(true)).map_err(|_| VmcError::Text),
        // Without a mark, but what an XML file begins with.
        [b'<', 0, ..] => {
            let marked = [&[0xff, 0xfe], bytes].concat();
            text(&marked)
        }
        _ => {
            let s = std::str::from_utf8(bytes).map_err(|_| VmcError::Text)?;
            Ok(s.strip_prefix('\u{feff}').unwrap_or(s).to_owned())
        }
    }
}

/// All leaves: their paths from the root, ids in brackets, and their texts. None: they lie deeper than any setting.
fn leaves(root: roxmltree::Node<'_, '_>) -> Option<Vec<(String, String)>> {
    const DEEPEST: usize = 32;
    let mut all = Vec::new();
    for n in root.descendants().filter(|n| n.is_element() && !n.children().any(|c| c.is_element())) {
        if n.ancestors().nth(DEEPEST).is_some() {
            return None;
        }
        let mut steps: Vec<String> = n
            .ancestors()
            .take_while(|a| *a != root)
            .map(|a| match a.attribute("id") {
                Some(id) => format!("{}[{id}]", a.tag_name().name()),
                None => a.tag_name().name().to_owned(),
            })
            .collect();
        steps.reverse();
        all.push((steps.join("/"), n.text().unwrap_or_default().trim().to_owned()));
    }
    Some(all)
}

fn number<T: std::str::FromStr>(field: &str, value: &str) -> Result<T, VmcError> {
    value.parse().map_err(|_| VmcError::Value {
        field: field.into(),
        value: value.into(),
        why: "it is not a number".into(),
    })
}

/// `ide_controller[1]` and the like: the number.
fn index(step: &str, name: &str) -> Option<u32> {
    step.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Reads a configuration.
pub fn read(bytes: &[u8]) -> Result<Vmc, VmcError> {
    let text = text(bytes)?;
    let doc = roxmltree::Document::parse(&text).map_err(|e| VmcError::Xml(e.to_string()))?;
    let root = doc.root_element();
    if root.tag_name().name() != "preferences" {
        return Err(VmcError::Root(root.tag_name().name().into()));
    }
    let mut v = Vmc::default();
    let mut drives: BTreeMap<(u32, u32), Drive> = BTreeMap::new();
    let mut adapters: BTreeMap<u32, Adapter> = BTreeMap::new();
    let mut floppies: BTreeMap<u32, Medium> = BTreeMap::new();
    let mut count: Option<usize> = None;
    let leaves = leaves(root).ok_or_else(|| VmcError::Xml("settings within settings without end".into()))?;
    for (path, value) in leaves {
        let steps: Vec<&str> = path.split('/').collect();
        let value_error = |why: String| VmcError::Value { field: path.clone(), value: value.clone(), why };
        match steps.as_slice() {
            ["version"] => {}
            ["hardware", "memory", "ram_size"] => {
                let mib = number(&path, &value)?;
                if !MEMORY_MIB.contains(&mib) {
                    return Err(value_error(format!(
                        "a machine has {} to {} MiB of memory",
                        MEMORY_MIB.start(),
                        MEMORY_MIB.end()
                    )));
                }
                v.memory_mib = Some(mib);
            }
            ["hardware", "pci_bus", "video_adapter", "vram_size"] => {
                let mib = number(&path, &value)?;
                if VIDEO_MIB.contains(&mib) {
                    v.video_mib = Some(mib);
                } else {
                    v.left.push((path, value));
                }
            }
            ["hardware", "pci_bus", "ethernet_adapter", "controller_count"] => {
                count = Some(number(&path, &value)?);
            }
            ["hardware", "pci_bus", "ethernet_adapter", controller, field @ ..] => {
                let Some(n) = index(controller, "ethernet_controller") else {
                    v.left.push((path, value));
                    continue;
                };
                let a = adapters.entry(n).or_default();
                match field {
                    ["virtual_network", "name"] => a.network = value,
                    // A number of the host's own.
                    ["virtual_network", "id"] => {}
                    ["ethernet_card_address"] if value.is_empty() => {}
                    ["ethernet_card_address"] => {
                        let bytes = value.as_bytes().as_chunks::<2>().0;
                        let hex = |b: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(b).ok()?, 16).ok();
                        let mac: Option<Vec<u8>> = bytes.iter().map(hex).collect();
                        let mac = mac.filter(|_| value.len() == 12).and_then(|m| <[u8; 6]>::try_from(m).ok());
                        let mac = mac.filter(|m| m[0] & 1 == 0);
                        let why =
                            || value_error("it is no address of one adapter, as in 0003FF123456".into());
                        a.mac = Some(mac.ok_or_else(why)?);
                    }
                    _ => v.left.push((path, value)),
                }
            }
            ["hardware", "pci_bus", "ide_adapter", controller, location, field @ ..] => {
                let place = index(controller, "ide_controller").zip(index(location, "location"));
                let Some(at) = place.filter(|(c, l)| *c < 2 && *l < 2) else {
                    v.left.push((path, value));
                    continue;
                };
                let d = drives.entry(at).or_insert_with(|| Drive { at, ..Drive::default() });
                match field {
                    ["drive_type"] => match number(&path, &value)? {
                        1_u32 => d.cdrom = false,
                        2 => d.cdrom = true,
                        // Nothing is there.
                        0 => drop(drives.remove(&at)),
                        _ => v.left.push((path, value)),
                    },
                    ["pathname", "absolute"] => d.absolute = value,
                    ["pathname", "relative"] => d.relative = value,
                    ["undo_pathname", "absolute" | "relative"] => d.undo |= !value.is_empty(),
                    _ => v.left.push((path, value)),
                }
            }
            ["hardware", "super_io", floppy, field @ ..]
                if index(floppy, "floppy").is_some_and(|n| (n as usize) < FLOPPIES) =>
            {
                let f = floppies.entry(index(floppy, "floppy").unwrap_or_default()).or_default();
                match field {
                    ["pathname", "absolute"] => f.absolute = value,
                    ["pathname", "relative"] => f.relative = value,
                    // Another diskette is found as it is put in.
                    ["auto_detect"] => {}
                    _ if value.is_empty() => {}
                    _ => v.left.push((path, value)),
                }
            }
            ["settings", "sound", "sound_adapter", "enable"] => {
                v.sound = match value.as_str() {
                    "true" => Some(true),
                    "false" => Some(false),
                    _ => return Err(value_error("it is neither true nor false".into())),
                };
            }
            ["settings", "undo_drives", "default_action"] => v.undo_action = Some(number(&path, &value)?),
            _ if value.is_empty() => {}
            _ => v.left.push((path, value)),
        }
    }
    // A disk's place without a disk is none.
    v.drives = drives
        .into_values()
        .filter(|d| d.cdrom || !(d.absolute.is_empty() && d.relative.is_empty()))
        .collect();
    v.floppies = floppies.into_values().collect();
    v.adapters = adapters.into_values().collect();
    if let Some(n) = count {
        v.adapters.truncate(n);
    }
    Ok(v)
}

/// A TOML string.
fn quoted(s: &str) -> String {
    toml::Value::String(s.to_owned()).to_string()
}

impl Vmc {
    /// The spec's text. `find`: where a file is now, by its absolute and its relative path, as the spec shall name it.
    pub fn to_spec(&self, name: &str, mut find: impl FnMut(&str, &str) -> String) -> String {
        let mut t = format!("name = {}\n", quoted(name));
        // Writing to a string does not fail.
        let mut line = |l: String| {
            let _ = writeln!(t, "{l}");
        };
        if let Some(m) = self.memory_mib {
            line(format!("memory = {m}"));
        }
        if let Some(m) = self.video_mib {
            line(format!("video = {m}"));
        }
        if self.sound == Some(true) {
            line("audio = \"host\"".into());
        }
        for d in self.drives.iter().filter(|d| !d.cdrom) {
            line(format!("\n[[disk]]\npath = {}", quoted(&find(&d.absolute, &d.relative))));
            if d.undo {
                line(format!(
                    "undo = \"{}\"",
                    ["discard", "keep", "commit"][self.undo_action.unwrap_or(1).min(2) as usize]
                ));
            }
        }
        for d in self.drives.iter().filter(|d| d.cdrom) {
            line("\n[[cdrom]]".into());
            if !(d.absolute.is_empty() && d.relative.is_empty()) {
                line(format!("path = {}", quoted(&find(&d.absolute, &d.relative))));
            }
        }
        for f in &self.floppies {
            line("\n[[floppy]]".into());
            if !(f.absolute.is_empty() && f.relative.is_empty()) {
                line(format!("path = {}", quoted(&find(&f.absolute, &f.relative))));
            }
        }
        for a in &self.adapters {
            let kind = if a.is_shared() || a.is_bridged() { "nat" } else { "none" };
            line(format!("\n[[net]]\nkind = \"{kind}\""));
            if let Some(mac) = a.mac {
                line(format!("mac = \"{}\"", show_mac(mac)));
            }
        }
        t
    }

    /// What a user should know of the difference, a line each.
    pub fn notes(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.adapters.is_empty() {
            all.push(
                "the machine had no network adapter; here one is there, its cable not plugged in".into(),
            );
        }
        for (n, a) in (1..).zip(&self.adapters) {
            if a.is_bridged() {
                all.push(format!(
                    "network adapter {n} was bridged to {:?}; here it has a network of its own (nat), or use kind = \"tap\"",
                    a.network
                ));
            } else if !a.is_shared()
                && !a.network.is_empty()
                && !a.network.eq_ignore_ascii_case(NOT_CONNECTED)
            {
                all.push(format!(
                    "network adapter {n} was in {:?}, which is not here: it is not plugged in",
                    a.network
                ));
            }
        }
        // Disks come in their order, then CDs from the secondary master on.
        let disks: Vec<_> = self.drives.iter().filter(|d| !d.cdrom).map(|d| d.at).collect();
        let places = [(0, 0), (0, 1), (1, 0), (1, 1)];
        if disks.iter().ne(places.iter().take(disks.len())) {
            all.push(
                "the disks take other places on the IDE channels than they had; their order is the same"
                    .into(),
            );
        }
        all.extend(self.left.iter().map(|(k, v)| format!("{k} = {v} has no equal here")));
        all
    }
}

impl Adapter {
    fn is_shared(&self) -> bool {
        self.network.to_ascii_lowercase().contains("nat)")
    }

    /// To a card of the host's.
    fn is_bridged(&self) -> bool {
        let n = self.network.to_ascii_lowercase();
        !n.is_empty()
            && !self.is_shared()
            && n != "local only"
            && n != "internal network"
            && n != "not connected"
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::{AudioSpec, MachineSpec, NetKind, UndoClose};
    use super::*;

    pub(crate) const FILE: &str = r#"<?xml version="1.0" encoding="UTF-16"?>
<!-- Microsoft Virtual Machine Options and Settings -->
<preferences>
  <version type="string">2.0</version>
  <alerts><notifications><no_boot_disk type="boolean">true</no_boot_disk></notifications></alerts>
  <hardware>
    <memory><ram_size type="integer">512</ram_size></memory>
    <pci_bus>
      <ethernet_adapter>
        <controller_count type="integer">3</controller_count>
        <ethernet_controller id="0">
          <virtual_network><id type="bytes">6C31</id><name type="string">Shared Networking (NAT)</name></virtual_network>
          <ethernet_card_address type="bytes">0003FF7CA83F</ethernet_card_address>
        </ethernet_controller>
        <ethernet_controller id="1">
          <virtual_network><name type="string">Local only</name></virtual_network>
        </ethernet_controller>
        <ethernet_controller id="2">
          <virtual_network><name type="string">Some Gigabit Adapter</name></virtual_network>
        </ethernet_controller>
        <ethernet_controller id="3"><virtual_network><name type="string">left over</name></virtual_network></ethernet_controller>
      </ethernet_adapter>
      <video_adapter><vram_size type="integer">8</vram_size></video_adapter>
      <ide_adapter>
        <ide_controller id="1">
          <location id="0">
            <drive_type type="integer">2</drive_type>
            <pathname><absolute type="string" /><relative type="string" /></pathname>
          </location>
        </ide_controller>
        <ide_controller id="0">
          <location id="0">
            <drive_type type="integer">1</drive_type>
            <pathname>
              <absolute type="string">C:\VMs\R&amp;D "old".vhd</absolute><relative type="string">.\R&amp;D "old".vhd</relative>
            </pathname>
            <undo_pathname><absolute type="string">C:\VMs\undo.vud</absolute><relative type="string" /></undo_pathname>
          </location>
          <location id="1"><drive_type type="integer">0</drive_type></location>
        </ide_controller>
      </ide_adapter>
    </pci_bus>
    <super_io>
      <floppy id="0">
        <auto_detect type="boolean">true</auto_detect>
        <pathname><absolute type="string" /><relative type="string">.\dos.vfd</relative></pathname>
      </floppy>
      <floppy id="1"><pathname><absolute type="string" /><relative type="string" /></pathname></floppy>
      <serial_port id="0"><port_type type="integer">3</port_type></serial_port>
    </super_io>
    <usb><count type="integer">1</count></usb>
  </hardware>
  <settings>
    <sound><sound_adapter><enable type="boolean">true</enable></sound_adapter></sound>
    <undo_drives><default_action type="integer">2</default_action></undo_drives>
  </settings>
</preferences>
"#;

    fn utf16(s: &str, big: bool) -> Vec<u8> {
        let unit = |u: u16| if big { u.to_be_bytes() } else { u.to_le_bytes() };
        std::iter::once(0xfeff).chain(s.encode_utf16()).flat_map(unit).collect()
    }

    #[test]
    fn a_machine_of_virtual_pc_becomes_a_spec() {
        for bytes in [utf16(FILE, false), utf16(FILE, true), FILE.into(), utf16(FILE, false)[2..].to_vec()] {
            let v = read(&bytes).unwrap();
            let t = v.to_spec("old one", |_, relative| relative.replace(".\\", ""));
            let s = MachineSpec::parse(&t, "s.toml").unwrap_or_else(|e| panic!("{e}\n{t}"));
            assert_eq!((s.name.as_str(), s.memory_mib, s.video_mib), ("old one", 512, 8));
            assert_eq!(s.disks[0].path.to_str(), Some("R&D \"old\".vhd"));
            assert_eq!((s.disks.len(), s.disks[0].undo), (1, Some(UndoClose::Commit)));
            assert_eq!(s.cdroms, [None]);
            let floppies: Vec<_> = s.floppies.iter().map(|f| f.path.as_deref()).collect();
            assert_eq!(floppies, [Some(std::path::Path::new("dos.vfd")), None]);
            assert_eq!(s.audio, AudioSpec::Host);
            let nets: Vec<_> = s.nets.iter().map(|n| n.kind != NetKind::None).collect();
            assert_eq!(nets, [true, false, true]);
            assert_eq!(s.nets[0].mac, Some([0, 3, 0xff, 0x7c, 0xa8, 0x3f]));
            let notes = v.notes().join("\n");
            for told in [
                "adapter 2 was in \"Local only\"",
                "adapter 3 was bridged to \"Some Gigabit Adapter\"",
                "alerts/notifications/no_boot_disk = true has no equal here",
                "hardware/usb/count = 1 has no equal",
                "hardware/super_io/serial_port[0]/port_type = 3 has no equal",
            ] {
                assert!(notes.contains(told), "{told}: {notes}");
            }
            assert!(!notes.contains("IDE"), "{notes}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |from: &str, to: &str| read(FILE.replace(from, to).as_bytes()).unwrap_err().to_string();
        for (from, to, told) in [
            (">512<", ">half<", "hardware/memory/ram_size is \"half\": it is not a number"),
            (">512<", ">9999<", "ram_size is \"9999\": a machine has 4 to 3712 MiB"),
            ("0003FF7CA83F", "0003FF7CA83", "ethernet_card_address is \"0003FF7CA83\""),
            ("0003FF7CA83F", "0103FF7CA83F", "no address of one adapter"),
            (
                "<enable type=\"boolean\">true",
                "<enable type=\"boolean\">yes",
                "sound_adapter/enable is \"yes\": it is neither",
            ),
            ("preferences>", "vm_description>", "its root is <vm_description>"),
            ("</preferences>", "", "no XML"),
        ] {
            let e = with(from, to);
            assert!(e.contains(told) && e.contains(';') && !e.contains('\n'), "{told}: {e}");
        }
        assert_eq!(read(&[0xff, 0xfe, 0, 0xd8]), Err(VmcError::Text));
        assert_eq!(read(&[0x80; 64]), Err(VmcError::Text));
        assert_eq!(read(&vec![b' '; LONGEST + 1]), Err(VmcError::Size(LONGEST + 1)));
    }
}
