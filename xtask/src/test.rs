//! `xtask test`: everything that CI holds, in the order of what fails fastest.

use std::time::Instant;

use anyhow::Result;

use crate::shell::{self, build_heirloom, cargo, command, say};
use crate::{check, guests, setup, tools};

/// What `--long` asks for, and nobody else set: losses of power for each kind of disk, instants at which a busy machine is saved,
/// seconds for each fuzz target's sister test, cases of each property test.
const LONG: [(&str, &str); 4] = [
    ("HEIRLOOM_CRASH_SEEDS", "2000"),
    ("HEIRLOOM_INSTANTS", "3000"),
    ("HEIRLOOM_FUZZ_SECS", "300"),
    ("PROPTEST_CASES", "4000"),
];

pub(crate) fn run(quick: bool, long: bool) -> Result<()> {
    let begin = Instant::now();
    if !quick {
        setup::run_once()?;
    }
    check::run()?;
    say("test: the guest tools");
    tools::test_here()?;
    if !quick {
        tools::test_build()?;
    }
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
    for (name, value) in LONG.iter().filter(|(name, _)| long && std::env::var_os(name).is_none()) {
        c.env(name, value);
    }
    // In CI each fuzz target's sister test runs for a minute.
    if !long && std::env::var_os("CI").is_some() && std::env::var_os("HEIRLOOM_FUZZ_SECS").is_none() {
        c.env("HEIRLOOM_FUZZ_SECS", "60");
    }
    say(&format!("test: checked and built after {} s; now the tests", begin.elapsed().as_secs()));
    // The runner's own summary is the last thing said.
    shell::run(&mut c)
}
