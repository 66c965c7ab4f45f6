//! Screenshots as PNG files.

use std::io;
use std::path::{Path, PathBuf};

use board::VideoMode;

#[derive(Debug, thiserror::Error)]
pub enum WritePicture {
    #[error("cannot write the picture {path}: {source}; check that its directory is writable")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot encode a picture of {width}x{height}: {source}")]
    Encode { width: u32, height: u32, source: png::EncodingError },
}

/// A picture of `mode.width * mode.height` pixels 00RRGGBBh as PNG, 8 bits RGB.
pub fn encode_png(mode: VideoMode, px: &[u32]) -> Result<Vec<u8>, WritePicture> {
    let VideoMode { width, height } = mode;
    let fail = |source| WritePicture::Encode { width, height, source };
    let mut out = Vec::new();
    let mut png = png::Encoder::new(&mut out, width, height);
    png.set_color(png::ColorType::Rgb);
    png.set_depth(png::BitDepth::Eight);
    let mut png = png.write_header().map_err(fail)?;
    let rgb: Vec<u8> = px.iter().flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8]).collect();
    png.write_image_data(&rgb).map_err(fail)?;
    png.finish().map_err(fail)?;
    Ok(out)
}

/// Writes a picture to a file, whole or not at all.
pub fn write_png(path: &Path, mode: VideoMode, px: &[u32]) -> Result<(), WritePicture> {
    let bytes = encode_png(mode, px)?;
    // A reader that polls for the file never sees half of it.
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|source| {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&part);
        WritePicture::File { path: path.into(), source }
    })
}
