//! Two sources of sound on one port: the card, and the speaker that every PC has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use board::{SOUND_HZ, SoundPort};

/// How far one source may be ahead of another that has something to say and doesn't: half a second, more than either lets pass.
const MOST: usize = SOUND_HZ as usize / 2;

struct Desk {
    port: Box<dyn SoundPort>,
    /// The number of the first frame in `mix`.
    base: u64,
    /// What came of one source and may still get something from another.
    mix: Vec<[i32; 2]>,
    /// Up to where each source has come; `None` while it rests.
    ends: Vec<Option<u64>>,
    out: Vec<[i16; 2]>,
}

impl Desk {
    fn play(&mut self, source: usize, first: u64, frames: &[[i16; 2]]) {
        let at_rest = self.ends.iter().all(Option::is_none);
        if at_rest || first > self.base + MOST as u64 {
            // Time has jumped, or nothing was to be heard.
            self.flush(self.mix.len());
            self.base = first;
        }
        // What the port has had can't be changed any more.
        let late = self.base.saturating_sub(first).min(frames.len() as u64) as usize;
        let at = (first.max(self.base) - self.base) as usize;
        let frames = &frames[late..];
        if self.mix.len() < at + frames.len() {
            self.mix.resize(at + frames.len(), [0; 2]);
        }
        for (m, f) in self.mix[at..].iter_mut().zip(frames) {
            *m = [m[0] + i32::from(f[0]), m[1] + i32::from(f[1])];
        }
        self.ends[source] = Some(self.base + (at + frames.len()) as u64);
        self.give();
    }

    /// Frames that all sources have had their say about go to the port.
    fn give(&mut self) {
        let all =
            self.ends.iter().flatten().min().map_or(self.mix.len(), |e| e.saturating_sub(self.base) as usize);
        self.flush(all.min(self.mix.len()).max(self.mix.len().saturating_sub(MOST)));
        self.ends.iter_mut().flatten().for_each(|e| *e = (*e).max(self.base));
    }

    fn flush(&mut self, ready: usize) {
        if ready > 0 {
            let narrow = |v: i32| v.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            self.out.clear();
            self.out.extend(self.mix.drain(..ready).map(|m| m.map(narrow)));
            self.port.play(self.base, &self.out);
            self.base += ready as u64;
        }
    }

    fn rest(&mut self, source: usize) {
        if self.ends[source].take().is_some() {
            self.give();
            if self.ends.iter().all(Option::is_none) {
                self.port.rest();
            }
        }
    }
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
}

/// A port for each of `N` sources of one machine. Frames wait for a source that is not at rest; one that begins says so with
/// a `play` of no frames.
pub fn share<const N: usize>(port: Box<dyn SoundPort>) -> [Box<dyn SoundPort>; N] {
    let desk = Desk { port, base: 0, mix: Vec::new(), ends: vec![None; N], out: Vec::new() };
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
