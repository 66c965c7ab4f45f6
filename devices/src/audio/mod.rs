//! Sound: the card, its synthesizer, and what turns sample clocks into the frames of a [`board::SoundPort`].

pub mod opl3;
pub mod sb16;
mod track;
