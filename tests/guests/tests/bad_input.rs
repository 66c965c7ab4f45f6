//! What a user can get wrong: each is one line on the standard error that names what is wrong and what to do, exit
//! code 1 (the host, a file) or 2 (the command line, a spec), and nothing written.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use guest_tests::{Args, Vm, folder, heirloom};

/// Runs the command in its folder.
fn heirloom_in<S: AsRef<OsStr>>(at: &Path, args: impl IntoIterator<Item = S>) -> Output {
    let mut c = Command::new(heirloom());
    c.args(args).current_dir(at).env("XDG_RUNTIME_DIR", at.join("run"));
    c.stdin(Stdio::null()).output().expect("heirloom starts")
}

/// Names and contents of everything in a folder.
fn contents(at: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(at)
        .expect("the test's folder")
        .map(|e| e.expect("an entry").path())
        .map(|p| (p.clone(), fs::read(&p).unwrap_or_default()))
        .collect();
    all.sort();
    all
}

/// `heirloom run` with these words must fail so, and say these things.
fn refused(at: &Path, args: &[&str], code: i32, says: &[&str]) {
    let before = contents(at);
    let common = ["run", "--timeout", "20", "--serial", "file=serial.log"];
    let out = heirloom_in(at, common.iter().chain(args));
    let err = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{args:?}: {err}");
    assert_eq!(err.lines().count(), 1, "{args:?} says more than one line: {err}");
    assert!(err.starts_with("heirloom: "), "{args:?}: {err}");
    assert!(out.stdout.is_empty(), "{args:?} writes to the standard output");
    for s in says {
        assert!(err.contains(s), "{args:?} does not say {s:?}: {err}");
    }
    let after = contents(at);
    let names = |c: &[(PathBuf, Vec<u8>)]| c.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after), "{args:?} leaves files");
    assert!(before == after, "{args:?} changes a file");
}

/// A VHD of 64 MiB that grows, with its first block in use.
fn vhd(at: &Path, name: &str) -> Vec<u8> {
    let raw = at.join("raw.img");
    let mut bytes = vec![0; 64 << 20];
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes[40 << 20] = 1;
    fs::write(&raw, bytes).expect("a raw image");
    let out = heirloom_in(at, ["disk", "convert", "raw.img", name]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    fs::remove_file(raw).expect("the raw image goes");
    fs::read(at.join(name)).expect("the VHD")
}

#[test]
fn broken_vhds() {
    let at = folder("bad-vhd");
    let good = vhd(&at, "good.vhd");
    let put = |name: &str, bytes: &[u8]| fs::write(at.join(name), bytes).expect("a broken VHD");
    let be32 = |b: &[u8], i: usize| u32::from_be_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]) as usize;
    // "cxsparse" follows the copy of the footer; its field at 16 says where the table of blocks is.
    let bat = be32(&good, 512 + 20);

    refused(&at, &["--disk", "none.vhd"], 1, &["none.vhd", "does not exist", "heirloom disk create"]);
    put("cut.vhd", &good[..1000]);
    refused(&at, &["--disk", "cut.vhd"], 1, &["cut.vhd", "cut off"]);
    put("short.vhd", &good[..good.len() - 4096]);
    refused(&at, &["--disk", "short.vhd"], 1, &["short.vhd"]);
    let mut sum = good.clone();
    sum[512 + 100] ^= 0xff;
    put("sum.vhd", &sum);
    refused(&at, &["--disk", "sum.vhd"], 1, &["sum.vhd", "checksum"]);
    let mut far = good.clone();
    far[bat..bat + 4].copy_from_slice(&0x00ff_ffff_u32.to_be_bytes());
    put("far.vhd", &far);
    refused(&at, &["--disk", "far.vhd"], 1, &["far.vhd"]);
    let mut twice = good.clone();
    let (a, b) = (be32(&good, bat), be32(&good, bat + 4 * 20));
    assert!(a != 0xffff_ffff && b != 0xffff_ffff, "blocks 0 and 20 are in use");
    let same = twice[bat..bat + 4].to_vec();
    twice[bat + 4 * 20..bat + 4 * 21].copy_from_slice(&same);
    put("twice.vhd", &twice);
    refused(&at, &["--disk", "twice.vhd"], 1, &["twice.vhd", "overlap"]);
    put("empty.vhd", &[]);
    refused(&at, &["--disk", "empty.vhd"], 1, &["empty.vhd", "empty"]);
    // What can be said of a disk to write to would be no help for one to read.
    refused(&at, &["--disk", "none.vhd,ro"], 1, &["disk image none.vhd does not exist; check the path\n"]);
    refused(&at, &["--disk", "good.vhd,rw"], 2, &["rw", "use ro, overlay, undo"]);
    let _ = fs::remove_dir_all(at);
}

