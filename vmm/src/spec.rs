//! What a machine is made of, as a user writes it: TOML text -> [`MachineSpec`], every fault named at once.
//!
//! ```toml
//! name = "accounts"
//! memory = 256                      # MiB
//! engine = "auto"                   # auto, software, kvm
//! boot = "cd"                       # a floppy, c hard disk, d CD, n network
//! serial = ["stdio", "none"]
//! display = ["vnc=127.0.0.1:5900"]
//! channel = "on"                    # the integration channel, for the guest tools
//!
//! [[disk]]
//! path = "xp.vhd"
//!
//! [[cdrom]]
//! path = "tools.iso"                # leave it out for an empty drive
//!
//! [[floppy]]                        # A:, then B:
//! path = "dos.img"                  # leave it out for an empty drive
//! [[net]]
//! kind = "nat"                      # or tap; none: the cable is not plugged in
//! forward = ["tcp:2222:22"]
//! ```

mod channel;
mod disk;
mod net;
mod reader;
pub mod vmc;

use std::path::{Path, PathBuf};

use crate::clock::ClockKind;
use cpu::Software;

use crate::engine::{Choice, Engine};
use crate::floppy::FLOPPIES;
pub use channel::{ChannelSpec, WINDOW_MIB, channel};
pub use disk::{Cache, DiskSpec, OnError, UndoClose, disk};
pub use net::{NETS_MOST, NetKind, NetSpec, mac, mac_for, macs, net, show_mac};
use reader::Reader;

/// One fault of a spec: where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line in the file, from 1; 0 if the fault came from the command line.
    pub line: usize,
    pub what: String,
}

/// All faults of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    pub source: String,
    pub all: Vec<Fault>,
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, x) in self.all.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            match x.line {
                0 => write!(f, "{}: {}", self.source, x.what)?,
                line => write!(f, "{}:{line}: {}", self.source, x.what)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A diskette drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloppySpec {
    /// None is an empty drive.
    pub path: Option<PathBuf>,
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SerialSpec {
    None,
    Stdio,
    File(PathBuf),
    /// Listens there.
    Unix(PathBuf),
    Tcp(String),
    /// Connects to what listens there.
    UnixConnect(PathBuf),
    TcpConnect(String),
}

/// What LPT1 is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParallelSpec {
    None,
    File(PathBuf),
}

/// Where the sound card is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioSpec {
    None,
    /// The host's default output.
    Host,
    Wav(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisplaySpec {
    None,
    Vnc { address: String, password: Option<String> },
}

/// A checked spec: every field has a value that the machine takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    pub name: String,
    pub memory_mib: u64,
    pub video_mib: u32,
    pub engine: Choice,
    /// How the software engine runs its guests.
    pub software: Software,
    pub clock: ClockKind,
    pub nx: bool,
    pub boot: String,
    pub disks: Vec<DiskSpec>,
    /// One entry for each CD-ROM drive; None is an empty drive.
    pub cdroms: Vec<Option<PathBuf>>,
    /// Drives A: and B:.
    pub floppies: Vec<FloppySpec>,
    pub kernel: Option<PathBuf>,
    pub initrd: Option<PathBuf>,
    pub append: String,
    pub bios: Option<PathBuf>,
    pub serial: Vec<SerialSpec>,
    /// One entry for each adapter.
    pub nets: Vec<NetSpec>,
    pub parallel: ParallelSpec,
    pub audio: AudioSpec,
    pub display: Vec<DisplaySpec>,
    /// The integration channel, if it has one.
    pub channel: Option<ChannelSpec>,
}

impl Default for MachineSpec {
    fn default() -> Self {
        Self {
            name: "heirloom".into(),
            memory_mib: 256,
            video_mib: 4,
            engine: Choice::Auto,
            software: Software::new(),
            clock: ClockKind::Host,
            nx: false,
            boot: "cd".into(),
            disks: Vec::new(),
            cdroms: Vec::new(),
            floppies: Vec::new(),
            kernel: None,
            initrd: None,
            append: String::new(),
            bios: None,
            serial: Vec::new(),
            nets: vec![NetSpec::UNPLUGGED],
            parallel: ParallelSpec::None,
            audio: AudioSpec::None,
            display: Vec::new(),
            channel: None,
        }
    }
}

pub const MEMORY_MIB: std::ops::RangeInclusive<u64> = 4..=3712;
pub const VIDEO_MIB: [u32; 4] = [1, 2, 4, 8];
const NAME_MOST: usize = 80;

/// An engine with its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSpec {
    pub choice: Choice,
    /// False: the software engine interprets everything.
    pub jit: bool,
    /// False: no memory is mapped for guest programs by the host's paging.
    pub views: bool,
    /// It names translated blocks for `perf`.
    pub perf_map: bool,
}

