//! Starts a bzImage after POST, by the kernel's own real-mode entry: it then asks our services as it would under
//! a boot loader. Linux/x86 boot protocol 2.x.

use std::ops::Range;

use crate::bus::{Bus, Far, Leave, le16, le32};
use crate::config::{BootFile, LinuxImage};
use crate::wiring::ACPI_BYTES;

const SETUP_SEG: u16 = 0x1000;
/// Heap end and command line, as offsets in the setup segment.
const HEAP_END: u16 = 0xe000;
const COMMAND_LINE: u16 = 0xe000;
const KERNEL_AT: u64 = 0x10_0000;

/// # Errors
/// Why not, in words for the screen; nothing was started.
pub async fn start(bus: &Bus, image: &LinuxImage) -> Result<(), String> {
    let kernel_len = size(&*image.kernel, "kernel")?;
    let initrd_len = image.initrd.as_ref().map_or(Ok(0), |i| size(&**i, "initrd"))?;
    let mut k = vec![0; kernel_len.min(u64::from(HEAP_END)) as usize];
    read(&*image.kernel, "kernel", 0, &mut k)?;
    if k.len() < 0x260 || &k[0x202..0x206] != b"HdrS" {
        return Err("it is not a bzImage".into());
    }
    if !bus.direct() {
        return Err("the processor is not in real mode".into());
    }
    let version = le16(&k[0x206..]);
    if version < 0x0202 || k[0x211] & 1 == 0 {
        return Err("its boot protocol is too old".into());
    }
    let sects = match k[0x1f1] {
        0 => 4,
        n => usize::from(n),
    };
    let setup_len = (sects + 1) * 512;
    if setup_len > usize::from(HEAP_END) || setup_len > k.len() {
        return Err("its setup part is damaged".into());
    }
    // Of what follows the setup part, in paragraphs.
    if kernel_len < setup_len as u64 + u64::from(le32(&k[0x1f4..])) * 16 {
        return Err("it is cut short".into());
    }
    let ram = &bus.world.ram;
    let top = ram.main_len() - u64::from(ACPI_BYTES);
    let kernel_end = KERNEL_AT + kernel_len - setup_len as u64;
    // As high as the kernel allows, on a page.
    let limit = if version >= 0x0203 { u64::from(le32(&k[0x22c..])) } else { 0x37ff_ffff };
    let initrd_end = top.min(limit + 1);
    let initrd_at = initrd_end.saturating_sub(initrd_len) & !0xfff;
    if kernel_end > top || initrd_len != 0 && initrd_at < kernel_end + (32 << 20) {
        return Err("the machine has too little memory".into());
    }
    let mut line = image.command_line.clone().into_bytes();
    let most = if version >= 0x0206 { le32(&k[0x238..]) as usize } else { 255 };
    if line.len() > most.min(0x1000) {
        return Err("the command line is too long".into());
    }
    line.push(0);

    k.truncate(setup_len);
    let mut setup = k;
    let base = u32::from(SETUP_SEG) << 4;
    setup[0x210] = 0xff;
    setup[0x211] |= 0x80;
    setup[0x224..0x226].copy_from_slice(&(HEAP_END - 0x200).to_le_bytes());
    setup[0x228..0x22c].copy_from_slice(&(base + u32::from(COMMAND_LINE)).to_le_bytes());
    if initrd_len != 0 {
        setup[0x218..0x21c].copy_from_slice(&(initrd_at as u32).to_le_bytes());
        setup[0x21c..0x220].copy_from_slice(&(initrd_len as u32).to_le_bytes());
    }
    load(bus, &*image.kernel, "kernel", setup_len as u64..kernel_len, KERNEL_AT)?;
    if let Some(initrd) = &image.initrd {
        load(bus, &**initrd, "initrd", 0..initrd_len, initrd_at)?;
    }
    ram.write(u64::from(base), &setup);
    ram.write(u64::from(base) + u64::from(COMMAND_LINE), &line);
    bus.leave(Leave {
        target: Far::new(SETUP_SEG + 0x20, 0),
        stack: Far::new(SETUP_SEG, HEAP_END),
        es_di: Far::new(SETUP_SEG, 0),
        ds_si: Far::new(SETUP_SEG, 0),
        ..Leave::default()
    })
    .await
}

fn size(file: &dyn BootFile, what: &str) -> Result<u64, String> {
    file.size().map_err(|e| format!("cannot read the {what}: {e}"))
}

fn read(file: &dyn BootFile, what: &str, at: u64, to: &mut [u8]) -> Result<(), String> {
    file.read(at, to).map_err(|e| format!("cannot read the {what}: {e}"))
}

/// Those bytes of the file to guest memory at `to`.
fn load(bus: &Bus, file: &dyn BootFile, what: &str, bytes: Range<u64>, to: u64) -> Result<(), String> {
    let mut buf = vec![0; 64 << 10];
    let mut at = bytes.start;
    while at < bytes.end {
        let part = &mut buf[..(bytes.end - at).min(64 << 10) as usize];
        read(file, what, at, part)?;
        bus.world.ram.write(to + (at - bytes.start), part);
        at += part.len() as u64;
    }
    Ok(())
}
