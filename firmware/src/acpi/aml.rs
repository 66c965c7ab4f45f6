//! An assembler for the AML of ACPI 1.0 (specification 1.0b, section 16). Each function gives the bytes of one term.

pub type Aml = Vec<u8>;

/// PkgLength, counting itself. Section 16.2.4.
fn pkg(op: &[u8], body: &[u8]) -> Aml {
    let mut out = op.to_vec();
    let n = body.len();
    if n + 1 < 0x40 {
        out.push((n + 1) as u8);
    } else {
        let extra = if n + 2 < 0x1000 { 1 } else { 2 };
        let total = n + 1 + extra;
        out.push((extra << 6) as u8 | (total & 15) as u8);
        out.extend((0..extra).map(|i| (total >> (4 + 8 * i)) as u8));
    }
    out.extend(body);
    out
}

pub fn cat(parts: &[Aml]) -> Aml {
    parts.concat()
}

/// A NameString: `\` and `^` prefixes, segments of up to four letters separated by dots.
pub fn path(s: &str) -> Aml {
    let rest = s.trim_start_matches(['\\', '^']);
    let mut out = s.as_bytes()[..s.len() - rest.len()].to_vec();
    let segs: Vec<&str> = rest.split('.').filter(|x| !x.is_empty()).collect();
    match segs.len() {
        0 => out.push(0),
        1 => {}
        2 => out.push(0x2e),
        n => out.extend([0x2f, n as u8]),
    }
    for seg in segs {
        out.extend(seg.bytes().chain(std::iter::repeat(b'_')).take(4));
    }
    out
}

pub fn int(v: u32) -> Aml {
    match v {
        0 => vec![0x00],
        1 => vec![0x01],
        2..=0xff => vec![0x0a, v as u8],
        0x100..=0xffff => [&[0x0b][..], &(v as u16).to_le_bytes()].concat(),
        _ => [&[0x0c][..], &v.to_le_bytes()].concat(),
    }
}

/// A compressed EISA identifier: "PNP0A03".
pub fn eisa(id: &str) -> Aml {
    let b = id.as_bytes();
    let letter = |i: usize| u32::from(b[i] - 0x40) & 31;
    let hex = |i: usize| char::from(b[i]).to_digit(16).unwrap_or(0);
    let v = letter(0) << 26
        | letter(1) << 21
        | letter(2) << 16
        | hex(3) << 12
        | hex(4) << 8
        | hex(5) << 4
        | hex(6);
    [&[0x0c][..], &v.to_be_bytes()].concat()
}

pub fn buffer(bytes: &[u8]) -> Aml {
    pkg(&[0x11], &cat(&[int(bytes.len() as u32), bytes.to_vec()]))
}

pub fn package(items: &[Aml]) -> Aml {
    pkg(&[0x12], &cat(&[vec![items.len() as u8], cat(items)]))
}

pub fn name(n: &str, v: Aml) -> Aml {
    cat(&[vec![0x08], path(n), v])
}

pub fn scope(n: &str, body: &[Aml]) -> Aml {
    pkg(&[0x10], &cat(&[path(n), cat(body)]))
}

pub fn device(n: &str, body: &[Aml]) -> Aml {
    pkg(&[0x5b, 0x82], &cat(&[path(n), cat(body)]))
}

pub fn processor(n: &str, id: u8, block: u32, len: u8) -> Aml {
    pkg(&[0x5b, 0x83], &cat(&[path(n), vec![id], block.to_le_bytes().to_vec(), vec![len]]))
}

/// Serialized when it makes names of its own.
pub fn method(n: &str, args: u8, serialized: bool, body: &[Aml]) -> Aml {
    pkg(&[0x14], &cat(&[path(n), vec![args | u8::from(serialized) << 3], cat(body)]))
}

/// Space 2 is PCI configuration.
pub fn region(n: &str, space: u8, offset: u32, len: u32) -> Aml {
    cat(&[vec![0x5b, 0x80], path(n), vec![space], int(offset), int(len)])
}

