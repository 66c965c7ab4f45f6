//! `heirloom export`: a machine's spec becomes a folder for Virtual PC: its configuration, and copies of its images.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use host_io::disk::{self, Format};
use vmm::spec::MachineSpec;
use vmm::spec::vmc::{self, Vmc};

use crate::disk::with_bar;
use crate::doctor::say;
use crate::import::machine_name;
use crate::run::ports::open_diskette;
use crate::run::read_spec;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  heirloom export accounts.toml --out accounts-for-virtual-pc")]
pub(crate) struct Args {
    /// The machine's spec file (TOML); the machine must be off
    spec: PathBuf,
    /// The folder to write: NAME.vmc, VHDs of the disks, copies of CDs and diskettes. Nothing in it is written over
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// Virtual PC's IDE disks.
const LARGEST: u64 = 127 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Disk,
    Cd,
    Floppy,
}

/// An image and its name in the folder.
struct Copy {
    kind: Kind,
    from: PathBuf,
    name: String,
}

pub(crate) fn run(a: &Args) -> Result<ExitCode> {
    let s = read_spec(&a.spec)?;
    let (vmc, copies) = plan(&s);
    let mut made = Made::default();
    for name in copies.iter().map(|c| &c.name).chain([&vmc]) {
        let file = a.out.join(name);
        if fs::symlink_metadata(&file).is_ok() {
            bail!("{} is there; choose another folder, or remove it first", file.display());
        }
    }
    made.folder(&a.out)?;
    let mut notes = Vec::new();
    for c in &copies {
        let to = a.out.join(&c.name);
        notes.extend(copy(c, &to, &mut made)?);
    }
    for d in s.disks.iter().filter(|d| d.undo.is_some() && d.undo_file().exists()) {
        let undo = d.undo_file();
        notes.push(format!(
            "what is in the undo disk {} is not in the copy; `heirloom disk merge` commits it",
            undo.display()
        ));
    }
    let mut names = copies.iter();
    let v = Vmc::of_spec(&s, |_| names.next().map_or_else(String::new, |c| c.name.clone()));
    let file = a.out.join(&vmc);
    let (shown, from) = (file.display(), a.spec.display());
    let mut f = made.file(&file)?;
    f.write_all(&v.write())
        .map_err(|e| anyhow!("cannot write {shown}: {e}; make room on the host's disk"))?;
    notes.extend(vmc::missing(&s));
    let back = machine_name(&file);
    if back != s.name {
        notes.push(format!("the name {:?} is the file's there; an import makes it {back:?}", s.name));
    }
    made.keep();
    say(&format!("{shown}: written from {from}"));
    notes.iter().for_each(|n| say(&format!("note: {n}")));
    Ok(ExitCode::SUCCESS)
}

/// The configuration's name, and the images in the order in which [`Vmc::of_spec`] asks for their names.
fn plan(s: &MachineSpec) -> (String, Vec<Copy>) {
    let mut names = Names::default();
    let vmc = names.take(&format!("{}.vmc", s.name));
    let disks = s.disks.iter().map(|d| (Kind::Disk, &d.path));
    let cds = s.cdroms.iter().flatten().map(|p| (Kind::Cd, p));
    let floppies = s.floppies.iter().filter_map(|f| f.path.as_ref()).map(|p| (Kind::Floppy, p));
    let copy = |(kind, from): (Kind, &PathBuf)| {
        let own = match kind {
            Kind::Disk => from.with_extension("vhd"),
            Kind::Cd | Kind::Floppy => from.clone(),
        };
        let own = own.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Copy { kind, from: from.clone(), name: names.take(&own) }
    };
    let copies = disks.chain(cds).chain(floppies).map(copy).collect();
    (vmc, copies)
}

/// File names of one folder, as Windows takes them.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    /// The name, or one like it that is neither taken nor impossible.
    fn take(&mut self, wish: &str) -> String {
        const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
        let safe = |c: char| if c.is_control() || "<>:\"/\\|?*".contains(c) { '-' } else { c };
        let clean: String = wish.chars().map(safe).collect();
        let clean = clean.trim().trim_end_matches(['.', ' ']);
        let (stem, end) =
            clean.rsplit_once('.').map_or((clean, String::new()), |(s, e)| (s, format!(".{e}")));
        let stem = stem.trim_end();
        let stem = if stem.is_empty() { "image" } else { stem };
        let free = |n: &String| {
            let lower = n.to_lowercase();
            let stem = lower.split('.').next().unwrap_or_default();
            let port = |p| {
                stem.strip_prefix(p)
                    .is_some_and(|n: &str| n.len() == 1 && n.chars().all(|c| c.is_ascii_digit()))
            };
            let device = DEVICES.contains(&stem) || port("com") || port("lpt");
            !device && !self.0.contains(&lower)
        };
        let all = std::iter::once(format!("{stem}{end}")).chain((2..).map(|n| format!("{stem}-{n}{end}")));
        // There are more numbers than images.
        let name = all.into_iter().find(free).unwrap_or_default();
        self.0.push(name.to_lowercase());
        name
    }
}

