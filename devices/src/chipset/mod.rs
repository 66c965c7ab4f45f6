//! Host bridge and the functions of the PIIX4.

pub mod i440bx;
pub mod piix4;
