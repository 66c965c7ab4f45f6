use super::guest::Guest;
use crate::bus::{le16, le32, lock};
use crate::frame::{CF, Frame, ZF};
use crate::state::Drive;
use crate::video::s3::pll;
use crate::video::{edid, modes};

fn drive(sectors: u64) -> Drive {
    Drive {
        unit: 0,
        atapi: false,
        sectors,
        cylinders: 16383,
        heads: 16,
        spt: 63,
        log_cylinders: 1024,
        log_heads: 255,
        multiple: 16,
        dma: true,
        model: "Virtual HD".into(),
    }
}

fn with_disk() -> Guest {
    let g = Guest::new();
    lock(&g.bench.dev.world().shared).disks.push(drive(20_000_000));
    g
}

#[test]
fn memory_map_is_sorted_and_agrees_with_the_older_calls() {
    let mut g = Guest::new();
    let (mut ebx, mut map) = (0, Vec::new());
    loop {
        let f = g.call(Frame {
            service: 0x15,
            eax: 0xe820,
            ebx,
            // Some ask for 24 bytes; 20 come back.
            ecx: 24,
            edx: 0x534d_4150,
            es: 0x2000,
            ..Frame::default()
        });
        assert_eq!((f.flags & CF, f.eax, f.ecx), (0, 0x534d_4150, 20));
        let b = g.bytes(0x2_0000, 20);
        map.push((le32(&b), le32(&b[4..]), le32(&b[8..]), le32(&b[16..])));
        ebx = f.ebx;
        if ebx == 0 {
            break;
        }
    }
    assert_eq!(map[0], (0, 0, 0x9_fc00, 1));
    for w in map.windows(2) {
        assert!(u64::from(w[0].0) + u64::from(w[0].2) <= u64::from(w[1].0));
    }
    let high = map.iter().find(|r| r.0 == 0x10_0000).unwrap();
    assert_eq!(high.3, 1);
    let f = g.int(0x15, 0x8800, 0, 0, 0);
    assert_eq!(u32::from(f.ax()) * 1024, high.2);
    let f = g.int(0x15, 0xe801, 0, 0, 0);
    assert_eq!((u32::from(f.ax()) + u32::from(f.bx()) * 64) * 1024, high.2);
    assert_eq!((f.ax(), f.bx()), (f.cx(), f.dx()));
}

#[test]
fn unknown_functions() {
    let mut g = Guest::new();
    let f = g.int(0x15, 0xe980, 0, 0, 0);
    assert_eq!((f.ah(), f.flags & CF), (0x86, CF));
    // NT's loader tries this one; everything stays.
    let f = g.int(0x10, 0x2000, 0x0301, 5, 6);
    assert_eq!((f.eax, f.ebx, f.ecx, f.edx), (0x2000, 0x0301, 5, 6));
    let f = g.int(0x13, 0x4100, 0x55aa, 0, 0x0081);
    assert_eq!((f.ah(), f.flags & CF), (1, CF));
}

#[test]
fn block_move_copies_above_one_megabyte() {
    let mut g = Guest::new();
    g.bench.ram.write(0x5000, b"heirloom");
    let mut gdt = [0u8; 48];
    gdt[18..21].copy_from_slice(&[0x00, 0x50, 0x00]);
    gdt[26..29].copy_from_slice(&[0x00, 0x00, 0x20]);
    g.bench.ram.write(0x2_0000, &gdt);
    let f = g.int(0x15, 0x8700, 0, 4, 0);
    assert_eq!((f.ah(), f.flags & (CF | ZF)), (0, ZF));
    assert_eq!(g.bytes(0x20_0000, 8), b"heirloom");
}