/// A child whose parent is not what it was, and undo disks that are none.
#[test]
fn disks_over_disks() {
    let at = folder("bad-children");
    vhd(&at, "base.vhd");
    fs::write(at.join("raw.img"), vec![0; 1 << 20]).expect("a raw image");
    let done = |args: &[&str]| {
        let out = heirloom_in(&at, [&["disk"], args].concat());
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    refused(&at, &["--disk", "base.vhd,undo=later"], 2, &["later", "keep, commit or discard"]);
    refused(&at, &["--disk", "base.vhd,undo,ro"], 2, &["base.vhd", "ro or overlay", "one place"]);
    refused(&at, &["--disk", "base.vhd,undo-file=a.vud"], 2, &["base.vhd", "undo=keep"]);
    refused(&at, &["--disk", "raw.img,undo"], 1, &["raw.img", "raw image", "convert it to a VHD"]);
    // A file that is there is no undo disk of this image.
    for undo in ["undo", "undo=discard"] {
        let disk = format!("base.vhd,{undo},undo-file=raw.img");
        refused(&at, &["--disk", &disk], 1, &["raw.img", "not a differencing VHD over base.vhd"]);
    }
    // A run that can't be leaves no undo disk.
    refused(&at, &["--disk", "base.vhd,undo", "--disk", "none.vhd"], 1, &["none.vhd"]);
    done(&["create", "child.vhd", "--parent", "base.vhd"]);
    refused(&at, &["--disk", "base.vhd", "--disk", "child.vhd"], 1, &["base.vhd", "in use", "child.vhd"]);
    let parent = fs::OpenOptions::new().write(true).open(at.join("base.vhd")).expect("the base");
    parent.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1 << 30)).expect("its time");
    refused(&at, &["--disk", "child.vhd"], 1, &["base.vhd was changed", "heirloom disk relink child.vhd"]);
    done(&["relink", "child.vhd"]);
    done(&["check", "child.vhd"]);
    fs::rename(at.join("base.vhd"), at.join("gone.vhd")).expect("another name");
    refused(&at, &["--disk", "child.vhd"], 1, &["child.vhd", "base.vhd", "relink child.vhd --parent FILE"]);
    refused(&at, &["--disk", "gone.vhd,undo,undo-file=child.vhd"], 1, &["child.vhd", "is not there"]);
    let _ = fs::remove_dir_all(at);
}

