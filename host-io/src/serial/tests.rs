use std::fs;
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::time::Instant;

use super::*;

fn at(name: &str) -> PathBuf {
    let p = std::env::temp_dir().join(format!("heirloom-serial-{}-{name}", std::process::id()));
    let _ = fs::remove_file(&p);
    p
}

fn deaf() -> Input {
    Arc::new(|_| ())
}

/// Reads until this byte comes.
fn read_to(mut from: impl Read, byte: u8) {
    let mut b = [0];
    while b[0] != byte {
        from.read_exact(&mut b).unwrap();
    }
}

/// The next input that has some.
fn bytes(from: &mpsc::Receiver<Vec<u8>>) -> Vec<u8> {
    std::iter::from_fn(|| from.recv_timeout(Duration::from_secs(20)).ok())
        .find(|b| !b.is_empty())
        .expect("input")
}

fn expect_in(want: &str, text: &str) -> bool {
    let (tx, rx) = mpsc::channel();
    let mut e = Expect::new(None, want, Box::new(move || tx.send(()).unwrap()));
    text.bytes().for_each(|b| e.send(b));
    rx.try_recv().is_ok()
}

#[test]
fn expect_finds_a_text_that_begins_inside_its_own_false_start() {
    assert!(expect_in("login:", "Debian llogin: "));
    assert!(expect_in("aab", "aaab"));
    assert!(!expect_in("aab", "abab"));
}

#[test]
fn output_reaches_the_file_before_the_port_is_gone() {
    let path = at("file");
    fs::write(&path, "what was there before").unwrap();
    let mut p = Port::file(&path).unwrap();
    b"hello\n".iter().for_each(|&b| p.send(b));
    drop(p);
    let got = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(got, b"hello\n");
}

#[test]
fn a_file_that_is_in_use_is_not_emptied() {
    let path = at("held");
    fs::write(&path, "a disk").unwrap();
    let image = File::open(&path).unwrap();
    image.lock().unwrap();
    assert!(matches!(Port::file(&path), Err(SerialError::FileInUse { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"a disk");
    fs::remove_file(&path).unwrap();
    // What many may write to is not locked.
    let null = Path::new("/dev/null");
    let (_a, _b) = (Port::file(null).unwrap(), Port::file(null).unwrap());
}

#[test]
fn a_unix_peer_reads_and_writes() {
    let path = at("talk");
    let (input, rx) = news();
    let mut p = Port::unix(&path, input).unwrap();
    let mut peer = UnixStream::connect(&path).unwrap();
    peer.write_all(b"in").unwrap();
    assert_eq!(bytes(&rx), b"in");
    p.send(b'o');
    let mut b = [0];
    peer.read_exact(&mut b).unwrap();
    assert_eq!(b, [b'o']);
    // What was sent last still comes, then the end; and the name is free again.
    p.send(b'k');
    drop(p);
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"k");
    assert!(!path.exists());
}

#[test]
fn a_tcp_port_is_free_again_when_it_is_gone() {
    let mut p = Port::tcp("127.0.0.1:0", deaf()).unwrap();
    p.send(b'o');
    drop(p);
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = l.local_addr().unwrap().to_string();
    drop(l);
    drop(Port::tcp(&free, deaf()).unwrap());
    drop(Port::tcp(&free, deaf()).unwrap());
}

/// Waits until the port says so, by an input without bytes.
fn wait_for(up: bool, p: &Port, news: &mpsc::Receiver<Vec<u8>>) {
    while p.connected() != up {
        assert_eq!(news.recv_timeout(Duration::from_secs(20)).unwrap(), b"");
    }
}

fn news() -> (Input, mpsc::Receiver<Vec<u8>>) {
    let (tx, rx) = mpsc::channel();
    // A test that has ended listens no more.
    (Arc::new(move |b| drop(tx.send(b))), rx)
}

#[test]
fn the_line_is_up_while_somebody_is_connected() {
    let path = at("up");
    let (input, rx) = news();
    let p = Port::unix(&path, input).unwrap();
    assert!(!p.connected());
    let first = UnixStream::connect(&path).unwrap();
    wait_for(true, &p, &rx);
    // Another takes his place: the line stays up.
    let second = UnixStream::connect(&path).unwrap();
    assert_eq!((&first).read(&mut [0]).unwrap(), 0, "hung up on");
    drop(first);
    assert!(p.connected());
    drop(second);
    wait_for(false, &p, &rx);
    let _third = UnixStream::connect(&path).unwrap();
    wait_for(true, &p, &rx);
}

#[test]
fn a_port_connects_to_who_listens_and_again_when_he_is_back() {
    let path = at("dial");
    let (input, rx) = news();
    let mut p = Port::unix_connect(&path, input).unwrap();
    assert!(!p.connected());
    for _ in 0..2 {
        let listener = UnixListener::bind(&path).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        wait_for(true, &p, &rx);
        peer.write_all(b"in").unwrap();
        assert_eq!(bytes(&rx), b"in");
        p.send(b'o');
        read_to(&peer, b'o');
        drop(peer);
        wait_for(false, &p, &rx);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_port_connects_by_tcp() {
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut p = Port::tcp_connect(&l.local_addr().unwrap().to_string(), deaf()).unwrap();
    let (mut peer, _) = l.accept().unwrap();
    while !p.connected() {
        std::thread::yield_now();
    }
    p.send(b'o');
    drop(p);
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"o");
}

#[test]
fn a_peer_that_does_not_read_holds_up_nobody() {
    let path = at("stuck");
    let mut p = Port::unix(&path, deaf()).unwrap();
    let first = UnixStream::connect(&path).unwrap();
    (0..QUEUE).for_each(|_| p.send(b'.'));
    let second = UnixStream::connect(&path).unwrap();
    let reader = second.try_clone().unwrap();
    let read = std::thread::spawn(move || read_to(reader, b'!'));
    while !read.is_finished() {
        p.send(b'!');
        std::thread::sleep(Duration::from_millis(1));
    }
    read.join().unwrap();
    (0..QUEUE).for_each(|_| p.send(b'.'));
    let begun = Instant::now();
    drop(p);
    assert!(begun.elapsed() < 3 * LINGER);
    drop((first, second));
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = l.local_addr().unwrap().to_string();
    let e = Port::tcp(&address, deaf()).err().expect("in use");
    assert!(matches!(&e, SerialError::InUse { .. }) && e.to_string().contains(&address), "{e}");
}

#[test]
fn only_a_socket_that_nobody_listens_on_is_replaced() {
    let path = at("socket");
    let live = UnixListener::bind(&path).unwrap();
    assert!(matches!(Port::unix(&path, deaf()), Err(SerialError::InUse { .. })));
    // Still there, and still the other's.
    let _peer = UnixStream::connect(&path).unwrap();
    live.accept().unwrap();
    drop(live);
    assert!(path.exists());
    drop(Port::unix(&path, deaf()).unwrap());
    assert!(!path.exists());
    fs::write(&path, "no socket").unwrap();
    assert!(matches!(Port::unix(&path, deaf()), Err(SerialError::Taken { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"no socket");
    fs::remove_file(&path).unwrap();
}
