//! How fast the channel is: sends back, swallows and gives as much as the guest wants.

use std::sync::OnceLock;
use std::sync::mpsc::Sender;

use channel::services::diagnostics::{COUNT, ECHO, RESULT, SINK, SOURCE, SOURCE_MOST, TEST, WRONG, pattern};
use devices::channel::Refused;

use super::{At, GuestError, Request, Service, TestKind, TestResult};

/// Payload of a message of SOURCE if the guest does not say.
const PIECE: u32 = 64 << 10;
const PIECE_MOST: u32 = 1 << 20;
/// What SOURCE sends repeats after so many bytes.
const PERIOD: u64 = 64 << 10;

#[derive(Default)]
pub(super) struct Diagnostics {
    /// Of SINK: bytes, and their CRC-32.
    sunk: u64,
    crc: u32,
    /// SOURCE: bytes that are still to be sent, and how many were.
    wanted: u64,
    given: u64,
    /// In messages of so many.
    piece: u32,
    test: Option<Sender<Result<TestResult, GuestError>>>,
}

/// What a message of SOURCE may hold, from any place of the pattern on.
fn source() -> &'static [u8] {
    static ALL: OnceLock<Vec<u8>> = OnceLock::new();
    ALL.get_or_init(|| (0..PERIOD + u64::from(PIECE_MOST)).map(pattern).collect())
}

impl Diagnostics {
    fn give(&mut self, at: &mut At<'_, '_>) {
        while self.wanted > 0 && at.out.room(at.id) > 0 {
            let n = self.wanted.min(self.piece.into());
            let from = (self.given % PERIOD) as usize;
            let mut m = Vec::with_capacity(1 + n as usize);
            m.push(SOURCE);
            m.extend_from_slice(&source()[from..from + n as usize]);
            at.out.send(at.id, m);
            self.wanted -= n;
            self.given += n;
        }
    }
}

impl Service for Diagnostics {
    fn opened(&mut self, _: &mut At<'_, '_>) {
        *self = Self::default();
    }

    fn message(&mut self, at: &mut At<'_, '_>, message: &[u8]) -> Result<(), Refused> {
        let (&kind, payload) = message.split_first().ok_or(Refused)?;
        match kind {
            ECHO => at.out.send(at.id, message.to_vec()),
            SINK => {
                self.sunk += payload.len() as u64;
                let mut crc = crc32fast::Hasher::new_with_initial(self.crc);
                crc.update(payload);
                self.crc = crc.finalize();
            }
            SOURCE => {
                let (wanted, piece) = payload.split_first_chunk().ok_or(Refused)?;
                let wanted = u64::from_le_bytes(*wanted);
                let piece = piece.first_chunk().map_or(PIECE, |p| u32::from_le_bytes(*p));
                if wanted > SOURCE_MOST || !(1..=PIECE_MOST).contains(&piece) {
                    return Err(Refused);
                }
                (self.wanted, self.given, self.piece) = (wanted, 0, piece);
                self.give(at);
            }
            COUNT => {
                let mut answer = vec![COUNT];
                answer.extend_from_slice(&self.sunk.to_le_bytes());
                answer.extend_from_slice(&self.crc.to_le_bytes());
                (self.sunk, self.crc) = (0, 0);
                at.out.send(at.id, answer);
            }
            RESULT => {
                let b: &[u8; 17] = payload.try_into().map_err(|_| Refused)?;
                let four = |n: usize| u32::from_le_bytes([b[n], b[n + 1], b[n + 2], b[n + 3]]);
                let nanoseconds = u64::from(four(0)) | u64::from(four(4)) << 32;
                if let Some(done) = self.test.take() {
                    let result = TestResult { nanoseconds, size: four(9), count: four(13) };
                    let wrong = GuestError::Guest("what arrived was not what was sent".into());
                    let _ = done.send(if nanoseconds == WRONG { Err(wrong) } else { Ok(result) });
                }
            }
            _ => return Err(Refused),
        }
        Ok(())
    }

    fn closed(&mut self, _: &mut At<'_, '_>) {
        *self = Self::default();
    }

    fn request(&mut self, at: &mut At<'_, '_>, request: Request) {
        let Request::Test { kind, size, count, done } = request else { return };
        if !at.open() {
            return;
        }
        if self.test.is_some() {
            let _ = done
                .send(Err(GuestError::Bad("another test of the channel is under way; wait for it".into())));
            return;
        }
        self.test = Some(done);
        let kind = match kind {
            TestKind::RoundTrip => ECHO,
            TestKind::ToHost => SINK,
            TestKind::ToGuest => SOURCE,
        };
        let mut m = vec![TEST, kind];
        m.extend_from_slice(&size.to_le_bytes());
        m.extend_from_slice(&count.to_le_bytes());
        at.out.send(at.id, m);
    }

    fn writable(&mut self, at: &mut At<'_, '_>) {
        self.give(at);
    }

    /// What is sent back must have room.
    fn takes(&self, room: usize) -> bool {
        room > 0
    }

    fn save(&self) -> Vec<u8> {
        super::wire::bytes(&(self.sunk, self.crc, self.wanted, self.given, self.piece))
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), minicbor::decode::Error> {
        (self.sunk, self.crc, self.wanted, self.given, self.piece) = minicbor::decode(saved)?;
        Ok(())
    }
}
