//! Which faults an access to memory may meet, by the segments and pages both processors have.

use iced_x86::{Register, UsedMemory};

use crate::layout::{ALIAS, CODE, CODE_LEN, DATA, DATA_LEN, DATA_RW, EXIT, PAGE, STACK, STACK_LEN};
use crate::ldt::{self, Kind};
use crate::snapshot::{AC, Regs, Stop};

/// Bytes at an offset in a segment (in encoding order: ES CS SS DS FS GS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    pub seg: usize,
    pub offset: u32,
    pub size: u32,
    pub write: bool,
}

/// What a general register holds, of the width it is named with.
pub fn register(r: &Regs, name: Register) -> Option<u32> {
    let full = name.full_register32();
    if !full.is_gpr32() {
        return None;
    }
    let v = r.gpr[full.number()];
    Some(if name.size() == 2 { v & 0xffff } else { v })
}

pub fn segment(name: Register) -> Option<usize> {
    [Register::ES, Register::CS, Register::SS, Register::DS, Register::FS, Register::GS]
        .iter()
        .position(|&s| s == name)
}

impl Access {
    /// One that an instruction makes with these registers.
    pub fn of(used: &UsedMemory, r: &Regs, write: bool) -> Option<Self> {
        let offset = used.virtual_address(0, |name, _, _| {
            if name.is_segment_register() { Some(0) } else { register(r, name).map(u64::from) }
        })?;
        let size = used.memory_size().size() as u32;
        Some(Self { seg: segment(used.segment())?, offset: offset as u32, size, write })
    }

    /// It runs past FFFFFFFFh.
    pub fn wraps(&self) -> bool {
        self.size != 0 && self.offset.checked_add(self.size - 1).is_none()
    }

    /// The segment lets it: its limit, and for a write its type.
    fn fits(&self, selector: u16) -> bool {
        let Some(last) = self.offset.checked_add(self.size.saturating_sub(1)) else { return false };
        let write = self.write && self.seg == 1;
        let Some(e) = ldt::of_selector(selector) else { return selector > 3 && !write };
        match e.kind {
            Kind::Execute => false,
            Kind::Read | Kind::ReadDown | Kind::ExecuteRead | Kind::ExecuteReadConforming if self.write => {
                false
            }
            Kind::ReadDown | Kind::WriteDown => self.offset > e.byte_limit() && (e.big || last <= 0xffff),
            _ => last <= e.byte_limit(),
        }
    }

    /// The faults it may meet. Which of them comes first is up to the processor.
    pub fn faults(&self, r: &Regs) -> Vec<Stop> {
        let mut out = Vec::new();
        let selector = r.seg[self.seg];
        if !self.fits(selector) {
            let vector = if self.seg == 2 { 12 } else { 13 };
            out.push(Stop::Fault { vector, error: 0, address: 0 });
        }
        let linear = ldt::base_of(selector).wrapping_add(self.offset);
        let mut page = None;
        for n in 0..self.size {
            let at = linear.wrapping_add(n);
            if let Some(present) = refused(at, self.write) {
                page.get_or_insert(Stop::Fault {
                    vector: 14,
                    error: 4 | u32::from(self.write) << 1 | u32::from(present),
                    address: at,
                });
            }
        }
        out.extend(page);
        // Of 80 bits and of 64: 8 bytes.
        let alignment = if self.size < 8 { self.size.max(1) } else { 8 };
        if r.eflags & AC != 0 && !linear.is_multiple_of(alignment) {
            out.push(Stop::Fault { vector: 17, error: 0, address: 0 });
        }
        out
    }
}

/// Whether a user access to this byte faults, and if so, whether a page is there.
fn refused(at: u32, write: bool) -> Option<bool> {
    let inside = |from: u32, len: usize| at.wrapping_sub(from) < len as u32;
    if inside(CODE, CODE_LEN) || inside(ALIAS, CODE_LEN) || inside(DATA, DATA_RW) || inside(STACK, STACK_LEN)
    {
        None
    } else if inside(DATA, DATA_LEN) || inside(EXIT, PAGE) {
        write.then_some(true)
    } else {
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{CS32, DS32};

    fn regs(ss: u16, eflags: u32) -> Regs {
        Regs { seg: [DS32, CS32, ss, DS32, DS32, DS32], eflags, ..Regs::default() }
    }

    fn page(error: u32, address: u32) -> Stop {
        Stop::Fault { vector: 14, error, address }
    }

    #[test]
    fn limits_pages_and_alignment() {
        let flat = |offset, size, write| Access { seg: 3, offset, size, write };
        assert_eq!(flat(STACK, 4, true).faults(&regs(DS32, AC)), []);
        assert_eq!(flat(STACK - 2, 4, false).faults(&regs(DS32, 0)), [page(4, STACK - 2)]);
        assert_eq!(
            flat(DATA + DATA_RW as u32 - 2, 4, true).faults(&regs(DS32, 0)),
            [page(7, DATA + DATA_RW as u32)]
        );
        assert_eq!(flat(DATA + DATA_RW as u32 - 2, 4, false).faults(&regs(DS32, 0)), []);
        let misaligned = Stop::Fault { vector: 17, error: 0, address: 0 };
        assert_eq!(flat(STACK + 2, 4, true).faults(&regs(DS32, AC)), [misaligned]);
        assert_eq!(flat(STACK + 2, 2, true).faults(&regs(DS32, AC)), []);
        assert_eq!(flat(STACK + 4, 10, true).faults(&regs(DS32, AC)), [misaligned]);
        let beyond = Stop::Fault { vector: 13, error: 0, address: 0 };
        assert_eq!(flat(u32::MAX, 2, false).faults(&regs(DS32, 0)), [beyond, page(4, u32::MAX)]);
        assert!(flat(u32::MAX, 2, false).wraps() && !flat(u32::MAX, 1, false).wraps());
        // Code is not written to; the null selector is not used at all.
        assert_eq!(Access { seg: 1, ..flat(STACK, 4, true) }.faults(&regs(DS32, 0)).first(), Some(&beyond));
        let null = Regs { seg: [0, CS32, DS32, 3, DS32, DS32], ..Regs::default() };
        assert_eq!(flat(STACK, 4, false).faults(&null), [beyond]);
        // A 16-bit stack that ends with its two pages.
        let small = Access { seg: 2, offset: 0x1ffe, size: 4, write: false };
        let faults = small.faults(&regs(ldt::selector(0), 0));
        assert_eq!(faults, [Stop::Fault { vector: 12, error: 0, address: 0 }, page(4, STACK + 0x2000)]);
    }
}
