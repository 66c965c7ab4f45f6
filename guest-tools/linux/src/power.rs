//! Shuts down, restarts, logs off and locks with what the system has for it: systemd, sysvinit or busybox.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use channel::services::power::Action;

use crate::{sys, users};

fn is_systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

/// Starts a program and does not wait for it; it may end us.
fn start(words: &[&str]) -> Result<(), String> {
    let mut c = Command::new(words[0]);
    c.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    c.spawn().map(drop).map_err(|e| format!("{}: {e}", words[0]))
}

fn is_there(program: &str) -> bool {
    ["/sbin", "/usr/sbin", "/bin", "/usr/bin"].iter().any(|d| Path::new(d).join(program).exists())
}

/// The first program is an init, which programs that shut down talk to.
fn has_init() -> bool {
    let first = fs::read_to_string("/proc/1/comm").unwrap_or_default();
    matches!(first.trim(), "init" | "systemd" | "runit" | "linuxrc")
}

fn halt(off: bool, force: bool) -> Result<(), String> {
    let verb = if off { "poweroff" } else { "reboot" };
    if is_systemd() && !force {
        return start(&["systemctl", "--no-block", verb]);
    }
    if is_systemd() {
        return start(&["systemctl", "--force", verb]);
    }
    if !has_init() {
        return start(&[verb, "-f"]);
    }
    if is_there("shutdown") && !force {
        return start(&["shutdown", if off { "-h" } else { "-r" }, "now"]);
    }
    if force { start(&[verb, "-f"]) } else { start(&[verb]) }
}

fn log_off() -> Result<(), String> {
    let all = users::logins();
    if is_systemd() {
        let mut names: Vec<&str> = all.iter().map(|l| &*l.user).collect();
        names.sort_unstable();
        names.dedup();
        return names.into_iter().try_for_each(|n| start(&["loginctl", "terminate-user", n]));
    }
    let to_all = |signal| all.iter().map(|l| sys::kill(l.process, signal)).collect::<Vec<_>>();
    to_all(libc::SIGHUP);
    to_all(libc::SIGTERM)
        .into_iter()
        .find_map(Result::err)
        .filter(|e| e.raw_os_error() != Some(libc::ESRCH))
        .map_or(Ok(()), |e| Err(format!("cannot end a session: {e}")))
}

pub(crate) fn begin(action: Action, force: bool, message: &str) -> Result<(), String> {
    if !message.is_empty() && is_there("wall") {
        // Who does not see it is shut down all the same.
        let _ = start(&["wall", message]);
    }
    match action {
        Action::ShutDown => halt(true, force),
        Action::Restart => halt(false, force),
        Action::LogOff => log_off(),
        Action::Lock if is_systemd() => start(&["loginctl", "lock-sessions"]),
        Action::Lock => Err("this guest has nothing to lock its screen with".into()),
    }
}
