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