#[test]
fn edd_parameters_in_all_sizes() {
    let mut g = with_disk();
    let f = g.int(0x13, 0x4100, 0x55aa, 0, 0x80);
    assert_eq!((f.bx(), f.cx(), f.flags & CF), (0xaa55, 7, 0));
    for (size, expect) in [(0x1a, 0x1a), (0x1e, 0x1e), (0x42, 0x42), (0x4a, 0x4a), (0x100, 0x4a)] {
        g.bench.ram.write(0x3_0000, &[0xcd; 0x110]);
        g.bench.ram.write(0x3_0000, &(size as u16).to_le_bytes());
        let f = g.int(0x13, 0x4800, 0, 0, 0x80);
        assert_eq!(f.flags & CF, 0);
        let b = g.bytes(0x3_0000, 0x110);
        assert_eq!(usize::from(le16(&b)), expect);
        assert_eq!(le32(&b[16..]), 20_000_000);
        assert_eq!(b[expect], 0xcd, "nothing beyond the size");
        if expect >= 0x42 {
            assert_eq!(crate::rom::checksum(&b[30..expect]), 0);
        }
    }
    g.bench.ram.write(0x3_0000, &[0x19, 0]);
    assert_eq!(g.int(0x13, 0x4800, 0, 0, 0x80).ah(), 1);
}

#[test]
fn edd_read_beyond_the_end_does_nothing() {
    let mut g = with_disk();
    let mut dap = [0u8; 16];
    dap[0] = 16;
    dap[2] = 2;
    dap[8..12].copy_from_slice(&19_999_999u32.to_le_bytes());
    g.bench.ram.write(0x3_0000, &dap);
    let f = g.int(0x13, 0x4200, 0, 0, 0x80);
    assert_eq!((f.ah(), f.flags & CF), (1, CF));
    assert_eq!(g.bytes(0x3_0002, 2), [0, 0]);
}

#[test]
fn disk_reads_through_the_task_file() {
    let mut g = with_disk();
    // Ready with data at once.
    g.ports.inputs.extend([(0x1f7, 0x58), (0x3f6, 0x58), (0x1f0, 0x6c72_6568)]);
    // Cylinder 1, head 3, sector 2, two of them.
    let f = g.int(0x13, 0x0202, 0x0100, 0x0102, 0x0380);
    assert_eq!((f.ah(), f.al(), f.flags & CF), (0, 2, 0));
    assert_eq!(g.bytes(0x2_0100, 4), b"herl");
    assert_eq!(g.bytes(0x2_0100 + 1020, 6), b"herl\0\0");
    let lba = (255 + 3) * 63 + 1u32;
    let sent: Vec<u32> = (0x1f2..=0x1f7).map(|p| g.ports.values[&p]).collect();
    assert_eq!(sent, [2, lba & 0xff, lba >> 8 & 0xff, lba >> 16, 0xe0, 0xc4]);
    // Interrupts of the drive are on again.
    assert_eq!(g.ports.values[&0x3f6], 8);
}

#[test]
fn geometry_is_what_transfers_use() {
    let mut g = with_disk();
    lock(&g.bench.dev.world().shared).locks.clear();
    let f = g.int(0x13, 0x0800, 0, 0, 0x80);
    assert_eq!((f.ch(), f.cl(), f.dh(), f.dl()), (0xff, 0xff, 254, 1));
    let f = g.int(0x13, 0x1500, 0, 0, 0x80);
    assert_eq!(f.ah(), 3);
    assert_eq!(u32::from(f.cx()) << 16 | u32::from(f.dx()), 1024 * 255 * 63);
    assert_ne!(g.int(0x13, 0x0800, 0, 0, 0x81).flags & CF, 0);
}

fn pci(g: &mut Guest, devfn: u8, reg: u8, v: u32) {
    g.ports.config.insert((devfn, reg), v);
}

