//! What the guest is.

use std::fs;
use std::path::Path;

use channel::services::information::{About, Adapter, Package, Pair};

use crate::{sys, users};

/// Pairs of keys and values, a file each: the host's, and the guest's for the host.
const HOST_PAIRS: &str = "/run/heirloom/host";
const GUEST_PAIRS: &str = "/run/heirloom/guest";

fn text(p: impl AsRef<Path>) -> String {
    fs::read_to_string(p).map(|s| s.trim().to_owned()).unwrap_or_default()
}

/// A value of a file of NAME=VALUE, without its quotes.
fn value(text: &str, name: &str) -> Option<String> {
    let v = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix('='))?;
    Some(v.trim().trim_matches(['"', '\'']).to_owned())
}

fn system() -> String {
    let os = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    let of_release = os.ok().and_then(|t| value(&t, "PRETTY_NAME"));
    of_release.unwrap_or_else(|| text("/proc/sys/kernel/ostype"))
}

/// Bytes of a line of /proc/meminfo.
fn memory(meminfo: &str, name: &str) -> Option<u64> {
    let l = meminfo.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
    Some(l.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

fn adapters() -> Vec<Adapter> {
    let addresses = sys::addresses();
    let names = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut out: Vec<Adapter> = names
        .map(|e| {
            let name = e.file_name().to_string_lossy().into_owned();
            let of = addresses.iter().filter(|(n, _)| *n == name);
            let addresses = of.map(|(_, a)| a.to_string()).collect();
            Adapter { mac: text(e.path().join("address")), addresses, name }
        })
        .filter(|a| a.name != "lo")
        .collect();
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

pub(crate) fn about() -> About {
    let meminfo = text("/proc/meminfo");
    let host = text("/proc/sys/kernel/hostname");
    let (name, of_name) = host.split_once('.').unwrap_or((&host, ""));
    let nis = Some(text("/proc/sys/kernel/domainname")).filter(|d| d != "(none)");
    let domain = if of_name.is_empty() { nis.unwrap_or_default() } else { of_name.to_owned() };
    let mut users: Vec<String> = users::logins().into_iter().map(|l| l.user).collect();
    users.sort_unstable();
    users.dedup();
    About {
        system: system(),
        version: text("/proc/sys/kernel/osrelease"),
        name: name.to_owned(),
        domain,
        adapters: adapters(),
        users,
        memory: memory(&meminfo, "MemTotal").unwrap_or(0),
        memory_free: memory(&meminfo, "MemAvailable").or_else(|| memory(&meminfo, "MemFree")).unwrap_or(0),
        zone: sys::zone(),
        ..About::default()
    }
}

/// Installed packages of dpkg's list.
fn packages(status: &str) -> Vec<Package> {
    let one = |paragraph: &str| {
        let field = |name| value(&paragraph.replace(": ", "="), name);
        field("Status").filter(|s| s.ends_with(" installed"))?;
        let publisher = field("Maintainer").unwrap_or_default();
        Some(Package { name: field("Package")?, version: field("Version").unwrap_or_default(), publisher })
    };
    status.split("\n\n").filter_map(one).collect()
}

pub(crate) fn software() -> Vec<Package> {
    packages(&text("/var/lib/dpkg/status"))
}

/// A key is a file's name only if it is one: no path leads out of the folder.
fn is_name(key: &str) -> bool {
    !key.is_empty() && !key.starts_with('.') && !key.contains(['/', '\0'])
}

pub(crate) fn host_pair(p: &Pair) {
    if !is_name(&p.key) {
        return;
    }
    let at = Path::new(HOST_PAIRS).join(&p.key);
    if p.value.is_empty() {
        let _ = fs::remove_file(at);
    } else if fs::create_dir_all(HOST_PAIRS).is_ok() {
        let _ = fs::write(at, &p.value);
    }
}

pub(crate) fn guest_pairs() -> Vec<Pair> {
    let files = fs::read_dir(GUEST_PAIRS).into_iter().flatten().flatten();
    let mut out: Vec<Pair> = files
        .filter_map(|e| {
            let key = e.file_name().into_string().ok().filter(|k| is_name(k))?;
            let value = fs::read_to_string(e.path()).ok()?;
            Some(Pair { key, value: value.trim_end().to_owned() })
        })
        .collect();
    out.sort_by(|a, b| a.key.cmp(&b.key));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_memory_and_packages_are_read() {
        let os = "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(value(os, "PRETTY_NAME").as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(memory("MemTotal:  254512 kB\nMemFree: 9 kB\n", "MemTotal"), Some(254_512 * 1024));
        let status = "Package: a\nStatus: install ok installed\nMaintainer: Ann <a@b>\nVersion: 1:2-3\n\n\
                      Package: b\nStatus: deinstall ok config-files\nVersion: 4\n";
        let want = Package { name: "a".into(), version: "1:2-3".into(), publisher: "Ann <a@b>".into() };
        assert_eq!(packages(status), [want]);
    }

    #[test]
    fn a_key_leads_nowhere_else() {
        assert!(
            is_name("colour") && !is_name("../x") && !is_name("a/b") && !is_name(".hidden") && !is_name("")
        );
    }
}
