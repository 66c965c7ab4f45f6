//! `xtask test`: everything that CI holds, in the order of what fails fastest.

use std::time::Instant;

use anyhow::Result;

use crate::shell::{self, build_heirloom, cargo, command, say};
use crate::{check, guests, setup};

pub(crate) fn run(quick: bool) -> Result<()> {
    let begin = Instant::now();
    if !quick {
        setup::run_once()?;
    }
    check::run()?;
    // The processor's own tests on each way that it runs; the whole run below has the one that is left.
    for processor in ["interpreter", "speed", "views"] {
        say(&format!("test: the processor's tests, {processor}"));
        let mut c = command(&cargo(), ["test", "--package", "cpu", "--tests", "--quiet"]);
        shell::run(c.env("HEIRLOOM_CPU", processor))?;
    }
    let mut c = command(&cargo(), ["test", "--workspace", "--no-fail-fast"]);
    if quick {
        c.args(["--exclude", "guest_tests"]);
    } else {
        guests::run(false)?;
        c.env("HEIRLOOM_BIN", build_heirloom()?).env("HEIRLOOM_GUESTS", guests::folder());
    }
    // In CI each fuzz target's sister test runs for a minute.
    if std::env::var_os("CI").is_some() && std::env::var_os("HEIRLOOM_FUZZ_SECS").is_none() {
        c.env("HEIRLOOM_FUZZ_SECS", "60");
    }
    say(&format!("test: checked and built after {} s; now the tests", begin.elapsed().as_secs()));
    // The runner's own summary is the last thing said.
    shell::run(&mut c)
}
