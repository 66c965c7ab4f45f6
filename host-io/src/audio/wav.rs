//! A recording: a WAV file of 16-bit stereo frames.
//!
//! It begins with the first sound. Silence between two sounds is as long as it was for the guest, up to [`LONGEST_GAP`];
//! after the last one there is none. The header is brought up to date while the machine runs, so that the file is whole
//! whenever the machine ends, by whatever. Written by a thread: a slow disk does not hold the machine.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use board::{SOUND_HZ, SoundPort};
use hound::{SampleFormat, WavSpec, WavWriter};

use super::AudioError;

/// In frames.
const LONGEST_GAP: u64 = 10 * SOUND_HZ;
/// A length in a WAV file has 32 bits.
const LONGEST_FILE: u64 = (u32::MAX as u64 - 1024) / 4;
/// How often the header follows, in frames.
const HEADER: u64 = SOUND_HZ / 4;
/// Messages that wait for the disk: some ten seconds.
const QUEUE: usize = 4096;

enum Message {
    Frames(u64, Vec<[i16; 2]>),
    Rest,
}

/// A port that records.
pub struct Wav {
    path: PathBuf,
    to: Option<SyncSender<Message>>,
    writer: Option<JoinHandle<()>>,
    lossy: bool,
}

struct Tape {
    path: PathBuf,
    file: WavWriter<BufWriter<File>>,
    /// The frame that would come next; `None`: nothing was heard yet.
    next: Option<u64>,
    written: u64,
    header: u64,
    failed: bool,
}

impl Wav {
    /// Creates the file anew. One that another machine writes is refused.
    pub fn create(path: &Path) -> Result<Self, AudioError> {
        let failed = |source| AudioError::Create { path: path.into(), source };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(AudioError::NoFile { path: path.into() });
        }
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(AudioError::InUse { path: path.into() });
        }
        file.set_len(0).map_err(failed)?;
        let spec = WavSpec {
            channels: 2,
            sample_rate: SOUND_HZ as u32,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let other = |e| match e {
            hound::Error::IoError(e) => failed(e),
            e => failed(std::io::Error::other(e)),
        };
        let mut file = WavWriter::new(BufWriter::new(file), spec).map_err(other)?;
        file.flush().map_err(other)?;
        let tape = Tape { path: path.into(), file, next: None, written: 0, header: 0, failed: false };
        let (to, from) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("wav".into())
            .spawn(move || tape.record(&from))
            .map_err(AudioError::Thread)?;
        Ok(Self { path: path.into(), to: Some(to), writer: Some(writer), lossy: false })
    }

    fn send(&mut self, m: Message) {
        let Some(to) = &self.to else { return };
        if let Err(TrySendError::Full(_)) = to.try_send(m)
            && !std::mem::replace(&mut self.lossy, true)
        {
            tracing::warn!("recording {}: the disk is too slow; sound is lost", self.path.display());
        }
    }
}

impl SoundPort for Wav {
    fn play(&mut self, first: u64, frames: &[[i16; 2]]) {
        self.send(Message::Frames(first, frames.to_vec()));
    }

    fn rest(&mut self) {
        self.send(Message::Rest);
    }
}

impl Drop for Wav {
    fn drop(&mut self) {
        self.to = None;
        if let Some(w) = self.writer.take() {
            let _ = w.join();
        }
    }
}

impl Tape {
    fn record(mut self, from: &Receiver<Message>) {
        while let Ok(m) = from.recv() {
            let done = match m {
                Message::Frames(first, frames) => self.frames(first, &frames),
                Message::Rest => self.file.flush(),
            };
            if let Err(e) = done
                && !std::mem::replace(&mut self.failed, true)
            {
                tracing::error!("recording {}: {e}", self.path.display());
            }
        }
        // What fails now has failed before, and was said.
        let _ = self.file.finalize();
    }

    fn frames(&mut self, first: u64, frames: &[[i16; 2]]) -> Result<(), hound::Error> {
        let gap = self.next.map_or(0, |n| first.saturating_sub(n)).min(LONGEST_GAP);
        self.next = Some(first + frames.len() as u64);
        let room = LONGEST_FILE.saturating_sub(self.written);
        let silence = std::iter::repeat_n([0; 2], gap as usize);
        let mut count = 0;
        for f in silence.chain(frames.iter().copied()).take(room as usize) {
            self.file.write_sample(f[0])?;
            self.file.write_sample(f[1])?;
            count += 1;
        }
        self.written += count;
        if count < gap + frames.len() as u64 && !std::mem::replace(&mut self.failed, true) {
            tracing::warn!("recording {}: a WAV file holds no more than 6 hours", self.path.display());
        }
        if self.written >= self.header {
            self.header = self.written + HEADER;
            self.file.flush()?;
        }
        Ok(())
    }
}
