//! Debian's kernel, its driver of the 21140A and busybox's network tools, on `--net nat`: a lease, a name, and files both
//! ways, as large as a service pack.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use guest_tests::{Args, Vm, alone, guest};

const BYTES: usize = 256 << 20;
const CHUNK: usize = 1 << 20;

/// Noise of which no chunk is like the next, so that none can be lost, doubled or moved unseen.
fn chunk(n: usize, buf: &mut [u8]) {
    let mut x = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n as u64 + 1);
    for b in buf.chunks_exact_mut(8) {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b.copy_from_slice(&(x ^ x >> 29).to_le_bytes());
    }
}

fn each_chunk(mut f: impl FnMut(&[u8])) {
    let mut buf = vec![0; CHUNK];
    for n in 0..BYTES / CHUNK {
        chunk(n, &mut buf);
        f(&buf);
    }
}

/// Feeds `md5sum`, which the guest has, too.
struct Md5(std::process::Child);

impl Md5 {
    fn new() -> Self {
        let sum = Command::new("md5sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Self(sum.expect("md5sum, of coreutils"))
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.stdin.as_mut().expect("its input").write_all(bytes).expect("md5sum takes it");
    }

    fn finish(mut self) -> String {
        drop(self.0.stdin.take());
        let out = self.0.wait_with_output().expect("md5sum ends").stdout;
        String::from_utf8_lossy(&out).split_whitespace().next().unwrap_or_default().to_owned()
    }
}

/// A resolver that knows one name: `files.test` is the gateway, where the guest meets this host. Returns its port.
fn resolver() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let port = socket.local_addr().expect("an address").port();
    thread::spawn(move || {
        let mut q = [0; 512];
        while let Ok((n, from)) = socket.recv_from(&mut q) {
            let q = &q[..n];
            let end = 12 + q[12..].iter().position(|&b| b == 0).expect("a name") + 5;
            let known = q[12..].starts_with(b"\x05files\x04test\0") && q[end - 3] == 1;
            let mut a = q[..end].to_vec();
            a[2..4].copy_from_slice(&[0x81, if known || q[end - 3] == 28 { 0x80 } else { 0x83 }]);
            a[6..12].copy_from_slice(&[0, u8::from(known), 0, 0, 0, 0]);
            if known {
                a.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 2, 1]);
            }
            let _ = socket.send_to(&a, from);
        }
    });
    port
}

/// Serves so many connections. Returns the port, and what the last one left.
fn serve<T: Send + 'static>(times: usize, work: fn(TcpStream) -> T) -> (u16, JoinHandle<Option<T>>) {
    let l = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = l.local_addr().expect("an address").port();
    let all = move || l.incoming().take(times).map(|c| work(c.expect("a guest"))).last();
    (port, thread::spawn(all))
}

fn download(mut to: TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut b = [0];
        to.read_exact(&mut b).expect("a request");
        request.push(b[0]);
    }
    assert!(request.starts_with(b"GET /file HTTP/1."), "{}", String::from_utf8_lossy(&request));
    write!(to, "HTTP/1.0 200 OK\r\nContent-Length: {BYTES}\r\n\r\n").expect("a guest that reads");
    each_chunk(|c| to.write_all(c).expect("a guest that reads"));
    to.shutdown(Shutdown::Write).expect("a guest that reads");
}

fn upload(mut from: TcpStream) -> (usize, String) {
    let (mut sum, mut all, mut buf) = (Md5::new(), 0, vec![0; CHUNK]);
    loop {
        let n = from.read(&mut buf).expect("a guest that writes");
        if n == 0 {
            return (all, sum.finish());
        }
        sum.add(&buf[..n]);
        all += n;
    }
}

#[test]
fn a_guest_gets_a_lease_resolves_a_name_and_moves_files_both_ways() {
    let _one = alone();
    let dns = resolver();
    // The second time on its way up again.
    let (down, served) = serve(2, download);
    let (up, received) = serve(1, upload);
    let args = Args::new(&["--memory", "128", "--display", "none"])
        .with("--kernel", guest("linux/vmlinuz"))
        .with("--initrd", guest("linux/initrd.gz"))
        .with("--append", format!("console=ttyS0 nat=1 down={down} up={up}"))
        .with("--net", format!("nat,host=allow,dns=127.0.0.1:{dns}"));
    let mut vm = Vm::logged("nat", &args);
    let status = vm.wait(300);
    let log = vm.log();
    assert!(status.success(), "{log}");
    assert!(log.contains("nat ends"), "{log}");
    for want in
        ["inet addr:10.0.2.2", "10.0.2.1", "nameserver 10.0.2.1", "3 packets transmitted, 3 packets received"]
    {
        assert!(log.contains(want), "{want:?} is not in the log:\n{log}");
    }
    let mut sum = Md5::new();
    each_chunk(|c| sum.add(c));
    let sum = sum.finish();
    assert!(log.contains(&format!("down {sum}")), "{sum}: {log}");
    served.join().expect("the file went out");
    assert_eq!(received.join().expect("a file came in"), Some((BYTES, sum)), "{log}");
    for bad in ["nobody cared", "timed out", "call trace", "too much work"] {
        assert!(!log.to_lowercase().contains(bad), "{bad}: {log}");
    }
}
