//! A data command from its bytes to its result: finding sectors, waiting for the host and for the disk to turn.
//!
//! ```text
//! begin -> Locate -> Host (reads: the rest of the side) -> Pass -> Data -> [Host (writes)] -> next sector or side
//!             \-> Fail                                                                     \-> finish
//! ```

use std::sync::Arc;

use board::{Cx, DiskDone, DiskFault, DiskJob, DiskOp, HostJob, Tick};

use super::media::Format;
use super::regs::{Op, RATE, st0, st1, st2};
use super::{I82077, Phase, SEARCH, SECTOR, SETTLE, STEP, T_RUN};

/// Bytes of a sector, and N of its ID.
pub(super) const BYTES: usize = 512;
const N: u8 = 2;
/// A sector's ID field as FORMAT TRACK gets it.
const ID_BYTES: usize = 4;
/// Bit 7 of VERIFY's second byte: SC is a count of sectors.
const EC: u8 = 0x80;

/// What a sector's ID field says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) c: u8,
    pub(super) h: u8,
    pub(super) r: u8,
    pub(super) n: u8,
}

/// Where a data command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The head gets in place; then the sector is looked for.
    Locate,
    /// The host works.
    Host,
    /// The sector comes round.
    Pass,
    /// Bytes go over.
    Data,
    /// It finds nothing.
    Fail,
}

/// A data command in execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) op: Op,
    pub(super) unit: usize,
    /// HDS.
    pub(super) head: u8,
    pub(super) mt: bool,
    pub(super) mfm: bool,
    pub(super) sk: bool,
    pub(super) id: Id,
    /// EOT; SC of FORMAT TRACK.
    pub(super) eot: u8,
    /// DTL; STP of a scan; what FORMAT TRACK fills with.
    pub(super) dtl: u8,
    /// Sectors left, for FORMAT TRACK and VERIFY with EC.
    pub(super) left: Option<u8>,
    pub(super) step: Step,
    /// ST1 and ST2 so far.
    pub(super) status: [u8; 2],
    /// What the host has read: from sector `id.r` to the end of the side.
    pub(super) side: Vec<u8>,
    /// The sector (or ID field) that goes over, and how much has.
    pub(super) unit_bytes: Vec<u8>,
    pub(super) moved: usize,
    /// TC came.
    pub(super) tc: bool,
    /// For how long DMA has moved nothing.
    pub(super) waited: Tick,
}

impl Run {
    fn new(op: Op, c: &[u8]) -> Self {
        let at = |n: usize| c.get(n).copied().unwrap_or(0);
        let (head, unit) = (at(1) >> 2 & 1, usize::from(at(1) & 3));
        let (id, eot, dtl, left) = match op {
            Op::ReadId => (Id { h: head, ..Id::default() }, 0, 0, None),
            Op::Format => (Id { n: at(2), h: head, ..Id::default() }, at(3), at(5), Some(at(3))),
            _ => {
                let left = (op == Op::Verify && at(1) & EC != 0).then(|| at(8));
                // READ A TRACK begins behind the index hole, whatever R says.
                let r = if op == Op::ReadTrack { 1 } else { at(4) };
                (Id { c: at(2), h: at(3), r, n: at(5) }, at(6), at(8), left)
            }
        };
        Self {
            op,
            unit,
            head,
            mt: c[0] & 0x80 != 0 && op != Op::ReadTrack,
            mfm: c[0] & 0x40 != 0,
            sk: c[0] & 0x20 != 0,
            id,
            eot,
            dtl,
            left,
            step: Step::Locate,
            status: [0; 2],
            side: Vec::new(),
            unit_bytes: Vec::new(),
            moved: 0,
            tc: false,
            waited: 0,
        }
    }

    /// Bytes of the unit that goes over at a time.
    pub(super) fn unit_len(&self) -> usize {
        if self.op == Op::Format { ID_BYTES } else { BYTES }
    }

