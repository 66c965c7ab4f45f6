//! Two sources of sound on one port: the card, and the speaker that every PC has.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use board::{SOUND_HZ, SoundPort};
use minicbor::{Decode, Encode};

/// How far one source may be ahead of another that has something to say and doesn't: half a second, more than either lets pass.
const MOST: usize = SOUND_HZ as usize / 2;

struct Desk {
    port: Box<dyn SoundPort>,
    /// The first frame that the port has not had.
    base: u64,
    sources: Vec<Given>,
    out: Vec<[i16; 2]>,
}

/// By one source.
#[derive(Clone, Default)]
struct Given {
    /// Frames from `base` on.
    frames: VecDeque<[i16; 2]>,
    /// Up to where it has come; `None` while it rests.
    end: Option<u64>,
}

impl Desk {
    fn play(&mut self, source: usize, first: u64, frames: &[[i16; 2]]) {
        if self.at_rest() || first > self.base + MOST as u64 {
            // Time has jumped, or nothing was to be heard.
            self.flush(self.longest());
            self.base = first;
        }
        // What the port has had can't be changed any more.
        let late = self.base.saturating_sub(first).min(frames.len() as u64) as usize;
        let at = (first.max(self.base) - self.base) as usize;
        let frames = &frames[late..];
        let own = &mut self.sources[source];
        // Frames that it left out were silence.
        own.frames.resize(at, [0; 2]);
        own.frames.extend(frames);
        own.end = Some(self.base + own.frames.len() as u64);
        self.give();
    }

    fn at_rest(&self) -> bool {
        self.sources.iter().all(|s| s.end.is_none())
    }

    fn longest(&self) -> usize {
        self.sources.iter().map(|s| s.frames.len()).max().unwrap_or_default()
    }

    /// Frames that all sources have had their say about go to the port.
    fn give(&mut self) {
        let longest = self.longest();
        let ends = self.sources.iter().filter_map(|s| s.end);
        let all = ends.min().map_or(longest, |e| e.saturating_sub(self.base) as usize);
        self.flush(all.min(longest).max(longest.saturating_sub(MOST)));
        self.sources.iter_mut().filter_map(|s| s.end.as_mut()).for_each(|e| *e = (*e).max(self.base));
    }

    fn flush(&mut self, ready: usize) {
        if ready > 0 {
            let narrow = |v: i32| v.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            self.out.clear();
            for _ in 0..ready {
                let all = self.sources.iter_mut().map(|s| s.frames.pop_front().unwrap_or_default());
                let sum = all.fold([0; 2], |m, f| [m[0] + i32::from(f[0]), m[1] + i32::from(f[1])]);
                self.out.push(sum.map(narrow));
            }
            self.port.play(self.base, &self.out);
            self.base += ready as u64;
        }
    }

    fn rest(&mut self, source: usize) {
        if self.sources[source].end.take().is_some() {
            self.give();
            if self.at_rest() {
                self.port.rest();
            }
        }
    }
}

/// Can a frame have this number? Guest time in nanoseconds fits into 64 bits.
pub(crate) fn is_frame(n: u64) -> bool {
    n <= u64::MAX / board::SECOND * SOUND_HZ
}

/// One source's way to the desk.
struct Source {
    desk: Arc<Mutex<Desk>>,
    number: usize,
}

impl Source {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SoundPort for Source {
    fn play(&mut self, first: u64, frames: &[[i16; 2]]) {
        self.desk().play(self.number, first, frames);
    }

    fn rest(&mut self) {
        self.desk().rest(self.number);
    }

