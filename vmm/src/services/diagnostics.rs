//! How fast the channel is: sends back, swallows and gives as much as the guest wants.

use std::sync::OnceLock;
use std::sync::mpsc::Sender;

use channel::services::diagnostics::{COUNT, ECHO, RESULT, SINK, SOURCE, SOURCE_MOST, TEST, pattern};
use devices::channel::Refused;

use super::{At, GuestError, Request, Service, TestKind, TestResult};

/// Payload of a message of SOURCE.
const PIECE: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Diagnostics {
    /// Of SINK: bytes, and their CRC-32.
    sunk: u64,
    crc: u32,
    /// SOURCE: bytes that are still to be sent, and how many were.
    wanted: u64,
    given: u64,
    test: Option<Sender<Result<TestResult, GuestError>>>,
}

/// A message of SOURCE that begins at a multiple of its payload.
fn piece() -> &'static [u8] {
    static PIECES: OnceLock<Vec<u8>> = OnceLock::new();
    PIECES.get_or_init(|| std::iter::once(SOURCE).chain((0..PIECE as u64).map(pattern)).collect())
}

impl Diagnostics {
    fn give(&mut self, at: &mut At<'_, '_>) {
        while self.wanted > 0 && at.out.room(at.id) > 0 {
            let n = self.wanted.min(PIECE as u64);
            at.out.send(at.id, piece()[..=n as usize].to_vec());
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
                let wanted = payload.try_into().map(u64::from_le_bytes).map_err(|_| Refused)?;
                if wanted > SOURCE_MOST {
                    return Err(Refused);
                }
                (self.wanted, self.given) = (wanted, 0);
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
                    let _ = done.send(Ok(TestResult { nanoseconds, size: four(9), count: four(13) }));
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
        super::wire::bytes(&(self.sunk, self.crc, self.wanted, self.given))
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), minicbor::decode::Error> {
        (self.sunk, self.crc, self.wanted, self.given) = minicbor::decode(saved)?;
        Ok(())
    }
}
