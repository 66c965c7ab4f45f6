//! Display adapters: the VGA core, the S3 Trio64 that is built round it, and the way of a picture to the host.

pub mod s3trio64;
pub mod screen;
pub mod sprite;
pub mod vga;

#[cfg(test)]
mod tests;
