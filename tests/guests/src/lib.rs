//! Runs the `heirloom` command on real guests, as a user would, and reads their screens and serial ports.
//!
//! `cargo xtask test` builds the command for release, assembles the guests and says where both are:
//! `HEIRLOOM_BIN`, `HEIRLOOM_GUESTS`. Run by hand the tests look into `target/`. They panic with what was last
//! on the screen or the serial port.

mod console;
pub mod ends;
mod repeat;
mod rfb;
mod screen;
mod vm;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use console::Console;
pub use repeat::the_same;
pub use rfb::Viewer;
pub use screen::Screen;
pub use vm::{Args, Vm};

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

fn from_env(var: &str, default: PathBuf) -> PathBuf {
    let p = std::env::var_os(var).map_or(default, PathBuf::from);
    assert!(p.exists(), "{} is missing; run `cargo xtask test`, or set {var}", p.display());
    p
}

/// The command under test.
pub fn heirloom() -> PathBuf {
    from_env("HEIRLOOM_BIN", target().join("release/heirloom"))
}

/// The tests' Linux at its prompt, with `disk` and what is to be said of it.
pub fn linux_with(test: &str, disk: &Path, options: &str) -> (Vm, Console) {
    let mut disk = disk.as_os_str().to_owned();
    disk.push(options);
    let mut vm = Vm::start(test, &machine("linux").with("--disk", disk));
    let t = prompt(&mut vm, "test");
    (vm, t)
}

/// The console of one of the Linux guests that say so when they are ready, at its prompt.
pub fn prompt(vm: &mut Vm, guest: &str) -> Console {
    let mut t = vm.console();
    t.expect(&format!("heirloom {guest} guest ready"), 400);
    t.expect("# ", 60);
    t
}

/// A guest's file, by its name under `target/guests`.
pub fn guest(name: &str) -> PathBuf {
    let p = from_env("HEIRLOOM_GUESTS", target().join("guests")).join(name);
    assert!(p.exists(), "guest {} is missing; run `cargo xtask test`", p.display());
    p
}

/// A folder for one test's files, empty. Short, because sockets lie in it.
pub fn folder(test: &str) -> PathBuf {
    let d = std::env::temp_dir().join(format!("hl-{}", std::process::id())).join(test);
    let _ = std::fs::remove_dir_all(&d);
    std::fs::create_dir_all(&d).expect("a folder for the test");
    d
}

/// A folder for images that goes when the test is over.
pub struct Images(pub PathBuf);

impl Images {
    pub fn new(test: &str) -> Self {
        Self(folder(test))
    }

    pub fn make(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let p = self.0.join(name);
        std::fs::write(&p, bytes).expect("an image");
        p
    }

    /// `heirloom disk` in this folder, which must do it. Returns what it said.
    pub fn disk<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> String {
        let mut c = Command::new(heirloom());
        let out = c.arg("disk").args(words).current_dir(&self.0).output().expect("heirloom starts");
        let said = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{c:?}: {said}");
        said.into_owned()
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A machine with one of the guests that are a kernel and an initrd with a shell.
pub fn machine(guest_folder: &str) -> Args {
    Args::default()
        .with("--memory", "128")
        .with("--kernel", guest(&format!("{guest_folder}/vmlinuz")))
        .with("--initrd", guest(&format!("{guest_folder}/initrd.gz")))
        .with("--append", "console=ttyS0 quiet")
}

/// An address on the loopback that nobody listens on.
pub fn free_address() -> String {
    let l = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    l.expect("a free port").to_string()
}

/// Machines run one after the other: on a host with few cores they would slow each other down past all patience.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}
