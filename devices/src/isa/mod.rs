//! Chips at fixed ports, as an AT has them.

pub mod i8042;
pub mod i82077;
pub mod i8237;
pub mod i8254;
pub mod i8259;
pub mod lpt;
pub mod mc146818;
pub mod ns16550;
pub mod pnp;
pub mod w83977;
