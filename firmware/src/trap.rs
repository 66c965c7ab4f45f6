//! The firmware trap: the device behind the ROM's entry points.
//!
//! # Ports (window of 128 at [`TRAP_BASE`])
//! | offset | access | what |
//! |---|---|---|
//! | 0 | R 16 | takes a free context; reads as the number of its data port |
//! | 8n | W 8/16/32 | bytes from the guest: first the caller's frame, then answers of operations |
//! | 8n | R 8/16/32 | parameters and data of the running operation; after the last one the frame |
//! | 8n + 4 | R 16 | the last operation is done: offset of the next one's code in the kernel |
//!
//! # Saved state
//! A service in flight can't be saved half-way, so what is saved is the frame it was called with. After a load
//! it starts again from there when the guest asks for its next operation: disk reads, waits and the like just
//! happen once more. The operation that the guest is at is saved with its data, and so is half a frame on its way in or out.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use board::{At, Cx, Device, Moment, Reset, StateError, StateIn, StateOut, Width, Win, WinSpec};
use ram::GuestRam;

use crate::bus::{Bus, Mail, Posted, lock};
use crate::config::Config;
use crate::frame::{FRAME_BYTES, Frame};
use crate::rom::kernel::{CONTEXTS, CTX_PORTS, Op, TRAP_BASE, TRAP_PORTS};
use crate::state::{CallV1, Saved};
use crate::{Shared, World, services};

/// The trap's port window.
pub const TRAP: Win = Win(0);
/// Where the board places [`TRAP`].
pub const TRAP_AT: u16 = TRAP_BASE;

const WINDOWS: &[WinSpec] = &[WinSpec::pio(TRAP, TRAP_PORTS as u32, Width::D)];

type Service = Pin<Box<dyn Future<Output = Frame> + Send>>;

#[derive(Default)]
enum Stage {
    #[default]
    Free,
    /// The guest sends its frame.
    Entering,
    Running(Service),
    /// The frame is on its way back; the context is free after its last byte.
    Leaving,
    /// Loaded from saved state: starts again at the next operation.
    Restart,
}

#[derive(Default)]
struct Call {
    stage: Stage,
    mail: Arc<Mutex<Mail>>,
    /// The frame as it came in.
    entry: Vec<u8>,
    to_guest: Vec<u8>,
    sent: usize,
    last_use: u64,
    final_op: bool,
}

/// The BIOS as a chip of the board.
pub struct Firmware {
    world: Arc<World>,
    calls: Vec<Call>,
    uses: u64,
    seen: Counters,
}

#[derive(Default)]
struct Counters {
    calls: u64,
    operations: u64,
    /// Contexts whose callers never came back and that were taken again.
    recycled: u64,
}

impl Firmware {
    pub fn new(config: Config, ram: Arc<GuestRam>) -> Self {
        Self {
            world: Arc::new(World::new(config, ram)),
            calls: (0..CONTEXTS).map(|_| Call::default()).collect(),
            uses: 0,
            seen: Counters::default(),
        }
    }

    /// What the services know of the machine; for tests and for `ctl`.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    fn allocate(&mut self) -> u32 {
        self.uses += 1;
        self.seen.calls += 1;
        let free = self.calls.iter().position(|c| matches!(c.stage, Stage::Free));
        let n = free.unwrap_or_else(|| {
            self.seen.recycled += 1;
            let oldest = self.calls.iter().enumerate().min_by_key(|(_, c)| c.last_use);
            oldest.map_or(0, |(n, _)| n)
        });
        self.calls[n] = Call { stage: Stage::Entering, last_use: self.uses, ..Call::default() };
        u32::from(TRAP_BASE + (n as u16 + 1) * CTX_PORTS)
    }

    fn begin(&mut self, n: usize) {
        let call = &mut self.calls[n];
        let mut bytes = [0; FRAME_BYTES];
        bytes.copy_from_slice(&call.entry[..FRAME_BYTES]);
        let frame = Frame::from_bytes(&bytes);
        let bus = Bus::new(self.world.clone(), call.mail.clone(), frame.real_mode());
        call.stage = Stage::Running(Box::pin(services::serve(bus, frame)));
    }

    /// The guest asks for its next operation: the last one is done.
    fn next(&mut self, cx: &mut Cx<'_>, n: usize) -> u32 {
        self.uses += 1;
        self.seen.operations += 1;
        if matches!(self.calls[n].stage, Stage::Restart) {
            self.begin(n);
        }
        let uses = self.uses;
        let call = &mut self.calls[n];
        call.last_use = uses;
        call.to_guest.clear();
        call.sent = 0;
        let Stage::Running(service) = &mut call.stage else {
            // Nobody is here (a stray read): let the reader ask again.
            return u32::from(self.world.kernel.address(Op::Pause));
        };
        lock(&call.mail).now = cx.now();
        let polled = service.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut mail = lock(&call.mail);
        mail.reply.clear();
        if let Some(p) = mail.power.take() {
            cx.power(p);
        }
        let op = match polled {
            Poll::Ready(frame) => {
                call.to_guest.extend_from_slice(&frame.to_bytes());
                call.stage = Stage::Leaving;
                Op::Done
            }
            Poll::Pending => {
                let Posted { op, data } = mail.op.take().unwrap_or_default();
                call.to_guest = data;
                call.final_op = op == Op::Leave;
                op
            }
        };
        u32::from(self.world.kernel.address(op))
    }

    fn give(&mut self, n: usize, len: u32) -> u32 {
        let call = &mut self.calls[n];
        let mut v = 0;
        for i in 0..len {
            let b = call.to_guest.get(call.sent).copied().unwrap_or(0);
            call.sent += 1;
            v |= u32::from(b) << (8 * i);
        }
        let done = call.sent >= call.to_guest.len();
        if done && (call.final_op || matches!(call.stage, Stage::Leaving)) {
            *call = Call::default();
        }
        v
    }

    fn take(&mut self, n: usize, len: u32, v: u32) {
        let call = &mut self.calls[n];
        let bytes = &v.to_le_bytes()[..len as usize];
        match call.stage {
            Stage::Entering => {
                call.entry.extend_from_slice(bytes);
                if call.entry.len() >= FRAME_BYTES {
                    self.begin(n);
                }
            }
            // A guest that keeps pouring gets no more of our memory than a service ever asks for.
            Stage::Running(_) => {
                let mut mail = lock(&call.mail);
                if mail.reply.len() < 0x1_0000 {
                    mail.reply.extend_from_slice(bytes);
                }
            }
            Stage::Free | Stage::Leaving | Stage::Restart => {}
        }
    }

    fn context(off: u32) -> Option<usize> {
        (off / u32::from(CTX_PORTS)).checked_sub(1).map(|n| n as usize)
    }
}

