//! The other way: the configuration of a spec's machine, and what of the spec has no equal in it.

use std::fmt::Write;
use std::path::Path;

use super::super::{
    AudioSpec, DiskSpec, DisplaySpec, FloppySpec, MachineSpec, NetKind, ParallelSpec, SerialSpec,
};
use super::super::{Cache, OnError, UndoClose, macs};
use super::{Adapter, Drive, Medium, NOT_CONNECTED, SHARED, Vmc};
use crate::clock::ClockKind;
use crate::engine::Choice;
use cpu::Software;

impl Vmc {
    /// The configuration of a machine. `name`: what the file of an image is called beside it.
    pub fn of_spec(s: &MachineSpec, mut name: impl FnMut(&Path) -> String) -> Self {
        // As Virtual PC writes it.
        let mut beside = |p: &Path| format!(".\\{}", name(p));
        let place = |unit: usize| ((unit / 2) as u32, (unit % 2) as u32);
        let mut drives = Vec::new();
        for (unit, d) in s.disks.iter().enumerate() {
            let relative = beside(&d.path);
            drives.push(Drive { at: place(unit), relative, undo: d.undo.is_some(), ..Drive::default() });
        }
        for (unit, c) in (s.first_cdrom()..).zip(&s.cdroms) {
            let relative = c.as_deref().map(&mut beside).unwrap_or_default();
            drives.push(Drive { at: place(unit), cdrom: true, relative, ..Drive::default() });
        }
        let floppy = |f: &FloppySpec| Medium {
            relative: f.path.as_deref().map(&mut beside).unwrap_or_default(),
            absolute: String::new(),
        };
        let floppies = s.floppies.iter().map(floppy).collect();
        let network = |k: &NetKind| match k {
            NetKind::Nat(_) => SHARED,
            NetKind::None | NetKind::Tap(_) => NOT_CONNECTED,
        };
        let of = |(net, mac): (&super::super::NetSpec, [u8; 6])| Adapter {
            network: network(&net.kind).into(),
            mac: Some(mac),
        };
        Self {
            memory_mib: Some(s.memory_mib),
            video_mib: Some(s.video_mib),
            drives,
            floppies,
            adapters: s.nets.iter().zip(macs(&s.name, &s.nets)).map(of).collect(),
            undo_action: undo_of(s).map(|u| match u {
                UndoClose::Discard => 0,
                UndoClose::Keep => 1,
                UndoClose::Commit => 2,
            }),
            sound: Some(s.audio != AudioSpec::None),
            left: Vec::new(),
        }
    }

    /// The file: UTF-16 with its mark, as Virtual PC has it.
    pub fn write(&self) -> Vec<u8> {
        let mut x = Xml(String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n<!-- Microsoft Virtual Machine Options and Settings -->\r\n",
        ));
        x.within("preferences", None, |x| {
            x.leaf("version", "string", "2.0");
            x.within("hardware", None, |x| self.hardware(x));
            x.within("settings", None, |x| {
                if let Some(on) = self.sound {
                    x.within("sound", None, |x| {
                        x.within("sound_adapter", None, |x| {
                            x.leaf("enable", "boolean", if on { "true" } else { "false" });
                        });
                    });
                }
                if let Some(a) = self.undo_action {
                    x.within("undo_drives", None, |x| x.leaf("default_action", "integer", &a.to_string()));
                }
            });
        });
        std::iter::once(0xfeff).chain(x.0.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    }

    fn hardware(&self, x: &mut Xml) {
        if let Some(m) = self.memory_mib {
            x.within("memory", None, |x| x.leaf("ram_size", "integer", &m.to_string()));
        }
        x.within("pci_bus", None, |x| {
            x.within("ethernet_adapter", None, |x| {
                x.leaf("controller_count", "integer", &self.adapters.len().to_string());
                for (n, a) in (0..).zip(&self.adapters) {
                    x.within("ethernet_controller", Some(n), |x| {
                        x.within("virtual_network", None, |x| x.leaf("name", "string", &a.network));
                        let hex = |m: [u8; 6]| m.map(|b| format!("{b:02X}")).concat();
                        x.leaf("ethernet_card_address", "bytes", &a.mac.map(hex).unwrap_or_default());
                    });
                }
            });
            if let Some(m) = self.video_mib {
                x.within("video_adapter", None, |x| x.leaf("vram_size", "integer", &m.to_string()));
            }
            x.within("ide_adapter", None, |x| {
                for c in 0..2 {
                    x.within("ide_controller", Some(c), |x| {
                        (0..2).for_each(|l| x.within("location", Some(l), |x| self.location((c, l), x)));
                    });
                }
            });
        });
        if !self.floppies.is_empty() {
            x.within("super_io", None, |x| {
                for (n, f) in (0..).zip(&self.floppies) {
                    x.within("floppy", Some(n), |x| x.path("pathname", &f.absolute, &f.relative));
                }
            });
        }
    }

