//! Mends VHDs: what can be made good without loss, and blocks that can't be only when that is asked for.
//!
//! All changes are made in a [`Plan`] first. What they overwrite is kept in a file beside the image (`undo.rs`), so that
//! the image is the old one or the new one whatever happens, and the repair can be taken back.

mod footer;
mod plan;
mod undo;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;

use self::plan::Plan;
pub(crate) use self::undo::working;
use super::chain::{Chain, Found, find};
use super::error::Medium;
use super::info::{CheckReport, check};
use super::split::Files;
use super::store::Store;
use super::vhd::{
    self, Blocks, FOOTER, Footer, HEADER, Header, Parts, UNUSED, VhdFault, VhdType, examine_parts,
};
use super::{DiskError, Mode, SECTOR, absolute, ends_as_vhd, named_vhd};

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// One line each.
    pub done: Vec<String>,
    /// What can only be mended with a loss, which was not asked for.
    pub would_lose: Vec<String>,
    /// What takes the repair back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<PathBuf>,
    /// What is wrong now.
    pub after: CheckReport,
}

fn now() -> u64 {
    UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs())
}

/// Mends what can be mended. `lose`: also what costs blocks. An image of which nothing is wrong is not touched.
pub fn repair(path: &Path, lose: bool) -> Result<Repaired, DiskError> {
    let mut s = Files::open(path, Medium::Disk(Mode::ReadWrite))?;
    let io = |source| DiskError::Io { path: path.into(), doing: "reading", source };
    let mut done = Vec::new();
    if undo::recover(path, &mut s)? {
        done.push("a repair that was interrupted is taken back".to_owned());
    }
    let mut head = [0; 8];
    if s.len() >= 8 {
        s.read_at(0, &mut head).map_err(io)?;
    }
    let is_vhd = head == *vhd::COOKIE || ends_as_vhd(&mut s).map_err(io)? || named_vhd(path);
    let (mut would_lose, mut undo) = (Vec::new(), None);
    if is_vhd {
        let modified = path.metadata().and_then(|m| m.modified()).map_err(io)?;
        let mut mend = Mend { s: Plan::new(&mut s), path, lose, done, would_lose, lost: false };
        mend.all().map_err(io)?;
        let lost = mend.lost;
        let changes = mend.s.end().map_err(io)?;
        (done, would_lose) = (mend.done, mend.would_lose);
        if !changes.runs.is_empty() || changes.len != s.len() {
            undo = Some(undo::change(path, &mut s, &changes)?);
            if !lost {
                // To children its content is what it was, and so is its time.
                s.set_modified(modified).map_err(io)?;
            }
        }
    }
    // A second look wants a lock of its own.
    drop(s);
    Ok(Repaired { done, would_lose, undo, after: check(path)? })
}

/// Takes the last repair back. Returns the file that told how, which is removed.
pub fn undo_repair(path: &Path) -> Result<PathBuf, DiskError> {
    let mut s = Files::open(path, Medium::Disk(Mode::ReadWrite))?;
    undo::undo(path, &mut s)
}

/// Any bytes as what is kept of a repair.
pub(crate) fn fuzz_undo(bytes: &[u8]) {
    undo::fuzz(bytes);
}

/// The plan of a repair, without the file that it is made for. For tests and fuzzing: returns what it did.
pub(crate) fn repair_store(s: &mut dyn Store, lose: bool) -> io::Result<Vec<String>> {
    let none = Path::new("none.vhd");
    let plan = Plan::new(s);
    let mut mend = Mend { s: plan, path: none, lose, done: Vec::new(), would_lose: Vec::new(), lost: false };
    mend.all()?;
    let done = mend.done;
    let changes = mend.s.end()?;
    undo::apply(s, &changes)?;
    Ok(done)
}

struct Mend<'a> {
    s: Plan<'a>,
    path: &'a Path,
    lose: bool,
    done: Vec<String>,
    would_lose: Vec<String>,
    /// Does the guest read something else than before?
    lost: bool,
}

