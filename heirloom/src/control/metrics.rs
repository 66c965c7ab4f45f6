//! `GET /v1/metrics`: the Prometheus text format, version 0.0.4.
//!
//! The names of a chip's counters are its own; what they mean is in [`HELP`].

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use host_io::audio;
use host_io::net::nat;
use vmm::{Events, Phase, Status};

use super::metrics_help::{GAUGES, HELP};
use crate::run::watched::Watch;

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the host's side of the ports counts.
#[derive(Clone, Default)]
pub(crate) struct HostCounters {
    /// By adapter, from 1.
    pub(crate) nets: Vec<(usize, Arc<nat::Counters>)>,
    pub(crate) sound: Option<Arc<audio::Counters>>,
}

/// Samples by name: labels and value.
#[derive(Default)]
pub(crate) struct Metrics(BTreeMap<String, Vec<(String, u64)>>);

impl Metrics {
    /// `key`: as in [`HELP`], with a dot between who counts and what.
    pub(crate) fn add(&mut self, key: &str, labels: &[(&str, &str)], value: u64) {
        let label = |(k, v): &(&str, &str)| {
            let v = v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{k}=\"{v}\"")
        };
        let labels: Vec<String> = labels.iter().map(label).collect();
        self.0.entry(key.into()).or_default().push((labels.join(","), value));
    }

    /// The machine's own. Chips of which there are several have a label.
    pub(crate) fn machine(&mut self, all: &[(String, u64)]) {
        for (name, v) in all {
            let (chip, what) = name.split_once('.').unwrap_or(("machine", name));
            if let Some(n) = chip.strip_prefix("dec21140-").and_then(|n| n.parse::<usize>().ok()) {
                self.add(&format!("dec21140.{what}"), &[("adapter", &(n + 1).to_string())], *v);
            } else if chip.starts_with("com") {
                self.add(&format!("uart.{what}"), &[("port", chip)], *v);
            } else {
                self.add(name, &[], *v);
            }
        }
    }

    pub(crate) fn status(&mut self, s: &Status) {
        self.add("machine.running", &[], u64::from(s.phase == Phase::Running));
        self.add("machine.asleep", &[], u64::from(s.asleep));
        self.add("machine.memory_bytes", &[], s.memory_mib << 20);
        self.add("clock.guest_ns", &[], s.guest_ns);
        for (n, up) in (1..).zip(&s.links) {
            self.add("net.link", &[("adapter", &n.to_string())], u64::from(*up));
        }
    }

    pub(crate) fn disks(&mut self, watch: &Watch) {
        for (drive, c) in watch.counts() {
            let mut add = |what: &str, n: &AtomicU64| {
                self.add(&format!("disk.{what}"), &[("drive", &drive)], n.load(Ordering::Relaxed));
            };
            add("reads", &c.reads);
            add("writes", &c.writes);
            add("flushes", &c.flushes);
            add("read_bytes", &c.read_bytes);
            add("written_bytes", &c.written_bytes);
            add("faults", &c.faults);
        }
    }

    pub(crate) fn host(&mut self, host: &HostCounters) {
        for (adapter, counters) in &host.nets {
            for (what, v) in counters.list() {
                self.add(&format!("nat.{what}"), &[("adapter", &adapter.to_string())], v);
            }
        }
        if let Some(c) = &host.sound {
            c.list().into_iter().for_each(|(what, v)| self.add(&format!("audio.{what}"), &[], v));
        }
    }

    pub(crate) fn events(&mut self, e: &Events) {
        self.add("events.told", &[], e.last());
        self.add("events.dropped", &[], e.lost());
    }

    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        for (key, samples) in &self.0 {
            let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let name: String = key.chars().map(legal).collect();
            let kind = if GAUGES.contains(&key.as_str()) { "gauge" } else { "counter" };
            let help = HELP.iter().find(|(k, _)| k == key).map_or("Not described", |(_, h)| h);
            // Writing to a string does not fail.
            let _ = writeln!(out, "# HELP heirloom_{name} {help}\n# TYPE heirloom_{name} {kind}");
            for (labels, v) in samples {
                let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
                let _ = writeln!(out, "heirloom_{name}{braces} {v}");
            }
        }
        out
    }
}

