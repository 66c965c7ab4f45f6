//! Descriptor lists in memory, and memory as a bus master reaches it.

use ram::GuestRam;

use super::regs::{Rdes1, Tdes1};

/// Nobody answered at an address: a master abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abort;

/// What a descriptor's second longword says of its buffers and of the way on.
pub(super) trait Layout: From<u32> + Copy {
    fn sizes(self) -> [u32; 2];
    fn chained(self) -> bool;
    fn end_of_ring(self) -> bool;
}

impl Layout for Rdes1 {
    fn sizes(self) -> [u32; 2] {
        [self.rbs1(), self.rbs2()]
    }
    fn chained(self) -> bool {
        self.rch()
    }
    fn end_of_ring(self) -> bool {
        self.rer()
    }
}

impl Layout for Tdes1 {
    fn sizes(self) -> [u32; 2] {
        [self.tbs1(), self.tbs2()]
    }
    fn chained(self) -> bool {
        self.tch()
    }
    fn end_of_ring(self) -> bool {
        self.ter()
    }
}

/// A descriptor as it was fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Descriptor<L> {
    pub(super) at: u32,
    pub(super) status: u32,
    pub(super) control: L,
    addresses: [u32; 2],
}

const OWN: u32 = 1 << 31;

impl<L: Layout> Descriptor<L> {
    pub(super) fn own(&self) -> bool {
        self.status & OWN != 0
    }

    /// Address and size of both buffers; the second one's size is 0 where its address is the next descriptor's.
    pub(super) fn buffers(&self) -> [(u32, u32); 2] {
        let [one, two] = self.control.sizes();
        [(self.addresses[0], one), (self.addresses[1], if self.control.chained() { 0 } else { two })]
    }

    /// Gives it back to the host.
    pub(super) fn close(&self, ram: &GuestRam, status: u32) {
        ram.write(u64::from(self.at), &status.to_le_bytes());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    Stopped,
    Running,
    Suspended,
}

/// One of the two lists, and the process that works on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List {
    /// CSR3 or CSR4.
    pub(super) base: u32,
    /// The current descriptor.
    pub(super) at: u32,
    pub(super) process: Process,
}

impl Default for List {
    fn default() -> Self {
        Self { base: 0, at: 0, process: Process::Stopped }
    }
}

impl List {
    /// Stated to be done only while the process is stopped; taken at any time.
    pub(super) fn set_base(&mut self, v: u32) {
        self.base = v & !3;
        self.at = self.base;
    }

    pub(super) fn stopped(&self) -> bool {
        self.process == Process::Stopped
    }

    /// The descriptor behind `d`; `skip` is CSR0.DSL. The end of a ring comes before a chain.
    pub(super) fn behind<L: Layout>(&self, d: &Descriptor<L>, skip: u32) -> u32 {
        if d.control.end_of_ring() {
            self.base
        } else if d.control.chained() {
            d.addresses[1] & !3
        } else {
            d.at.wrapping_add(16 + 4 * skip)
        }
    }
}

pub(super) fn fetch<L: Layout>(ram: &GuestRam, at: u32) -> Result<Descriptor<L>, Abort> {
    let mut b = [0; 16];
    read(ram, at, &mut b)?;
    let word = |n: usize| u32::from_le_bytes([b[n], b[n + 1], b[n + 2], b[n + 3]]);
    Ok(Descriptor { at, status: word(0), control: word(4).into(), addresses: [word(8), word(12)] })
}

/// Does memory answer everywhere? ROM, and RAM that PAM hides, take what is written and drop it, as on the board.
fn answers(ram: &GuestRam, at: u32, len: usize) -> Result<(), Abort> {
    let (at, len) = (u64::from(at), len as u64);
    let mut page = at & !u64::from(ram::PAGE - 1);
    while page < at + len {
        let m = ram.resolve(page);
        if m.read.is_none() && m.write.is_none() {
            return Err(Abort);
        }
        page += u64::from(ram::PAGE);
    }
    Ok(())
}

pub(super) fn read(ram: &GuestRam, at: u32, buf: &mut [u8]) -> Result<(), Abort> {
    answers(ram, at, buf.len())?;
    ram.read(u64::from(at), buf);
    Ok(())
}

pub(super) fn write(ram: &GuestRam, at: u32, buf: &[u8]) -> Result<(), Abort> {
    answers(ram, at, buf.len())?;
    ram.write(u64::from(at), buf);
    Ok(())
}
