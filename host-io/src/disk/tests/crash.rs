//! A VHD whose host loses power at any moment: what was flushed is there, and what was not is, sector by sector, as it was
//! or as it was to be. Every prefix of the file's changes is tried, and many of the orders that a host may write them in.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::super::Mode;
use super::super::store::{MemStore, Store};
use super::super::vhd::VhdType;
use super::{below, open_on, pattern, vhd};

const SECTORS: u64 = 700;
const BLOCK: u32 = 16 << 10;

/// Numbers by chance, the same for a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One time in so many.
    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A change of the file.
#[derive(Debug, Clone)]
enum Change {
    Write { at: u64, bytes: Vec<u8> },
    SetLen(u64),
    Sync,
}

/// A file that remembers how it became what it is.
#[derive(Clone)]
struct Recorder {
    file: MemStore,
    changes: Arc<Mutex<Vec<Change>>>,
}

impl Store for Recorder {
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_at(at, buf)
    }
    fn write_at(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
        self.changes.lock().unwrap().push(Change::Write { at, bytes: buf.to_vec() });
        self.file.write_at(at, buf)
    }
    fn punch(&mut self, at: u64, len: u64) -> io::Result<()> {
        // Each sector of it may get to the disk, or not.
        self.write_at(at, &vec![0; len as usize])
    }
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.changes.lock().unwrap().push(Change::SetLen(len));
        self.file.set_len(len)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.changes.lock().unwrap().push(Change::Sync);
        Ok(())
    }
}

/// What the guest did, between the changes that it led to: how many of them came before.
struct Done {
    before: usize,
    what: What,
}

enum What {
    Wrote { lba: u64, data: Vec<u8> },
    Flushed,
}

/// What sectors may hold after a loss of power when so many changes had come.
struct Allowed {
    flushed: Vec<u8>,
    /// Since the last flush.
    also: HashMap<u64, Vec<Vec<u8>>>,
}

fn allowed(start: &[u8], done: &[Done], changes: usize) -> Allowed {
    let mut a = Allowed { flushed: start.to_vec(), also: HashMap::new() };
    let mut now = start.to_vec();
    for (n, d) in done.iter().enumerate() {
        if d.before > changes {
            break;
        }
        // Done when the next one began; until then some of it may have come, and a flush may not.
        let whole = done.get(n + 1).is_some_and(|next| next.before <= changes);
        match &d.what {
            What::Wrote { lba, data } => {
                for (s, sector) in (*lba..).zip(data.chunks(512)) {
                    a.also.entry(s).or_default().push(sector.to_vec());
                }
                now[*lba as usize * 512..][..data.len()].copy_from_slice(data);
            }
            What::Flushed if whole => a = Allowed { flushed: now.clone(), also: HashMap::new() },
            What::Flushed => {}
        }
    }
    a
}

fn check(file: Vec<u8>, allowed: &Allowed, told: &dyn Fn() -> String) {
    let opened = open_on(MemStore(file), Mode::ReadWrite);
    let mut disk = opened.unwrap_or_else(|e| panic!("{e}; {}", told())).image.into_disk();
    let mut all = vec![0; allowed.flushed.len()];
    disk.read(0, &mut all).unwrap();
    for (s, (got, flushed)) in (0..).zip(all.chunks(512).zip(allowed.flushed.chunks(512))) {
        let other = allowed.also.get(&s).is_some_and(|a| a.iter().any(|a| a == got));
        assert!(got == flushed || other, "sector {s} is neither old nor new; {}", told());
    }
    // It takes new data, in places that had none, and what was there stays.
    let (lba, new) = (SECTORS / 2 + 3, pattern(9 << 32, 5));
    disk.write(lba, &new).unwrap();
    disk.flush().unwrap();
    let mut again = vec![0; all.len()];
    disk.read(0, &mut again).unwrap();
    all[lba as usize * 512..][..new.len()].copy_from_slice(&new);
    assert!(again == all, "a write after it changed something else; {}", told());
}

