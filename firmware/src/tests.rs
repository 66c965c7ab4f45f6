use crate::rom::{IMAGE, Rom, SYSTEM, VIDEO_BYTES, checksum};

#[test]
fn image_is_whole() {
    let rom = Rom::assemble().unwrap();
    assert_eq!(rom.image.len(), IMAGE);
    assert_eq!(checksum(&rom.image[..VIDEO_BYTES]), 0);
    assert_eq!(checksum(&rom.image[SYSTEM..]), 0);
}
