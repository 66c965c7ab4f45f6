//! Debian's kernel with its own driver of the 21140A, on a cable whose other end the test holds.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard};

use board::{NetPort, Scanout, SerialPort, VideoMode};
use guest_tests::{alone, guest};
use vmm::{ClockKind, LinuxBoot, Machine, Outcome, Parts, Ports, spec};

const PEER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 2];
const PEER_IP: [u8; 4] = [10, 0, 2, 2];
const BROADCAST: [u8; 6] = [0xff; 6];
const ARP: [u8; 2] = [0x08, 0x06];
const IP: [u8; 2] = [0x08, 0x00];
const ICMP: u8 = 1;

#[derive(Default)]
struct Ends {
    sent: Vec<Vec<u8>>,
    answers: VecDeque<Vec<u8>>,
    unplugged: bool,
}

/// A neighbour at 10.0.2.2 that tells its address and sends pings back.
#[derive(Clone, Default)]
struct Peer(Arc<Mutex<Ends>>);

impl Peer {
    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().expect("nobody panicked with it")
    }
}

fn ethernet(to: &[u8], kind: [u8; 2], body: &[u8]) -> Vec<u8> {
    [to, &PEER_MAC, &kind, body].concat()
}

/// Who has 10.0.2.2?
fn arp(f: &[u8]) -> Option<Vec<u8>> {
    let asks = f.get(20..22)? == [0, 1] && f.get(38..42)? == PEER_IP;
    let mut body = f[14..42].to_vec();
    body[7] = 2;
    body[8..14].copy_from_slice(&PEER_MAC);
    body[14..18].copy_from_slice(&PEER_IP);
    body[18..28].copy_from_slice(&f[22..32]);
    asks.then(|| ethernet(&f[6..12], ARP, &body))
}

/// An echo, whole or in fragments: only the first one has ICMP's header.
fn ping(f: &[u8]) -> Option<Vec<u8>> {
    let len = usize::from(u16::from_be_bytes([*f.get(16)?, *f.get(17)?]));
    let mut p = f.get(14..14 + len)?.to_vec();
    if p[9] != ICMP || p[16..20] != PEER_IP {
        return None;
    }
    let (from, to) = (p[12..16].to_vec(), p[16..20].to_vec());
    p[12..16].copy_from_slice(&to);
    p[16..20].copy_from_slice(&from);
    let fragment = u16::from_be_bytes([p[6], p[7]]) & 0x1fff;
    if fragment == 0 {
        // An echo (8) becomes its reply (0); the check grows by what it lost.
        assert_eq!(p[20], 8);
        p[20] = 0;
        let check = u32::from(u16::from_be_bytes([p[22], p[23]])) + 0x0800;
        p[22..24].copy_from_slice(&((check + (check >> 16)) as u16).to_be_bytes());
    }
    Some(ethernet(&f[6..12], IP, &p))
}

impl NetPort for Peer {
    fn send(&mut self, f: &[u8]) {
        let answer = match [f[12], f[13]] {
            ARP => arp(f),
            IP => ping(f),
            _ => None,
        };
        let mut ends = self.ends();
        ends.sent.push(f.to_vec());
        if !ends.unplugged {
            ends.answers.extend(answer);
        }
    }

    fn flush(&mut self) -> bool {
        !self.ends().answers.is_empty()
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let f = self.ends().answers.pop_front()?;
        frame[..f.len()].copy_from_slice(&f);
        Some(f.len())
    }

    fn link(&self) -> bool {
        !self.ends().unplugged
    }
}

struct Blind;

impl Scanout for Blind {
    fn mode(&mut self, _: VideoMode) {}
    fn rows(&mut self, _: std::ops::Range<u32>, _: &[u32]) {}
    fn wanted(&self) -> bool {
        false
    }
}

#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl SerialPort for Tape {
    fn send(&mut self, byte: u8) {
        self.0.lock().expect("nobody panicked with it").push(byte);
    }
}

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
    peer.ends().unplugged = unplugged;
    let outcome = m.run().expect("a run");
    let log = String::from_utf8_lossy(&tape.0.lock().expect("nobody panicked with it")).into_owned();
    assert_eq!(outcome, Outcome::PoweredOff, "{log}");
    let instructions = m.handle().progress().1;
    let sent = std::mem::take(&mut peer.ends().sent);
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
