//! Saved registers of the VGA core: a part of its adapter's state.

use minicbor::{Decode, Encode};

use super::{Dac, Vga};

#[derive(Debug, Encode, Decode)]
pub struct VgaV1 {
    #[n(0)]
    misc: u8,
    #[n(1)]
    feature: u8,
    #[n(2)]
    indices: [u8; 4],
    #[n(3)]
    attr_data: bool,
    #[n(4)]
    seq: [u8; 8],
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    crtc: Vec<u8>,
    #[n(6)]
    gfx: [u8; 9],
    #[n(7)]
    #[cbor(with = "minicbor::bytes")]
    attr: Vec<u8>,
    #[n(8)]
    latch: u32,
    #[n(9)]
    int_cleared: u64,
    /// Mask, read index, write index, phase, reading, latched red and green.
    #[n(10)]
    dac: [u8; 7],
    #[n(11)]
    #[cbor(with = "minicbor::bytes")]
    table: Vec<u8>,
}

impl Vga {
    pub fn save(&self) -> VgaV1 {
        let Self {
            misc,
            feature,
            seq_index,
            seq,
            crtc_index,
            crtc,
            gfx_index,
            gfx,
            attr_index,
            attr_data,
            attr,
            latch,
            dac,
            ext: _,
            int_cleared,
            timing: _,
            colours: _,
        } = self;
        VgaV1 {
            misc: *misc,
            feature: *feature,
            indices: [*seq_index, *crtc_index, *gfx_index, *attr_index],
            attr_data: *attr_data,
            seq: *seq,
            crtc: crtc.to_vec(),
            gfx: *gfx,
            attr: attr.to_vec(),
            latch: *latch,
            int_cleared: *int_cleared,
            dac: [
                dac.mask,
                dac.read_index,
                dac.write_index,
                dac.phase,
                u8::from(dac.reading),
                dac.latch[0],
                dac.latch[1],
            ],
            table: dac.table.iter().flatten().copied().collect(),
        }
    }

    /// The registers as saved; the field and value that no running chip can hold, else.
    pub fn load(s: &VgaV1) -> Result<Self, (&'static str, u64)> {
        let VgaV1 {
            misc,
            feature,
            indices: [seq_index, crtc_index, gfx_index, attr_index],
            attr_data,
            seq,
            crtc,
            gfx,
            attr,
            latch,
            int_cleared,
            dac: [mask, read_index, write_index, phase, reading, red, green],
            table,
        } = s;
        let mut dac = Dac {
            mask: *mask,
            read_index: *read_index,
            write_index: *write_index,
            phase: *phase,
            reading: *reading != 0,
            latch: [*red, *green],
            ..Dac::default()
        };
        if *phase > 2 {
            return Err(("dac phase", u64::from(*phase)));
        }
        if table.len() != 768 {
            return Err(("dac table", table.len() as u64));
        }
        dac.set_table(std::array::from_fn(|i| std::array::from_fn(|p| table[3 * i + p] & 0x3f)));
        let mut vga = Self {
            misc: *misc,
            feature: *feature,
            seq_index: *seq_index,
            seq: *seq,
            crtc_index: *crtc_index,
            crtc: crtc[..].try_into().map_err(|_| ("crtc", crtc.len() as u64))?,
            gfx_index: *gfx_index,
            gfx: *gfx,
            attr_index: *attr_index & 0x3f,
            attr_data: *attr_data,
            attr: attr[..].try_into().map_err(|_| ("attr", attr.len() as u64))?,
            latch: *latch,
            dac,
            int_cleared: *int_cleared,
            ..Self::default()
        };
        vga.retime();
        Ok(vga)
    }
}
