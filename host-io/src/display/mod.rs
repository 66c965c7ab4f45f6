//! Displays: what the guest shows, kept for whoever wants to see it, and the ways to see it.

mod frame;
mod picture;
pub mod vnc;

pub use frame::{Frame, FrameScanout, Rect, Update, Viewer};
pub use picture::{WritePicture, encode_png, write_png};

#[cfg(test)]
mod tests;
