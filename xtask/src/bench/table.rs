//! The results of lines, as text for people and as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::lines::{Group, How, Line, Promise, Rule};
use super::report::number;
use super::results::{By, Column, Results};

fn times(v: Option<f64>) -> String {
    v.map_or("-".into(), |v| format!("{}x", number(v)))
}

fn columns(r: &Results) -> Vec<Column> {
    Column::ALL.iter().copied().filter(|c| r.has(*c)).collect()
}

/// The ratios that matter, where both sides were measured.
const RATIOS: &[(Column, Column, &str)] = &[
    (Column::Qemu, Column::Native, "QEMU / native"),
    (Column::Heirloom, Column::Native, "Heirloom / native"),
    (Column::Qemu, Column::Heirloom, "QEMU / Heirloom"),
];

pub(crate) fn text(r: &Results, by: By) -> String {
    let columns = columns(r);
    let ratios: Vec<_> = RATIOS.iter().filter(|(a, b, _)| r.has(*a) && r.has(*b)).collect();
    let mut t = String::new();
    let names = columns.iter().map(|c| c.name()).chain(ratios.iter().map(|(_, _, n)| *n));
    // Writing to a string does not fail.
    let _ = writeln!(t, "\n| line | work | {} |", names.collect::<Vec<_>>().join(" | "));
    let _ = writeln!(t, "|---|---|{}", "---:|".repeat(columns.len() + ratios.len()));
    for l in r.lines() {
        let _ = write!(t, "| {} | {} |", l.name, l.what);
        for c in &columns {
            let _ = write!(t, " {} |", seconds(r, l, *c, by));
        }
        for (a, b, _) in &ratios {
            let _ = write!(t, " {} |", times(r.ratio(l.name, *a, *b, by)));
        }
        t.push('\n');
    }
    let _ = writeln!(
        t,
        "\nSeconds, medians; ~: the line stopped after its limit and was scaled to all its rounds.\n"
    );
    if !ratios.is_empty() {
        let names: Vec<_> = ratios.iter().map(|(_, _, n)| *n).collect();
        let _ = writeln!(t, "| geometric means | {} |", names.join(" | "));
        let _ = writeln!(t, "|---|{}", "---:|".repeat(ratios.len()));
        for g in Group::ALL {
            let means: Vec<_> = ratios.iter().map(|(a, b, _)| r.mean(*g, *a, *b, by)).collect();
            if means.iter().any(Option::is_some) {
                let means: Vec<_> = means.into_iter().map(times).collect();
                let _ = writeln!(t, "| {} | {} |", g.name(), means.join(" | "));
            }
        }
    }
    let _ = writeln!(t, "\n| promise | bar | Heirloom | |\n|---|---|---:|---|");
    for p in r.promises() {
        let _ = writeln!(t, "| {} |", kept(r, p, by));
    }
    t
}

fn seconds(r: &Results, l: &Line, c: Column, by: By) -> String {
    let Some(v) = r.median(l.name, c, by) else { return "-".into() };
    let scaled = r.of(l.name, c).iter().any(|s| s.rounds.0 < s.rounds.1);
    format!("{}{v:.3}", if scaled { "~" } else { "" })
}

fn bar(rule: Rule) -> String {
    match rule {
        Rule::NativeMean(b) => format!("geometric mean <= {b}x native"),
        Rule::NativeEach(b) => format!("each <= {b}x native"),
        Rule::QemuEach(b) => format!("each >= {b}x as fast as QEMU"),
    }
}

fn kept(r: &Results, p: &Promise, by: By) -> String {
    let start = format!("{} | {} |", p.what, bar(p.rule));
    match r.verdict(p, by) {
        None => format!("{start} - | not measured"),
        Some(v) if v.kept => format!("{start} {} | PASS", times(Some(v.value))),
        Some(v) if v.beyond.is_empty() => format!("{start} {} | short", times(Some(v.value))),
        Some(v) => format!("{start} {} | short: {}", times(Some(v.value)), v.beyond.join(", ")),
    }
}

pub(crate) fn missed(r: &Results, by: By) -> usize {
    r.promises().filter(|p| r.verdict(p, by).is_some_and(|v| !v.kept)).count()
}

/// A millionth of a second is below what any of this resolves.
fn rounded(v: f64) -> Value {
    json!((v * 1e6).round() / 1e6)
}

pub(crate) fn json(r: &Results, by: By) -> Value {
    let line = |l: &'static Line| {
        let mut of = Map::new();
        of.insert("line".into(), json!(l.name));
        of.insert("group".into(), json!(l.group.name()));
        for c in columns(r) {
            let samples = r.of(l.name, c);
            let Some(first) = samples.first() else { continue };
            let all = |f: fn(&super::results::Sample) -> f64| -> Value {
                samples.iter().map(|s| rounded(f(s))).collect()
            };
            let mut one = json!({ "clock_s": all(|s| s.clock), "processor_s": all(|s| s.processor) });
            if l.how != How::Booting {
                one["rounds"] = json!([first.rounds.0, first.rounds.1]);
                one["sum"] = json!(first.sum.map(|s| format!("{s:08x}")));
            }
            for (k, v) in &first.more {
                one[k.as_str()] = json!(v);
            }
            of.insert(c.key().into(), one);
        }
        Value::Object(of)
    };
    let promise = |p: &Promise| {
        let v = r.verdict(p, by);
        json!({
            "what": p.what,
            "bar": bar(p.rule),
            "value": v.as_ref().map(|v| rounded(v.value)),
            "kept": v.as_ref().map(|v| v.kept),
            "beyond": v.map(|v| v.beyond),
        })
    };
    json!({
        "lines": r.lines().map(line).collect::<Vec<_>>(),
        "promises": r.promises().map(promise).collect::<Vec<_>>(),
    })
}
