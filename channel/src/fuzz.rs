//! What fuzz targets and their sister tests run.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::guest::{Class, Function, Guest, Settings, Shape};
use crate::ring::Window;
use crate::serial::{Link, frame};
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
                let mut f = Vec::new();
                frame::put(a % 6, b % 16, c % 16, &[rest], &mut f);
                l.feed(now, &f);
            }
        }
        assert_eq!(l.check(), Ok(()));
        if let Some(at) = l.deadline(now).filter(|_| a == 7) {
            now = now.max(at);
        }
    }
}

/// A window whose bytes are the host's.
struct Scribbled(RefCell<Vec<u8>>);

const WINDOW: usize = 1 << 17;

impl Window for Scribbled {
    fn load16(&self, at: u32) -> u16 {
        let mut b = [0; 2];
        self.copy_out(at, &mut b);
        u16::from_le_bytes(b)
    }
    fn load32(&self, at: u32) -> u32 {
        let mut b = [0; 4];
        self.copy_out(at, &mut b);
        u32::from_le_bytes(b)
    }
    fn store16(&self, at: u32, v: u16) {
        self.copy_in(at, &v.to_le_bytes());
    }
    fn store32(&self, at: u32, v: u32) {
        self.copy_in(at, &v.to_le_bytes());
    }
    fn copy_in(&self, at: u32, bytes: &[u8]) {
        self.0.borrow_mut()[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    fn copy_out(&self, at: u32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.borrow()[at as usize..][..bytes.len()]);
    }
    fn fence(&self) {}
}

impl Function for &Scribbled {
    fn read(&self, register: u32) -> u32 {
        [0x5355_4248, 0x1_0000, WINDOW as u32, 64, 3, 1].get(register as usize / 4).copied().unwrap_or(0)
    }
    fn write(&self, _: u32, _: u32) {}
}

impl Window for &Scribbled {
    fn load16(&self, at: u32) -> u16 {
        (**self).load16(at)
    }
    fn load32(&self, at: u32) -> u32 {
        (**self).load32(at)
    }
    fn store16(&self, at: u32, v: u16) {
        (**self).store16(at, v);
    }
    fn store32(&self, at: u32, v: u32) {
        (**self).store32(at, v);
    }
    fn copy_in(&self, at: u32, bytes: &[u8]) {
        (**self).copy_in(at, bytes);
    }
    fn copy_out(&self, at: u32, bytes: &mut [u8]) {
        (**self).copy_out(at, bytes);
    }
    fn fence(&self) {}
}

/// Any bytes as what the host puts into the window, at places that they name, before a guest that works on.
pub fn guest(bytes: &[u8]) {
    let window = Scribbled(RefCell::new(vec![0; WINDOW]));
    let shape = Shape { tx_size: 8, tx_buffer: 1024, rx_size: 8, rx_buffer: 1024 };
    let class = |k: &services::Kind| Class { class: k.class, version: 1, shape, longest: 10_000 };
    let mut g = Guest::new(Settings {
        system: crate::bus::System::Linux,
        name: "fuzz".into(),
        newest: crate::VERSION,
        oldest: crate::VERSION,
        session: 1,
        classes: services::KINDS.iter().map(class).collect(),
    });
    let started = g.set_function(0, &window);
    assert!(started.is_ok());
    let (mut now, mut buf) = (0, Vec::new());
    for part in bytes.chunks(64) {
        let Some((&[a, b, c], rest)) = part.split_first_chunk::<3>() else { break };
        let at = usize::from(u16::from_le_bytes([a, b])) * 2 + usize::from(c & 1);
        if let Some(to) = window.0.borrow_mut().get_mut(at..at + rest.len()) {
            to.copy_from_slice(rest);
        }
        now += u64::from(c) * 1_000_000;
        g.poll(now);
        // A host that says over and over that there is more is not waited for.
        for _ in 0..100 {
            if g.event(&mut buf).is_none() {
                break;
            }
            let _ = g.send(u16::from(c % 8), rest.to_vec());
        }
        let _ = (g.arm(), g.deadline(now));
    }
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