impl EngineSpec {
    /// Lays the options over those of a spec.
    pub fn apply(self, engine: &mut Choice, software: &mut Software) {
        *engine = self.choice;
        software.perf_map = self.perf_map;
        if !self.views {
            software.view_after = Software::NO_VIEWS;
        }
        if !self.jit {
            software.jit_cache = 0;
        }
    }
}

const JIT_CACHE_MIB: std::ops::RangeInclusive<u64> = 1..=1024;

/// Words of the command line and the spec alike: text -> value, or what would have been right.
pub fn engine(s: &str) -> Result<EngineSpec, String> {
    let bad = || format!("no engine {s:?}; use auto, software[,jit=off][,views=off][,perf-map] or kvm");
    let mut words = s.split(',');
    let name = words.next().unwrap_or_default();
    let choice = match name {
        "auto" => Choice::Auto,
        _ => Engine::from_name(name).map(Choice::This).ok_or_else(bad)?,
    };
    let mut e = EngineSpec { choice, jit: true, views: true, perf_map: false };
    for w in words {
        match (choice, w) {
            (Choice::This(Engine::Software), "jit=on") => e.jit = true,
            (Choice::This(Engine::Software), "jit=off") => e.jit = false,
            (Choice::This(Engine::Software), "views=on") => e.views = true,
            (Choice::This(Engine::Software), "views=off") => e.views = false,
            (Choice::This(Engine::Software), "perf-map") => e.perf_map = true,
            _ => return Err(bad()),
        }
    }
    Ok(e)
}

/// A size of the code cache, from MiB to bytes.
pub fn jit_cache(mib: u64) -> Result<usize, String> {
    if JIT_CACHE_MIB.contains(&mib) {
        Ok((mib as usize) << 20)
    } else {
        Err(format!("a code cache of {mib} MiB; use 1 to 1024, or engine software,jit=off for none"))
    }
}

pub fn clock(s: &str) -> Result<ClockKind, String> {
    match s {
        "host" => Ok(ClockKind::Host),
        "instructions" => Ok(ClockKind::Instructions),
        _ => Err(format!("no clock {s:?}; use host or instructions")),
    }
}

pub fn memory(mib: u64) -> Result<u64, String> {
    if MEMORY_MIB.contains(&mib) { Ok(mib) } else { Err(format!("memory of {mib} MiB; use 4 to 3712")) }
}

pub fn name(s: &str) -> Result<String, String> {
    let fits = !s.is_empty() && s.chars().count() <= NAME_MOST;
    if fits && !s.contains(['/', '\\', '\0']) && !s.starts_with('.') {
        Ok(s.into())
    } else {
        Err(format!("name {s:?}; use 1 to {NAME_MOST} characters without slashes, not beginning with a dot"))
    }
}

pub fn boot(s: &str) -> Result<String, String> {
    let once = |(i, c): (usize, char)| "acdn".contains(c) && !s[..i].contains(c);
    if !s.is_empty() && s.char_indices().all(once) {
        Ok(s.into())
    } else {
        Err(format!(
            "boot order {s:?}; use each of the letters a (floppy), c (hard disk), d (CD), n (network) at most once"
        ))
    }
}

pub fn floppy(s: &str) -> Result<FloppySpec, String> {
    let (path, read_only) = match s.split_once(',') {
        None => (s, false),
        Some((path, "ro")) => (path, true),
        Some((_, w)) => return Err(format!("floppy option {w:?}; use ro")),
    };
    match path {
        "" => Err("floppy without a path; use none for an empty drive".into()),
        "none" if read_only => Err("an empty drive cannot be ro; leave it out".into()),
        "none" => Ok(FloppySpec { path: None, read_only }),
        p => Ok(FloppySpec { path: Some(p.into()), read_only }),
    }
}

