//! Guest time on hosts that do as a test tells them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use proptest::prelude::*;

use super::host::HostTime;
use super::pace::Pace;
use super::{Clock, ClockKind, Speed};

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const S: u64 = 1_000_000_000;

/// A host whose clocks stand until a test moves them.
#[derive(Clone, Default)]
struct Fake {
    now: Arc<AtomicU64>,
    thread: Arc<AtomicU64>,
    no_thread_time: bool,
}

impl HostTime for Fake {
    fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    fn thread(&self) -> Option<u64> {
        (!self.no_thread_time).then(|| self.thread.load(Relaxed))
    }
}

impl Fake {
    /// The thread is on a core.
    fn runs(&self, ns: u64) {
        self.now.fetch_add(ns, Relaxed);
        self.thread.fetch_add(ns, Relaxed);
    }

    /// It is not.
    fn passes(&self, ns: u64) {
        self.now.fetch_add(ns, Relaxed);
    }

    fn at(&self) -> u64 {
        self.now()
    }
}

fn even() -> (Pace, Fake) {
    // Host clocks do not begin at 0.
    let f = Fake::default();
    f.passes(77 * S);
    f.runs(3 * S);
    let mut p = Pace::even(Box::new(f.clone()));
    p.start();
    (p, f)
}

/// The guest works for so long, looking at the clock as often as a busy one does.
fn work(p: &mut Pace, f: &Fake, ns: u64) -> u64 {
    for _ in 0..ns / (40 * US) {
        f.runs(40 * US);
        p.retired(4096);
        p.now();
    }
    p.now()
}

fn behind(p: &Pace) -> u64 {
    p.metrics()[0].1 * US
}

#[test]
fn an_undisturbed_guest_has_the_hosts_time() {
    let (mut p, f) = even();
    assert_eq!(p.now(), 0);
    assert_eq!(work(&mut p, &f, 100 * MS), 100 * MS);
    f.runs(3 * MS);
    p.retired(20_000);
    assert_eq!(p.now(), 103 * MS, "a long slice that the thread did run");
    assert_eq!(behind(&p), 0);
}

#[test]
fn what_the_host_does_not_tell_is_held_back_while_it_is_rare() {
    for told in [true, false] {
        let f = Fake { no_thread_time: !told, ..Fake::default() };
        let mut p = Pace::even(Box::new(f.clone()));
        p.start();
        let a = work(&mut p, &f, 10 * MS);
        // An outer host takes 4 ms between two reads of a timer; this one knows nothing of it.
        f.runs(4 * MS);
        p.retired(5);
        assert_eq!(p.now(), a + 51 * US);
        assert_eq!(behind(&p), 4 * MS - 51 * US);
        let b = work(&mut p, &f, 200 * MS);
        assert_eq!((behind(&p), b), (0, a + 204 * MS));
    }
    // But a guest whose screen is drawn a millisecond for each command has a thirtieth less time, not a tenth of it.
    let (mut p, f) = even();
    for _ in 0..5_000 {
        f.runs(MS);
        p.retired(100);
        p.now();
    }
    assert!(behind(&p) <= 20 * MS, "{} ms", behind(&p) / MS);
}

#[test]
fn a_guest_that_owes_much_finds_its_timers_reads_together() {
    let (mut p, f) = even();
    for _ in 0..9 {
        f.passes(S);
        p.now();
    }
    let read = |p: &mut Pace| {
        f.runs(15 * US);
        p.retired(8);
        p.now()
    };
    let a = read(&mut p);
    read(&mut p);
    let c = read(&mut p);
    assert!(c - a < 60 * US, "{} us between two reads of one timer", (c - a) / US);
    // While its other work goes fast.
    let d = work(&mut p, &f, 100 * MS);
    assert!(d - c > 500 * MS);
}

#[test]
fn a_stolen_slice_is_not_counted_at_once() {
    let (mut p, f) = even();
    let a = work(&mut p, &f, 10 * MS);
    f.runs(20 * US);
    f.passes(4 * MS);
    f.runs(20 * US);
    let b = p.now();
    assert!((40 * US..60 * US).contains(&(b - a)), "{} ns", b - a);
    assert!(behind(&p) > 3900 * US);
}

