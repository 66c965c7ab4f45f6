//! VESA BIOS extensions: INT 10h AH=4Fh. VBE 3.0 and VBE/DDC 1.1, VBE/PM 1.0.

use crate::bda::{self, bda};
use crate::bus::{Bus, Far, le16, lock};
use crate::frame::Frame;
use crate::rom::VIDEO_SEG;
use crate::rom::video as rom;
use crate::state::VbeState;
use crate::video::s3::{self, Linear};
use crate::video::set::dac;
use crate::video::{edid, misc, modes};

const OK: u16 = 0x004f;
const FAILED: u16 = 0x014f;
const NOT_HERE: u16 = 0x024f;
/// Invalid in the current mode.
const WRONG_MODE: u16 = 0x034f;

#[derive(Debug, Clone, Copy)]
struct VbeMode {
    number: u16,
    width: u16,
    height: u16,
    bpp: u8,
}

const fn m(number: u16, width: u16, height: u16, bpp: u8) -> VbeMode {
    VbeMode { number, width, height, bpp }
}

/// VESA numbers; the slots that the standard gives to 24 bits hold 32, as the Trio64 has no packed 24-bit mode.
/// From 140h on: our own.
const MODES: &[VbeMode] = &[
    m(0x100, 640, 400, 8),
    m(0x101, 640, 480, 8),
    m(0x102, 800, 600, 4),
    m(0x103, 800, 600, 8),
    m(0x105, 1024, 768, 8),
    m(0x107, 1280, 1024, 8),
    m(0x10d, 320, 200, 15),
    m(0x10e, 320, 200, 16),
    m(0x10f, 320, 200, 32),
    m(0x110, 640, 480, 15),
    m(0x111, 640, 480, 16),
    m(0x112, 640, 480, 32),
    m(0x113, 800, 600, 15),
    m(0x114, 800, 600, 16),
    m(0x115, 800, 600, 32),
    m(0x116, 1024, 768, 15),
    m(0x117, 1024, 768, 16),
    m(0x118, 1024, 768, 32),
    m(0x119, 1280, 1024, 15),
    m(0x11a, 1280, 1024, 16),
    m(0x11b, 1280, 1024, 32),
    m(0x120, 1600, 1200, 8),
    m(0x121, 1600, 1200, 15),
    m(0x122, 1600, 1200, 16),
    m(0x123, 1600, 1200, 32),
    m(0x140, 1152, 864, 8),
    m(0x141, 1152, 864, 15),
    m(0x142, 1152, 864, 16),
    m(0x143, 1152, 864, 32),
    m(0x144, 1280, 960, 8),
    m(0x145, 1280, 960, 16),
    m(0x146, 1280, 960, 32),
    m(0x147, 1280, 800, 8),
    m(0x148, 1280, 800, 16),
    m(0x149, 1280, 800, 32),
    m(0x14a, 1440, 896, 8),
    m(0x14b, 1440, 896, 16),
    m(0x14c, 1440, 896, 32),
];

impl VbeMode {
    fn linear(&self) -> Linear {
        Linear { width: self.width, height: self.height, bpp: self.bpp }
    }

    fn pitch(&self) -> u32 {
        if self.bpp == 4 { u32::from(self.width) / 8 } else { self.linear().pitch() }
    }

    fn bytes(&self) -> u32 {
        self.pitch() * u32::from(self.height) * if self.bpp == 4 { 4 } else { 1 }
    }
}

fn offered(bus: &Bus) -> impl Iterator<Item = &'static VbeMode> {
    let vram = bus.world.config.vram_bytes;
    MODES.iter().filter(move |m| m.bytes() <= vram)
}

fn find(bus: &Bus, number: u16) -> Option<&'static VbeMode> {
    offered(bus).find(|m| m.number == number & 0x1ff)
}

fn current(bus: &Bus) -> Option<(&'static VbeMode, VbeState)> {
    let v = lock(&bus.world.shared).vbe.clone();
    find(bus, v.mode).map(|m| (m, v))
}

