//! What a differencing disk says of its parent: the disk that holds all that it doesn't hold itself.
//! VHD specification, "Dynamic Disk Header Format" and "Implementing a Differencing Hard Disk".

use std::path::{Path, PathBuf};

use super::footer::{Header, Uuid, be32, be64};
use crate::disk::SECTOR;

/// Entries of the header's table of parent locators.
const LOCATORS: usize = 8;
const FIRST_LOCATOR: usize = 576;
const NAME: std::ops::Range<usize> = 64..576;
/// No path is longer.
const LONGEST: u32 = 64 << 10;

/// A differencing disk's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) uuid: Uuid,
    /// When the parent's file was last changed: seconds since 2000; 0: not known.
    pub(crate) stamp: u32,
    /// Its name, without or with a folder.
    pub(crate) name: String,
    pub(crate) locators: Vec<Locator>,
    /// While the child is merged: its own UUID, which the parent has at the end if it takes the child's place.
    pub(crate) heir: Option<Uuid>,
}

/// One way to find the parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Locator {
    /// Its place in the header's table.
    entry: usize,
    code: [u8; 4],
    pub(crate) offset: u64,
    pub(crate) len: u32,
    /// Bytes kept for it.
    pub(crate) room: u64,
    text: String,
}

/// "W2ru": relative to the child's folder; "W2ku": absolute; both UTF-16, little-endian. "Wi2r" and "Wi2k" are their
/// deprecated forms in a Windows code page. "MacX": a file URL, UTF-8.
const RELATIVE: &[u8; 4] = b"W2ru";
const ABSOLUTE: &[u8; 4] = b"W2ku";
const URL: &[u8; 4] = b"MacX";

fn utf16_le(b: &[u8]) -> String {
    let units: Vec<u16> = b.as_chunks::<2>().0.iter().map(|c| u16::from_le_bytes(*c)).collect();
    text(&units)
}

fn text(units: &[u16]) -> String {
    let end = units.iter().position(|u| *u == 0).unwrap_or(units.len());
    String::from_utf16_lossy(&units[..end])
}

impl Locator {
    pub(crate) fn code(&self) -> String {
        String::from_utf8_lossy(&self.code).into_owned()
    }

    /// Writes to the header that it stands elsewhere.
    pub(crate) fn set_offset(&self, header: &mut Header, at: u64) {
        header.bytes[FIRST_LOCATOR + self.entry * 24 + 16..][..8].copy_from_slice(&at.to_be_bytes());
        header.sum();
    }

    /// Can it be read?
    pub(crate) fn fits(&self, file: u64) -> bool {
        self.len <= LONGEST && self.offset.checked_add(u64::from(self.len)).is_some_and(|end| end <= file)
    }

    /// What the bytes that it points to say.
    pub(crate) fn learn(&mut self, bytes: &[u8]) {
        self.text = match &self.code {
            RELATIVE | ABSOLUTE => utf16_le(bytes),
            _ => String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned(),
        };
    }

    /// The file that it names, for a child in `folder`.
    fn path(&self, folder: &Path) -> Option<PathBuf> {
        match &self.code {
            _ if self.text.is_empty() => None,
            RELATIVE | b"Wi2r" => Some(folder.join(native(&self.text))),
            ABSOLUTE | b"Wi2k" if cfg!(windows) || self.text.starts_with('/') => Some((&self.text).into()),
            URL => {
                let path = self.text.strip_prefix("file://")?;
                Some(unescape(path.strip_prefix("localhost").unwrap_or(path)).into())
            }
            _ => None,
        }
    }
}

/// A path as Windows writes it, as this host does.
fn native(windows: &str) -> String {
    if cfg!(windows) { windows.to_owned() } else { windows.replace('\\', "/") }
}

fn last_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

