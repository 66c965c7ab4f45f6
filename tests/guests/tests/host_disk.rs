//! A host whose disk is full, and what a user decides about images: caches, and what the guest discards.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use guest_tests::{Console, Images, Vm, alone, heirloom, machine};

fn ready(vm: &mut Vm) -> Console {
    let mut t = vm.console();
    t.expect("heirloom test guest ready", 400);
    t.expect("# ", 60);
    t.output("dmesg -n 1; dmesg -c > /dev/null");
    t
}

/// What the kernel said of its drives.
fn complaints(t: &mut Console) -> String {
    t.output("dmesg | grep -iE 'ata|error|lost|sd[a-z]'")
}

fn wait_for_phase(vm: &Vm, phase: &str, secs: u64) -> String {
    let end = Instant::now() + Duration::from_secs(secs);
    loop {
        let status = vm.ctl(["status", "--json"]).expect("the machine answers");
        if status.contains(&format!("\"phase\": \"{phase}\"")) {
            return status;
        }
        assert!(Instant::now() < end, "not {phase} within {secs} s: {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A file system of 16 MiB, half of it taken, with a copy of the image; then the command behind it.
const SMALL: &str = "mount -t tmpfs -o size=16m tmpfs \"$1\" && head -c 8M /dev/zero > \"$1/ballast\" && \
    cp --sparse=always \"$2\" \"$1/small.vhd\" && shift 2 && exec \"$@\"";

fn may_mount(dir: &Path) -> bool {
    let mut c = Command::new("unshare");
    c.args(["-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir).stderr(Stdio::null());
    c.status().is_ok_and(|s| s.success())
}

/// The file system is the machine's process's.
fn make_room(vm: &Vm, small: &Path) {
    let root = Path::new("/proc").join(vm.pid().to_string()).join("root");
    let ballast = root.join(small.strip_prefix("/").expect("an absolute path")).join("ballast");
    fs::remove_file(ballast).expect("the ballast goes");
}

/// A machine whose disk lies on that file system; `None`: none can be mounted here.
fn on_small(test: &str, images: &Images, options: &str) -> Option<(Vm, PathBuf)> {
    images.disk(["create", "base.vhd", "64M"]);
    let (base, small) = (images.0.join("base.vhd"), images.0.join("small"));
    fs::create_dir(&small).expect("a folder");
    if !may_mount(&small) {
        eprintln!("skipped: no file system can be mounted here; run it as root");
        return None;
    }
    let [dir, base] = [&small, &base].map(|p| p.to_str().expect("a path of text"));
    let outer = ["unshare", "-m", "sh", "-c", SMALL, "sh", dir, base];
    let args = machine("linux").with("--disk", format!("{dir}/small.vhd{options}"));
    Some((Vm::start_by(&outer, test, &args), small))
}

#[test]
fn linux_on_a_full_host_waits_and_loses_nothing() {
    let _one = alone();
    let images = Images::new("full-images");
    let Some((mut vm, small)) = on_small("full", &images, "") else { return };
    let mut t = ready(&mut vm);
    t.output("dd if=/dev/urandom of=/r bs=64k count=192 2>/dev/null");
    t.send("dd if=/r of=/dev/sda bs=64k conv=fsync 2>/dev/null && echo writ\"\"ten\n");
    let status = wait_for_phase(&vm, "paused", 60);
    assert!(
        status.contains("small.vhd: write at sector") && status.contains("make room on the host"),
        "{status}"
    );
    assert!(vm.said().contains("the machine is paused: "), "{}", vm.said());
    let told = vm.ctl(["status"]).expect("the machine answers");
    assert!(told.contains("full paused by itself: ") && told.contains("No space left on device"), "{told}");
    let told = vm.ctl(["save".as_ref(), images.0.join("state").as_os_str()]).unwrap_err();
    assert!(told.contains("not as the guest has them") && told.contains("then save again"), "{told}");
    assert!(!images.0.join("state").exists());
    // Nothing is mended yet.
    let told = vm.ctl(["resume"]).unwrap_err();
    assert!(told.contains("full paused again: ") && told.contains("make room on the host"), "{told}");
    wait_for_phase(&vm, "paused", 60);
    assert!(!t.has("written"));
    make_room(&vm, &small);
    vm.ctl(["resume"]).expect("it goes on");
    t.expect("written", 120);
    let status = wait_for_phase(&vm, "running", 10);
    assert!(!status.contains("reason"), "{status}");
    let same = "echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/sda bs=64k count=192 2>/dev/null | cmp - /r && echo same";
    assert_eq!(t.output(same), "same");
    assert_eq!(complaints(&mut t), "", "the kernel noticed");
    t.send("poweroff -f\n");
    assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
}

#[test]
fn linux_is_told_of_a_full_host_where_the_user_wants_that() {
    let _one = alone();
    let images = Images::new("told-images");
    let Some((mut vm, small)) = on_small("told", &images, ",on-error=report") else { return };
    let mut t = ready(&mut vm);
    t.output("dd if=/dev/urandom of=/r bs=64k count=192 2>/dev/null");
    let write = "dd if=/r of=/dev/sda bs=64k conv=fsync 2>/dev/null || echo failed";
    assert_eq!(t.output(write), "failed");
    let log = t.output("dmesg | grep -c 'I/O error, dev sda'");
    assert!(log.parse::<u32>().is_ok_and(|n| n > 0), "{log}");
    wait_for_phase(&vm, "running", 10);
    make_room(&vm, &small);
    assert_eq!(t.output(write), "", "there is room");
    let same = "echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/sda bs=64k count=192 2>/dev/null | cmp - /r && echo same";
    assert_eq!(t.output(same), "same");
    t.send("poweroff -f\n");
    assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
}

/// ramfs is nothing but cache.
const CACHE: &str = "mount -t ramfs ramfs \"$1\" && truncate -s 1M \"$1/a.img\" && shift && exec \"$@\"";

#[test]
fn a_file_system_that_is_all_cache_is_refused_with_the_mend() {
    let images = Images::new("ramfs-images");
    let dir = &images.0;
    if !may_mount(dir) {
        eprintln!("skipped: no file system can be mounted here; run it as root");
        return;
    }
    let mut c = Command::new("unshare");
    c.args(["-m", "sh", "-c", CACHE, "sh"])
        .arg(dir)
        .arg(heirloom())
        .args(["run", "--name", "ramfs", "--disk"]);
    let out = c.arg(format!("{}/a.img,cache=none", dir.display())).output().expect("heirloom starts");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(
        said.contains("a.img can't be used with cache=none: ") && said.contains("use cache=writeback"),
        "{said}"
    );
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}

fn taken(path: &Path) -> u64 {
    path.metadata().expect("an image").blocks() * 512
}

/// 24 MiB of a disk written, all but the first and last of them discarded, and what is left of it.
fn discard(t: &mut Console, disk: &str) -> String {
    t.output(&format!(
        "dd if=/r of=/dev/{disk} bs=1M conv=fsync 2>/dev/null; blkdiscard -o 1M -l 22M /dev/{disk} || echo refused; \
         echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/{disk} bs=1M skip=1 count=22 2>/dev/null | tr -d '\\0' | wc -c; \
         dd if=/dev/{disk} bs=1M count=1 2>/dev/null | cmp -n 1048576 - /r && echo first; \
         dd if=/dev/{disk} bs=1M skip=23 count=1 2>/dev/null > /last; tail -c 1048576 /r | cmp - /last && echo last"
    ))
    .split_whitespace()
    .collect::<Vec<_>>()
    .join(" ")
}

#[test]
fn linux_discards_and_flushes_as_the_user_decided() {
    let _one = alone();
    let images = Images::new("policy-images");
    let raw = images.0.join("raw.img");
    fs::File::create(&raw).and_then(|f| f.set_len(64 << 20)).expect("an image");
    images.disk(["create", "grows.vhd", "64M"]);
    images.disk(["create", "through.vhd", "64M"]);
    let vhd = images.0.join("grows.vhd");
    let with = |name: &str, options: &str| format!("{}{options}", images.0.join(name).display());
    let args = machine("linux")
        .with("--disk", with("raw.img", ",discard=unmap"))
        .with("--disk", with("grows.vhd", ",discard=unmap,cache=none"))
        .with("--disk", with("through.vhd", ",cache=writethrough"));
    let mut vm = Vm::start("policy", &args);
    let mut t = ready(&mut vm);
    let queues = t.output("cd /sys/block; for d in sda sdb sdc; do cat $d/queue/write_cache $d/queue/discard_max_bytes; done; cd /");
    let queues: Vec<&str> = queues.split_whitespace().collect();
    let ["write", "back", raw_most, "write", "back", vhd_most, "write", "through", "0"] = queues[..] else {
        panic!("{queues:?}")
    };
    assert!(raw_most != "0" && vhd_most != "0", "{queues:?}");
    t.output("dd if=/dev/urandom of=/r bs=1M count=24 2>/dev/null");
    for (disk, file) in [("sda", &raw), ("sdb", &vhd)] {
        assert_eq!(discard(&mut t, disk), "0 first last");
        assert!(taken(file) < 8 << 20, "{disk}: {}", taken(file));
    }
    // The drive's write cache off, by SET FEATURES.
    let out = t.output(
        "for f in /sys/block/sda/device/scsi_disk/*/cache_type; do echo write through > $f; done; cat /sys/block/sda/queue/write_cache; \
         for d in sda sdc; do dd if=/r of=/dev/$d bs=1M seek=30 conv=fsync 2>/dev/null; echo 3 > /proc/sys/vm/drop_caches; \
         dd if=/dev/$d bs=1M skip=30 count=24 2>/dev/null | cmp - /r && echo same; done",
    );
    assert_eq!(out.split_whitespace().collect::<Vec<_>>(), ["write", "through", "same", "same"]);
    assert_eq!(t.output("dmesg | grep -iE 'exception|error|failed'"), "", "the kernel complains");
    t.send("poweroff -f\n");
    assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
    for name in ["grows.vhd", "through.vhd"] {
        images.disk(["check", name]);
    }
}
