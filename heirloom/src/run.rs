//! `heirloom run`: builds a machine from a spec file and flags, runs it in this process until it is off.

pub(crate) mod extra;
pub(crate) mod media;
pub(crate) mod notices;
pub(crate) mod ports;
pub(crate) mod state;
pub(crate) mod undo;
pub(crate) mod watched;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use host_io::display::{Frame, write_png};
use vmm::spec::{
    self, AudioSpec, ChannelSpec, DiskSpec, DisplaySpec, EngineSpec, FloppySpec, MachineSpec, NetSpec,
    ParallelSpec, SerialSpec,
};
use vmm::{
    BootFile, BuildError, ChannelParts, Choice, ClockKind, Event, Events, LinuxBoot, Machine, Outcome, Parts,
};

use self::state::{Resumed, States};
use self::watched::Watch;
use crate::control::{Feed, Server, Target, UndoDiskBody};
use crate::terminal::Raw;
use crate::{Usage, control, doctor};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  heirloom run --memory 512 --disk xp.vhd --display vnc=127.0.0.1:5900\n  \
    heirloom run --kernel vmlinuz --initrd initrd.img --append console=ttyS0 --serial stdio\n  \
    heirloom run accounts.toml\n\nWith --serial stdio, Ctrl-] leaves (the machine is powered off)."
)]
pub(crate) struct Args {
    /// A machine's spec file (TOML); flags given beside it win
    spec: Option<PathBuf>,
    /// The machine's name: its control socket's
    #[arg(long, value_parser = spec::name)]
    name: Option<String>,
    /// auto, software[,jit=off][,views=off][,perf-map] or kvm
    #[arg(long, value_parser = spec::engine)]
    engine: Option<EngineSpec>,
    /// Translated code that the software engine keeps at most, 1 to 1024
    #[arg(long, value_name = "MIB", value_parser = jit_cache)]
    jit_cache: Option<usize>,
    /// Guest memory, 4 to 3712
    #[arg(long, value_name = "MIB", value_parser = memory)]
    memory: Option<u64>,
    /// host, or instructions: a run that repeats bit by bit (software engine)
    #[arg(long, value_parser = spec::clock)]
    clock: Option<ClockKind>,
    /// A hard disk: raw or VHD. ro: never written; overlay: writes are dropped at the end; undo: writes go to an undo disk
    /// beside it, which is kept, or at the end committed to the disk or discarded. Options: undo-file=PATH,
    /// cache=writeback|writethrough|none, discard=ignore|unmap, on-error=auto|report|pause
    #[arg(long, value_name = "IMG[,ro][,overlay][,undo[=commit|=discard]][,OPTION]...", value_parser = spec::disk)]
    disk: Vec<DiskSpec>,
    /// A CD-ROM drive with this ISO image in it ("none": empty)
    #[arg(long, value_name = "ISO")]
    cdrom: Vec<PathBuf>,
    /// A diskette drive (A:, then B:) with this raw image in it ("none": empty). ro: write-protected
    #[arg(long, value_name = "IMG[,ro]", value_parser = spec::floppy)]
    floppy: Vec<FloppySpec>,
    /// Boot order: a floppy, c hard disk, d CD, n network
    #[arg(long, value_parser = spec::boot)]
    boot: Option<String>,
    /// Start this Linux bzImage instead of a boot sector
    #[arg(long, value_name = "BZIMAGE")]
    kernel: Option<PathBuf>,
    /// Its initrd
    #[arg(long)]
    initrd: Option<PathBuf>,
    /// Its command line
    #[arg(long)]
    append: Option<String>,
    /// Another BIOS in place of Heirloom's own
    #[arg(long, value_name = "ROM")]
    bios: Option<PathBuf>,
    /// COM1, then COM2: stdio, none, file=PATH, unix=PATH or tcp=HOST:PORT (,connect: to what listens there)
    #[arg(long, value_parser = spec::serial)]
    serial: Vec<SerialSpec>,
    /// A network adapter, up to four: none (not plugged in), nat[,OPTION]... or tap=INTERFACE; one with none if not given.
    /// Options: forward=tcp:[ADDR:]HOST:GUEST, host=allow, dns=ADDR, pcap=FILE, tftp=ADDR, bootfile=NAME
    #[arg(long, value_name = "NETWORK", value_parser = spec::net)]
    net: Vec<NetSpec>,
    /// The adapters' MAC addresses, in their order; else made from the machine's name
    #[arg(long, value_name = "MAC", value_parser = spec::mac)]
    mac: Vec<[u8; 6]>,
    /// LPT1: none, or file=PATH for what the guest prints
    #[arg(long, value_parser = spec::parallel)]
    parallel: Option<ParallelSpec>,
    /// The sound card: none, host (the host's default output), or wav=PATH for a recording
    #[arg(long, value_parser = spec::audio)]
    audio: Option<AudioSpec>,
    /// none, or vnc=HOST:PORT[,password=WORD]
    #[arg(long, value_parser = spec::display)]
    display: Vec<DisplaySpec>,
    /// The integration channel, for the guest tools: off (as made), or on[,window=MIB][,no-pci][,no-com2][,no-SERVICE]...
    #[arg(long, value_parser = channel)]
    channel: Option<Channel>,
    /// Shows execute disable (NX) to the guest
    #[arg(long)]
    nx: bool,
    /// Goes on from a state that `heirloom ctl NAME save` wrote; all else as it was started then
    #[arg(long, value_name = "STATE")]
    resume: Option<PathBuf>,
    /// With --resume: has the disks go back to what they were then, and loses what came later (after `ctl NAME snapshot`)
    #[arg(long, requires = "resume")]
    revert: bool,
    /// Ends with exit code 0 once this text came on COM1
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    expect: Option<String>,
    /// Ends with exit code 124 after so long
    #[arg(long, value_name = "SECS")]
    timeout: Option<u64>,
    /// Switches the power off after so much guest time (exit code 0); with --clock instructions always at the same instruction
    #[arg(long, value_name = "SECS", value_parser = guest_time)]
    stop_after: Option<u64>,
    /// Writes the last picture to this PNG file at the end
    #[arg(long, value_name = "FILE.png")]
    screenshot: Option<PathBuf>,
    /// Prints guest time and instruction count at the end
    #[arg(long)]
    stats: bool,
}

