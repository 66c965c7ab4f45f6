//! A VHD against an array of bytes, and against a process that dies at any write.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex};

use board::{Disk, pieces};
use proptest::prelude::*;

use super::super::Mode;
use super::super::store::{MemStore, Store};
use super::super::vhd::VhdType;
use super::{below, open_on, pattern, vhd};

const SECTORS: u64 = 5000;
const BLOCK: u32 = 64 << 10;

/// Memory that outlives the image on it, and may die: after so many changes nothing is taken any more.
#[derive(Clone, Default)]
struct Shared {
    bytes: Arc<Mutex<MemStore>>,
    left: Option<Arc<Mutex<usize>>>,
}

impl Shared {
    fn alive(&self) -> io::Result<()> {
        if let Some(left) = &self.left {
            let mut left = left.lock().unwrap();
            *left = left.checked_sub(1).ok_or(io::ErrorKind::Other)?;
        }
        Ok(())
    }
}

impl Store for Shared {
    fn len(&self) -> u64 {
        self.bytes.lock().unwrap().len()
    }
    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.bytes.lock().unwrap().read_at(at, buf)
    }
    fn write_at(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
        self.alive()?;
        self.bytes.lock().unwrap().write_at(at, buf)
    }
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.alive()?;
        self.bytes.lock().unwrap().set_len(len)
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn punch(&mut self, at: u64, len: u64) -> io::Result<()> {
        self.write_at(at, &vec![0; len as usize])
    }
}

fn open(s: Shared) -> Box<dyn Disk> {
    open_on(s, Mode::ReadWrite).unwrap().image.into_disk()
}

fn shared(bytes: Vec<u8>) -> Shared {
    Shared { bytes: Arc::new(Mutex::new(MemStore(bytes))), left: None }
}

#[derive(Debug, Clone)]
enum Op {
    Write {
        lba: u64,
        sectors: usize,
        fill: u8,
    },
    Read {
        lba: u64,
        sectors: usize,
    },
    /// Straight from and to pieces of memory of so many bytes.
    WriteFrom {
        lba: u64,
        sectors: usize,
        fill: u8,
        piece: usize,
    },
    ReadTo {
        lba: u64,
        sectors: usize,
        piece: usize,
    },
    Discard {
        lba: u64,
        sectors: usize,
    },
    Reopen,
}

/// Bytes as pieces of guest memory.
fn cells(bytes: &[u8]) -> Vec<Cell<u8>> {
    bytes.iter().copied().map(Cell::new).collect()
}

fn op() -> impl Strategy<Value = Op> {
    let place = (0..SECTORS, 1_usize..300);
    prop_oneof![
        4 => (place.clone(), prop_oneof![Just(0_u8), any::<u8>()])
            .prop_map(|((lba, sectors), fill)| Op::Write { lba, sectors, fill }),
        3 => place.clone().prop_map(|(lba, sectors)| Op::Read { lba, sectors }),
        3 => (place.clone(), prop_oneof![Just(0_u8), any::<u8>()], 1_usize..9000)
            .prop_map(|((lba, sectors), fill, piece)| Op::WriteFrom { lba, sectors, fill, piece }),
        1 => place.clone().prop_map(|(lba, sectors)| Op::Discard { lba, sectors }),
        3 => (place, 1_usize..9000).prop_map(|((lba, sectors), piece)| Op::ReadTo { lba, sectors, piece }),
        1 => Just(Op::Reopen),
    ]
}

