use std::sync::mpsc;

use super::*;

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
    let path = std::env::temp_dir().join(format!("heirloom-serial-{}", std::process::id()));
    let mut p = Port::file(&path).unwrap();
    b"hello\n".iter().for_each(|&b| p.send(b));
    drop(p);
    let got = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(got, b"hello\n");
}

#[test]
fn a_unix_peer_reads_and_writes() {
    let path = std::env::temp_dir().join(format!("heirloom-serial-{}.sock", std::process::id()));
    let (tx, rx) = mpsc::channel();
    let input: Input = Arc::new(move |b| tx.send(b).unwrap());
    let mut p = Port::unix(&path, input).unwrap();
    let mut peer = UnixStream::connect(&path).unwrap();
    peer.write_all(b"in").unwrap();
    assert_eq!(rx.recv().unwrap(), b"in");
    p.send(b'o');
    let mut b = [0];
    peer.read_exact(&mut b).unwrap();
    assert_eq!(b, [b'o']);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = l.local_addr().unwrap().to_string();
    let Err(e) = Port::tcp(&at, Arc::new(|_| ())) else { panic!("listened twice") };
    assert!(e.to_string().contains(&at));
}
