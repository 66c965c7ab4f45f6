//! The TLB against a translation worked out anew for each access, over a long random program of accesses and of
//! everything that moves translations.

use std::sync::Arc;

use hv_vcpu::{CpuState, CpuidTable, GuestIo, Segment, Width};
use ram::GuestRam;

use super::linear::CodePage;
use crate::cpu::{Cpu, DS, cr0, cr4};
use crate::fault::Fault;

struct NoIo;

impl GuestIo for NoIo {
    fn pio_read(&mut self, _: u16, width: Width) -> u32 {
        width.ones()
    }
    fn pio_write(&mut self, _: u16, _: Width, _: u32) {}
    fn mmio_read(&mut self, _: u64, buf: &mut [u8]) {
        buf.fill(0xff);
    }
    fn mmio_write(&mut self, _: u64, _: &[u8]) {}
    fn intr_pending(&self) -> bool {
        false
    }
    fn ack_intr(&mut self) -> u8 {
        0xff
    }
    fn retired(&mut self, _: u64) {}
    fn poll(&mut self) -> u64 {
        1
    }
    fn deadline_ns(&mut self) -> Option<u64> {
        None
    }
    fn tsc(&mut self) -> u64 {
        0
    }
    fn ferr(&mut self, _: bool) {}
    fn ignne(&self) -> bool {
        false
    }
}

/// Two directories, each with tables for eight times 4 MiB in different corners of linear space.
const DIRS: [u32; 2] = [0x10_0000, 0x10_1000];
const TABLES: u32 = 0x11_0000;
/// Frames that PTEs point at: 16 pages of RAM.
const FRAMES: u32 = 0x30_0000;
const SLOTS: [u32; 8] = [0, 1, 2, 5, 0x200, 0x300, 0x301, 0x3ff];
/// Those without a global page.
const LOCAL: [u32; 2] = [0x300, 0x301];

struct Rng(u64);

impl Rng {
    fn next(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 20) as u32) % n
    }
}

fn phys32(ram: &GuestRam, at: u32) -> u32 {
    let mut b = [0; 4];
    ram.read(u64::from(at), &mut b);
    u32::from_le_bytes(b)
}

/// What SDM vol. 3, 3.7 and 4.11-4.12 say of an access to `lin`: the physical address or the error code.
fn translate(cpu: &Cpu, lin: u32, write: bool) -> Result<u32, u16> {
    let user = cpu.cpl == 3;
    let base = if write { 2 } else { 0 } | if user { 4 } else { 0 };
    let pde = phys32(&cpu.ram, (cpu.cr3 & !0xfff) + (lin >> 22) * 4);
    if pde & 1 == 0 {
        return Err(base);
    }
    let (rights, phys) = if pde & 0x80 != 0 {
        (pde, pde & 0xffc0_0000 | lin & 0x3f_ffff)
    } else {
        let pte = phys32(&cpu.ram, (pde & !0xfff) + (lin >> 12 & 0x3ff) * 4);
        if pte & 1 == 0 {
            return Err(base);
        }
        (pde & pte, pte & !0xfff | lin & 0xfff)
    };
    let may_write = rights & 2 != 0 || !user && cpu.cr0 & cr0::WP == 0;
    if user && rights & 4 == 0 || write && !may_write { Err(base | 1) } else { Ok(phys) }
}

fn pte(rng: &mut Rng) -> u32 {
    let frame = FRAMES + (rng.next(16) << 12);
    // Mostly present and open, sometimes not; G at random.
    let rights = match rng.next(8) {
        0 => 0,
        1 => 1,
        2 => 3,
        3 => 5,
        _ => 7,
    };
    frame | rights | rng.next(2) << 8
}

/// One for a place in the table of this slot.
fn pte_of(rng: &mut Rng, slot: u32) -> u32 {
    pte(rng) & if LOCAL.contains(&slot) { !0x100 } else { u32::MAX }
}

fn set_pte(cpu: &mut Cpu, at: u32, v: u32) {
    cpu.ram.write(u64::from(at), &v.to_le_bytes());
}

/// Accessed and dirty bits of the entry for `lin`.
fn bits(cpu: &Cpu, lin: u32) -> u32 {
    let pde = phys32(&cpu.ram, (cpu.cr3 & !0xfff) + (lin >> 22) * 4);
    let large = pde & 0x80 != 0;
    let v = if large { pde } else { phys32(&cpu.ram, (pde & !0xfff) + (lin >> 12 & 0x3ff) * 4) };
    v & 0x60
}

