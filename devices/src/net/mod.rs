//! Network controllers.

pub mod dec21140;