#[test]
fn pci_bios() {
    let mut g = Guest::new();
    pci(&mut g, 0x00, 0x00, 0x7192_8086);
    pci(&mut g, 0x00, 0x08, 0x0600_0003);
    pci(&mut g, 0x00, 0x0c, 0);
    pci(&mut g, 0x40, 0x00, 0x8811_5333);
    pci(&mut g, 0x40, 0x08, 0x0300_0000);
    pci(&mut g, 0x40, 0x0c, 0);
    let f = g.int(0x1a, 0xb101, 0, 0, 0);
    assert_eq!((f.ah(), f.al(), f.bx(), f.cl(), f.edx), (0, 1, 0x0210, 0, 0x2049_4350));
    let f = g.int(0x1a, 0xb102, 0, 0x8811, 0x5333);
    assert_eq!((f.ah(), f.bx(), f.flags & CF), (0, 0x40, 0));
    assert_eq!(g.int(0x1a, 0xb102, 0, 0x1234, 0x5333).ah(), 0x86);
    assert_eq!(g.int(0x1a, 0xb102, 0, 0, 0xffff).ah(), 0x83);
    let f = g.call(Frame { service: 0x1a, eax: 0xb103, ecx: 0x03_0000, ..Frame::default() });
    assert_eq!(f.bx(), 0x40);
    let f = g.call(Frame { service: 0x1a, eax: 0xb109, ebx: 0x40, edi: 2, ..Frame::default() });
    assert_eq!(f.cx(), 0x8811);
    let f = g.call(Frame { service: 0x1a, eax: 0xb109, ebx: 0x40, edi: 3, ..Frame::default() });
    assert_eq!((f.ah(), f.flags & CF), (0x87, CF));
    // The 32-bit entry gives the same answers, and needs port operations only.
    g.ops.clear();
    let f =
        g.call(Frame { service: 0x112, msw: 1, eax: 0xb102, ecx: 0x8811, edx: 0x5333, ..Frame::default() });
    assert_eq!(f.bx(), 0x40);
    use crate::rom::kernel::Op;
    assert!(g.ops.iter().all(|o| matches!(o, Op::Out32 | Op::In32 | Op::In8 | Op::In16 | Op::Done)));
}

#[test]
fn teletype_scrolls_the_text_screen() {
    let mut g = Guest::new();
    g.int(0x10, 0x0003, 0, 0, 0);
    assert_eq!(g.bytes(0x449, 3), [3, 80, 0]);
    for line in 0..26u8 {
        g.int(0x10, 0x0e00 | u16::from(b'A' + line), 7, 0, 0);
        g.int(0x10, 0x0e0d, 7, 0, 0);
        g.int(0x10, 0x0e0a, 7, 0, 0);
    }
    // 26 lines and a new one: two have gone.
    assert_eq!(g.vga[0x1_8000], b'C');
    assert_eq!(g.vga[0x1_8000 + 160 * 23], b'Z');
    assert_eq!(g.vga[0x1_8000 + 160 * 24..][..2], [0x20, 7]);
    assert_eq!(g.int(0x10, 0x0300, 0, 0, 0).dx(), 24 << 8);
    // CR0E and CR0F follow.
    let c = &g.ports.index[&0x3d4];
    assert_eq!(u16::from(c[&0x0e]) << 8 | u16::from(c[&0x0f]), 24 * 80);
}

/// Drivers interpret this code: nothing but ports and memory may occur.
#[test]
fn video_needs_no_privilege() {
    use crate::rom::kernel::Op;
    let mut g = Guest::new();
    for ax in [0x0012, 0x0e41, 0x0c01, 0x0013, 0x0e42, 0x4f02, 0x0600, 0x1130, 0x1a00, 0x1b00, 0x0003] {
        let bx = if ax == 0x4f02 { 0x4103 } else { 0 };
        g.int(0x10, ax, bx, 0, 0x184f);
    }
    assert!(!g.ops.iter().any(|o| matches!(o, Op::Relax | Op::Halt | Op::CallInt | Op::Call)));
    // And memory only through operations: the caller's pages may lie anywhere.
    assert!(g.ops.contains(&Op::Read8));
}

