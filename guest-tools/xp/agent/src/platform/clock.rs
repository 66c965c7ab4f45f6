//! The clocks: one that only goes on, and the time of day with its setting and its pace.
#![allow(unsafe_code, reason = "Windows fills its structures by pointer")]

use core::mem::zeroed;

use windows_sys::Win32::Foundation::{FILETIME, SYSTEMTIME};
use windows_sys::Win32::Security::SE_SYSTEMTIME_NAME;
use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};
use windows_sys::Win32::System::SystemInformation::{
    GetSystemTimeAdjustment, GetSystemTimeAsFileTime, SetSystemTime, SetSystemTimeAdjustment,
};
use windows_sys::Win32::System::Time::FileTimeToSystemTime;
use xp_base::{Error, Lock, Result};

use super::privilege;

/// 1970 in 100 ns since 1601.
const UNIX: i64 = 116_444_736_000_000_000;

/// Nanoseconds since Windows started; never go back.
pub fn nanoseconds() -> u64 {
    static LAST: Lock<u64> = Lock::new(0);
    let (mut count, mut per_second) = (0, 0);
    // SAFETY: fills two numbers.
    unsafe {
        QueryPerformanceFrequency(&raw mut per_second);
        QueryPerformanceCounter(&raw mut count);
    }
    let ns = i128::from(count) * 1_000_000_000 / i128::from(per_second.max(1));
    LAST.with(|last| {
        *last = u64::try_from(ns).unwrap_or(0).max(*last);
        *last
    })
}

/// The time of day, UTC, in 100 ns since 1970.
pub fn time_of_day() -> i64 {
    let mut t = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    // SAFETY: fills the structure.
    unsafe { GetSystemTimeAsFileTime(&raw mut t) };
    (i64::from(t.dwHighDateTime) << 32 | i64::from(t.dwLowDateTime)) - UNIX
}

/// Sets the time of day (to the millisecond, as Windows does).
pub fn set_time_of_day(to: i64) -> Result<()> {
    privilege::enable(SE_SYSTEMTIME_NAME);
    let to = to.saturating_add(UNIX);
    let f = FILETIME { dwLowDateTime: to as u32, dwHighDateTime: (to >> 32) as u32 };
    // SAFETY: numbers only.
    let mut s: SYSTEMTIME = unsafe { zeroed() };
    // SAFETY: both structures live over the calls.
    if unsafe { FileTimeToSystemTime(&raw const f, &raw mut s) == 0 || SetSystemTime(&raw const s) == 0 } {
        return Err(Error::last("cannot set the clock"));
    }
    Ok(())
}

/// The time of day goes faster or slower for a while. Ends when it is dropped.
pub struct Slew {
    /// In nanoseconds of [`nanoseconds`].
    pub until: u64,
}

/// How much faster or slower, in millionths.
const PACE: i64 = 1000;

impl Slew {
    /// Gains (or loses) so many nanoseconds; none: it is not worth it.
    pub fn begin(gain: i64) -> Result<Option<Self>> {
        privilege::enable(SE_SYSTEMTIME_NAME);
        let (mut now, mut per_tick, mut off) = (0, 0, 0);
        // SAFETY: fills three numbers.
        if unsafe { GetSystemTimeAdjustment(&raw mut now, &raw mut per_tick, &raw mut off) } == 0 {
            return Err(Error::last("cannot read the clock's pace"));
        }
        // Both in 100 ns: what a tick adds, and what it adds more or less.
        let delta = (i64::from(per_tick) * PACE / 1_000_000).max(1) * gain.signum();
        let ticks = if delta == 0 { 0 } else { gain / 100 / delta };
        let to = u32::try_from(i64::from(per_tick) + delta).unwrap_or(per_tick);
        if ticks == 0 {
            return Ok(None);
        }
        // SAFETY: takes numbers.
        if unsafe { SetSystemTimeAdjustment(to, 0) } == 0 {
            return Err(Error::last("cannot set the clock's pace"));
        }
        let long = u64::try_from(ticks.saturating_mul(i64::from(per_tick)).saturating_mul(100)).unwrap_or(0);
        Ok(Some(Self { until: nanoseconds().saturating_add(long) }))
    }
}

impl Drop for Slew {
    fn drop(&mut self) {
        // SAFETY: takes numbers; the second one: as the hardware says.
        unsafe { SetSystemTimeAdjustment(0, 1) };
    }
}
