//! A disagreement in words: enough to write a test from.

use std::fmt::Write;

use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};

use crate::compare::{Verdict, hex};
use crate::generate::Case;
use crate::layout::{CODE, CODE_LEN, Memory};
use crate::session::Outcome;
use crate::snapshot::Regs;

fn registers(r: &Regs) -> String {
    let mut s = String::new();
    for (n, v) in ["EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"].into_iter().zip(r.gpr) {
        let _ = write!(s, "{n}={v:08x} ");
    }
    let _ = write!(s, "\n    EIP={:08x} EFLAGS={:08x} ES,CS,SS,DS,FS,GS={:04x?}", r.eip, r.eflags, r.seg);
    let f = &r.fx;
    let _ = write!(
        s,
        "\n    FCW={:04x} FSW={:04x} tags={:02x} MXCSR={:08x}",
        f.u16(0),
        f.u16(2),
        f.0[4],
        f.u32(24)
    );
    s
}

fn float_registers(r: &Regs) -> String {
    let mut s = String::new();
    for i in 0..8 {
        let (m, e) = r.fx.st(i);
        let x = u128::from_le_bytes(r.fx.xmm(i));
        let _ = write!(s, "\n    ST{i}={e:04x}:{m:016x} XMM{i}={x:032x}");
    }
    s
}

/// The instructions as they stand in memory before the run.
pub fn listing(case: &Case, memory: &Memory) -> String {
    let mut s = String::new();
    let mut formatter = IntelFormatter::new();
    let addresses = case.addresses();
    for (n, &at) in addresses.iter().enumerate() {
        let from = (at - CODE) as usize;
        let len = case.items.get(n).map_or(8, |i| usize::from(i.len));
        let bytes = &memory.code[from.min(CODE_LEN)..(from + len).min(CODE_LEN)];
        let ip = u64::from(at.wrapping_sub(case.code_base));
        let i = Decoder::with_ip(case.bitness(), bytes, ip, DecoderOptions::NONE).decode();
        let mut text = String::new();
        if i.is_invalid() {
            text.push_str("(bad)");
        } else {
            formatter.format(&i, &mut text);
        }
        let _ = writeln!(s, "    {ip:08x}  {:<32} {text}", hex(bytes));
    }
    s
}

/// One line: what is left of the sequence, and what differs.
pub fn summary(case: &Case, memory: &Memory, outcome: &Outcome) -> String {
    let text = listing(case, memory);
    let code: Vec<&str> = text
        .lines()
        .map(|l| l.get(47..).unwrap_or("").trim())
        .filter(|l| *l != "nop" && !l.contains("100C0000h"))
        .collect();
    let differ = match &outcome.verdict {
        Verdict::Differ(d) => d.join(" | "),
        _ => String::new(),
    };
    format!("{:#x} {}: {} => {differ}", case.seed, case.family.name(), code.join("; "))
}

pub fn describe(case: &Case, memory: &Memory, outcome: &Outcome) -> String {
    let mut s = format!(
        "seed {:#x} family {} ({} paging{})\n",
        case.seed,
        case.family.name(),
        if case.pae { "PAE" } else { "32-bit" },
        if case.code16 { ", 16-bit code" } else { "" }
    );
    s.push_str(&listing(case, memory));
    let _ = writeln!(s, "  before:\n    {}", registers(&case.regs));
    let differ = match &outcome.verdict {
        Verdict::Differ(d) => d.clone(),
        Verdict::Agree => vec!["nothing differs".into()],
        Verdict::Known(rules) => vec![format!("known: {}", rules.join(", "))],
        Verdict::Skip(why) => vec![format!("skipped: {why}")],
    };
    if differ.iter().any(|d| ["ST", "XM", "FS", "MX"].iter().any(|p| d.starts_with(p))) {
        let _ = writeln!(s, "  float registers before:{}", float_registers(&case.regs));
    }
    let _ = writeln!(s, "  host after ({:?}):\n    {}", outcome.host.stop, registers(&outcome.host.regs));
    let _ = writeln!(s, "  ours after ({:?}):\n    {}", outcome.guest.stop, registers(&outcome.guest.regs));
    for d in differ {
        let _ = writeln!(s, "  * {d}");
    }
    s
}