fn wanted(write: bool) -> u32 {
    if write { 0x60 } else { 0x20 }
}

/// A supervisor with flat segments, and so many MiB.
fn flat(mib: u64, cr0: u32) -> Cpu {
    let ram = Arc::new(GuestRam::new(mib << 20, 0).unwrap());
    let mut cpu = Cpu::new(ram, &CpuidTable::pentium4(false), 0);
    let mut s = CpuState::reset(CpuidTable::SIGNATURE);
    s.seg = [Segment { selector: 0x10, base: 0, limit: u32::MAX, attr: 0xc093 }; 6];
    s.cr0 = cr0;
    s.cr3 = DIRS[0];
    s.cr4 = cr4::PSE | cr4::PGE;
    cpu.restore(&s);
    cpu
}

fn machine(rng: &mut Rng) -> Cpu {
    let mut cpu = flat(16, 0x8000_0011);
    for (d, dir) in DIRS.into_iter().enumerate() {
        for (t, slot) in SLOTS.into_iter().enumerate() {
            let table = TABLES + ((d * 8 + t) << 12) as u32;
            // One large page among them, of RAM from 4 MiB on.
            let pde = if slot == 5 { 0x40_0087 | 1 << 8 } else { table | 7 };
            set_pte(&mut cpu, dir + 4 * slot, pde);
            for i in 0..1024 {
                set_pte(&mut cpu, table + 4 * i, pte_of(rng, slot));
            }
        }
    }
    cpu
}

/// An address in one of few pages of each table, so that pages are met again.
fn address(rng: &mut Rng) -> u32 {
    let slot = SLOTS[rng.next(8) as usize];
    slot << 22 | (rng.next(6) * 0x57 % 1024) << 12 | rng.next(0x3fd) << 2
}

