//! Keyboard, lamps, mouse, COM ports and a network cable, as Debian's kernel sees them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use guest_tests::{Args, Console, Viewer, Vm, alone, folder, free_address, guest};

fn booted(test: &str, args: &Args) -> (Vm, Console) {
    let args = args
        .clone()
        .with("--memory", "128")
        .with("--kernel", guest("power/vmlinuz"))
        .with("--initrd", guest("power/initrd.gz"))
        .with("--append", "console=ttyS0 quiet");
    let mut vm = Vm::start(test, &args);
    let mut t = vm.console();
    t.expect("heirloom power guest ready", 400);
    t.expect("# ", 60);
    (vm, t)
}

fn ctl(vm: &Vm, words: &[&str]) -> String {
    vm.ctl(words).expect("the machine does it")
}

fn off(mut vm: Vm, t: &mut Console) {
    let unknown = ctl(&vm, &["unknowns"]);
    assert!(unknown.contains("every access so far met a register"), "{unknown}");
    t.send("poweroff -f\n");
    assert_eq!(vm.wait(120).code(), Some(0), "{}", vm.said());
}

/// Reads `count` events of the input device with this name while `act` makes them: type, code, value.
fn events(t: &mut Console, name: &str, count: usize, act: impl FnOnce()) -> Vec<[i32; 3]> {
    let find =
        format!("for d in /sys/class/input/event*; do grep -q '{name}' $d/device/name && echo file $d; done");
    let found = t.output(&find);
    let dev = found.split('/').next_back().expect("an input device").trim().to_owned();
    t.send(&format!("/modules/power events /dev/input/{dev} {count}; echo all of th\"\"em\n"));
    t.expect("listening", 60);
    act();
    let text = t.expect("all of them", 60);
    let numbers = |l: &str| -> Option<[i32; 3]> {
        let all: Vec<i32> =
            l.trim().strip_prefix("event ")?.split(' ').filter_map(|n| n.parse().ok()).collect();
        all.try_into().ok()
    };
    text.lines().filter_map(numbers).collect()
}

const KEY: i32 = 1;
const REL: i32 = 2;

/// Waits until these lamps are lit: the kernel's driver sets them when it comes to it.
fn leds(vm: &Vm, want: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let status = ctl(vm, &["status"]);
        if status.contains(&format!("LEDs {want};")) {
            return;
        }
        assert!(Instant::now() < end, "not {want}: {status}");
    }
}

#[test]
fn keys_lamps_wheel_and_buttons_are_linuxs() {
    let _one = alone();
    let (vm, mut t) = booted("input", &Args::default());
    let got = events(&mut t, "AT Translated Set 2 keyboard", 6, || {
        ctl(&vm, &["type", "aA"]);
    });
    // a; Shift, a, and back.
    assert_eq!(got, [[KEY, 30, 1], [KEY, 30, 0], [KEY, 42, 1], [KEY, 30, 1], [KEY, 30, 0], [KEY, 42, 0]]);
    let got = events(&mut t, "AT Translated Set 2 keyboard", 3, || {
        ctl(&vm, &["key", "caps"]);
    });
    assert!(got.contains(&[KEY, 58, 1]) && got.contains(&[0x11, 1, 1]), "the lamp too: {got:?}");
    leds(&vm, "caps");
    ctl(&vm, &["key", "caps"]);
    leds(&vm, "none");
    // By the kernel's own hand.
    t.output("for l in num caps scroll; do echo 1 > /sys/class/leds/input0::${l}lock/brightness; done");
    leds(&vm, "scroll, num, caps");

    assert!(
        t.output("dmesg | grep mouse; cat /proc/bus/input/devices")
            .contains("ImExPS/2 Generic Explorer Mouse")
    );
    // To the corner first, in steps of 255 at most; then the wheel alone, and each button.
    ctl(&vm, &["mouse", "0,0"]);
    std::thread::sleep(Duration::from_millis(500));
    let got = events(&mut t, "Explorer Mouse", 2, || {
        ctl(&vm, &["mouse", "7,5"]);
    });
    assert_eq!(got, [[REL, 0, 7], [REL, 1, 5]]);
    // Away from the user, which Linux counts positive.
    let got = events(&mut t, "Explorer Mouse", 1, || {
        ctl(&vm, &["mouse", "7,5,0,-3"]);
    });
    assert_eq!(got, [[REL, 8, 3]]);
    let buttons = [(1, 0x110), (2, 0x111), (4, 0x112), (8, 0x113), (16, 0x114)];
    for (button, code) in buttons {
        let got = events(&mut t, "Explorer Mouse", 2, || {
            ctl(&vm, &["mouse", &format!("7,5,{button}")]);
            ctl(&vm, &["mouse", "7,5"]);
        });
        assert_eq!(got, [[KEY, code, 1], [KEY, code, 0]], "button {button}");
    }
    off(vm, &mut t);
}

