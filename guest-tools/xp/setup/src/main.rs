//! `setup.exe`: puts agent and driver on Windows XP and later, or takes them away.
//!
//! `/S`: asks nothing and shows nothing. `/U`: removes. Exit code 0: done, 3010: done, and Windows must be restarted, 1: not
//! done. What happened is in `heirloom-setup.log` of the Windows folder.
#![no_std]
#![no_main]

extern crate alloc;

mod driver;
mod shell;

use alloc::format;
use alloc::string::{String, ToString};

use xp_base::files::{self, Gone};
use xp_base::registry::{self, Key};
use xp_base::{Error, Result, log, scm};

xp_base::entry!(main);

const TITLE: &str = "Heirloom guest tools";
/// Of the agent; the same as in `agent/src/main.rs`.
const SERVICE: &str = "HeirloomAgent";
/// What Windows' list of programs has about us.
const LISTED: &str = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\Heirloom";
const AGENT: &str = "heirloom-agent.exe";
/// What is copied from the folder that this program lies in.
const FILES: [&str; 4] = ["setup.exe", AGENT, "heirbus.inf", "heirbus.sys"];

const RESTART: u32 = 3010;

fn main(arguments: &[String]) -> u32 {
    let has = |flag: &str| arguments.iter().any(|a| a.eq_ignore_ascii_case(flag));
    let (silent, remove) = (has("/S"), has("/U"));
    if let Some(windows) = files::environment("SystemRoot") {
        log::open(&format!("{windows}\\heirloom-setup.log"), false);
    }
    if let Some(a) = arguments.iter().find(|a| !["/S", "/U"].iter().any(|f| a.eq_ignore_ascii_case(f))) {
        shell::tell(TITLE, &format!("{a} is not known.\n\n/S  asks nothing\n/U  removes"), silent);
        return 1;
    }
    let question = if remove { "Remove the guest tools?" } else { "Install the guest tools?" };
    if !silent && !shell::ask(TITLE, question) {
        return 1;
    }
    match if remove { uninstall() } else { install() } {
        Ok(restart) => {
            log::line(format_args!("{}", if remove { "removed" } else { "installed" }));
            let text = if restart { "Done. Restart Windows to complete it." } else { "Done." };
            shell::tell(TITLE, text, silent);
            if restart { RESTART } else { 0 }
        }
        Err(e) => {
            log::line(format_args!("failed: {e}"));
            shell::tell(TITLE, &e.to_string(), silent);
            1
        }
    }
}

/// The folder of the tools.
fn folder() -> String {
    format!("{}\\Heirloom", files::environment("ProgramFiles").unwrap_or_else(|| "C:\\Program Files".into()))
}

/// True: Windows must be restarted.
fn install() -> Result<bool> {
    let (to, from) = (folder(), files::folder_of(&files::program()?).to_string());
    files::make_folder(&to)?;
    // An agent that runs can't be written over. That there is none is no fault.
    if let Err(e) = scm::stop(SERVICE) {
        log::line(format_args!("before: {e}"));
    }
    if !from.eq_ignore_ascii_case(&to) {
        for f in FILES {
            files::copy(&format!("{from}\\{f}"), &format!("{to}\\{f}"))?;
        }
    }
    list(&to)?;
    // The agent does without the driver, over COM2.
    let restart = match driver::install(&format!("{to}\\heirbus.inf")) {
        Ok(installed) => {
            Key::make(LISTED)?.set("Inf", &installed.inf)?;
            log::line(format_args!("driver: {installed}"));
            installed.restart
        }
        Err(e) => {
            log::line(format_args!("driver: {e}; the agent goes on over COM2"));
            false
        }
    };
    let code = shell::run(&format!("{} install", files::quoted(&format!("{to}\\{AGENT}"))))?;
    if code != 0 {
        return Err(Error::plain(format!("the agent does not install as a service (exit code {code})")));
    }
    scm::start(SERVICE)?;
    Ok(restart)
}

/// Puts the tools on Windows' list of programs.
fn list(to: &str) -> Result<()> {
    let remove = format!("{} /U", files::quoted(&format!("{to}\\setup.exe")));
    let k = Key::make(LISTED)?;
    k.set("DisplayName", TITLE)?;
    k.set("DisplayVersion", env!("CARGO_PKG_VERSION"))?;
    k.set("Publisher", "Heirloom")?;
    k.set("InstallLocation", to)?;
    k.set("UninstallString", &remove)?;
    k.set("QuietUninstallString", &format!("{remove} /S"))
}

/// Goes as far as it can, so that a broken installation can be removed, and then says what was the first to fail.
fn uninstall() -> Result<bool> {
    let mut first = Ok(());
    let mut keep = |r: Result<()>| {
        if let Err(e) = r {
            log::line(format_args!("{e}"));
            if first.is_ok() {
                first = Err(e);
            }
        }
    };
    if let Err(e) = scm::stop(SERVICE) {
        log::line(format_args!("{e}"));
    }
    keep(scm::remove(SERVICE));
    let inf = Key::machine(LISTED).map(|k| k.string("Inf")).unwrap_or_default();
    let mut restart = false;
    match driver::uninstall(&inf) {
        Ok(r) => restart |= r,
        Err(e) => keep(Err(e)),
    }
    let at = folder();
    // This program lies there, too, and goes at the next start.
    for path in FILES
        .iter()
        .chain(&["heirloom-agent.log", "heirloom-agent.log.old"])
        .map(|f| format!("{at}\\{f}"))
        .chain([at.clone()])
    {
        match files::remove(&path) {
            Ok(Gone::Now) => {}
            Ok(Gone::AtRestart) => log::line(format_args!("{path} goes when Windows starts next")),
            Err(e) => keep(Err(e)),
        }
    }
    keep(registry::remove(LISTED));
    first.map(|()| restart)
}
