//! One `heirloom run` and its remote control.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{Console, Screen, folder, heirloom};

/// Arguments of a command line, which may hold paths.
#[derive(Clone, Default)]
pub struct Args(Vec<OsString>);

impl Args {
    pub fn new(words: &[&str]) -> Self {
        Self(words.iter().map(OsString::from).collect())
    }

    pub fn flag(mut self, flag: &str) -> Self {
        self.0.push(flag.into());
        self
    }

    /// These, then others.
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    pub fn with(mut self, flag: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.push(flag.into());
        self.0.push(value.as_ref().into());
        self
    }
}

/// A running machine. Dropped, it is killed.
pub struct Vm {
    child: Child,
    name: String,
    folder: PathBuf,
    begun: Instant,
}

impl Vm {
    /// Powers on a machine with COM1 on a Unix socket, to which `console` connects.
    pub fn start(test: &str, args: &Args) -> Self {
        Self::start_by(&[], test, args)
    }

    /// The same by a command that becomes the one that is given behind it: `unshare -m`.
    pub fn start_by(outer: &[&str], test: &str, args: &Args) -> Self {
        let folder = folder(test);
        let com1 = format!("unix={}", folder.join("com1").display());
        // First: what `args` may have is COM2.
        let all = Args([Args::default().with("--serial", com1).0, args.0.clone()].concat());
        Self::spawn(outer, test, folder, &all)
    }

    /// The same with COM1 written to a file; see [`Vm::log`].
    pub fn logged(test: &str, args: &Args) -> Self {
        let folder = folder(test);
        let com1 = format!("file={}", folder.join("log").display());
        Self::spawn(&[], test, folder, &args.clone().with("--serial", com1))
    }

    fn spawn(outer: &[&str], test: &str, folder: PathBuf, args: &Args) -> Self {
        let errors = fs::File::create(folder.join("stderr")).expect("a file for the standard error");
        let output = fs::File::create(folder.join("stdout")).expect("a file for the standard output");
        let engine: &[&str] =
            if args.0.iter().any(|a| a == "--engine") { &[] } else { &["--engine", "software"] };
        let heirloom = heirloom();
        let mut words = outer.iter().map(OsStr::new).chain([heirloom.as_os_str()]);
        let child = Command::new(words.next().expect("at least heirloom"))
            .args(words)
            .args(["run", "--name", test, "--timeout", "900"])
            .args(engine)
            .args(&args.0)
            .env("XDG_RUNTIME_DIR", &folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("heirloom starts");
        Self { child, name: test.into(), folder, begun: Instant::now() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Since power-on.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What the machine's process said.
    pub fn said(&self) -> String {
        let read = |f: &str| fs::read_to_string(self.folder.join(f)).unwrap_or_default();
        read("stdout") + &read("stderr")
    }

    /// What came on COM1 so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("log")).unwrap_or_default()).into_owned()
    }

    pub fn console(&mut self) -> Console {
        let path = self.folder.join("com1");
        // At once: what the guest sends before somebody listens is lost. The port is there before the machine runs.
        self.wait_for("the serial port", 30, 2, |_| Console::connect(&path))
    }

    /// `heirloom ctl`.
    pub fn ctl<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<String, String> {
        let out = Command::new(heirloom())
            .args(["ctl", &self.name])
            .args(words)
            .env("XDG_RUNTIME_DIR", &self.folder)
            .output()
            .expect("heirloom starts");
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    }

    pub fn type_text(&self, text: &str) {
        self.ctl(["type", text]).expect("the machine takes keys");
    }

    pub fn key(&self, chord: &str) {
        self.ctl(["key", chord]).expect("the machine takes keys");
    }

    pub fn screen(&self) -> Option<Screen> {
        let file = self.folder.join("screen.png");
        self.ctl([OsStr::new("screenshot"), file.as_os_str()]).ok()?;
        Some(Screen::load(&file).expect("the screenshot is a PNG file"))
    }

    /// Waits until the screen shows a text; returns the whole of its text.
    pub fn expect_screen(&mut self, want: &str, secs: u64) -> String {
        let what = format!("{want:?} on the screen");
        self.wait_for(&what, secs, 200, |vm| {
            let text = vm.screen()?.text();
            text.contains(want).then_some(text)
        })
    }

    pub fn is_off(&mut self) -> bool {
        self.child.try_wait().expect("the machine's process can be waited for").is_some()
    }

    /// Waits until the machine is off.
    pub fn wait(&mut self, secs: u64) -> ExitStatus {
        let end = Instant::now() + Duration::from_secs(secs);
        loop {
            if let Some(s) = self.child.try_wait().expect("the machine's process can be waited for") {
                return s;
            }
            assert!(Instant::now() < end, "the machine is not off after {secs} s; {}", self.picture());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for<T>(
        &mut self,
        what: &str,
        secs: u64,
        pause_ms: u64,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let end = Instant::now() + Duration::from_secs(secs);
        loop {
            if let Some(t) = look(self) {
                return t;
            }
            if let Some(s) = self.child.try_wait().expect("the machine's process can be waited for") {
                panic!("waiting for {what}: the machine ended with {s}: {}", self.said());
            }
            assert!(Instant::now() < end, "no {what} within {secs} s; {}", self.picture());
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
    }

    fn picture(&self) -> String {
        let text = self.screen().map(|s| s.text()).unwrap_or_default();
        format!("screen:\n{}\nCOM1:\n{}", text.trim_end(), self.log())
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // Both fail on a machine that has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What a failed test leaves behind helps to find out why it failed.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
