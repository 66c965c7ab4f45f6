//! Rules: a program finds the words again that it was started with; what is put over an environment stands once.

use proptest::prelude::*;
use xp_words::{block, command_line, environment};

/// How Microsoft's C library takes a command line apart (its documentation, "Parsing C command-line arguments"), but for
/// the first word, which has no backslashes that count.
fn apart(line: &str) -> Vec<String> {
    let c: Vec<char> = line.chars().collect();
    let (mut all, mut i) = (Vec::new(), 0);
    while i < c.len() {
        while i < c.len() && matches!(c[i], ' ' | '\t') {
            i += 1;
        }
        if i == c.len() {
            break;
        }
        let (mut word, mut quoted) = (String::new(), false);
        while i < c.len() && (quoted || !matches!(c[i], ' ' | '\t')) {
            let slashes = c[i..].iter().take_while(|c| **c == '\\').count();
            i += slashes;
            if c.get(i) == Some(&'"') {
                word.extend(std::iter::repeat_n('\\', slashes / 2));
                if slashes % 2 == 1 {
                    word.push('"');
                } else {
                    quoted = !quoted;
                }
                i += 1;
            } else {
                word.extend(std::iter::repeat_n('\\', slashes));
                if i < c.len() && (quoted || !matches!(c[i], ' ' | '\t')) {
                    word.push(c[i]);
                    i += 1;
                }
            }
        }
        all.push(word);
    }
    all
}

fn strings(s: &[&str]) -> Vec<String> {
    s.iter().map(|s| (*s).to_string()).collect()
}

#[test]
fn words_are_quoted_only_where_they_must_be() {
    let line = |w: &[&str]| command_line(&strings(w));
    assert_eq!(line(&["cmd", "/c", "dir"]), "cmd /c dir");
    assert_eq!(line(&["a b", ""]), "\"a b\" \"\"");
    assert_eq!(line(&["C:\\a b\\"]), "\"C:\\a b\\\\\"");
    assert_eq!(line(&["C:\\ab\\"]), "C:\\ab\\");
    assert_eq!(line(&["say \"x\""]), "\"say \\\"x\\\"\"");
    assert_eq!(line(&["\\\""]), "\"\\\\\\\"\"");
    assert_eq!(line(&["", "x"]), "\"\" x");
}

#[test]
fn names_differ_by_more_than_their_case() {
    let all = environment(
        strings(&["Path=C:\\", "A=1", "=C:=C:\\x"]),
        &strings(&["PATH=D:\\", "b=2", "=x", "none"]),
    );
    assert_eq!(all, strings(&["=C:=C:\\x", "A=1", "b=2", "PATH=D:\\"]));
}

#[test]
fn a_block_ends_with_two_zeros() {
    let wide = |s: &str| s.encode_utf16().collect::<Vec<u16>>();
    assert_eq!(block(&[]), [0, 0]);
    assert_eq!(block(&strings(&["A=1"])), [wide("A=1"), vec![0, 0]].concat());
    // A zero within would begin another string.
    assert_eq!(block(&strings(&["A=1\0B=2"])), [wide("A=1"), vec![0, 0]].concat());
}

proptest! {
    #[test]
    fn any_words_are_found_again(words in prop::collection::vec("[a\\\\\" \t\n.é]{0,8}", 1..6)) {
        prop_assert_eq!(apart(&command_line(&words)), words);
    }

    #[test]
    fn each_name_stands_once(all in prop::collection::vec("[aAbB]{1,2}=[x=]{0,2}", 0..6),
                             over in prop::collection::vec("[aAbB]{1,2}=[y=]{0,2}", 0..6)) {
        let name = |s: &str| s.split('=').next().unwrap().to_ascii_uppercase();
        let merged = environment(all, &over);
        for o in &over {
            let last = over.iter().rfind(|p| name(p) == name(o)).unwrap();
            let found: Vec<_> = merged.iter().filter(|m| name(m) == name(o)).collect();
            prop_assert_eq!(found, vec![last]);
        }
    }
}
