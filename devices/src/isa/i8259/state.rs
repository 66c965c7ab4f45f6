//! Saved state of the pair.

use board::{StateError, StateIn, StateOut};
use minicbor::{Decode, Encode};

use super::I8259;
use super::chip::{Chip, Regs, Step};
use super::regs::{Icw1, Icw4};

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct PairV1 {
    #[n(0)]
    master: ChipV1,
    #[n(1)]
    slave: ChipV1,
}

#[derive(Encode, Decode)]
struct ChipV1 {
    #[n(0)]
    lines: u8,
    #[n(1)]
    step: u8,
    #[n(2)]
    icw: [u8; 4],
    #[n(3)]
    irr: u8,
    #[n(4)]
    isr: u8,
    #[n(5)]
    imr: u8,
    #[n(6)]
    elcr: u8,
    #[n(7)]
    lowest: u8,
    #[n(8)]
    special_mask: bool,
    #[n(9)]
    rotate_in_aeoi: bool,
    #[n(10)]
    read_isr: bool,
    #[n(11)]
    poll: bool,
}

const STEPS: [Step; 5] = [Step::Cold, Step::Icw2, Step::Icw3, Step::Icw4, Step::Ready];

fn chip(c: &Chip) -> ChipV1 {
    let Chip {
        lines,
        regs:
            Regs {
                step,
                icw1,
                icw2,
                icw3,
                icw4,
                irr,
                isr,
                imr,
                elcr,
                lowest,
                special_mask,
                rotate_in_aeoi,
                read_isr,
                poll,
            },
    } = c;
    ChipV1 {
        lines: *lines,
        step: STEPS.iter().position(|s| s == step).map_or(0, |n| n as u8),
        icw: [icw1.into_bits(), *icw2, *icw3, icw4.into_bits()],
        irr: *irr,
        isr: *isr,
        imr: *imr,
        elcr: *elcr,
        lowest: *lowest,
        special_mask: *special_mask,
        rotate_in_aeoi: *rotate_in_aeoi,
        read_isr: *read_isr,
        poll: *poll,
    }
}

fn into_chip(s: &StateIn<'_>, v: ChipV1) -> Result<Chip, StateError> {
    let ChipV1 {
        lines,
        step,
        icw: [icw1, icw2, icw3, icw4],
        irr,
        isr,
        imr,
        elcr,
        lowest,
        special_mask,
        rotate_in_aeoi,
        read_isr,
        poll,
    } = v;
    if lowest > 7 {
        return Err(s.bad("lowest", u64::from(lowest)));
    }
    let step = *STEPS.get(usize::from(step)).ok_or_else(|| s.bad("step", u64::from(step)))?;
    let (icw1, icw4) = (Icw1::from_bits(icw1), Icw4::from_bits(icw4));
    Ok(Chip {
        lines,
        regs: Regs {
            step,
            icw1,
            icw2,
            icw3,
            icw4,
            irr,
            isr,
            imr,
            elcr,
            lowest,
            special_mask,
            rotate_in_aeoi,
            read_isr,
            poll,
        },
    })
}

pub(super) fn save(pair: &I8259, out: &mut StateOut) {
    let I8259 { master, slave, int: _, seen: _ } = pair;
    out.put(VERSION, &PairV1 { master: chip(master), slave: chip(slave) });
}

pub(super) fn load(pair: &mut I8259, s: &StateIn<'_>) -> Result<(), StateError> {
    let PairV1 { master, slave } = s.get(VERSION)?;
    pair.master = into_chip(s, master)?;
    pair.slave = into_chip(s, slave)?;
    Ok(())
}