#[test]
fn the_tlb_never_shows() {
    let mut rng = Rng(0x1234_5678_9abc_def1);
    let mut cpu = machine(&mut rng);
    let mut io = NoIo;
    let (mut faults, mut done) = (0, 0);
    for step in 0..400_000_u32 {
        match rng.next(40) {
            0 => {
                // A new PTE, then INVLPG, which is all the program owes.
                let lin = address(&mut rng);
                let v = pte_of(&mut rng, lin >> 22);
                for d in DIRS {
                    let pde = phys32(&cpu.ram, d + (lin >> 22) * 4);
                    if pde & 0x80 == 0 {
                        set_pte(&mut cpu, (pde & !0xfff) + (lin >> 12 & 0x3ff) * 4, v);
                    }
                }
                cpu.tlb.flush_page(lin);
            }
            1 if step % 3 == 0 => {
                // Both directories give global pages alike? They do not: so all goes, as CR4.PGE would.
                cpu.cr3 = DIRS[rng.next(2) as usize];
                cpu.tlb.flush_all();
            }
            7 => {
                // New entries, of tables or of the directory, or cleared accessed and dirty bits; then CR3 again.
                for _ in 0..rng.next(6) {
                    let lin = LOCAL[rng.next(2) as usize] << 22 | address(&mut rng) & 0x3f_ffff;
                    let (v, turn) = (pte_of(&mut rng, lin >> 22), rng.next(4));
                    for d in DIRS {
                        let at = d + (lin >> 22) * 4;
                        let pde = phys32(&cpu.ram, at);
                        let leaf = (pde & !0xfff) + (lin >> 12 & 0x3ff) * 4;
                        match turn {
                            0 => set_pte(&mut cpu, at, pde ^ if v & 8 == 0 { 2 } else { 4 }),
                            1 => {
                                let old = phys32(&cpu.ram, leaf);
                                set_pte(&mut cpu, leaf, old & !0x60);
                            }
                            _ => set_pte(&mut cpu, leaf, v),
                        }
                    }
                }
                cpu.tlb.flush_changed(cpu.ram.arena());
            }
            2 => {
                cpu.cpl = if rng.next(2) == 0 { 0 } else { 3 };
                cpu.mode_changed();
            }
            3 if step % 5 == 0 => {
                cpu.cr0 ^= cr0::WP;
                cpu.tlb.flush_all();
            }
            4 => {
                // Somebody collects dirty bits.
                cpu.ram.take_dirty(FRAMES..FRAMES + 0x1_0000, |_| {});
                cpu.after_io();
            }
            5 => {
                // Code is decoded from a frame, or forgotten.
                let page = (FRAMES >> 12) + rng.next(16);
                let on = rng.next(2) == 0;
                cpu.ram.arena().set_code(page, on);
                if on {
                    cpu.tlb.forbid_writes(page);
                }
            }
            6 => {
                let lin = address(&mut rng);
                let want = translate(&cpu, lin, false).map(|p| CodePage::Arena(p & !0xfff));
                assert_eq!(cpu.fetch_page(&mut io, lin), want.map_err(Fault::pf), "step {step}, {lin:#x}");
            }
            _ => {
                let (lin, write, rmw) = (address(&mut rng), rng.next(2) == 0, rng.next(4) == 0);
                let want = translate(&cpu, lin, write || rmw);
                let before = want.map(|p| phys32(&cpu.ram, p));
                let got = if rmw {
                    cpu.read_rmw32(&mut io, DS, lin)
                } else if write {
                    cpu.write32(&mut io, DS, lin, step).map(|()| step)
                } else {
                    cpu.read32(&mut io, DS, lin)
                };
                match (want, got) {
                    (Ok(p), Ok(v)) => {
                        done += 1;
                        assert_eq!(
                            bits(&cpu, lin) & wanted(write || rmw),
                            wanted(write || rmw),
                            "step {step}: A, D"
                        );
                        let here = if write && !rmw { phys32(&cpu.ram, p) } else { before.unwrap() };
                        assert_eq!(v, here, "step {step}, {lin:#x}");
                        if write && !rmw {
                            let arena = cpu.ram.arena();
                            assert!(arena.is_dirty(p >> 12), "step {step}: a store leaves the page dirty");
                        }
                    }
                    (Err(code), Err(f)) => {
                        faults += 1;
                        assert_eq!((f, cpu.fault_lin), (Fault::pf(code), lin), "step {step}");
                    }
                    other => panic!("step {step}, {lin:#x}, write {write}: {other:x?}"),
                }
            }
        }
    }
    assert!(faults > 10_000 && done > 200_000, "{faults} faults, {done} accesses");
}

#[test]
fn what_the_tables_still_say_outlives_a_load_of_the_same_cr3() {
    let mut rng = Rng(5);
    let mut cpu = machine(&mut rng);
    let mut io = NoIo;
    let (kept, changed) = (0x300 << 22, 0x300 << 22 | 0x1000);
    let table = phys32(&cpu.ram, DIRS[0] + 0x300 * 4) & !0xfff;
    for n in 0..2 {
        set_pte(&mut cpu, table + 4 * n, FRAMES + (n << 12) | 7);
        cpu.write32(&mut io, DS, kept + (n << 12), n).unwrap();
    }
    let fills = cpu.tlb.fills;
    set_pte(&mut cpu, table + 4, FRAMES | 0x67);
    cpu.tlb.flush_changed(cpu.ram.arena());
    assert_eq!(cpu.tlb.known(kept).write, kept);
    assert_ne!(cpu.tlb.known(changed).read, changed);
    assert_eq!(cpu.read32(&mut io, DS, changed).unwrap(), 0, "the other frame");
    assert_eq!(cpu.tlb.fills, fills + 1);
    // The directory's entry counts for all of its table.
    let pde = phys32(&cpu.ram, DIRS[0] + 0x300 * 4);
    set_pte(&mut cpu, DIRS[0] + 0x300 * 4, pde & !2);
    cpu.tlb.flush_changed(cpu.ram.arena());
    assert_ne!(cpu.tlb.known(kept).write, kept);
    // Another address space has its own.
    cpu.read32(&mut io, DS, kept).unwrap();
    cpu.tlb.flush_non_global();
    assert_ne!(cpu.tlb.known(kept).read, kept);
}

/// Pages of RAM that share a slot, as a processor without paging has them.
fn sharing(n: u32) -> u32 {
    0x5000 + (n << 24)
}

fn unpaged() -> Cpu {
    flat(64, 0x11)
}

