//! A guest that executes the kernel's operations in Rust, over ports and memory of the test's choice.

use std::collections::{BTreeMap, HashMap, VecDeque};

use board::Decode;
use board::testkit::Bench;

use crate::frame::{FRAME_BYTES, Frame};
use crate::rom::kernel::{CTX_OP, Op, TRAP_BASE};
use crate::{Config, Firmware, TRAP, TRAP_AT};

/// Ports of the fake board: index registers behave as such, others keep what was written.
#[derive(Default)]
pub struct Ports {
    pub values: HashMap<u16, u32>,
    /// What reads give whatever was written: status and data ports.
    pub inputs: HashMap<u16, u32>,
    pub index: HashMap<u16, BTreeMap<u8, u8>>,
    /// Bytes to be read from a port before its value counts.
    pub queues: HashMap<u16, VecDeque<u32>>,
    pub writes: Vec<(u16, u32)>,
    /// PCI configuration space by function and register.
    pub config: HashMap<(u8, u8), u32>,
}

const INDEXED: [u16; 5] = [0x3d4, 0x3ce, 0x3c4, 0x70, 0x3b4];

impl Ports {
    fn write(&mut self, port: u16, v: u32, bytes: u32) {
        self.writes.push((port, v));
        if INDEXED.contains(&port) && bytes == 2 {
            self.index.entry(port).or_default().insert(v as u8, (v >> 8) as u8);
        } else if let Some(base) = port.checked_sub(1).filter(|p| INDEXED.contains(p)) {
            let i = self.values.get(&base).copied().unwrap_or(0) as u8;
            let i = if base == 0x70 { i & 0x7f } else { i };
            self.index.entry(base).or_default().insert(i, v as u8);
        } else {
            self.values.insert(port, v);
        }
    }

    fn read(&mut self, port: u16, bytes: u32) -> u32 {
        if let Some(v) = self.queues.get_mut(&port).and_then(VecDeque::pop_front) {
            return v;
        }
        if let Some(v) = self.inputs.get(&port) {
            return *v;
        }
        if let Some(base) = port.checked_sub(1).filter(|p| INDEXED.contains(p)) {
            let i = self.values.get(&base).copied().unwrap_or(0) as u8;
            let i = if base == 0x70 { i & 0x7f } else { i };
            return self.index.get(&base).and_then(|m| m.get(&i)).copied().unwrap_or(0).into();
        }
        if (0xcfc..0xd00).contains(&port) {
            let a = self.values.get(&0xcf8).copied().unwrap_or(0);
            let v = self.config.get(&((a >> 8) as u8, a as u8 & 0xfc)).copied().unwrap_or(u32::MAX);
            let v = v >> (8 * (port - 0xcfc));
            return if bytes == 4 { v } else { v & ((1 << (8 * bytes)) - 1) };
        }
        self.values.get(&port).copied().unwrap_or(0)
    }
}

pub struct Guest {
    pub bench: Bench<Firmware>,
    pub ports: Ports,
    /// A0000h-BFFFFh.
    pub vga: Vec<u8>,
    /// Operations executed, for tests that care.
    pub ops: Vec<Op>,
}

impl Guest {
    pub fn new() -> Self {
        let config = Config { ram_bytes: 16 << 20, ..Config::default() };
        let mut bench = Bench::with_ram(|_, ram| Firmware::new(config, ram.clone()));
        bench.place(TRAP, Decode::Pio(TRAP_AT));
        Self { bench, ports: Ports::default(), vga: vec![0; 0x2_0000], ops: Vec::new() }
    }

    /// Enters a service as the stub does; its data port.
    pub fn enter(&mut self, f: &Frame) -> u16 {
        let port = self.bench.in16(TRAP_BASE);
        for w in f.to_bytes().chunks_exact(2) {
            self.bench.out16(port, u16::from_le_bytes([w[0], w[1]]));
        }
        port
    }

    fn mem(&mut self, far: u32, n: usize) -> Vec<u8> {
        let lin = (far >> 16) * 16 + (far & 0xffff);
        (0..n as u32)
            .map(|i| {
                let a = lin + i;
                if (0xa_0000..0xc_0000).contains(&a) {
                    return self.vga[(a - 0xa_0000) as usize];
                }
                let mut b = [0];
                self.bench.ram.read(u64::from(a), &mut b);
                b[0]
            })
            .collect()
    }

    fn set_mem(&mut self, far: u32, bytes: &[u8]) {
        let lin = (far >> 16) * 16 + (far & 0xffff);
        for (i, b) in bytes.iter().enumerate() {
            let a = lin + i as u32;
            if (0xa_0000..0xc_0000).contains(&a) {
                self.vga[(a - 0xa_0000) as usize] = *b;
            } else {
                self.bench.ram.write(u64::from(a), &[*b]);
            }
        }
    }

    fn param(&mut self, port: u16) -> u32 {
        self.bench.in32(port)
    }

    /// One operation; the frame when it was the last.
    pub fn step(&mut self, port: u16) -> Option<Frame> {
        let at = self.bench.in16(port + CTX_OP);
        self.operate(port, at)
    }

