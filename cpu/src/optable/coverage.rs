//! The opcode map as a table for people. What it does not list is #UD.

use super::{Entry, ONE, TWO};

/// One row of [`coverage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// As the manuals write it: `0F BA /4`, `F3 0F 10`, `D9 mod=3 /6 rm=0`.
    pub opcode: String,
    pub name: &'static str,
}

/// Every encoding of the map that is not #UD by design, in opcode order.
pub fn coverage() -> Vec<Row> {
    let mut rows = Vec::new();
    for (n, e) in ONE.iter().enumerate() {
        walk(e, &format!("{n:02X}"), &mut rows);
    }
    for (n, e) in TWO.iter().enumerate() {
        walk(e, &format!("0F {n:02X}"), &mut rows);
    }
    rows
}

/// The page docs/cpu-opcodes.md.
pub fn coverage_page() -> String {
    let rows = coverage();
    let mut out = String::from(
        "# What the software processor decodes\n\n\
         The opcode map of `cpu/src/optable`: a Pentium 4 with SSE2. `/n` is the reg field of ModRM, `rm=n` its rm field, \
         `mem` and `reg` the two forms of the operand, a leading 66, F3 or F2 a mandatory prefix. What is not listed raises \
         #UD. This page is made by `cargo run -p cpu --example opcodes`; a test holds it to the map.\n\n```\n",
    );
    for r in &rows {
        out += &format!("{:22} {}\n", r.opcode, r.name);
    }
    out += &format!("```\n\n{} rows\n", rows.len());
    out
}

fn walk(e: &Entry, at: &str, rows: &mut Vec<Row>) {
    match e {
        Entry::Undefined => {}
        Entry::Decoder(name) => rows.push(Row { opcode: at.to_owned(), name }),
        Entry::Op(op) => rows.push(Row { opcode: at.to_owned(), name: op.name }),
        Entry::Group(g) => {
            for (reg, e) in g.iter().enumerate() {
                walk(e, &format!("{at} /{reg}"), rows);
            }
        }
        Entry::Low(g) => {
            for (rm, e) in g.iter().enumerate() {
                walk(e, &format!("{at} rm={rm}"), rows);
            }
        }
        Entry::Form { mem, reg } => {
            walk(mem, &format!("{at} mem"), rows);
            walk(reg, &format!("{at} reg"), rows);
        }
        Entry::Prefix(p) => {
            for (prefix, e) in ["", "66 ", "F3 ", "F2 "].iter().zip(p.iter()) {
                walk(e, &format!("{prefix}{at}"), rows);
            }
        }
    }
}
