//! A slot as memory of its own, from address 0: what the rings of a shared window are read and written through.

use vm_memory::{
    GuestAddress, GuestMemoryBackend, GuestMemoryError, GuestMemoryRegion, GuestMemoryRegionBytes,
    GuestUsize, MemoryRegionAddress, VolatileMemory, VolatileSlice,
};

use crate::{GuestRam, Slot};

/// The one region of a [`Window`].
pub struct SlotRegion<'a> {
    ram: &'a GuestRam,
    at: u32,
    len: u32,
}

impl GuestMemoryRegion for SlotRegion<'_> {
    type B = ();

    fn len(&self) -> GuestUsize {
        u64::from(self.len)
    }

    fn start_addr(&self) -> GuestAddress {
        GuestAddress(0)
    }

    fn bitmap(&self) {}

    fn get_slice(
        &self,
        offset: MemoryRegionAddress,
        count: usize,
    ) -> Result<VolatileSlice<'_>, GuestMemoryError> {
        let fits = count as u64 <= self.len() && offset.0 <= self.len() - count as u64;
        if !fits {
            return Err(GuestMemoryError::InvalidBackendAddress);
        }
        let region = self.ram.arena().region();
        Ok(region.get_slice(self.at as usize + offset.0 as usize, count)?)
    }
}

impl GuestMemoryRegionBytes for SlotRegion<'_> {}

/// A slot's bytes, wherever the guest has placed it. Writes set no dirty bits.
pub struct Window<'a>(SlotRegion<'a>);

impl<'a> Window<'a> {
    pub fn new(ram: &'a GuestRam, slot: Slot) -> Self {
        let extent = ram.extent(slot);
        Self(SlotRegion { ram, at: extent.start, len: extent.end - extent.start })
    }
}

impl<'a> GuestMemoryBackend for Window<'a> {
    type R = SlotRegion<'a>;

    fn iter(&self) -> impl Iterator<Item = &Self::R> {
        std::iter::once(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use vm_memory::Bytes;

    use super::*;

    #[test]
    fn a_window_ends_where_its_slot_does() {
        let ram = GuestRam::new(4 << 20, 3 << 12).expect("memory");
        let _first = ram.allocate(1 << 12, true);
        let slot = ram.allocate(1 << 12, true);
        let behind = ram.allocate(1 << 12, true);
        let w = Window::new(&ram, slot);
        w.write_obj(0x0102_0304_u32, GuestAddress(4092)).expect("the last four bytes");
        assert_eq!(ram.arena().load_u32(ram.extent(slot).end - 4), 0x0102_0304);
        assert!(w.write_obj(u32::MAX, GuestAddress(4093)).is_err());
        assert!(
            w.read_obj::<u8>(GuestAddress(4096)).is_err()
                && w.read_obj::<u8>(GuestAddress(u64::MAX)).is_err()
        );
        assert_eq!(ram.arena().load_u32(ram.extent(behind).start), 0);
    }
}
