//! Bytes of data commands: by DMA or through the FIFO, what is done with a whole sector, and what comes after it.

use board::{Cx, Dir};

use super::regs::{Op, st1, st2};
use super::run::{BYTES, Id, Run, Step};
use super::{DMA_PATIENCE, DMA_RETRY, DREQ, I82077, SECTOR, SETTLE};

/// A byte that a scan takes for equal to anything.
const ANY: u8 = 0xff;

impl I82077 {
    /// The sector is under the head: its bytes go over.
    pub(super) fn data(&mut self, cx: &mut Cx<'_>, mut run: Run) {
        let len = run.unit_len();
        run.moved = 0;
        run.waited = 0;
        run.unit_bytes = if run.op.takes() {
            vec![0; len]
        } else if let Some(sector) = run.side.get(..len) {
            sector.to_vec()
        } else {
            return self.fail(cx, run, st1::MISSING_MARK, 0, SETTLE);
        };
        // The mark says data where deleted data was asked for.
        if run.op == Op::ReadDeleted {
            run.status[1] |= st2::CONTROL_MARK;
        }
        let skipped = run.op == Op::ReadDeleted && run.sk;
        if run.op == Op::Verify || skipped {
            return self.sector_over(cx, run);
        }
        run.step = Step::Data;
        if self.by_bytes() {
            self.run = Some(run);
            self.interrupt(cx);
        } else {
            self.move_dma(cx, run);
        }
    }

    pub(super) fn move_dma(&mut self, cx: &mut Cx<'_>, mut run: Run) {
        if self.by_bytes() {
            // SPECIFY came through a restored state only; the bytes wait for the FIFO.
            self.run = Some(run);
            return;
        }
        let dir = if run.op.takes() { Dir::FromMemory } else { Dir::ToMemory };
        let rest = &mut run.unit_bytes[run.moved..];
        // DMAGATE# holds DRQ back.
        let moved = if self.regs.dor.dmagate() {
            cx.dma.transfer(DREQ, cx.ram, rest, dir)
        } else {
            board::Moved::default()
        };
        run.moved += moved.bytes;
        run.tc |= moved.terminal;
        if run.tc || run.moved == run.unit_bytes.len() {
            return self.sector_over(cx, run);
        }
        if run.waited >= DMA_PATIENCE {
            return self.fail(cx, run, st1::OVERRUN, 0, SETTLE);
        }
        run.waited += DMA_RETRY;
        self.wait(cx, run, Step::Data, DMA_RETRY);
    }

    /// FIFO read in the execution phase.
    pub(super) fn give_byte(&mut self, cx: &mut Cx<'_>) {
        let ready = |r: &mut Run| r.step == Step::Data && !r.op.takes();
        let Some(run) = self.run.take_if(ready) else { return };
        self.regs.last = run.unit_bytes[run.moved];
        self.byte_over(cx, run);
    }

    /// FIFO write in the execution phase.
    pub(super) fn take_byte(&mut self, cx: &mut Cx<'_>, v: u8) {
        let ready = |r: &mut Run| r.step == Step::Data && r.op.takes();
        let Some(mut run) = self.run.take_if(ready) else { return };
        run.unit_bytes[run.moved] = v;
        self.byte_over(cx, run);
    }

    fn byte_over(&mut self, cx: &mut Cx<'_>, mut run: Run) {
        run.moved += 1;
        self.withdraw(cx);
        if run.moved == run.unit_bytes.len() {
            return self.sector_over(cx, run);
        }
        // An interrupt for each byte, or with the FIFO for as many as its threshold says.
        let each = if self.regs.config.efifo() { 1 } else { usize::from(self.regs.config.fifothr()) + 1 };
        let more = run.moved.is_multiple_of(each);
        self.run = Some(run);
        if more {
            self.interrupt(cx);
        }
    }

    /// A sector's bytes are over (after TC the rest are zeros, or were not wanted).
    fn sector_over(&mut self, cx: &mut Cx<'_>, mut run: Run) {
        match run.op {
            Op::Format => {
                let [_, _, r, _] = *run.unit_bytes.as_slice() else { return };
                let Id { c, h, n, .. } = run.id;
                run.id.r = r;
                // IDs that the image cannot hold leave it as it is.
                if run.unit_bytes == [c, h, r, n] && r <= run.eot && r > 0 {
                    self.submit(cx, run);
                } else {
                    self.sector_done(cx, run);
                }
            }
            o if o.writes() => self.submit(cx, run),
            o => {
                let hit = o.scans() && scan(&mut run);
                run.side.drain(..run.side.len().min(BYTES));
                if hit {
                    self.seen.sectors += 1;
                    return self.finish(cx, run, false);
                }
                self.sector_done(cx, run);
            }
        }
    }

    /// On the diskette or at the host: on to the next sector, or the end.
    pub(super) fn sector_done(&mut self, cx: &mut Cx<'_>, mut run: Run) {
        self.seen.sectors += 1;
        if let Some(left) = &mut run.left {
            *left = left.wrapping_sub(1);
        }
        let counted = run.left == Some(0);
        if run.op == Op::Format {
            return if counted || run.tc {
                self.finish(cx, run, false)
            } else {
                self.wait(cx, run, Step::Pass, SECTOR)
            };
        }
        let (next, head, end) = self.after(&mut run);
        // A wrong mark ends the command behind its sector.
        let marked = run.op == Op::ReadDeleted && !run.sk;
        let other_side = head != run.head;
        run.id = next;
        if run.tc || counted || marked {
            return self.finish(cx, run, false);
        }
        if end {
            // Where TC does not say that this was all, the end of the cylinder came too early.
            let wanted = match run.op {
                Op::ReadTrack => true,
                Op::Verify => run.left.is_none(),
                o => o.scans(),
            };
            if !wanted {
                run.status[0] |= st1::END_OF_CYLINDER;
            }
            return self.finish(cx, run, !wanted);
        }
        if other_side {
            run.head = head;
            run.side.clear();
        }
        if run.side.len() >= BYTES && !run.op.takes() {
            self.wait(cx, run, Step::Pass, SECTOR);
        } else {
            self.locate(cx, run);
        }
    }

    /// The next ID. A scan takes every STPth sector.
    fn after(&self, run: &mut Run) -> (Id, u8, bool) {
        if run.op.scans() && run.dtl == 2 && run.eot > run.id.r {
            run.id.r += 1;
            run.side.clear();
        }
        run.following()
    }
}

/// Compares a sector with the host's bytes: true if it is what was looked for. 82077AA 5.1.10.
fn scan(run: &mut Run) -> bool {
    let pairs =
        || run.side.iter().zip(&run.unit_bytes[..run.moved]).filter(|(d, h)| **d != ANY && **h != ANY);
    let equal = pairs().all(|(d, h)| d == h);
    let low = pairs().all(|(d, h)| d <= h);
    let high = pairs().all(|(d, h)| d >= h);
    let hit = equal || run.op == Op::ScanLow && low || run.op == Op::ScanHigh && high;
    run.status[1] &= !(st2::SCAN_EQUAL | st2::SCAN_MISSED);
    run.status[1] |= match (equal, hit) {
        (true, _) => st2::SCAN_EQUAL,
        (_, true) => 0,
        _ => st2::SCAN_MISSED,
    };
    hit
}