pub async fn serve(bus: &Bus, f: &mut Frame) {
    let ax = match f.al() {
        0x00 => controller(bus, f).await,
        0x01 => mode_info(bus, f).await,
        0x02 => {
            if known(bus, f.bx()) {
                set(bus, f.bx()).await;
                OK
            } else {
                FAILED
            }
        }
        0x03 => {
            let vbe = lock(&bus.world.shared).vbe.mode;
            let bx = if vbe != 0 { vbe } else { u16::from(bus.read8(bda(bda::VIDEO)).await) };
            f.set_bx(bx);
            OK
        }
        0x04 => state(bus, f).await,
        0x05 => window(bus, f).await,
        0x06 => pitch(bus, f).await,
        0x07 => start(bus, f).await,
        0x08 => {
            if current(bus).is_none_or(|(m, _)| m.bpp > 8) {
                FAILED
            } else {
                // The DAC of the Trio64 has six bits a gun.
                f.set_bh(6);
                if f.bl() <= 1 { OK } else { FAILED }
            }
        }
        0x09 => palette(bus, f).await,
        0x10 => power(bus, f).await,
        0x15 => ddc(bus, f).await,
        _ => 0x0100,
    };
    f.set_ax(ax);
}

/// Bit 14 asks for the linear frame buffer: planar modes have none.
fn known(bus: &Bus, bx: u16) -> bool {
    let n = bx & 0x1ff;
    let has = |m: &VbeMode| bx & 0x4000 == 0 || m.bpp != 4;
    n < 0x80 && modes::find(n as u8).is_some() || find(bus, bx).is_some_and(has)
}

/// 4F02: sets a mode that is known. Bit 14: linear, bit 15: keep the memory.
pub async fn set(bus: &Bus, bx: u16) {
    let Some(mode) = find(bus, bx) else {
        Box::pin(crate::video::set::mode(bus, (bx & 0x7f) as u8 | (bx >> 8 & 0x80) as u8)).await;
        return;
    };
    let keep = bx & 0x8000 != 0;
    if mode.bpp == 4 {
        s3::planar(bus, mode.width, mode.height).await;
        dac(bus, 0, &modes::palette(modes::Dac::Ega)).await;
    } else {
        s3::linear(bus, &mode.linear()).await;
        if mode.bpp == 8 {
            dac(bus, 0, &modes::palette(modes::Dac::Vga256)).await;
        }
    }
    if !keep {
        clear(bus, mode).await;
    }
    {
        let mut sh = lock(&bus.world.shared);
        sh.vbe = VbeState { mode: bx & 0x41ff, pitch: mode.pitch(), dac_bits: 6, ..VbeState::default() };
    }
    // The data area says: a graphics mode of so many cells.
    let (cols, rows) = ((mode.width / 8) as u8, (mode.height / 16 - 1) as u8);
    let mut area = vec![0; 0x1e];
    area[0] = if mode.bpp == 4 { 0x6a } else { 0x7f };
    area[1] = cols;
    area[0x1a..0x1c].copy_from_slice(&0x3d4u16.to_le_bytes());
    bus.write(bda(bda::VIDEO), &area).await;
    bus.write(bda(bda::EGA), &[rows, 16, 0]).await;
}

async fn clear(bus: &Bus, mode: &VbeMode) {
    if mode.bpp == 4 {
        return bus.fill_words(Far::new(0xa000, 0), 0x8000, 0).await;
    }
    for bank in 0..mode.bytes().div_ceil(0x1_0000) {
        set_bank(bus, bank as u16).await;
        bus.fill_words(Far::new(0xa000, 0), 0x8000, 0).await;
    }
    set_bank(bus, 0).await;
}

/// CR6A holds the 64 KiB bank of the window.
async fn set_bank(bus: &Bus, bank: u16) {
    s3::write_extended(bus, &[(bank & 0x3f) << 8 | 0x6a]).await;
}

