//! Our BIOS's diskette services on the whole board: a boot sector that reads, and tells on COM1.

use board::{Disk, ParallelPort};

use super::{Tape, no_ports};
use crate::{Choice, ClockKind, Engine, Floppy, Machine, Outcome, Parts, Ports};

impl ParallelPort for Tape {
    fn strobe(&mut self, byte: u8) {
        self.0.lock().unwrap().push(byte);
    }
}

/// Sectors that hold their own number in each byte; the first is a program.
struct Numbered {
    boot: Vec<u8>,
    sectors: u64,
}

impl Disk for Numbered {
    fn sectors(&self) -> u64 {
        self.sectors
    }
    fn read(&mut self, lba: u64, buf: &mut [u8]) -> std::io::Result<()> {
        for (n, sector) in buf.chunks_exact_mut(512).enumerate() {
            sector.fill((lba as usize + n) as u8);
            if lba as usize + n == 0 {
                sector.fill(0);
                sector[..self.boot.len()].copy_from_slice(&self.boot);
                sector[510..].copy_from_slice(&[0x55, 0xaa]);
            }
        }
        Ok(())
    }
    fn write(&mut self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One INT 13h read to 0:8000h, and what is told of it: AH, AL, then the first and the last sector's byte.
struct Call {
    count: u8,
    chs: (u8, u8, u8),
    drive: u8,
}

/// Reads one after the other; `cli; hlt` at the end.
fn program(calls: &[Call]) -> Vec<u8> {
    // xor ax,ax; mov ds,ax; mov es,ax; mov ss,ax; mov sp,7C00h; mov dx,3FBh; mov al,3; out dx,al
    let mut p = vec![0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c];
    p.extend([0xba, 0xfb, 0x03, 0xb0, 0x03, 0xee]);
    for Call { count, chs: (c, h, s), drive } in calls {
        let last = 0x8000 + (u16::from(*count) - 1) * 512;
        // mov ax,02nnh; mov bx,8000h; mov cx,..; mov dx,..; int 13h
        p.extend([0xb8, *count, 0x02, 0xbb, 0x00, 0x80, 0xb9, *s, *c, 0xba, *drive, *h, 0xcd, 0x13]);
        // mov dx,3F8h; xchg al,ah; out dx,al; xchg al,ah; out dx,al
        p.extend([0xba, 0xf8, 0x03, 0x86, 0xc4, 0xee, 0x86, 0xc4, 0xee]);
        // mov al,[8000h]; out dx,al; mov al,[last]; out dx,al
        p.extend([0xa0, 0x00, 0x80, 0xee, 0xa0, last as u8, (last >> 8) as u8, 0xee]);
    }
    p.extend([0xfa, 0xf4]);
    assert!(p.len() <= 510);
    p
}

/// Boots a diskette with a program; what came on COM1 and on LPT1.
fn booted(boot: Vec<u8>, sectors: u64, second: Option<u64>) -> [Vec<u8>; 2] {
    let parts = Parts {
        memory_mib: 16,
        engine: Choice::This(Engine::Software),
        clock: ClockKind::Instructions,
        boot: "a".into(),
        ..Parts::default()
    };
    let (tape, paper) = (Tape::default(), Tape::default());
    let diskette =
        |boot, sectors| Floppy { medium: Some(Box::new(Numbered { boot, sectors }) as Box<dyn Disk>) };
    let ports = Ports {
        floppies: [Some(diskette(boot, sectors)), second.map(|s| diskette(Vec::new(), s))],
        serial: [Some(Box::new(tape.clone())), None],
        parallel: Some(Box::new(paper.clone())),
        ..no_ports()
    };
    let mut m = Machine::build(&parts, ports).unwrap();
    m.stop_after(20_000_000_000);
    assert_eq!(m.run().unwrap(), Outcome::PoweredOff);
    [tape, paper].map(|t| t.0.lock().unwrap().clone())
}

/// Boots a diskette that makes such calls; four bytes for each.
fn told(sectors: u64, second: Option<u64>, calls: &[Call]) -> Vec<[u8; 4]> {
    let [bytes, _] = booted(program(calls), sectors, second);
    let (all, rest) = bytes.as_chunks::<4>();
    assert_eq!((all.len(), rest), (calls.len(), &[][..]), "{bytes:02x?}");
    all.to_vec()
}

fn read(count: u8, chs: (u8, u8, u8)) -> Call {
    Call { count, chs, drive: 0 }
}

#[test]
fn a_boot_sector_reads_within_tracks_across_sides_and_not_beyond() {
    let got = told(
        2880,
        None,
        &[read(18, (1, 0, 1)), read(4, (1, 0, 17)), read(1, (1, 0, 19)), read(1, (79, 1, 18))],
    );
    assert_eq!(got[0], [0, 18, 36, 53]);
    assert_eq!(got[1], [0, 4, 52, 55], "to the other side");
    assert_eq!(got[2][..2], [4, 0], "sector not found");
    assert_eq!(got[3][..3], [0, 1, (2879 % 256) as u8]);
}

#[test]
fn sectors_of_a_track_are_what_the_diskette_has() {
    for (sectors, spt) in [(720, 9u8), (1440, 9), (3360, 21), (3680, 23), (5760, 36), (2400, 15)] {
        let got =
            told(sectors, None, &[read(spt, (1, 1, 1)), read(2, (1, 0, spt)), read(1, (1, 1, spt + 1))]);
        assert_eq!(got[0], [0, spt, spt.wrapping_mul(3), (spt.wrapping_mul(4)).wrapping_sub(1)], "{sectors}");
        assert_eq!(got[1], [0, 2, spt.wrapping_mul(3).wrapping_sub(1), spt.wrapping_mul(3)], "{sectors}");
        assert_eq!(got[2][0], 4, "{sectors}");
    }
}

#[test]
fn the_second_drive_is_there_if_it_is() {
    let on_b = || [Call { count: 1, chs: (2, 0, 3), drive: 1 }];
    assert_eq!(told(2880, Some(1440), &on_b())[0][..3], [0, 1, 2 * 18 + 2]);
    let got = told(2880, None, &on_b());
    assert_ne!(got[0][0], 0, "no drive B:");
}

#[test]
fn int_17h_prints() {
    // xor dx,dx; for each: mov ax,00nnh; int 17h
    let mut p = vec![0x31, 0xd2];
    for c in *b"LPT1\r\n" {
        p.extend([0xb8, c, 0x00, 0xcd, 0x17]);
    }
    p.extend([0xfa, 0xf4]);
    let [_, paper] = booted(p, 2880, None);
    assert_eq!(paper, b"LPT1\r\n");
}