#[test]
fn vbe_says_what_it_sets() {
    let mut g = Guest::new();
    lock(&g.bench.dev.world().shared).lfb = 0xf800_0000;
    g.bench.ram.write(0x2_0000, b"VBE2");
    assert_eq!(g.int(0x10, 0x4f00, 0, 0, 0).ax(), 0x004f);
    let b = g.bytes(0x2_0000, 512);
    assert_eq!((&b[..4], le16(&b[4..]), le16(&b[18..])), (&b"VESA"[..], 0x0300, 64));
    let list = le32(&b[14..]);
    let mut at = (list >> 16) * 16 + (list & 0xffff);
    let mut seen = 0;
    loop {
        let mode = le16(&g.bytes(at, 2));
        if mode == 0xffff {
            break;
        }
        assert_eq!(g.int(0x10, 0x4f01, 0, mode, 0).ax(), 0x004f);
        let m = g.bytes(0x2_0000, 256);
        assert_eq!(m[0] & 1, 1);
        let bytes = u32::from(le16(&m[16..])) * u32::from(le16(&m[20..]));
        assert!(bytes <= 4 << 20);
        if m[0] & 0x80 != 0 {
            assert_eq!(le32(&m[40..]), 0xf800_0000);
        }
        // The information block was overwritten: bring the list back.
        g.bench.ram.write(0x2_0000, &b);
        at += 2;
        seen += 1;
    }
    assert!(seen > 15);
    assert_eq!(g.int(0x10, 0x4f02, 0x4103, 0, 0).ax(), 0x004f);
    assert_eq!(g.int(0x10, 0x4f03, 0, 0, 0).bx(), 0x4103);
    // 800 pixels: CR01 counts characters.
    assert_eq!(g.ports.index[&0x3d4][&1], 99);
    assert_eq!(g.int(0x10, 0x4f02, 0x01ff, 0, 0).ax(), 0x014f);
    assert_eq!(g.int(0x10, 0x4fee, 0, 0, 0).ax(), 0x0100);
}

/// VBE 2.0, function 05h: fails with AH=03h where the mode was set with bit 14, and only there.
#[test]
fn vbe_windows_are_for_modes_without_the_linear_frame_buffer() {
    let mut g = Guest::new();
    let bank = |g: &Guest| g.ports.index[&0x3d4][&0x6a];
    // Text: no VBE mode is set.
    assert_eq!(g.int(0x10, 0x4f05, 0x0000, 0, 1).ax(), 0x034f);
    for mode in [0x0101, 0x0111, 0x0102] {
        assert_eq!(g.int(0x10, 0x4f02, mode, 0, 0).ax(), 0x004f);
        assert_eq!(g.int(0x10, 0x4f05, 0x0000, 0, 3).ax(), 0x004f, "mode {mode:x}");
        assert_eq!(bank(&g), 3);
        let f = g.int(0x10, 0x4f05, 0x0100, 0, 0);
        assert_eq!((f.ax(), f.dx()), (0x004f, 3));
        // There is no window B, and no bank behind the memory.
        assert_eq!(g.int(0x10, 0x4f05, 0x0001, 0, 1).ax(), 0x014f);
        assert_eq!(g.int(0x10, 0x4f05, 0x0000, 0, 64).ax(), 0x014f);
        assert_eq!(bank(&g), 3);
    }
    assert_eq!(g.int(0x10, 0x4f02, 0x4101, 0, 0).ax(), 0x004f);
    for bx in [0x0000, 0x0100] {
        assert_eq!(g.int(0x10, 0x4f05, bx, 0, 3).ax(), 0x034f);
    }
    assert_eq!(bank(&g), 0);
    // A planar mode has no linear frame buffer to ask for; the mode stays.
    assert_eq!(g.int(0x10, 0x4f02, 0x4102, 0, 0).ax(), 0x014f);
    assert_eq!(g.int(0x10, 0x4f03, 0, 0, 0).bx(), 0x4101);
    // Without bit 14 the window is there again.
    assert_eq!(g.int(0x10, 0x4f02, 0x0101, 0, 0).ax(), 0x004f);
    assert_eq!(g.int(0x10, 0x4f05, 0x0000, 0, 2).ax(), 0x004f);
}

