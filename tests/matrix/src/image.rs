//! What a description says of an image: the machine that it needs, and what to wait for and do. `docs/lab-images.md` is its
//! reference for users.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// Seconds that a step may take if it does not say.
const WITHIN: f64 = 120.0;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    #[serde(skip)]
    pub name: String,
    pub about: Option<String>,
    /// MiB
    #[serde(default = "default_memory")]
    pub memory: u32,
    pub boot: Option<String>,
    pub cdrom: Option<PathBuf>,
    pub floppy: Option<PathBuf>,
    /// Never written: changes are dropped at the end.
    pub disk: Option<PathBuf>,
    pub new_disk: Option<NewDisk>,
    pub net: Option<String>,
    #[serde(default)]
    pub sound: Sound,
    /// Accesses that no register answers are no fault.
    #[serde(default)]
    pub unknowns: bool,
    pub qemu: Option<Qemu>,
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
}

fn default_memory() -> u32 {
    256
}

/// An empty disk that the run fills.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDisk {
    /// A VHD, kept after a run that passed
    pub path: PathBuf,
    /// As `heirloom disk create` takes it
    pub size: String,
}

/// What has to be heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sound {
    /// Nobody listens.
    #[default]
    Any,
    /// Something else than silence was played by the end.
    Heard,
}

/// How the peer runs the same image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// Beside memory, drives and boot order
    #[serde(default)]
    pub args: Vec<String>,
    /// So many times as fast as QEMU each step must be reached that says `compare`.
    pub bar: Option<f64>,
}

/// Waits until all that it names holds, then does what it names.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Printed, with the time since power-on
    pub name: Option<String>,
    /// Part of the comparison with QEMU
    #[serde(default)]
    pub compare: bool,

    /// On COM1, after what was last waited for
    pub serial: Option<String>,
    /// On the text screen
    pub text: Option<String>,
    /// Width and height of the screen
    pub size: Option<[usize; 2]>,
    #[serde(default)]
    pub colours: Vec<Colour>,
    /// A screenshot to compare with
    pub picture: Option<Picture>,
    /// Seconds without a change on the screen
    pub still: Option<f64>,
    /// The machine is off.
    #[serde(default)]
    pub off: bool,
    /// Seconds that all this may take
    #[serde(default = "default_within")]
    pub within: f64,

    /// Seconds to wait before what follows
    #[serde(default)]
    pub pause: f64,
    /// Chords: "ret", "ctrl-alt-del"
    #[serde(default)]
    pub keys: Vec<String>,
    #[serde(rename = "type")]
    pub text_to_type: Option<String>,
    /// Moves the pointer there
    pub mouse: Option<[u16; 2]>,
    /// And presses the left button so often
    #[serde(default)]
    pub clicks: u8,
    /// Presses the power button
    #[serde(default)]
    pub power_button: bool,
}

fn default_within() -> f64 {
    WITHIN
}

/// A colour fills a share of a part of the screen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Colour {
    /// RRGGBB
    pub rgb: String,
    /// 0 to 1
    pub share: f64,
    /// Left, top, width, height; the whole screen if not given
    pub region: Option<[usize; 4]>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// A PNG file, as `heirloom ctl NAME screenshot` makes one
    pub path: PathBuf,
    /// As of a colour
    pub region: Option<[usize; 4]>,
    /// Share of the pixels that may differ
    #[serde(default)]
    pub tolerance: f64,
}

impl Image {
    /// `NAME=FILE`: a description, or an image beside which its description lies. `made`: what earlier images will have made.
    pub fn load(name: &str, file: &Path, made: &[PathBuf]) -> Result<Self> {
        ensure!(
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
            "--image {name:?}: a name has letters, digits, '-', '_' and '.' only"
        );
        ensure!(file.exists(), "--image {name}: there is no {}", file.display());
        let description = if file.extension().is_some_and(|e| e == "toml") {
            file.to_owned()
        } else {
            file.with_extension("toml")
        };
        let text = fs::read_to_string(&description).with_context(|| {
            format!(
                "--image {name}: no description {}; it says what to expect, see docs/lab-images.md",
                description.display()
            )
        })?;
        let mut image = Self::parse(name, &text).with_context(|| description.display().to_string())?;
        let folder = description.parent().unwrap_or(Path::new(""));
        image.resolve(folder);
        if file != description && image.media().is_empty() {
            let medium = Some(file.to_owned());
            match file.extension().and_then(|e| e.to_str()) {
                Some("iso") => image.cdrom = medium,
                Some("vfd" | "ima" | "flp") => image.floppy = medium,
                _ => image.disk = medium,
            }
        }
        image.check(&description, made)?;
        Ok(image)
    }

    /// One of ours: its media are among the test guests.
    pub fn own(name: &str, text: &str, guests: &Path) -> Result<Self> {
        let mut image = Self::parse(name, text).with_context(|| name.to_owned())?;
        image.resolve(guests);
        image.check(Path::new(name), &[])?;
        Ok(image)
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let mut image: Self = toml::from_str(text)?;
        name.clone_into(&mut image.name);
        Ok(image)
    }

    fn media(&self) -> Vec<&PathBuf> {
        [&self.cdrom, &self.floppy, &self.disk].into_iter().flatten().collect()
    }

    /// Paths are relative to the description.
    fn resolve(&mut self, folder: &Path) {
        let pictures = self.steps.iter_mut().filter_map(|s| s.picture.as_mut()).map(|p| &mut p.path);
        let new = self.new_disk.as_mut().map(|n| &mut n.path);
        let media = [&mut self.cdrom, &mut self.floppy, &mut self.disk].into_iter().flatten();
        for p in media.chain(new).chain(pictures) {
            *p = folder.join(&*p);
        }
    }