#[test]
fn between_two_port_reads_a_short_theft_is_seen_too() {
    let (mut p, f) = even();
    for _ in 0..100 {
        f.runs(2 * US);
        p.retired(5);
        p.now();
    }
    f.passes(30 * US);
    f.runs(2 * US);
    p.retired(5);
    assert_eq!(p.now(), 202 * US);
    // After a poll's worth of instructions it is not worth the question.
    let a = p.now();
    f.passes(30 * US);
    f.runs(40 * US);
    p.retired(4096);
    assert_eq!(p.now(), a + 70 * US + 30 * US / 20 * 2 + 500);
}

#[test]
fn a_busy_guest_catches_up_a_twentieth_faster() {
    let (mut p, f) = even();
    f.passes(4 * MS);
    let a = p.now();
    let b = work(&mut p, &f, 20 * MS);
    assert_eq!(b - a, 21 * MS);
    work(&mut p, &f, 100 * MS);
    assert_eq!(behind(&p), 0);
    assert_eq!(p.now(), 124 * MS, "all of it came in the end");
}

#[test]
fn a_halted_guest_catches_up_unseen() {
    let (mut p, f) = even();
    f.passes(30 * MS);
    assert_eq!(p.now(), 0);
    // A timer in 10 ms: it is due at once, in three payments.
    for n in 1..=3 {
        p.sleep(Some(n * 10 * MS), |_| panic!("no need to sleep"));
        assert_eq!(p.now(), n * 10 * MS);
    }
    assert_eq!(behind(&p), 0);
    p.sleep(Some(40 * MS), |longest| {
        assert_eq!(longest, Some(Duration::from_millis(10)));
        f.passes(10 * MS);
    });
    assert_eq!(p.now(), 40 * MS);
}

/// Else half a second could pass for the guest between a key's down and up, and the keyboard would repeat it.
#[test]
fn halts_pay_nothing_while_a_key_is_down() {
    let (mut p, f) = even();
    f.passes(300 * MS);
    assert_eq!(p.now(), 0);
    p.set_key_down(true);
    for _ in 0..10 {
        p.sleep(None, |longest| {
            assert_eq!(longest, None);
            f.passes(MS);
        });
    }
    assert_eq!((p.now(), behind(&p)), (10 * MS, 300 * MS));
    p.set_key_down(false);
    p.sleep(None, |_| f.passes(MS));
    assert_eq!(p.now(), 61 * MS);
}

#[test]
fn a_halted_guest_without_timers_catches_up_in_steps() {
    let (mut p, f) = even();
    f.passes(120 * MS);
    assert_eq!(p.now(), 0);
    let mut naps = 0;
    while behind(&p) > 0 {
        p.sleep(None, |longest| {
            if let Some(d) = longest {
                assert!(d <= Duration::from_millis(5), "{d:?}");
                f.passes(d.as_nanos() as u64);
                naps += 1;
            }
        });
    }
    assert_eq!(p.now(), f.at() - 80 * S);
    assert_eq!(naps, 2, "50 ms, 50 ms, and the rest with nothing left to wait for");
    p.sleep(None, |longest| {
        assert_eq!(longest, None);
        f.passes(S);
    });
    assert_eq!(p.now(), f.at() - 80 * S, "a sleep is nobody's theft");
}

#[test]
fn a_timer_that_wakes_late_is_on_time_for_the_guest() {
    let (mut p, f) = even();
    p.sleep(Some(10 * MS), |_| f.passes(13 * MS));
    assert_eq!(p.now(), 10 * MS);
    assert_eq!(behind(&p), 3 * MS);
    p.sleep(Some(20 * MS), |longest| {
        assert_eq!(longest, Some(Duration::from_millis(7)));
        f.passes(7 * MS);
    });
    assert_eq!(p.now(), 20 * MS);
    assert_eq!(behind(&p), 0);
}

#[test]
fn a_message_ends_a_sleep_early() {
    let (mut p, f) = even();
    p.sleep(Some(10 * MS), |_| f.passes(4 * MS));
    assert_eq!(p.now(), 4 * MS);
    assert_eq!(behind(&p), 0);
}

