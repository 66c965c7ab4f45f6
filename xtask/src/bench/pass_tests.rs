use super::*;
use crate::bench::lines::LINES;
use crate::shell::command;

struct Outcome {
    why: Option<String>,
    done: usize,
    results: Results,
    notes: Vec<String>,
}

/// What is made of a guest that says this, of the first three lines.
fn guest(script: &str) -> Outcome {
    let todo: Vec<&'static Line> = LINES.iter().take(3).collect();
    assert_eq!(todo.iter().map(|l| l.name).collect::<Vec<_>>(), ["fib", "crc32", "qsort"]);
    let mut p = Process::start(&mut command("sh", ["-c", script])).expect("a shell");
    let mut run = Run { column: Column::Qemu, todo: &todo, begun: None, done: 0, booted: false };
    let (mut results, mut notes) = (Results::default(), Vec::new());
    let why = run.read(&mut p, &mut results, &mut notes);
    Outcome { why, done: run.done, results, notes }
}

#[test]
fn a_whole_run_gives_a_reading_of_each_line_and_of_the_boot() {
    let o = guest(
        "echo bench init; for l in fib crc32 qsort; do echo bench begin $l; sleep 0.05
         echo bench end $l secs=0.05 rounds=1/2 sum=ab cpu=0; done; echo bench done",
    );
    assert_eq!((o.why, o.done, o.notes.len()), (None, 3, 0));
    let s = &o.results.of("qsort", Column::Qemu)[0];
    assert_eq!((s.clock, s.sum, s.rounds), (0.1, Some(0xab), (1, 2)));
    assert!(s.host >= 0.05, "{}", s.host);
    assert_eq!(o.results.of(BOOT_INIT, Column::Qemu).len(), 1);
}

#[test]
fn a_guest_that_ends_in_a_line_leaves_that_line_as_the_next_to_tell_of() {
    let o = guest(
        "echo bench init; echo bench begin fib; echo bench end fib secs=1 rounds=1/1 sum=1
         echo bench begin crc32; echo triple fault >&2; exit 3",
    );
    assert_eq!(o.why.as_deref(), Some("it ended: triple fault"));
    assert_eq!(o.done, 1);
    assert_eq!(o.results.of("fib", Column::Qemu).len(), 1);
    assert!(o.results.of("crc32", Column::Qemu).is_empty());
}

#[test]
fn a_program_that_fails_is_told_of_and_the_next_line_still_counts() {
    let o = guest(
        "echo bench init; echo bench begin fib; echo bench failed fib
         echo bench begin crc32; echo bench end crc32 secs=1 rounds=1/1 sum=1; echo bench done",
    );
    assert_eq!(o.why, None);
    assert!(o.notes.len() == 1 && o.notes[0].starts_with("QEMU TCG: fib failed"), "{:?}", o.notes);
    assert_eq!(o.results.of("crc32", Column::Qemu).len(), 1);
}

#[test]
fn an_end_without_its_beginning_is_no_reading() {
    let o = guest("echo bench init; echo bench end fib secs=1 rounds=1/1 sum=1; echo bench done");
    assert!(o.results.of("fib", Column::Qemu).is_empty());
}
