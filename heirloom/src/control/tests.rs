use std::os::unix::net::UnixListener;

use super::testbed::Folder;
use super::*;

fn mode(p: &Path) -> u32 {
    fs::symlink_metadata(p).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_control_socket_is_its_users_alone() {
    let at = Folder::new("mode");
    let d = at.0.join("heirloom");
    let l = Listener::bind_in(&d, "a").unwrap();
    assert_eq!((mode(&d), mode(&d.join("a.sock"))), (0o700, 0o600));
    // A folder that was open is closed.
    fs::set_permissions(&d, fs::Permissions::from_mode(0o777)).unwrap();
    let other = Listener::bind_in(&d, "b").unwrap();
    assert_eq!((mode(&d), mode(&d.join("b.sock"))), (0o700, 0o600));
    let files = || fs::read_dir(&d).unwrap().count();
    assert_eq!(files(), 2, "nothing else is left there");
    let taken = Listener::bind_in(&d, "a").err().map(|e| e.to_string()).unwrap_or_default();
    assert!(taken.contains("already running; use --name"), "{taken}");
    assert_eq!(names_in(&d).unwrap(), ["a", "b"]);
    drop((l, other));
    assert_eq!(files(), 0);
}

#[test]
fn a_folder_that_may_be_another_users_is_not_used() {
    let at = Folder::new("link");
    let d = at.0.join("heirloom");
    std::os::unix::fs::symlink(&at.0, &d).unwrap();
    let told = Listener::bind_in(&d, "a").err().map(|e| e.to_string()).unwrap_or_default();
    assert!(told.contains("belongs to somebody else; set XDG_RUNTIME_DIR"), "{told}");
    fs::remove_file(&d).unwrap();
    fs::write(&d, "").unwrap();
    assert!(Listener::bind_in(&d, "a").is_err());
}

#[test]
fn sockets_that_nobody_listens_on_are_removed() {
    let at = Folder::new("orphans");
    let socket = |name: &str| drop(UnixListener::bind(at.0.join(name)).unwrap());
    // A process's number that none has: Linux has no more than 4,194,304.
    let dead = "c.4194305.new".to_owned();
    let starting = format!("d.{}.new", std::process::id());
    for name in ["a.sock", &dead, &starting, "e.new"] {
        socket(name);
    }
    fs::write(at.0.join("notes.txt"), "").unwrap();
    let _b = Listener::bind_in(&at.0, "b").unwrap();
    assert_eq!(names_in(&at.0).unwrap(), ["b"]);
    let left: Vec<bool> =
        ["a.sock", &dead, &starting, "e.new", "notes.txt", "b.sock"].map(|f| at.0.join(f).exists()).into();
    assert_eq!(left, [false, false, true, true, true, true]);
    assert_eq!(names_in(&at.0.join("none")).unwrap(), Vec::<String>::new());
}

#[test]
fn lines_come_whole() {
    let mut l = Lines::default();
    assert_eq!(l.push(b"data: {\"a\""), Vec::<String>::new());
    assert_eq!(l.push(b": \"\xc3"), Vec::<String>::new());
    assert_eq!(l.push(b"\xa9\"}\n\n: ali"), ["data: {\"a\": \"é\"}", ""]);
    assert_eq!(l.push(b"ve\n"), [": alive"]);
}
