use super::*;
use board::{Scanout, VideoMode};

fn filled(mode: VideoMode, f: impl Fn(u32, u32) -> u32) -> Vec<u32> {
    (0..mode.height).flat_map(|y| (0..mode.width).map(move |x| (x, y))).map(|(x, y)| f(x, y)).collect()
}

#[test]
fn a_viewer_gets_the_tiles_that_changed() {
    let frame = Frame::new();
    let mut out = frame.scanout();
    let mode = VideoMode { width: 200, height: 50 };
    assert!(!out.wanted());
    let mut v = frame.viewer();
    assert!(out.wanted());
    out.mode(mode);
    let mut px = filled(mode, |x, y| x << 8 | y);
    out.rows(0..50, &px);
    out.frame();
    let all = Rect { x: 0, y: 0, width: 200, height: 50 };
    assert_eq!(v.update(), Update { resized: true, changed: vec![all] });
    assert_eq!(v.pixels(), px);
    // The same again is no change.
    out.rows(0..50, &px);
    assert_eq!(v.update(), Update { resized: false, changed: vec![] });
    // One pixel in the last, narrow column of tiles, and two neighbours above one another.
    px[20 * 200 + 199] = 1;
    px[15 * 200 + 3] = 2;
    px[16 * 200 + 3] = 2;
    out.rows(10..50, &px[10 * 200..]);
    let changed = v.update().changed;
    let right = Rect { x: 192, y: 16, width: 8, height: 16 };
    let left = Rect { x: 0, y: 0, width: 64, height: 32 };
    assert_eq!(changed, [left, right]);
    assert_eq!(v.pixels(), px);
    drop(v);
    assert!(!out.wanted());
}

#[test]
fn rows_beyond_the_screen_are_dropped() {
    let frame = Frame::new();
    let mut out = frame.scanout();
    out.mode(VideoMode { width: 4, height: 2 });
    out.rows(1..3, &[7; 8]);
    assert_eq!(frame.snapshot().1, [0, 0, 0, 0, 7, 7, 7, 7]);
}

#[test]
fn waiting_ends_with_a_change() {
    let frame = Frame::new();
    let mut v = frame.viewer();
    v.update();
    let mut out = frame.scanout();
    let t = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(30));
        out.rows(0..1, &[5; 720]);
        out.frame();
    });
    let begun = std::time::Instant::now();
    v.wait(std::time::Duration::from_secs(20), |changed| changed);
    assert!(begun.elapsed() < std::time::Duration::from_secs(10));
    assert_eq!(v.update().changed, [Rect { x: 0, y: 0, width: 720, height: 16 }]);
    t.join().unwrap();
}

#[test]
fn a_rectangle_minus_another_covers_the_rest_once() {
    let a = Rect { x: 10, y: 10, width: 20, height: 10 };
    for other in [
        Rect { x: 0, y: 0, width: 15, height: 15 },
        Rect { x: 15, y: 12, width: 5, height: 5 },
        Rect { x: 0, y: 0, width: 100, height: 100 },
        Rect { x: 50, y: 0, width: 5, height: 5 },
        Rect { x: 12, y: 0, width: 3, height: 100 },
    ] {
        let parts = a.minus(other);
        for y in 0..40 {
            for x in 0..40 {
                let at = |r: &Rect| (r.x..r.x + r.width).contains(&x) && (r.y..r.y + r.height).contains(&y);
                let want = usize::from(at(&a) && !at(&other));
                assert_eq!(parts.iter().filter(|p| at(p)).count(), want, "{other:?} at {x},{y}");
            }
        }
    }
}

#[test]
fn a_screenshot_reads_back() {
    let mode = VideoMode { width: 33, height: 7 };
    let px = filled(mode, |x, y| x * 0x7_0000 + y * 0x1300 + x * y);
    let dir = std::env::temp_dir().join(format!("heirloom-png-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("shot.png");
    write_png(&path, mode, &px).unwrap();
    let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut buf = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut buf).unwrap();
    assert_eq!((info.width, info.height), (33, 7));
    let got: Vec<u32> =
        buf.chunks_exact(3).map(|p| u32::from(p[0]) << 16 | u32::from(p[1]) << 8 | u32::from(p[2])).collect();
    assert_eq!(got, px.iter().map(|p| p & 0xff_ffff).collect::<Vec<_>>());
    let missing = dir.join("no").join("such.png");
    let e = write_png(&missing, mode, &px).unwrap_err();
    assert!(e.to_string().contains("such.png"), "{e}");
    std::fs::remove_dir_all(&dir).unwrap();
}
