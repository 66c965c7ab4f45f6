// Of each program's build script: no start-up code of a C library, headers that Windows XP (5.1) takes, relocations, no
// execution of data, and no time in the file, so that two builds are one.
fn link(subsystem: &str) {
    println!("cargo:rerun-if-changed=../link.rs");
    println!("cargo:rustc-link-arg-bins=-Wl,--subsystem,{subsystem}:5.1");
    for flag in [
        "-nostartfiles",
        "-Wl,--entry=_start",
        "-Wl,--major-os-version=5",
        "-Wl,--minor-os-version=1",
        "-Wl,--dynamicbase",
        "-Wl,--nxcompat",
        "-Wl,--no-insert-timestamp",
    ] {
        println!("cargo:rustc-link-arg-bins={flag}");
    }
}
