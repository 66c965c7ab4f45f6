//! Where the sound card is heard: a WAV file, or the host's own sound.

#[cfg(target_os = "linux")]
mod alsa;
mod feed;
mod player;
mod wav;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use board::SoundPort;

pub use wav::Wav;

/// Why sound cannot go where it should: one line, with the mend.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    #[error("cannot create recording {path}: {source}; check that its directory exists and is writable")]
    Create { path: PathBuf, source: io::Error },
    #[error("recording {path} is in use by a machine; choose another file")]
    InUse { path: PathBuf },
    #[error("recording {path} is no plain file, which its header needs; choose another")]
    NoFile { path: PathBuf },
    #[error("cannot start a thread for sound: {0}; the host has too many processes")]
    Thread(io::Error),
    #[error(
        "sound on the host is played by ALSA, and so on Linux only; use --audio none or --audio wav=FILE"
    )]
    NoHost,
    #[cfg(target_os = "linux")]
    #[error(
        "the host has no ALSA ({source}); install its library (Debian: libasound2), or use --audio none or wav=FILE"
    )]
    NoAlsa { source: libloading::Error },
    #[error(
        "cannot open the host's sound output {name:?}: {why}; check that another program can play on it, or use --audio none or wav=FILE"
    )]
    Output { name: String, why: String },
}

/// What became of the sound on its way to the host's output.
#[derive(Debug, Default)]
pub struct Counters {
    /// Nothing came in time, so often.
    pub dry: AtomicU64,
    /// Too much came, so often.
    pub cut: AtomicU64,
    /// 1 while the output is away.
    pub gone: AtomicU64,
}

impl Counters {
    /// Names and values, for a table.
    pub fn list(&self) -> [(&'static str, u64); 3] {
        let of = |n: &AtomicU64| n.load(Ordering::Relaxed);
        [("dry", of(&self.dry)), ("cut", of(&self.cut)), ("gone", of(&self.gone))]
    }
}

/// The host's default output.
#[cfg(target_os = "linux")]
pub fn host(counters: Arc<Counters>) -> Result<Box<dyn SoundPort>, AudioError> {
    output("default", counters)
}

/// An output by ALSA's name for it.
#[cfg(target_os = "linux")]
fn output(name: &'static str, counters: Arc<Counters>) -> Result<Box<dyn SoundPort>, AudioError> {
    let open = move || Ok(Box::new(alsa::Alsa::open(name)?) as Box<dyn player::Device>);
    Ok(Box::new(player::Player::start(Box::new(open), counters)?))
}

#[cfg(not(target_os = "linux"))]
pub fn host(_: Arc<Counters>) -> Result<Box<dyn SoundPort>, AudioError> {
    Err(AudioError::NoHost)
}

#[cfg(test)]
mod tests;
