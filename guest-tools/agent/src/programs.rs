//! Programs that the host starts here: many at once, with pipes. Neither end sends more than the other has said it takes.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use channel::services::programs::{
    CREDIT, DATA_MOST, Data, Ended, Id, Run, Started, Stream, ToGuest, ToHost, Took,
};
use channel::services::{Unknown, parse};

use crate::{Cx, Piped, Platform, Program, SECOND};

/// Programs that run at once.
const MOST: usize = 64;
/// More is not put into the channel while so much waits there.
const WAITING_MOST: usize = 256 << 10;
/// Without anything to wait for, pipes are looked at so often; platforms that can wait for them are quicker.
const LOOK: u64 = SECOND / 20;

/// What a program's pipes are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants {
    /// Its output, by stream.
    pub output: [bool; 2],
    /// That it reads its input.
    pub input: bool,
}

struct Running<G> {
    id: u32,
    program: G,
    /// Output that was sent and not taken.
    untaken: usize,
    open: [bool; 2],
    input: VecDeque<Vec<u8>>,
    input_at: usize,
    /// Bytes of it that are here.
    unread: usize,
    input_ends: bool,
    /// Its exit code: what it wrote is still to be sent.
    code: Option<u32>,
}

pub(crate) struct Programs<G> {
    channel: Option<u16>,
    running: Vec<Running<G>>,
    buffer: Vec<u8>,
    blocked: bool,
}

const STREAMS: [Stream; 2] = [Stream::Out, Stream::Error];

impl<G: Program> Programs<G> {
    pub(crate) fn new() -> Self {
        Self { channel: None, running: Vec::new(), buffer: vec![0; DATA_MOST], blocked: false }
    }

    pub(crate) fn opened(&mut self, channel: u16) {
        self.channel = Some(channel);
    }

    /// Nobody is there any more for what runs.
    pub(crate) fn closed(&mut self) {
        self.channel = None;
        self.end();
    }

    pub(crate) fn end(&mut self) {
        for mut r in core::mem::take(&mut self.running) {
            r.program.kill();
        }
    }

    pub(crate) fn all(&mut self) -> impl Iterator<Item = (&mut G, Wants)> {
        let blocked = self.blocked;
        self.running.iter_mut().map(move |r| {
            let may = !blocked && r.untaken < CREDIT;
            let wants = Wants { output: r.open.map(|o| o && may), input: !r.input.is_empty() };
            (&mut r.program, wants)
        })
    }

    pub(crate) fn message<P: Platform<Program = G>>(
        &mut self,
        cx: &mut Cx<'_, P>,
        channel: u16,
        m: &[u8],
    ) -> Result<(), Unknown> {
        match parse(m)? {
            ToGuest::Run(run) => self.run(cx, channel, &run),
            ToGuest::Input(Data { id, bytes, .. }) => {
                let Some(r) = self.running.iter_mut().find(|r| r.id == id) else { return Ok(()) };
                if bytes.is_empty() {
                    r.input_ends = true;
                } else if r.unread + bytes.len() > CREDIT {
                    // More than it was told to send.
                    return Err(Unknown::Malformed);
                } else {
                    r.unread += bytes.len();
                    r.input.push_back(bytes);
                }
            }
            ToGuest::Kill(Id { id }) => {
                if let Some(r) = self.running.iter_mut().find(|r| r.id == id) {
                    r.program.kill();
                }
            }
            ToGuest::Took(Took { id, bytes }) => {
                if let Some(r) = self.running.iter_mut().find(|r| r.id == id) {
                    r.untaken = r.untaken.saturating_sub(bytes as usize);
                }
            }
        }
        Ok(())
    }

