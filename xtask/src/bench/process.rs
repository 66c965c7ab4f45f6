//! A measured program: what it prints, when, and what it has used by then.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::root;

/// Clock ticks of /proc/PID/stat in a second; fixed in the kernel's interface.
const USER_HZ: f64 = 100.0;

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Time at a moment of a process's life.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    wall: Instant,
    /// Seconds of processor time, all threads, user and system.
    cpu: f64,
}

/// Seconds between two stamps.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

impl Stamp {
    pub(crate) fn to(self, end: Self) -> Took {
        Took { wall: end.wall.duration_since(self.wall).as_secs_f64(), cpu: end.cpu - self.cpu }
    }
}

/// A child process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    from: Receiver<(Stamp, Vec<u8>)>,
    seen: Vec<u8>,
    /// When the last of it came.
    came: Stamp,
    pub(crate) started: Stamp,
    /// Where its standard error goes.
    errors: PathBuf,
}

impl Process {
    pub(crate) fn start(c: &mut Command) -> Result<Self> {
        // A file for each: one that ended is still asked for its last words.
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let errors = root().join(format!("target/bench/stderr-{}-{n}.log", std::process::id()));
        fs::create_dir_all(root().join("target/bench"))?;
        let file = File::create(&errors).with_context(|| format!("cannot write {}", errors.display()))?;
        c.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let wall = Instant::now();
        let mut child = c.spawn().with_context(|| format!("cannot start {:?}", c.get_program()))?;
        let mut out = child.stdout.take().context("no pipe from the child")?;
        let (tx, from) = mpsc::channel();
        let pid = child.id();
        let started = Stamp { wall, cpu: 0.0 };
        std::thread::spawn(move || {
            let mut b = [0; 4096];
            let mut last = started;
            while let Ok(n) = out.read(&mut b) {
                // A process that has just ended has used no less than before.
                last = Stamp { wall: Instant::now(), cpu: used(pid).unwrap_or(last.cpu).max(last.cpu) };
                if n == 0 || tx.send((last, b[..n].to_vec())).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, from, seen: Vec::new(), came: started, started, errors })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a text on standard output.
    pub(crate) fn expect(&mut self, want: &str, secs: u64) -> Result<Stamp> {
        let end = Instant::now() + Duration::from_secs(secs);
        let mut came = self.started;
        loop {
            if let Some(at) = self.seen.windows(want.len()).position(|w| w == want.as_bytes()) {
                self.seen.drain(..at + want.len());
                return Ok(came);
            }
            match self.from.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((at, b)) => {
                    came = at;
                    self.seen.extend(b);
                }
                Err(_) => {
                    let tail = self.seen.len().saturating_sub(500);
                    let tail = String::from_utf8_lossy(&self.seen[tail..]);
                    bail!("{want:?} did not come within {secs} s; last seen: {tail}")
                }
            }
        }
    }

    /// The next whole line of standard output. None at its end; an error when nothing came for so long.
    pub(crate) fn line(&mut self, secs: u64) -> Result<Option<(Stamp, String)>> {
        let end = Instant::now() + Duration::from_secs(secs);
        loop {
            if let Some(n) = self.seen.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.seen.drain(..=n).collect();
                return Ok(Some((self.came, String::from_utf8_lossy(&line).trim_end().to_owned())));
            }
            match self.from.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((at, b)) => {
                    self.came = at;
                    self.seen.extend(b);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(None),
                Err(mpsc::RecvTimeoutError::Timeout) => bail!("nothing was printed for {secs} s"),
            }
        }
    }

    /// The last of what it said on standard error.
    pub(crate) fn complaint(&self) -> String {
        let text = fs::read(&self.errors).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no message").to_owned()
    }

    /// Waits for the end; the child stays a zombie for a moment so that its processor time can be read.
    pub(crate) fn ended(&mut self, secs: u64) -> Result<(Stamp, String)> {
        let end = Instant::now() + Duration::from_secs(secs);
        loop {
            // Standard output closes when the process ends, or shortly before.
            match self.from.recv_timeout(Duration::from_millis(20)) {
                Ok((_, b)) => self.seen.extend(b),
                Err(mpsc::RecvTimeoutError::Timeout) if Instant::now() > end => {
                    bail!("it did not end within {secs} s")
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(5)),
            }
            let stat = self.stat()?;
            if stat.starts_with(['Z', 'X']) {
                while let Ok((_, b)) = self.from.recv_timeout(Duration::from_millis(100)) {
                    self.seen.extend(b);
                }
                let s = Stamp { wall: Instant::now(), cpu: cpu_of(&stat)? };
                let status = self.child.wait()?;
                let text = String::from_utf8_lossy(&self.seen).into_owned();
                if !status.success() {
                    bail!("it ended with {status}: {text}");
                }
                return Ok((s, text));
            }
        }
    }

    pub(crate) fn now(&self) -> Result<Stamp> {
        Ok(Stamp { wall: Instant::now(), cpu: used(self.pid())? })
    }

