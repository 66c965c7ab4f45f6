//! What fuzz targets and their sister tests run.

use alloc::vec;
use alloc::vec::Vec;

use crate::serial::Link;
use crate::services::{self, heartbeat, information, power, programs, time};

/// Any bytes and moments for an end of the serial link, among them frames with a sound CRC.
pub fn serial(bytes: &[u8]) {
    let (mut l, mut now) = (Link::new(), 0u64);
    let mut buf = vec![0; 700];
    for part in bytes.chunks(40) {
        let Some((&[what, a, b, c], rest)) = part.split_first_chunk::<4>() else { break };
        match what % 8 {
            0 => l.start(now, u32::from(a)),
            1 => now = now.saturating_add(u64::from(a) * 10_000_000),
            2 => drop(l.send(u16::from(a), u16::from(b), rest)),
            3 => drop(l.event()),
            4 => drop(l.take(now, &mut buf[..usize::from(a) * 2])),
            5 => l.feed(now, rest),
            _ => {
                let mut f = vec![a % 6, b % 16, c % 16, 0];
                f.extend_from_slice(rest);
                l.feed(now, &framed(&f));
            }
        }
        assert_eq!(l.check(), Ok(()));
        if let Some(at) = l.deadline(now).filter(|_| a == 7) {
            now = now.max(at);
        }
    }
}

fn framed(f: &[u8]) -> Vec<u8> {
    let mut out = vec![0x7e];
    for &b in f.iter().chain(&crc32fast::hash(f).to_le_bytes()) {
        match b {
            0x7e | 0x7d => out.extend([0x7d, b ^ 0x20]),
            _ => out.push(b),
        }
    }
    out.push(0x7e);
    out
}

/// Any bytes as a message of each service; what is understood is written and understood again.
pub fn services(b: &[u8]) {
    fn one<T: PartialEq + core::fmt::Debug + minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>>(
        b: &[u8],
    ) {
        if let Ok(t) = services::parse::<T>(b) {
            assert_eq!(services::parse(&services::bytes(&t)), Ok(t));
        }
    }
    for first in [b.first().copied().unwrap_or_default(), 0x82] {
        let mut b = b.to_vec();
        if let Some(at) = b.first_mut() {
            *at = first;
        }
        one::<heartbeat::ToGuest>(&b);
        one::<heartbeat::ToHost>(&b);
        one::<information::ToGuest>(&b);
        one::<information::ToHost>(&b);
        one::<power::ToGuest>(&b);
        one::<power::ToHost>(&b);
        one::<programs::ToGuest>(&b);
        one::<programs::ToHost>(&b);
        one::<time::ToGuest>(&b);
        one::<time::ToHost>(&b);
    }
}