/// What was made, to be taken back if the rest fails.
#[derive(Default)]
struct Made {
    files: Vec<PathBuf>,
    folder: Option<PathBuf>,
}

impl Made {
    fn folder(&mut self, at: &Path) -> Result<()> {
        match fs::create_dir(at) {
            Ok(()) => self.folder = Some(at.into()),
            Err(_) if at.is_dir() => {}
            Err(e) => {
                let mend = match e.kind() {
                    std::io::ErrorKind::AlreadyExists => "choose another name",
                    _ => "check that what it lies in exists and is writable",
                };
                bail!("cannot create folder {}: {e}; {mend}", at.display())
            }
        }
        Ok(())
    }

    /// A file that was not there.
    fn file(&mut self, at: &Path) -> Result<fs::File> {
        let f = OpenOptions::new().write(true).create_new(true).open(at).map_err(|e| {
            anyhow!(
                "cannot create {}: {e}; check that the folder is writable, or choose another",
                at.display()
            )
        })?;
        self.files.push(at.into());
        Ok(f)
    }

    fn keep(mut self) {
        self.files.clear();
        self.folder = None;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // The error says what is wrong; what can't be removed stays.
        self.files.iter().for_each(|f| drop(fs::remove_file(f)));
        if let Some(f) = &self.folder {
            let _ = fs::remove_dir(f);
        }
    }
}

/// Copies an image, or makes a VHD of it. Returns what the user should know.
fn copy(c: &Copy, to: &Path, made: &mut Made) -> Result<Vec<String>> {
    let from = c.from.display();
    let _held = match c.kind {
        Kind::Disk => return copy_disk(&c.from, to, made),
        // Open: no machine writes to it meanwhile, and it is one.
        Kind::Cd => disk::open_cdrom(&c.from)?.0.into_disk(),
        Kind::Floppy => open_diskette(&c.from, true)?,
    };
    let mut out = made.file(to)?;
    let mut image =
        fs::File::open(&c.from).map_err(|e| anyhow!("cannot read {from}: {e}; check the path"))?;
    std::io::copy(&mut image, &mut out)
        .map_err(|e| anyhow!("cannot copy {from} to {}: {e}; make room on the host's disk", to.display()))?;
    Ok(Vec::new())
}

/// VHDs stay fixed or dynamic; all else becomes dynamic.
fn copy_disk(from: &Path, to: &Path, made: &mut Made) -> Result<Vec<String>> {
    let before = disk::info(from)?;
    let format = match before.format {
        Format::VhdFixed => Format::VhdFixed,
        _ => Format::VhdDynamic,
    };
    with_bar(|bar| disk::convert(from, to, format, bar))
        .with_context(|| format!("disk {} was not exported", from.display()))?;
    made.files.push(to.into());
    let (old, new) = (before.virtual_size, disk::info(to)?.virtual_size);
    let mut notes = Vec::new();
    if before.format == Format::VhdDifferencing {
        notes.push(format!("{}: its parents' data is in the copy, which stands alone", to.display()));
    }
    if new != old {
        notes.push(format!("{}: {new} bytes, of {old}: a VHD's size is a geometry's", to.display()));
    }
    if new > LARGEST {
        notes.push(format!("{}: Virtual PC's IDE disks end at 127 GiB", to.display()));
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_names_that_windows_takes_and_each_its_own() {
        let mut n = Names::default();
        for (wish, name) in [
            ("XP.vmc", "XP.vmc"),
            ("xp.VMC", "xp-2.VMC"),
            ("a:b?.vhd", "a-b-.vhd"),
            ("A-B-.vhd", "A-B--2.vhd"),
            ("end. ", "end"),
            (".vhd", "image.vhd"),
            ("nul.vhd", "nul-2.vhd"),
            ("COM1.img", "COM1-2.img"),
            ("comb.img", "comb.img"),
            ("com10.img", "com10.img"),
            ("tab\there.iso", "tab-here.iso"),
            (" disk .img", "disk.img"),
            ("", "image"),
            ("", "image-2"),
        ] {
            assert_eq!(n.take(wish), name, "{wish:?}");
        }
    }

    #[test]
    fn images_are_planned_in_the_order_in_which_they_are_asked_for() {
        let text = "name = 'm'\n[[floppy]]\npath = 'x/a.img'\n[[cdrom]]\n[[cdrom]]\npath = 'b.iso'\n\
            [[disk]]\npath = 'a.img'\n[[disk]]\npath = 'y/a.vhd'\n";
        let s = MachineSpec::parse(text, "m.toml").unwrap();
        let (vmc, copies) = plan(&s);
        let mut asked = Vec::new();
        Vmc::of_spec(&s, |p| {
            asked.push(p.to_owned());
            String::new()
        });
        let from: Vec<PathBuf> = copies.iter().map(|c| c.from.clone()).collect();
        assert_eq!(from, asked);
        let names: Vec<&str> = copies.iter().map(|c| c.name.as_str()).collect();
        assert_eq!((vmc.as_str(), names.as_slice()), ("m.vmc", &["a.vhd", "a-2.vhd", "b.iso", "a.img"][..]));
    }
}
