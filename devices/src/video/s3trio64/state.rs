//! Saved state of the Trio64. Video memory is saved with guest memory.

use board::{StateError, StateIn};
use minicbor::{Decode, Encode};

use super::{CrtcExt, S3Trio64};
use crate::video::vga::{Vga, VgaV1};

#[derive(Debug, Encode, Decode)]
pub struct S3Trio64V1 {
    #[n(0)]
    vga: VgaV1,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    cr: Vec<u8>,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    sr: Vec<u8>,
    #[n(3)]
    start: u8,
    #[n(4)]
    bank: u8,
    #[n(5)]
    advfunc: u8,
    #[n(6)]
    test: u8,
    #[n(7)]
    setup: [u8; 2],
    #[n(8)]
    #[cbor(with = "minicbor::bytes")]
    config: Vec<u8>,
    #[n(9)]
    vram: u32,
}

impl S3Trio64 {
    pub(super) fn state(&self) -> S3Trio64V1 {
        let Self {
            inta: _,
            slot: _,
            vram,
            scanout: _,
            screen: _,
            placed: _,
            vga,
            ext,
            setup,
            config,
            rom: _,
        } = self;
        let CrtcExt { cr, sr, start, bank, advfunc, test } = ext;
        S3Trio64V1 {
            vga: vga.save(),
            cr: cr.to_vec(),
            sr: sr.to_vec(),
            start: *start,
            bank: *bank,
            advfunc: *advfunc,
            test: *test,
            setup: *setup,
            config: config.bytes().to_vec(),
            vram: *vram,
        }
    }

    pub(super) fn set_state(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        let S3Trio64V1 { vga, cr, sr, start, bank, advfunc, test, setup, config, vram } = s.get(1)?;
        if vram != self.vram {
            return Err(s.bad("vram", u64::from(vram)));
        }
        self.vga = Vga::load(&vga).map_err(|(field, value)| s.bad(field, value))?;
        self.ext = CrtcExt {
            cr: cr[..].try_into().map_err(|_| s.bad("cr", cr.len() as u64))?,
            sr: sr[..].try_into().map_err(|_| s.bad("sr", sr.len() as u64))?,
            start: start & 0x1f,
            bank: bank & 0x7f,
            advfunc,
            test,
        };
        self.setup = setup;
        let config: &[u8; 256] = config[..].try_into().map_err(|_| s.bad("config", config.len() as u64))?;
        self.config.set_bytes(config);
        Ok(())
    }
}
