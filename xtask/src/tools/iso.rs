//! The CD: ISO 9660 with Joliet and Rock Ridge, the same bytes from the same files.

use std::path::Path;

use anyhow::Result;

use super::File;
use crate::shell::{command, quiet};

/// All files' time, and the CD's: 2026-01-01 00:00 UTC.
const TIME: &str = "2026010100000000";

pub(super) fn make(files: &[File], to: &Path) -> Result<()> {
    let mut c = command("xorriso", ["-no_rc", "-report_about", "WARNING", "-temp_mem_limit", "16m"]);
    c.env("SOURCE_DATE_EPOCH", "1767225600").arg("-outdev").arg(format!("stdio:{}", to.display()));
    c.args(["-blank", "as_needed", "-volid", "HEIRLOOM_TOOLS", "-joliet", "on", "-rockridge", "on"]);
    c.args(["-volume_date", "all_file_dates", TIME, "-volume_date", "uuid", TIME]);
    for f in files {
        c.arg("-map").arg(&f.from).arg(format!("/{}", f.to));
    }
    c.args(["-chown_r", "0", "/", "--", "-chgrp_r", "0", "/", "--", "-chmod_r", "0555", "/", "--"]);
    c.args(["-alter_date_r", "b", "=2026.01.01.000000", "/", "--", "-commit", "-end"]);
    quiet(&mut c).map(drop)
}