#[test]
fn clocks_come_close() {
    for khz in [25_175, 31_500, 40_000, 65_000, 108_000, 135_000] {
        let (low, m) = pll(khz);
        let (n, r) = (u32::from(low & 31), low >> 5);
        let got = 14_318 * (u32::from(m) + 2) / ((n + 2) << r);
        assert!(got.abs_diff(khz) * 100 < khz, "{khz} gives {got}");
    }
}

#[test]
fn palettes_and_edid() {
    let ega = modes::palette(modes::Dac::Ega);
    assert_eq!(ega[3 * 0x14..][..3], [0x2a, 0x15, 0]);
    assert_eq!(ega[3 * 0x3f..][..3], [0x3f; 3]);
    let vga = modes::palette(modes::Dac::Vga256);
    assert_eq!((&vga[3 * 32..][..3], &vga[3 * 40..][..3]), (&[0, 0, 63][..], &[63, 0, 0][..]));
    assert_eq!(modes::parameter_table().len(), 29 * 64);
    assert_eq!(crate::rom::checksum(&edid::block()), 0);
}

#[test]
fn keys_go_through_the_ring() {
    let mut g = Guest::new();
    g.bench.ram.write(0x480, &[0x1e, 0, 0x3e, 0]);
    g.bench.ram.write(0x41a, &[0x1e, 0, 0x1e, 0]);
    // INT 15h is ours.
    g.bench.ram.write(4 * 0x15, &[0x59, 0xf8, 0x00, 0xf0]);
    g.ports.values.insert(0x64, 1);
    let press = |g: &mut Guest, code: u32| {
        g.ports.queues.entry(0x60).or_default().push_back(code);
        g.int(0x09, 0, 0, 0, 0);
    };
    for code in [0x1e, 0x9e, 0x2a, 0x1e, 0x9e, 0xaa, 0xe0, 0x48, 0xe0, 0xc8] {
        press(&mut g, code);
    }
    assert_eq!(g.int(0x16, 0x0100, 0, 0, 0).ax(), 0x1e61);
    assert_eq!(g.int(0x16, 0, 0, 0, 0).ax(), 0x1e61);
    assert_eq!(g.int(0x16, 0, 0, 0, 0).ax(), 0x1e41);
    assert_eq!(g.int(0x16, 0x1000, 0, 0, 0).ax(), 0x48e0);
    assert_ne!(g.int(0x16, 0x0100, 0, 0, 0).flags & ZF, 0);
    // AH=00h hides the mark of the grey keys; AH=05h puts keys in, 15 of them.
    for n in 0..16 {
        let f = g.int(0x16, 0x0500, 0, 0x48e0, 0);
        assert_eq!(f.al(), u8::from(n == 15));
    }
    assert_eq!(g.int(0x16, 0, 0, 0, 0).ax(), 0x4800);
}

#[test]
fn time_of_day_goes_in_and_out() {
    let mut g = Guest::new();
    g.int(0x1a, 0x0300, 0, 0x1234, 0x5601);
    let f = g.int(0x1a, 0x0200, 0, 0, 0);
    assert_eq!((f.cx(), f.dx(), f.flags & CF), (0x1234, 0x5601, 0));
    g.int(0x1a, 0x0500, 0, 0x2006, 0x0222);
    let f = g.int(0x1a, 0x0400, 0, 0, 0);
    assert_eq!((f.cx(), f.dx()), (0x2006, 0x0222));
    // A clock that updates for ever is reported, not waited for.
    g.ports.index.entry(0x70).or_default().insert(0x0a, 0x80);
    assert_ne!(g.int(0x1a, 0x0200, 0, 0, 0).flags & CF, 0);
}
