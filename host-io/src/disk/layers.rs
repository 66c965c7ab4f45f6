//! What is done with the files of a chain: merging a child into its parent, compacting a file, comparing two disks.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use board::Disk;

use super::chain::{Chain, Found, check_parent, find};
use super::child::Layer;
use super::convert::{give_up, new_file};
use super::early::Early;
use super::family::children;
use super::foreign::open_to_read;
use super::freeze::real;
use super::split::{self, Files};
use super::store::{FileStore, Store};
use super::vhd::{self, Dynamic, Rewrite};
use super::{DiskError, Extents, Format, Mode, SECTOR};

/// One read of a comparison.
const CHUNK: u64 = 2 << 20;

/// Writes to the parent what a differencing disk holds, and removes the disk. Interrupted, it can be done again; until it
/// is done the child can still be used. Other children of that parent can't be used any more. Returns the parent.
pub fn merge(child: &Path, progress: impl FnMut(u64, u64)) -> Result<PathBuf, DiskError> {
    let Poured { parent, own, .. } = pour(child, progress)?;
    drop(own);
    split::remove(child).map_err(|source| DiskError::Io { path: child.into(), doing: "removing", source })?;
    Ok(parent)
}

/// The same, but it is the parent's file that stays: it gets the child's identity and time of change, and then its name. To
/// disks over the child it is the child. At no instant is there no disk at `child`. `ready` is called before the parent, which
/// it gets, takes the child's place: it won't change any more.
pub fn merge_over<E: From<DiskError>>(
    child: &Path,
    progress: impl FnMut(u64, u64),
    ready: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let poured = pour(&real(child), progress)?;
    poured.inherit()?;
    ready(&poured.parent)?;
    Ok(poured.replace()?)
}

/// A child whose parent holds all that it does. Both are there, and the child is locked.
pub(crate) struct Poured {
    child: PathBuf,
    parent: PathBuf,
    footer: vhd::Footer,
    own: Dynamic<Files>,
}

/// Writes to the parent what a differencing disk holds. From the first byte on the child says so of itself, and can be used
/// all the same.
pub(crate) fn pour(child: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Poured, DiskError> {
    let Layer { mut store, mut layout, faults } = Layer::open(child)?;
    let (Some(link), Some(blocks)) = (layout.parent.clone(), layout.dynamic.clone()) else {
        return Err(DiskError::NoParent { path: child.into(), format: layout.kind().into() });
    };
    let found = find(child, &link, |path, _| Chain::default().open(path, Mode::ReadWrite))?;
    check_parent(child, &layout, &link, &found)?;
    let Found { path: parent, opened, .. } = found;
    let mut target = opened.image.disk;
    let at_child = |source| DiskError::Io { path: child.into(), doing: "merging", source };
    let at_parent = |source| DiskError::Io { path: parent.clone(), doing: "merging into", source };
    if !layout.footer.merging() {
        let modified = child.metadata().and_then(|m| m.modified()).map_err(at_child)?;
        layout.footer.set_merging(modified.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64));
        let footer = &layout.footer.bytes;
        store
            .write_at(blocks.end, footer)
            .and_then(|()| store.write_at(0, footer))
            .and_then(|()| store.set_modified(modified))
            .and_then(|()| store.sync())
            .map_err(at_child)?;
    }
    let (sectors, footer) = (layout.sectors, layout.footer.clone());
    let total = blocks.used() as u64 * u64::from(blocks.block_size);
    let used: Vec<usize> = blocks.in_order();
    let mut own = Dynamic::new(store, layout, blocks, &faults, true, None);
    target.expect(total);
    let mut buf = vec![0; vhd::PIECE];
    let mut done = 0;
    progress(done, total);
    for block in used {
        for (first, count) in own.own(block).map_err(at_child)? {
            let (lba, count) = own.on_disk(block, first, count);
            let end = (lba + count).min(sectors);
            // Each piece stays in the processor's cache.
            for lba in (lba..end).step_by(buf.len() / SECTOR as usize) {
                let part = (end - lba).min(buf.len() as u64 / SECTOR) * SECTOR;
                let part = &mut buf[..part as usize];
                own.read(lba, part).map_err(at_child)?;
                target.write(lba, part).map_err(at_parent)?;
            }
        }
        done += own.block_bytes();
        progress(done, total);
    }
    target.flush().map_err(at_parent)?;
    drop(target);
    Ok(Poured { child: child.into(), parent, footer, own })
}

