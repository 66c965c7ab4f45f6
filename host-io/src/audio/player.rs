//! A port that plays on a device: the machine only puts frames into a queue; a thread of its own feeds the device.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use board::{SOUND_HZ, SoundPort};

use super::feed::Feed;
use super::{AudioError, Counters};

/// Frames that a device is given at once: 5 ms.
pub(super) const PERIOD: usize = (SOUND_HZ / 200) as usize;
/// What a device holds of sound that it has not played: 20 ms.
pub(super) const DEVICE: Duration = Duration::from_millis(20);
/// A device is stopped after so long a silence.
const STOP_AFTER: u64 = 2 * SOUND_HZ;
/// A device that takes more than it can have played has no clock; it is not given more than this ahead.
const AHEAD: Duration = Duration::from_millis(40);
/// After a device went away, until it is looked for again.
const REOPEN: Duration = Duration::from_secs(2);
/// Frames that wait for the thread at most, should it hang: half a second.
const MOST: usize = (SOUND_HZ / 2) as usize;

/// What plays frames: stereo, 16 bits, [`SOUND_HZ`].
pub(super) trait Device {
    /// Gives it a period; waits as long as it has no room. Err: it is gone, and why.
    fn write(&mut self, frames: &[[i16; 2]]) -> Result<(), String>;
    /// It gets no more for a while.
    fn stop(&mut self);
}

pub(super) type Open = Box<dyn FnMut() -> Result<Box<dyn Device>, AudioError> + Send>;

#[derive(Default)]
struct Inbox {
    frames: Vec<[i16; 2]>,
    rests: bool,
    closed: bool,
}

#[derive(Clone, Default)]
struct Shared(Arc<(Mutex<Inbox>, Condvar)>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for news; at most so long, if that is given.
    fn wait(&self, most: Option<Duration>) {
        let old = |i: &mut Inbox| i.frames.is_empty() && !i.closed;
        let all = self.lock();
        match most {
            None => drop(self.0.1.wait_while(all, old)),
            Some(t) => drop(self.0.1.wait_timeout_while(all, t, |i| !i.closed)),
        }
    }
}

/// Sound on a device of the host.
pub(super) struct Player {
    shared: Shared,
    thread: Option<JoinHandle<()>>,
}

impl Player {
    /// Opens the device once here, so that its absence is told at once.
    pub(super) fn start(mut open: Open, counters: Arc<Counters>) -> Result<Self, AudioError> {
        let shared = Shared::default();
        let inbox = shared.clone();
        let (to, from) = std::sync::mpsc::channel();
        let run = move || {
            // A device belongs to the thread that feeds it.
            let device = match open() {
                Ok(d) => d,
                Err(e) => return drop(to.send(Err(e))),
            };
            let _ = to.send(Ok(()));
            feed_device(&inbox, device, open, &counters);
        };
        let thread =
            std::thread::Builder::new().name("sound".into()).spawn(run).map_err(AudioError::Thread)?;
        from.recv().unwrap_or(Err(AudioError::NoHost))?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

fn feed_device(inbox: &Shared, device: Box<dyn Device>, mut open: Open, counters: &Counters) {
    let mut device = Some(device);
    let mut feed = Feed::default();
    let mut period = [[0; 2]; PERIOD];
    let (mut begun, mut given) = (Instant::now(), 0_u64);
    loop {
        let (frames, rests) = {
            let mut i = inbox.lock();
            if i.closed {
                tracing::debug!(
                    "sound: {} times nothing came in time, {} times too much",
                    feed.dry,
                    feed.cut
                );
                return;
            }
            (std::mem::take(&mut i.frames), std::mem::take(&mut i.rests))
        };
        feed.push(frames);
        counters.dry.store(feed.dry, Ordering::Relaxed);
        counters.cut.store(feed.cut, Ordering::Relaxed);
        counters.gone.store(u64::from(device.is_none()), Ordering::Relaxed);
        if rests {
            feed.rest();
        }
        let Some(d) = &mut device else {
            inbox.wait(Some(REOPEN));
            device = open().ok();
            (begun, given) = (Instant::now(), 0);
            continue;
        };
        feed.pull(&mut period);
        if feed.silent() >= STOP_AFTER {
            d.stop();
            inbox.wait(None);
            (begun, given) = (Instant::now(), 0);
            feed.wake();
            continue;
        }
        if let Err(why) = d.write(&period) {
            tracing::warn!("the host's sound output is gone: {why}; it is looked for again");
            device = None;
            continue;
        }
        given += PERIOD as u64;
        let played = Duration::from_nanos(given * 1_000_000_000 / SOUND_HZ);
        if let Some(early) = played.checked_sub(begun.elapsed()).and_then(|d| d.checked_sub(AHEAD)) {
            std::thread::sleep(early);
        }
    }
}

impl SoundPort for Player {
    fn play(&mut self, _first: u64, frames: &[[i16; 2]]) {
        let mut i = self.shared.lock();
        if i.frames.len() < MOST {
            i.frames.extend_from_slice(frames);
        }
        i.rests = false;
        self.shared.0.1.notify_one();
    }

    fn rest(&mut self) {
        self.shared.lock().rests = true;
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.0.1.notify_all();
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}