    fn waiting(&self) -> Option<(u64, Vec<[i16; 2]>)> {
        let desk = self.desk();
        let own = &desk.sources[self.number].frames;
        (!own.is_empty()).then(|| (desk.base, own.iter().copied().collect()))
    }
}

/// Frames that waited for what else is heard beside them, for saved states. All sources of a desk must have begun before one
/// of them gives it theirs.
#[derive(Encode, Decode)]
pub(crate) struct WaitingV1 {
    #[n(0)]
    first: u64,
    #[n(1)]
    frames: Vec<[i16; 2]>,
}

impl WaitingV1 {
    pub(crate) fn of(port: &dyn SoundPort) -> Option<Self> {
        port.waiting().map(|(first, frames)| Self { first, frames })
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn is_sane(&self) -> bool {
        self.frames.len() <= MOST && is_frame(self.first)
    }

    /// The source begins with them.
    pub(crate) fn begin(&self, port: &mut dyn SoundPort) {
        port.play(self.first, &[]);
    }

    /// `more`: others follow.
    pub(crate) fn give(&self, port: &mut dyn SoundPort, more: bool) {
        port.play(self.first, &self.frames);
        if !more {
            port.rest();
        }
    }
}

/// A port for each of `N` sources of one machine. Frames wait for a source that is not at rest; one that begins says so with
/// a `play` of no frames.
pub fn share<const N: usize>(port: Box<dyn SoundPort>) -> [Box<dyn SoundPort>; N] {
    let desk = Desk { port, base: 0, sources: vec![Given::default(); N], out: Vec::new() };
    let desk = Arc::new(Mutex::new(desk));
    std::array::from_fn(|number| Box::new(Source { desk: desk.clone(), number }) as Box<dyn SoundPort>)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came, each with the number of its first frame; and how often the port rested.
    type Heard = (Vec<(u64, Vec<i16>)>, u32);

    #[derive(Clone, Default)]
    struct Ear(Arc<Mutex<Heard>>);

    impl SoundPort for Ear {
        fn play(&mut self, first: u64, frames: &[[i16; 2]]) {
            self.0.lock().unwrap().0.push((first, frames.iter().map(|f| f[0]).collect()));
        }

        fn rest(&mut self) {
            self.0.lock().unwrap().1 += 1;
        }
    }

    impl Ear {
        fn take(&self) -> Heard {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    fn desk() -> (Ear, [Box<dyn SoundPort>; 2]) {
        let ear = Ear::default();
        (ear.clone(), share(Box::new(ear)))
    }

    #[test]
    fn one_source_alone_is_heard_at_once_and_as_it_is() {
        let (ear, [mut a, mut b]) = desk();
        a.play(100, &[[1; 2], [2; 2]]);
        a.play(102, &[[3; 2]]);
        assert_eq!(ear.take(), (vec![(100, vec![1, 2]), (102, vec![3])], 0));
        a.rest();
        a.rest();
        b.rest();
        assert_eq!(ear.take(), (vec![], 1));
        b.play(50, &[[7; 2]]);
        assert_eq!(ear.take().0, [(50, vec![7])]);
    }

    #[test]
    fn two_are_added_by_their_frames_numbers() {
        let (ear, [mut a, mut b]) = desk();
        a.play(10, &[[100; 2]; 4]);
        b.play(12, &[]);
        a.play(14, &[[100; 2]; 4]);
        assert_eq!(ear.take().0, [(10, vec![100; 4])], "what came after b began waits for it");
        b.play(14, &[[5; 2]; 2]);
        assert_eq!(ear.take().0, [(14, vec![105, 105])]);
        b.rest();
        assert_eq!(ear.take(), (vec![(16, vec![100, 100])], 0));
        a.rest();
        assert_eq!(ear.take(), (vec![], 1));
    }

    #[test]
    fn sums_stay_within_16_bits_and_gaps_are_silence() {
        let (ear, [mut a, mut b]) = desk();
        b.play(0, &[]);
        a.play(2, &[[30_000; 2], [-30_000; 2]]);
        b.play(0, &[[0; 2], [1; 2], [30_000; 2], [-30_000; 2], [9; 2]]);
        assert_eq!(ear.take().0, [(0, vec![0, 1, 32_767, -32_768])]);
        a.rest();
        assert_eq!(ear.take().0, [(4, vec![9])]);
    }

    #[test]
    fn a_source_that_says_nothing_does_not_hold_the_other_for_ever() {
        let (ear, [mut a, mut b]) = desk();
        b.play(0, &[]);
        a.play(0, &vec![[1; 2]; MOST + 10]);
        assert_eq!(ear.take().0, [(0, vec![1; 10])]);
        b.play(0, &[[1; 2]; 11]);
        assert_eq!(ear.take().0, [(10, vec![2])], "the first ten have been heard");
    }

    /// Each source in turn is ahead of the other when the machine is saved; one of them may rest by then.
    #[test]
    fn what_waits_goes_on_in_another_desk() {
        for (ahead, rests) in [(0, false), (1, false), (0, true), (1, true)] {
            let (ear, mut old) = desk();
            old[0].play(10, &[]);
            old[1].play(10, &[]);
            old[ahead].play(10, &[[100; 2]; 6]);
            old[1 - ahead].play(10, &[[5; 2]; 2]);
            assert_eq!(ear.take().0, [(10, vec![105; 2])]);
            if rests {
                old[ahead].rest();
            }
            let waits = old.each_ref().map(|s| WaitingV1::of(s.as_ref()));
            assert!(waits[1 - ahead].is_none());
            let waits = waits[ahead].as_ref().unwrap();
            assert!(waits.is_sane());
            let (ear, mut new) = desk();
            for (n, s) in new.iter_mut().enumerate() {
                if n == ahead { waits.begin(s.as_mut()) } else { s.play(12, &[]) }
            }
            waits.give(new[ahead].as_mut(), !rests);
            assert_eq!(ear.take().0, [], "the other has its say");
            new[1 - ahead].play(12, &[[7; 2]; 4]);
            assert_eq!(ear.take(), (vec![(12, vec![107; 4])], 0));
            new[1 - ahead].play(16, &[[7; 2]]);
            assert_eq!(ear.take().0.len(), usize::from(rests), "it waits for one that does not rest");
        }
    }

    #[test]
    fn a_jump_of_time_costs_no_memory() {
        let (ear, [mut a, mut b]) = desk();
        a.play(0, &[[1; 2]]);
        b.play(1, &[]);
        a.play(1, &[[2; 2]]);
        a.play(1 << 60, &[[3; 2]]);
        b.play(1 << 60, &[[4; 2]]);
        assert_eq!(ear.take().0, [(0, vec![1]), (1, vec![2]), (1 << 60, vec![7])]);
    }
}
