//! Loads and stores by segment and offset.
//!
//! `off` is truncated to the address size by the caller. One access never wraps at a segment's end: a word at
//! FFFFh of a 64 KiB segment faults. SDM vol. 3, 5.3.

use hv_vcpu::GuestIo;

use super::linear::Access;
use crate::cpu::{Cpu, Mode, SS};
use crate::fault::{Exec, Fault};

macro_rules! sized {
    ($read:ident, $read_slow:ident, $write:ident, $write_slow:ident, $rmw:ident, $rmw_slow:ident, $load:ident, $store:ident, $t:ty) => {
        impl Cpu {
            #[inline(always)]
            pub(crate) fn $read(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32) -> Result<$t, Fault> {
                const LAST: u32 = size_of::<$t>() as u32 - 1;
                let s = &self.seg[seg & 7];
                if (u64::from(off) + u64::from(LAST)) as i64 <= s.rlim {
                    let lin = s.base.wrapping_add(off);
                    let slot = self.tlb.slot(lin);
                    if slot.read == lin.wrapping_add(LAST) & !0xfff {
                        return Ok(self.ram.arena().$load(lin.wrapping_add(slot.addend)));
                    }
                }
                self.$read_slow(io, seg, off)
            }

            #[cold]
            #[inline(never)]
            fn $read_slow(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32) -> Result<$t, Fault> {
                const LEN: usize = size_of::<$t>();
                let lin = self.segment(seg, off, LEN as u32, Access::Read)?;
                self.align(lin, LEN as u32)?;
                let mut b = [0; LEN];
                self.lin_read(io, lin, &mut b, self.cpl == 3)?;
                self.watch(lin, LEN as u32, false);
                Ok(<$t>::from_le_bytes(b))
            }

            #[inline(always)]
            pub(crate) fn $write(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32, v: $t) -> Exec {
                const LAST: u32 = size_of::<$t>() as u32 - 1;
                let s = &self.seg[seg & 7];
                if (u64::from(off) + u64::from(LAST)) as i64 <= s.wlim {
                    let lin = s.base.wrapping_add(off);
                    let slot = self.tlb.slot(lin);
                    if slot.write == lin.wrapping_add(LAST) & !0xfff {
                        self.ram.arena().$store(lin.wrapping_add(slot.addend), v);
                        return Ok(());
                    }
                }
                self.$write_slow(io, seg, off, v)
            }

            #[cold]
            #[inline(never)]
            fn $write_slow(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32, v: $t) -> Exec {
                const LEN: u32 = size_of::<$t>() as u32;
                let lin = self.segment(seg, off, LEN, Access::Write)?;
                self.align(lin, LEN)?;
                self.lin_write(io, lin, &v.to_le_bytes(), self.cpl == 3)?;
                self.watch(lin, LEN, true);
                Ok(())
            }

            /// A load that a store of the same size to the same place will follow: checked and walked as a write,
            /// so that the store cannot fault.
            #[inline(always)]
            pub(crate) fn $rmw(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32) -> Result<$t, Fault> {
                const LAST: u32 = size_of::<$t>() as u32 - 1;
                let s = &self.seg[seg & 7];
                if (u64::from(off) + u64::from(LAST)) as i64 <= s.wlim {
                    let lin = s.base.wrapping_add(off);
                    let slot = self.tlb.slot(lin);
                    let page = lin.wrapping_add(LAST) & !0xfff;
                    if slot.write == page && slot.read == page {
                        return Ok(self.ram.arena().$load(lin.wrapping_add(slot.addend)));
                    }
                }
                self.$rmw_slow(io, seg, off)
            }

            #[cold]
            #[inline(never)]
            fn $rmw_slow(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32) -> Result<$t, Fault> {
                const LEN: usize = size_of::<$t>();
                let lin = self.segment(seg, off, LEN as u32, Access::Write)?;
                self.align(lin, LEN as u32)?;
                let mut b = [0; LEN];
                self.lin_rmw(io, lin, &mut b, self.cpl == 3)?;
                self.watch(lin, LEN as u32, false);
                Ok(<$t>::from_le_bytes(b))
            }
        }
    };
}

sized!(read8, read8_slow, write8, write8_slow, read_rmw8, rmw8_slow, load_u8, store_u8, u8);
sized!(read16, read16_slow, write16, write16_slow, read_rmw16, rmw16_slow, load_u16, store_u16, u16);
sized!(read32, read32_slow, write32, write32_slow, read_rmw32, rmw32_slow, load_u32, store_u32, u32);
sized!(read64, read64_slow, write64, write64_slow, read_rmw64, rmw64_slow, load_u64, store_u64, u64);

impl Cpu {
    /// 16 bytes at any alignment.
    #[inline(always)]
    pub(crate) fn read128(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32) -> Result<[u8; 16], Fault> {
        let s = &self.seg[seg & 7];
        if (u64::from(off) + 15) as i64 <= s.rlim {
            let lin = s.base.wrapping_add(off);
            let slot = self.tlb.slot(lin);
            if slot.read == lin.wrapping_add(15) & !0xfff {
                let at = lin.wrapping_add(slot.addend);
                let (lo, hi) = (self.ram.arena().load_u64(at), self.ram.arena().load_u64(at + 8));
                return Ok((u128::from(lo) | u128::from(hi) << 64).to_le_bytes());
            }
        }
        let mut b = [0; 16];
        self.read_bytes(io, seg, off, &mut b)?;
        Ok(b)
    }

