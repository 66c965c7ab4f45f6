//! ALSA's default output, by the library that is on the host when the machine starts: neither building nor starting
//! Heirloom needs it. PipeWire and PulseAudio are behind it where they run (docs/decisions/0009-host-sound.md).

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_ulong, c_void};

use board::SOUND_HZ;
use libloading::Library;

use super::AudioError;
use super::player::{DEVICE, Device};

/// <alsa/pcm.h>.
const STREAM_PLAYBACK: c_int = 0;
const FORMAT_S16_LE: c_int = 2;
const ACCESS_RW_INTERLEAVED: c_int = 3;
const NAMES: [&str; 2] = ["libasound.so.2", "libasound.so"];

/// `snd_pcm_t`.
type Pcm = c_void;

/// Called for each message of the library: file, line, function, error, format, and what that takes.
type ErrorHandler = unsafe extern "C" fn(*const c_char, c_int, *const c_char, c_int, *const c_char);

/// What fails is told by what the calls return; the library would write more lines to the terminal.
extern "C" fn say_nothing(_: *const c_char, _: c_int, _: *const c_char, _: c_int, _: *const c_char) {}

/// The calls that are used, as <alsa/pcm.h> and <alsa/error.h> declare them.
struct Calls {
    open: unsafe extern "C" fn(*mut *mut Pcm, *const c_char, c_int, c_int) -> c_int,
    set_params: unsafe extern "C" fn(*mut Pcm, c_int, c_int, c_uint, c_uint, c_int, c_uint) -> c_int,
    writei: unsafe extern "C" fn(*mut Pcm, *const c_void, c_ulong) -> c_long,
    recover: unsafe extern "C" fn(*mut Pcm, c_int, c_int) -> c_int,
    drop: unsafe extern "C" fn(*mut Pcm) -> c_int,
    prepare: unsafe extern "C" fn(*mut Pcm) -> c_int,
    close: unsafe extern "C" fn(*mut Pcm) -> c_int,
    strerror: unsafe extern "C" fn(c_int) -> *const c_char,
    set_error_handler: unsafe extern "C" fn(ErrorHandler) -> c_int,
    /// Keeps the code of the above.
    _library: Library,
}

impl Calls {
    #[allow(unsafe_code, reason = "a library that is loaded at run time")]
    fn load() -> Result<Self, AudioError> {
        let mut failed = None;
        for name in NAMES {
            // SAFETY: libasound's initialisers do nothing that concerns us.
            match unsafe { Library::new(name) } {
                Ok(l) => return Self::bind(l).map_err(|source| AudioError::NoAlsa { source }),
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        Err(failed.map_or(AudioError::NoHost, |source| AudioError::NoAlsa { source }))
    }

    #[allow(unsafe_code, reason = "a library that is loaded at run time")]
    fn bind(l: Library) -> Result<Self, libloading::Error> {
        // SAFETY: the types of the fields are those of ALSA's headers, whose binary interface has been the same since
        // version 1.0; `l` is kept beside them.
        unsafe {
            Ok(Self {
                open: *l.get(b"snd_pcm_open\0")?,
                set_params: *l.get(b"snd_pcm_set_params\0")?,
                writei: *l.get(b"snd_pcm_writei\0")?,
                recover: *l.get(b"snd_pcm_recover\0")?,
                drop: *l.get(b"snd_pcm_drop\0")?,
                prepare: *l.get(b"snd_pcm_prepare\0")?,
                close: *l.get(b"snd_pcm_close\0")?,
                strerror: *l.get(b"snd_strerror\0")?,
                set_error_handler: *l.get(b"snd_lib_error_set_handler\0")?,
                _library: l,
            })
        }
    }

    #[allow(unsafe_code, reason = "a library that is loaded at run time")]
    fn why(&self, error: c_int) -> String {
        // SAFETY: snd_strerror takes any number and returns a string that stays.
        unsafe { CStr::from_ptr((self.strerror)(error)) }.to_string_lossy().into_owned()
    }
}

/// An open output.
pub(super) struct Alsa {
    calls: Calls,
    pcm: *mut Pcm,
    stopped: bool,
}

impl Alsa {
    #[allow(unsafe_code, reason = "a library that is loaded at run time")]
    pub(super) fn open(name: &str) -> Result<Self, AudioError> {
        let calls = Calls::load()?;
        // SAFETY: on the hosts that Linux runs on, a C function that takes more arguments than it uses is called as one
        // that takes the first ones only; ours uses none.
        unsafe { (calls.set_error_handler)(say_nothing) };
        let fault = |why: String| AudioError::Output { name: name.into(), why };
        let c_name = CString::new(name).map_err(|e| fault(e.to_string()))?;
        let mut pcm = std::ptr::null_mut();
        // SAFETY: the name ends with a 0 and `pcm` has room for the handle.
        let e = unsafe { (calls.open)(&raw mut pcm, c_name.as_ptr(), STREAM_PLAYBACK, 0) };
        if e < 0 {
            return Err(fault(calls.why(e)));
        }
        let a = Self { calls, pcm, stopped: false };
        let (rate, us) = (SOUND_HZ as c_uint, DEVICE.as_micros() as c_uint);
        // SAFETY: `pcm` is open; `Drop` closes it, whatever this says.
        let e = unsafe { (a.calls.set_params)(a.pcm, FORMAT_S16_LE, ACCESS_RW_INTERLEAVED, 2, rate, 1, us) };
        if e < 0 {
            return Err(fault(a.calls.why(e)));
        }
        Ok(a)
    }
}

impl Device for Alsa {
    #[allow(unsafe_code, reason = "a library that is loaded at run time")]
    fn write(&mut self, frames: &[[i16; 2]]) -> Result<(), String> {
        if std::mem::take(&mut self.stopped) {
            // SAFETY: `pcm` is open.
            let e = unsafe { (self.calls.prepare)(self.pcm) };
            if e < 0 {
                return Err(self.calls.why(e));
            }
        }
        let mut done = 0;
        while done < frames.len() {
            let rest = &frames[done..];
            // SAFETY: `pcm` is open and `rest` holds so many frames of two 16-bit samples.
            let n = unsafe { (self.calls.writei)(self.pcm, rest.as_ptr().cast(), rest.len() as c_ulong) };
            if n >= 0 {
                done += n as usize;
                continue;
            }
            // An underrun or a suspended device: prepared anew, or an error that stays.
            // SAFETY: `pcm` is open.
            let e = unsafe { (self.calls.recover)(self.pcm, n as c_int, 1) };
            if e < 0 {
                return Err(self.calls.why(e));
            }
        }
        Ok(())
    }

    #[allow(unsafe_code, reason = "a library that is loaded at run time")]
    fn stop(&mut self) {
        // SAFETY: `pcm` is open.
        unsafe { (self.calls.drop)(self.pcm) };
        self.stopped = true;
    }
}

impl Drop for Alsa {
    #[allow(unsafe_code, reason = "a library that is loaded at run time")]
    fn drop(&mut self) {
        // SAFETY: `pcm` is open, and nobody uses it after this.
        unsafe { (self.calls.close)(self.pcm) };
    }
}
