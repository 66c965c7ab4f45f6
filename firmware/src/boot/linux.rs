//! Starts a bzImage after POST, by the kernel's own real-mode entry: it then asks our services as it would under
//! a boot loader. Linux/x86 boot protocol 2.x.

use crate::bus::{Bus, Far, Leave, le16, le32};
use crate::config::LinuxImage;
use crate::wiring::ACPI_BYTES;

const SETUP_SEG: u16 = 0x1000;
/// Heap end and command line, as offsets in the setup segment.
const HEAP_END: u16 = 0xe000;
const COMMAND_LINE: u16 = 0xe000;
const KERNEL_AT: u64 = 0x10_0000;

/// # Errors
/// Why not, in words for the screen; nothing was started.
pub async fn start(bus: &Bus, image: &LinuxImage) -> Result<(), &'static str> {
    let k = &image.kernel;
    if k.len() < 0x260 || &k[0x202..0x206] != b"HdrS" {
        return Err("it is not a bzImage");
    }
    if !bus.direct() {
        return Err("the processor is not in real mode");
    }
    let version = le16(&k[0x206..]);
    if version < 0x0202 || k[0x211] & 1 == 0 {
        return Err("its boot protocol is too old");
    }
    let sects = match k[0x1f1] {
        0 => 4,
        n => usize::from(n),
    };
    let setup_len = (sects + 1) * 512;
    if setup_len > usize::from(HEAP_END) || setup_len > k.len() {
        return Err("its setup part is damaged");
    }
    let ram = &bus.world.ram;
    let top = ram.main_len() - u64::from(ACPI_BYTES);
    let kernel_end = KERNEL_AT + (k.len() - setup_len) as u64;
    // As high as the kernel allows, on a page.
    let limit = if version >= 0x0203 { u64::from(le32(&k[0x22c..])) } else { 0x37ff_ffff };
    let initrd_end = top.min(limit + 1);
    let initrd_at = initrd_end.saturating_sub(image.initrd.len() as u64) & !0xfff;
    if kernel_end > top || !image.initrd.is_empty() && initrd_at < kernel_end + (32 << 20) {
        return Err("the machine has too little memory");
    }
    let mut line = image.command_line.clone().into_bytes();
    let most = if version >= 0x0206 { le32(&k[0x238..]) as usize } else { 255 };
    if line.len() > most.min(0x1000) {
        return Err("the command line is too long");
    }
    line.push(0);

    let mut setup = k[..setup_len].to_vec();
    let base = u32::from(SETUP_SEG) << 4;
    setup[0x210] = 0xff;
    setup[0x211] |= 0x80;
    setup[0x224..0x226].copy_from_slice(&(HEAP_END - 0x200).to_le_bytes());
    setup[0x228..0x22c].copy_from_slice(&(base + u32::from(COMMAND_LINE)).to_le_bytes());
    if !image.initrd.is_empty() {
        setup[0x218..0x21c].copy_from_slice(&(initrd_at as u32).to_le_bytes());
        setup[0x21c..0x220].copy_from_slice(&(image.initrd.len() as u32).to_le_bytes());
    }
    ram.write(u64::from(base), &setup);
    ram.write(u64::from(base) + u64::from(COMMAND_LINE), &line);
    ram.write(KERNEL_AT, &k[setup_len..]);
    ram.write(initrd_at, &image.initrd);
    bus.leave(Leave {
        target: Far::new(SETUP_SEG + 0x20, 0),
        stack: Far::new(SETUP_SEG, HEAP_END),
        es_di: Far::new(SETUP_SEG, 0),
        ds_si: Far::new(SETUP_SEG, 0),
        ..Leave::default()
    })
    .await
}
