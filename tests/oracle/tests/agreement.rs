//! The software processor and the host's own agree on a fixed set of cases of every family.
//!
//! A failure prints a short case and how to run it again. The long run is the command:
//! `cargo run --release -p oracle -- --count 100000`.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use oracle::compare::Verdict;
use oracle::generate::Family;
use oracle::report::describe;
use oracle::session::Session;

const SEEDS: std::ops::Range<u64> = 0..10_000;

#[test]
fn interpreter_agrees() {
    agrees(&cpu::Software::interpreter());
}

#[test]
fn translated_code_agrees() {
    agrees(&cpu::Software::eager());
}

#[test]
fn code_translated_for_speed_agrees() {
    agrees(&cpu::Software::eager_hot());
}

#[test]
fn code_with_views_of_memory_agrees() {
    agrees(&cpu::Software::eager_views());
}

fn agrees(processor: &cpu::Software) {
    let mut session = match Session::new(processor) {
        Ok(s) => s,
        Err(e) => {
            // Kernels without 32-bit code, modify_ldt or FSGSBASE; not a finding about our processor.
            eprintln!("skipped: {e}");
            return;
        }
    };
    let mut reports = Vec::new();
    for family in Family::ALL {
        let (mut agreed, mut known, mut differed) = (0, 0, 0);
        for seed in SEEDS {
            let case = session.case(seed, family);
            let outcome = session.run(&case);
            match outcome.verdict {
                Verdict::Agree => agreed += 1,
                Verdict::Known(_) => known += 1,
                Verdict::Skip(_) => {}
                Verdict::Differ(_) => {
                    differed += 1;
                    if differed == 1 {
                        let small = session.minimise(&case);
                        let outcome = session.run(&small);
                        reports.push(describe(&small, &session.memory_of(&small), &outcome));
                    }
                }
            }
        }
        eprintln!("{}: {agreed} agree, {known} known, {differed} differ", family.name());
        // Skipping must stay the exception, or the test proves nothing.
        let all = SEEDS.end - SEEDS.start;
        assert!(agreed + known + differed > all * 95 / 100, "{} skips too much", family.name());
        assert!(known < all / 4, "{}: too much is known to differ on this host", family.name());
    }
    assert!(reports.is_empty(), "{} families differ:\n{}", reports.len(), reports.join("\n"));
    let (ran, all) = session.coverage().counts();
    assert!(ran + 8 >= all, "only {ran} of {all} encodings ran, missing {:?}", session.coverage().missing());
}
