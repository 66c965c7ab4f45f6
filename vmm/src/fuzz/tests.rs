//! The fuzz targets of `fuzz/` on stable Rust, for `HEIRLOOM_FUZZ_SECS`; there they are steered by coverage.

use seeded::{Rng, for_a_while};

use crate::spec::MachineSpec;

#[test]
fn random_accesses_do_not_panic() {
    let runs = for_a_while(|rng| crate::fuzz::board(&rng.bytes(20_000)));
    println!("{runs} boards of 4000 accesses");
}

#[test]
fn random_accesses_to_the_sound_card_do_not_panic() {
    let runs = for_a_while(|rng| crate::fuzz::sound(&rng.bytes(12_000)));
    println!("{runs} boards of 4000 accesses to sound and DMA");
}

#[test]
fn random_drawing_does_not_panic() {
    let runs = for_a_while(|rng| crate::fuzz::video(&rng.bytes(12_000)));
    println!("{runs} adapters of 2000 accesses");
}

/// What specs are made of, right and wrong.
const LINES: &[&str] = &[
    "name = 'accounts'",
    "name = '../a'",
    "memory = 256",
    "memory = 0x200",
    "memory = -1",
    "memory = 99999999999999999999",
    "video = 4",
    "video = 3",
    "engine = 'software'",
    "engine = 7",
    "clock = 'instructions'",
    "nx = true",
    "boot = 'cd'",
    "boot = 'cc'",
    "kernel = 'vmlinuz'",
    "initrd = ''",
    "append = \"console=ttyS0\\n\\u00e9\"",
    "bios = 'b.bin'",
    "serial = ['stdio', 'unix=/a', 'tcp=:1']",
    "serial = [[1], {}]",
    "display = ['vnc=127.0.0.1:5900,password=x']",
    "[[disk]]",
    "path = 'xp.vhd'",
    "read_only = true",
    "overlay = 'yes'",
    "[[cdrom]]",
    "[disk]",
    "[a.\"b c\".d]",
    "x = { y = [1, 2.5, inf, 1979-05-27T07:32:00Z], }",
    "'' = '''",
    "k.e.y = \"\"\"",
    "# a remark",
];

const PIECES: &[&str] = &[
    "[",
    "]]",
    "=",
    "'",
    "\"",
    "'''",
    "{",
    "}",
    ".",
    ",",
    "\n",
    "\r",
    "\r\n",
    "#",
    "\\u",
    "\\UFFFFFFFF",
    "\0",
    "\u{7f}",
    "\u{e9}",
    "\u{1f600}",
    "\u{feff}",
    "0x",
    "-0",
    "1e999",
    "nan",
    " ",
    "\t",
];

fn spec(rng: &mut Rng) -> String {
    let lines: Vec<&str> = (0..rng.below(12)).map(|_| rng.pick(LINES)).collect();
    let mut text: Vec<char> = lines.join("\n").chars().collect();
    if rng.one_in(200) {
        // Deep nesting must not eat the stack.
        let open = rng.pick(&["[", "{a=", "a."]).repeat(20_000);
        text.extend("\nx=".chars().chain(open.chars()));
    }
    for _ in 0..rng.below(4) {
        let at = rng.index(text.len() + 1);
        let end = (at + rng.index(8)).min(text.len());
        let piece = if rng.one_in(3) { "" } else { rng.pick(PIECES) };
        text.splice(at..end, piece.chars());
    }
    text.into_iter().collect()
}

#[test]
fn any_text_is_a_spec_or_has_faults_of_a_line_each() {
    let (mut good, mut bad) = (0_u64, 0_u64);
    for_a_while(|rng| {
        let text = spec(rng);
        match MachineSpec::parse(&text, "m.toml") {
            Ok(s) => {
                good += 1;
                assert_eq!(s.check(), Ok(()), "{text:?}");
            }
            Err(f) => {
                bad += 1;
                assert!(!f.all.is_empty(), "{text:?}");
                assert_eq!(f.to_string().lines().count(), f.all.len(), "{text:?}: {f}");
                // An empty last line is one too.
                let lines = text.split('\n').count();
                assert!(f.all.iter().all(|x| x.line <= lines && !x.what.is_empty()), "{text:?}: {f:?}");
            }
        }
    });
    println!("{good} specs, {bad} with faults");
    assert!(good > 0 && bad > 0, "the test tests one side only");
}

#[test]
fn any_changed_state_is_refused_or_runs() {
    let (mut taken, mut refused) = (0_u64, 0_u64);
    for_a_while(|rng| {
        let changes = 4 * (1 + rng.index(6));
        *(if super::state(&rng.bytes(changes)) { &mut taken } else { &mut refused }) += 1;
    });
    println!("{taken} states taken, {refused} refused");
    assert!(taken > 0 && refused > 0, "the test tests one side only");
}

#[test]
fn any_changed_configuration_is_one_or_is_refused() {
    let whole = crate::spec::vmc::tests::FILE;
    let tags: Vec<&str> = whole.split_inclusive('>').collect();
    let (mut good, mut bad) = (0_u64, 0_u64);
    for_a_while(|rng| {
        let mut text: Vec<&str> = tags.clone();
        for _ in 0..rng.below(4) {
            let (a, b) = (rng.index(text.len()), rng.index(text.len()));
            match rng.below(3) {
                0 => text.swap(a, b),
                1 => drop(text.remove(a)),
                _ => text.insert(a, tags[rng.index(tags.len())]),
            }
        }
        let mut bytes = text.concat().into_bytes();
        for _ in 0..rng.below(3) {
            let at = rng.index(bytes.len());
            bytes[at] = rng.byte();
        }
        if rng.one_in(500) {
            let deep = 50_000;
            bytes = format!("<preferences>{}{}</preferences>", "<a>".repeat(deep), "</a>".repeat(deep))
                .into_bytes();
        }
        *(if super::vmc(&bytes) { &mut good } else { &mut bad }) += 1;
    });
    println!("{good} configurations, {bad} refused");
    assert!(good > 0 && bad > 0, "the test tests one side only");
}
