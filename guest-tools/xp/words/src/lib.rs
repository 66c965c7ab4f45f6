//! Command lines and environments as Windows takes them. No Windows in it: its tests run anywhere.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

/// One command line of words, quoted so that programs of Microsoft's C library find the words again.
pub fn command_line(words: &[String]) -> String {
    let mut line = String::new();
    for (n, w) in words.iter().enumerate() {
        if n > 0 {
            line.push(' ');
        }
        if !w.is_empty() && !w.contains([' ', '\t', '"', '\n', '\u{b}']) {
            line.push_str(w);
        } else {
            quote(w, &mut line);
        }
    }
    line
}

fn quote(word: &str, line: &mut String) {
    line.push('"');
    let mut slashes = 0;
    for c in word.chars() {
        match c {
            '\\' => slashes += 1,
            // Backslashes before a quote count double, and the quote has one.
            '"' => {
                line.extend(core::iter::repeat_n('\\', slashes + 1));
                slashes = 0;
            }
            _ => slashes = 0,
        }
        line.push(c);
    }
    line.extend(core::iter::repeat_n('\\', slashes));
    line.push('"');
}

/// An environment of `NAME=VALUE` with `over` put over it: each name once, whatever its case, sorted by name as Windows keeps
/// it. What has no name is left out of `over`.
pub fn environment(mut all: Vec<String>, over: &[String]) -> Vec<String> {
    for o in over.iter().filter(|o| o.find('=').is_some_and(|at| at > 0)) {
        all.retain(|s| !name(s).eq_ignore_ascii_case(name(o)));
        all.push(o.clone());
    }
    all.sort_by_key(|s| name(s).to_ascii_uppercase());
    all
}

/// As CreateProcess takes it: each string with a zero behind it, and one more behind all.
pub fn block(all: &[String]) -> Vec<u16> {
    let mut block: Vec<u16> =
        all.iter().flat_map(|s| s.encode_utf16().take_while(|c| *c != 0).chain([0])).collect();
    block.push(0);
    // An empty one is two zeros.
    if all.is_empty() {
        block.push(0);
    }
    block
}

/// Of `=C:=C:\folder`, too, which Windows keeps for each drive.
fn name(s: &str) -> &str {
    s.char_indices().skip(1).find(|(_, c)| *c == '=').and_then(|(at, _)| s.get(..at)).unwrap_or(s)
}
