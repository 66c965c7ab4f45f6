//! How fast the channel is. The host asks; what comes back is checked, not only counted.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;

use channel::guest::Way;
use channel::services::Unknown;
use channel::services::diagnostics::{COUNT, ECHO, RESULT, SINK, SOURCE, SOURCE_MOST, TEST, WRONG, pattern};

use crate::{Cx, Platform};

/// Echoes and messages of SINK that wait in the channel.
const WAITING_MOST: usize = 512 << 10;
/// Of SOURCE: bytes that are compared with what they must be. Beyond, they are counted.
const COMPARED: u64 = 256 << 20;
/// Messages of SINK from so many bytes on go by reference, where the platform can tell where they lie.
const BY_REFERENCE: u32 = 256 << 10;
const PATTERN: usize = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    test: Option<Test>,
    pattern: Vec<u8>,
}

#[derive(Debug)]
struct Test {
    channel: u16,
    kind: u8,
    size: u32,
    count: u32,
    began: u64,
    /// Messages of SINK that are sent, or echoes that came back; bytes of SOURCE.
    done: u64,
    message: Rc<Vec<u8>>,
    /// Where it lies in main memory, if it goes by reference.
    pages: Option<Vec<(u32, u32)>>,
    cleared: bool,
    sent_count: bool,
    wrong: bool,
}

/// Bytes differ. In a form that becomes vector instructions.
fn differ(a: &[u8], b: &[u8]) -> bool {
    a.len() != b.len() || a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) != 0
}

/// The CRC-32 of a payload repeated so often.
fn repeated(payload: &[u8], mut times: u32) -> u32 {
    let mut power = crc32fast::Hasher::new();
    power.update(payload);
    let mut all = crc32fast::Hasher::new();
    while times > 0 {
        if times & 1 != 0 {
            all.combine(&power);
        }
        power.combine(&power.clone());
        times >>= 1;
    }
    all.finalize()
}

impl Diagnostics {
    pub(crate) fn closed(&mut self) {
        self.test = None;
    }

    pub(crate) fn message<P: Platform>(
        &mut self,
        cx: &mut Cx<'_, P>,
        channel: u16,
        m: &[u8],
    ) -> Result<(), Unknown> {
        let (&kind, payload) = m.split_first().ok_or(Unknown::Malformed)?;
        match (kind, &mut self.test) {
            (TEST, None) => {
                let &[kind, a, b, c, d, e, f, g, h] = payload else { return Err(Unknown::Malformed) };
                let (size, count) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
                let fits = (size as usize) < channel::MESSAGE_MOST
                    && u64::from(size) * u64::from(count) <= SOURCE_MOST
                    && matches!(kind, ECHO | SINK | SOURCE);
                if !fits {
                    return Err(Unknown::Malformed);
                }
                self.begin(cx, channel, kind, size, count);
            }
            (ECHO, Some(t)) if t.kind == ECHO => {
                t.wrong |= differ(m, &t.message);
                t.done += 1;
                if t.done < t.count.into() {
                    let _ = cx.guest.send(channel, t.message.clone());
                } else {
                    self.end(cx);
                }
            }
            (SOURCE, Some(t)) if t.kind == SOURCE => {
                if t.done < COMPARED {
                    t.wrong |= !is_pattern(&self.pattern, t.done, payload);
                }
                t.done += payload.len() as u64;
                let all = u64::from(t.size) * u64::from(t.count);
                t.wrong |= t.done > all;
                if t.done >= all {
                    self.end(cx);
                }
            }
            // The first answer is of what was sunk before.
            (COUNT, Some(t)) if t.kind == SINK && !t.cleared => t.cleared = true,
            (COUNT, Some(t)) if t.kind == SINK && t.sent_count => {
                let want = repeated(&t.message[1..], t.count);
                let mut answer = (u64::from(t.size) * u64::from(t.count)).to_le_bytes().to_vec();
                answer.extend(want.to_le_bytes());
                t.wrong |= payload != answer;
                self.end(cx);
            }
            // Of a test that is over.
            (TEST | ECHO | SOURCE | COUNT, _) => {}
            _ => return Err(Unknown::Kind(kind.into())),
        }
        Ok(())
    }

    fn begin<P: Platform>(&mut self, cx: &mut Cx<'_, P>, channel: u16, kind: u8, size: u32, count: u32) {
        let mut message = vec![kind];
        if kind == SOURCE {
            message.extend((u64::from(size) * u64::from(count)).to_le_bytes());
            message.extend(size.clamp(1, 1 << 20).to_le_bytes());
            if self.pattern.is_empty() {
                self.pattern = (0..PATTERN as u64).map(pattern).collect();
            }
        } else {
            let mut n = cx.p.random() | 1;
            message.extend((0..size).map(|_| {
                n ^= n << 13;
                n ^= n >> 7;
                n ^= n << 17;
                n as u8
            }));
        }
        let message = Rc::new(message);
        let large = kind == SINK && size >= BY_REFERENCE && cx.guest.way() == Way::Function;
        let pages = if large { cx.p.pages(&message) } else { None };
        let began = cx.p.now();
        let (cleared, sent_count, wrong) = (false, false, false);
        let test =
            Test { channel, kind, size, count, began, done: 0, message, pages, cleared, sent_count, wrong };
        if count == 0 || kind == SOURCE && size == 0 {
            self.test = Some(test);
            return self.end(cx);
        }
        if kind == SINK {
            // What was sunk before is not of this test.
            let _ = cx.guest.send(channel, vec![COUNT]);
        } else {
            let _ = cx.guest.send(channel, test.message.clone());
        }
        self.test = Some(test);
    }

    /// Keeps SINK going.
    pub(crate) fn poll<P: Platform>(&mut self, cx: &mut Cx<'_, P>) -> u64 {
        let Some(t) = self.test.as_mut().filter(|t| t.kind == SINK && !t.sent_count) else { return u64::MAX };
        while t.done < t.count.into() && cx.guest.waiting(t.channel) < WAITING_MOST {
            let sent = match &t.pages {
                Some(p) => cx.guest.send_pages(t.channel, p),
                None => cx.guest.send(t.channel, t.message.clone()),
            };
            if sent.is_err() {
                break;
            }
            t.done += 1;
        }
        if t.done == t.count.into() && cx.guest.send(t.channel, vec![COUNT]).is_ok() {
            t.sent_count = true;
        }
        // The ring's interrupt says when there is room again.
        u64::MAX
    }

    fn end<P: Platform>(&mut self, cx: &mut Cx<'_, P>) {
        let Some(t) = self.test.take() else { return };
        let took = cx.p.now().saturating_sub(t.began).min(WRONG - 1);
        let mut m = vec![RESULT];
        m.extend(if t.wrong { WRONG } else { took }.to_le_bytes());
        m.push(t.kind);
        m.extend(t.size.to_le_bytes());
        m.extend(t.count.to_le_bytes());
        let _ = cx.guest.send(t.channel, m);
    }
}

/// This is what SOURCE sends at that place.
fn is_pattern(pattern: &[u8], mut at: u64, mut b: &[u8]) -> bool {
    while !b.is_empty() {
        let from = (at % PATTERN as u64) as usize;
        let n = b.len().min(PATTERN - from);
        if differ(&pattern[from..from + n], &b[..n]) {
            return false;
        }
        (at, b) = (at + n as u64, &b[n..]);
    }
    true
}
