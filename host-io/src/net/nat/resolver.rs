//! Whom the host asks for names.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// How often it is looked whether the host's file changed.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Servers {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) domain: Option<String>,
}

/// The host's resolvers, as its file names them now.
pub(super) struct Resolver {
    fixed: bool,
    file: PathBuf,
    known: Servers,
    stamp: Option<(SystemTime, u64)>,
    looked: Option<Instant>,
    /// Which of them is asked: the next one after one that does not answer.
    turn: usize,
}

impl Resolver {
    pub(super) fn new(fixed: Option<SocketAddr>) -> Self {
        Self {
            fixed: fixed.is_some(),
            file: "/etc/resolv.conf".into(),
            known: Servers { servers: fixed.into_iter().collect(), domain: None },
            stamp: None,
            looked: None,
            turn: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn of_file(file: PathBuf) -> Self {
        Self { file, ..Self::new(None) }
    }

    fn look(&mut self, now: Instant) {
        if self.fixed || self.looked.is_some_and(|at| now.duration_since(at) < LOOK) {
            return;
        }
        self.looked = Some(now);
        let stamp = std::fs::metadata(&self.file).and_then(|m| Ok((m.modified()?, m.len()))).ok();
        if stamp == self.stamp && stamp.is_some() {
            return;
        }
        self.stamp = stamp;
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        self.known = parse(&text);
        self.turn = 0;
    }

    pub(super) fn server(&mut self, now: Instant) -> Option<SocketAddr> {
        self.look(now);
        let n = self.known.servers.len();
        self.known.servers.get(self.turn % n.max(1)).copied()
    }

    /// That one does not answer.
    pub(super) fn failed(&mut self, server: SocketAddr) {
        let n = self.known.servers.len();
        if n > 1 && self.known.servers.get(self.turn % n) == Some(&server) {
            self.turn = (self.turn + 1) % n;
        }
    }

    pub(super) fn count(&self) -> usize {
        self.known.servers.len()
    }

    pub(super) fn domain(&mut self, now: Instant) -> Option<&str> {
        self.look(now);
        self.known.domain.as_deref()
    }
}

/// resolv.conf(5). Without a nameserver line, the one of this host is meant.
pub(super) fn parse(text: &str) -> Servers {
    let mut s = Servers::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                // An address with a zone (fe80::1%eth0) is of no use without its interface's number.
                if let Some(ip) = words.next().and_then(|w| w.parse::<IpAddr>().ok()) {
                    s.servers.push((ip, 53).into());
                }
            }
            // Of the two the last one counts.
            Some("domain" | "search") => {
                let usable = |d: &&str| *d != "." && d.is_ascii() && d.len() < 128;
                s.domain = words.next().filter(usable).map(|d| d.trim_end_matches('.').to_owned());
            }
            _ => {}
        }
    }
    if s.servers.is_empty() {
        s.servers.push(([127, 0, 0, 1], 53).into());
    }
    s
}
