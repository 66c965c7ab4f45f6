//! Saved state of the Trio64. Video memory is saved with guest memory.

use board::{StateError, StateIn};
use minicbor::{Decode, Encode};

use super::cursor::Cursor;
use super::engine::{Engine, EngineV1};
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
    /// `None`: saved before there was an engine and a cursor.
    #[n(10)]
    engine: Option<EngineV1>,
    #[n(11)]
    cursor: Option<CursorV1>,
    /// 42E8h: enables, and when its vertical interrupt was cleared.
    #[n(12)]
    subsys: Option<(u8, u64)>,
}

#[derive(Debug, Encode, Decode)]
pub struct CursorV1 {
    #[n(0)]
    at: [u16; 2],
    #[n(1)]
    foreground: [u8; 4],
    #[n(2)]
    background: [u8; 4],
    #[n(3)]
    next: [u8; 2],
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
            engine,
            enables,
            vsy_cleared,
            setup,
            config,
            rom: _,
        } = self;
        let CrtcExt { cr, sr, start, bank, advfunc, test, cursor } = ext;
        let Cursor { at, foreground, background, next } = cursor;
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
            engine: Some(engine.save()),
            cursor: Some(CursorV1 {
                at: [at.0, at.1],
                foreground: *foreground,
                background: *background,
                next: [next.0, next.1],
            }),
            subsys: Some((*enables, *vsy_cleared)),
        }
    }

    pub(super) fn set_state(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        let S3Trio64V1 {
            vga,
            cr,
            sr,
            start,
            bank,
            advfunc,
            test,
            setup,
            config,
            vram,
            engine,
            cursor,
            subsys,
        } = s.get(1)?;
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
            cursor: cursor.map_or_else(Cursor::default, |c| Cursor {
                at: (c.at[0] & 0x7ff, c.at[1] & 0x7ff),
                foreground: c.foreground,
                background: c.background,
                next: (c.next[0] & 3, c.next[1] & 3),
            }),
        };
        self.engine = match engine {
            Some(e) => Engine::load(e).map_err(|(field, value)| s.bad(field, value))?,
            None => Engine::default(),
        };
        let (enables, vsy_cleared) = subsys.unwrap_or_default();
        (self.enables, self.vsy_cleared) = (enables & 15, vsy_cleared);
        self.setup = setup;
        let config: &[u8; 256] = config[..].try_into().map_err(|_| s.bad("config", config.len() as u64))?;
        self.config.set_bytes(config);
        Ok(())
    }
}
