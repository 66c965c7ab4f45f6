//! What a reading was taken on and with.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::machines::Machines;
use crate::guests;
use crate::shell::{command, quiet};

fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let out = quiet(&mut command(program, args)).ok()?;
    Some(String::from_utf8_lossy(&out).lines().next()?.trim().to_owned())
}

/// The version text of a bzImage: setup header, `kernel_version`. Linux Documentation/arch/x86/boot.rst.
fn kernel_version(image: &[u8]) -> Option<String> {
    const KERNEL_VERSION: usize = 0x20e;
    let at = u16::from_le_bytes(image.get(KERNEL_VERSION..KERNEL_VERSION + 2)?.try_into().ok()?);
    let text = image.get(usize::from(at) + 0x200..)?;
    let text = &text[..text.iter().position(|b| *b == 0)?];
    Some(String::from_utf8_lossy(text).split_whitespace().next()?.to_owned())
}

fn cpu(info: &str) -> String {
    let field = |name: &str| {
        let l = info.lines().find(|l| l.split(':').next().is_some_and(|k| k.trim() == name))?;
        Some(l.split_once(':')?.1.trim().to_owned())
    };
    let number = |n| field(n).unwrap_or_else(|| "?".into());
    let name = field("model name").unwrap_or_else(|| "unknown".into());
    format!(
        "{name} (family {}, model {}, stepping {})",
        number("cpu family"),
        number("model"),
        number("stepping")
    )
}

/// "Linux 6.1" of "6.1.0-50-amd64": the rest says more of the host than of the reading.
fn series(release: &str) -> String {
    format!("Linux {}", release.split('.').take(2).collect::<Vec<_>>().join("."))
}

/// Of a bench without a guest.
pub(crate) fn describe_images(heirloom: &Path) -> Value {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    json!({
        "date": first_line("date", &["-u", "+%F"]),
        "cpu": cpu(&info),
        "cores": info.lines().filter(|l| l.starts_with("processor")).count(),
        "kernel": first_line("uname", &["-r"]).map(|r| series(&r)),
        "heirloom": first_line(&heirloom.to_string_lossy(), &["--version"]),
        "commit": commit(),
        "copy": first_line("cp", &["--version"]),
        "qemu": first_line("qemu-img", &["--version"]),
    })
}

/// What was built, and if it was all of that.
fn commit() -> Option<String> {
    let commit = first_line("git", &["rev-parse", "--short=10", "HEAD"])?;
    let changed = quiet(&mut command("git", ["status", "--porcelain", "--untracked-files=no"]));
    Some(if changed.is_ok_and(|o| !o.is_empty()) { format!("{commit} and changes") } else { commit })
}

/// Date, processor, versions.
pub(crate) fn describe(m: &Machines, guest: &Path) -> Value {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = info.lines().filter(|l| l.starts_with("processor")).count();
    let heirloom = first_line(&m.heirloom.to_string_lossy(), &["--version"]);
    let (cc, _) = guests::bench::compiler();
    json!({
        "date": first_line("date", &["-u", "+%F"]),
        "cpu": cpu(&info),
        "cores": cores,
        "kernel": first_line("uname", &["-r"]).map(|r| series(&r)),
        "heirloom": heirloom,
        "commit": commit(),
        "qemu": if m.qemu { first_line("qemu-system-i386", &["--version"]) } else { None },
        "guest_kernel": fs::read(guest.join("vmlinuz")).ok().and_then(|b| kernel_version(&b)),
        "compiler": first_line(cc, &["--version"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_version_is_read_from_its_header() {
        let mut image = vec![0; 0x400];
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x314].copy_from_slice(b"6.1.0-1-686 (who) #1");
        assert_eq!(kernel_version(&image).as_deref(), Some("6.1.0-1-686"));
        assert_eq!(kernel_version(&image[..0x208]), None);
    }

    #[test]
    fn of_a_kernels_release_its_series_is_told() {
        assert_eq!(series("6.1.0-50-amd64"), "Linux 6.1");
    }

    #[test]
    fn fields_of_cpuinfo_with_like_names_are_told_apart() {
        let info = "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 15\nmodel name\t: A Chip\nstepping\t: 2\n";
        assert_eq!(cpu(info), "A Chip (family 6, model 15, stepping 2)");
    }
}
