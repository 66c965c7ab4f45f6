//! The opcode map as a table for people: what is there, what is #UD, what is still missing.

use super::{Entry, ONE, TWO, attr};

/// One row of [`coverage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// As the manuals write it: `0F BA /4`, `F3 0F 10`, `D9 mod=3 /6 rm=0`.
    pub opcode: String,
    pub name: &'static str,
    pub built: bool,
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

/// The table as text, one line for each row, and the sums.
pub fn coverage_text() -> String {
    let rows = coverage();
    let mut out = String::new();
    for r in &rows {
        let state = if r.built { "built" } else { "MISSING" };
        out += &format!("{:24} {:16} {state}\n", r.opcode, r.name);
    }
    let built = rows.iter().filter(|r| r.built).count();
    out += &format!("{built} of {} encodings\n", rows.len());
    out
}

fn walk(e: &Entry, at: &str, rows: &mut Vec<Row>) {
    match e {
        Entry::Undefined | Entry::Decoder(_) => {}
        Entry::Op(op) => {
            rows.push(Row { opcode: at.to_owned(), name: op.name, built: op.attr & attr::PENDING == 0 });
        }
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