pub fn serial(s: &str) -> Result<SerialSpec, String> {
    let bad = || {
        format!(
            "serial port {s:?}; use stdio, none, file=PATH, unix=PATH[,connect] or tcp=HOST:PORT[,connect]"
        )
    };
    match s.split_once('=') {
        None if s == "none" => Ok(SerialSpec::None),
        None if s == "stdio" => Ok(SerialSpec::Stdio),
        Some(("file", p)) if !p.is_empty() => Ok(SerialSpec::File(p.into())),
        Some(("unix", p)) => match p.strip_suffix(",connect").unwrap_or(p) {
            "" => Err(bad()),
            to if to != p => Ok(SerialSpec::UnixConnect(to.into())),
            at => Ok(SerialSpec::Unix(at.into())),
        },
        Some(("tcp", a)) => match a.strip_suffix(",connect").unwrap_or(a) {
            to if !to.contains(':') || to.contains(',') => Err(bad()),
            to if to != a => Ok(SerialSpec::TcpConnect(to.into())),
            at => Ok(SerialSpec::Tcp(at.into())),
        },
        _ => Err(bad()),
    }
}

pub fn parallel(s: &str) -> Result<ParallelSpec, String> {
    match s.split_once('=') {
        None if s == "none" => Ok(ParallelSpec::None),
        Some(("file", p)) if !p.is_empty() => Ok(ParallelSpec::File(p.into())),
        _ => Err(format!("parallel port {s:?}; use none or file=PATH")),
    }
}

pub fn audio(s: &str) -> Result<AudioSpec, String> {
    match s.split_once('=') {
        None if s == "none" => Ok(AudioSpec::None),
        None if s == "host" => Ok(AudioSpec::Host),
        Some(("wav", p)) if !p.is_empty() => Ok(AudioSpec::Wav(p.into())),
        _ => Err(format!("audio {s:?}; use none, host or wav=PATH")),
    }
}

pub fn display(s: &str) -> Result<DisplaySpec, String> {
    let bad = || format!("display {s:?}; use none or vnc=HOST:PORT[,password=WORD]");
    let mut words = s.split(',');
    match words.next().and_then(|w| w.split_once('=')) {
        None if s == "none" => Ok(DisplaySpec::None),
        Some(("vnc", a)) if a.contains(':') => {
            let mut password = None;
            for w in words {
                password =
                    Some(w.strip_prefix("password=").filter(|p| !p.is_empty()).ok_or_else(bad)?.to_owned());
            }
            Ok(DisplaySpec::Vnc { address: a.into(), password })
        }
        _ => Err(bad()),
    }
}

impl MachineSpec {
    /// Reads a spec file's text. `source` names it in faults.
    pub fn parse(text: &str, source: &str) -> Result<Self, Faults> {
        let mut s = Self::default();
        Reader::new(text, source)?.read(|r| {
            r.text("name", name, |v| s.name = v);
            r.number("memory", memory, |v| s.memory_mib = v);
            let video = |v| {
                let fits = u32::try_from(v).ok().filter(|v| VIDEO_MIB.contains(v));
                fits.ok_or_else(|| format!("video memory of {v} MiB; use 1, 2, 4 or 8"))
            };
            r.number("video", video, |v| s.video_mib = v);
            r.number("jit_cache", jit_cache, |v| s.software.jit_cache = v);
            r.text("engine", engine, |v| v.apply(&mut s.engine, &mut s.software));
            r.text("clock", clock, |v| s.clock = v);
            r.flag("nx", |v| s.nx = v);
            r.text("boot", boot, |v| s.boot = v);
            let path =
                |p: &str| if p.is_empty() { Err("an empty path".to_owned()) } else { Ok(PathBuf::from(p)) };
            r.text("kernel", path, |v| s.kernel = Some(v));
            r.text("initrd", path, |v| s.initrd = Some(v));
            r.text("append", |t| Ok(t.to_owned()), |v| s.append = v);
            r.text("bios", path, |v| s.bios = Some(v));
            r.texts("serial", serial, |v| s.serial.push(v));
            r.text("parallel", parallel, |v| s.parallel = v);
            r.text("audio", audio, |v| s.audio = v);
            r.text("channel", channel, |v| s.channel = v);
            r.texts("display", display, |v| s.display.push(v));
            r.tables("disk", |t| s.disks.push(disk::read(t)));
            let mut nets = Vec::new();
            r.tables("net", |t| nets.push(net::read(t)));
            if !nets.is_empty() {
                s.nets = nets;
            }
            r.tables("cdrom", |t| {
                let mut p = None;
                t.text("path", path, |v| p = Some(v));
                s.cdroms.push(p);
            });
            r.tables("floppy", |t| {
                let mut f = FloppySpec { path: None, read_only: false };
                t.text("path", path, |v| f.path = Some(v));
                t.flag("read_only", |v| f.read_only = v);
                s.floppies.push(f);
            });
        })?;
        s.check().map_err(|what| Faults {
            source: source.into(),
            all: what.into_iter().map(|what| Fault { line: 0, what }).collect(),
        })?;
        Ok(s)
    }