    #[inline(always)]
    pub(crate) fn write128(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32, v: [u8; 16]) -> Exec {
        let s = &self.seg[seg & 7];
        if (u64::from(off) + 15) as i64 <= s.wlim {
            let lin = s.base.wrapping_add(off);
            let slot = self.tlb.slot(lin);
            if slot.write == lin.wrapping_add(15) & !0xfff {
                let at = lin.wrapping_add(slot.addend);
                let v = u128::from_le_bytes(v);
                self.ram.arena().store_u64(at, v as u64);
                self.ram.arena().store_u64(at + 8, (v >> 64) as u64);
                return Ok(());
            }
        }
        self.write_bytes(io, seg, off, &v)
    }

    /// As `read128`; #GP(0) unless the linear address is a multiple of 16.
    #[inline(always)]
    pub(crate) fn read128_aligned(
        &mut self,
        io: &mut dyn GuestIo,
        seg: usize,
        off: u32,
    ) -> Result<[u8; 16], Fault> {
        if self.seg[seg & 7].base.wrapping_add(off) & 15 != 0 {
            return Err(Fault::gp(0));
        }
        self.read128(io, seg, off)
    }

    #[inline(always)]
    pub(crate) fn write128_aligned(
        &mut self,
        io: &mut dyn GuestIo,
        seg: usize,
        off: u32,
        v: [u8; 16],
    ) -> Exec {
        if self.seg[seg & 7].base.wrapping_add(off) & 15 != 0 {
            return Err(Fault::gp(0));
        }
        self.write128(io, seg, off, v)
    }

    /// An image of any length (FXRSTOR, task state, far pointers). No alignment check.
    pub(crate) fn read_bytes(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32, buf: &mut [u8]) -> Exec {
        let lin = self.segment(seg, off, buf.len() as u32, Access::Read)?;
        self.lin_read(io, lin, buf, self.cpl == 3)?;
        self.watch(lin, buf.len() as u32, false);
        Ok(())
    }

    /// All pages are probed before the first byte is written.
    pub(crate) fn write_bytes(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32, buf: &[u8]) -> Exec {
        let lin = self.segment(seg, off, buf.len() as u32, Access::Write)?;
        self.lin_write(io, lin, buf, self.cpl == 3)?;
        self.watch(lin, buf.len() as u32, true);
        Ok(())
    }

    /// Would a write of `len` bytes fault?
    pub(crate) fn probe_write(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32, len: u32) -> Exec {
        let lin = self.segment(seg, off, len, Access::Write)?;
        self.lin_probe(io, lin, len, Access::Write, self.cpl == 3)
    }

    pub(crate) fn probe_read(&mut self, io: &mut dyn GuestIo, seg: usize, off: u32, len: u32) -> Exec {
        let lin = self.segment(seg, off, len, Access::Read)?;
        self.lin_probe(io, lin, len, Access::Read, self.cpl == 3)
    }

    /// Limit and type check of an access to `off..off + len`; the linear address. SDM vol. 3, 5.3 and 5.5.
    pub(crate) fn segment(&self, seg: usize, off: u32, len: u32, access: Access) -> Result<u32, Fault> {
        let s = &self.seg[seg & 7];
        let fault = if seg == SS { Fault::ss(0) } else { Fault::gp(0) };
        // Real mode has no types; what protected mode left in the hidden part only bounds the access.
        let allowed = self.mode == Mode::Real
            || match access {
                Access::Write => s.writable(),
                Access::Read | Access::Fetch => s.readable(),
            };
        if !allowed {
            return Err(if s.usable() && seg != SS { Fault::gp(0) } else { fault });
        }
        let last = u64::from(off) + u64::from(len.max(1)) - 1;
        let inside = if s.expands_down() {
            off > s.limit && last <= if s.big() { u64::from(u32::MAX) } else { 0xffff }
        } else {
            s.unlimited() || last <= u64::from(s.limit)
        };
        if inside { Ok(s.base.wrapping_add(off)) } else { Err(fault) }
    }

    /// The same of `len` bytes in a segment, whose limit comes first.
    pub(crate) fn align_at(&self, seg: usize, off: u32, to: u32, len: u32, access: Access) -> Exec {
        match self.align(self.seg[seg & 7].base.wrapping_add(off), to) {
            Ok(()) => Ok(()),
            Err(f) => self.segment(seg, off, len, access).and(Err(f)),
        }
    }

    /// #AC, if alignment checks are on (CR0.AM, EFLAGS.AC, CPL 3). SDM vol. 3, table 6-7.
    pub(crate) fn align(&self, lin: u32, len: u32) -> Exec {
        if self.tlb.alignment_checks() && lin & (len - 1) != 0 {
            return Err(Fault::ac());
        }
        Ok(())
    }
}