    fn check(&self, of: &Path, made: &[PathBuf]) -> Result<()> {
        let of = of.display();
        ensure!(!self.steps.is_empty(), "{of}: no [[step]]; without one the run would prove nothing");
        ensure!((4..=3712).contains(&self.memory), "{of}: memory = {}: use 4 to 3712 MiB", self.memory);
        ensure!(self.disk.is_none() || self.new_disk.is_none(), "{of}: disk and new_disk: name one of them");
        for m in self.media() {
            ensure!(m.exists() || made.contains(m), "{of}: there is no {}", m.display());
        }
        if let Some(n) = &self.new_disk {
            let parent = n.path.parent().unwrap_or(Path::new(""));
            ensure!(
                parent.as_os_str().is_empty() || parent.is_dir(),
                "{of}: new_disk.path: there is no folder {}",
                parent.display()
            );
        }
        for (n, s) in self.steps.iter().enumerate() {
            s.check().with_context(|| format!("{of}: step {}", n + 1))?;
        }
        Ok(())
    }
}

impl Step {
    fn check(&self) -> Result<()> {
        for (field, secs) in
            [("within", self.within), ("pause", self.pause), ("still", self.still.unwrap_or(0.0))]
        {
            ensure!((0.0..=86400.0).contains(&secs), "{field} = {secs}: use 0 to 86400 seconds");
        }
        for c in &self.colours {
            c.value()?;
            ensure!((0.0..=1.0).contains(&c.share), "colours.share = {}: use 0 to 1", c.share);
        }
        if let Some(p) = &self.picture {
            ensure!(p.path.exists(), "picture.path: there is no {}", p.path.display());
            ensure!((0.0..=1.0).contains(&p.tolerance), "picture.tolerance = {}: use 0 to 1", p.tolerance);
        }
        ensure!(
            !self.compare || self.name.is_some(),
            "compare = true: give the step a name, the comparison shows it"
        );
        let after = self.pause != 0.0
            || !self.keys.is_empty()
            || self.text_to_type.is_some()
            || self.mouse.is_some()
            || self.clicks != 0
            || self.power_button;
        ensure!(!(self.off && after), "off = true: nothing can be done with a machine that is off");
        ensure!(self.clicks == 0 || self.mouse.is_some(), "clicks without mouse = [x, y]");
        for k in &self.keys {
            crate::keys::chord(k)?;
        }
        Ok(())
    }
}

impl Colour {
    pub fn value(&self) -> Result<u32> {
        match u32::from_str_radix(&self.rgb, 16) {
            Ok(v) if self.rgb.len() == 6 => Ok(v),
            _ => bail!("colours.rgb = {:?}: write six digits, as \"3a6ea5\"", self.rgb),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::Image;

    /// A description in a folder of its own, with a medium beside it.
    fn load(test: &str, text: &str, file: &str, made: &[PathBuf]) -> Result<Image, String> {
        let d = std::env::temp_dir().join(format!("matrix-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&d).expect("a folder");
        std::fs::write(d.join("a.toml"), text).expect("a file");
        std::fs::write(d.join("a.iso"), "").expect("a file");
        let image = Image::load("a", &d.join(file), made).map_err(|e| format!("{e:#}"));
        std::fs::remove_dir_all(&d).expect("it goes");
        image
    }

    #[test]
    fn an_image_has_its_description_beside_it() {
        let i = load("beside", "[[step]]\nserial = \"x\"", "a.iso", &[]).unwrap();
        assert!(i.cdrom.is_some_and(|p| p.ends_with("a.iso")) && i.memory == 256);
        let i =
            load("named", "cdrom = \"a.iso\"\n[[step]]\ntext = \"x\"\nkeys = [\"alt-f4\"]", "a.toml", &[]);
        assert_eq!(i.unwrap().steps[0].within, 120.0);
    }

    #[test]
    fn what_an_earlier_image_makes_need_not_be_there() {
        let text = "disk = \"/nowhere/new.vhd\"\n[[step]]\noff = true";
        assert!(load("later", text, "a.toml", &[PathBuf::from("/nowhere/new.vhd")]).is_ok());
        assert!(
            load("never", text, "a.toml", &[]).is_err_and(|e| e.contains("there is no /nowhere/new.vhd"))
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        let step = "[[step]]\noff = true\n";
        for (n, (text, want)) in [
            ("", "no [[step]]"),
            ("memroy = 3\n", "memroy"),
            (&format!("memory = 2\n{step}"), "memory = 2: use 4 to 3712 MiB"),
            (&format!("cdrom = \"b.iso\"\n{step}"), "there is no"),
            (
                &format!("disk = \"a.iso\"\nnew_disk = {{ path = \"n.vhd\", size = \"1G\" }}\n{step}"),
                "name one of them",
            ),
            ("[[step]]\nkeys = [\"hyper-x\"]\n", "no key is called \"hyper\""),
            ("[[step]]\ncolours = [{ rgb = \"blue\", share = 1 }]\n", "write six digits"),
            ("[[step]]\ncompare = true\n", "give the step a name"),
            ("[[step]]\noff = true\ntype = \"x\"\n", "machine that is off"),
            ("[[step]]\nwithin = -1\n", "within = -1"),
            ("[[step]]\npicture = { path = \"p.png\" }\n", "picture.path: there is no"),
        ]
        .into_iter()
        .enumerate()
        {
            let e = load(&format!("wrong{n}"), text, "a.toml", &[]).expect_err(want);
            assert!(e.contains(want) && e.contains("a.toml"), "{want}: {e}");
        }
        let nowhere = Image::load("x y", Path::new("/nowhere"), &[]).expect_err("no such name");
        assert!(nowhere.to_string().contains("letters, digits"));
    }
}