impl Poured {
    /// The parent becomes what the child is to disks over it. The child, which is being merged, takes it under both
    /// identities.
    pub(crate) fn inherit(&self) -> Result<(), DiskError> {
        let failed = |source| DiskError::Io { path: self.parent.clone(), doing: "writing", source };
        // A child with disks over it has not changed since the merge began; another may have been used meanwhile.
        let before = self.footer.merged_from().map(|ns| UNIX_EPOCH + Duration::from_nanos(ns));
        let before = if children(&self.child).map_err(failed)?.is_empty() { None } else { before };
        let Layer { mut store, mut layout, .. } = Layer::open(&self.parent)?;
        layout.footer.set_uuid(self.footer.uuid());
        let footer = &layout.footer.bytes;
        let mut write = || {
            match &layout.dynamic {
                Some(blocks) => {
                    store.write_at(blocks.end, footer)?;
                    store.write_at(0, footer)?;
                }
                None => store.write_at(store.len() - footer.len() as u64, footer)?,
            }
            store.sync()?;
            store.set_modified(before.map_or_else(|| self.child.metadata()?.modified(), Ok)?)?;
            store.sync()
        };
        write().map_err(failed)
    }

    pub(crate) fn replace(self) -> Result<(), DiskError> {
        let Self { child, parent, own, .. } = self;
        std::fs::rename(&parent, &child).map_err(|source| DiskError::Io {
            path: child.clone(),
            doing: "replacing",
            source,
        })?;
        drop(own);
        sync_folder(&child);
        Ok(())
    }
}

/// What compacting changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    pub before: u64,
    pub after: u64,
}

/// Leaves out of a dynamic or differencing VHD what reads the same without: blocks of zeros, sectors that are the parent's.
/// The new file takes the old one's place when it is whole; it is the same disk to its children.
pub fn compact(path: &Path, progress: impl FnMut(u64, u64)) -> Result<Compacted, DiskError> {
    let Layer { store, layout, faults } = Layer::open(path)?;
    let Some(blocks) = layout.dynamic.clone() else {
        return Err(DiskError::NotDynamic { path: path.into(), format: layout.kind().into() });
    };
    if matches!(store, Files::Split(_)) {
        return Err(DiskError::IsSplit { path: path.into() });
    }
    let parent = match &layout.parent {
        Some(link) => Some(Chain::at(path).parent(path, &layout, link)?),
        None => None,
    };
    let failed = |source| DiskError::Io { path: path.into(), doing: "compacting", source };
    let modified = path.metadata().and_then(|m| m.modified()).map_err(failed)?;
    let before = store.len();
    let mut name = path.as_os_str().to_owned();
    name.push(".compacting");
    let new = PathBuf::from(name);
    // The lock on the image is ours: nobody else is at it, and what is there was left by a process that was killed.
    let _ = std::fs::remove_file(&new);
    let mut to = new_file(&new)?;
    let at_new = |source| give_up(&new, "writing", source);
    let own = Dynamic::new(store, layout.clone(), blocks, &faults, true, None);
    copy_needed(own, &layout, parent, &mut to, progress).map_err(at_new)?;
    let after = to.len();
    // To children its content is what it was, and so is its time.
    to.set_modified(modified).and_then(|()| to.sync()).map_err(at_new)?;
    drop(to);
    std::fs::rename(&new, path).map_err(at_new)?;
    sync_folder(path);
    Ok(Compacted { before, after })
}

/// The new name of a file lasts. Where that can't be asked for the system sees to it.
pub fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(f) = std::fs::File::open(folder) {
        let _ = f.sync_all();
    }
}