#[test]
fn time_slept_is_no_processor_time_that_later_slices_may_use() {
    let (mut p, f) = even();
    work(&mut p, &f, MS);
    p.sleep(Some(11 * MS), |_| f.passes(10 * MS));
    let a = p.now();
    f.passes(4 * MS);
    assert_eq!(p.now(), a, "stolen, in spite of the sleep before");
}

#[test]
fn lasting_theft_ends_in_a_steady_lag_without_jumps() {
    let (mut p, f) = even();
    // Three milliseconds of five go to others, for two minutes.
    let mut last = 0;
    let mut most = 0;
    for _ in 0..24_000 {
        for _ in 0..50 {
            f.runs(40 * US);
            p.retired(4096);
            let t = p.now();
            most = most.max(t - last);
            last = t;
        }
        f.passes(3 * MS);
    }
    // Payment and theft are equal where guest time runs 2.5 times as fast as the thread: 1 s and 1.45 s of debt.
    assert!((2400 * MS..2500 * MS).contains(&behind(&p)), "{} ms behind", behind(&p) / MS);
    assert!(most <= 110 * US, "a jump of {most} ns");
    // Then the others go away.
    work(&mut p, &f, 30 * S);
    assert_eq!(behind(&p), 0);
    assert_eq!(p.now(), f.at() - 80 * S);
}

#[test]
fn the_lag_has_an_end() {
    let (mut p, f) = even();
    for _ in 0..100 {
        f.passes(S);
        p.now();
    }
    assert_eq!(behind(&p), 10 * S);
    assert_eq!(p.now(), 90 * S);
    assert_eq!(p.missed(), 0, "none of it is lost");
}

#[test]
fn many_short_thefts_are_not_laid_on_one_slice() {
    let (mut p, f) = even();
    // 60 us of each 100, too short to look at: counted as they come, a millisecond at most is remembered.
    for _ in 0..1000 {
        f.runs(30 * US);
        f.passes(60 * US);
        p.retired(5000);
        p.now();
    }
    let before = behind(&p);
    f.runs(2 * MS);
    p.retired(20_000);
    let a = p.now();
    assert!(behind(&p) - before <= MS, "{} us", (behind(&p) - before) / US);
    assert!(a >= 90 * MS + MS);
}

#[test]
fn a_host_that_slept_is_missed_time() {
    let (mut p, f) = even();
    let a = work(&mut p, &f, 10 * MS);
    f.passes(7200 * S);
    assert_eq!(p.now(), a, "the guest goes on from where it was");
    assert_eq!(behind(&p), 0);
    assert_eq!(p.take_missed(), 7200);
    // And while the guest slept.
    p.sleep(Some(a + 10 * MS), |_| f.passes(60 * S + 10 * MS));
    assert_eq!(p.now(), a + 10 * MS);
    assert_eq!(p.take_missed(), 60);
    assert_eq!(p.take_missed(), 0);
}

#[test]
fn pauses_are_missed_time_and_no_debt() {
    let (mut p, f) = even();
    let a = work(&mut p, &f, 10 * MS);
    p.stop();
    f.passes(700 * MS);
    assert_eq!(p.now(), a);
    p.start();
    p.start();
    assert_eq!(p.now(), a);
    assert_eq!((behind(&p), p.take_missed()), (0, 0));
    p.stop();
    f.passes(800 * MS);
    p.start();
    assert_eq!(p.take_missed(), 1, "parts of a second add up");
    assert_eq!(p.missed(), 500 * MS);
    assert_eq!(work(&mut p, &f, 10 * MS), a + 10 * MS);
}

#[test]
fn the_time_before_the_first_start_is_nobodys() {
    let f = Fake::default();
    let mut p = Pace::even(Box::new(f.clone()));
    f.passes(100 * S);
    assert_eq!(p.now(), 0);
    p.stop();
    p.start();
    assert_eq!((p.now(), p.missed()), (0, 0));
}

