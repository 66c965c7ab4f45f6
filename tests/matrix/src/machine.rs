//! A machine that runs an image: Heirloom's or QEMU's. Both are seen and typed into through VNC; COM1 goes to a file.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use guest_tests::{Screen, Viewer, free_address};

use crate::image::{Image, Sound};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Heirloom,
    Qemu,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Heirloom => "Heirloom",
            Self::Qemu => "QEMU",
        }
    }
}

/// What machines are made of.
pub struct Workshop {
    pub heirloom: PathBuf,
    pub engine: String,
    /// Results go to `FOLDER/IMAGE/KIND`.
    pub folder: PathBuf,
}

/// Killed when dropped.
pub struct Machine {
    kind: Kind,
    heirloom: PathBuf,
    child: Child,
    name: String,
    folder: PathBuf,
    viewer: Option<Viewer>,
    vnc: String,
    began: Instant,
}

const TEXT_CELLS: usize = 80 * 25;

impl Workshop {
    /// Where a run's results go, without those of an earlier one.
    pub fn folder(&self, image: &Image, kind: Kind) -> Result<PathBuf> {
        let folder = self.folder.join(&image.name).join(kind.name().to_lowercase());
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// The new disk of an image, made anew.
    fn new_disk(&self, image: &Image, kind: Kind) -> Result<Option<PathBuf>> {
        let Some(new) = &image.new_disk else { return Ok(None) };
        // QEMU's would otherwise take the place of the one that the next image starts from.
        let path = if kind == Kind::Qemu { new.path.with_extension("qemu.vhd") } else { new.path.clone() };
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let made =
            Command::new(&self.heirloom).args(["disk", "create"]).arg(&path).arg(&new.size).output()?;
        if !made.status.success() {
            bail!("new_disk: {}", String::from_utf8_lossy(&made.stderr).trim());
        }
        Ok(Some(path))
    }

    pub fn start(&self, image: &Image, kind: Kind) -> Result<Machine> {
        let folder = self.folder(image, kind)?;
        let new = self.new_disk(image, kind)?;
        let vnc = free_address();
        let name = format!("matrix-{}", std::process::id());
        let mut c = match kind {
            Kind::Heirloom => self.heirloom(image, &folder, new.as_deref(), &name, &vnc),
            Kind::Qemu => qemu(image, &folder, new.as_deref(), &vnc),
        };
        let file = |f: &str| fs::File::create(folder.join(f)).context("a file for what the machine says");
        c.stdin(Stdio::null()).stdout(file("stdout.log")?).stderr(file("stderr.log")?);
        let began = Instant::now();
        let child = c.spawn().with_context(|| format!("cannot start {:?}", c.get_program()))?;
        Ok(Machine { kind, heirloom: self.heirloom.clone(), child, name, folder, viewer: None, vnc, began })
    }

    fn heirloom(&self, image: &Image, folder: &Path, new: Option<&Path>, name: &str, vnc: &str) -> Command {
        let mut c = Command::new(&self.heirloom);
        c.args(["run", "--name", name, "--engine", &self.engine, "--memory", &image.memory.to_string()]);
        c.arg("--serial").arg(format!("file={}", folder.join("serial.log").display()));
        c.arg("--display").arg(format!("vnc={vnc}"));
        for (flag, medium) in [("--cdrom", &image.cdrom), ("--floppy", &image.floppy)] {
            if let Some(m) = medium {
                c.arg(flag).arg(m);
            }
        }
        if let Some(d) = &image.disk {
            c.arg("--disk").arg(format!("{},overlay", d.display()));
        }
        if let Some(d) = new {
            c.arg("--disk").arg(d);
        }
        if let Some(b) = &image.boot {
            c.args(["--boot", b]);
        }
        if let Some(n) = &image.net {
            c.args(["--net", n]);
        }
        if image.sound == Sound::Heard {
            c.arg("--audio").arg(format!("wav={}", folder.join("sound.wav").display()));
        }
        c
    }
}

fn qemu(image: &Image, folder: &Path, new: Option<&Path>, vnc: &str) -> Command {
    let mut c = Command::new("qemu-system-i386");
    c.args(["-accel", "tcg", "-M", "pc", "-smp", "1", "-m", &image.memory.to_string()]);
    c.arg("-serial").arg(format!("file:{}", folder.join("serial.log").display()));
    c.arg("-monitor").arg(format!("unix:{},server,nowait", folder.join("monitor").display()));
    let port: u16 = vnc.rsplit_once(':').and_then(|(_, p)| p.parse().ok()).unwrap_or_default();
    c.arg("-vnc").arg(format!("127.0.0.1:{}", port.wrapping_sub(5900)));
    c.args(["-rtc", "base=localtime"]);
    if let Some(m) = &image.cdrom {
        c.arg("-cdrom").arg(m);
    }
    if let Some(m) = &image.floppy {
        c.arg("-drive").arg(format!("file={},format=raw,if=floppy,snapshot=on", m.display()));
    }
    if let Some(d) = &image.disk {
        let format = if d.extension().is_some_and(|e| e == "vhd") { "vpc" } else { "raw" };
        c.arg("-drive").arg(format!("file={},format={format},if=ide,snapshot=on", d.display()));
    }
    if let Some(d) = new {
        c.arg("-drive").arg(format!("file={},format=vpc,if=ide", d.display()));
    }
    if let Some(b) = &image.boot {
        c.args(["-boot", b]);
    }
    if let Some(q) = &image.qemu {
        c.args(&q.args);
    }
    c
}

impl Machine {
    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// What its process said last.
    pub fn said(&self) -> String {
        let text = fs::read_to_string(self.folder.join("stderr.log")).unwrap_or_default();
        text.trim().to_owned()
    }

