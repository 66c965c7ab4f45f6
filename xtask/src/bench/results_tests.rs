use super::*;
use crate::bench::lines::PROMISES;

fn sample(clock: f64, processor: f64, sum: u32) -> Sample {
    let more = Vec::new();
    Sample { clock, processor, host: clock, guest: clock, rounds: (1, 1), sum: Some(sum), more }
}

fn with(of: &[(&'static str, Column, f64)]) -> Results {
    let mut r = Results::default();
    for (line, column, t) in of {
        r.add(line, *column, sample(*t, *t, 1));
    }
    r
}

fn promise(what: &str) -> &'static Promise {
    PROMISES.iter().find(|p| p.what == what).expect("a promise of this name")
}

const INTEGER: [&str; 5] = ["fib", "crc32", "qsort", "sieve", "indirect"];

#[test]
fn names_in_promises_are_names_of_lines() {
    for p in PROMISES {
        for n in p.lines {
            assert!(LINES.iter().any(|l| l.name == *n), "{n}");
        }
    }
}

#[test]
fn a_mean_may_hide_one_slow_line_but_no_more_than_that() {
    let mut r = Results::default();
    for n in INTEGER {
        r.add(n, Column::Native, sample(1.0, 1.0, 1));
        r.add(n, Column::Heirloom, sample(if n == "fib" { 3.0 } else { 1.5 }, 1.0, 1));
    }
    let p = promise("integer, the five together");
    let v = r.verdict(p, By::Clock).expect("all five are there");
    assert!(v.kept && (v.value - 1.723).abs() < 0.001, "{v:?}");
    r.add("sieve", Column::Heirloom, sample(5.0, 1.0, 1));
    r.add("sieve", Column::Heirloom, sample(5.0, 1.0, 1));
    assert!(!r.verdict(p, By::Clock).expect("all five are there").kept);
}

#[test]
fn a_promise_with_a_line_missing_is_neither_kept_nor_broken() {
    let r = with(&[("fib", Column::Native, 1.0), ("fib", Column::Heirloom, 1.0)]);
    assert_eq!(r.verdict(promise("integer, the five together"), By::Clock), None);
}

#[test]
fn where_each_line_counts_the_worst_decides_and_is_named() {
    let r = with(&[
        ("x87-mandelbrot", Column::Native, 1.0),
        ("x87-mandelbrot", Column::Heirloom, 2.0),
        ("x87-trig", Column::Native, 1.0),
        ("x87-trig", Column::Heirloom, 3.5),
    ]);
    let v = r.verdict(promise("x87"), By::Clock).expect("both are there");
    assert_eq!(v, Verdict { value: 3.5, kept: false, beyond: vec!["x87-trig"] });
}

#[test]
fn against_qemu_more_is_better() {
    let r = with(&[("boot-init", Column::Qemu, 6.0), ("boot-init", Column::Heirloom, 1.5)]);
    let v = r.verdict(promise("direct boot to /init"), By::Clock).expect("both are there");
    assert_eq!(v, Verdict { value: 4.0, kept: true, beyond: vec![] });
}

#[test]
fn the_reading_in_the_middle_is_compared() {
    let mut r = with(&[("fib", Column::Native, 1.0)]);
    for t in [2.0, 50.0, 2.2] {
        r.add("fib", Column::Heirloom, sample(t, t / 2.0, 1));
    }
    assert_eq!(r.ratio("fib", Column::Heirloom, Column::Native, By::Clock), Some(2.2));
    assert_eq!(r.ratio("fib", Column::Heirloom, Column::Native, By::Processor), Some(1.1));
}

#[test]
fn a_sum_that_differs_anywhere_is_found() {
    let mut r =
        with(&[("fib", Column::Native, 1.0), ("fib", Column::Qemu, 1.0), ("sieve", Column::Qemu, 1.0)]);
    assert!(r.wrong_sums().is_empty());
    r.add("fib", Column::Heirloom, sample(1.0, 1.0, 2));
    assert_eq!(r.wrong_sums(), ["fib"]);
}

#[test]
fn a_host_with_other_work_shows_in_the_time_that_lines_had_a_processor() {
    let mut r = Results::default();
    r.add("fib", Column::Native, sample(2.0, 1.0, 1));
    r.add("sieve", Column::Native, sample(1.0, 1.0, 1));
    // It waits for its disk on any host.
    r.add("disk-sectors", Column::Native, sample(10.0, 0.1, 1));
    assert!((r.served(Column::Native).expect("two lines") - 2.0 / 3.0).abs() < 1e-9);
}

#[test]
fn times_of_a_line_that_stopped_early_are_for_all_rounds_but_its_clock_is_judged_as_it_ran() {
    let e = End { name: "fib".into(), secs: 1.0, since: 1.05, cpu: 0.5, rounds: (5, 20), ..End::default() };
    let s = Sample::of_line(Column::Qemu, &e, Took { wall: 1.1, cpu: 0.9 });
    assert_eq!((s.clock, s.host, s.guest), (4.0, 1.1, 1.05));
    assert!((s.processor - 3.6).abs() < 1e-9, "the emulator's, not what the guest believes");
    let s = Sample::of_line(Column::Native, &e, Took { wall: 1.1, cpu: 0.0 });
    assert_eq!(s.processor, 2.0);
}