    /// Makes relative paths relative to `base`, the spec file's folder.
    pub fn rebase(&mut self, base: &Path) {
        let paths = [&mut self.kernel, &mut self.initrd, &mut self.bios].into_iter().flatten();
        let floppies = self.floppies.iter_mut().filter_map(|f| f.path.as_mut());
        let disks = self.disks.iter_mut().flat_map(|d| std::iter::once(&mut d.path).chain(&mut d.undo_file));
        let media = self.cdroms.iter_mut().flatten().chain(disks);
        let ports = self.serial.iter_mut().filter_map(|s| match s {
            SerialSpec::File(p) | SerialSpec::Unix(p) | SerialSpec::UnixConnect(p) => Some(p),
            SerialSpec::None | SerialSpec::Stdio | SerialSpec::Tcp(_) | SerialSpec::TcpConnect(_) => None,
        });
        let printer = match &mut self.parallel {
            ParallelSpec::File(p) => Some(p),
            ParallelSpec::None => None,
        };
        let sound = match &mut self.audio {
            AudioSpec::Wav(p) => Some(p),
            AudioSpec::None | AudioSpec::Host => None,
        };
        for p in paths.chain(media).chain(floppies).chain(ports).chain(printer).chain(sound) {
            *p = base.join(&*p);
        }
        self.nets.iter_mut().for_each(|n| n.rebase(base));
    }

    /// The IDE unit of the first CD-ROM drive: the secondary master, where every system looks for it, if there is room.
    pub fn first_cdrom(&self) -> usize {
        let behind = self.disks.len();
        if self.cdroms.len() + behind.max(2) <= 4 { behind.max(2) } else { behind }
    }

    /// What no single field shows. The command line edits a spec, then checks it again.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut bad = Vec::new();
        let drives = self.disks.len() + self.cdroms.len();
        if drives > 4 {
            bad.push(format!("{drives} drives; the two IDE channels take 4 disks and CD-ROMs together"));
        }
        self.disks.iter().for_each(|d| d.check(&mut bad));
        if self.floppies.len() > FLOPPIES {
            bad.push(format!("{} diskette drives; the machine takes 2, A: and B:", self.floppies.len()));
        }
        if self.serial.len() > 2 {
            bad.push(format!("{} serial ports; the machine has 2", self.serial.len()));
        }
        if self.serial.iter().filter(|s| **s == SerialSpec::Stdio).count() > 1 {
            bad.push("stdio can serve one serial port only".into());
        }
        net::check(&self.name, &self.nets, &mut bad);
        if self.kernel.is_none() && (self.initrd.is_some() || !self.append.is_empty()) {
            bad.push("initrd and append need a kernel".into());
        }
        if self.bios.is_some() && self.kernel.is_some() {
            bad.push("kernel boots through Heirloom's own BIOS; leave out bios".into());
        }
        if bad.is_empty() { Ok(()) } else { Err(bad) }
    }
}

#[cfg(test)]
mod tests;
