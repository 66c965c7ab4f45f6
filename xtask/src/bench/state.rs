//! `xtask bench state`: how long a busy machine takes to be saved and to be there again, and what many machines that go on
//! from one state take.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use super::report::{Bar, Report};
use super::stats::median;
use super::{Keep, host, images, machines::Machines, text_of};
use crate::shell::{build_heirloom, root, say};
use crate::{guests, setup};

const MEMORY_MIB: u64 = 256;
/// What the guest fills before it is saved: half of its memory.
const FILL_MIB: u64 = 120;
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Args)]
pub(crate) struct State {
    /// Times that it is saved and goes on; medians count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Machines that go on from one state at once
    #[arg(long, default_value_t = 50)]
    machines: usize,
    /// Leave out what is done with images, which `bench images` measures by itself
    #[arg(long)]
    without_images: bool,
    #[command(flatten)]
    keep: Keep,
}

/// A machine with COM1 on a socket.
struct Vm {
    child: Child,
    name: String,
    com1: PathBuf,
    begun: Instant,
    console: Option<UnixStream>,
}

impl Drop for Vm {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Bench {
    heirloom: PathBuf,
    guest: PathBuf,
    folder: PathBuf,
}

impl Bench {
    fn start(&self, name: &str, resume: Option<&Path>) -> Result<Vm> {
        let com1 = self.folder.join(format!("{name}.com1"));
        let mut c = Command::new(&self.heirloom);
        c.args(["run", "--name", name, "--engine", "software", "--memory", &MEMORY_MIB.to_string()]);
        c.arg("--kernel").arg(self.guest.join("vmlinuz")).arg("--initrd").arg(self.guest.join("initrd.gz"));
        c.args(["--append", "console=ttyS0 quiet"]);
        c.arg("--serial").arg(format!("unix={}", com1.display()));
        if let Some(state) = resume {
            c.arg("--resume").arg(state);
        }
        let log = fs::File::create(self.folder.join(format!("{name}.log")))?;
        let begun = Instant::now();
        let child = c.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        Ok(Vm { child, name: name.into(), com1, begun, console: None })
    }

    fn ctl(&self, vm: &Vm, words: &[&str], file: Option<&Path>) -> Result<String> {
        let mut c = Command::new(&self.heirloom);
        let out = c.args(["ctl", &vm.name]).args(words).args(file).output()?;
        if !out.status.success() {
            bail!("ctl {words:?}: {}", String::from_utf8_lossy(&out.stderr));
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }
}

impl Vm {
    /// Waits for its serial port.
    fn connect(&mut self) -> Result<()> {
        while self.begun.elapsed() < PATIENCE {
            if let Ok(s) = UnixStream::connect(&self.com1) {
                s.set_read_timeout(Some(PATIENCE))?;
                self.console = Some(s);
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("{} has no serial port", self.name)
    }

    fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.console.as_mut().context("not connected")?.write_all(text.as_bytes())?)
    }

    fn expect(&mut self, want: &str) -> Result<()> {
        let s = self.console.as_mut().context("not connected")?;
        let (mut seen, mut b) = (Vec::<u8>::new(), [0; 4096]);
        while !seen.windows(want.len()).any(|w| w == want.as_bytes()) {
            match s.read(&mut b).with_context(|| format!("{want:?} did not come from {}", self.name))? {
                0 => bail!("{} ended", self.name),
                n => seen.extend(&b[..n]),
            }
        }
        Ok(())
    }

    /// Its shell answers.
    fn answers(&mut self) -> Result<()> {
        self.send("echo an$((40+2))swer\n")?;
        self.expect("an42swer")
    }

