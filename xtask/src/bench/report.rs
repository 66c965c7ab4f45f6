//! Readings with a bar of their own, as a table for people and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

/// What a reading is held against.
#[derive(Clone, Copy)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
    /// So far from 0, up or down.
    Within(f64),
    /// Shown for comparison.
    None,
}

impl Bar {
    fn met(self, v: f64) -> Option<bool> {
        match self {
            Self::AtLeast(b) => Some(v >= b),
            Self::AtMost(b) => Some(v <= b),
            Self::Within(b) => Some(v.abs() <= b),
            Self::None => None,
        }
    }
}

struct Reading {
    what: String,
    value: f64,
    unit: &'static str,
    bar: Bar,
}

#[derive(Default)]
pub(crate) struct Report {
    readings: Vec<Reading>,
}

impl Report {
    pub(crate) fn add(&mut self, what: &str, value: f64, unit: &'static str, bar: Bar) {
        self.readings.push(Reading { what: what.into(), value, unit, bar });
    }

    /// How many bars were missed.
    pub(crate) fn missed(&self) -> usize {
        self.readings.iter().filter(|r| r.bar.met(r.value) == Some(false)).count()
    }

    pub(crate) fn text(&self) -> String {
        let mut t = String::new();
        if self.readings.is_empty() {
            return t;
        }
        // Writing to a string does not fail.
        let _ = writeln!(t, "\n| reading | value | bar | |\n|---|---|---|---|");
        for r in &self.readings {
            let bar = match r.bar {
                Bar::AtLeast(b) => format!(">= {b} {}", r.unit),
                Bar::AtMost(b) => format!("<= {b} {}", r.unit),
                Bar::Within(b) => format!("within {b} {}", r.unit),
                Bar::None => String::new(),
            };
            let mark = match r.bar.met(r.value) {
                Some(true) => "PASS",
                Some(false) => "short",
                None => "",
            };
            let _ = writeln!(t, "| {} | {} {} | {bar} | {mark} |", r.what, number(r.value), r.unit);
        }
        t
    }

    pub(crate) fn json(&self) -> Value {
        let reading = |r: &Reading| {
            let bar = match r.bar {
                Bar::AtLeast(b) => json!({ "at_least": b }),
                Bar::AtMost(b) => json!({ "at_most": b }),
                Bar::Within(b) => json!({ "within": b }),
                Bar::None => Value::Null,
            };
            let value = (r.value * 1e4).round() / 1e4;
            json!({ "what": r.what, "value": value, "unit": r.unit, "bar": bar, "met": r.bar.met(r.value) })
        };
        self.readings.iter().map(reading).collect()
    }
}

/// Three digits that matter.
pub(crate) fn number(v: f64) -> String {
    match v.abs() {
        a if a >= 100.0 => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        _ => format!("{v:.2}"),
    }
}