    fn run<P: Platform<Program = G>>(&mut self, cx: &mut Cx<'_, P>, channel: u16, run: &Run) {
        let id = run.id;
        let refuse = |cx: &mut Cx<'_, P>, error: String| {
            cx.say(channel, &ToHost::Ended(Ended { id, code: 0, error }));
        };
        if self.running.iter().any(|r| r.id == id) {
            return refuse(cx, "a program with this number runs already".to_string());
        }
        if self.running.len() >= MOST {
            return refuse(cx, alloc::format!("{MOST} programs run already; wait for one to end"));
        }
        if run.arguments.first().is_none_or(String::is_empty) {
            return refuse(cx, "no program is named".to_string());
        }
        match cx.p.run(run) {
            Ok(program) => {
                let process = program.process();
                cx.say(channel, &ToHost::Started(Started { id, process }));
                if !run.detached {
                    self.running.push(Running {
                        id,
                        program,
                        untaken: 0,
                        open: [true; 2],
                        input: VecDeque::new(),
                        input_at: 0,
                        unread: 0,
                        input_ends: false,
                        code: None,
                    });
                }
            }
            Err(error) => refuse(cx, error),
        }
    }

    pub(crate) fn poll<P: Platform<Program = G>>(&mut self, cx: &mut Cx<'_, P>) -> u64 {
        let Some(channel) = self.channel else { return u64::MAX };
        let mut buffer = core::mem::take(&mut self.buffer);
        self.blocked = false;
        let mut again = false;
        self.running.retain_mut(|r| {
            r.feed(cx, channel);
            let (blocked, more) = r.fetch(cx, channel, &mut buffer);
            self.blocked |= blocked;
            again |= more;
            let Some(code) = r.code.filter(|_| !more && !blocked) else { return true };
            cx.say(channel, &ToHost::Ended(Ended { id: r.id, code, error: String::new() }));
            false
        });
        self.buffer = buffer;
        match (again, self.running.is_empty()) {
            (true, _) => cx.now,
            (false, false) => cx.now + LOOK,
            (false, true) => u64::MAX,
        }
    }
}

impl<G: Program> Running<G> {
    /// Input into its pipe.
    fn feed<P: Platform<Program = G>>(&mut self, cx: &mut Cx<'_, P>, channel: u16) {
        let mut took = 0;
        while let Some(first) = self.input.front() {
            let n = match self.program.write(&first[self.input_at..]) {
                Piped::Bytes(n) => n,
                Piped::Later => break,
                // It reads no more: the rest is dropped, as a shell's pipe would.
                Piped::End => first.len() - self.input_at,
            };
            took += n;
            self.input_at += n;
            if self.input_at >= first.len() {
                self.input.pop_front();
                self.input_at = 0;
            }
        }
        if took > 0 {
            self.unread = self.unread.saturating_sub(took);
            cx.say(channel, &ToHost::Took(Took { id: self.id, bytes: took as u32 }));
        }
        if self.input_ends && self.input.is_empty() {
            self.input_ends = false;
            self.program.close_input();
        }
    }

    /// Output out of its pipes: whether it waits for the host, and whether there is more at once.
    fn fetch<P: Platform<Program = G>>(
        &mut self,
        cx: &mut Cx<'_, P>,
        channel: u16,
        buffer: &mut [u8],
    ) -> (bool, bool) {
        // Asked first: what it wrote before it ended is in the pipes then.
        if self.code.is_none() {
            self.code = self.program.ended();
        }
        let mut more = false;
        for (at, stream) in STREAMS.into_iter().enumerate() {
            if !self.open[at] {
                continue;
            }
            let room = CREDIT.saturating_sub(self.untaken).min(buffer.len());
            if room == 0 || cx.guest.waiting(channel) > WAITING_MOST {
                return (true, false);
            }
            match self.program.read(stream, &mut buffer[..room]) {
                Piped::Bytes(n) => {
                    self.untaken += n;
                    let bytes = buffer[..n].to_vec();
                    cx.say(channel, &ToHost::Output(Data { id: self.id, stream, bytes }));
                    more = true;
                }
                Piped::Later => {}
                Piped::End => self.open[at] = false,
            }
        }
        (false, more)
    }
}
