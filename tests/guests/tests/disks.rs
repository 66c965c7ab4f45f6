//! Disks over disks: undo disks that are kept, committed and discarded, and a machine that is killed over a shared base.

use std::fs;
use std::path::{Path, PathBuf};

use guest_tests::{Console, Images, Vm, alone, linux_with, machine};

fn base(images: &Images) -> PathBuf {
    images.disk(["create", "base.vhd", "64M"]);
    images.0.join("base.vhd")
}

/// Writes a word of five letters over and over from a mebibyte on: 300 KiB.
fn write(t: &mut Console, text: &str, mib: u32) {
    let out = t.output(&format!(
        "yes {text} | head -c 307200 > /t; dd if=/t of=/dev/sda bs=4k seek={} conv=fsync 2>/dev/null && echo written",
        mib * 256
    ));
    assert_eq!(out, "written");
}

/// What is there: how often which words.
fn read(t: &mut Console, mib: u32) -> String {
    t.output(&format!(
        "dd if=/dev/sda bs=4k skip={} count=75 2>/dev/null | tr -d '\\0' | sort | uniq -c",
        mib * 256
    ))
    .split_whitespace()
    .collect::<Vec<_>>()
    .join(" ")
}

fn off(mut vm: Vm, t: &mut Console) {
    t.send("poweroff -f\n");
    assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
}

/// The raw bytes of an image at a mebibyte, without the guest.
fn bytes(images: &Images, image: &Path, mib: usize) -> Vec<u8> {
    let raw = images.0.join("raw.img");
    let _ = fs::remove_file(&raw);
    images.disk(["convert".as_ref(), image.as_os_str(), raw.as_os_str()]);
    fs::read(raw).expect("the copy")[mib << 20..][..300 << 10].to_vec()
}

fn is(text: &str, bytes: &[u8]) -> bool {
    let line = format!("{text}\n");
    bytes.iter().eq(line.as_bytes().iter().cycle().take(bytes.len()))
}

#[test]
fn an_undo_disk_is_kept_then_committed_then_discarded() {
    let _one = alone();
    let images = Images::new("undo-images");
    let base = base(&images);
    let undo = images.0.join("base.vud");
    let before = fs::read(&base).expect("the base");

    let (vm, mut t) = linux_with("undo-keep", &base, ",undo");
    write(&mut t, "first", 3);
    off(vm, &mut t);
    assert!(fs::read(&base).expect("the base") == before, "the base stays as it is");
    assert!(images.disk(["info".as_ref(), undo.as_os_str()]).contains("vhd-differencing"));

    let (vm, mut t) = linux_with("undo-commit", &base, ",undo=commit");
    assert_eq!(read(&mut t, 3), "51200 first");
    write(&mut t, "other", 9);
    off(vm, &mut t);
    assert!(!undo.exists());
    assert!(is("first", &bytes(&images, &base, 3)) && is("other", &bytes(&images, &base, 9)));

    let before = fs::read(&base).expect("the base");
    let (vm, mut t) = linux_with("undo-discard", &base, ",undo=discard");
    assert_eq!(read(&mut t, 9), "51200 other");
    write(&mut t, "third", 3);
    assert_eq!(read(&mut t, 3), "51200 third");
    off(vm, &mut t);
    assert!(!undo.exists());
    assert!(fs::read(&base).expect("the base") == before, "the base is as it was");
}

/// What is to be discarded when the machine is off is there as long as its state is.
#[test]
fn an_undo_disk_outlives_a_save() {
    let _one = alone();
    let images = Images::new("undo-saved");
    let (base, state) = (base(&images), images.0.join("state"));
    let undo = images.0.join("base.vud");
    let before = fs::read(&base).expect("the base");
    let (mut vm, mut t) = linux_with("undo-saved-vm", &base, ",undo=discard");
    write(&mut t, "saved", 3);
    t.output("echo 3 > /proc/sys/vm/drop_caches");
    vm.ctl(["save".as_ref(), state.as_os_str()]).expect("the state is saved");
    assert_eq!(vm.wait(60).code(), Some(0), "{}", vm.said());
    drop(vm);
    assert!(undo.exists());
    let mut disk = base.clone().into_os_string();
    disk.push(",undo=discard");
    let args = machine("linux").with("--disk", disk).with("--resume", &state);
    let mut vm = Vm::start("undo-saved-vm", &args);
    let mut t = vm.console();
    assert_eq!(read(&mut t, 3), "51200 saved");
    off(vm, &mut t);
    assert!(!undo.exists() && fs::read(&base).expect("the base") == before);
}

/// Two machines over one base; one of them is killed while it writes.
#[test]
fn a_killed_machine_over_a_shared_base_has_what_was_flushed() {
    let _one = alone();
    let images = Images::new("shared-images");
    let base = base(&images);
    let (a, b) = (images.0.join("a.vhd"), images.0.join("b.vhd"));
    for child in [&a, &b] {
        images.disk(["create".as_ref(), child.as_os_str(), "--parent".as_ref(), base.as_os_str()]);
    }
    let before = fs::read(&base).expect("the base");
    let (killed, mut t) = linux_with("shared-killed", &a, "");
    let (vm, mut u) = linux_with("shared", &b, "");
    write(&mut u, "their", 5);
    write(&mut t, "saved", 5);
    t.send("while :; do cat /t > /dev/sda; done\n");
    std::thread::sleep(std::time::Duration::from_millis(500));
    drop(killed);
    assert_eq!(read(&mut u, 5), "51200 their");
    off(vm, &mut u);
    assert!(fs::read(&base).expect("the base") == before, "the base stays as it is");
    assert!(images.disk(["check".as_ref(), a.as_os_str()]).contains("vhd-differencing"));
    assert!(is("saved", &bytes(&images, &a, 5)));
    // And it goes on.
    let (vm, mut t) = linux_with("shared-again", &a, "");
    assert_eq!(read(&mut t, 5), "51200 saved");
    write(&mut t, "again", 7);
    off(vm, &mut t);
    assert!(is("again", &bytes(&images, &a, 7)) && is("saved", &bytes(&images, &a, 5)));
}
