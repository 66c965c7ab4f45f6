//! Fragments from the guest, put together again.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use smoltcp::wire::{IpProtocol, Ipv4Packet};

use super::frame::IPV4;

/// Packets that wait for the rest of them; the oldest goes.
const PACKETS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(15);
/// Fragments of one packet: as many as a full one needs at the smallest usual MTU.
const PARTS: usize = 128;
const LONGEST: usize = 65535 - IPV4;

type Key = (Ipv4Addr, Ipv4Addr, u16, IpProtocol);

struct Partial {
    key: Key,
    began: Instant,
    /// In order, without overlaps.
    parts: Vec<(usize, Vec<u8>)>,
    total: Option<usize>,
}

#[derive(Default)]
pub(super) struct Fragments {
    partial: Vec<Partial>,
}

impl Fragments {
    /// Takes a fragment; the whole payload, if this was the last that lacked.
    pub(super) fn add(&mut self, now: Instant, p: &Ipv4Packet<&[u8]>) -> Option<Vec<u8>> {
        self.partial.retain(|q| now.duration_since(q.began) < PATIENCE);
        let (at, data, more) = (usize::from(p.frag_offset()), p.payload(), p.more_frags());
        let end = at + data.len();
        if data.is_empty() || end > LONGEST || more && !data.len().is_multiple_of(8) {
            return None;
        }
        let key = (p.src_addr(), p.dst_addr(), p.ident(), p.next_header());
        let i = self.partial.iter().position(|q| q.key == key).unwrap_or_else(|| {
            if self.partial.len() >= PACKETS {
                self.partial.remove(0);
            }
            self.partial.push(Partial { key, began: now, parts: Vec::new(), total: None });
            self.partial.len() - 1
        });
        match self.partial[i].add(at, data, more) {
            Ok(false) => None,
            Ok(true) => Some(self.partial.remove(i).join()),
            Err(Overlap) => {
                self.partial.remove(i);
                None
            }
        }
    }
}

/// Nobody sends these but to deceive: the whole packet goes (RFC 5722 says so for IPv6).
struct Overlap;

impl Partial {
    fn add(&mut self, at: usize, data: &[u8], more: bool) -> Result<bool, Overlap> {
        let end = at + data.len();
        if !more && self.total.replace(end).is_some_and(|t| t != end) {
            return Err(Overlap);
        }
        let place = self.parts.partition_point(|&(a, _)| a < at);
        if self.parts.get(place).is_some_and(|(a, d)| *a == at && d == data) {
            // Sent twice.
            return Ok(self.complete());
        }
        let before = place.checked_sub(1).map_or(0, |i| self.parts[i].0 + self.parts[i].1.len());
        let after = self.parts.get(place).map_or(usize::MAX, |&(a, _)| a);
        if before > at || end > after || self.total.is_some_and(|t| end > t) || self.parts.len() >= PARTS {
            return Err(Overlap);
        }
        self.parts.insert(place, (at, data.to_vec()));
        Ok(self.complete())
    }

    fn complete(&self) -> bool {
        self.total.is_some_and(|t| self.parts.iter().map(|(_, d)| d.len()).sum::<usize>() == t)
    }

    fn join(self) -> Vec<u8> {
        self.parts.into_iter().flat_map(|(_, d)| d).collect()
    }
}