#[test]
fn two_pages_that_share_a_slot_are_both_known() {
    let mut cpu = unpaged();
    let mut io = NoIo;
    for n in 0..2 {
        cpu.write32(&mut io, DS, sharing(n), n).unwrap();
    }
    let fills = cpu.tlb.fills;
    for n in [0, 1, 0, 0, 1] {
        assert_eq!(cpu.read32(&mut io, DS, sharing(n)).unwrap(), n);
        cpu.write32(&mut io, DS, sharing(n) + 4, n).unwrap();
        assert_eq!(cpu.tlb.known(sharing(n)).write, sharing(n) & !0xfff);
    }
    assert_eq!(cpu.tlb.fills, fills);
    cpu.tlb.flush_page(sharing(0));
    cpu.tlb.flush_page(sharing(1));
    for n in 0..2 {
        assert_ne!(cpu.tlb.known(sharing(n)).read, sharing(n) & !0xfff, "it was flushed");
    }
}

#[test]
fn code_keeps_its_slot_before_data() {
    let mut cpu = unpaged();
    let mut io = NoIo;
    let (code, data) = (sharing(0), sharing(1));
    cpu.read32(&mut io, DS, code).unwrap();
    cpu.fetch_page(&mut io, code).unwrap();
    let epoch = cpu.tlb.epoch(false);
    cpu.write32(&mut io, DS, data, 1).unwrap();
    assert_eq!(cpu.tlb.slot(code).fetch, code & !0xfff);
    assert_eq!(cpu.tlb.known(data).write, data & !0xfff);
    // Code of the other page takes the place.
    cpu.fetch_page(&mut io, data).unwrap();
    assert_eq!(cpu.tlb.slot(data).fetch, data & !0xfff);
    assert_eq!(cpu.tlb.known(code).read, code & !0xfff, "its data is still known");
    // Links that were made for the first page end with its translation, though its fetch tag is gone already.
    cpu.tlb.flush_page(code);
    assert_ne!(cpu.tlb.epoch(false), epoch);
}

#[test]
fn writes_to_a_page_are_seen_while_code_comes_from_it() {
    let mut rng = Rng(77);
    let mut cpu = machine(&mut rng);
    let mut io = NoIo;
    let lin = 5 << 22; // the large page
    cpu.write32(&mut io, DS, lin, 1).unwrap();
    assert_eq!(cpu.tlb.slot(lin).write, lin);
    cpu.ram.arena().set_code(0x400, true);
    cpu.tlb.forbid_writes(0x400);
    assert!(cpu.tlb.slot(lin).is_seen(lin));
    cpu.write8(&mut io, DS, lin + 5, 1).unwrap();
    assert_eq!(cpu.read32(&mut io, DS, lin + 4).unwrap(), 0x100);
    assert!(cpu.tlb.slot(lin).is_seen(lin));
    // The same of a page that is found so.
    cpu.tlb.flush_all();
    cpu.write8(&mut io, DS, lin + 6, 1).unwrap();
    assert!(cpu.tlb.slot(lin).is_seen(lin));
    cpu.ram.arena().set_code(0x400, false);
    cpu.write8(&mut io, DS, lin + 7, 1).unwrap();
    assert_eq!(cpu.tlb.slot(lin).write, lin);
    assert_eq!(cpu.read32(&mut io, DS, lin + 4).unwrap(), 0x0101_0100);
}

#[test]
fn nothing_is_written_beside_code_that_may_not_be() {
    let mut rng = Rng(78);
    let mut cpu = machine(&mut rng);
    let mut io = NoIo;
    let lin = 5 << 22;
    cpu.ram.arena().set_code(0x400, true);
    assert_eq!(cpu.beside_code(lin, 4), None, "the TLB knows nothing of the page");
    cpu.write32(&mut io, DS, lin, 1).unwrap();
    assert_eq!(cpu.beside_code(lin + 0xffc, 4), Some(0x40_0ffc));
    assert_eq!(cpu.beside_code(lin + 0xffd, 4), None, "it goes on in the next page");
    cpu.ram.arena().set_table(0x400, true);
    assert_eq!(cpu.beside_code(lin, 4), None, "a view comes from there, too");
    cpu.ram.arena().set_table(0x400, false);
    cpu.tlb.flush_page(lin);
    assert_eq!(cpu.beside_code(lin, 4), None, "it was flushed");
}