impl Mend<'_> {
    fn all(&mut self) -> io::Result<()> {
        self.footers()?;
        self.header()?;
        self.table()?;
        self.last_footer()?;
        self.junk()?;
        self.merging()
    }

    fn done(&mut self, what: impl Into<String>) {
        self.done.push(what.into());
    }

    /// At least one footer has to be good to say anything of the rest.
    fn footers(&mut self) -> io::Result<()> {
        let (parts, _) = examine_parts(&mut self.s)?;
        if parts.is_some() {
            return Ok(());
        }
        let last = self.s.len().saturating_sub(FOOTER as u64);
        if last > 0 {
            for (at, name) in [(0, "the footer's copy at offset 0"), (last, "the last footer")] {
                if let Some(f) = footer::dynamic(&mut self.s, at)? {
                    self.s.write_at(at, &f.bytes)?;
                    self.done(format!("{name} is made good, its checksum proves it"));
                    return Ok(());
                }
            }
        }
        if let Some((f, at, how)) = footer::fixed(&mut self.s)? {
            self.s.write_at(at, &f.bytes)?;
            self.s.set_len(at + FOOTER as u64)?;
            self.done(how);
        }
        Ok(())
    }

    fn header(&mut self) -> io::Result<()> {
        let (Some(parts), faults) = examine_parts(&mut self.s)? else { return Ok(()) };
        let Some(kind) = parts.kind.filter(|k| *k != VhdType::Fixed) else { return Ok(()) };
        let at = parts.footer.data_offset();
        if !faults.iter().any(of_header)
            || at < FOOTER as u64
            || at > self.s.len().saturating_sub(HEADER as u64)
        {
            return Ok(());
        }
        let mut damaged = Header { bytes: vec![0; HEADER] };
        self.s.read_at(at, &mut damaged.bytes)?;
        for (header, how) in footer::headers(&damaged, kind, parts.sectors) {
            self.s.write_at(at, &header.bytes)?;
            let (parts, faults) = examine_parts(&mut self.s)?;
            let proved = header.checksum().0 == damaged.checksum().0;
            let blocks = parts.as_ref().and_then(|p| p.blocks.as_ref());
            // Without the proof all that hangs on the header has to fit.
            let fits =
                blocks.is_some_and(|b| footer::in_step(&b.bat, b.block_size) && tables_end(b) <= starts(b));
            let fatal = |f: &VhdFault| if proved { of_header(f) } else { f.fatal() };
            if !faults.iter().any(fatal) && (proved || fits) {
                self.done(how);
                return Ok(());
            }
        }
        self.s.write_at(at, &damaged.bytes)
    }

    /// Blocks that lie outside of the file, or over each other.
    fn table(&mut self) -> io::Result<()> {
        let (Some(Parts { blocks: Some(b), sectors, footer, .. }), faults) = examine_parts(&mut self.s)?
        else {
            return Ok(());
        };
        if !faults.iter().any(of_table) || faults.iter().any(|f| f.fatal() && !of_table(f)) {
            return Ok(());
        }
        let reach = if faults.contains(&VhdFault::LastFooter) { self.s.len() } else { b.end };
        let mut end = 0;
        for (entry, fate) in fates(&b, reach) {
            let first = entry as u64 * u64::from(b.block_size) / SECTOR;
            let of = first..(first + u64::from(b.block_size) / SECTOR).min(sectors);
            let what = tell(entry, &of, &fate);
            if !self.lose {
                self.would_lose.push(what);
                continue;
            }
            self.lost = true;
            match fate {
                Fate::Cut(at) => end = end.max(at),
                Fate::Outside | Fate::Over(_) => {
                    self.s.write_at(b.table + entry as u64 * 4, &UNUSED.to_be_bytes())?;
                }
            }
            self.done(what);
        }
        if end > 0 {
            // The old footer, if there is one, stands in what is the block's now.
            if !faults.contains(&VhdFault::LastFooter) {
                self.s.write_at(b.end, &[0; FOOTER])?;
            }
            self.s.write_at(end, &footer.bytes)?;
            self.s.set_len(end + FOOTER as u64)?;
        }
        Ok(())
    }

    /// The footer at the end, and its copy.
    fn last_footer(&mut self) -> io::Result<()> {
        let (Some(parts), faults) = examine_parts(&mut self.s)? else { return Ok(()) };
        if parts.kind == Some(VhdType::Fixed) || faults.iter().any(VhdFault::fatal) {
            return Ok(());
        }
        let bytes = parts.footer.bytes;
        if let Some(b) = parts.blocks.filter(|_| faults.contains(&VhdFault::LastFooter)) {
            self.s.write_at(b.end, &bytes)?;
            self.s.set_len(b.end + FOOTER as u64)?;
            self.done("the footer at the end is written anew from its copy at offset 0");
        }
        if faults.iter().any(|f| matches!(f, VhdFault::FooterCopy | VhdFault::CopyDiffers)) {
            self.s.write_at(0, &bytes)?;
            self.done("the footer's copy at offset 0 is written anew from the footer at the end");
        }
        Ok(())
    }

    /// What belongs to no block and lies behind them all. Where blocks were lost it may be theirs, and stays.
    fn junk(&mut self) -> io::Result<()> {
        let (Some(parts), faults) = examine_parts(&mut self.s)? else { return Ok(()) };
        let Some(b) = parts.blocks.filter(|_| !faults.iter().any(VhdFault::fatal) && !self.lost) else {
            return Ok(());
        };
        let end = b.used_end(parts.parent.as_ref());
        if b.end < end + b.whole() {
            return Ok(());
        }
        self.s.write_at(end, &parts.footer.bytes)?;
        self.s.set_len(end + FOOTER as u64)?;
        self.done(format!("{} bytes behind the last block, which belong to none, are cut off", b.end - end));
        Ok(())
    }

    /// A child whose merge was interrupted holds all that was written to its parent, so it can lie over it as it is now.
    fn merging(&mut self) -> io::Result<()> {
        let (Some(parts), faults) = examine_parts(&mut self.s)? else { return Ok(()) };
        let (Some(link), Some(blocks)) = (parts.parent, parts.blocks) else { return Ok(()) };
        if !faults.contains(&VhdFault::Merging) || faults.iter().any(VhdFault::fatal) {
            return Ok(());
        }
        let found = find(self.path, &link, |path, _| Chain::default().open(path, Mode::ReadOnly));
        // What is wrong with the parent the check behind this one tells.
        let Ok(Found { path, stamp, opened }) = found else { return Ok(()) };
        let mut header = blocks.header;
        // It may have the child's already.
        let uuid = opened.layout.map_or(link.uuid, |l| l.footer.uuid());
        header.set_parent(uuid, stamp);
        let mut footer: Footer = parts.footer;
        self.s.write_at(footer.data_offset(), &header.bytes)?;
        footer.clear_merging();
        self.s.write_at(0, &footer.bytes)?;
        self.s.write_at(parts.at.next_multiple_of(SECTOR), &footer.bytes)?;
        self.done(format!(
            "the interrupted merge is given up, it lies over {} as it is now",
            absolute(&path).display()
        ));
        Ok(())
    }
}