    fn location(&self, at: (u32, u32), x: &mut Xml) {
        let none = Drive::default();
        let found = self.drives.iter().find(|d| d.at == at);
        let d = found.unwrap_or(&none);
        let kind = match found {
            None => "0",
            Some(d) if d.cdrom => "2",
            Some(_) => "1",
        };
        x.leaf("drive_type", "integer", kind);
        x.path("pathname", &d.absolute, &d.relative);
        let undo = if d.undo { undo_name(&d.relative) } else { String::new() };
        x.path("undo_pathname", "", &undo);
    }
}

/// An undo disk's name beside its image.
fn undo_name(image: &str) -> String {
    let stem = image.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map_or(image, |(stem, _)| stem);
    format!("{stem}.vud")
}

/// Virtual PC knows one for all.
fn undo_of(s: &MachineSpec) -> Option<UndoClose> {
    s.disks.iter().find_map(|d| d.undo)
}

/// XML as it is written. Writing to a string does not fail.
struct Xml(String);

impl Xml {
    fn within(&mut self, name: &str, id: Option<u32>, f: impl FnOnce(&mut Self)) {
        let id = id.map_or(String::new(), |n| format!(" id=\"{n}\""));
        let _ = write!(self.0, "<{name}{id}>\r\n");
        f(self);
        let _ = write!(self.0, "</{name}>\r\n");
    }

    fn leaf(&mut self, name: &str, kind: &str, value: &str) {
        let _ = write!(self.0, "<{name} type=\"{kind}\">");
        for c in value.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '\r' => self.0.push_str("&#13;"),
                // No XML has these.
                c if c < ' ' && c != '\t' && c != '\n' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
                c => self.0.push(c),
            }
        }
        let _ = write!(self.0, "</{name}>\r\n");
    }

    fn path(&mut self, name: &str, absolute: &str, relative: &str) {
        self.within(name, None, |x| {
            x.leaf("absolute", "string", absolute);
            x.leaf("relative", "string", relative);
        });
    }
}

/// What of a spec has no equal in a configuration, a line each.
pub fn missing(s: &MachineSpec) -> Vec<String> {
    // A new field has to be thought of here.
    let MachineSpec {
        name: _,
        memory_mib: _,
        video_mib: _,
        engine,
        software,
        clock,
        nx,
        boot,
        disks,
        cdroms: _,
        floppies,
        kernel,
        initrd,
        append,
        bios,
        serial,
        nets,
        parallel,
        audio,
        display,
        channel,
    } = s;
    let mut all = Vec::new();
    let mut none = |is: bool, what: String| {
        if is {
            all.push(format!("{what} has no equal there"));
        }
    };
    none(*engine != Choice::Auto || *software != Software::new(), "the engine with its options".into());
    none(*clock != ClockKind::Host, "the clock of instructions".into());
    none(*nx, "execute disable (nx)".into());
    none(boot != "cd", format!("the boot order {boot}"));
    for (file, what) in [(kernel, "kernel"), (initrd, "initrd"), (bios, "BIOS image")] {
        none(file.is_some(), format!("the {what}"));
    }
    none(!append.is_empty(), "the kernel's command line (append)".into());
    for (n, p) in (1..).zip(serial) {
        none(*p != SerialSpec::None, format!("what COM{n} is connected to"));
    }
    none(*parallel != ParallelSpec::None, "what LPT1 is connected to".into());
    none(matches!(audio, AudioSpec::Wav(_)), "the recording of the sound (the card is there)".into());
    none(channel.is_some(), "the integration channel".into());
    none(display.iter().any(|d| *d != DisplaySpec::None), "the VNC server".into());
    for (n, d) in (1..).zip(disks) {
        let DiskSpec { path, read_only, overlay, undo, undo_file: _, on_error, cache, unmap } = d;
        none(*read_only, format!("disk {n}: read_only"));
        none(*overlay, format!("disk {n}: overlay"));
        none(*on_error != OnError::default(), format!("disk {n}: on_error"));
        none(*cache != Cache::default(), format!("disk {n}: cache"));
        none(*unmap, format!("disk {n}: discard"));
        none(
            d.undo_file() != path.with_extension("vud"),
            format!("disk {n}: the undo disk's own name (undo_file)"),
        );
        let other = undo.zip(undo_of(s)).is_some_and(|(own, all)| own != all);
        none(
            other,
            format!("disk {n}: an action of its own at the end (all undo disks have the first one's)"),
        );
    }
    for (f, drive) in floppies.iter().zip(["A", "B"]) {
        none(f.read_only, format!("diskette drive {drive}: read_only"));
    }
    for (n, net) in (1..).zip(nets) {
        match &net.kind {
            NetKind::Tap(name) => {
                none(true, format!("network adapter {n}: interface {name} (it is not connected there)"));
            }
            NetKind::Nat(options) => {
                none(!options.is_empty(), format!("network adapter {n}: {}", options.join(", ")));
            }
            NetKind::None => {}
        }
    }
    all
}

#[cfg(test)]
mod tests;