    /// What the trap told to do.
    pub fn operate(&mut self, port: u16, at: u16) -> Option<Frame> {
        let op = self.bench.dev.world().kernel.op_at(at).expect("an operation of the kernel");
        if op != Op::Pause {
            self.ops.push(op);
        }
        self.bench.advance(1000);
        match op {
            Op::Out8 | Op::Out16 => {
                let v = self.param(port);
                self.ports.write(v as u16, v >> 16, if op == Op::Out8 { 1 } else { 2 });
            }
            Op::Out32 => {
                let (p, v) = (self.param(port), self.param(port));
                self.ports.write(p as u16, v, 4);
            }
            Op::In8 | Op::In16 | Op::In32 => {
                let n = [1, 2, 4][op as usize - Op::In8 as usize];
                let p = self.param(port) as u16;
                let v = self.ports.read(p, n);
                match n {
                    1 => self.bench.out8(port, v as u8),
                    2 => self.bench.out16(port, v as u16),
                    _ => self.bench.out32(port, v),
                }
            }
            Op::Poll8 => {
                let (p, tries) = (self.param(port), self.param(port));
                let mut v = 0;
                for _ in 0..tries.max(1) {
                    v = self.ports.read(p as u16, 1) as u8;
                    if v & (p >> 16) as u8 == (p >> 24) as u8 {
                        break;
                    }
                }
                self.bench.out8(port, v);
            }
            Op::OutPairs | Op::OutWords | Op::OutBytes => {
                let p = self.param(port);
                for _ in 0..p >> 16 {
                    let v = if op == Op::OutBytes {
                        u32::from(self.bench.in8(port))
                    } else {
                        u32::from(self.bench.in16(port))
                    };
                    self.ports.write(p as u16, v, if op == Op::OutBytes { 1 } else { 2 });
                }
            }
            Op::InBytes | Op::InWords => {
                let p = self.param(port);
                for _ in 0..p >> 16 {
                    let v = self.ports.read(p as u16, 1);
                    if op == Op::InBytes {
                        self.bench.out8(port, v as u8);
                    } else {
                        self.bench.out16(port, v as u16);
                    }
                }
            }
            Op::Read8 | Op::Read16 | Op::Read32 => {
                let e = [1, 2, 4][op as usize - Op::Read8 as usize];
                let (at, n) = (self.param(port), self.param(port));
                for b in self.mem(at, n as usize * e) {
                    self.bench.out8(port, b);
                }
            }
            Op::Write8 | Op::Write16 | Op::Write32 => {
                let e = [1, 2, 4][op as usize - Op::Write8 as usize];
                let (at, n) = (self.param(port), self.param(port));
                let v: Vec<u8> = (0..n * e).map(|_| self.bench.in8(port)).collect();
                self.set_mem(at, &v);
            }
            Op::WriteStride => {
                let (at, s, n) = (self.param(port), self.param(port), self.param(port));
                for i in 0..n {
                    let b = self.bench.in8(port);
                    self.set_mem(at + i * (s & 0xffff), &[b]);
                }
            }
            Op::Move8 | Op::Move16 => {
                let (from, to, n) = (self.param(port), self.param(port), self.param(port));
                let e = if op == Op::Move8 { 1 } else { 2 };
                for i in 0..n & 0xffff {
                    let d = if n >> 16 != 0 { (i * e).wrapping_neg() } else { i * e };
                    let v = self.mem(from.wrapping_add(d), e as usize);
                    self.set_mem(to.wrapping_add(d), &v);
                }
            }
            Op::Fill8 | Op::Fill16 => {
                let (to, n) = (self.param(port), self.param(port));
                let e = if op == Op::Fill8 { 1 } else { 2 };
                let v = (n >> 16).to_le_bytes();
                self.set_mem(to, &v[..e].repeat(n as usize & 0xffff));
            }
            Op::PioIn16 | Op::PioIn32 => {
                let (p, to) = (self.param(port), self.param(port));
                let e = if op == Op::PioIn16 { 2 } else { 4 };
                for i in 0..p >> 16 {
                    let v = self.ports.read(p as u16, e).to_le_bytes();
                    self.set_mem(to + i * e, &v[..e as usize]);
                }
            }
            Op::PioOut16 => {
                let (p, from) = (self.param(port), self.param(port));
                for i in 0..p >> 16 {
                    let v = self.mem(from + i * 2, 2);
                    self.ports.write(p as u16, u32::from(u16::from_le_bytes([v[0], v[1]])), 2);
                }
            }
            Op::Done => {
                let mut b = [0; FRAME_BYTES];
                b.iter_mut().for_each(|v| *v = self.bench.in8(port));
                return Some(Frame::from_bytes(&b));
            }
            Op::Relax | Op::Halt | Op::Pause => {}
            Op::Call | Op::CallInt | Op::CallWords | Op::Leave => panic!("{op:?} needs a processor"),
        }
        None
    }

    /// Runs a service to its end.
    pub fn call(&mut self, f: Frame) -> Frame {
        let port = self.enter(&f);
        for _ in 0..1_000_000 {
            if let Some(f) = self.step(port) {
                return f;
            }
        }
        panic!("service {:x} never ends", f.service)
    }

    /// An interrupt with AX, BX, CX, DX, from real mode.
    pub fn int(&mut self, n: u16, ax: u16, bx: u16, cx: u16, dx: u16) -> Frame {
        self.call(Frame {
            service: n,
            eax: u32::from(ax),
            ebx: u32::from(bx),
            ecx: u32::from(cx),
            edx: u32::from(dx),
            es: 0x2000,
            ds: 0x3000,
            msw: u16::from(n == 0x10),
            ..Frame::default()
        })
    }

    pub fn bytes(&mut self, at: u32, n: usize) -> Vec<u8> {
        let mut v = vec![0; n];
        self.bench.ram.read(u64::from(at), &mut v);
        v
    }
}