    /// Fields of /proc/PID/stat from the state on: the name before them may hold anything.
    fn stat(&self) -> Result<String> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let (_, fields) = text.rsplit_once(") ").context("/proc/PID/stat has no name")?;
        Ok(fields.to_owned())
    }

    /// Most resident memory so far, MiB.
    pub(crate) fn peak_mib(&self) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kib = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).and_then(first_number);
        Ok(kib.context("/proc/PID/status has no VmHWM")? / 1024.0)
    }

    /// Memory without the guest's own. Pages that are mapped twice count once (proportional set size): translated code is.
    pub(crate) fn overhead(&self, guest_mib: u64) -> Result<Overhead> {
        overhead(&fs::read_to_string(format!("/proc/{}/smaps", self.pid()))?, guest_mib)
    }
}

/// What a machine takes besides its guest's memory, MiB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Overhead {
    pub(crate) all: f64,
    /// Translated code's part of it
    pub(crate) code: f64,
}

/// The guest's memory is the smallest mapping that can hold it; if that has a file, all of the file's mappings are: views
/// map pages of it again. Translated code is what can be run from shared memory.
fn overhead(smaps: &str, guest_mib: u64) -> Result<Overhead> {
    let (mut file, mut size, mut code) = ("", 0.0, "0");
    // Of each mapping: file, size, proportional set size.
    let mut all = Vec::new();
    for l in smaps.lines() {
        if let Some(kib) = l.strip_prefix("Size:").and_then(first_number) {
            size = kib;
        } else if let Some(pss) = l.strip_prefix("Pss:").and_then(first_number) {
            all.push((file, size, pss));
        } else if let Some(inode) = l.split_whitespace().nth(4).filter(|_| !l.ends_with(" kB")) {
            // ADDRESSES RIGHTS OFFSET DEVICE INODE [PATH]
            file = inode;
            if l.split_whitespace().nth(1) == Some("r-xs") {
                code = inode;
            }
        }
    }
    let large = all.iter().filter(|m| m.1 >= guest_mib as f64 * 1024.0);
    let guest =
        *large.min_by(|a, b| a.1.total_cmp(&b.1)).context("no mapping is as large as the guest's memory")?;
    let is_guest = |m: &(&str, f64, f64)| if guest.0 == "0" { *m == guest } else { m.0 == guest.0 };
    let mib = |of: &dyn Fn(&(&str, f64, f64)) -> bool| {
        all.iter().filter(|m| of(m)).map(|m| m.2).sum::<f64>() / 1024.0
    };
    Ok(Overhead { all: mib(&|m| !is_guest(m)), code: mib(&|m| code != "0" && m.0 == code) })
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.errors);
    }
}

/// Seconds of processor time of all threads that live; finer than the ticks of /proc/PID/stat.
fn used(pid: u32) -> Result<f64> {
    let mut ns = 0.0;
    for t in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let text = fs::read_to_string(t?.path().join("schedstat")).unwrap_or_default();
        ns += first_number(&text).unwrap_or(0.0);
    }
    Ok(ns / 1e9)
}

fn first_number(s: &str) -> Option<f64> {
    s.split_whitespace().next()?.parse().ok()
}

/// utime and stime are the 12th and 13th field from the state on. proc(5).
fn cpu_of(stat: &str) -> Result<f64> {
    let mut f = stat.split_whitespace().skip(11).map(str::parse::<f64>);
    match (f.next(), f.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok((user + system) / USER_HZ),
        _ => bail!("/proc/PID/stat is too short"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Overhead, overhead};

    #[test]
    fn all_mappings_of_the_guests_memory_are_the_guests() {
        let smaps = "\
7f0000000000-7f0001000000 rw-s 00000000 00:01 77                         /memfd:guest-ram (deleted)
Size:              16384 kB
Pss:                6144 kB
VmFlags: rd wr sh mr mw me ms sd
7f0002000000-7f0002001000 r--s 00003000 00:01 77                         /memfd:guest-ram (deleted)
Size:                  4 kB
Pss:                   2 kB
7f0003000000-7f0103010000 ---p 00000000 00:00 0
Size:            4194368 kB
Pss:                   0 kB
7f0203000000-7f0203100000 rw-p 00000000 00:00 0                          [heap]
Size:               1024 kB
Pss:                 512 kB
7f0204000000-7f0204800000 r-xs 00000000 00:01 78                         /dev/zero (deleted)
Size:               8192 kB
Pss:                 128 kB
7f0205000000-7f0205800000 rw-s 00000000 00:01 78                         /dev/zero (deleted)
Size:               8192 kB
Pss:                 384 kB
";
        assert_eq!(overhead(smaps, 16).unwrap(), Overhead { all: 1.0, code: 0.5 });
        let anonymous = smaps.replace("00:01 77", "00:00 0");
        assert_eq!(overhead(&anonymous, 16).unwrap().all, 1026.0 / 1024.0);
        let interpreter = smaps.replace("r-xs", "rw-s");
        assert_eq!(overhead(&interpreter, 16).unwrap(), Overhead { all: 1.0, code: 0.0 });
        assert!(overhead("", 16).is_err());
    }
}
