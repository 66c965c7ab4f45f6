//! Exits lead where they were last linked to, whatever is linked and retired in between.

use seeded::Rng;

use super::buffer::CodeBuffer;
use super::codes::{Code, Codes, Link, Site, TrapSite};
use super::lower::Lowered;

const CODES: u32 = 24;
const LINKS: u32 = 3;
const LEN: u32 = 128;
const PAGE: u64 = 0x1234_5678_9abc_def0;

/// Where link `k` of a translation has its displacement, and its way out; the second one has a page check.
fn parts(k: u32) -> (u32, u32, Option<u32>) {
    let jump = 40 * k + 30;
    (jump, jump + if k == 2 { 53 } else { 4 }, (k == 1).then_some(jump - 22))
}

struct World {
    buffer: CodeBuffer,
    codes: Codes,
    /// Where each link leads.
    to: Vec<Option<u32>>,
}

impl World {
    /// Translations from `LEN` on.
    fn new() -> Self {
        let mut w =
            Self { buffer: CodeBuffer::new(1 << 16).unwrap(), codes: Codes::new(1 << 16), to: Vec::new() };
        for number in 1..=CODES {
            assert_eq!(w.codes.next_link(), (number - 1) * LINKS);
            let link = |k| {
                let (jump, out, guard) = parts(k);
                let l = Link::new(k.wrapping_sub(1) << 20, jump, guard, k == 2);
                assert_eq!(l.out(), out);
                l
            };
            let lowered = Lowered {
                links: (0..LINKS).map(link).collect(),
                sites: vec![Site { ret: 8, done: 12, k: 1 }, Site { ret: LEN as u16, done: 20, k: 2 }],
                traps: vec![
                    TrapSite { at: 0, done: 5, k: 3, unsaved: false },
                    TrapSite { at: 30, done: 40, k: 4, unsaved: true },
                ],
                moves: Vec::new(),
            };
            let code = Code::new(number + 100, number * LEN, 0, false);
            assert_eq!(w.codes.add(code, &lowered), number);
        }
        w.to = vec![None; (CODES * LINKS) as usize];
        for n in 0..CODES * LINKS {
            let at = Self::jump(n);
            w.buffer.write(at, &parts(n % LINKS).1.wrapping_sub(parts(n % LINKS).0 + 4).to_le_bytes());
        }
        w
    }

    fn jump(link: u32) -> u32 {
        (link / LINKS + 1) * LEN + parts(link % LINKS).0
    }

    fn check(&self) {
        for n in 0..CODES * LINKS {
            let at = Self::jump(n);
            let leads = (at + 4).wrapping_add(self.buffer.read32(at));
            let out = (n / LINKS + 1) * LEN + parts(n % LINKS).1;
            assert_eq!(leads, self.to[n as usize].map_or(out, |t| t * LEN), "link {n}");
        }
    }
}

#[test]
fn links_lead_where_they_were_last_linked_to() {
    let mut w = World::new();
    let mut rng = Rng::new(7);
    for _ in 0..20_000 {
        let number = rng.below(u64::from(CODES)) as u32 + 1;
        if !rng.one_in(4) {
            let link = rng.below(u64::from(CODES * LINKS)) as u32;
            w.codes.link(&mut w.buffer, link, number, PAGE);
            w.to[link as usize] = Some(number);
            if let (_, _, Some(guard)) = parts(link % LINKS) {
                let at = (link / LINKS + 1) * LEN + guard;
                assert_eq!(
                    [w.buffer.read32(at), w.buffer.read32(at + 4)],
                    [PAGE as u32, (PAGE >> 32) as u32]
                );
            }
        } else {
            w.codes.unlink_all(&mut w.buffer, number);
            for to in w.to.iter_mut().filter(|to| **to == Some(number)) {
                *to = None;
            }
        }
        w.check();
    }
}

#[test]
fn places_are_found_in_their_own_translations() {
    let w = World::new();
    assert!(w.codes.site(8).is_none() && w.codes.trap_site(8).is_none(), "thunks");
    for number in 1..=CODES {
        let at = number * LEN;
        let site = |off| w.codes.site(at + off).map(|(c, s)| (c.id, s.k));
        assert_eq!(site(8), Some((number + 100, 1)));
        assert_eq!(site(9), None);
        // Behind a call at the very end, where the next one begins.
        assert_eq!(site(LEN), Some((number + 100, 2)));
        let trap = |off| w.codes.trap_site(at + off).map(|(n, t)| (n, t.k));
        assert_eq!([0, 29, 30, LEN - 1].map(trap), [3, 3, 4, 4].map(|k| Some((number, k))));
        for k in 0..LINKS {
            let target = k.wrapping_sub(1) << 20;
            assert_eq!(w.codes.target((number - 1) * LINKS + k), Some((number + 100, target)));
        }
        assert!(w.codes.is_live(at) && w.codes.is_live(at + LEN - 1));
    }
}