/// As the flag says it: perhaps none.
#[derive(Clone)]
struct Channel(Option<ChannelSpec>);

fn channel(s: &str) -> Result<Channel, String> {
    spec::channel(s).map(Channel)
}

fn memory(s: &str) -> Result<u64, String> {
    s.parse().map_err(|_| format!("{s:?} is not a number of MiB")).and_then(spec::memory)
}

/// Seconds with decimals, as nanoseconds.
fn guest_time(s: &str) -> Result<u64, String> {
    let secs = s.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    let ns = secs.and_then(|d| u64::try_from(d.as_nanos()).ok()).filter(|ns| *ns > 0);
    ns.ok_or_else(|| format!("{s:?} is not a number of seconds above 0"))
}

fn jit_cache(s: &str) -> Result<usize, String> {
    s.parse().map_err(|_| format!("{s:?} is not a number of MiB")).and_then(spec::jit_cache)
}

/// Why the run ended, when it was not the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    Guest,
    Expected,
    TimedOut,
    Signal,
}

impl End {
    /// As events name it.
    fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Expected => "expected",
            Self::TimedOut => "timeout",
            Self::Signal => "signal",
        }
    }

    fn from_u8(v: u8) -> Self {
        [Self::Guest, Self::Expected, Self::TimedOut, Self::Signal][usize::from(v & 3)]
    }
}

/// Notes the first reason to end, and has the machine's power switched off.
#[derive(Clone, Default)]
pub(crate) struct Ender {
    why: Arc<AtomicU8>,
    machine: Arc<Mutex<Option<vmm::Handle>>>,
}

impl Ender {
    pub(crate) fn end(&self, why: End) {
        let _ = self.why.compare_exchange(End::Guest as u8, why as u8, Ordering::SeqCst, Ordering::SeqCst);
        if let Ok(m) = self.machine.lock()
            && let Some(h) = m.as_ref()
        {
            // A machine that is gone already has ended.
            let _ = h.power_off();
        }
    }

    fn why(&self) -> End {
        End::from_u8(self.why.load(Ordering::SeqCst))
    }

    fn attach(&self, h: vmm::Handle) {
        if let Ok(mut m) = self.machine.lock() {
            *m = Some(h);
        }
        // Something may have ended it before it was there.
        if self.why() != End::Guest {
            self.end(self.why());
        }
    }
}

