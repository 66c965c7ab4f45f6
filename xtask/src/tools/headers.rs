//! Would Windows XP SP3 load it? Headers and import tables of what is built for it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::LittleEndian as LE;
use object::pe::{
    IMAGE_DIRECTORY_ENTRY_BASERELOC, IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT, IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG,
    IMAGE_DIRECTORY_ENTRY_TLS, IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, IMAGE_DLLCHARACTERISTICS_NX_COMPAT,
    IMAGE_FILE_DLL, IMAGE_FILE_MACHINE_I386, IMAGE_FILE_RELOCS_STRIPPED, IMAGE_SUBSYSTEM_NATIVE,
    IMAGE_SUBSYSTEM_WINDOWS_CUI, IMAGE_SUBSYSTEM_WINDOWS_GUI,
};
use object::read::pe::{Import, PeFile32};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Program,
    Driver,
}

/// What Windows XP SP3's libraries export, as far as it is used: a library at the left edge, its functions indented.
pub(super) struct Known(BTreeMap<String, BTreeSet<String>>);

impl Known {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not as it must be", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut library: Option<&mut BTreeSet<String>> = None;
        for line in text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
            if !line.starts_with(' ') {
                library = Some(all.entry(line.trim().to_ascii_lowercase()).or_default());
            } else if let Some(functions) = &mut library {
                functions.extend(line.split_whitespace().map(str::to_owned));
            } else {
                bail!("functions stand before any library: {line}");
            }
        }
        Ok(Self(all))
    }

    fn fault(&self, library: &str, function: &str) -> Option<String> {
        match self.0.get(&library.to_ascii_lowercase()) {
            None => {
                Some(format!("imports {function} of {library}, a library that imports.txt does not know"))
            }
            Some(f) if !f.contains(function) => Some(format!(
                "imports {function} of {library}, which imports.txt does not have for Windows XP SP3"
            )),
            Some(_) => None,
        }
    }
}

/// Each reason why it would not load there, or not be as safe there as it can be.
pub(super) fn faults(bytes: &[u8], kind: Kind, known: &Known) -> Result<Vec<String>> {
    let pe = PeFile32::parse(bytes).context("not a 32-bit Windows program")?;
    let (file, optional) = (&pe.nt_headers().file_header, &pe.nt_headers().optional_header);
    let mut bad = Vec::new();
    let mut must = |ok: bool, what: String| {
        if !ok {
            bad.push(what);
        }
    };
    must(file.machine.get(LE) == IMAGE_FILE_MACHINE_I386, "is not for i386".into());
    for (what, major, minor) in [
        ("subsystem", &optional.major_subsystem_version, &optional.minor_subsystem_version),
        ("system", &optional.major_operating_system_version, &optional.minor_operating_system_version),
    ] {
        let version = (major.get(LE), minor.get(LE));
        must(version == (5, 1), format!("{what} version is {}.{}, must be 5.1", version.0, version.1));
    }
    let subsystem = optional.subsystem.get(LE);
    let right = match kind {
        Kind::Program => subsystem == IMAGE_SUBSYSTEM_WINDOWS_CUI || subsystem == IMAGE_SUBSYSTEM_WINDOWS_GUI,
        Kind::Driver => subsystem == IMAGE_SUBSYSTEM_NATIVE,
    };
    must(right, format!("subsystem is {subsystem}"));
    let flags = optional.dll_characteristics.get(LE);
    must(flags & IMAGE_DLLCHARACTERISTICS_NX_COMPAT != 0, "does not say that data is never executed".into());
    must(flags & IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE != 0, "does not say that it can lie anywhere".into());
    let has = |entry| {
        pe.data_directory(entry).is_some_and(|d| d.virtual_address.get(LE) != 0 && d.size.get(LE) != 0)
    };
    let stripped = file.characteristics.get(LE) & IMAGE_FILE_RELOCS_STRIPPED != 0;
    must(!stripped && has(IMAGE_DIRECTORY_ENTRY_BASERELOC), "has no relocations".into());
    must(file.characteristics.get(LE) & IMAGE_FILE_DLL == 0, "says that it is a library".into());
    must(!has(IMAGE_DIRECTORY_ENTRY_TLS), "has thread-local storage with callbacks".into());
    must(
        !has(IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG),
        "has a load configuration, which newer loaders read".into(),
    );
    // Its libraries would only be looked for when they are called.
    must(!has(IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT), "imports when functions are called".into());
    must(file.time_date_stamp.get(LE) == 0, "has the time of its build in it".into());
    let sum = optional.check_sum.get(LE);
    must(sum == checksum(bytes), format!("checksum {sum:#x} is wrong, and the kernel looks at it"));
    bad.extend(imports(&pe, known)?);
    Ok(bad)
}

fn imports(pe: &PeFile32<'_>, known: &Known) -> Result<Vec<String>> {
    let mut bad = Vec::new();
    let Some(table) = pe.import_table().context("its import table is broken")? else { return Ok(bad) };
    let mut libraries = table.descriptors()?;
    while let Some(d) = libraries.next()? {
        let library = String::from_utf8_lossy(table.name(d.name.get(LE))?).into_owned();
        let mut thunks = table.thunks(d.original_first_thunk.get(LE))?;
        while let Some(t) = thunks.next::<object::pe::ImageNtHeaders32>()? {
            match table.import::<object::pe::ImageNtHeaders32>(t)? {
                Import::Ordinal(n) => bad.push(format!("imports number {n} of {library}; by name, please")),
                Import::Name(_, name) => bad.extend(known.fault(&library, &String::from_utf8_lossy(name))),
            }
        }
    }
    Ok(bad)
}

/// The optional header's CheckSum: a sum of 16-bit words with end-around carry, without itself, and the length.
fn checksum(bytes: &[u8]) -> u32 {
    let at = bytes.get(0x3c..0x40).and_then(|b| Some(u32::from_le_bytes(b.try_into().ok()?))).unwrap_or(0)
        as usize;
    let own = at + 24 + 64;
    let mut sum: u32 = 0;
    for (i, pair) in bytes.chunks(2).enumerate() {
        if (own..own + 4).contains(&(2 * i)) {
            continue;
        }
        sum += u32::from(pair[0]) | pair.get(1).map_or(0, |b| u32::from(*b) << 8);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum + bytes.len() as u32
}
