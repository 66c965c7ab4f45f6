//! Sound: the card, its synthesizer, what turns sample clocks into the frames of a [`board::SoundPort`], and what brings
//! card and speaker together on one.

pub(crate) mod desk;
pub mod opl3;
pub mod sb16;
pub(crate) mod track;

pub use desk::share;
