//! Xorg's vesa driver, which runs our video BIOS in an emulator of its own, with a window manager and two terminals: seen
//! and typed into through VNC.

use std::fs;
use std::time::{Duration, Instant};

use guest_tests::{Args, Screen, Viewer, Vm, alone, folder, free_address, guest};

/// What 16 bits of colour keep, and what they keep of the root window's.
const FIVE_SIX_FIVE: u32 = 0x00f8_fcf8;
const ROOT: u32 = 0x0020_4060;

fn at(s: &Screen, x: usize, y: usize) -> u32 {
    let p = s.pixels[y * s.width + x];
    if p & FIVE_SIX_FIVE == ROOT { ROOT } else { p }
}

#[test]
fn a_desktop_is_shown_and_used_through_vnc() {
    let _one = alone();
    let disk = folder("desktop-disk").join("desktop.vhd");
    fs::copy(guest("desktop.vhd"), &disk).expect("a copy of the disk: the cached guest stays as it was made");
    let address = free_address();
    let args =
        Args::new(&["--memory", "256"]).with("--disk", &disk).with("--display", format!("vnc={address}"));
    let mut vm = Vm::start("desktop", &args);
    let mut t = vm.console();
    let log = t.expect("desktop is up", 600);
    println!("desktop: after {:.1} s", vm.elapsed().as_secs_f64());
    for want in [
        "dimensions:    1024x768 pixels",
        "depth of root window:    16 planes",
        "VESA(0): initializing int10",
        "S3",
    ] {
        assert!(log.contains(want), "{want:?} is not in\n{log}");
    }
    let mut viewer = Viewer::connect(&address).expect("the machine shows its screen");
    // The window manager has drawn its bar, and the frames of both terminals.
    let end = Instant::now() + Duration::from_secs(60);
    let frames = [(250, 765), (42, 200), (542, 500)];
    let drawn = |s: &Screen| {
        s.width == 1024 && frames.iter().all(|(x, y)| !matches!(at(s, *x, *y), 0 | ROOT | 0x00ff_ffff))
    };
    while !drawn(viewer.picture().expect("a picture")) {
        assert!(Instant::now() < end, "there is no window manager");
        std::thread::sleep(Duration::from_millis(200));
    }
    // Each terminal gets the focus by a click, and then the keys.
    for (name, at) in [("left", (200, 150)), ("right", (700, 470)), ("left", (200, 150))] {
        for buttons in [0, 1, 0] {
            viewer.pointer(at.0, at.1, buttons).expect("the server listens");
            std::thread::sleep(Duration::from_millis(300));
        }
        viewer.type_text("echo Keys-$WHERE > /dev/ttyS0\n").expect("the server listens");
        t.expect(&format!("Keys-{name}"), 60);
    }
    // What the viewer was sent is what the screen shows, once both stand still.
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let shown = vm.screen().expect("a screenshot");
        if *viewer.picture().expect("a picture") == shown {
            let root = shown.pixels.iter().filter(|p| *p & FIVE_SIX_FIVE == ROOT).count();
            assert!(root > 200_000, "{root} pixels of the root window");
            assert_eq!((shown.width, shown.height), (1024, 768));
            break;
        }
        assert!(Instant::now() < end, "the viewer shows something else than the screen");
    }
    t.send("root\n");
    t.expect("assword:", 60);
    t.send("heirloom\n");
    t.expect("# ", 60);
    t.send("poweroff\n");
    assert_eq!(vm.wait(180).code(), Some(0), "{}", vm.said());
    drop(vm);
    let _ = fs::remove_file(disk);
}