async fn controller(bus: &Bus, f: &Frame) -> u16 {
    let at = Far::new(f.es, f.di());
    let vbe2 = bus.read(at, 4).await == b"VBE2";
    let mut b = vec![0u8; if vbe2 { 512 } else { 256 }];
    b[..4].copy_from_slice(b"VESA");
    b[4..6].copy_from_slice(&0x0300u16.to_le_bytes());
    let far = |off: u16| (u32::from(VIDEO_SEG) << 16 | u32::from(off)).to_le_bytes();
    b[6..10].copy_from_slice(&far(rom::OEM_STRING));
    // The mode list lies in the block itself.
    let list = 0x22;
    b[14..18].copy_from_slice(&Far::new(f.es, f.di().wrapping_add(list)).bits().to_le_bytes());
    b[18..20].copy_from_slice(&((bus.world.config.vram_bytes >> 16) as u16).to_le_bytes());
    if vbe2 {
        b[20..22].copy_from_slice(&0x0100u16.to_le_bytes());
        b[22..26].copy_from_slice(&far(rom::VENDOR_STRING));
        b[26..30].copy_from_slice(&far(rom::PRODUCT_STRING));
        b[30..34].copy_from_slice(&far(rom::REVISION_STRING));
    }
    let mut i = usize::from(list);
    for n in offered(bus).map(|m| m.number).chain([0xffff]) {
        b[i..i + 2].copy_from_slice(&n.to_le_bytes());
        i += 2;
    }
    bus.write(at, &b).await;
    OK
}

async fn mode_info(bus: &Bus, f: &Frame) -> u16 {
    let Some(mode) = find(bus, f.cx()) else { return FAILED };
    let lfb = lock(&bus.world.shared).lfb;
    let planar = mode.bpp == 4;
    let mut b = [0u8; 256];
    let mut w = |at: usize, v: u16| b[at..at + 2].copy_from_slice(&v.to_le_bytes());
    // Supported, optional information, colour, graphics; linear modes: also a frame buffer and not the VGA's.
    w(0, if planar { 0x1b } else { 0xbb });
    w(2, 0x0007);
    w(4, 64);
    w(6, 64);
    w(8, 0xa000);
    w(12, rom::WINDOW);
    w(14, VIDEO_SEG);
    w(16, mode.pitch() as u16);
    w(18, mode.width);
    w(20, mode.height);
    w(50, mode.pitch() as u16);
    b[22] = 8;
    b[23] = 16;
    b[24] = if planar { 4 } else { 1 };
    b[25] = mode.bpp;
    b[26] = 1;
    b[27] = match mode.bpp {
        4 => 3,
        8 => 4,
        _ => 6,
    };
    let pages = (bus.world.config.vram_bytes / mode.bytes()).clamp(1, 256) - 1;
    b[29] = pages as u8;
    b[30] = 1;
    let masks: [u8; 9] = match mode.bpp {
        15 => [5, 10, 5, 5, 5, 0, 1, 15, 0],
        16 => [5, 11, 6, 5, 5, 0, 0, 0, 0],
        32 => [8, 16, 8, 8, 8, 0, 8, 24, 2],
        _ => [0; 9],
    };
    b[31..40].copy_from_slice(&masks);
    if !planar {
        b[40..44].copy_from_slice(&lfb.to_le_bytes());
    }
    b[52] = pages as u8;
    b[53] = pages as u8;
    b[54..62].copy_from_slice(&masks[..8]);
    b[62..66].copy_from_slice(&170_000_000u32.to_le_bytes());
    bus.write(Far::new(f.es, f.di()), &b).await;
    OK
}

/// 4F04: states as in AH=1Ch, and bit 3: the Trio64's own registers and what we know of the mode.
const S3_STATE: &[u8] = &[
    0x31, 0x32, 0x33, 0x34, 0x35, 0x3a, 0x42, 0x43, 0x50, 0x51, 0x53, 0x58, 0x5d, 0x5e, 0x66, 0x67, 0x69,
    0x6a,
];

