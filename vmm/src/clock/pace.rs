//! Guest time on a host that has other things to do.
//!
//! A busy host takes the machine's thread off its core for milliseconds. Counted at once, that time falls between two
//! instructions of the guest: a calibration loop then finds a PM timer that runs at 108 %, or a TSC that jumps. So what
//! the host took (its clock moved, the thread's processor time did not) is *held back*: it becomes a debt, which is paid
//! - while the guest is halted, where nobody watches: up to [`PAID_AT_ONCE`] each time, never past the next timer;
//! - else by running guest time faster, by a twentieth at first, and faster the larger the debt ([`faster`]).
//!
//! A timer that the host wakes us for too late is on time for the guest, and the delay is debt too. Guest time is never
//! ahead of the host's, never goes back, and is at most [`MOST_DEBT`] behind: what is more is counted at once.
//!
//! A gap of more than [`AWAY`] is no busy host but one that slept (a closed laptop, a stopped process). The guest would
//! take hours that pass within an instruction for a hang, so its time goes on from where it was. Such gaps and pauses
//! are *missed*; the battery clock's chip is told of them ([`Pace::take_missed`]), so that the time of day is right for
//! whoever reads it.

//!
//! A guest that only ticks is woken for several ticks at once: after [`CALM`] sleeps in a row that only a timer ended,
//! with little work between them, a sleep lasts up to [`SLACK`] longer than to the next timer. What guest time is behind
//! then is debt like any other, which the halts between the ticks that follow pay at once. A tick costs a few
//! microseconds with warm caches, and fifty to a hundred after each sleep.

use std::time::Duration;

use board::{MILLISECOND, SECOND, Tick};

use super::host::HostTime;

/// A look at the clock that comes later than this, and than the instructions since the last look need on a slow host,
/// is held against the thread's processor time (a system call).
const LOOK: u64 = 10_000;
const SLOW_INSTRUCTION: u64 = 20;
/// And so often it is read anyway, so that short thefts that were let pass are not found in a later slice.
const SAMPLE: u64 = MILLISECOND;
/// Nobody runs a few thousand instructions for so long: what is above was taken, whatever the host says of the thread
/// (some hosts of hosts count stolen time as ours, some say nothing).
const LONGEST_SLICE: u64 = 20 * MILLISECOND;
/// And few slices take longer than this and ten times a slow host's instructions. What is above may be a device's work or
/// the translator's, or it may be taken unseen: it is held back while that is rare, a part of [`RARE`] of all time.
const PLAUSIBLE: u64 = 50_000;
const RARE: u64 = 32;
const AWAY: u64 = 5 * SECOND;
const MOST_DEBT: u64 = 10 * SECOND;
const PAID_AT_ONCE: u64 = 50 * MILLISECOND;
/// So long the halted guest sleeps before the next payment.
const BETWEEN_PAYMENTS: u64 = 5 * MILLISECOND;
/// Sleeps after which a guest counts as calm: a tenth of a second to half of one.
const CALM: u32 = 25;
/// Instructions between two halts of a calm guest, at most.
const CALM_WORK: u64 = 50_000;
const SLACK: u64 = 80 * MILLISECOND;
/// While a calm guest ticks, what the host takes is looked for this seldom: it calibrates nothing.
const CALM_LOOK: u64 = 500_000;
/// Debt up to which guest time runs a twentieth faster.
const SMALL: u64 = SECOND;
/// Catching up, a slice grows by a twentieth, this, and [`SLOW_INSTRUCTION`] for each instruction five times at most: a guest that
/// reads one timer twice to see whether a third is to be trusted must not find a hundred microseconds between its reads.
const STRETCH: u64 = 10_000;

/// By how many thousandths of the time that passes guest time catches up. Growing, so that the debt settles where theft
/// and payment are equal, without jumps.
fn faster(debt: u64) -> u64 {
    50 + debt.saturating_sub(SMALL) / MILLISECOND
}

pub(super) struct Pace {
    host: Box<dyn HostTime>,
    /// Stolen time is held back.
    even: bool,
    running: bool,
    /// Guest time as of host time `seen`; None before the first start.
    guest: Tick,
    seen: Option<u64>,
    debt: u64,
    /// The thread's processor time, and the host time that belongs to it (moved on by sleeps).
    sample: Option<(u64, u64)>,
    missed: u64,
    /// Implausible time that may be held back though the host says that it is ours.
    unseen: u64,
    /// Instructions since `seen`.
    retired: u64,
    /// Instructions since the last halt.
    worked: u64,
    /// Sleeps in a row that only a timer ended, with little work between them.
    calm: u32,
    /// All that was ever held back.
    held: u64,
    /// A user holds a key down: he knows how long.
    key_down: bool,
}

impl Pace {
    /// Holds back what the host takes.
    pub(super) fn even(host: Box<dyn HostTime>) -> Self {
        Self {
            host,
            even: true,
            running: false,
            guest: 0,
            seen: None,
            debt: 0,
            sample: None,
            missed: 0,
            unseen: LONGEST_SLICE,
            retired: 0,
            worked: 0,
            calm: 0,
            held: 0,
            key_down: false,
        }
    }

    /// The host's time as it comes.
    pub(super) fn plain(host: Box<dyn HostTime>) -> Self {
        Self { even: false, ..Self::even(host) }
    }

    /// See [`super::Clock::set`].
    pub(super) fn set(&mut self, guest: Tick, away: u64) {
        self.guest = guest;
        self.missed += away * SECOND;
    }

    pub(super) fn start(&mut self) {
        if self.running {
            return;
        }
        let t = self.host.now();
        if let Some(stopped) = self.seen {
            self.missed += t.saturating_sub(stopped);
        }
        self.running = true;
        self.seen = Some(t);
        self.sample = self.host.thread().map(|c| (c, t));
    }