#[test]
fn viewers_see_the_lamps_that_linux_lights() {
    let _one = alone();
    let free = free_address();
    let (vm, mut t) = booted("lamps", &Args::default().with("--display", format!("vnc={free}")));
    let mut v = Viewer::connect(&free).expect("the machine shows its screen");
    assert_eq!(v.leds().expect("an update"), 0);
    for (lamp, want) in [("num", 2), ("caps", 6), ("scroll", 7)] {
        t.output(&format!("echo 1 > /sys/class/leds/input0::{lamp}lock/brightness"));
        assert_eq!(v.leds().expect("an update"), want, "{lamp}");
    }
    off(vm, &mut t);
}

/// What the kernel says of COM2's lines, once it says so.
fn modem(t: &mut Console, want: &str) {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let got = t.output("/modules/power modem");
        if got.contains(want) {
            return;
        }
        assert!(Instant::now() < end, "{want:?} is not {got:?}");
    }
}

const UP: &str = "modem CTS DSR DCD.";
const DOWN: &str = "modem.";

#[test]
fn modem_lines_follow_who_is_connected() {
    let _one = alone();
    let at = folder("com2").join("s");
    let com2 = format!("unix={}", at.display());
    let (vm, mut t) = booted("modem", &Args::default().with("--serial", com2));
    modem(&mut t, DOWN);
    let mut peer = UnixStream::connect(&at).expect("the port listens");
    modem(&mut t, UP);
    t.output("stty -F /dev/ttyS1 raw -echo -clocal 9600; cat /dev/ttyS1 > /tmp/in & sleep 1; echo hello > /dev/ttyS1");
    let mut b = [0; 6];
    peer.read_exact(&mut b).expect("what the guest wrote");
    assert_eq!(&b, b"hello\n");
    peer.write_all(b"back\n").expect("the port takes it");
    let end = Instant::now() + Duration::from_secs(20);
    while !t.output("cat /tmp/in").contains("back") {
        assert!(Instant::now() < end, "the guest reads nothing");
    }
    drop(peer);
    modem(&mut t, DOWN);
    // The line went away under the reader, which ends.
    t.expect("Done", 30);
    off(vm, &mut t);
}

#[test]
fn a_com_port_connects_to_who_listens() {
    let _one = alone();
    let l = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = format!("tcp={},connect", l.local_addr().expect("its address"));
    let (vm, mut t) = booted("modem-tcp", &Args::default().with("--serial", to));
    let (mut peer, _) = l.accept().expect("the machine connects");
    modem(&mut t, UP);
    t.output("stty -F /dev/ttyS1 raw -echo; echo hello > /dev/ttyS1");
    let mut b = [0; 6];
    peer.read_exact(&mut b).expect("what the guest wrote");
    assert_eq!(&b, b"hello\n");
    off(vm, &mut t);
}

#[test]
fn a_cable_that_is_pulled_and_put_back_carries_again() {
    let _one = alone();
    let (vm, mut t) = booted("cable", &Args::default().with("--net", "nat"));
    let carrier = |t: &mut Console, want: u8| {
        let wait = format!(
            "n=0; while [ $(cat /sys/class/net/eth0/carrier) != {want} -a $n -lt 900 ]; do sleep 0.1; n=$((n+1)); done"
        );
        t.output(&format!("{wait}; echo carrier $(cat /sys/class/net/eth0/carrier)"))
    };
    t.output("ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up");
    assert!(carrier(&mut t, 1).contains("carrier 1"));
    let ping = |t: &mut Console| t.output("ping -c 3 -W 3 10.0.2.1 | grep received");
    assert!(ping(&mut t).contains("3 packets received"), "before");
    assert!(ctl(&vm, &["status"]).contains("links 1 up"));
    for _ in 0..2 {
        ctl(&vm, &["link", "1", "down"]);
        assert!(ctl(&vm, &["status"]).contains("links 1 down"));
        assert!(carrier(&mut t, 0).contains("carrier 0"));
        assert!(
            t.output("ping -c 2 -W 1 10.0.2.1 | grep received").contains("0 packets received"),
            "without"
        );
        ctl(&vm, &["link", "1", "up"]);
        assert!(carrier(&mut t, 1).contains("carrier 1"));
        // The first may be lost while the driver settles.
        t.output("ping -c 1 -W 1 10.0.2.1");
        assert!(ping(&mut t).contains("3 packets received"), "after");
    }
    let none = vm.ctl(["link", "2", "down"]).expect_err("there is one adapter");
    assert!(none.contains("no network adapter 2"), "{none}");
    let faults = t.output("dmesg | grep -i -e 'timed out' -e 'nobody cared' -e 'call trace'; echo looked");
    assert_eq!(faults, "looked");
    off(vm, &mut t);
}