async fn state(bus: &Bus, f: &mut Frame) -> u16 {
    let states = f.cx() & 15;
    let own = if states & 8 != 0 { 64 } else { 0 };
    let vga = [(1u16, 0x46usize), (2, 0x58), (4, 772)];
    let size: usize = vga.iter().filter(|(b, _)| states & b != 0).map(|(_, n)| n).sum::<usize>() + own;
    let at = Far::new(f.es, f.bx());
    match f.dl() {
        0 => {
            f.set_bx(size.div_ceil(64) as u16);
            OK
        }
        1 => {
            let mut v = Vec::new();
            if own != 0 {
                for i in S3_STATE {
                    v.push(s3::read_extended(bus, *i).await);
                }
                v.push(bus.in_index(0x3c4, 0x12).await);
                v.push(bus.in_index(0x3c4, 0x13).await);
                let s = lock(&bus.world.shared).vbe.clone();
                v.extend(s.mode.to_le_bytes());
                v.extend(s.pitch.to_le_bytes());
                v.extend(s.start_x.to_le_bytes());
                v.extend(s.start_y.to_le_bytes());
                v.resize(64, 0);
            }
            v.extend(misc::save(bus, states & 7).await);
            bus.write(at, &v).await;
            OK
        }
        2 => {
            let v = bus.read(at, size).await;
            misc::restore(bus, states & 7, &v[own..]).await;
            if own != 0 {
                let list: Vec<u16> =
                    S3_STATE.iter().zip(&v).map(|(i, v)| u16::from(*v) << 8 | u16::from(*i)).collect();
                let n = S3_STATE.len();
                let pll =
                    [0x0608, u16::from(v[n]) << 8 | 0x12, u16::from(v[n + 1]) << 8 | 0x13, 0x2015, 0x0015];
                bus.out_pairs(0x3c4, &pll).await;
                s3::write_extended(bus, &list).await;
                let mut sh = lock(&bus.world.shared);
                sh.vbe.mode = le16(&v[n + 2..]);
                sh.vbe.pitch = crate::bus::le32(&v[n + 4..]);
                sh.vbe.start_x = le16(&v[n + 8..]);
                sh.vbe.start_y = le16(&v[n + 10..]);
            }
            OK
        }
        _ => FAILED,
    }
}

/// 4F05. A mode that was set with bit 14 has no window: VBE 2.0 wants AH=03h then.
async fn window(bus: &Bus, f: &mut Frame) -> u16 {
    match current(bus) {
        Some((_, v)) if v.mode & 0x4000 == 0 => {}
        _ => return WRONG_MODE,
    }
    if f.bl() != 0 {
        return FAILED;
    }
    match f.bh() {
        0 if u32::from(f.dx()) << 16 < bus.world.config.vram_bytes => {
            set_bank(bus, f.dx()).await;
            OK
        }
        1 => {
            let bank = s3::read_extended(bus, 0x6a).await;
            f.set_dx(u16::from(bank));
            OK
        }
        _ => FAILED,
    }
}

/// The window function by far call: as 4F05, no status in AX.
pub async fn window_call(bus: &Bus, f: &mut Frame) {
    window(bus, f).await;
}

async fn pitch(bus: &Bus, f: &mut Frame) -> u16 {
    let Some((mode, state)) = current(bus) else { return FAILED };
    if mode.bpp == 4 {
        return FAILED;
    }
    let bpp = mode.linear().bytes_per_pixel();
    let vram = bus.world.config.vram_bytes;
    // CR13 and CR51 count eight bytes in ten bits.
    let most = (1023 * 8u32).min(vram / u32::from(mode.height)) / 8 * 8;
    let bytes = match f.bl() {
        0 => u32::from(f.cx()) * bpp,
        1 => state.pitch,
        2 => u32::from(f.cx()),
        3 => most,
        _ => return FAILED,
    }
    .next_multiple_of(8);
    if bytes > most || bytes < mode.pitch() {
        return NOT_HERE;
    }
    if f.bl() & 1 == 0 {
        let units = bytes / 8;
        bus.out_pairs(0x3d4, &[((units & 0xff) << 8) as u16 | 0x13]).await;
        let v = s3::read_extended(bus, 0x51).await;
        let v = u16::from(v & 0xcf) | ((units >> 8 & 3) as u16) << 4;
        s3::write_extended(bus, &[v << 8 | 0x51]).await;
        lock(&bus.world.shared).vbe.pitch = bytes;
    }
    f.set_bx(bytes as u16);
    f.set_cx((bytes / bpp) as u16);
    f.set_dx((vram / bytes).min(0xffff) as u16);
    OK
}

