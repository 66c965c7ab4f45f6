//! Saved state of a parallel port.

use board::{StateError, StateIn, StateOut};
use minicbor::{Decode, Encode};

use super::{CONTROL, Lpt, Printer};

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct LptV1 {
    #[n(0)]
    data: u8,
    #[n(1)]
    control: u8,
    /// 0 ready, 1 busy, 2 acknowledging, and until when.
    #[n(2)]
    printer: (u8, u64),
    #[n(3)]
    pending: bool,
}

pub(super) fn save(l: &Lpt, out: &mut StateOut) {
    let Lpt { irq: _, port: _, data, control, printer, pending, bytes: _ } = l;
    let printer = match *printer {
        Printer::Ready => (0, 0),
        Printer::Busy(end) => (1, end),
        Printer::Ack(end) => (2, end),
    };
    out.put(VERSION, &LptV1 { data: *data, control: *control, printer, pending: *pending });
}

pub(super) fn load(l: &mut Lpt, s: &StateIn<'_>) -> Result<(), StateError> {
    let LptV1 { data, control, printer, pending } = s.get(VERSION)?;
    l.printer = match printer {
        (0, _) => Printer::Ready,
        (1, end) => Printer::Busy(end),
        (2, end) => Printer::Ack(end),
        (v, _) => return Err(s.bad("printer", u64::from(v))),
    };
    (l.data, l.control, l.pending) = (data, control & CONTROL, pending);
    Ok(())
}