#[test]
fn without_the_threads_time_only_what_is_implausible_is_held_back() {
    let f = Fake { no_thread_time: true, ..Fake::default() };
    let mut p = Pace::even(Box::new(f.clone()));
    p.start();
    // Twenty milliseconds are held back at once, be it in one slice or in many.
    f.passes(15 * MS);
    assert_eq!(p.now(), 50 * US);
    f.passes(10 * MS);
    assert!((4 * MS..6 * MS).contains(&p.now()));
    let a = p.now();
    f.passes(100 * MS);
    assert!((19 * MS..21 * MS).contains(&(p.now() - a)));
    assert!((97 * MS..104 * MS).contains(&behind(&p)), "{}", behind(&p));
}

#[test]
fn a_plain_clock_counts_all() {
    let f = Fake::default();
    let mut p = Pace::plain(Box::new(f.clone()));
    p.start();
    f.passes(8 * S);
    assert_eq!(p.now(), 8 * S);
    p.sleep(Some(9 * S), |longest| {
        assert_eq!(longest, Some(Duration::from_secs(1)));
        f.passes(3 * S);
    });
    assert_eq!(p.now(), 11 * S);
    assert_eq!(behind(&p), 0);
}

#[test]
fn a_host_clock_that_goes_back_does_not_turn_guest_time() {
    let (mut p, f) = even();
    let a = work(&mut p, &f, 10 * MS);
    f.now.fetch_sub(5 * MS, Relaxed);
    assert_eq!(p.now(), a);
}

#[test]
fn the_instruction_clock_moves_by_instructions_and_by_halts() {
    let mut c = Clock::new(ClockKind::Instructions, true);
    c.start();
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(c.now(), 0);
    c.retired(1000);
    assert_eq!(c.now(), 10_000);
    assert_eq!(c.budget(10_000, Some(10_105)), 11);
    c.sleep(Some(5 * S), |_| panic!("takes no host time"));
    assert_eq!(c.now(), 5 * S);
    c.sleep(Some(S), |_| panic!("takes no host time"));
    assert_eq!(c.now(), 5 * S);
    c.stop();
    c.start();
    assert!(!c.has_missed());
    assert_eq!((c.now(), c.instructions()), (5 * S, 1000));
}

#[test]
fn this_hosts_clocks_are_of_one_rate() {
    let mut c = Clock::new(ClockKind::Host, true);
    c.start();
    let t = std::time::Instant::now();
    while t.elapsed() < Duration::from_millis(30) {
        c.now();
    }
    // Other work on the host may hold guest time back, but nothing may move it on.
    let (now, passed) = (c.now(), t.elapsed().as_nanos() as u64 + MS);
    assert!(now <= passed, "{now} of {passed}");
    c.sleep(Some(now + 5 * MS), |d| std::thread::sleep(d.unwrap_or_default()));
    assert!(c.now() >= now + 5 * MS || c.metrics()[0].1 > 0);
}

#[derive(Debug, Clone)]
enum Step {
    /// So many looks, each after so much work.
    Work(u8, u64),
    Stolen(u64),
    /// Sleeps until a timer that far away; the host is so late, or a message that early.
    Sleep(Option<u64>, i64),
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u8..40, 10..200_000_u64).prop_map(|(n, ns)| Step::Work(n, ns)),
        3 => (1..20 * MS).prop_map(Step::Stolen),
        1 => (1..20 * S).prop_map(Step::Stolen),
        3 => (proptest::option::of(0..30 * MS), -(10 * MS as i64)..20 * MS as i64)
            .prop_map(|(next, late)| Step::Sleep(next, late)),
        1 => (1..10 * S).prop_map(Step::Pause),
    ]
}