/// Reads the format as strictly as its description says: names, order, one HELP and TYPE each, no sample twice.
#[cfg(test)]
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, (String, u64)>, String> {
    let named = |s: &str, colon: bool| {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_' || colon && c == ':';
        s.starts_with(first) && s.chars().all(|c| first(c) || c.is_ascii_digit())
    };
    let (mut all, mut helped, mut kind) = (BTreeMap::new(), Vec::new(), (String::new(), String::new()));
    if !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    for l in text.lines() {
        let bad = |what: &str| format!("{what}: {l}");
        if let Some(rest) = l.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or(bad("no text"))?;
            if help.trim().is_empty() || helped.contains(&name.to_owned()) {
                return Err(bad("no help, or twice"));
            }
            helped.push(name.to_owned());
        } else if let Some(rest) = l.strip_prefix("# TYPE ") {
            let (name, k) = rest.split_once(' ').ok_or(bad("no type"))?;
            if helped.last().map(String::as_str) != Some(name) || !["counter", "gauge"].contains(&k) {
                return Err(bad("no help before it, or no type"));
            }
            kind = (name.into(), k.into());
        } else {
            let (series, v) = l.rsplit_once(' ').ok_or(bad("no value"))?;
            let (name, labels) = match series.split_once('{') {
                None => (series, ""),
                Some((n, l)) => (n, l.strip_suffix('}').ok_or(bad("open braces"))?),
            };
            if name != kind.0 || !named(name, true) {
                return Err(bad("not of the type before it, or no name"));
            }
            for label in labels.split(',').filter(|l| !l.is_empty()) {
                let (k, v) = label.split_once('=').ok_or(bad("no label"))?;
                let value = v.strip_prefix('"').and_then(|v| v.strip_suffix('"')).ok_or(bad("no quotes"))?;
                if !named(k, false) || value.contains('"') {
                    return Err(bad("no label"));
                }
            }
            let v = v.parse().map_err(|_| bad("no number"))?;
            if all.insert(series.to_owned(), (kind.1.clone(), v)).is_some() {
                return Err(bad("twice"));
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_of_which_there_are_several_have_a_label() {
        let mut m = Metrics::default();
        let of = |n: &str, v| (n.to_owned(), v);
        m.machine(&[
            of("dec21140-0.sent", 3),
            of("com2.received", 4),
            of("dec21140-3.sent", 5),
            of("piix4-ide.commands", 6),
            of("board.behind_us", 7),
        ]);
        m.add("disk.reads", &[("drive", "a\"b\\")], 1);
        let text = m.text();
        let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "heirloom_board_behind_us 7",
                "heirloom_dec21140_sent{adapter=\"1\"} 3",
                "heirloom_dec21140_sent{adapter=\"4\"} 5",
                "heirloom_disk_reads{drive=\"a\\\"b\\\\\"} 1",
                "heirloom_piix4_ide_commands 6",
                "heirloom_uart_received{port=\"com2\"} 4",
            ]
        );
        assert!(text.contains("# TYPE heirloom_board_behind_us gauge\n"));
        assert!(text.contains("# TYPE heirloom_dec21140_sent counter\n"));
    }

    #[test]
    fn the_parser_refuses_what_prometheus_does() {
        let good = "# HELP a_b c\n# TYPE a_b counter\na_b{x=\"1\"} 2\n";
        assert_eq!(parse(good).unwrap()["a_b{x=\"1\"}"], ("counter".into(), 2));
        for (from, to) in [
            ("# TYPE", "# TIPE"),
            (" counter", " number"),
            ("a_b{", "a-b{"),
            ("x=\"1\"", "1=\"1\""),
            ("\"1\"}", "1}"),
            (" 2\n", " two\n"),
            (" 2\n", " 2"),
            ("\na_b{x=\"1\"} 2\n", "\na_b 2\na_b 2\n"),
            ("# HELP a_b c\n", ""),
            (" c\n", " \n"),
        ] {
            let bad = good.replace(from, to);
            assert!(bad != good && parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_described_is_described_once() {
        let mut keys: Vec<&str> = HELP.iter().map(|(k, _)| *k).collect();
        assert!(GAUGES.iter().all(|g| keys.contains(g)));
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
