//! iPXE, with its own driver of the 21140A: a lease that names a script on the host, and the script's kernel by HTTP.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use guest_tests::{Args, Vm, alone, guest};

/// Answers one request, and notes what was asked for.
fn answer(mut to: TcpStream, script: &str, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = BufReader::new(to.try_clone()?);
    let mut request = String::new();
    head.read_line(&mut request)?;
    let mut line = String::new();
    while head.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut words = request.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    seen.lock().expect("no panic").push(format!("{method} {path}"));
    let body = match path {
        "/boot.ipxe" => script.as_bytes().to_vec(),
        "/vmlinuz" | "/initrd.gz" => fs::read(guest(&format!("linux{path}")))?,
        _ => return to.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    };
    write!(to, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    to.write_all(&body)
}

#[test]
fn ipxe_gets_a_lease_and_boots_a_kernel_by_http() {
    let _one = alone();
    let l = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = l.local_addr().expect("an address").port();
    let script = format!(
        "#!ipxe\nkernel http://10.0.2.1:{port}/vmlinuz console=ttyS0 check=1\n\
         initrd http://10.0.2.1:{port}/initrd.gz\nboot\n"
    );
    let seen = Arc::new(Mutex::new(Vec::new()));
    let theirs = seen.clone();
    thread::spawn(move || {
        for c in l.incoming().flatten() {
            // Who hangs up early is no error of ours.
            let _ = answer(c, &script, &theirs);
        }
    });
    let args = Args::new(&["--memory", "128", "--display", "none", "--boot", "d"])
        .with("--cdrom", guest("ipxe.iso"))
        .with("--net", format!("nat,host=allow,bootfile=http://10.0.2.1:{port}/boot.ipxe"));
    let mut vm = Vm::logged("netboot", &args);
    let status = vm.wait(180);
    let log = vm.log();
    assert!(status.success(), "{log}");
    assert!(log.contains("check ends"), "{log}");
    let seen = seen.lock().expect("no panic").clone();
    for want in ["/boot.ipxe", "/vmlinuz", "/initrd.gz"] {
        assert!(seen.iter().any(|s| *s == format!("GET {want}")), "{want} was not asked for: {seen:?}");
    }
}
