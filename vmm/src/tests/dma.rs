//! DMA of a disk on the whole board, into memory that the processor runs.

use board::{CONFIG_ADDRESS, CONFIG_DATA, Disk};
use hv_vcpu::{GuestIo, Width};

use super::{Tape, no_ports, rom, triple_fault};
use crate::{Choice, ClockKind, Drive, Engine, Machine, Outcome, Parts, Ports};

const TABLE: u32 = 0x7000;
const BUFFER: u32 = 0x8000;
const BUS_MASTER: u16 = 0xf000;

/// Each sector is a program: mov al, 'A' + its number; retf.
struct Programs {
    at_once: bool,
}

impl Disk for Programs {
    fn sectors(&self) -> u64 {
        100_000
    }
    fn read(&mut self, lba: u64, buf: &mut [u8]) -> std::io::Result<()> {
        for (n, sector) in (lba..).zip(buf.chunks_exact_mut(512)) {
            sector.fill(0xf4);
            sector[..3].copy_from_slice(&[0xb0, b'A' + n as u8, 0xcb]);
        }
        Ok(())
    }
    fn write(&mut self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
    fn at_once(&mut self, _: bool) -> bool {
        self.at_once
    }
}

/// Reads a sector to 0:8000h, calls it 30,000 times, prints what it gave; and so on with the next.
fn program(sectors: u8) -> Vec<u8> {
    let mut p = Vec::new();
    // mov sp, 7000h
    p.extend([0xbc, 0x00, 0x70]);
    for lba in 0..sectors {
        // The task file: mov dx, 1F6h; mov al, E0h; out dx, al; ... and READ DMA.
        let mut out = |port: u16, v: u8| {
            p.push(0xba);
            p.extend(port.to_le_bytes());
            p.extend([0xb0, v, 0xee]);
        };
        let task_file = [(0x1f6, 0xe0), (0x1f2, 1), (0x1f3, lba), (0x1f4, 0), (0x1f5, 0), (0x1f7, 0xc8)];
        task_file.into_iter().for_each(|(port, v)| out(port, v));
        out(BUS_MASTER, 0x09);
        // mov dx, 1F7h; again: in al, dx; cmp al, 50h; jne again
        p.extend([0xba, 0xf7, 0x01, 0xec, 0x3c, 0x50, 0x75, 0xfb]);
        // mov dx, BM; mov al, 8; out dx, al
        p.push(0xba);
        p.extend(BUS_MASTER.to_le_bytes());
        p.extend([0xb0, 0x08, 0xee]);
        // mov cx, 30000; again: call far 0:8000h; loop again
        p.extend([0xb9, 0x30, 0x75, 0x9a, 0x00, 0x80, 0x00, 0x00, 0xe2, 0xf9]);
        // mov ah, al; mov dx, 3FBh; mov al, 3; out dx, al; mov dl, F8h; mov al, ah; out dx, al
        p.extend([0x88, 0xc4, 0xba, 0xfb, 0x03, 0xb0, 0x03, 0xee, 0xb2, 0xf8, 0x88, 0xe0, 0xee]);
    }
    let at = p.len();
    p.extend(triple_fault(at));
    p
}

fn config(m: &mut Machine, reg: u32, v: u32) {
    m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 0x8000_3900 | reg);
    m.board.pio_write(CONFIG_DATA, Width::Dword, v);
}

fn run(clock: ClockKind, at_once: bool) -> (String, Vec<(String, u64)>) {
    let parts = Parts {
        memory_mib: 16,
        engine: Choice::This(Engine::Software),
        clock,
        bios: Some(rom(&program(6))),
        ..Parts::default()
    };
    let tape = Tape::default();
    let disk = Box::new(Programs { at_once });
    let drives = [Some(Drive::disk(disk)), None, None, None];
    let ports = Ports { drives, serial: [Some(Box::new(tape.clone())), None], ..no_ports() };
    let mut m = Machine::build(&parts, ports).unwrap();
    config(&mut m, 0x04, 5);
    config(&mut m, 0x20, u32::from(BUS_MASTER));
    config(&mut m, 0x40, 0x8000_8000);
    m.board.pio_write(BUS_MASTER + 4, Width::Dword, TABLE);
    m.board.ram.write(u64::from(TABLE), &BUFFER.to_le_bytes());
    m.board.ram.write(u64::from(TABLE) + 4, &0x8000_0200_u32.to_le_bytes());
    assert!(matches!(m.run().unwrap(), Outcome::Crashed { .. }), "the end of the program");
    (tape.text(), m.board.metrics())
}

#[test]
fn code_that_comes_by_dma_is_the_code_that_runs() {
    let jobs = |metrics: &[(String, u64)]| {
        ["board.disk_jobs_at_once", "board.disk_jobs_by_threads"]
            .map(|name| metrics.iter().find(|(n, _)| n == name).unwrap().1)
    };
    let (text, metrics) = run(ClockKind::Host, true);
    assert_eq!((text.as_str(), jobs(&metrics)), ("ABCDEF", [6, 0]), "straight");
    let (text, metrics) = run(ClockKind::Host, false);
    assert_eq!(
        (text.as_str(), jobs(&metrics)),
        ("ABCDEF", [0, 6]),
        "by a thread, through the drive's buffer"
    );
    assert_eq!(run(ClockKind::Instructions, false).0, "ABCDEF");
}
