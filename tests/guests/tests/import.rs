//! A machine of Virtual PC becomes a spec, and runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use guest_tests::{folder, heirloom};

fn heirloom_in(at: &Path, words: &[&str]) -> Output {
    Command::new(heirloom())
        .args(words)
        .current_dir(at)
        .env("XDG_RUNTIME_DIR", at.join("run"))
        .output()
        .expect("heirloom starts")
}

fn said(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).into_owned() + &String::from_utf8_lossy(&o.stderr)
}

/// As Virtual PC writes it: UTF-16 with a mark.
fn vmc(disk: &str) -> Vec<u8> {
    let location = |c: u8, kind: u8, path: &str| {
        format!(
            "<ide_controller id=\"{c}\"><location id=\"0\"><drive_type type=\"integer\">{kind}</drive_type><pathname>\
             <absolute type=\"string\">{path}</absolute><relative type=\"string\" /></pathname></location></ide_controller>"
        )
    };
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n<preferences><version type=\"string\">2.0</version><hardware>\
         <memory><ram_size type=\"integer\">64</ram_size></memory><pci_bus><ide_adapter>{}{}</ide_adapter></pci_bus>\
         <sound_adapter><enable type=\"boolean\">true</enable></sound_adapter></hardware></preferences>\r\n",
        location(0, 1, disk),
        location(1, 2, "")
    );
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_machine_of_virtual_pc_is_imported_and_runs() {
    let at = folder("import");
    assert!(heirloom_in(&at, &["disk", "create", "Old Disk.vhd", "20M"]).status.success());
    fs::write(at.join("Old PC.vmc"), vmc("C:\\Virtual Machines\\Old Disk.vhd")).expect("a configuration");
    let out = heirloom_in(&at, &["import", "Old PC.vmc"]);
    let text = said(&out);
    assert!(
        out.status.success() && text.contains("hardware/sound_adapter/enable = true has no equal"),
        "{text}"
    );
    assert!(!text.contains("is not there"), "{text}");
    let spec = fs::read_to_string(at.join("Old PC.toml")).expect("the spec");
    for line in ["name = \"Old-PC\"", "memory = 64", "path = \"Old Disk.vhd\"", "[[cdrom]]"] {
        assert!(spec.contains(line), "{line}: {spec}");
    }
    let out = heirloom_in(&at, &["run", "Old PC.toml", "--engine", "software", "--stop-after", "0.2"]);
    assert!(out.status.success(), "{}", said(&out));
    // Nothing is written over.
    let out = heirloom_in(&at, &["import", "Old PC.vmc"]);
    assert!(
        !out.status.success() && said(&out).contains("Old PC.toml") && said(&out).contains("remove it first")
    );
    assert_eq!(fs::read_to_string(at.join("Old PC.toml")).expect("the spec"), spec);
    for (name, bytes, told) in [
        ("none.vmc", None, "check the path"),
        ("text.vmc", Some(&b"hello"[..]), "no XML"),
        ("x.vmcx", Some(b"<vm_description/>"), "vmc_path"),
    ] {
        if let Some(b) = bytes {
            fs::write(at.join(name), b).expect("a file");
        }
        let out = heirloom_in(&at, &["import", name]);
        assert_eq!(out.status.code(), Some(1));
        assert!(
            said(&out).contains(name) && said(&out).contains(told) && said(&out).lines().count() == 1,
            "{}",
            said(&out)
        );
    }
    // A disk that is elsewhere is told of, and named where it should be.
    fs::remove_file(at.join("Old Disk.vhd")).expect("the disk");
    let out = heirloom_in(&at, &["import", "Old PC.vmc", "new.toml"]);
    assert!(out.status.success() && said(&out).contains("Old Disk.vhd is not there"), "{}", said(&out));
    let _ = fs::remove_dir_all(at);
}