    /// What came on COM1 so far.
    pub fn serial(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("serial.log")).unwrap_or_default()).into_owned()
    }

    fn viewer(&mut self) -> Result<&mut Viewer> {
        let end = Instant::now() + Duration::from_secs(20);
        while self.viewer.is_none() {
            match Viewer::connect(&self.vnc) {
                Ok(v) => self.viewer = Some(v),
                Err(e) => {
                    if let Some(s) = self.ended()? {
                        bail!("{} ended with {s}: {}", self.kind.name(), self.said());
                    }
                    if Instant::now() > end {
                        return Err(e).with_context(|| format!("{}'s screen", self.kind.name()));
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
        self.viewer.as_mut().context("a viewer")
    }

    pub fn picture(&mut self) -> Result<Screen> {
        Ok(self.viewer()?.picture()?.clone())
    }

    /// The text screen. QEMU's font is not ours, so its characters are read where they are.
    pub fn text(&mut self) -> Result<String> {
        match self.kind {
            Kind::Heirloom => Ok(self.picture()?.text()),
            Kind::Qemu => {
                let file = self.folder.join("text");
                let size = 2 * TEXT_CELLS;
                self.monitor(&format!("pmemsave 0xb8000 {size} \"{}\"", file.display()))?;
                let cells = fs::read(&file).unwrap_or_default();
                let shown = |c: &[u8]| if (0x20..0x7f).contains(&c[0]) { c[0] as char } else { ' ' };
                let row =
                    |r: &[u8]| r.chunks_exact(2).map(shown).collect::<String>().trim_end().to_owned() + "\n";
                Ok(cells.chunks_exact(160).map(row).collect())
            }
        }
    }

    pub fn press(&mut self, keysyms: &[u32]) -> Result<()> {
        for k in keysyms {
            self.viewer()?.key(*k, true)?;
        }
        // At once: a loader that goes on at a key may take its release for the answer of a mouse that it looks for.
        for k in keysyms.iter().rev() {
            self.viewer()?.key(*k, false)?;
        }
        std::thread::sleep(Duration::from_millis(30));
        Ok(())
    }

    pub fn type_text(&mut self, text: &str) -> Result<()> {
        // A PC's keyboard keeps sixteen bytes.
        for c in text.chars() {
            self.viewer()?.type_text(c.encode_utf8(&mut [0; 4]))?;
            std::thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }

    /// Moves the pointer there. A PS/2 mouse tells movements only: it goes by the corner.
    pub fn mouse(&mut self, x: u16, y: u16, buttons: u8) -> Result<()> {
        match self.kind {
            Kind::Heirloom => self.viewer()?.pointer(x, y, buttons)?,
            Kind::Qemu if buttons == 0 => {
                self.monitor("mouse_move -4000 -4000")?;
                self.monitor(&format!("mouse_move {x} {y}"))?;
                self.monitor("mouse_button 0")?;
            }
            Kind::Qemu => self.monitor(&format!("mouse_button {buttons}"))?,
        }
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    pub fn power_button(&mut self) -> Result<()> {
        match self.kind {
            Kind::Heirloom => self.ctl(&["shutdown"]).map(drop),
            Kind::Qemu => self.monitor("system_powerdown"),
        }
    }

    /// Accesses that no register answered, a line each; none for QEMU. `None`: the machine has ended and can't be asked.
    pub fn unknowns(&self) -> Option<Vec<String>> {
        if self.kind == Kind::Qemu {
            return Some(Vec::new());
        }
        let text = self.ctl(&["unknowns"]).ok()?;
        let all = text.lines().filter(|l| !l.contains("every access so far met a register"));
        Some(all.map(str::to_owned).collect())
    }

    fn ctl(&self, words: &[&str]) -> Result<String> {
        let o = Command::new(&self.heirloom).arg("ctl").arg(&self.name).args(words).output()?;
        if !o.status.success() {
            bail!("ctl {}: {}", words.join(" "), String::from_utf8_lossy(&o.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&o.stdout).into_owned())
    }

    /// A command of QEMU's monitor, to its end.
    fn monitor(&mut self, command: &str) -> Result<()> {
        // The monitor is there once the screen is.
        self.viewer()?;
        let mut s = UnixStream::connect(self.folder.join("monitor")).context("QEMU's monitor")?;
        s.set_read_timeout(Some(Duration::from_secs(20)))?;
        let prompt = |s: &mut UnixStream| -> Result<()> {
            let (mut seen, mut b) = (Vec::new(), [0; 512]);
            while !seen.ends_with(b"(qemu) ") {
                match s.read(&mut b).context("QEMU's monitor")? {
                    0 => bail!("QEMU's monitor hung up"),
                    n => seen.extend_from_slice(&b[..n]),
                }
            }
            Ok(())
        };
        prompt(&mut s)?;
        s.write_all(format!("{command}\n").as_bytes())?;
        prompt(&mut s)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
