//! Host bridge and the functions of the PIIX4.

pub mod piix4;
