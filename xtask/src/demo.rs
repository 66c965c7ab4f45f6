//! `xtask demo`: Debian on a Virtual PC, from power-on to login, on any Debian machine.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{build_heirloom, command, quiet, root, say};
use crate::{guests, setup};

const NAME: &str = "demo";
const VNC: &str = "127.0.0.1:5900";
/// The guest's password for root.
const PASSWORD: &str = "heirloom";

pub(crate) fn run(check: bool) -> Result<()> {
    setup::run_once()?;
    let heirloom = build_heirloom()?;
    let base = guests::make_debian()?;
    // The demo writes to a copy: the cached guest stays as it was made.
    let disk = root().join("target/demo.vhd");
    fs::copy(&base, &disk).with_context(|| format!("cannot copy {}", base.display()))?;
    if check { unattended(&heirloom, &disk) } else { attended(&heirloom, &disk) }
}

fn machine(heirloom: &Path, disk: &Path, serial: &str) -> Command {
    let mut c = command(&heirloom.to_string_lossy(), ["run", "--name", NAME, "--memory", "256"]);
    c.arg("--disk").arg(disk).args(["--engine", "auto", "--serial", serial]);
    c
}

fn attended(heirloom: &Path, disk: &Path) -> Result<()> {
    say("");
    say("A Virtual PC is starting Debian from target/demo.vhd.");
    say(&format!("  see it       vncviewer {VNC}     (any VNC viewer)"));
    say(&format!("  log in       root, password {PASSWORD}"));
    say(&format!(
        "  from here    {0} ctl {NAME} status | screenshot now.png | type 'ls\\n' | shutdown",
        heirloom.display()
    ));
    say("  stop         poweroff in the guest, or Ctrl-C here");
    say("");
    let status = machine(heirloom, disk, "none").args(["--display", &format!("vnc={VNC}")]).status()?;
    if !status.success() {
        bail!("the machine ended with {status}");
    }
    Ok(())
}

/// The guest's serial console.
struct Console {
    stream: UnixStream,
    seen: String,
    from: Receiver<Vec<u8>>,
}

impl Console {
    fn connect(path: &Path, child: &mut Child) -> Result<Self> {
        let begin = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(s) => break s,
                Err(e) if begin.elapsed() > Duration::from_secs(10) => {
                    return Err(e).context("no serial console");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
            if let Some(s) = child.try_wait()? {
                bail!("the machine ended at once: {s}");
            }
        };
        let (tx, from) = mpsc::channel();
        let mut reader = stream.try_clone()?;
        std::thread::spawn(move || {
            let mut b = [0; 4096];
            while let Ok(n) = reader.read(&mut b) {
                if n == 0 || tx.send(b[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { stream, seen: String::new(), from })
    }

    /// Waits for a text; returns what came up to it.
    fn expect(&mut self, want: &str, secs: u64) -> Result<String> {
        let end = Instant::now() + Duration::from_secs(secs);
        loop {
            if let Some(at) = self.seen.find(want) {
                let rest = self.seen.split_off(at + want.len());
                return Ok(std::mem::replace(&mut self.seen, rest));
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.from.recv_timeout(left) {
                Ok(b) => self.seen += &String::from_utf8_lossy(&b),
                Err(_) => {
                    let tail: Vec<&str> = self.seen.lines().rev().take(15).collect();
                    let tail: Vec<&str> = tail.into_iter().rev().collect();
                    bail!("{want:?} did not come within {secs} s; last seen:\n{}", tail.join("\n"));
                }
            }
        }
    }

    fn send(&mut self, line: &str) -> Result<()> {
        Ok(self.stream.write_all(line.as_bytes())?)
    }

    fn command(&mut self, line: &str) -> Result<String> {
        self.send(&format!("{line}; echo end-of-$((20+22))\n"))?;
        let out = self.expect("end-of-42", 60)?;
        // The first line is the echo of what was typed.
        Ok(out.lines().skip(1).filter(|l| !l.contains("end-of-")).collect::<Vec<_>>().join("\n"))
    }
}

fn unattended(heirloom: &Path, disk: &Path) -> Result<()> {
    let socket: PathBuf = root().join("target/demo.sock");
    let _ = fs::remove_file(&socket);
    let serial = format!("unix={}", socket.display());
    let begin = Instant::now();
    let mut c = machine(heirloom, disk, &serial);
    c.args(["--timeout", "600"]).stderr(Stdio::piped());
    let mut child = c.spawn().context("cannot start heirloom")?;
    let done = session(heirloom, &socket, &mut child, begin);
    if done.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    if let Some(e) = child.stderr.take() {
        for l in BufReader::new(e).lines().map_while(Result::ok) {
            say(&format!("  heirloom: {l}"));
        }
    }
    done?;
    if !status.success() {
        bail!("the machine ended with {status}");
    }
    say(&format!("demo: powered off through ACPI, exit 0, {:.1} s in all", begin.elapsed().as_secs_f64()));
    Ok(())
}

fn session(heirloom: &Path, socket: &Path, child: &mut Child, begin: Instant) -> Result<()> {
    let mut t = Console::connect(socket, child)?;
    t.expect("login:", 300)?;
    say(&format!("demo: login prompt after {:.1} s", begin.elapsed().as_secs_f64()));
    t.send("root\n")?;
    t.expect("assword:", 60)?;
    t.send(&format!("{PASSWORD}\n"))?;
    t.expect("# ", 60)?;
    // Escape sequences of an interactive shell would only clutter what is printed here.
    t.command("bind 'set enable-bracketed-paste off' 2>/dev/null")?;
    let uname = t.command("uname -a")?;
    say(&format!("demo: uname -a\n{uname}"));
    let lspci = t.command("lspci")?;
    say(&format!("demo: lspci\n{lspci}"));
    if !uname.contains("i686") || !lspci.contains("82371AB") || !lspci.contains("Trio") {
        bail!("the guest does not see the machine it should");
    }
    on_screen(heirloom)?;
    t.send("poweroff\n")?;
    let end = Instant::now() + Duration::from_secs(120);
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            bail!("the guest did not power off within 120 s");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Logs in on the screen with the PS/2 keyboard, and takes the picture.
fn on_screen(heirloom: &Path) -> Result<()> {
    let heirloom = heirloom.to_string_lossy();
    let ctl = |args: &[&str]| quiet(command(&heirloom, ["ctl", NAME]).args(args)).map(drop);
    for (text, pause) in
        [("root\\n", 3), ("heirloom\\n", 6), ("clear; cat /etc/os-release; uname -a; lspci; free -m\\n", 4)]
    {
        ctl(&["type", text])?;
        std::thread::sleep(Duration::from_secs(pause));
    }
    let picture = root().join("target/demo.png");
    ctl(&["screenshot", &picture.to_string_lossy()])?;
    say("demo: logged in on the screen too; screenshot in target/demo.png");
    Ok(())
}