/// Byte access, no lock, preserve; each a name and its bits.
pub fn field(region: &str, units: &[(&str, u8)]) -> Aml {
    let mut body = cat(&[path(region), vec![0x01]]);
    for (n, bits) in units {
        body.extend(path(n));
        body.push(*bits);
    }
    pkg(&[0x5b, 0x81], &body)
}

pub const ARG0: &[u8] = &[0x68];
pub const LOCAL0: &[u8] = &[0x60];
pub const NOWHERE: &[u8] = &[0x00];

pub fn store(v: Aml, to: &[u8]) -> Aml {
    cat(&[vec![0x70], v, to.to_vec()])
}

pub fn ret(v: Aml) -> Aml {
    cat(&[vec![0xa4], v])
}

pub fn and(a: Aml, b: Aml, to: &[u8]) -> Aml {
    cat(&[vec![0x7b], a, b, to.to_vec()])
}

pub fn or(a: Aml, b: Aml, to: &[u8]) -> Aml {
    cat(&[vec![0x7d], a, b, to.to_vec()])
}

pub fn shift_left(a: Aml, n: Aml, to: &[u8]) -> Aml {
    cat(&[vec![0x79], a, n, to.to_vec()])
}

pub fn lowest_bit(a: Aml, to: &[u8]) -> Aml {
    cat(&[vec![0x82], a, to.to_vec()])
}

pub fn decrement(what: &[u8]) -> Aml {
    cat(&[vec![0x76], what.to_vec()])
}

pub fn if_else(test: Aml, yes: &[Aml], no: &[Aml]) -> Aml {
    let mut out = pkg(&[0xa0], &cat(&[test, cat(yes)]));
    if !no.is_empty() {
        out.extend(pkg(&[0xa1], &cat(no)));
    }
    out
}

pub fn word_field(source: Aml, at: u32, n: &str) -> Aml {
    cat(&[vec![0x8b], source, int(at), path(n)])
}

/// Resource descriptors. Section 6.4.
pub mod res {
    pub fn irq(n: u8) -> Vec<u8> {
        let m = (1u16 << n).to_le_bytes();
        vec![0x22, m[0], m[1]]
    }

    /// Level, active low, shared.
    pub fn irq_shared(mask: u16) -> Vec<u8> {
        let m = mask.to_le_bytes();
        vec![0x23, m[0], m[1], 0x18]
    }

    pub fn dma(n: u8) -> Vec<u8> {
        vec![0x2a, 1 << n, 0]
    }

    /// 16-bit decode, fixed place.
    pub fn io(at: u16, len: u8) -> Vec<u8> {
        let a = at.to_le_bytes();
        vec![0x47, 1, a[0], a[1], a[0], a[1], 1, len]
    }

    /// Fixed window that a bridge passes on (16-bit address space; kind 1 I/O, 2 bus numbers).
    pub fn word_window(kind: u8, min: u16, max: u16) -> Vec<u8> {
        // Minimum and maximum fixed; I/O: the whole range; bus numbers have no such flags.
        let specific = if kind == 1 { 3 } else { 0 };
        let mut v = vec![0x88, 13, 0, kind, 0x0c, specific, 0, 0];
        for w in [min, max, 0, (max - min).wrapping_add(1)] {
            v.extend(w.to_le_bytes());
        }
        v
    }

    /// Memory window, non-cacheable, read and write.
    pub fn memory_window(min: u32, max: u32) -> Vec<u8> {
        let mut v = vec![0x87, 23, 0, 0, 0x0c, 1, 0, 0, 0, 0];
        for d in [min, max, 0, max - min + 1] {
            v.extend(d.to_le_bytes());
        }
        v
    }

    pub fn end(mut v: Vec<u8>) -> Vec<u8> {
        v.extend([0x79, 0]);
        v
    }
}
