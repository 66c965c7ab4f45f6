//! `cargo run --release -p oracle -- --seed S --count N [--family F] [--show]`
#![allow(clippy::print_stdout, reason = "a command that prints its findings")]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    oracle::command::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {
    println!("the oracle needs 64-bit Linux on an x86 processor");
}