/// Applies changes: all of those before the last sync, and of the others those that are chosen, a sector's worth at a time.
fn replay(start: &[u8], changes: &[Change], mut came: impl FnMut() -> bool) -> Vec<u8> {
    let synced = changes.iter().rposition(|c| matches!(c, Change::Sync)).map_or(0, |n| n + 1);
    let mut file = MemStore(start.to_vec());
    for (n, c) in changes.iter().enumerate() {
        match c {
            Change::Sync => {}
            Change::SetLen(len) => {
                if n < synced || came() {
                    file.set_len(*len).unwrap();
                }
            }
            Change::Write { at, bytes } => {
                // Pieces end where the file's sectors do.
                let mut done = 0;
                while done < bytes.len() {
                    let here = at + done as u64;
                    let part = ((512 - here % 512) as usize).min(bytes.len() - done);
                    if n < synced || came() {
                        file.write_at(here, &bytes[done..done + part]).unwrap();
                    }
                    done += part;
                }
            }
        }
    }
    file.0
}

fn record(kind: VhdType, rng: &mut Chance, steps: u32) -> (Vec<u8>, Vec<Change>, Vec<Done>) {
    let start = vhd(kind, SECTORS, BLOCK);
    let changes = Arc::new(Mutex::new(Vec::new()));
    let store = Recorder { file: MemStore(start.clone()), changes: changes.clone() };
    let mut disk = open_on(store, Mode::ReadWrite).unwrap().image.into_disk();
    let total = disk.sectors();
    let mut done = Vec::new();
    for step in 0..steps {
        let before = changes.lock().unwrap().len();
        let what = if rng.once_in(5) {
            disk.flush().unwrap();
            What::Flushed
        } else if rng.once_in(6) {
            let lba = rng.below(total);
            let count = (1 + rng.below(80)).min(total - lba);
            let (mut old, mut data) = (vec![0; count as usize * 512], vec![0; count as usize * 512]);
            disk.read(lba, &mut old).unwrap();
            disk.discard(lba, count).unwrap();
            disk.read(lba, &mut data).unwrap();
            let as_was = |(new, old): (&[u8], &[u8])| new == old || new.iter().all(|b| *b == 0);
            assert!(data.chunks(512).zip(old.chunks(512)).all(as_was), "step {step}");
            What::Wrote { lba, data }
        } else {
            let lba = rng.below(total);
            let count = (1 + rng.below(40)).min(total - lba) as usize;
            let mut data = pattern(u64::from(step) << 20 | lba, count);
            if rng.once_in(6) {
                data.fill(0);
            }
            disk.write(lba, &data).unwrap();
            What::Wrote { lba, data }
        };
        done.push(Done { before, what });
    }
    let before = changes.lock().unwrap().len();
    if rng.once_in(2) {
        disk.flush().unwrap();
        done.push(Done { before, what: What::Flushed });
    }
    // With it the step before counts as whole.
    done.push(Done { before: changes.lock().unwrap().len(), what: What::Flushed });
    drop(disk);
    let changes = std::mem::take(&mut *changes.lock().unwrap());
    (start, changes, done)
}

fn run(kind: VhdType, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut rng = Chance(seed);
        let (start, changes, done) = record(kind, &mut rng, 30);
        let empty = below(kind, sectors_of(&start));
        for cut in 0..=changes.len() {
            let allowed = allowed(&empty, &done, cut);
            let told = |how: &str| format!("seed {seed}, {cut} of {} changes, {how}", changes.len());
            // A killed process: all that it had written is there.
            check(replay(&start, &changes[..cut], || true), &allowed, &|| told("killed"));
            for often in [2, 10] {
                let file = replay(&start, &changes[..cut], || !rng.once_in(often));
                check(file, &allowed, &|| told("power lost"));
            }
            let file = replay(&start, &changes[..cut], || false);
            check(file, &allowed, &|| told("nothing came"));
        }
    }
}

fn sectors_of(file: &[u8]) -> u64 {
    open_on(MemStore(file.to_vec()), Mode::ReadOnly).unwrap().image.disk.sectors()
}

/// `HEIRLOOM_CRASH_SEEDS=5000` for longer.
fn seeds() -> std::ops::Range<u64> {
    let n = std::env::var("HEIRLOOM_CRASH_SEEDS").ok().and_then(|n| n.parse().ok());
    0..n.unwrap_or(12)
}

#[test]
fn a_dynamic_vhd_survives_a_loss_of_power_at_any_moment() {
    run(VhdType::Dynamic, seeds());
}

#[test]
fn a_differencing_vhd_survives_a_loss_of_power_at_any_moment() {
    run(VhdType::Differencing, seeds());
}
