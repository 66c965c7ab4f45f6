//! The ten bytes of time and calendar, counted on as the chip does.

use super::regs::{
    CENTURY, CENTURY_COPY, DATE, DAY_OF_WEEK, HOURS, HOURS_ALARM, MINUTES, MINUTES_ALARM, MONTH, RegB,
    SECONDS, SECONDS_ALARM, YEAR,
};

const DAY: i64 = 86_400;
/// 1 January 1970 was a Thursday; Sunday is 1.
const EPOCH_WEEKDAY: i64 = 5;

/// Time and date in binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Calendar {
    pub second: u8,
    pub minute: u8,
    pub hour: u8,
    pub weekday: u8,
    pub day: u8,
    pub month: u8,
    /// 0-99.
    pub year: u8,
}

fn to_bcd(v: u8) -> u8 {
    ((v / 10 % 10) << 4) + v % 10
}

fn from_bcd(v: u8) -> u8 {
    (v >> 4).wrapping_mul(10).wrapping_add(v & 15)
}

fn encode(b: RegB, v: u8) -> u8 {
    if b.dm() { v } else { to_bcd(v) }
}

fn decode(b: RegB, v: u8) -> u8 {
    if b.dm() { v } else { from_bcd(v) }
}

fn encode_hour(b: RegB, hour: u8) -> u8 {
    if b.h24() {
        return encode(b, hour);
    }
    let twelve = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
    encode(b, twelve) | if hour >= 12 { 0x80 } else { 0 }
}

fn decode_hour(b: RegB, v: u8) -> u8 {
    if b.h24() {
        return decode(b, v) % 24;
    }
    decode(b, v & 0x7f) % 12 + if v & 0x80 != 0 { 12 } else { 0 }
}

impl Calendar {
    /// From seconds since 1970 as the wall clock shows them; and the century.
    pub fn from_wall_clock(seconds: i64) -> (Self, u8) {
        let (mut days, in_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let weekday = (days + EPOCH_WEEKDAY - 1).rem_euclid(7) + 1;
        let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
        let mut year = 1970;
        while days < 0 {
            year -= 1;
            days += 365 + i64::from(leap(year));
        }
        while days >= 365 + i64::from(leap(year)) {
            days -= 365 + i64::from(leap(year));
            year += 1;
        }
        let mut month = 1;
        while days >= i64::from(days_in(month, leap(year))) {
            days -= i64::from(days_in(month, leap(year)));
            month += 1;
        }
        let c = Self {
            second: (in_day % 60) as u8,
            minute: (in_day / 60 % 60) as u8,
            hour: (in_day / 3600) as u8,
            weekday: weekday as u8,
            day: days as u8 + 1,
            month,
            year: (year % 100) as u8,
        };
        (c, (year / 100) as u8)
    }

    pub fn load(bytes: &[u8; 256], b: RegB) -> Self {
        Self {
            second: decode(b, bytes[SECONDS]),
            minute: decode(b, bytes[MINUTES]),
            hour: decode_hour(b, bytes[HOURS]),
            weekday: decode(b, bytes[DAY_OF_WEEK]),
            day: decode(b, bytes[DATE]),
            month: decode(b, bytes[MONTH]),
            year: decode(b, bytes[YEAR]) % 100,
        }
    }

    pub fn store(&self, bytes: &mut [u8; 256], b: RegB) {
        bytes[SECONDS] = encode(b, self.second);
        bytes[MINUTES] = encode(b, self.minute);
        bytes[HOURS] = encode_hour(b, self.hour);
        bytes[DAY_OF_WEEK] = encode(b, self.weekday);
        bytes[DATE] = encode(b, self.day);
        bytes[MONTH] = encode(b, self.month);
        bytes[YEAR] = encode(b, self.year);
    }

    /// One second on. True if the century ended. Values that no calendar has roll over at once.
    pub fn tick(&mut self) -> bool {
        self.second = self.second.saturating_add(1);
        if self.second < 60 {
            return false;
        }
        self.second = 0;
        self.minute = self.minute.saturating_add(1);
        if self.minute < 60 {
            return false;
        }
        self.minute = 0;
        self.hour += 1;
        if self.hour < 24 {
            return false;
        }
        self.hour = 0;
        self.weekday = self.weekday % 7 + 1;
        self.day = self.day.saturating_add(1);
        // The chip knows leap years by the two digits alone.
        if self.day <= days_in(self.month, self.year.is_multiple_of(4)) {
            return false;
        }
        self.day = 1;
        self.month = self.month.saturating_add(1);
        if self.month <= 12 {
            return false;
        }
        self.month = 1;
        self.year = (self.year + 1) % 100;
        self.year == 0
    }

    /// Do the alarm bytes match? C0h-FFh match anything.
    pub fn alarm(&self, bytes: &[u8; 256], b: RegB) -> bool {
        let hit = |alarm: u8, now: u8| alarm >= 0xc0 || alarm == now;
        hit(bytes[SECONDS_ALARM], encode(b, self.second))
            && hit(bytes[MINUTES_ALARM], encode(b, self.minute))
            && hit(bytes[HOURS_ALARM], encode_hour(b, self.hour))
    }
}

fn days_in(month: u8, leap: bool) -> u8 {
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

pub(super) fn set_century(bytes: &mut [u8; 256], century: u8) {
    bytes[CENTURY] = to_bcd(century);
    bytes[CENTURY_COPY] = to_bcd(century);
}

/// What a BIOS does to the century byte at the first boot of a new century.
pub(super) fn next_century(bytes: &mut [u8; 256]) {
    let next = (from_bcd(bytes[CENTURY]) + 1) % 100;
    set_century(bytes, next);
}