#[test]
fn a_spec_is_exported_and_what_is_imported_of_that_is_the_same_machine() {
    let at = folder("export");
    let ok = |words: &[&str]| {
        let out = heirloom_in(&at, words);
        assert!(out.status.success(), "{words:?}: {}", said(&out));
        said(&out)
    };
    let mut raw = vec![0; 8 << 20];
    raw[..7].copy_from_slice(b"hello, ");
    fs::write(at.join("raw.img"), raw).expect("an image");
    fs::write(at.join("dos.img"), vec![7; 1440 << 10]).expect("a diskette");
    ok(&["disk", "create", "fixed.vhd", "20M", "--format", "vhd-fixed"]);
    ok(&["disk", "create", "base.vhd", "20M"]);
    ok(&["disk", "create", "child.vhd", "--parent", "base.vhd"]);
    let spec = "name = \"old\"\nmemory = 96\nvideo = 2\naudio = \"host\"\nnx = true\n\n[[disk]]\npath = \"raw.img\"\nundo = \"commit\"\n\
        \n[[disk]]\npath = \"fixed.vhd\"\n\n[[disk]]\npath = \"child.vhd\"\n\n[[cdrom]]\n\n[[floppy]]\npath = \"dos.img\"\n\
        \n[[net]]\nkind = \"nat\"\n\n[[net]]\nkind = \"none\"\nmac = \"00:03:ff:00:00:07\"\n";
    fs::write(at.join("old.toml"), spec).expect("a spec");
    let told = ok(&["export", "old.toml", "--out", "there"]);
    assert!(told.starts_with("there/old.vmc: written from old.toml"), "{told}");
    assert!(told.contains("execute disable (nx) has no equal there"), "{told}");
    assert!(told.contains("there/child.vhd: its parents' data is in the copy"), "{told}");
    let files = |d: &str| {
        let mut all: Vec<String> = fs::read_dir(at.join(d))
            .expect("a folder")
            .map(|e| e.expect("a file").file_name().to_string_lossy().into_owned())
            .collect();
        all.sort();
        all
    };
    assert_eq!(files("there"), ["child.vhd", "dos.img", "fixed.vhd", "old.vmc", "raw.vhd"]);
    for (name, format) in [("raw", "vhd-dynamic"), ("fixed", "vhd-fixed"), ("child", "vhd-dynamic")] {
        let told = ok(&["disk", "info", &format!("there/{name}.vhd")]);
        assert!(told.contains(format), "{told}");
    }
    ok(&["disk", "diff", "fixed.vhd", "there/fixed.vhd"]);
    ok(&["disk", "convert", "there/raw.vhd", "back.img"]);
    assert!(fs::read(at.join("back.img")).expect("a copy").starts_with(b"hello, "));

    let told = ok(&["import", "there/old.vmc"]);
    assert!(!told.contains("note:"), "{told}");
    let again = fs::read_to_string(at.join("there/old.toml")).expect("a spec");
    for part in [
        "name = \"old\"\nmemory = 96\nvideo = 2\naudio = \"host\"\n\n[[disk]]\npath = \"raw.vhd\"\nundo = \"commit\"\n\n\
         [[disk]]\npath = \"fixed.vhd\"\n\n[[disk]]\npath = \"child.vhd\"\n\n[[cdrom]]\n\n[[floppy]]\npath = \"dos.img\"\n\n\
         [[net]]\nkind = \"nat\"\nmac = \"00:03:ff:",
        "[[net]]\nkind = \"none\"\nmac = \"00:03:ff:00:00:07\"\n",
    ] {
        assert!(again.contains(part), "{part} is not in\n{again}");
    }
    ok(&["run", "there/old.toml", "--audio", "none", "--engine", "software", "--stop-after", "0.2"]);

    // Nothing is written over.
    let vmc = fs::read(at.join("there/old.vmc")).expect("a configuration");
    let out = heirloom_in(&at, &["export", "old.toml", "--out", "there"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains("is there; choose another folder") && said(&out).lines().count() == 1);
    assert_eq!(fs::read(at.join("there/old.vmc")).expect("a configuration"), vmc);
    let out = heirloom_in(&at, &["export", "old.toml", "--out", "raw.img"]);
    assert!(out.status.code() == Some(1) && said(&out).contains("raw.img"), "{}", said(&out));
    assert!(said(&out).contains("choose another name"), "{}", said(&out));
    // What fails leaves nothing.
    fs::write(at.join("bad.toml"), spec.replace("child.vhd", "gone.vhd")).expect("a spec");
    let out = heirloom_in(&at, &["export", "bad.toml", "--out", "nowhere"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains("gone.vhd") && said(&out).lines().count() == 1, "{}", said(&out));
    assert!(!at.join("nowhere").exists());
    let _ = fs::remove_dir_all(at);
}
