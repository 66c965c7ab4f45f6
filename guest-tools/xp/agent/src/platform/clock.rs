//! The clocks: one that only goes on, and the time of day with its setting and its pace.
#![allow(unsafe_code, reason = "Windows fills its structures by pointer")]

use core::mem::zeroed;

use windows_sys::Win32::Foundation::{FILETIME, SYSTEMTIME};
use windows_sys::Win32::Security::SE_SYSTEMTIME_NAME;
use windows_sys::Win32::System::SystemInformation::{
    GetSystemTimeAdjustment, GetSystemTimeAsFileTime, GetTickCount, SetSystemTime, SetSystemTimeAdjustment,
};
use windows_sys::Win32::System::Time::FileTimeToSystemTime;
use xp_base::{Error, Lock, Result};

use super::privilege;

/// 1970 in 100 ns since 1601.
const UNIX: i64 = 116_444_736_000_000_000;

/// Milliseconds since Windows started; does not go back at 49.7 days.
pub fn milliseconds() -> u64 {
    static LAST: Lock<u64> = Lock::new(0);
    // SAFETY: takes nothing.
    let now = u64::from(unsafe { GetTickCount() });
    LAST.with(|last| {
        let mut t = *last & !0xffff_ffff | now;
        if t < *last {
            t += 1 << 32;
        }
        *last = t;
        t
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

/// Lets the time of day go faster or slower by so many millionths; 0: as the hardware says.
pub fn set_pace(millionths: i32) -> Result<()> {
    privilege::enable(SE_SYSTEMTIME_NAME);
    let (mut now, mut per_tick, mut off) = (0, 0, 0);
    // SAFETY: fills three numbers.
    if unsafe { GetSystemTimeAdjustment(&raw mut now, &raw mut per_tick, &raw mut off) } == 0 {
        return Err(Error::last("cannot read the clock's pace"));
    }
    let delta = i64::from(per_tick) * i64::from(millionths) / 1_000_000;
    let to = u32::try_from(i64::from(per_tick) + delta).unwrap_or(per_tick);
    // SAFETY: takes numbers.
    if unsafe { SetSystemTimeAdjustment(to, i32::from(millionths == 0)) } == 0 {
        return Err(Error::last("cannot set the clock's pace"));
    }
    Ok(())
}
