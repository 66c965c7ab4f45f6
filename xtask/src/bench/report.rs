//! The readings, as a table for people and as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// What a reading is held against.
#[derive(Clone, Copy)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
    /// Shown for comparison.
    None,
}

impl Bar {
    fn met(self, v: f64) -> Option<bool> {
        match self {
            Self::AtLeast(b) => Some(v >= b),
            Self::AtMost(b) => Some(v <= b),
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

/// One row of the comparison: seconds of processor time.
struct Compared {
    work: &'static str,
    native: Option<f64>,
    qemu: Option<f64>,
    heirloom: f64,
}

#[derive(Default)]
pub(crate) struct Report {
    readings: Vec<Reading>,
    compared: Vec<Compared>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, what: &str, value: f64, unit: &'static str, bar: Bar) {
        self.readings.push(Reading { what: what.into(), value, unit, bar });
    }

    pub(crate) fn compare(
        &mut self,
        work: &'static str,
        native: Option<f64>,
        qemu: Option<f64>,
        heirloom: f64,
    ) {
        self.compared.push(Compared { work, native, qemu, heirloom });
    }

    pub(crate) fn note(&mut self, n: &str) {
        self.notes.push(n.into());
    }

    /// How many bars were missed.
    pub(crate) fn missed(&self) -> usize {
        self.readings.iter().filter(|r| r.bar.met(r.value) == Some(false)).count()
    }

    pub(crate) fn text(&self) -> String {
        let mut t = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(t, "\n| reading | value | bar | |\n|---|---|---|---|");
        for r in &self.readings {
            let bar = match r.bar {
                Bar::AtLeast(b) => format!(">= {b} {}", r.unit),
                Bar::AtMost(b) => format!("<= {b} {}", r.unit),
                Bar::None => String::new(),
            };
            let mark = match r.bar.met(r.value) {
                Some(true) => "PASS",
                Some(false) => "short",
                None => "",
            };
            let _ = writeln!(t, "| {} | {} {} | {bar} | {mark} |", r.what, number(r.value), r.unit);
        }
        if !self.compared.is_empty() {
            let _ = writeln!(
                t,
                "\nSeconds of processor time:\n\n| guest work | native | QEMU TCG | Heirloom | to native | to QEMU |\n|---|---|---|---|---|---|"
            );
            for c in &self.compared {
                let secs = |v: Option<f64>| v.map_or("-".into(), |v| format!("{} s", number(v)));
                let ratio = |v: Option<f64>| v.map_or("-".into(), |v| format!("{}x", number(c.heirloom / v)));
                let _ = writeln!(
                    t,
                    "| {} | {} | {} | {} | {} | {} |",
                    c.work,
                    secs(c.native),
                    secs(c.qemu),
                    secs(Some(c.heirloom)),
                    ratio(c.native),
                    ratio(c.qemu)
                );
            }
        }
        for n in &self.notes {
            let _ = writeln!(t, "\nNote: {n}.");
        }
        t
    }

    pub(crate) fn write_json(&self, file: &Path) -> Result<()> {
        let reading = |r: &Reading| {
            let bar = match r.bar {
                Bar::AtLeast(b) => json!({ "at_least": b }),
                Bar::AtMost(b) => json!({ "at_most": b }),
                Bar::None => Value::Null,
            };
            json!({ "what": r.what, "value": r.value, "unit": r.unit, "bar": bar, "met": r.bar.met(r.value) })
        };
        let compared = |c: &Compared| json!({ "work": c.work, "native_s": c.native, "qemu_tcg_s": c.qemu, "heirloom_s": c.heirloom });
        let all = json!({
            "readings": self.readings.iter().map(reading).collect::<Vec<_>>(),
            "processor_seconds": self.compared.iter().map(compared).collect::<Vec<_>>(),
            "notes": self.notes,
        });
        fs::write(file, serde_json::to_string_pretty(&all)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Three digits that matter.
fn number(v: f64) -> String {
    match v.abs() {
        a if a >= 100.0 => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        _ => format!("{v:.2}"),
    }
}