#[test]
fn a_damaged_disk_is_repaired() {
    let at = folder("bad-repaired");
    vhd(&at, "a.vhd");
    let good = fs::read(at.join("a.vhd")).expect("a VHD");
    let mut b = good.clone();
    b[100] ^= 1;
    let end = b.len() - 512;
    b[end..].fill(0);
    b[512 + 200] ^= 1;
    fs::write(at.join("a.vhd"), &b).expect("a damaged VHD");
    let run = |args: &[&str]| {
        let out = heirloom_in(&at, [&["disk", "check", "a.vhd"], args].concat());
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    assert_eq!(run(&[]).0, Some(1));
    let (code, text) = run(&["--repair"]);
    assert!(code == Some(0) && text.contains("mended: ") && text.contains("a.vhd.before-repair"), "{text}");
    assert!(fs::read(at.join("a.vhd")).expect("a VHD") == good);
    let (code, text) = run(&["--repair", "--json"]);
    assert!(code == Some(0) && text.contains("\"done\": []"), "{text}");
    assert_eq!(run(&["--undo-repair"]).0, Some(1));
    assert!(fs::read(at.join("a.vhd")).expect("a VHD") == b);
    assert_eq!(run(&["--lose-blocks"]).0, Some(2));
    let _ = fs::remove_dir_all(at);
}

#[test]
fn the_same_disk_twice() {
    let at = folder("bad-twice");
    vhd(&at, "a.vhd");
    refused(&at, &["--disk", "a.vhd", "--disk", "a.vhd"], 1, &["a.vhd", "in use"]);
    fs::hard_link(at.join("a.vhd"), at.join("b.vhd")).expect("a second name");
    refused(&at, &["--disk", "a.vhd", "--disk", "b.vhd"], 1, &["b.vhd", "in use"]);
    let disk = at.join("a.vhd");
    let vm = Vm::logged("bad-holder", &Args::new(&["--memory", "16"]).with("--disk", &disk));
    up(&vm);
    refused(&at, &["--disk", "a.vhd"], 1, &["a.vhd", "in use"]);
    drop(vm);
    let _ = fs::remove_dir_all(at);
}

/// States that are none, and machines that have none.
#[test]
fn states_that_cannot_be_used() {
    let at = folder("bad-state");
    let image = vhd(&at, "a.vhd");
    fs::write(at.join("b.vhd"), &image).expect("a copy");
    refused(&at, &["--resume", "none"], 1, &["none", "check the path"]);
    refused(&at, &["--resume", "a.vhd"], 1, &["a.vhd", "no saved state", "ctl NAME save"]);
    let disk = at.join("a.vhd");
    let state = at.join("state");
    // What is there is not lost.
    let args = Args::new(&["--memory", "16"]);
    let vm = Vm::logged("bad-saver", &args.clone().with("--disk", &disk));
    up(&vm);
    let save = |vm: &Vm, to: &Path| vm.ctl([OsStr::new("save"), to.as_os_str()]);
    let said = save(&vm, &at.join("b.vhd")).expect_err("a disk is there");
    assert!(said.contains("b.vhd") && said.contains("choose another name"), "{said}");
    let said = save(&vm, &at.join("no/where")).expect_err("no such folder");
    assert!(said.contains("cannot create") && said.contains("writable"), "{said}");
    save(&vm, &state).expect("the state is saved");
    drop(vm);
    assert!(fs::read(at.join("b.vhd")).expect("the copy") == image);
    fn run<'a>(options: &[&'a str]) -> Vec<&'a str> {
        [&["--memory", "16", "--resume", "state"], options].concat()
    }
    refused(&at, &run(&[]), 1, &["state", "1 disks, this one has 0"]);
    refused(&at, &run(&["--disk", "b.vhd"]), 1, &["b.vhd", "changed after state state", "a.vhd"]);
    let other = ["--memory", "32", "--resume", "state", "--disk", "a.vhd"];
    refused(&at, &other, 1, &["state", "memory of 16 MiB, this one has 32 MiB"]);
    let out = heirloom_in(&at, [&["run"][..], &run(&["--disk", "a.vhd", "--cdrom", "none"])].concat());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("state state") && said.contains("start the machine with the drives"), "{said}");
    let whole = fs::read(&state).expect("the state");
    for (n, what) in
        [(whole.len() - 1, "damaged or cut off"), (100, "damaged or cut off"), (10, "no saved state")]
    {
        fs::write(&state, &whole[..n]).expect("a part of it");
        refused(&at, &run(&["--disk", "a.vhd"]), 1, &["state", what]);
    }
    fs::write(&state, &whole).expect("all of it");
    let vm = Vm::logged("bad-goes-on", &args.clone().with("--disk", &disk).with("--resume", &state));
    up(&vm);
    drop(vm);
    // What an overlay holds would be lost.
    let mut overlay = disk.into_os_string();
    overlay.push(",overlay");
    let vm = Vm::logged("bad-overlay", &args.with("--disk", overlay));
    up(&vm);
    let said = save(&vm, &at.join("another")).expect_err("an overlay");
    assert!(said.contains("overlay") && said.contains("undo"), "{said}");
    assert!(vm.ctl(["status"]).is_ok_and(|s| s.contains("running")), "it goes on");
    let _ = fs::remove_dir_all(at);
}

/// An empty ISO 9660 volume: what a disc without a boot record looks like.
fn plain_iso() -> Vec<u8> {
    const BLOCKS: u32 = 200;
    let mut b = vec![0; BLOCKS as usize * 2048];
    let v = 16 * 2048;
    b[v] = 1;
    b[v + 1..v + 6].copy_from_slice(b"CD001");
    b[v + 6] = 1;
    b[v + 80..v + 84].copy_from_slice(&BLOCKS.to_le_bytes());
    b[v + 84..v + 88].copy_from_slice(&BLOCKS.to_be_bytes());
    b[v + 128..v + 130].copy_from_slice(&2048_u16.to_le_bytes());
    b[v + 2048] = 255;
    b[v + 2049..v + 2054].copy_from_slice(b"CD001");
    b[v + 2054] = 1;
    b
}