    /// The ID behind this one, and whether the last cylinder's end lies between. 82077AA table 5-5.
    pub(super) fn following(&self) -> (Id, u8, bool) {
        let Id { c, h, r, n } = self.id;
        if r != self.eot {
            (Id { r: r.wrapping_add(1), ..self.id }, self.head, false)
        } else if self.mt && self.head == 0 {
            (Id { c, h: h ^ 1, r: 1, n }, 1, false)
        } else {
            let h = if self.mt { h ^ 1 } else { h };
            (Id { c: c.wrapping_add(1), h, r: 1, n }, self.head, true)
        }
    }
}

impl I82077 {
    /// The execution phase begins.
    pub(super) fn begin(&mut self, cx: &mut Cx<'_>, op: Op, c: &[u8]) {
        let run = Run::new(op, c);
        self.regs.phase = Phase::Execution;
        if op != Op::ReadId {
            self.regs.eot = run.eot;
        }
        if op.writes() && self.drives[run.unit].write_protected() {
            return self.fail(cx, run, st1::NOT_WRITABLE, 0, SETTLE);
        }
        let mut time = SETTLE;
        // Implied seek: to C, for all commands that have one.
        if self.regs.config.eis() && !matches!(op, Op::ReadId | Op::Format) {
            let to = self.target(run.unit, run.id.c);
            let d = &mut self.drives[run.unit];
            time += u64::from(d.steps(to)) * STEP;
            d.arrive(to);
        }
        self.wait(cx, run, Step::Locate, time);
    }

    pub(super) fn wait(&mut self, cx: &mut Cx<'_>, run: Run, step: Step, time: Tick) {
        self.run = Some(Run { step, ..run });
        self.arm(cx, T_RUN, cx.now() + time);
    }

    /// Ends abnormally after a time.
    pub(super) fn fail(&mut self, cx: &mut Cx<'_>, mut run: Run, st1: u8, st2: u8, time: Tick) {
        run.status[0] |= st1;
        run.status[1] |= st2;
        self.wait(cx, run, Step::Fail, time);
    }

    /// The command's timer.
    pub(super) fn go_on(&mut self, cx: &mut Cx<'_>) {
        let Some(run) = self.run.take() else { return };
        match run.step {
            Step::Locate => self.locate(cx, run),
            Step::Pass => self.data(cx, run),
            Step::Data => self.move_dma(cx, run),
            Step::Fail => self.finish(cx, run, true),
            // No timer runs then.
            Step::Host => self.run = Some(run),
        }
    }

    /// The format of the track under the head, if it can be read at all, and its cylinder.
    fn track(&self, run: &Run) -> Option<(Format, u8)> {
        let d = &self.drives[run.unit];
        let f = d.format().filter(|_| self.motor(run.unit))?;
        // At another rate, or in FM, no address mark is seen.
        let rate = d.kind?.rate(f.density) == self.regs.rate & RATE;
        let cylinder = d.cylinder(f).filter(|_| rate && run.mfm && run.head < f.heads)?;
        Some((f, cylinder))
    }

    /// Looks for the sector that comes next. Err: ST1 and ST2.
    fn find(&self, run: &Run) -> Result<(), (u8, u8)> {
        let Some((f, cylinder)) = self.track(run) else { return Err((st1::MISSING_MARK, 0)) };
        let Id { c, h, r, n } = run.id;
        let there = match run.op {
            Op::ReadId => true,
            // What the image has no room for cannot be formatted.
            Op::Format => n == N && run.eot > 0 && run.eot <= f.spt,
            // It takes the sectors as they come, and only notes that an ID differs.
            Op::ReadTrack => r <= f.spt,
            _ => h == run.head && n == N && (1..=f.spt).contains(&r),
        };
        match there {
            false => Err((st1::NO_DATA, 0)),
            true if c != cylinder && !matches!(run.op, Op::ReadId | Op::Format | Op::ReadTrack) => {
                Err((st1::NO_DATA, st2::WRONG_CYLINDER))
            }
            true => Ok(()),
        }
    }

