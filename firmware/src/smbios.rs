//! SMBIOS 2.3 structures with Virtual PC's identity. DMTF DSP0119, section 3.

use crate::bus::Bus;
use crate::config::Config;
use crate::post_put;
use crate::rom::{checksum, tables};

struct Writer {
    out: Vec<u8>,
    handle: u16,
    count: u16,
    largest: usize,
}

impl Writer {
    /// One structure; strings are numbered from 1 in the order given. Returns its handle.
    fn add(&mut self, kind: u8, body: &[u8], strings: &[&str]) -> u16 {
        let start = self.out.len();
        let handle = self.handle;
        self.out.extend([kind, 4 + body.len() as u8]);
        self.out.extend(handle.to_le_bytes());
        self.out.extend(body);
        for s in strings {
            self.out.extend(s.bytes());
            self.out.push(0);
        }
        if strings.is_empty() {
            self.out.push(0);
        }
        self.out.push(0);
        self.handle += 1;
        self.count += 1;
        self.largest = self.largest.max(self.out.len() - start);
        handle
    }
}

/// The structure table and how many, and the largest.
pub fn structures(c: &Config) -> (Vec<u8>, u16, u16) {
    let mut w = Writer { out: Vec::new(), handle: 0, count: 0, largest: 0 };
    let vendor = "Microsoft Corporation";
    // 0: BIOS. Characteristics: PCI, PnP, APM, shadowing, boot from CD, selectable boot, EDD, print screen,
    // 8042, serial, printer, CGA video; ACPI.
    let mut b = vec![1, 2, 0x00, 0xf0, 3, 0x03];
    b.extend(0x0000_0000_7c09_9e90u64.to_le_bytes());
    b.extend([0x01]);
    w.add(0, &b, &["American Megatrends Inc.", "080002 ", "02/22/2006"]);
    // 1: system. The UUID's first three fields are little-endian.
    let u = &c.uuid;
    let mut b = vec![1, 2, 3, 4];
    b.extend([u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6]]);
    b.extend(&u[8..]);
    b.push(6);
    w.add(1, &b, &[vendor, "Virtual Machine", "VS2005R2", &c.serial]);
    w.add(2, &[1, 2, 3, 4], &[vendor, "Virtual Machine", "5.0", &c.serial]);
    w.add(3, &[1, 3, 2, 3, 4, 3, 3, 3, 3, 0, 0, 0, 0], &[vendor, "5.0", &c.serial, &c.serial]);
    // 4: processor: socket, CPU, family unknown, external clock 133 MHz.
    let mut b = vec![1, 3, 0x02, 2];
    b.extend([0; 8]);
    b.extend([3, 0x8b, 0x85, 0x00]);
    b.extend(2000u16.to_le_bytes());
    b.extend(2000u16.to_le_bytes());
    b.extend([0x41, 0x06]);
    b.extend([0xff; 6]);
    b.extend([0, 0, 0]);
    w.add(4, &b, &["None", "GenuineIntel", "1.5"]);
    let kb = (c.ram_bytes >> 10) as u32;
    let whole = vec![c.ram_bytes >> 20];
    let listed = c.modules_mib.iter().sum::<u64>() << 20 == c.ram_bytes;
    let modules = if listed { &c.modules_mib } else { &whole };
    // 16: system board memory, no error correction, so many modules.
    let mut b = vec![3, 3, 3];
    b.extend(kb.to_le_bytes());
    b.extend([0xfe, 0xff]);
    b.extend((modules.len() as u16).to_le_bytes());
    let array = w.add(16, &b, &[]);
    // 17: each of them, 64 bits wide.
    let dimms: Vec<u16> = modules
        .iter()
        .enumerate()
        .map(|(n, mib)| {
            let mut b = array.to_le_bytes().to_vec();
            b.extend([0xfe, 0xff, 64, 0, 64, 0]);
            b.extend((*mib as u16).to_le_bytes());
            b.extend([9, 0, 1, 0, 15, 0, 0]);
            b.extend([0, 0, 0, 0, 0, 0]);
            w.add(17, &b, &[&format!("DIMM{n}")])
        })
        .collect();
    // 19, 20: where all of it is, and each of them.
    let range = |from_kb: u32, kb: u32| {
        let mut b = from_kb.to_le_bytes().to_vec();
        b.extend((from_kb + kb - 1).to_le_bytes());
        b
    };
    let mut b = range(0, kb);
    b.extend(array.to_le_bytes());
    b.push(modules.len() as u8);
    let map = w.add(19, &b, &[]);
    let mut from = 0;
    for (mib, dimm) in modules.iter().zip(dimms) {
        let kb = (*mib << 10) as u32;
        let mut b = range(from, kb);
        b.extend(dimm.to_le_bytes());
        b.extend(map.to_le_bytes());
        b.extend([1, 0, 0]);
        w.add(20, &b, &[]);
        from += kb;
    }
    // 32: no errors at boot.
    w.add(32, &[0; 7], &[]);
    w.add(127, &[], &[]);
    (w.out, w.count, w.largest as u16)
}

pub fn entry(table_at: u32, len: u16, count: u16, largest: u16) -> [u8; 0x1f] {
    let mut e = [0u8; 0x1f];
    e[..4].copy_from_slice(b"_SM_");
    e[5] = 0x1f;
    e[6..8].copy_from_slice(&[2, 3]);
    e[8..10].copy_from_slice(&largest.to_le_bytes());
    e[0x10..0x15].copy_from_slice(b"_DMI_");
    e[0x16..0x18].copy_from_slice(&len.to_le_bytes());
    e[0x18..0x1c].copy_from_slice(&table_at.to_le_bytes());
    e[0x1c..0x1e].copy_from_slice(&count.to_le_bytes());
    e[0x1e] = 0x23;
    e[0x15] = checksum(&e[0x10..]);
    e[4] = checksum(&e);
    e
}

/// Writes entry point and structures into the F segment.
pub fn install(bus: &Bus) {
    let (t, count, largest) = structures(&bus.world.config);
    let at = 0xf_0000 + u32::from(tables::SMBIOS_TABLE);
    post_put(bus, tables::SMBIOS_TABLE, &t);
    post_put(bus, tables::SMBIOS, &entry(at, t.len() as u16, count, largest));
}