    pub(super) fn stop(&mut self) {
        self.now();
        self.running = false;
    }

    /// The guest executed so many.
    pub(super) fn retired(&mut self, instructions: u64) {
        self.retired += instructions;
        self.worked += instructions;
    }

    pub(super) fn now(&mut self) -> Tick {
        let Some(seen) = self.seen.filter(|_| self.running) else { return self.guest };
        let t = self.host.now().max(seen);
        let gap = t - seen;
        self.seen = Some(t);
        let shortest = if self.is_calm() { CALM_LOOK } else { LOOK };
        let slow = std::mem::take(&mut self.retired) * SLOW_INSTRUCTION;
        let look = shortest + slow;
        if !self.even {
            self.guest += gap;
        } else if gap < look && self.sample.is_none_or(|(_, at)| t.saturating_sub(at) < SAMPLE) {
            self.run(gap, slow);
        } else {
            let taken = self.taken(t, gap, look);
            let taken = taken + self.unseen(gap - taken, slow);
            self.run(gap - taken, slow);
            self.hold(taken);
        }
        self.guest
    }

    /// The guest only ticks.
    fn is_calm(&self) -> bool {
        self.calm >= CALM && self.worked <= CALM_WORK
    }

    /// How much of the `gap` before `t` was not ours, where anything up to `look` is.
    fn taken(&mut self, t: u64, gap: u64, look: u64) -> u64 {
        let over = gap.saturating_sub(LONGEST_SLICE);
        let Some(c) = self.host.thread() else { return over };
        let before = self.sample.replace((c, t));
        // A short gap only renews the sample: what was stolen before it, or in it, is too little to matter.
        let Some((had, at)) = before.filter(|_| gap >= look) else { return over };
        let passed = t.saturating_sub(at);
        let ran = c.saturating_sub(had);
        passed.saturating_sub(ran).min(gap).max(over)
    }

    /// How much of what is left of a slice can't be the guest's, whose instructions take `slow` on a slow host.
    fn unseen(&mut self, ns: u64, slow: u64) -> u64 {
        let over = ns.saturating_sub(PLAUSIBLE + 10 * slow).min(self.unseen);
        self.unseen -= over;
        over
    }

    /// Guest time runs on, and catches up.
    fn run(&mut self, ns: u64, slow: u64) {
        self.guest += ns;
        self.unseen = (self.unseen + ns.div_ceil(RARE)).min(LONGEST_SLICE);
        if self.debt > 0 {
            let paid = (u128::from(ns) * u128::from(faster(self.debt)) / 1000) as u64;
            self.pay(paid.min(ns / 20 + STRETCH + 5 * slow));
        }
    }

    fn pay(&mut self, most: u64) {
        let paid = most.min(self.debt);
        self.guest += paid;
        self.debt -= paid;
    }

    fn hold(&mut self, ns: u64) {
        if ns > AWAY {
            let secs = ns / SECOND;
            tracing::warn!(
                "the host did not run this machine for {secs} s: guest time goes on from where it was"
            );
            self.missed += ns;
            return;
        }
        self.held += ns;
        self.debt += ns;
        self.pay(self.debt.saturating_sub(MOST_DEBT));
    }

    /// See [`super::Clock::sleep`].
    pub(super) fn sleep(&mut self, next: Option<Tick>, wait: impl FnOnce(Option<Duration>)) {
        let room = |now: Tick| next.map_or(u64::MAX, |t| t.saturating_sub(now));
        let now = self.now();
        // Also of the halts that take no time: many ticks one after the other are no work.
        if std::mem::take(&mut self.worked) > CALM_WORK {
            self.calm = 0;
        }
        // Half a second paid between down and up would make a keyboard repeat what was but touched.
        if !self.key_down {
            self.pay(room(now).min(PAID_AT_ONCE));
        }
        let most = if self.debt > 0 && !self.key_down { BETWEEN_PAYMENTS } else { u64::MAX };
        let longest = room(self.guest).min(most);
        if longest == 0 {
            return;
        }
        let slack = if self.even && self.debt == 0 && self.is_calm() { SLACK } else { 0 };
        let asked = longest.saturating_add(slack);
        wait((longest != u64::MAX).then_some(Duration::from_nanos(asked)));
        self.woke(longest, asked);
    }

    /// After a sleep of `asked`, of which `longest` is to the next timer.
    fn woke(&mut self, longest: u64, asked: u64) {
        let Some(seen) = self.seen.filter(|_| self.running) else { return };
        if !self.even {
            self.now();
            return;
        }
        let t = self.host.now().max(seen);
        let slept = t - seen;
        self.seen = Some(t);
        // Something else than a timer, so there may soon be more.
        self.calm = if slept < asked { 0 } else { self.calm.saturating_add(1) };
        if let Some((_, at)) = &mut self.sample {
            *at += slept;
        }
        let meant = slept.min(longest);
        self.guest += meant;
        let wanted = slept.min(asked) - meant;
        self.debt += wanted;
        self.hold(slept - meant - wanted);
    }

    /// Halts pay nothing while a key is down.
    pub(super) fn set_key_down(&mut self, down: bool) {
        self.key_down = down;
    }

    /// Host time that guest time will never count: pauses, and gaps of a host that slept.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// Takes its whole seconds.
    pub(super) fn take_missed(&mut self) -> u64 {
        let secs = self.missed / SECOND;
        self.missed %= SECOND;
        secs
    }

    pub(super) fn metrics(&self) -> [(&'static str, u64); 2] {
        [("behind_us", self.debt / 1000), ("held_us", self.held / 1000)]
    }
}
