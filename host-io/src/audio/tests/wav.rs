use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use board::SoundPort;

use crate::audio::{AudioError, Wav};

/// A path in a folder that goes with it.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let d = std::env::temp_dir().join(format!("hl-audio-{}-{test}", std::process::id()));
        let _ = fs::remove_dir_all(&d);
        fs::create_dir_all(&d).expect("a folder");
        Self(d)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn frames_of(path: &PathBuf) -> Vec<[i16; 2]> {
    let mut r = hound::WavReader::open(path).expect("a WAV file");
    assert_eq!((r.spec().channels, r.spec().sample_rate, r.spec().bits_per_sample), (2, 48_000, 16));
    let s: Vec<i16> = r.samples().collect::<Result<_, _>>().expect("whole samples");
    s.chunks(2).map(|c| [c[0], c[1]]).collect()
}

#[test]
fn a_recording_has_what_was_played_and_the_silence_between() {
    let at = Place::new("played");
    let mut w = Wav::create(&at.file("a.wav")).expect("a recording");
    // Before the first sound there is no silence; ten seconds are the most between two.
    w.play(1_000_000, &[[1, -1], [2, -2]]);
    w.rest();
    w.play(1_000_005, &[[3, -3]]);
    w.play(9_000_000, &[[4, -4]]);
    drop(w);
    let f = frames_of(&at.file("a.wav"));
    assert_eq!(f[..6], [[1, -1], [2, -2], [0, 0], [0, 0], [0, 0], [3, -3]]);
    assert_eq!(f.len(), 6 + 480_000 + 1);
    assert_eq!(f.last(), Some(&[4, -4]));
}

#[test]
fn a_recording_is_whole_while_the_machine_runs() {
    let at = Place::new("whole");
    let mut w = Wav::create(&at.file("a.wav")).expect("a recording");
    assert_eq!(frames_of(&at.file("a.wav")), [[0; 2]; 0]);
    for n in 0..20_u64 {
        w.play(n * 4800, &[[n as i16; 2]; 4800]);
    }
    // Two seconds were given; all but the last quarter of a second must be there without an end.
    let end = Instant::now() + Duration::from_secs(20);
    while frames_of(&at.file("a.wav")).len() < 84_000 {
        assert!(Instant::now() < end, "{} frames", frames_of(&at.file("a.wav")).len());
        std::thread::sleep(Duration::from_millis(5));
    }
    w.rest();
    while frames_of(&at.file("a.wav")).len() < 96_000 {
        assert!(Instant::now() < end, "a rest brings all of it to the file");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn places_where_no_recording_can_be_are_named() {
    let at = Place::new("places");
    let said = |p: PathBuf| Wav::create(&p).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(
        said(at.file("none/a.wav")).contains("none/a.wav: No such file"),
        "{}",
        said(at.file("none/a.wav"))
    );
    assert!(said(at.0.clone()).contains("directory"), "{}", said(at.0.clone()));
    let one = Wav::create(&at.file("a.wav")).expect("a recording");
    assert!(matches!(Wav::create(&at.file("a.wav")), Err(AudioError::InUse { .. })));
    drop(one);
    assert!(Wav::create(&at.file("a.wav")).is_ok());
}
