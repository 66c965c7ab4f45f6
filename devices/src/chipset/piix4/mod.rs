//! 82371AB, PIIX4: ISA bridge, IDE controller, power management.

pub mod ide;
pub mod isa;
pub mod pm;