#[test]
fn broken_cds() {
    let at = folder("bad-cd");
    let drive = "--cdrom none for an empty drive";
    refused(
        &at,
        &["--cdrom", "none.iso"],
        1,
        &["CD image none.iso", "does not exist", "check the path", drive],
    );
    fs::write(at.join("empty.iso"), []).expect("a file");
    refused(&at, &["--cdrom", "empty.iso"], 1, &["CD image empty.iso", "empty", "copy or download it again"]);
    fs::create_dir(at.join("disc")).expect("a directory");
    refused(&at, &["--cdrom", "disc"], 1, &["disc is a directory", "CD image"]);
    refused(
        &at,
        &["--cdrom", "/dev/null"],
        1,
        &["/dev/null", "neither a file nor a disk device", "CD image"],
    );
    fs::write(at.join("noise.iso"), vec![7; 400_000]).expect("a file");
    refused(&at, &["--cdrom", "noise.iso"], 1, &["noise.iso", "CD001"]);
    fs::write(at.join("data.iso"), plain_iso()).expect("a file");
    refused(&at, &["--cdrom", "data.iso"], 1, &["data.iso", "boot record", "bootable"]);
    // The same disc beside a disk is nobody's fault; then the run ends by its time-out.
    vhd(&at, "a.vhd");
    let out = heirloom_in(&at, ["run", "--timeout", "1", "--cdrom", "data.iso", "--disk", "a.vhd"]);
    assert_eq!(out.status.code(), Some(124), "{}", String::from_utf8_lossy(&out.stderr));
    let _ = fs::remove_dir_all(at);
}

#[test]
fn wrong_roms_and_kernels() {
    let at = folder("bad-rom");
    for n in [1, 1000, (64 << 10) - 1, (64 << 10) + 1, 512 << 10] {
        fs::write(at.join("bios.bin"), vec![0xf4; n]).expect("a file");
        refused(&at, &["--bios", "bios.bin"], 1, &["bios.bin", &n.to_string(), "64, 128 or 256 KiB"]);
    }
    refused(&at, &["--bios", "none.bin"], 1, &["none.bin", "check the path"]);
    refused(&at, &["--kernel", "bios.bin"], 1, &["bios.bin", "not a Linux bzImage"]);
    refused(&at, &["--kernel", "none"], 1, &["none", "check the path"]);
    refused(&at, &["--append", "quiet"], 2, &["need a kernel"]);
    let _ = fs::remove_dir_all(at);
}

#[test]
fn words_that_mean_nothing() {
    let at = folder("bad-words");
    for mib in ["0", "3", "3713", "4294967296"] {
        refused(&at, &["--memory", mib], 2, &[mib, "4 to 3712"]);
    }
    refused(&at, &["--memory", "lots"], 2, &["lots", "number"]);
    refused(&at, &["--engine", "software,jit=maybe"], 2, &["jit=maybe", "software[,jit=off]"]);
    refused(&at, &["--engine", "kvm,jit=off"], 2, &["kvm,jit=off", "software[,jit=off]"]);
    refused(&at, &["--jit-cache", "0"], 2, &["0 MiB", "1 to 1024"]);
    refused(&at, &["--engine", "xen"], 2, &["xen", "auto, software[,jit=off][,views=off][,perf-map] or kvm"]);
    refused(&at, &["--clock", "wall"], 2, &["wall", "host or instructions"]);
    refused(&at, &["--boot", "cc"], 2, &["cc", "at most once"]);
    refused(&at, &["--serial", "com7"], 2, &["com7", "stdio"]);
    refused(&at, &["--net", "wifi"], 2, &["wifi", "none", "tap=INTERFACE"]);
    refused(&at, &["--net", "none", "--mac", "01:03:ff:00:00:01"], 2, &["--mac", "first byte is odd"]);
    let two = ["--mac", "00:03:ff:00:00:01", "--mac", "00:03:ff:00:00:02"];
    refused(&at, &two, 2, &["--mac given more often (2) than there are adapters (1)"]);
    refused(
        &at,
        &["--net", "none", "--net", "none", two[0], two[1], two[0], two[1]],
        2,
        &["two network adapters", two[1]],
    );
    // A loopback interface is none, and where it would be, the user may not.
    refused(&at, &["--net", "tap=lo"], 1, &["lo", ";"]);
    refused(&at, &["--display", "x11"], 2, &["x11", "vnc=HOST:PORT"]);
    refused(&at, &["--name", "../a"], 2, &["../a", "without slashes"]);
    refused(&at, &["--frobnicate"], 2, &["--frobnicate"]);
    refused(&at, &["--screenshot", "nowhere/a.png"], 2, &["nowhere/a.png", "create it"]);
    refused(&at, &["spec.toml"], 2, &["spec.toml", "check the path"]);
    refused(&at, &["--expect", ""], 2, &["--expect"]);
    let out = heirloom_in(&at, ["ctl", "nobody", "status"]);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&out.stderr).lines().count(), 1);
    let _ = fs::remove_dir_all(at);
}