fn run(kind: VhdType, ops: Vec<Op>) {
    let store = shared(vhd(kind, SECTORS, BLOCK));
    let mut disk = open(store.clone());
    let total = disk.sectors();
    let mut model = below(kind, total);
    for op in ops {
        match op {
            Op::Write { lba, sectors, fill } => {
                let mut data = vec![fill; sectors * 512];
                if fill != 0 {
                    data[..512].copy_from_slice(&pattern(lba, 1));
                }
                let inside = lba + sectors as u64 <= total;
                assert_eq!(disk.write(lba, &data).is_ok(), inside);
                if inside {
                    model[lba as usize * 512..][..data.len()].copy_from_slice(&data);
                }
            }
            Op::Read { lba, sectors } => {
                let mut got = vec![0xee; sectors * 512];
                let inside = lba + sectors as u64 <= total;
                assert_eq!(disk.read(lba, &mut got).is_ok(), inside);
                if inside {
                    assert!(got == model[lba as usize * 512..][..got.len()], "at {lba}");
                }
            }
            Op::WriteFrom { lba, sectors, fill, piece } => {
                let data = vec![fill; sectors * 512];
                let inside = lba + sectors as u64 <= total;
                let memory = cells(&data);
                assert_eq!(disk.write_from(lba, &memory.chunks(piece).collect::<Vec<_>>()).is_ok(), inside);
                if inside {
                    model[lba as usize * 512..][..data.len()].copy_from_slice(&data);
                }
            }
            Op::ReadTo { lba, sectors, piece } => {
                let memory = cells(&vec![0xee; sectors * 512]);
                let inside = lba + sectors as u64 <= total;
                assert_eq!(disk.read_to(lba, &memory.chunks(piece).collect::<Vec<_>>()).is_ok(), inside);
                if inside {
                    let got = pieces::get(&[&memory]);
                    assert!(got == model[lba as usize * 512..][..got.len()], "at {lba}");
                }
            }
            Op::Discard { lba, sectors } => {
                let inside = lba + sectors as u64 <= total;
                assert_eq!(disk.discard(lba, sectors as u64).is_ok(), inside);
                let all = (lba..total.min(lba + sectors as u64)).filter(|_| inside);
                for s in all.map(|s| s as usize * 512) {
                    let mut got = [0; 512];
                    disk.read(s as u64 / 512, &mut got).unwrap();
                    if got == [0; 512] {
                        model[s..s + 512].fill(0);
                    }
                    assert!(got == model[s..s + 512], "neither zeros nor as before");
                }
            }
            Op::Reopen => {
                drop(disk);
                disk = open(store.clone());
            }
        }
    }
    drop(disk);
    let mut disk = open(store);
    let mut all = vec![0; model.len()];
    disk.read(0, &mut all).unwrap();
    assert!(all == model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dynamic_vhd_is_an_array_of_bytes(ops in prop::collection::vec(op(), 1..60)) {
        run(VhdType::Dynamic, ops);
    }

    #[test]
    fn a_differencing_vhd_is_its_parent_with_changes(ops in prop::collection::vec(op(), 1..60)) {
        run(VhdType::Differencing, ops);
    }

    #[test]
    fn a_fixed_vhd_is_an_array_of_bytes(ops in prop::collection::vec(op(), 1..30)) {
        run(VhdType::Fixed, ops);
    }
}

#[test]
fn killed_at_any_write_the_image_opens_and_has_all_that_was_written() {
    killed(|disk, lba, data| disk.write(lba, data));
    killed(|disk, lba, data| disk.write_from(lba, &cells(data).chunks(4096).collect::<Vec<_>>()));
}

fn killed(write: fn(&mut dyn Disk, u64, &[u8]) -> io::Result<()>) {
    for kill in 0..60 {
        let mut store = shared(vhd(VhdType::Dynamic, SECTORS, BLOCK));
        store.left = Some(Arc::new(Mutex::new(kill)));
        let mut disk = open(store.clone());
        let mut written = 0;
        // Each write begins in one block and ends in the next.
        let at = |n: u64| n * 128 + 100;
        while written < 12 && write(disk.as_mut(), at(written), &pattern(at(written), 100)).is_ok() {
            written += 1;
        }
        store.left = None;
        let mut disk = open(store);
        for n in 0..written {
            let mut got = vec![0; 51200];
            disk.read(n * 128 + 100, &mut got).unwrap();
            assert!(got == pattern(n * 128 + 100, 100), "write {n}, killed at {kill}");
        }
        // And it takes new ones.
        disk.write(0, &pattern(7, 4)).unwrap();
        let mut got = vec![0; 2048];
        disk.read(0, &mut got).unwrap();
        assert!(got == pattern(7, 4));
    }
}

#[test]
fn zeros_allocate_nothing() {
    let store = shared(vhd(VhdType::Dynamic, SECTORS, BLOCK));
    let before = store.len();
    let mut disk = open(store.clone());
    disk.write(0, &vec![0; 1 << 20]).unwrap();
    assert_eq!(store.len(), before);
    disk.write(300, &pattern(0, 1)).unwrap();
    drop(disk);
    assert_eq!(store.len(), before + 512 + u64::from(BLOCK));
}

#[test]
fn sectors_that_the_bitmap_leaves_out_read_zero_until_written() {
    let store = shared(vhd(VhdType::Dynamic, SECTORS, BLOCK));
    open(store.clone()).write(0, &pattern(0, 128)).unwrap();
    {
        // As Virtual PC writes it: only sectors 0-3 and 9 are marked.
        let mut s = store.bytes.lock().unwrap();
        let at = s.0.len() - 512 - BLOCK as usize - 512;
        s.0[at..at + 16].copy_from_slice(&[0xf0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    let mut disk = open(store.clone());
    let mut got = vec![0; 12 * 512];
    disk.read(0, &mut got).unwrap();
    let mut want = pattern(0, 12);
    want[4 * 512..9 * 512].fill(0);
    want[10 * 512..].fill(0);
    assert!(got == want);
    let memory = cells(&[0xee; 12 * 512]);
    disk.read_to(0, &[&memory[..700], &memory[700..]]).unwrap();
    assert!(pieces::get(&[&memory]) == want, "straight too");
    disk.write(5, &pattern(77, 1)).unwrap();
    want[5 * 512..6 * 512].copy_from_slice(&pattern(77, 1));
    let data = cells(&pattern(78, 2));
    disk.write_from(7, &[&data[..1], &data[1..]]).unwrap();
    want[7 * 512..9 * 512].copy_from_slice(&pattern(78, 2));
    drop(disk);
    let mut disk = open(store);
    disk.read(0, &mut got).unwrap();
    assert!(got == want);
}
