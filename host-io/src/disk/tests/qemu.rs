//! qemu-img as judge. Skipped, by name, where it is not installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::super::{Format, Mode, check, convert, create, diff, info, open_disk, repair};
use super::{Dir, pattern};

/// Runs qemu-img; None if there is none.
fn qemu_img(args: &[&str]) -> Option<(bool, String)> {
    let out = Command::new("qemu-img").args(args).output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    Some((out.status.success(), text))
}

fn have() -> bool {
    let there = qemu_img(&["--version"]).is_some();
    if !there {
        println!("skipped: qemu-img is not installed");
    }
    there
}

fn must(args: &[&str]) -> String {
    let (ok, text) = qemu_img(args).unwrap();
    assert!(ok, "qemu-img {args:?}: {text}");
    text
}

fn str(p: &Path) -> &str {
    p.to_str().unwrap()
}

/// Data here and there, over block borders, at both ends.
fn scatter(path: &Path) {
    let mut d = open_disk(path, Mode::ReadWrite).unwrap().into_disk();
    let n = d.sectors();
    for lba in [0, 63, 4090, 9000, 30_000, n - 5] {
        let len = (n - lba).min(20) as usize;
        d.write(lba, &pattern(lba, len)).unwrap();
    }
    d.flush().unwrap();
}

