//! Debian's kernel with its own driver of the 21140A, on a cable whose other end the test holds.

use std::fs::File;
use std::sync::Arc;

use guest_tests::ends::{ARP, Blind, PEER_IP, Peer, Tape};
use guest_tests::{alone, guest};
use vmm::{ClockKind, LinuxBoot, Machine, Outcome, Parts, Ports, spec};

const BROADCAST: [u8; 6] = [0xff; 6];

struct Ran {
    log: String,
    sent: Vec<Vec<u8>>,
    instructions: u64,
}

/// Runs the guest's `net=1` to its end, on the instruction clock.
fn run(engine: &str, unplugged: bool) -> Ran {
    let mut parts = Parts { memory_mib: 128, clock: ClockKind::Instructions, ..Parts::default() };
    spec::engine(engine).expect("an engine").apply(&mut parts.engine, &mut parts.software);
    parts.start_seconds = 1_200_000_000;
    parts.macs = spec::macs("guest", &[]);
    let kernel = guest("linux/vmlinuz");
    parts.linux = Some(LinuxBoot {
        kernel: Arc::new(File::open(&kernel).expect("the kernel")),
        initrd: Some(Arc::new(File::open(guest("linux/initrd.gz")).expect("the initrd"))),
        cmdline: "console=ttyS0 net=1".into(),
        kernel_path: kernel,
    });
    let (peer, tape) = (Peer::default(), Tape::default());
    let ports = Ports {
        drives: [const { None }; 4],
        floppies: [None, None],
        serial: [Some(Box::new(tape.clone())), None],
        net: [Some(Box::new(peer.clone())), None, None, None],
        parallel: None,
        sound: None,
        display: Box::new(Blind),
    };
    let mut m = Machine::build(&parts, ports).expect("a machine");
    // A guest that hangs ends, too.
    m.stop_after(300_000_000_000);
    peer.cable().unplugged = unplugged;
    let outcome = m.run().expect("a run");
    let log = tape.text();
    assert_eq!(outcome, Outcome::PoweredOff, "{log}");
    let instructions = m.handle().progress().1;
    let sent = std::mem::take(&mut peer.cable().sent);
    Ran { log, sent, instructions }
}

#[test]
fn linux_talks_through_its_tulip_driver() {
    let _one = alone();
    let r = run("software", false);
    let (log, sent) = (&r.log, &r.sent);
    let mac = spec::mac_for("guest", 0);
    let shown = spec::show_mac(mac);
    assert!(log.contains("net ends"), "{log}");
    for want in [
        "Digital DS21140 Tulip rev 32",
        &format!("eth0 address: {shown}"),
        "eth0 carrier: 1",
        "eth0 operstate: u",
        "5 packets transmitted, 5 packets received, 0% packet loss",
        "2 packets transmitted, 2 packets received, 0% packet loss",
    ] {
        assert!(log.contains(want), "{want:?} is not in the log:\n{log}");
    }
    // Of 1400 bytes, and of 4000 in three fragments.
    assert_eq!(log.matches("3 packets transmitted, 3 packets received, 0% packet loss").count(), 2, "{log}");
    for bad in ["nobody cared", "timed out", "call trace", "Too much work"] {
        assert!(!log.to_lowercase().contains(&bad.to_lowercase()), "{bad}: {log}");
    }
    // ifconfig's line of each direction's errors.
    assert_eq!(log.matches("errors:0 dropped:0 overruns:0").count(), 2, "{log}");

    assert!(sent.iter().all(|f| f[6..12] == mac), "nothing goes out under another's address");
    let first = sent.iter().find(|f| f[12..14] == ARP).expect("an ARP request");
    assert_eq!((first.len(), &first[..6], &first[38..42]), (60, &BROADCAST[..], &PEER_IP[..]));
    assert!(sent.iter().any(|f| f.len() == 1514), "whole fragments");
}

#[test]
fn linux_sees_that_the_cable_is_not_plugged_in() {
    let _one = alone();
    let log = run("software", true).log;
    for want in
        ["eth0 carrier: 0", "eth0 operstate: down", "net ends", "0 packets received, 100% packet loss"]
    {
        assert!(log.contains(want), "{want:?} is not in the log:\n{log}");
    }
    for bad in ["failed (CSR5", "nobody cared", "timed out"] {
        assert!(!log.contains(bad), "{bad:?}:\n{log}");
    }
}

#[test]
fn what_is_sent_and_received_repeats_on_the_instruction_clock() {
    let _one = alone();
    let first = run("software", false);
    let second = run("software,jit=off", false);
    assert_eq!(first.instructions, second.instructions);
    assert!(first.sent == second.sent, "the frames differ");
    assert_eq!(first.log, second.log);
}
