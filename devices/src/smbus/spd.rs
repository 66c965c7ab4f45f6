//! What the modules of a memory size say of themselves: serial presence detect of SDRAM. JEDEC 21-C, 4.1.2.5 (revision
//! 1.2B); bytes 126 and 127 as Intel's PC SDRAM SPD specification 1.2A has them.

/// Sockets of a 440BX board, and sides of their modules.
const SOCKETS: usize = 4;
const ROWS: usize = 8;
/// Smallest and largest side, MiB.
const SMALLEST: u64 = 4;
const LARGEST: u64 = 512;

/// Chips that make a side of 64 bits: row and column address bits, width. All have four banks, so that any two sides
/// go together; below 16 MiB no such chips were made.
const fn chips(mib: u64) -> (u8, u8, u8) {
    match mib {
        4 => (11, 6, 32),
        8 => (11, 7, 32),
        16 => (11, 8, 32),
        32 => (12, 8, 16),
        64 => (12, 9, 8),
        128 => (12, 10, 8),
        256 => (13, 10, 8),
        _ => (13, 11, 8),
    }
}

/// Sides that add up to the memory: powers of two, largest first. What no side is small enough for, or has no socket
/// left, is not among them.
fn sides(ram: u64) -> Vec<u64> {
    let mut left = ram >> 20;
    let mut all = Vec::new();
    while left >= SMALLEST && all.len() < ROWS {
        let side = (1 << left.ilog2()).min(LARGEST);
        all.push(side);
        left -= side;
    }
    all
}

/// Modules that the sides make: equal ones share a module; if there are too few sockets any two do.
fn modules_of(sides: &[u64]) -> Vec<&[u64]> {
    let mut all = Vec::new();
    let mut rest = sides;
    while let Some(first) = rest.first() {
        let pair = if rest.get(1) == Some(first) { 2 } else { 1 };
        all.push(&rest[..pair]);
        rest = &rest[pair..];
    }
    if all.len() > SOCKETS { sides.chunks(2).collect() } else { all }
}

/// What each module of a machine with so many bytes of RAM holds, MiB.
pub fn sizes(ram: u64) -> Vec<u64> {
    modules_of(&sides(ram)).into_iter().map(|m| m.iter().sum()).collect()
}

/// Contents of the EEPROMs of a machine with so many bytes of RAM.
pub fn modules(ram: u64) -> Vec<[u8; 256]> {
    let sides = sides(ram);
    modules_of(&sides).into_iter().zip(1..).map(|(m, n)| image(m, n)).collect()
}

fn image(sides: &[u64], serial: u8) -> [u8; 256] {
    let mut b = [0; 256];
    let ((rows, columns, width), last) = (chips(sides[0]), chips(sides[sides.len() - 1]));
    // The high nibbles are the second side's, if it is another.
    let other = |first: u8, second: u8| if second == first { first } else { second << 4 | first };
    let uneven = sides[0] != sides[sides.len() - 1];
    let (rows, columns) =
        if uneven { (other(rows, last.0), other(columns, last.1)) } else { (rows, columns) };
    // One bit for each size from 4 MiB on.
    let density = sides.iter().fold(0, |v, s| v | 1 << (s / SMALLEST).ilog2());
    let first: [u8; 36] = [
        128, // bytes written
        8,   // of 2^8
        4,   // SDRAM
        rows,
        columns,
        sides.len() as u8,
        64,
        0, // bits
        1, // LVTTL
        0x80,
        0x60, // 8 ns a clock, data after 6 ns, at CAS latency 3
        0,    // no parity
        0x80, // refresh each 15.6 us, by itself
        width,
        0,    // no check bits
        1,    // clocks between random columns
        0x8f, // bursts of 1, 2, 4, 8 and a page
        4,    // banks inside a chip
        0x06, // CAS latency 2 and 3
        1,
        1,    // CS and write latency 0
        0,    // not buffered
        0x0e, // precharge all, auto precharge, write 1/read burst
        0xa0,
        0x60, // 10 ns, 6 ns at CAS latency 2
        0,
        0, // no CAS latency 1
        20,
        16,
        20,
        50, // tRP, tRRD, tRCD, tRAS in ns
        density,
        0x20,
        0x10, // setup and hold of addresses: 2 ns, 1 ns
        0x20,
        0x10, // of data
    ];
    b[..36].copy_from_slice(&first);
    b[62] = 0x12;
    b[63] = b[..63].iter().fold(0, |s: u8, v| s.wrapping_add(*v));
    let mib: u64 = sides.iter().sum();
    let part = format!("HEIRLOOM-{mib:<9}");
    b[73..91].copy_from_slice(&part.as_bytes()[..18]);
    // Year and week of the board's BIOS.
    b[93..95].copy_from_slice(&[0x06, 0x08]);
    b[95..99].copy_from_slice(&u32::from(serial).to_be_bytes());
    // 100 MHz; all clocks, CAS latencies 3 and 2, concurrent auto precharge.
    b[126..128].copy_from_slice(&[100, 0xf7]);
    b
}