/// A spec's faults come all at once, a line for each.
#[test]
fn a_spec_with_faults() {
    let at = folder("bad-spec");
    let spec =
        "memory = 3\nmemroy = 256\nengine = 7\nserial = ['tty']\n[[disk]]\nread_only = 'yes'\nsize = 3\n";
    fs::write(at.join("m.toml"), spec).expect("a spec");
    let before = contents(&at);
    let out = heirloom_in(&at, ["run", "m.toml"]);
    let err = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{err}");
    let err = err.strip_prefix("heirloom: ").unwrap_or_default();
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 7, "{err}");
    for (n, l) in lines.iter().enumerate() {
        assert!(l.starts_with(&format!("m.toml:{}: ", n + 1)), "{l}");
    }
    assert!(before == contents(&at));
    let _ = fs::remove_dir_all(at);
}

/// An engine that can't run XP-class guests here says why; one that can is no error.
#[test]
fn an_engine_that_is_not_there() {
    let at = folder("bad-engine");
    let out = heirloom_in(&at, ["doctor", "--json"]);
    let report = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{report}");
    let auto_is_kvm = report.contains("\"auto\": \"kvm\"");
    if auto_is_kvm {
        println!("skipped: KVM works on this host");
        refused(&at, &["--engine", "kvm", "--clock", "instructions"], 1, &["kvm", "use --engine software"]);
    } else {
        refused(&at, &["--engine", "kvm"], 1, &["engine kvm", "use --engine software"]);
    }
    let _ = fs::remove_dir_all(at);
}