    pub(super) fn locate(&mut self, cx: &mut Cx<'_>, mut run: Run) {
        if let Err((a, b)) = self.find(&run) {
            return self.fail(cx, run, a, b, SEARCH);
        }
        let Some((f, cylinder)) = self.track(&run) else { return };
        match run.op {
            Op::ReadId => {
                // The sector that just comes by: the disk turns all the time.
                let r = (cx.now() / SECTOR % u64::from(f.spt)) as u8 + 1;
                run.id = Id { c: cylinder, h: run.head, r, n: N };
                self.finish(cx, run, false);
            }
            o if o.writes() => {
                run.id.c = if o == Op::Format { cylinder } else { run.id.c };
                self.wait(cx, run, Step::Pass, SECTOR);
            }
            _ => {
                if run.op == Op::ReadTrack && run.id != (Id { c: cylinder, h: run.head, n: N, ..run.id }) {
                    run.status[0] |= st1::NO_DATA;
                }
                self.submit(cx, run);
            }
        }
    }

    /// First sector of the image that a command is at, and how many it could take from there on this side.
    fn sectors(&self, run: &Run) -> Option<(u64, u32)> {
        let (f, cylinder) = self.track(run)?;
        let Id { r, .. } = run.id;
        if !(1..=f.spt).contains(&r) {
            return None;
        }
        let lba = (u64::from(cylinder) * u64::from(f.heads) + u64::from(run.head)) * u64::from(f.spt)
            + u64::from(r - 1);
        let last = if run.eot >= r { run.eot.min(f.spt) } else { f.spt };
        Some((lba, u32::from(last - r) + 1))
    }

    /// Has the host do what the command waits for.
    pub(super) fn submit(&mut self, cx: &mut Cx<'_>, run: Run) {
        let Some((lba, count)) = self.sectors(&run) else {
            return self.fail(cx, run, st1::MISSING_MARK, 0, SEARCH);
        };
        let op = match run.op {
            Op::Format => DiskOp::Write { lba, data: Arc::new(vec![run.dtl; BYTES]) },
            o if o.writes() => DiskOp::Write { lba, data: Arc::new(run.unit_bytes.clone()) },
            _ => DiskOp::Read { lba, count },
        };
        self.regs.tag = self.regs.tag.wrapping_add(1);
        cx.submit(HostJob::Disk(DiskJob { unit: run.unit as u8, tag: self.regs.tag, op }));
        self.run = Some(Run { step: Step::Host, ..run });
    }

    /// After loading a state: what the host had not yet done is done anew.
    pub(super) fn resubmit(&mut self, cx: &mut Cx<'_>) {
        if let Some(run) = self.run.take_if(|r| r.step == Step::Host) {
            self.submit(cx, run);
        }
    }

    pub(super) fn host_done(&mut self, cx: &mut Cx<'_>, done: DiskDone) {
        let DiskDone { unit, tag, result } = done;
        let mine = |r: &mut Run| r.step == Step::Host && r.unit == usize::from(unit);
        if tag != self.regs.tag {
            return;
        }
        let Some(mut run) = self.run.take_if(mine) else { return };
        match result {
            Ok(_) if run.op.writes() => self.sector_done(cx, run),
            Ok(data) if data.len() >= BYTES => {
                run.side = data;
                self.wait(cx, run, Step::Pass, SECTOR);
            }
            Err(DiskFault::ReadOnly) => self.fail(cx, run, st1::NOT_WRITABLE, 0, SETTLE),
            Ok(_) | Err(DiskFault::Absent | DiskFault::Range) => {
                self.fail(cx, run, st1::MISSING_MARK, 0, SEARCH);
            }
            // The host's disk is bad: so is the diskette.
            Err(DiskFault::Io | DiskFault::Later) => {
                self.fail(cx, run, st1::DATA_ERROR, st2::DATA_ERROR, SETTLE)
            }
        }
    }

    /// The result phase of a data command.
    pub(super) fn finish(&mut self, cx: &mut Cx<'_>, run: Run, abnormal: bool) {
        self.seen.failures += u64::from(abnormal);
        let st0 = if abnormal { st0::ABNORMAL } else { 0 } | run.head << 2 | run.unit as u8;
        let Id { c, h, r, n } = run.id;
        self.results(&[st0, run.status[0], run.status[1], c, h, r, n]);
        self.interrupt(cx);
    }
}
