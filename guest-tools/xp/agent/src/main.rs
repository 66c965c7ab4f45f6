//! `heirloom-agent.exe`: the guest agent for Windows XP and later.
//!
//! `install`, `uninstall`: the service. `service`: as the service manager starts it. `run [PORT]`: in a console, until
//! Ctrl+C. `lock`: locks this desktop (the service starts it as the user).
#![no_std]
#![no_main]

extern crate alloc;

mod platform;
mod run;
mod system;

use alloc::format;
use alloc::string::String;

use platform::{power, service};
use xp_base::scm::{self, Service};
use xp_base::{Result, files, log};

const NAME: &str = "HeirloomAgent";

xp_base::entry!(main);

fn main(arguments: &[String]) -> u32 {
    let mut words = arguments.iter().map(String::as_str);
    let what = words.next().unwrap_or_default();
    let done = match what {
        "install" => install(),
        "uninstall" => uninstall(),
        "service" => {
            open_log(false);
            service::run(NAME, |wishes| run::serve("COM2", wishes))
        }
        "run" => {
            open_log(true);
            let port = words.next().unwrap_or("COM2");
            service::run_in_console(|wishes| run::serve(port, wishes))
        }
        "lock" => power::lock(),
        _ => {
            log::print(format_args!("usage: heirloom-agent install | uninstall | run [PORT] | service"));
            return 2;
        }
    };
    match done {
        Ok(()) => 0,
        Err(e) => {
            log::print(format_args!("heirloom-agent: {what}: {e}"));
            1
        }
    }
}

fn open_log(console: bool) {
    if let Ok(path) = files::beside("heirloom-agent.log") {
        log::open(&path, console);
    }
}

fn install() -> Result<()> {
    let command = format!("{} service", files::quoted(&files::program()?));
    scm::install(&Service {
        name: NAME,
        shown: "Heirloom guest agent",
        description: "Time, power, programs and information for the Heirloom machine that this computer is.",
        command: &command,
    })
}

fn uninstall() -> Result<()> {
    // Removed all the same if it does not stop; then it is gone after the next start.
    if let Err(e) = scm::stop(NAME) {
        log::print(format_args!("heirloom-agent: {e}"));
    }
    scm::remove(NAME)
}
