//! `xtask guests --matrix`: whole systems from power-on to power-off; `tests/matrix` does the work.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::shell::{build_heirloom, cargo, command, root, run as run_command};

#[derive(Args)]
pub(crate) struct Matrix {
    /// Start and use each guest as its description says (docs/lab-images.md)
    #[arg(long)]
    matrix: bool,
    /// An image that joins: its description (.toml), or the image beside which that lies
    #[arg(long = "image", value_name = "NAME=FILE", requires = "matrix")]
    images: Vec<String>,
    /// Only these
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "matrix")]
    only: Vec<String>,
    /// On QEMU (TCG), too, in the same run
    #[arg(long, requires = "matrix")]
    qemu: bool,
    /// Heirloom's engine
    #[arg(long, default_value = "auto", requires = "matrix")]
    engine: String,
    /// Write what was measured to this file, too
    #[arg(long, value_name = "FILE", requires = "matrix")]
    json: Option<PathBuf>,
}

impl Matrix {
    pub(crate) fn is_wanted(&self) -> bool {
        self.matrix
    }

    /// None of ours is among those that are wanted.
    fn only_given(&self) -> bool {
        let given =
            |name: &String| self.images.iter().any(|i| i.split_once('=').is_some_and(|(n, _)| n == name));
        !self.only.is_empty() && self.only.iter().all(given)
    }
}

pub(crate) fn run(fresh: bool, m: &Matrix) -> Result<()> {
    if m.only_given() {
        crate::setup::run_once()?;
    } else {
        super::run(fresh)?;
    }
    let heirloom = build_heirloom()?;
    let mut c = command(&cargo(), ["run", "--release", "--quiet", "--package", "matrix", "--"]);
    c.arg("--heirloom").arg(heirloom).arg("--guests").arg(super::folder());
    c.arg("--results").arg(root().join("target/matrix")).args(["--engine", &m.engine]);
    for i in &m.images {
        c.args(["--image", i]);
    }
    if !m.only.is_empty() {
        c.args(["--only", &m.only.join(",")]);
    }
    if m.qemu {
        c.arg("--qemu");
    }
    if let Some(file) = &m.json {
        c.arg("--json").arg(file);
    }
    run_command(&mut c)
}