/// `begun`: when the process began.
pub(crate) fn run(a: Args, begun: Instant) -> Result<ExitCode> {
    let (expect, timeout, screenshot, stats) = (a.expect.clone(), a.timeout, a.screenshot.clone(), a.stats);
    let (stop_after, resume, revert) = (a.stop_after, a.resume.clone(), a.revert);
    let spec = resolve(a)?;
    let mut parts = parts(&spec)?;
    // All that can be wrong is found before a port creates a file or a socket.
    let engine = parts.check().map_err(|e| explain(e, &spec))?;
    parts.engine = Choice::This(engine);
    control::free(&spec.name)?;
    if let Some(file) = &screenshot
        && let Some(dir) = file.parent().filter(|d| !d.as_os_str().is_empty() && !d.is_dir())
    {
        let (file, dir) = (file.display(), dir.display());
        return Err(Usage(format!("cannot write screenshot {file}: no directory {dir}; create it")).into());
    }
    if let Some(file) = resume.as_deref().filter(|_| revert) {
        state::revert(file, &spec, &parts)?;
    }
    let resumed = resume.map(|f| Resumed::open(&f, &spec, &parts)).transpose()?;
    let frame = Frame::new();
    let ender = Ender::default();
    let link = ports::Link::default();
    let events = parts.events.clone();
    notices::tell_to(events.clone());
    let watch = Watch::new(events.clone());

    let saved = resumed.as_ref().map_or_else(Vec::new, |r| r.disks.clone());
    let opened = ports::open(&spec, &frame, &link, &ender, expect.as_deref(), saved, &watch)?;
    let ports::Opened { ports, cdroms, terminal, viewers, control, undo, counters } = opened;
    let mut machine = Machine::build(&parts, ports).map_err(|e| explain(e, &spec))?;
    if let Some(r) = resumed {
        r.into_machine(&mut machine, spec.clock)?;
    }
    if let Some(ns) = stop_after {
        machine.stop_after(ns);
    }
    let states = States::new(&spec, watch.clone());
    let ready = Arc::new(OnceLock::new());
    let handle = machine.handle();
    link.connect(handle.clone());
    let pointer = Arc::default();
    let target = Target {
        name: spec.name.clone(),
        machine: handle.clone(),
        frame: frame.clone(),
        pointer: Arc::clone(&pointer),
        cdroms,
        states: states.clone(),
        undo_disks: undo_disks(&spec),
        undo: undo.actions(),
        feed: Feed::new(events.clone()),
        watch,
        counters,
        ready: Arc::clone(&ready),
    };
    let server = Server::start(control, target)?;
    let viewers = ports::displays(viewers, &spec.name, &frame, &handle, &pointer)?;
    ender.attach(handle.clone());
    if let Some(secs) = timeout {
        let e = ender.clone();
        std::thread::Builder::new().name("timeout".into()).spawn(move || {
            std::thread::sleep(Duration::from_secs(secs));
            e.end(End::TimedOut);
        })?;
    }
    on_signals(ender.clone())?;
    show_lamps(&handle, frame.clone())?;

    // Nobody has set it.
    let _ = ready.set(begun.elapsed());
    let outcome = machine.run();
    drop(viewers);
    machine.draw_last_frame();
    drop(machine);
    let undone = match outcome {
        // The machine goes on with them.
        Ok(Outcome::Saved) => {
            undo.keep();
            states.finish().map(|file| {
                if let Some(path) = file {
                    events.tell(Event::Saved { path });
                }
            })
        }
        _ => undo.close(matches!(outcome, Ok(Outcome::PoweredOff)) && ender.why() != End::TimedOut),
    };
    drop(terminal);
    let shot = screenshot.map_or(Ok(()), |file| {
        let (mode, px) = frame.snapshot();
        write_png(&file, mode, &px)
    });
    let (guest_ns, instructions) = handle.progress();
    if stats {
        doctor::say(&format!("guest time {guest_ns} ns, {instructions} instructions"));
    }
    let outcome = shot
        .map_err(anyhow::Error::from)
        .and_then(|()| outcome.context("the machine failed"))
        .and_then(|o| undone.map(|()| o));
    let reason = match &outcome {
        Ok(Outcome::PoweredOff) if ender.why() == End::Guest => match stop_after {
            _ if switched_off(&events) => "guest",
            Some(ns) if guest_ns >= ns => "stop-after",
            _ => "user",
        },
        Ok(Outcome::PoweredOff) => ender.why().name(),
        Ok(Outcome::Saved) => "saved",
        Ok(Outcome::Crashed { .. }) => "crashed",
        Err(_) => "failed",
    };
    let exit_code = match (&outcome, ender.why()) {
        (Err(_), _) => 1,
        (Ok(Outcome::Crashed { report }), _) => {
            eprintln!("heirloom: the guest crashed: {report}");
            3
        }
        (Ok(Outcome::Saved), _) => 0,
        (Ok(Outcome::PoweredOff), End::TimedOut) => {
            eprintln!("heirloom: time-out after {} s", timeout.unwrap_or(0));
            124
        }
        (Ok(Outcome::PoweredOff), End::Guest | End::Signal) if let Some(want) = &expect => {
            eprintln!("heirloom: the machine was powered off before {want:?} came on COM1");
            1
        }
        (Ok(Outcome::PoweredOff), _) => 0,
    };
    events.tell(Event::Off { reason, exit_code });
    events.close();
    // Last: the name is free once the disks are.
    drop(server);
    outcome.map(|_| ExitCode::from(exit_code))
}