/// No operation gives the guest more.
const MOST: usize = 1 << 20;

fn call_v1(c: &Call) -> CallV1 {
    let stage = match c.stage {
        Stage::Free => return CallV1::default(),
        Stage::Entering => 1,
        Stage::Running(_) | Stage::Restart => 2,
        Stage::Leaving => 3,
    };
    CallV1 {
        stage,
        entry: c.entry.clone(),
        to_guest: c.to_guest.clone(),
        sent: c.sent.min(c.to_guest.len()) as u32,
        last: c.final_op,
    }
}

fn load_call(s: &StateIn<'_>, v: CallV1) -> Result<Call, StateError> {
    let stage = match (v.stage, v.entry.len()) {
        (0, _) => return Ok(Call::default()),
        (1, ..FRAME_BYTES) => Stage::Entering,
        (2, FRAME_BYTES..MOST) => Stage::Restart,
        (3, _) if (v.sent as usize) < v.to_guest.len() => Stage::Leaving,
        (n, _) => return Err(s.bad("call", n.into())),
    };
    if v.to_guest.len() > MOST || v.entry.len() > MOST {
        return Err(s.bad("call's data", v.to_guest.len() as u64));
    }
    let (entry, to_guest) = (v.entry, v.to_guest);
    Ok(Call { stage, entry, to_guest, sent: v.sent as usize, final_op: v.last, ..Call::default() })
}

impl Device for Firmware {
    fn name(&self) -> &'static str {
        "firmware"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, _: &mut Cx<'_>, _: Reset) {
        for c in &mut self.calls {
            *c = Call::default();
        }
        *lock(&self.world.shared) = Shared::default();
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        let reg = at.off % u32::from(CTX_PORTS);
        match (Self::context(at.off), reg) {
            (None, 0) if at.width == Width::W => self.allocate(),
            (Some(n), 4) if at.width == Width::W => self.next(cx, n),
            (Some(n), 0) => self.give(n, at.width.bytes()),
            _ => cx.open_bus(at),
        }
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        let reg = at.off % u32::from(CTX_PORTS);
        match (Self::context(at.off), reg) {
            (Some(n), 0) => self.take(n, at.width.bytes(), v),
            _ => {
                cx.open_bus(at);
            }
        }
    }

    fn save(&self, out: &mut StateOut) {
        let entries = self.calls.iter().map(|c| match c.stage {
            Stage::Running(_) | Stage::Restart => c.entry.clone(),
            Stage::Free | Stage::Entering | Stage::Leaving => Vec::new(),
        });
        let calls = Some(self.calls.iter().map(call_v1).collect());
        let shared = lock(&self.world.shared).clone();
        out.put(1, &Saved { entries: entries.collect(), shared, calls });
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        let Saved { entries, shared, calls } = s.get(1)?;
        if entries.len() != self.calls.len() {
            return Err(s.bad("entries", entries.len() as u64));
        }
        if let Some(calls) = calls {
            if calls.len() != self.calls.len() {
                return Err(s.bad("calls", calls.len() as u64));
            }
            for (call, v) in self.calls.iter_mut().zip(calls) {
                *call = load_call(s, v)?;
            }
            *lock(&self.world.shared) = shared;
            return Ok(());
        }
        for (call, entry) in self.calls.iter_mut().zip(entries) {
            *call = Call::default();
            match entry.len() {
                0 => {}
                FRAME_BYTES => {
                    call.entry = entry;
                    call.stage = Stage::Restart;
                }
                n => return Err(s.bad("frame", n as u64)),
            }
        }
        *lock(&self.world.shared) = shared;
        Ok(())
    }

    /// A service that runs begins anew.
    fn moment(&self) -> Moment {
        let runs = self.calls.iter().any(|c| matches!(c.stage, Stage::Running(_)));
        if runs { Moment::Poor } else { Moment::Good }
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let Counters { calls, operations, recycled } = self.seen;
        vec![("calls", calls), ("operations", operations), ("recycled", recycled)]
    }
}
