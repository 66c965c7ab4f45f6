//! Prints the page docs/cpu-opcodes.md: `cargo run -p cpu --example opcodes > docs/cpu-opcodes.md`.
#![allow(clippy::print_stdout, reason = "a program for people")]

fn main() {
    print!("{}", cpu::coverage_page());
}