async fn start(bus: &Bus, f: &mut Frame) -> u16 {
    let Some((mode, state)) = current(bus) else { return FAILED };
    match f.bl() & 0x7f {
        0 => {
            let at = if mode.bpp == 4 {
                u32::from(f.dx()) * mode.pitch() + u32::from(f.cx()) / 8
            } else {
                u32::from(f.dx()) * state.pitch + u32::from(f.cx()) * mode.linear().bytes_per_pixel()
            };
            if at >= bus.world.config.vram_bytes {
                return FAILED;
            }
            let unit = if mode.bpp == 4 { at } else { at / 4 };
            let low = unit as u16;
            bus.out_pairs(0x3d4, &[low & 0xff00 | 0x0c, low << 8 | 0x0d]).await;
            s3::write_extended(bus, &[((unit >> 16 & 0x1f) << 8) as u16 | 0x69]).await;
            let mut sh = lock(&bus.world.shared);
            sh.vbe.start_x = f.cx();
            sh.vbe.start_y = f.dx();
            OK
        }
        1 => {
            f.set_bh(0);
            f.set_cx(state.start_x);
            f.set_dx(state.start_y);
            OK
        }
        _ => FAILED,
    }
}

/// 4F09: entries are blue, green, red, nothing.
async fn palette(bus: &Bus, f: &Frame) -> u16 {
    let (first, n) = (f.dx() as u8, usize::from(f.cx().min(256)));
    let at = Far::new(f.es, f.di());
    match f.bl() & 0x7f {
        0 => {
            let t = bus.read(at, n * 4).await;
            let rgb: Vec<u8> = t.chunks_exact(4).flat_map(|c| [c[2], c[1], c[0]]).collect();
            dac(bus, first, &rgb).await;
            OK
        }
        1 => {
            bus.outb(0x3c7, first).await;
            let rgb = bus.in_bytes(0x3c9, n as u16 * 3).await;
            let t: Vec<u8> = rgb.chunks_exact(3).flat_map(|c| [c[2], c[1], c[0], 0]).collect();
            bus.write(at, &t).await;
            OK
        }
        _ => FAILED,
    }
}

/// 4F10: the monitor's power by the sync outputs, CR56.
async fn power(bus: &Bus, f: &mut Frame) -> u16 {
    match f.bl() {
        0 => {
            f.set_bx(0x0710);
            OK
        }
        1 => {
            let syncs = match f.bh() {
                0 => 0,
                1 => 2,
                2 => 4,
                4 => 6u16,
                _ => return FAILED,
            };
            s3::write_extended(bus, &[syncs << 8 | 0x56]).await;
            lock(&bus.world.shared).vbe.power = f.bh();
            OK
        }
        2 => {
            let v = lock(&bus.world.shared).vbe.power;
            f.set_bh(v);
            OK
        }
        _ => FAILED,
    }
}

/// 4F15: EDID.
async fn ddc(bus: &Bus, f: &mut Frame) -> u16 {
    match f.bl() {
        0 => {
            // DDC2, about a second to a block; the screen isn't blanked meanwhile.
            f.set_bx(0x0102);
            OK
        }
        1 if f.dx() == 0 => {
            bus.write(Far::new(f.es, f.di()), &edid::block()).await;
            OK
        }
        _ => FAILED,
    }
}