#[test]
fn qemu_reads_what_we_write() {
    if !have() {
        return;
    }
    let dir = Dir::new("qemu-reads");
    for (format, name) in [(Format::VhdDynamic, "d.vhd"), (Format::VhdFixed, "f.vhd")] {
        for mib in [20, 300, 1100] {
            let path = dir.file(&format!("{mib}-{name}"));
            let size = create(&path, format, mib << 20).unwrap();
            scatter(&path);
            let text = must(&["info", "-f", "vpc", "--output=json", str(&path)]);
            assert!(text.contains(&format!("\"virtual-size\": {size}")), "{size}: {text}");
            let raw = dir.file("ours.img");
            convert(&path, &raw, Format::Raw, |_, _| ()).unwrap();
            let out = must(&["compare", "-f", "vpc", "-F", "raw", str(&path), str(&raw)]);
            assert!(out.contains("identical"), "{out}");
            fs::remove_file(&raw).unwrap();
            fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn we_read_what_qemu_writes() {
    if !have() {
        return;
    }
    let dir = Dir::new("qemu-writes");
    let raw = dir.file("a.img");
    create(&raw, Format::Raw, 40 << 20).unwrap();
    scatter(&raw);
    for options in [
        "subformat=dynamic",
        "subformat=fixed",
        "subformat=dynamic,force_size=on",
        "subformat=fixed,force_size=on",
    ] {
        let vhd = dir.file("q.vhd");
        let back = dir.file("back.img");
        must(&["convert", "-f", "raw", "-O", "vpc", "-o", options, str(&raw), str(&vhd)]);
        let report = check(&vhd).unwrap();
        assert!(report.findings.is_empty(), "{options}: {:?}", report.findings);
        convert(&vhd, &back, Format::Raw, |_, _| ()).unwrap();
        let (a, b) = (fs::read(&raw).unwrap(), fs::read(&back).unwrap());
        assert!(b[..a.len()] == a[..] && b[a.len()..].iter().all(|v| *v == 0), "{options}");
        let i = info(&vhd).unwrap();
        let text = must(&["info", "-f", "vpc", "--output=json", str(&vhd)]);
        assert!(text.contains(&format!("\"virtual-size\": {}", i.virtual_size)), "{options}: {text}");
        fs::remove_file(&vhd).unwrap();
        fs::remove_file(&back).unwrap();
    }
}

#[test]
fn we_write_to_qemus_image_and_qemu_still_agrees() {
    if !have() {
        return;
    }
    let dir = Dir::new("qemu-both");
    let (vhd, raw) = (dir.file("q.vhd"), dir.file("r.img"));
    must(&["create", "-f", "vpc", "-o", "subformat=dynamic", str(&vhd), "64M"]);
    scatter(&vhd);
    let size = info(&vhd).unwrap().virtual_size;
    create(&raw, Format::Raw, size).unwrap();
    scatter(&raw);
    assert!(must(&["compare", "-f", "vpc", "-F", "raw", str(&vhd), str(&raw)]).contains("identical"));
}

#[test]
fn qemu_reads_what_we_repaired() {
    if !have() {
        return;
    }
    let dir = Dir::new("qemu-repaired");
    let (vhd, raw) = (dir.file("q.vhd"), dir.file("r.img"));
    // What is damaged, from the beginning or the end: footers, the header's checksum, each with its place.
    for (subformat, damages) in [
        (
            "dynamic",
            &[(false, 40..60), (true, 0..512), (false, 512 + 36..512 + 40), (false, 512 + 600..512 + 700)][..],
        ),
        ("fixed", &[(true, 0..20), (true, 48..64), (true, 60..80)][..]),
    ] {
        for (end, bytes) in damages {
            must(&["create", "-f", "vpc", "-o", &format!("subformat={subformat}"), str(&vhd), "64M"]);
            scatter(&vhd);
            must(&["convert", "-f", "vpc", "-O", "raw", str(&vhd), str(&raw)]);
            let mut b = fs::read(&vhd).unwrap();
            let from = if *end { b.len() - 512 } else { 0 };
            b[from + bytes.start..from + bytes.end].fill(0xd5);
            fs::write(&vhd, b).unwrap();
            let r = repair(&vhd, false).unwrap();
            assert!(r.after.findings.is_empty() && !r.done.is_empty(), "{subformat}, {bytes:?}: {r:?}");
            let out = must(&["compare", "-f", "vpc", "-F", "raw", str(&vhd), str(&raw)]);
            assert!(out.contains("identical"), "{subformat}, {bytes:?}: {out}");
            fs::remove_file(r.undo.unwrap()).unwrap();
            fs::remove_file(&vhd).unwrap();
        }
    }
}

/// Images of other formats, made by qemu-img from a raw one; ours say the same as it.
#[test]
fn we_convert_what_qemu_writes_in_other_formats() {
    if !have() {
        return;
    }
    let dir = Dir::new("qemu-foreign");
    let raw = dir.file("a.img");
    create(&raw, Format::Raw, 200 << 20).unwrap();
    scatter(&raw);
    for (format, name, options) in [
        ("qcow2", "a.qcow2", &[][..]),
        ("qcow2", "b.qcow2", &["-o", "compat=0.10,cluster_size=512"]),
        ("qcow2", "c.qcow2", &["-o", "cluster_size=2M"]),
        ("qcow2", "d.qcow2", &["-c"]),
        ("qcow2", "e.qcow2", &["-o", "preallocation=metadata"]),
        ("vmdk", "a.vmdk", &[]),
        ("vmdk", "b.vmdk", &["-o", "subformat=twoGbMaxExtentSparse"]),
        ("vmdk", "c.vmdk", &["-o", "subformat=monolithicFlat"]),
        ("vmdk", "d.vmdk", &["-o", "subformat=twoGbMaxExtentFlat"]),
        ("vmdk", "e.vmdk", &["-o", "subformat=streamOptimized"]),
        ("vhdx", "a.vhdx", &[]),
        ("vhdx", "b.vhdx", &["-o", "subformat=fixed,block_size=1M"]),
    ] {
        let (from, to) = (dir.file(name), dir.file("to.vhd"));
        let args = [&["convert", "-f", "raw", "-O", format][..], options, &[str(&raw), str(&from)]].concat();
        must(&args);
        convert(&from, &to, Format::VhdDynamic, |_, _| ()).unwrap();
        let out = must(&["compare", "-f", "raw", "-F", "vpc", str(&raw), str(&to)]);
        assert!(out.contains("identical"), "{name}: {out}");
        assert!(info(&to).unwrap().file_size < 20 << 20, "{name}: holes stay holes");
        assert_eq!(diff(&raw, &from, |_, _| ()).unwrap(), [], "{name}");
        let e = open_disk(&from, Mode::ReadOnly).err().unwrap().to_string();
        assert!(e.contains("heirloom disk convert"), "{e}");
        // What is cut off is an error or zeros where there was data, and never more than that.
        let len = fs::metadata(&from).unwrap().len();
        for cut in [len / 2, len / 5, 70_000, 3000, 700, 40] {
            fs::OpenOptions::new().write(true).open(&from).unwrap().set_len(cut.min(len)).unwrap();
            if let Err(e) = diff(&raw, &from, |_, _| ()) {
                let e = e.to_string();
                assert!(e.contains(name) && !e.contains('\n'), "{e}");
            }
        }
        fs::remove_file(&to).unwrap();
    }
}

#[test]
fn we_convert_qemus_images_over_images() {
    if !have() {
        return;
    }
    let dir = Dir::new("qemu-backing");
    let (raw, base, top) = (dir.file("a.img"), dir.file("base.qcow2"), dir.file("top.qcow2"));
    let want = dir.file("want.img");
    create(&raw, Format::Raw, 64 << 20).unwrap();
    scatter(&raw);
    // A raw base, one over it that is larger, and one over both.
    let make = |over: &str, format: &str, path: &Path, size: &str| {
        must(&["create", "-f", "qcow2", "-b", over, "-F", format, str(path), size]);
    };
    make("a.img", "raw", &base, "80M");
    make("base.qcow2", "qcow2", &top, "80M");
    let io = |path: &Path, command: &str| {
        Command::new("qemu-io")
            .args(["-f", "qcow2", "-c", command, str(path)])
            .output()
            .is_ok_and(|o| o.status.success())
    };
    let wrote =
        io(&base, "write -P 7 30M 1M") && io(&top, "write -P 9 70M 64k") && io(&top, "write -z 30M 128k");
    assert!(wrote, "qemu-io comes with qemu-img");
    must(&["convert", "-f", "qcow2", "-O", "raw", str(&top), str(&want)]);
    let to = dir.file("to.img");
    convert(&top, &to, Format::Raw, |_, _| ()).unwrap();
    assert!(fs::read(&to).unwrap() == fs::read(&want).unwrap());
    // What is somewhere else is not opened.
    for name in [str(&raw), "../a.img", "json:{}", "sub/../../a.img"] {
        must(&["rebase", "-u", "-f", "qcow2", "-b", name, "-F", "raw", str(&top)]);
        let e = diff(&top, &raw, |_, _| ()).unwrap_err().to_string();
        assert!(e.contains("top.qcow2") && e.contains("not in its own folder"), "{e}");
    }
    std::os::unix::fs::symlink("/etc/hostname", dir.file("link.img")).unwrap();
    must(&["rebase", "-u", "-f", "qcow2", "-b", "link.img", "-F", "raw", str(&top)]);
    let e = diff(&top, &raw, |_, _| ()).unwrap_err().to_string();
    assert!(e.contains("leads out of its folder"), "{e}");
    must(&["rebase", "-u", "-f", "qcow2", "-b", "top.qcow2", "-F", "qcow2", str(&top)]);
    let e = diff(&top, &raw, |_, _| ()).unwrap_err().to_string();
    assert!(e.contains("over itself"), "{e}");
}