proptest! {
    #[test]
    fn guest_time_never_turns_never_leads_and_arrives(steps in proptest::collection::vec(step(), 1..80), thread in any::<bool>()) {
        let f = Fake { no_thread_time: !thread, ..Fake::default() };
        f.runs(5 * S);
        let mut p = Pace::even(Box::new(f.clone()));
        p.start();
        let begin = f.at();
        let mut paused = 0;
        let mut last = 0;
        let mut check = |p: &mut Pace, paused: u64| {
            let now = p.now();
            prop_assert!(now >= last, "{now} after {last}");
            last = now;
            // Whatever was not counted is debt or missed: nothing is lost, nothing comes from nowhere.
            let missed = p.missed();
            let owed = f.at() - begin - missed - now;
            prop_assert!(missed >= paused);
            prop_assert!(owed / US == behind(p) / US, "{owed} but {} behind", behind(p));
            prop_assert!(owed <= 10 * S);
            Ok(())
        };
        for s in steps {
            match s {
                Step::Work(n, ns) => {
                    for _ in 0..n {
                        f.runs(ns);
                        check(&mut p, paused)?;
                    }
                }
                Step::Stolen(ns) => f.passes(ns),
                Step::Sleep(next, late) => {
                    let next = next.map(|n| p.now() + n);
                    p.sleep(next, |longest| {
                        let meant = longest.map_or(3 * MS, |d| d.as_nanos() as u64);
                        f.passes(meant.saturating_add_signed(late));
                    });
                    if let Some(n) = next {
                        prop_assert!(p.now() <= n, "a halted guest passed its timer");
                    }
                }
                Step::Pause(ns) => {
                    p.stop();
                    f.passes(ns);
                    p.start();
                    paused += ns;
                }
            }
            check(&mut p, paused)?;
        }
        // Left alone, it arrives: 10 s of debt at a twentieth.
        for _ in 0..220_000 {
            f.runs(MS);
            p.retired(20_000);
            p.now();
        }
        prop_assert_eq!(behind(&p), 0);
        check(&mut p, paused)?;
    }
}

/// The guest handles a tick every 4 ms, for so many sleeps of the machine. Returns how often the machine slept.
fn tick(p: &mut Pace, f: &Fake, ticks: u32) -> u32 {
    let mut sleeps = 0;
    for _ in 0..ticks {
        let next = (p.now() / (4 * MS) + 1) * 4 * MS;
        while p.now() < next {
            p.sleep(Some(next), |d| {
                sleeps += 1;
                f.passes(d.expect("a timer").as_nanos() as u64);
            });
        }
        assert_eq!(p.now(), next, "each tick on its time");
        // Many of them together are more than a calm guest does at once.
        p.retired(10_000);
    }
    sleeps
}

#[test]
fn a_guest_that_only_ticks_sleeps_through_several_ticks() {
    let (mut p, f) = even();
    let start = f.at();
    assert_eq!(tick(&mut p, &f, 25), 25, "not at once");
    let sleeps = tick(&mut p, &f, 600);
    assert_eq!(sleeps, 29, "21 ticks for each, after those of the start");
    assert!(f.at() - start - p.now() <= 80 * MS, "and close to the host's time");
}

#[test]
fn a_guest_that_works_or_is_talked_to_has_its_ticks_in_time() {
    let (mut p, f) = even();
    tick(&mut p, &f, 100);
    p.retired(1_000_000);
    // What is owed comes first.
    tick(&mut p, &f, 21);
    assert_eq!(tick(&mut p, &f, 10), 10, "after work");
    tick(&mut p, &f, 100);
    // The halts in which debt is paid take no time.
    let mut slept = false;
    while !slept {
        let next = p.now() + 4 * MS;
        p.sleep(Some(next), |_| {
            f.passes(MS);
            slept = true;
        });
    }
    tick(&mut p, &f, 11);
    assert_eq!(tick(&mut p, &f, 10), 10, "after a message");
}

#[test]
fn budgets_are_of_time_not_of_instructions() {
    let mut s = Speed { at: 0, retired: 0, rate: Speed::FIRST };
    assert_eq!(s.budget(0, None), 8_000);
    // 2,000 instructions a microsecond, for a while.
    for n in 1..40 {
        s.note(n * 20_000, n * 40_000);
    }
    assert!((76_000..=80_000).contains(&s.budget(0, None)), "{}", s.budget(0, None));
    assert!((9_500..=10_000).contains(&s.budget(100, Some(5_100))));
    assert_eq!(s.budget(100, Some(100)), Speed::SHORTEST);
    // Slow code is seen at once, a sleep is not taken for it.
    s.note(40 * 20_000 + S, 40 * 40_000);
    assert!(s.budget(0, None) > 60_000);
    s.note(41 * 20_000 + S, 40 * 40_000 + 2_000);
    assert_eq!(s.budget(0, None), 4_000);
}