fn unescape(url: &str) -> String {
    let hex = |b: &[u8]| u8::from_str_radix(std::str::from_utf8(b).ok()?, 16).ok();
    let (mut out, mut rest) = (Vec::new(), url.as_bytes());
    while let Some((&b, behind)) = rest.split_first() {
        let code = if b == b'%' { behind.get(..2).and_then(hex) } else { None };
        out.push(code.unwrap_or(b));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn escape(path: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b);
    path.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

impl Parent {
    /// Reads the header's part; the locators' texts are still to be learnt.
    pub(crate) fn of(header: &Header) -> Self {
        let b = &header.bytes;
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&b[40..56]);
        let name: Vec<u16> = b[NAME].as_chunks::<2>().0.iter().map(|c| u16::from_be_bytes(*c)).collect();
        let locator = |entry: usize| {
            let e = &b[FIRST_LOCATOR + entry * 24..][..24];
            // A number of sectors, by the specification; of bytes, by some who wrote such disks.
            let space = u64::from(be32(e, 4));
            Locator {
                entry,
                code: [e[0], e[1], e[2], e[3]],
                offset: be64(e, 16),
                len: be32(e, 8),
                room: if space < SECTOR { space * SECTOR } else { space },
                text: String::new(),
            }
        };
        let locators = (0..LOCATORS).map(locator).filter(|l| l.code != [0; 4]).collect();
        Self { uuid: Uuid(uuid), stamp: be32(b, 56), name: text(&name), locators, heir: None }
    }

    /// Is the disk with this UUID the parent?
    pub(crate) fn is(&self, uuid: Uuid) -> bool {
        self.uuid == uuid || self.heir == Some(uuid)
    }

    /// Where the locators are, and the room that they have together; None if they are not beside each other.
    pub(crate) fn place(&self) -> Option<(u64, u64)> {
        let mut all: Vec<_> = self.locators.iter().map(|l| (l.offset, l.room)).collect();
        all.sort_unstable();
        let beside = all.windows(2).all(|w| w[0].0.checked_add(w[0].1) == Some(w[1].0));
        let first = all.first()?.0;
        (beside && first.is_multiple_of(SECTOR)).then(|| (first, all.iter().map(|l| l.1).sum()))
    }

    /// Where the parent may be, best guess first: as the relative locator says, as the absolute ones do, by its name in
    /// the child's folder.
    pub(crate) fn places(&self, child: &Path) -> Vec<PathBuf> {
        let folder = child.parent().unwrap_or(Path::new(""));
        let mut all: Vec<PathBuf> = Vec::new();
        let (near, far): (Vec<_>, Vec<_>) =
            self.locators.iter().partition(|l| matches!(&l.code, RELATIVE | b"Wi2r"));
        let named = self.locators.iter().map(|l| l.text.as_str()).chain([self.name.as_str()]);
        let named = named.map(last_name).filter(|n| !n.is_empty()).map(|n| folder.join(n));
        for path in near.into_iter().chain(far).filter_map(|l| l.path(folder)).chain(named) {
            if !all.contains(&path) {
                all.push(path);
            }
        }
        all
    }
}

/// The locators of a new link, as their bytes, in the order of the header's table.
pub(crate) struct Link {
    uuid: Uuid,
    stamp: u32,
    name: String,
    texts: Vec<([u8; 4], Vec<u8>)>,
}

impl Link {
    /// To `parent`, which both paths name absolutely, from a child at `child`.
    pub(crate) fn new(parent: &Path, child: &Path, uuid: Uuid, stamp: u32) -> Self {
        let utf16 = |s: &str| s.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let mut texts = Vec::new();
        if let Some(near) = relative(parent, child) {
            texts.push((*RELATIVE, utf16(&near)));
        }
        let far = parent.to_string_lossy();
        if cfg!(windows) {
            texts.push((*ABSOLUTE, utf16(&far)));
        } else {
            texts.push((*URL, format!("file://localhost{}", escape(&far)).into_bytes()));
        }
        let name = parent.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Self { uuid, stamp, name, texts }
    }

    /// Bytes to set aside for each locator, in whole sectors. Twice the need and more, so that a longer path fits later.
    fn room(len: usize) -> u64 {
        ((len * 2).max(SECTOR as usize) as u64).next_multiple_of(SECTOR)
    }

    /// Bytes of all locators.
    pub(crate) fn total(&self) -> u64 {
        self.texts.iter().map(|(_, t)| Self::room(t.len())).sum()
    }

    /// What stands at `at`, and the header's fields that say so. Returns the bytes for `at`.
    pub(crate) fn set(&self, header: &mut Header, at: u64) -> Vec<u8> {
        let b = &mut header.bytes;
        b[40..56].copy_from_slice(&self.uuid.0);
        b[56..60].copy_from_slice(&self.stamp.to_be_bytes());
        b[NAME].fill(0);
        // The last unit stays 0.
        let name = self.name.encode_utf16().take(NAME.len() / 2 - 1);
        for (to, unit) in b[NAME].chunks_mut(2).zip(name) {
            to.copy_from_slice(&unit.to_be_bytes());
        }
        b[FIRST_LOCATOR..FIRST_LOCATOR + LOCATORS * 24].fill(0);
        let mut data: Vec<u8> = Vec::new();
        for ((code, text), e) in self.texts.iter().zip(b[FIRST_LOCATOR..].chunks_mut(24)) {
            let room = Self::room(text.len());
            e[0..4].copy_from_slice(code);
            e[4..8].copy_from_slice(&((room / SECTOR) as u32).to_be_bytes());
            e[8..12].copy_from_slice(&(text.len() as u32).to_be_bytes());
            e[16..24].copy_from_slice(&(at + data.len() as u64).to_be_bytes());
            let end = data.len() + room as usize;
            data.extend_from_slice(text);
            data.resize(end, 0);
        }
        header.sum();
        data
    }
}

/// `parent` as seen from the child's folder, as Windows writes it; None between two drives.
fn relative(parent: &Path, child: &Path) -> Option<String> {
    let folder: Vec<_> = child.parent()?.components().collect();
    let to: Vec<_> = parent.components().collect();
    let common = folder.iter().zip(&to).take_while(|(a, b)| a == b).count();
    if common == 0 {
        return None;
    }
    let up = std::iter::repeat_n("..".to_owned(), folder.len() - common);
    let down = to[common..].iter().map(|c| c.as_os_str().to_string_lossy().into_owned());
    let way: Vec<String> = up.chain(down).collect();
    let here = if folder.len() == common { ".\\" } else { "" };
    Some(format!("{here}{}", way.join("\\")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header::new(4, 2 << 20)
    }

    fn learnt(link: &Link) -> Parent {
        let mut h = header();
        let data = link.set(&mut h, 4096);
        assert_eq!(data.len() as u64, link.total());
        assert_eq!(h.checksum().0, h.checksum().1);
        let mut p = Parent::of(&h);
        for l in &mut p.locators {
            l.learn(&data[(l.offset - 4096) as usize..][..l.len as usize]);
        }
        p
    }

    #[test]
    fn a_link_is_read_as_it_was_written() {
        let (base, child) =
            (Path::new("/data/base images/Büro 100%.vhd"), Path::new("/data/users/anna/c.vhd"));
        let uuid = Uuid::random();
        let p = learnt(&Link::new(base, child, uuid, 7));
        assert_eq!((p.uuid, p.stamp, p.name.as_str()), (uuid, 7, "Büro 100%.vhd"));
        assert_eq!(p.locators[0].text, "..\\..\\base images\\Büro 100%.vhd");
        let places = p.places(child);
        assert_eq!(places[0], Path::new("/data/users/anna/../../base images/Büro 100%.vhd"));
        assert_eq!(places[1], base);
        assert_eq!(places[2], Path::new("/data/users/anna/Büro 100%.vhd"));
        let near = &p.locators[0];
        assert!(near.fits(1 << 20) && !near.fits(4096), "{}", near.code());
        let beside = learnt(&Link::new(Path::new("/a/b.vhd"), Path::new("/a/c.vhd"), uuid, 7));
        assert_eq!(beside.locators[0].text, ".\\b.vhd");
    }

    #[test]
    fn windows_paths_lead_to_the_childs_folder_at_least() {
        let mut h = header();
        let b = &mut h.bytes;
        b[FIRST_LOCATOR..][..4].copy_from_slice(ABSOLUTE);
        // Of bytes, as some write it.
        b[FIRST_LOCATOR + 4..][..4].copy_from_slice(&512_u32.to_be_bytes());
        let mut p = Parent::of(&h);
        assert_eq!(p.locators[0].room, 512);
        let path: Vec<u8> = "C:\\VMs\\base.vhd\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        p.locators[0].learn(&path);
        assert_eq!(p.places(Path::new("x/c.vhd")), [Path::new("x/base.vhd")]);
    }
}
