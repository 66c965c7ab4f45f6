//! The DSDT: ACPI 1.0b, 32-bit integers, no construct that the first interpreters lack.

use super::Legacy;
use super::aml::*;
use crate::wiring::{self, PIRQ_CHOICE, PIRQRC, PM_BASE, SLOTS, SMBUS_BASE};

const LINKS: [&str; 4] = ["LNKA", "LNKB", "LNKC", "LNKD"];
const FIELDS: [&str; 4] = ["PRQA", "PRQB", "PRQC", "PRQD"];

/// The definition block's body. `top`: end of RAM, where the PCI memory window begins.
pub fn body(top: u32, has: Legacy) -> Aml {
    cat(&[
        scope("\\_PR", &[processor("CPU0", 0, u32::from(PM_BASE) + 0x10, 6)]),
        scope("\\_SB", &[pci0(top, has), links()]),
        scope("\\_GPE", &[]),
        sleep("\\_S1", 4),
        sleep("\\_S4", 1),
        sleep("\\_S5", 0),
    ])
}

fn sleep(n: &str, typ: u32) -> Aml {
    name(n, package(&[int(typ), int(typ), int(0), int(0)]))
}

fn pci0(top: u32, has: Legacy) -> Aml {
    let mut crs = res::word_window(2, 0, 0xff);
    crs.extend(res::io(0xcf8, 8));
    crs.extend(res::word_window(1, 0x0000, 0x0cf7));
    crs.extend(res::word_window(1, 0x0d00, 0xffff));
    crs.extend(res::memory_window(0x000a_0000, 0x000b_ffff));
    crs.extend(res::memory_window(top, wiring::PCI_MEM_END));
    device(
        "PCI0",
        &[
            name("_HID", eisa("PNP0A03")),
            name("_ADR", int(0)),
            name("_UID", int(0)),
            name("_CRS", buffer(&res::end(crs))),
            name("_PRT", routing()),
            device("VGA", &[name("_ADR", int(0x0008_0000))]),
            isa(has),
            device("IDE0", &[name("_ADR", int(0x0007_0001))]),
            device("PM", &[name("_ADR", int(0x0007_0003))]),
        ],
    )
}

fn routing() -> Aml {
    let mut entries = Vec::new();
    for s in SLOTS {
        for pin in 0..4u8 {
            let link = LINKS[usize::from(wiring::pirq(s.dev, pin))];
            let address = u32::from(s.dev) << 16 | 0xffff;
            entries.push(package(&[
                int(address),
                int(u32::from(pin)),
                path(&format!("\\_SB.{link}")),
                int(0),
            ]));
        }
    }
    package(&entries)
}

fn links() -> Aml {
    let mut out = Aml::new();
    for (i, (link, field)) in LINKS.iter().zip(FIELDS).enumerate() {
        let reg = || path(&format!("\\_SB.PCI0.ISA.{field}"));
        let off = || and(reg(), int(0x80), NOWHERE);
        let current = buffer(&res::end(res::irq_shared(0)));
        out.extend(device(
            link,
            &[
                name("_HID", eisa("PNP0C0F")),
                name("_UID", int(i as u32 + 1)),
                name("_PRS", buffer(&res::end(res::irq_shared(PIRQ_CHOICE)))),
                name("BUFA", current),
                method("_STA", 0, false, &[if_else(off(), &[ret(int(9))], &[]), ret(int(11))]),
                method("_DIS", 0, false, &[or(reg(), int(0x80), &reg())]),
                method(
                    "_CRS",
                    0,
                    true,
                    &[
                        word_field(path("BUFA"), 1, "IRQW"),
                        if_else(
                            off(),
                            &[store(int(0), &path("IRQW"))],
                            &[
                                and(reg(), int(15), LOCAL0),
                                shift_left(int(1), LOCAL0.to_vec(), &path("IRQW")),
                            ],
                        ),
                        ret(path("BUFA")),
                    ],
                ),
                method(
                    "_SRS",
                    1,
                    true,
                    &[
                        word_field(ARG0.to_vec(), 1, "IRQS"),
                        lowest_bit(path("IRQS"), LOCAL0),
                        decrement(LOCAL0),
                        store(LOCAL0.to_vec(), &reg()),
                    ],
                ),
            ],
        ));
    }
    out
}

fn part(n: &str, id: &str, crs: &[Vec<u8>]) -> Aml {
    part_uid(n, id, None, crs)
}

fn part_uid(n: &str, id: &str, uid: Option<u32>, crs: &[Vec<u8>]) -> Aml {
    let mut body = vec![name("_HID", eisa(id))];
    if let Some(u) = uid {
        body.push(name("_UID", int(u)));
    }
    body.push(name("_CRS", buffer(&res::end(crs.concat()))));
    device(n, &body)
}

fn isa(has: Legacy) -> Aml {
    use res::{dma, io, irq};
    let units: Vec<(&str, u8)> = FIELDS.iter().map(|f| (*f, 8)).collect();
    let mut body = vec![
        name("_ADR", int(0x0007_0000)),
        region("PIRQ", 2, u32::from(PIRQRC), 4),
        field("PIRQ", &units),
        part("PIC", "PNP0000", &[io(0x20, 2), io(0xa0, 2), io(0x4d0, 2), irq(2)]),
        part("TMR", "PNP0100", &[io(0x40, 4), irq(0)]),
        part("DMAC", "PNP0200", &[io(0x00, 16), io(0x81, 15), io(0xc0, 32), dma(4)]),
        part("RTC", "PNP0B00", &[io(0x70, 8), irq(8)]),
        part("COPR", "PNP0C04", &[io(0xf0, 16), irq(13)]),
        part("SPKR", "PNP0800", &[io(0x61, 1)]),
        part("PS2K", "PNP0303", &[io(0x60, 1), io(0x64, 1), irq(1)]),
        part("PS2M", "PNP0F13", &[irq(12)]),
        part_uid(
            "MBRD",
            "PNP0C02",
            Some(1),
            &[
                io(0x10, 16),
                io(0x63, 1),
                io(0x65, 1),
                io(0x80, 1),
                io(0x92, 1),
                io(0xb2, 2),
                io(PM_BASE, 64),
                io(SMBUS_BASE, 16),
                io(crate::rom::kernel::TRAP_BASE, crate::rom::kernel::TRAP_PORTS as u8),
            ],
        ),
    ];
    if has.floppy {
        body.push(part("FDC0", "PNP0700", &[io(0x3f2, 4), io(0x3f7, 1), irq(6), dma(2)]));
    }
    for n in 0..has.com.min(2) {
        let (at, line) = [(0x3f8, 4), (0x2f8, 3)][usize::from(n)];
        let name = ["UAR1", "UAR2"][usize::from(n)];
        body.push(part_uid(name, "PNP0501", Some(u32::from(n) + 1), &[io(at, 8), irq(line)]));
    }
    if has.lpt > 0 {
        body.push(part("LPT1", "PNP0400", &[io(0x378, 8), irq(7)]));
    }
    device("ISA", &body)
}
