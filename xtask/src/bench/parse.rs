//! What the guest's programs print; the format is described in `benches/guest/main.c`.

/// A line of output that means something.
#[derive(Debug, PartialEq)]
pub(crate) enum Mark {
    /// The guest's first program runs
    Init,
    Begin(String),
    End(End),
    Failed(String),
    Done,
}

#[derive(Debug, PartialEq, Default)]
pub(crate) struct End {
    pub(crate) name: String,
    /// By the clock of the system that the program runs on
    pub(crate) secs: f64,
    /// The same since the line's beginning was said
    pub(crate) since: f64,
    /// Of the program and its children
    pub(crate) cpu: f64,
    pub(crate) rounds: (u32, u32),
    pub(crate) sum: u32,
    /// Counts of the line's own
    pub(crate) more: Vec<(String, u64)>,
}

impl End {
    /// What time of the rounds that were done is for all of them.
    pub(crate) fn scale(&self) -> f64 {
        f64::from(self.rounds.1) / f64::from(self.rounds.0)
    }
}

/// A kernel's message may stand before the mark on the same line of a console.
pub(crate) fn mark(text: &str) -> Option<Mark> {
    let at = text.find("bench ")?;
    let mut words = text[at..].split_whitespace().skip(1);
    let verb = words.next()?;
    Some(match verb {
        "init" => Mark::Init,
        "done" => Mark::Done,
        "begin" => Mark::Begin(words.next()?.to_owned()),
        "failed" => Mark::Failed(words.next()?.to_owned()),
        "end" => Mark::End(end(words)?),
        _ => return None,
    })
}

fn end<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<End> {
    let mut e = End { name: words.next()?.to_owned(), ..End::default() };
    let (mut timed, mut summed) = (false, false);
    for (key, value) in words.filter_map(|w| w.split_once('=')) {
        match key {
            "secs" => {
                e.secs = value.parse().ok()?;
                timed = true;
            }
            "since" => e.since = value.parse().ok()?,
            "cpu" => e.cpu = value.parse().ok()?,
            "rounds" => {
                let (done, all) = value.split_once('/')?;
                e.rounds = (done.parse().ok()?, all.parse().ok()?);
            }
            "sum" => {
                e.sum = u32::from_str_radix(value, 16).ok()?;
                summed = true;
            }
            _ => e.more.push((key.to_owned(), value.parse().ok()?)),
        }
    }
    if e.since == 0.0 {
        e.since = e.secs;
    }
    let whole = timed && summed && e.secs > 0.0 && (1..=e.rounds.1).contains(&e.rounds.0);
    whole.then_some(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_counts_of_its_own() {
        let m = mark(
            "bench end timer-signals secs=0.5 since=0.75 rounds=10/20 sum=3cc32c6b signals=7 interrupts=9 cpu=0.25",
        );
        let Some(Mark::End(e)) = m else { panic!("{m:?}") };
        assert_eq!(
            (e.name.as_str(), e.secs, e.since, e.cpu, e.rounds, e.sum),
            ("timer-signals", 0.5, 0.75, 0.25, (10, 20), 0x3cc3_2c6b)
        );
        assert_eq!(e.more, [("signals".to_owned(), 7), ("interrupts".to_owned(), 9)]);
    }

    #[test]
    fn a_line_that_stopped_early_is_scaled_to_all_its_rounds() {
        let Some(Mark::End(e)) = mark("bench end fib secs=1.5 rounds=5/20 sum=1") else { panic!() };
        assert_eq!(e.secs * e.scale(), 6.0);
    }

    #[test]
    fn marks_are_found_behind_messages_of_the_kernel() {
        assert_eq!(mark("[    1.3] mce: bench init\r"), Some(Mark::Init));
        assert_eq!(mark("bench begin fib\r"), Some(Mark::Begin("fib".into())));
        assert_eq!(mark("bench failed fork"), Some(Mark::Failed("fork".into())));
        assert_eq!(mark("bench done"), Some(Mark::Done));
    }

    #[test]
    fn what_is_cut_off_or_impossible_is_no_reading() {
        for bad in [
            "bench end fib secs=1.5 rounds=5/20",
            "bench end fib rounds=5/20 sum=1",
            "bench end fib secs=1.5 rounds=0/20 sum=1",
            "bench end fib secs=1.5 rounds=21/20 sum=1",
            "bench end fib secs=0 rounds=1/1 sum=1",
            "bench end fib secs=x rounds=1/1 sum=1",
            "bench end",
            "bench begin",
            "benchmark guest",
            "",
        ] {
            assert_eq!(mark(bad), None, "{bad}");
        }
    }
}