fn of_header(f: &VhdFault) -> bool {
    matches!(
        f,
        VhdFault::NoHeader(_)
            | VhdFault::HeaderSum { .. }
            | VhdFault::HeaderVersion(_)
            | VhdFault::BlockSize(_)
            | VhdFault::Entries { .. }
            | VhdFault::TableOffset(_)
            | VhdFault::Truncated { field: "the BAT", .. }
    )
}

fn of_table(f: &VhdFault) -> bool {
    matches!(f, VhdFault::BatRange { .. } | VhdFault::CutOff { .. } | VhdFault::Overlap { .. })
}

fn tables_end(b: &Blocks) -> u64 {
    b.table.saturating_add(u64::from(b.header.entries()) * 4)
}

/// Where the first block is.
fn starts(b: &Blocks) -> u64 {
    let first = b.bat.iter().filter(|s| **s != UNUSED).min();
    first.map_or(b.end, |s| u64::from(*s) * SECTOR)
}

/// Why a block can't stay as the table has it.
enum Fate {
    /// The file ends within it; it would have to end there.
    Cut(u64),
    Outside,
    /// The other block.
    Over(usize),
}

/// The blocks that have to go, so that all others can stay. `end`: of what may be blocks.
fn fates(b: &Blocks, end: u64) -> Vec<(usize, Fate)> {
    let step = b.whole() / SECTOR;
    let mut all = Vec::new();
    let mut placed: Vec<(u64, usize)> = Vec::new();
    for (entry, &sector) in b.bat.iter().enumerate().filter(|(_, s)| **s != UNUSED) {
        let sector = u64::from(sector);
        if sector >= b.first && (sector + step) * SECTOR <= end.next_multiple_of(SECTOR) {
            placed.push((sector, entry));
        } else if sector >= b.first && (sector + 1) * SECTOR < end {
            all.push((entry, Fate::Cut((sector + step) * SECTOR)));
            placed.push((sector, entry));
        } else {
            all.push((entry, Fate::Outside));
        }
    }
    placed.sort_unstable();
    // Blocks lie in step with each other; with which step most of them are.
    let mut steps = std::collections::BTreeMap::<u64, usize>::new();
    for (sector, _) in &placed {
        *steps.entry(sector % step).or_default() += 1;
    }
    let usual = steps.into_iter().max_by_key(|(_, n)| *n).map(|(at, _)| at);
    let in_step = |sector: u64| Some(sector % step) == usual;
    let mut kept: Option<(u64, usize)> = None;
    for (sector, entry) in placed {
        match kept {
            Some((at, other)) if at + step > sector => {
                // Of two in the same place the one with the lower number stays, as the order of places has it.
                let (gone, stays) =
                    if !in_step(at) && in_step(sector) { (other, entry) } else { (entry, other) };
                all.retain(|(e, _)| *e != gone);
                all.push((gone, Fate::Over(stays)));
                if gone == other {
                    kept = Some((sector, entry));
                }
            }
            _ => kept = Some((sector, entry)),
        }
    }
    all
}

fn tell(entry: usize, of: &Range<u64>, fate: &Fate) -> String {
    let sectors = format!("block {entry} (sectors {} to {} of the disk)", of.start, of.end.saturating_sub(1));
    match fate {
        Fate::Cut(_) => format!("{sectors} is cut off by the file's end; the rest of it is zeros"),
        Fate::Outside => format!("{sectors} lies outside of the file; it is given up"),
        Fate::Over(other) => format!("{sectors} lies over block {other}; it is given up"),
    }
}

#[cfg(test)]
mod tests;
