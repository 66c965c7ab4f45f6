//! Saved state of a UART.

use board::{StateError, StateIn, StateOut};
use minicbor::{Decode, Encode};

use super::regs::{Fcr, Ier, Lcr, Lsr, Mcr, Msr};
use super::{FIFO, Ns16550, Regs};

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct UartV1 {
    #[n(0)]
    ier: u8,
    #[n(1)]
    fcr: u8,
    #[n(2)]
    lcr: u8,
    #[n(3)]
    mcr: u8,
    #[n(4)]
    errors: u8,
    #[n(5)]
    msr: u8,
    #[n(6)]
    scr: u8,
    #[n(7)]
    divisor: u16,
    #[n(8)]
    rx: Vec<(u8, u8)>,
    #[n(9)]
    last: u8,
    #[n(10)]
    tx: Vec<u8>,
    #[n(11)]
    shift: Option<(u8, u64)>,
    #[n(12)]
    thre: bool,
    #[n(13)]
    timed_out: bool,
    #[n(14)]
    timeout_at: Option<u64>,
    #[n(15)]
    incoming: Vec<u8>,
}

pub(super) fn save(u: &Ns16550, out: &mut StateOut) {
    let Ns16550 { name: _, irq: _, port: _, paced: _, incoming, regs, seen: _ } = u;
    let Regs {
        ier,
        fcr,
        lcr,
        mcr,
        errors,
        msr,
        scr,
        divisor,
        rx,
        last,
        tx,
        shift,
        thre,
        timed_out,
        timeout_at,
    } = regs;
    let v = UartV1 {
        ier: ier.into_bits(),
        fcr: fcr.into_bits(),
        lcr: lcr.into_bits(),
        mcr: mcr.into_bits(),
        errors: errors.into_bits(),
        msr: msr.into_bits(),
        scr: *scr,
        divisor: *divisor,
        rx: rx.iter().copied().collect(),
        last: *last,
        tx: tx.iter().copied().collect(),
        shift: *shift,
        thre: *thre,
        timed_out: *timed_out,
        timeout_at: *timeout_at,
        incoming: incoming.iter().copied().collect(),
    };
    out.put(VERSION, &v);
}

pub(super) fn load(u: &mut Ns16550, s: &StateIn<'_>) -> Result<(), StateError> {
    let UartV1 {
        ier,
        fcr,
        lcr,
        mcr,
        errors,
        msr,
        scr,
        divisor,
        rx,
        last,
        tx,
        shift,
        thre,
        timed_out,
        timeout_at,
        incoming,
    } = s.get(VERSION)?;
    if rx.len() > FIFO {
        return Err(s.bad("rx", rx.len() as u64));
    }
    if tx.len() > FIFO {
        return Err(s.bad("tx", tx.len() as u64));
    }
    u.incoming = incoming.into();
    u.regs = Regs {
        ier: Ier::from_bits(ier),
        fcr: Fcr::from_bits(fcr),
        lcr: Lcr::from_bits(lcr),
        mcr: Mcr::from_bits(mcr),
        errors: Lsr::from_bits(errors),
        msr: Msr::from_bits(msr),
        scr,
        divisor,
        rx: rx.into(),
        last,
        tx: tx.into(),
        shift,
        thre,
        timed_out,
        timeout_at,
    };
    Ok(())
}