/// Was that the guest's doing, just now?
fn switched_off(events: &Events) -> bool {
    const LATELY: u64 = 32;
    let last = events.after(events.last().saturating_sub(LATELY), LATELY as usize);
    last.records.iter().any(|r| matches!(r.event, Event::SwitchedOff { .. }))
}

/// The disks that have an undo disk, for who asks.
fn undo_disks(s: &MachineSpec) -> Vec<UndoDiskBody> {
    let of = |(n, d): (usize, &DiskSpec)| {
        let action = d.undo?.into();
        Some(UndoDiskBody { disk: n, image: d.path.clone(), undo_file: d.undo_file(), action })
    };
    (1..).zip(&s.disks).filter_map(of).collect()
}

/// Adds what the machine does not know: the file's name, what to do.
fn explain(e: BuildError, s: &MachineSpec) -> anyhow::Error {
    match (e, &s.bios) {
        (BuildError::Engine { engine, why }, _) => {
            let mend = why.mend.as_ref().map_or(String::new(), |m| format!("; {m}"));
            anyhow::anyhow!("engine {engine}: {why}{mend}")
        }
        (BuildError::BiosSize { got }, Some(p)) => {
            anyhow::anyhow!(
                "BIOS image {} has {got} bytes; give one of 64, 128 or 256 KiB, or leave out --bios",
                p.display()
            )
        }
        (e, _) => e.into(),
    }
}

/// A spec file. Paths in it are relative to it.
pub(crate) fn read_spec(p: &Path) -> Result<MachineSpec> {
    let text = std::fs::read_to_string(p)
        .map_err(|e| Usage(format!("cannot read spec {}: {e}; check the path", p.display())))?;
    let mut s = MachineSpec::parse(&text, &p.display().to_string())?;
    s.rebase(&p.parent().map(PathBuf::from).unwrap_or_default());
    Ok(s)
}

/// The spec file with the flags laid over it.
fn resolve(a: Args) -> Result<MachineSpec> {
    let mut s = match &a.spec {
        None => MachineSpec::default(),
        Some(p) => read_spec(p)?,
    };
    fn lay<T>(to: &mut T, from: Option<T>) {
        if let Some(v) = from {
            *to = v;
        }
    }
    lay(&mut s.name, a.name);
    lay(&mut s.software.jit_cache, a.jit_cache);
    if let Some(e) = a.engine {
        e.apply(&mut s.engine, &mut s.software);
    }
    lay(&mut s.memory_mib, a.memory);
    lay(&mut s.clock, a.clock);
    lay(&mut s.boot, a.boot);
    lay(&mut s.append, a.append);
    lay(&mut s.parallel, a.parallel);
    lay(&mut s.audio, a.audio);
    lay(&mut s.channel, a.channel.map(|c| c.0));
    s.kernel = a.kernel.or(s.kernel);
    s.initrd = a.initrd.or(s.initrd);
    s.bios = a.bios.or(s.bios);
    s.nx |= a.nx;
    if !a.disk.is_empty() {
        s.disks = a.disk;
    }
    if !a.cdrom.is_empty() {
        s.cdroms = a.cdrom.into_iter().map(|p| (p.as_os_str() != "none").then_some(p)).collect();
    }
    if !a.floppy.is_empty() {
        s.floppies = a.floppy;
    }
    if !a.serial.is_empty() {
        s.serial = a.serial;
    }
    if !a.net.is_empty() {
        s.nets = a.net;
    }
    if a.mac.len() > s.nets.len() {
        let (macs, nets) = (a.mac.len(), s.nets.len());
        return Err(Usage(format!(
            "--mac given more often ({macs}) than there are adapters ({nets}); give --net once for each"
        ))
        .into());
    }
    for (net, mac) in s.nets.iter_mut().zip(a.mac) {
        net.mac = Some(mac);
    }
    if !a.display.is_empty() {
        s.display = a.display;
    }
    s.check().map_err(|all| Usage(all.join("; ")))?;
    Ok(s)
}