    /// Memory that is its alone or its part of what others have, too.
    fn pss_mib(&self) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = text.lines().find_map(|l| l.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
        let kib: f64 = line.split_whitespace().next().context("an empty Pss")?.parse()?;
        Ok(kib / 1024.0)
    }
}

pub(crate) fn run(args: &State) -> Result<()> {
    setup::for_benchmarks()?;
    guests::run_linux()?;
    let guest = guests::folder().join("linux");
    let heirloom = build_heirloom()?;
    let machines = Machines::new(heirloom.clone(), false)?;
    let about = host::describe(&machines, &guest);
    let folder = root().join("target/bench/state");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let b = Bench { heirloom, guest, folder };
    let state = b.folder.join("state");
    let mut vm = b.start("bench-state", None)?;
    vm.connect()?;
    vm.expect("# ")?;
    vm.send(&format!(
        "mount -t tmpfs t /mnt; dd if=/dev/urandom of=/mnt/x bs=1M count={FILL_MIB} 2>/dev/null; \
         (while :; do md5sum /mnt/x; done > /dev/null) & echo fi\"\"lled\n"
    ))?;
    vm.expect("filled")?;
    let (mut saved, mut ready, mut answered, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0.0);
    let (mut stood, mut taken) = (Vec::new(), Vec::new());
    for n in 0..args.repeats {
        say(&format!("bench: saved and back, {} of {}", n + 1, args.repeats));
        // The work is going on again.
        std::thread::sleep(Duration::from_millis(700));
        let begun = Instant::now();
        let said = b.ctl(&vm, &["snapshot"], Some(&b.folder.join("snapshot")))?;
        taken.push(begun.elapsed().as_secs_f64() * 1e3);
        let ms = said.split("stood still for ").nth(1).and_then(|s| s.split(' ').next());
        stood.push(ms.context("no time in what snapshot says")?.parse()?);
        let begun = Instant::now();
        b.ctl(&vm, &["save"], Some(&state))?;
        saved.push(begun.elapsed().as_secs_f64() * 1e3);
        bytes = allocated(&state)?;
        drop(vm);
        vm = b.start("bench-state", Some(&state))?;
        vm.connect()?;
        vm.answers()?;
        answered.push(vm.begun.elapsed().as_secs_f64() * 1e3);
        let all = b.ctl(&vm, &["metrics"], None)?;
        let us = all.lines().find_map(|l| l.strip_prefix("heirloom_process_ready_us "));
        ready.push(us.context("no heirloom_process_ready_us")?.trim().parse::<f64>()? / 1e3);
    }
    // Many that wait for somebody, as desktops do: one that works on half of its memory has to have that.
    vm.send("kill $!; echo sto\"\"pped\n")?;
    vm.expect("stopped")?;
    std::thread::sleep(Duration::from_secs(2));
    b.ctl(&vm, &["save"], Some(&state))?;
    drop(vm);
    let mid = |v: &[f64]| median(v).unwrap_or(f64::NAN);
    let mut r = Report::default();
    r.add("state in the file", bytes, "MiB", Bar::None);
    r.add("saved and off, on the host's disk", mid(&saved), "ms", Bar::AtMost(400.0));
    r.add("process's start to the guest's first instruction", mid(&ready), "ms", Bar::AtMost(50.0));
    r.add("process's start to a shell's answer", mid(&answered), "ms", Bar::AtMost(300.0));
    r.add("snapshot of the machine at work, until it is whole", mid(&taken), "ms", Bar::None);
    r.add("that it stood still for it", mid(&stood), "ms", Bar::AtMost(50.0));
    many(&b, &state, args.machines, &mut r)?;
    let _ = fs::remove_dir_all(&b.folder);
    let text = text_of(&about) + &r.text();
    say(&text);
    args.keep.write("state", &about, &text, &json!({ "about": about, "readings": r.json() }))?;
    if !args.without_images {
        images::run(&images::Images::as_usual(args.keep.clone()))?;
    }
    if args.keep.strict && r.missed() > 0 {
        bail!("{} of the bars were missed", r.missed());
    }
    Ok(())
}

/// All at once, each answering.
fn many(b: &Bench, state: &Path, n: usize, r: &mut Report) -> Result<()> {
    if n == 0 {
        return Ok(());
    }
    say(&format!("bench: {n} machines from one state"));
    let begun = Instant::now();
    let mut vms =
        (0..n).map(|i| b.start(&format!("bench-state-{i}"), Some(state))).collect::<Result<Vec<_>>>()?;
    for vm in &mut vms {
        vm.connect()?;
        vm.answers()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let took = vms.iter().map(Vm::pss_mib).sum::<Result<f64>>()? / n as f64;
    r.add(&format!("{n} machines from one state, until all answer"), seconds, "s", Bar::None);
    r.add("memory of each", took, "MiB", Bar::AtMost(MEMORY_MIB as f64 / 5.0));
    Ok(())
}

fn allocated(file: &Path) -> Result<f64> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.blocks() as f64 * 512.0 / f64::from(1 << 20))
}
