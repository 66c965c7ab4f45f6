//! The bus driver for Windows XP, in C.

use std::path::Path;

use anyhow::Result;

use crate::shell::{command, quiet};

const COMPILER: &str = "i686-w64-mingw32-gcc";

/// What driver and test have in common.
const BOTH: &[&str] = &[
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-D_WIN32_WINNT=0x0501",
    "-DNTDDI_VERSION=0x05010300",
    // Debian's headers of the driver kit lie in a folder of their own; they are not free of warnings.
    "-isystem",
    "/usr/share/mingw-w64/include/ddk",
];

/// Kernel code: no floating point, no stack probes, no start-up code; headers that Windows XP (5.1) takes; no time in it.
const FLAGS: &[&str] = &[
    "-O2",
    "-ffreestanding",
    "-march=i586",
    "-mgeneral-regs-only",
    "-mno-stack-arg-probe",
    "-fno-asynchronous-unwind-tables",
    "-fno-ident",
    "-nostdlib",
    "-Wl,--subsystem,native:5.1",
    "-Wl,--major-os-version=5",
    "-Wl,--minor-os-version=1",
    "-Wl,--entry,_DriverEntry@8",
    "-Wl,--image-base,0x10000",
    "-Wl,--nxcompat",
    "-Wl,--dynamicbase",
    "-Wl,--exclude-all-symbols",
    "-Wl,--no-insert-timestamp",
    "-Wl,--strip-all",
];

const SOURCES: &[&str] = &["driver.c", "pnp.c", "power.c", "hardware.c", "opener.c", "queues.c", "control.c"];

pub(super) fn build(sources: &Path, to: &Path) -> Result<()> {
    let mut c = command(COMPILER, BOTH);
    c.current_dir(sources).args(FLAGS).args(SOURCES);
    c.args(["-lntoskrnl", "-lhal", "-o"]).arg(to);
    quiet(&mut c).map(drop)
}

/// The driver with a kernel of its own (test/kernel.c), as a program: nothing of the kernel is imported.
pub(super) fn build_test(sources: &Path, to: &Path) -> Result<()> {
    let mut c = command(COMPILER, BOTH);
    c.current_dir(sources).args(["-O1", "-D_NTOSKRNL_", "-D_NTSYSTEM_", "-D_NTHALDLL_"]).args(SOURCES);
    c.args(["test/kernel.c", "test/test.c", "-o"]).arg(to);
    quiet(&mut c).map(drop)
}