fn copy_needed(
    mut own: Dynamic<Files>,
    layout: &vhd::Layout,
    mut parent: Option<Box<dyn Extents>>,
    to: &mut FileStore,
    mut progress: impl FnMut(u64, u64),
) -> io::Result<()> {
    let mut new = Rewrite::begin(&mut own, layout, to)?;
    let mut early = Early::new(to);
    let used = own.blocks().in_order();
    let total = used.len() as u64 * own.block_bytes();
    let (mut buf, mut under, mut piece) = (Vec::new(), Vec::new(), vec![0; vhd::PIECE]);
    for (n, block) in used.into_iter().enumerate() {
        progress(n as u64 * own.block_bytes(), total);
        early.written(to.len());
        let (lba, count) = own.on_disk(block, 0, own.block_sectors() as u32);
        let count = count.min(layout.sectors.saturating_sub(lba));
        let Some(p) = &mut parent else {
            let read = |at: u64, part: &mut [u8]| own.read(lba + at / SECTOR, part);
            let copied = new.whole_block(to, block, count * SECTOR, &mut piece, read);
            copied.map_err(|(vhd::Side::Read(e) | vhd::Side::Write(e))| e)?;
            continue;
        };
        buf.resize((count * SECTOR) as usize, 0);
        own.read(lba, &mut buf)?;
        under.resize(buf.len(), 0);
        p.read(lba, &mut under)?;
        let runs = own.own(block)?;
        let there = runs.iter().flat_map(|(first, n)| u64::from(*first)..u64::from(first + n));
        let marked = runs_of(there.filter(|s| *s < count && sector(&buf, *s) != sector(&under, *s)));
        if !marked.is_empty() {
            new.block(to, block, &marked, &buf)?;
        }
    }
    new.end(to)?;
    early.end()?;
    progress(total, total);
    Ok(())
}

fn sector(b: &[u8], n: u64) -> &[u8] {
    &b[(n * SECTOR) as usize..][..SECTOR as usize]
}

/// Numbers in order, as runs.
fn runs_of(numbers: impl Iterator<Item = u64>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for n in numbers {
        match runs.last_mut() {
            Some(r) if r.end == n => r.end += 1,
            _ => runs.push(n..n + 1),
        }
    }
    runs
}

/// Where two disks differ, in sectors. What only the larger one has counts if it isn't zeros.
pub fn diff(a: &Path, b: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Vec<Range<u64>>, DiskError> {
    let mut disks = [open_to_read(a)?, open_to_read(b)?];
    let sizes = disks.each_ref().map(|d| d.sectors());
    let total = sizes[0].max(sizes[1]);
    let mut differ: Vec<Range<u64>> = Vec::new();
    let mut lba = 0;
    while let Some(at) = disks.iter_mut().filter_map(|d| d.next_data(lba)).min() {
        let count = (CHUNK / SECTOR - at % (CHUNK / SECTOR)).min(total - at);
        let mut bufs = [vec![0; (count * SECTOR) as usize], vec![0; (count * SECTOR) as usize]];
        for (n, path) in [a, b].into_iter().enumerate() {
            let there = sizes[n].saturating_sub(at).min(count);
            disks[n].read(at, &mut bufs[n][..(there * SECTOR) as usize]).map_err(|source| DiskError::Io {
                path: path.into(),
                doing: "reading",
                source,
            })?;
        }
        if bufs[0] != bufs[1] {
            let sectors = bufs[0].chunks(SECTOR as usize).zip(bufs[1].chunks(SECTOR as usize));
            let others = (at..).zip(sectors).filter(|(_, (x, y))| x != y).map(|(s, _)| s);
            for r in runs_of(others) {
                match differ.last_mut() {
                    Some(last) if last.end == r.start => last.end = r.end,
                    _ => differ.push(r),
                }
            }
        }
        lba = at + count;
        progress(lba * SECTOR, total * SECTOR);
    }
    Ok(differ)
}

impl From<vhd::VhdType> for Format {
    fn from(kind: vhd::VhdType) -> Self {
        match kind {
            vhd::VhdType::Fixed => Self::VhdFixed,
            vhd::VhdType::Dynamic => Self::VhdDynamic,
            vhd::VhdType::Differencing => Self::VhdDifferencing,
        }
    }
}
