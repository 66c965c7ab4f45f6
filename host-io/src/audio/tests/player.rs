use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use board::SoundPort;

use crate::audio::player::{Device, PERIOD, Player};
use crate::audio::{AudioError, Counters};

#[derive(Default)]
struct Log {
    frames: Vec<i16>,
    opened: u32,
    stops: u32,
    /// The device goes away at the next write.
    breaks: bool,
}

/// A device that takes what it is given at once, as ALSA's "null" does.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Log>>, Arc<Counters>);

impl Fake {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn player(&self) -> Player {
        let f = self.clone();
        let open = move || {
            f.log().opened += 1;
            Ok(Box::new(f.clone()) as Box<dyn Device>)
        };
        Player::start(Box::new(open), self.1.clone()).expect("a player")
    }

    fn wait(&self, what: &str, mut until: impl FnMut(&Log) -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !until(&self.log()) {
            assert!(Instant::now() < end, "{what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Device for Fake {
    fn write(&mut self, frames: &[[i16; 2]]) -> Result<(), String> {
        assert_eq!(frames.len(), PERIOD);
        let mut l = self.log();
        if std::mem::take(&mut l.breaks) {
            return Err("unplugged".into());
        }
        l.frames.extend(frames.iter().map(|f| f[0]));
        Ok(())
    }

    fn stop(&mut self) {
        self.log().stops += 1;
    }
}

#[test]
fn what_a_machine_plays_reaches_the_device_at_the_devices_pace() {
    let fake = Fake::default();
    let mut p = fake.player();
    let begin = Instant::now();
    for n in 0..100 {
        p.play(n * 240, &[[1000; 2]; 240]);
        std::thread::sleep(Duration::from_millis(5));
    }
    fake.wait("all of it", |l| l.frames.iter().filter(|v| **v != 0).count() > 20_000);
    let given = fake.log().frames.len();
    let most = (begin.elapsed().as_secs_f64() + 0.1) * 48_000.0;
    assert!((given as f64) < most, "{given} of at most {most}: a device without a clock is not given more");
}

#[test]
fn a_device_is_stopped_in_silence_and_goes_on_with_sound() {
    let fake = Fake::default();
    let mut p = fake.player();
    fake.wait("a stop", |l| l.stops == 1);
    let at = fake.log().frames.len();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(fake.log().frames.len(), at, "it sleeps");
    p.play(0, &[[1000; 2]; 4800]);
    p.rest();
    fake.wait("sound again", |l| l.frames[at..].iter().any(|v| *v != 0));
}

#[test]
fn a_device_that_goes_away_is_looked_for_again() {
    let fake = Fake::default();
    let mut p = fake.player();
    fake.log().breaks = true;
    fake.wait("a device that is gone", |_| fake.1.gone.load(Ordering::Relaxed) == 1);
    fake.wait("a second opening", |l| l.opened == 2);
    fake.wait("a device that is back", |_| fake.1.gone.load(Ordering::Relaxed) == 0);
    p.play(0, &[[1000; 2]; 4800]);
    p.rest();
    fake.wait("sound", |l| l.frames.iter().any(|v| *v != 0));
}

#[test]
fn a_device_that_is_not_there_is_an_error_at_once() {
    let open = || Err(AudioError::Output { name: "default".into(), why: "No such device".into() });
    let said = Player::start(Box::new(open), Arc::default()).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(said.contains("\"default\": No such device; check") && said.contains("--audio none"), "{said}");
}

/// By the host's ALSA, if it has one: its "null" output takes everything, and a name that is none is told.
#[cfg(target_os = "linux")]
#[test]
fn alsas_null_output_plays() {
    match crate::audio::output("null", Arc::default()) {
        Ok(mut p) => {
            for n in 0..40 {
                p.play(n * 240, &[[1000; 2]; 240]);
                std::thread::sleep(Duration::from_millis(5));
            }
            p.rest();
        }
        Err(AudioError::NoAlsa { .. }) => eprintln!("skipped: this host has no ALSA"),
        Err(e) => panic!("{e}"),
    }
    let said = crate::audio::output("no-such-output", Arc::default());
    let said = said.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(said.contains("no-such-output") || said.contains("no ALSA"), "{said}");
}