/// Waits until a machine answers.
fn up(vm: &Vm) {
    while let Err(e) = vm.ctl(["status"]) {
        assert!(vm.elapsed().as_secs() < 120, "{e}{}", vm.said());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn sockets_and_ports_in_use() {
    let at = folder("bad-port");
    let busy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = busy.local_addr().expect("its address").to_string();
    let unix = UnixListener::bind(at.join("busy.sock")).expect("a socket");
    vhd(&at, "a.vhd");
    fs::write(at.join("old.log"), "what the last run said").expect("a log");
    // What the command makes in the runtime directory is no user's file.
    fs::create_dir_all(at.join("run/heirloom")).expect("a directory");
    // Each beside a disk, and a log that must not be emptied.
    let run = |args: &[&str], code: i32, says: &[&str]| {
        let before = contents(&at);
        let common = ["run", "--timeout", "20", "--disk", "a.vhd"];
        let out = heirloom_in(&at, common.iter().chain(args));
        let err = String::from_utf8_lossy(&out.stderr);
        assert_eq!((out.status.code(), err.lines().count()), (Some(code), 1), "{args:?}: {err}");
        for s in says {
            assert!(err.contains(s), "{args:?} does not say {s:?}: {err}");
        }
        assert!(before == contents(&at), "{args:?} changes files");
    };
    let (tcp, vnc) = (format!("tcp={address}"), format!("vnc={address}"));
    let used = [&*address, "in use", "choose another"];
    run(&["--serial", "file=old.log", "--serial", &tcp], 1, &used);
    run(&["--serial", "file=old.log", "--display", &vnc], 1, &used);
    run(
        &["--serial", "file=old.log", "--display", "vnc=nowhere.invalid:x"],
        2,
        &["nowhere.invalid:x", "HOST:PORT"],
    );
    run(
        &["--serial", "file=old.log", "--display", "vnc=192.0.2.1:5901"],
        1,
        &["192.0.2.1:5901", "of this host"],
    );
    run(&["--serial", "tcp=192.0.2.1:4000"], 1, &["192.0.2.1:4000", "of this host"]);
    run(
        &["--serial", "file=old.log", "--serial", "unix=busy.sock"],
        1,
        &["busy.sock", "in use", "choose another"],
    );
    run(&["--serial", "unix=a.vhd"], 1, &["a.vhd", "a file of that name"]);
    run(&["--serial", "unix=two.sock", "--serial", "unix=two.sock"], 1, &["two.sock", "in use"]);
    run(&["--serial", "unix=no/where.sock"], 1, &["no/where.sock", "check that its directory exists"]);
    run(&["--serial", "file=no/where.log"], 1, &["no/where.log", "check that its directory exists"]);
    run(&["--serial", "file=a.vhd"], 1, &["a.vhd", "in use", "choose another"]);
    // The socket is still its owner's.
    let _peer = UnixStream::connect(at.join("busy.sock")).expect("somebody listens");
    unix.accept().expect("the peer");
    let _ = fs::remove_dir_all(at);
}

#[test]
fn a_name_in_use() {
    let held = Vm::logged("bad-name", &Args::new(&["--memory", "16"]));
    up(&held);
    let out = Command::new(heirloom())
        .args(["run", "--timeout", "20", "--name", "bad-name", "--serial"])
        .arg(format!("file={}", held.folder().join("other.log").display()))
        .env("XDG_RUNTIME_DIR", held.folder())
        .output()
        .expect("heirloom starts");
    let err = String::from_utf8_lossy(&out.stderr);
    assert_eq!((out.status.code(), err.lines().count()), (Some(1), 1), "{err}");
    assert!(err.contains("\"bad-name\" is already running; use --name"), "{err}");
    assert!(!held.folder().join("other.log").exists(), "a log was made for a run that could not be");
    assert!(held.ctl(["status"]).is_ok(), "the machine lost its control socket");
}

/// What a run leaves behind when it is killed does not keep the next one from its sockets; a run that ends leaves none.
#[test]
fn sockets_that_a_killed_run_left() {
    let at = folder("bad-left");
    let serial = at.join("com1");
    let mut run = Command::new(heirloom());
    run.args(["run", "--name", "left", "--memory", "16", "--serial", "unix=com1"]);
    run.current_dir(&at).env("XDG_RUNTIME_DIR", &at).stdin(Stdio::null());
    let mut killed = run.spawn().expect("heirloom starts");
    let control = at.join("heirloom/left.sock");
    while !(serial.exists() && control.exists()) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    killed.kill().expect("it runs");
    killed.wait().expect("it ends");
    assert!(serial.exists() && control.exists(), "a killed process cannot remove its sockets");
    let out = run.args(["--timeout", "1"]).output().expect("heirloom starts");
    assert_eq!(out.status.code(), Some(124), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!serial.exists() && !control.exists(), "a run that ended left its sockets");
    let _ = fs::remove_dir_all(at);
}

/// What `ctl` is asked wrongly is refused in a line; the machine goes on. Asked to end it, it answers before it does.
#[test]
fn wrong_words_to_a_machine() {
    for n in 0..8 {
        let mut vm = Vm::logged("bad-ctl", &Args::new(&["--memory", "16"]));
        up(&vm);
        for (words, says) in [
            (&["mouse", "2147483647,-2147483648"][..], "outside of every screen"),
            (&["mouse", "1,2,3,4,5"], "X,Y"),
            (&["mouse", "1,2,3,999"], "wheel 999; use -127 to 127"),
            (&["mouse", "1,2,64"], "buttons 64; add 1 left"),
            (&["shutdown"], "has not switched ACPI on"),
            (&["shutdown", "--timeout", "60"], "has not switched ACPI on"),
            (&["link", "0", "down"], "no network adapter 0; they are numbered from 1"),
            (&["link", "5", "up"], "no network adapter 5"),
            (&["link", "1", "off"], "up, down"),
            (&["key", "ctrl-nokey"], "nokey"),
            (&["key", ""], "no key is named"),
            (&["type", "\u{20ac}"], "US keyboard"),
            (&["screenshot", "/no/where.png"], "check that its directory exists"),
        ] {
            let err = vm.ctl(words).expect_err("it is wrong");
            assert!(err.contains(says) && err.lines().count() == 1, "{words:?}: {err}");
        }
        assert_eq!(vm.ctl(["poweroff"]), Ok(String::new()), "machine {n}");
        assert!(vm.wait(20).success());
    }
}

/// A run that is ended from outside has not seen what it waited for.
#[test]
fn a_signal_meets_no_expectation() {
    let mut vm = Vm::logged("bad-signal", &Args::new(&["--memory", "16", "--expect", "never"]));
    up(&vm);
    let pid = vm.pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
    assert_eq!(vm.wait(20).code(), Some(1));
    assert!(vm.said().contains("before \"never\" came on COM1"), "{}", vm.said());
}
