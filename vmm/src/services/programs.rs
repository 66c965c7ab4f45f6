//! Programs that the host starts in the guest. What they write waits in the guest until whoever asked has taken what came
//! before; what is written to them likewise.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use channel::services::programs::{
    CREDIT, DATA_MOST, Data, Ended, Id, Run, Started, Stream, ToGuest, ToHost, Took,
};
use devices::channel::Refused;

use super::{At, GuestError, Output, Request, Service, parse};

/// Input of one program that waits for the guest before whoever writes waits, too.
const INPUT_ROOM: usize = 256 << 10;

struct Running {
    output: Sender<Output>,
    /// Output on its way to who asked: sent by the guest and not taken.
    untaken: usize,
    /// Input that the guest has and has not taken.
    unread: usize,
    /// Input that waits for it.
    waiting: Vec<u8>,
    /// And then it ends.
    ends: bool,
    /// Who waits for room.
    writers: Vec<Sender<()>>,
}

#[derive(Default)]
pub(super) struct Programs {
    last: u32,
    running: BTreeMap<u32, Running>,
}

impl Programs {
    /// Sends as much input as the guest takes.
    fn feed(&mut self, at: &mut At<'_, '_>, id: u32) {
        let Some(r) = self.running.get_mut(&id) else { return };
        while !r.waiting.is_empty() && r.unread < CREDIT {
            let n = r.waiting.len().min(DATA_MOST).min(CREDIT - r.unread);
            let rest = r.waiting.split_off(n);
            let bytes = std::mem::replace(&mut r.waiting, rest);
            r.unread += n;
            at.send(&ToGuest::Input(Data { id, stream: Stream::Out, bytes }));
        }
        if r.waiting.len() < INPUT_ROOM {
            for done in r.writers.drain(..) {
                // Whoever wrote may be gone.
                let _ = done.send(());
            }
        }
        if r.ends && r.waiting.is_empty() {
            r.ends = false;
            at.send(&ToGuest::Input(Data { id, ..Data::default() }));
        }
    }
}

impl Service for Programs {
    fn message(&mut self, at: &mut At<'_, '_>, message: &[u8]) -> Result<(), Refused> {
        match parse(at, message)? {
            Some(ToHost::Started(Started { id, process })) => {
                if let Some(r) = self.running.get(&id) {
                    let _ = r.output.send(Output::Started(process));
                }
            }
            Some(ToHost::Output(Data { id, stream, bytes })) => {
                let Some(r) = self.running.get_mut(&id) else {
                    // Of one that nobody waits for any more, as after a restore: it may go on.
                    at.send(&ToGuest::Took(Took { id, bytes: bytes.len() as u32 }));
                    return Ok(());
                };
                r.untaken += bytes.len();
                if bytes.len() > DATA_MOST || r.untaken > CREDIT {
                    return Err(Refused);
                }
                if r.output.send(Output::Data(stream, bytes)).is_err() {
                    self.running.remove(&id);
                    at.send(&ToGuest::Kill(Id { id }));
                }
            }
            Some(ToHost::Ended(Ended { id, code, error })) => {
                if let Some(r) = self.running.remove(&id) {
                    let end = if error.is_empty() { Ok(code) } else { Err(GuestError::Guest(error)) };
                    let _ = r.output.send(Output::Ended(end));
                }
            }
            Some(ToHost::Took(Took { id, bytes })) => {
                if let Some(r) = self.running.get_mut(&id) {
                    r.unread = r.unread.saturating_sub(bytes as usize);
                    self.feed(at, id);
                }
            }
            Some(ToHost::Unsupported(_)) => {
                for r in std::mem::take(&mut self.running).into_values() {
                    let _ = r.output.send(Output::Ended(Err(GuestError::Unsupported)));
                }
            }
            None => {}
        }
        Ok(())
    }

    fn closed(&mut self, _: &mut At<'_, '_>) {
        for r in std::mem::take(&mut self.running).into_values() {
            let _ = r.output.send(Output::Ended(Err(GuestError::Left)));
        }
    }

    fn request(&mut self, at: &mut At<'_, '_>, request: Request) {
        if !at.open() {
            return;
        }
        match request {
            Request::Run { run, output, done } => {
                self.last = self.last.wrapping_add(1);
                let id = self.last;
                if done.send(id).is_err() {
                    return;
                }
                let (waiting, writers) = (Vec::new(), Vec::new());
                self.running
                    .insert(id, Running { output, untaken: 0, unread: 0, waiting, ends: false, writers });
                at.send(&ToGuest::Run(Run { id, ..run }));
            }
            Request::Input { id, bytes, done } => {
                if let Some(r) = self.running.get_mut(&id) {
                    r.ends |= bytes.is_empty();
                    r.waiting.extend_from_slice(&bytes);
                    r.writers.push(done);
                    self.feed(at, id);
                }
            }
            Request::Took { id, bytes } => {
                if let Some(r) = self.running.get_mut(&id) {
                    r.untaken = r.untaken.saturating_sub(bytes as usize);
                    at.send(&ToGuest::Took(Took { id, bytes }));
                }
            }
            Request::Kill { id } => at.send(&ToGuest::Kill(Id { id })),
            _ => {}
        }
    }

    fn save(&self) -> Vec<u8> {
        super::wire::bytes(&self.last)
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), minicbor::decode::Error> {
        self.last = minicbor::decode(saved)?;
        Ok(())
    }
}
