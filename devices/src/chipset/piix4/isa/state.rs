//! Saved state of the ISA bridge.

use board::{StateError, StateIn, StateOut};
use minicbor::{Decode, Encode};

use super::regs::{P92, Rc};
use super::{Piix4Isa, Regs};

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct IsaV1 {
    #[cbor(n(0), with = "minicbor::bytes")]
    config: [u8; 256],
    #[n(1)]
    post: [u8; 8],
    #[n(2)]
    p92: u8,
    #[n(3)]
    rc: u8,
    #[n(4)]
    ferr: bool,
    #[n(5)]
    ignne: bool,
}

pub(super) fn save(b: &Piix4Isa, out: &mut StateOut) {
    let Piix4Isa { irq13: _, regs: Regs { config, post, p92, rc, ferr, ignne } } = b;
    let (p92, rc) = (p92.into_bits(), rc.into_bits());
    out.put(VERSION, &IsaV1 { config: *config.bytes(), post: *post, p92, rc, ferr: *ferr, ignne: *ignne });
}

pub(super) fn load(b: &mut Piix4Isa, s: &StateIn<'_>) -> Result<(), StateError> {
    let IsaV1 { config, post, p92, rc, ferr, ignne } = s.get(VERSION)?;
    let mut regs = Regs {
        post,
        p92: P92::from_bits(p92 & 3),
        rc: Rc::from_bits(rc & 6),
        ferr,
        ignne,
        ..Regs::default()
    };
    regs.config.set_bytes(&config);
    b.regs = regs;
    Ok(())
}