fn parts(s: &MachineSpec) -> Result<Parts> {
    let read = |p: &PathBuf, what: &str| {
        std::fs::read(p)
            .map_err(|e| anyhow::anyhow!("cannot read {what} {}: {e}; check the path", p.display()))
    };
    // What is no plain file (a pipe) can be read once only.
    let open = |p: &PathBuf, what: &str| -> Result<Arc<dyn BootFile>> {
        Ok(match File::open(p) {
            Ok(f) if f.metadata().is_ok_and(|m| m.is_file()) => Arc::new(f),
            _ => Arc::new(read(p, what)?),
        })
    };
    let linux = match &s.kernel {
        None => None,
        Some(k) => Some(LinuxBoot {
            kernel: open(k, "kernel")?,
            initrd: s.initrd.as_ref().map(|i| open(i, "initrd")).transpose()?,
            cmdline: s.append.clone(),
            kernel_path: k.clone(),
        }),
    };
    Ok(Parts {
        channel: s.channel.as_ref().map(|c| ChannelParts {
            window_mib: c.window_mib,
            pci: c.pci,
            serial: c.serial,
            off: c.off.clone(),
            name: s.name.clone(),
        }),
        memory_mib: s.memory_mib,
        engine: s.engine,
        software: s.software,
        clock: s.clock,
        boot: s.boot.clone(),
        bios: s.bios.as_ref().map(|b| read(b, "BIOS image")).transpose()?,
        linux,
        start_seconds: start_seconds(s.clock),
        nx: s.nx,
        vram_mib: s.video_mib,
        uuid: uuid(&s.name),
        macs: spec::macs(&s.name, &s.nets),
        events: Events::default(),
    })
}

/// A machine keeps its identity as long as it keeps its name.
fn uuid(name: &str) -> [u8; 16] {
    let mut h = [0x6c62_272e_07bb_0142_u64, 0x62b8_2175_6295_c58d];
    for (i, b) in name.bytes().enumerate() {
        let x = &mut h[i % 2];
        *x = (*x ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut u = [0; 16];
    u[..8].copy_from_slice(&h[0].wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    u[8..].copy_from_slice(&h[1].wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    u[6] = u[6] & 0x0f | 0x80;
    u[8] = u[8] & 0x3f | 0x80;
    u
}

/// What the clock chip shows at power-on: the host's local time. A repeatable run always starts at the same moment.
fn start_seconds(clock: ClockKind) -> u64 {
    const REPEATABLE: u64 = 1_200_000_000; // 2008-01-10 21:20:00
    if clock == ClockKind::Instructions {
        return REPEATABLE;
    }
    let utc = SystemTime::now().duration_since(UNIX_EPOCH).map_or(REPEATABLE, |d| d.as_secs());
    let offset = jiff::Zoned::now().offset().seconds();
    utc.saturating_add_signed(i64::from(offset))
}

/// Shows viewers the lamps of the keyboard.
fn show_lamps(machine: &vmm::Handle, frame: Frame) -> Result<()> {
    let events = machine.events().follow();
    std::thread::Builder::new().name("lamps".into()).spawn(move || {
        for r in events {
            if let Event::Leds(leds) = r.event {
                frame.set_leds(leds);
            }
        }
    })?;
    Ok(())
}

fn on_signals(ender: Ender) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            ender.end(End::Signal);
        }
    })?;
    Ok(())
}

/// Keeps the terminal raw while a serial port uses it.
pub(crate) type Terminal = Option<Raw>;
