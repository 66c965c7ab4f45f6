//! The guest's buses as services use them: each call is one or a few micro-operations that the guest's own
//! processor executes between two reads of the trap port (see [`crate::rom::kernel`]).
//!
//! Services are `async`, so that drivers read like straight code; every `.await` is a trip through the guest.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use board::{Power, Tick};

use crate::World;
use crate::rom::kernel::Op;

/// What the trap and the service of one call share. Both run on the machine thread; the lock is never
/// contended, it only makes the future `Send`.
#[derive(Default)]
pub struct Mail {
    pub op: Option<Posted>,
    /// What the guest gave while it executed the last operation.
    pub reply: Vec<u8>,
    pub now: Tick,
    pub power: Option<Power>,
}

/// A micro-operation for the guest, and what it reads from the data port while executing it.
#[derive(Debug, Default)]
pub struct Posted {
    pub op: Op,
    pub data: Vec<u8>,
}

pub fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A far pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Far {
    pub seg: u16,
    pub off: u16,
}

impl Far {
    pub const fn new(seg: u16, off: u16) -> Self {
        Self { seg, off }
    }

    pub const fn bits(self) -> u32 {
        (self.seg as u32) << 16 | self.off as u32
    }

    pub const fn from_bits(v: u32) -> Self {
        Self { seg: (v >> 16) as u16, off: v as u16 }
    }

    pub const fn linear(self) -> u32 {
        ((self.seg as u32) << 4) + self.off as u32
    }

    /// The same byte plus `n`, with the smallest offset, so that 64 KiB - 16 follow without a wrap.
    pub const fn plus(self, n: u32) -> Self {
        let lin = self.linear() + n;
        if lin < 0x10_0000 {
            Self { seg: (lin >> 4) as u16, off: (lin & 15) as u16 }
        } else {
            Self { seg: 0xffff, off: (lin - 0xf_fff0) as u16 }
        }
    }
}

/// Registers for a call into guest code.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallRegs {
    pub ax: u16,
    pub bx: u16,
    pub cx: u16,
    pub dx: u16,
    pub es: u16,
    pub di: u16,
}

/// What came back from it.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallResult {
    pub ax: u16,
    pub flags: u16,
}

/// Registers with which the guest goes on for good.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leave {
    pub target: Far,
    pub stack: Far,
    pub ax: u16,
    pub dx: u16,
    pub es_di: Far,
    pub ds_si: Far,
}

#[derive(Clone)]
pub struct Bus {
    pub world: Arc<World>,
    mail: Arc<Mutex<Mail>>,
    /// Memory below 1 MiB + 64 KiB that is RAM may be touched without the guest's help: the caller was in real mode.
    direct: bool,
}

struct Exchange<'a> {
    bus: &'a Bus,
    posted: Option<Posted>,
}

impl Future for Exchange<'_> {
    type Output = Vec<u8>;
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Vec<u8>> {
        let mut mail = lock(&self.bus.mail);
        match self.posted.take() {
            Some(p) => {
                mail.op = Some(p);
                Poll::Pending
            }
            None => Poll::Ready(std::mem::take(&mut mail.reply)),
        }
    }
}

fn dwords(v: &[u32]) -> Vec<u8> {
    v.iter().flat_map(|d| d.to_le_bytes()).collect()
}

fn element(n: usize, at: u32) -> u32 {
    if (n as u32 | at).is_multiple_of(4) {
        4
    } else if (n as u32 | at).is_multiple_of(2) {
        2
    } else {
        1
    }
}

impl Bus {
    pub fn new(world: Arc<World>, mail: Arc<Mutex<Mail>>, direct: bool) -> Self {
        Self { world, mail, direct }
    }

    pub fn now(&self) -> Tick {
        lock(&self.mail).now
    }

    pub fn direct(&self) -> bool {
        self.direct
    }

    /// Asks the machine for a change of its life.
    pub fn power(&self, p: Power) {
        lock(&self.mail).power = Some(p);
    }

    fn post(&self, op: Op, data: Vec<u8>) -> Exchange<'_> {
        Exchange { bus: self, posted: Some(Posted { op, data }) }
    }

    async fn exchange(&self, op: Op, params: &[u32]) -> Vec<u8> {
        self.post(op, dwords(params)).await
    }

    pub async fn outb(&self, port: u16, v: u8) {
        self.exchange(Op::Out8, &[u32::from(v) << 16 | u32::from(port)]).await;
    }

    pub async fn outw(&self, port: u16, v: u16) {
        self.exchange(Op::Out16, &[u32::from(v) << 16 | u32::from(port)]).await;
    }

    pub async fn outl(&self, port: u16, v: u32) {
        self.exchange(Op::Out32, &[u32::from(port), v]).await;
    }

    pub async fn inb(&self, port: u16) -> u8 {
        self.exchange(Op::In8, &[u32::from(port)]).await.first().copied().unwrap_or(0xff)
    }

    pub async fn inw(&self, port: u16) -> u16 {
        le16(&self.exchange(Op::In16, &[u32::from(port)]).await)
    }

    pub async fn inl(&self, port: u16) -> u32 {
        le32(&self.exchange(Op::In32, &[u32::from(port)]).await)
    }

    /// Reads `port` until `status & mask == value`, `tries` times at most; returns the last status.
    pub async fn poll8(&self, port: u16, mask: u8, value: u8, tries: u16) -> u8 {
        let p = u32::from(value) << 24 | u32::from(mask) << 16 | u32::from(port);
        let r = self.exchange(Op::Poll8, &[p, u32::from(tries)]).await;
        r.first().copied().unwrap_or(0xff)
    }

    /// Index and data pairs (`data << 8 | index`) to an index port.
    pub async fn out_pairs(&self, port: u16, pairs: &[u16]) {
        for part in pairs.chunks(256) {
            let mut data = dwords(&[(part.len() as u32) << 16 | u32::from(port)]);
            data.extend(part.iter().flat_map(|w| w.to_le_bytes()));
            self.post(Op::OutPairs, data).await;
        }
    }

    /// A run of bytes to one port.
    pub async fn out_bytes(&self, port: u16, bytes: &[u8]) {
        for part in bytes.chunks(1024) {
            let mut data = dwords(&[(part.len() as u32) << 16 | u32::from(port)]);
            data.extend_from_slice(part);
            self.post(Op::OutBytes, data).await;
        }
    }

    /// `n` bytes from one port.
    pub async fn in_bytes(&self, port: u16, n: u16) -> Vec<u8> {
        self.exchange(Op::InBytes, &[u32::from(n) << 16 | u32::from(port)]).await
    }

    /// Reads an index register.
    pub async fn in_index(&self, port: u16, index: u8) -> u8 {
        self.outb(port, index).await;
        self.inb(port + 1).await
    }

    /// Can these bytes be touched from here? Not where a chip answers (the VGA window), nor under paging.
    fn is_direct(&self, lin: u32, len: usize) -> bool {
        self.direct && len != 0 && (lin + len as u32 <= 0xa_0000 || lin >= 0xc_0000)
    }

    fn mask(&self, lin: u32) -> u64 {
        u64::from(if self.world.ram.a20() { lin } else { lin & !0x10_0000 })
    }

    fn direct_pages(&self, lin: u32, len: usize, mut f: impl FnMut(u64, std::ops::Range<usize>)) {
        let mut done = 0;
        while done < len {
            let at = lin + done as u32;
            let n = (4096 - (at as usize & 4095)).min(len - done);
            f(self.mask(at), done..done + n);
            done += n;
        }
    }

    /// Copies bytes out of guest memory. The run may not be longer than the offset allows before it wraps.
    pub async fn read(&self, at: Far, len: usize) -> Vec<u8> {
        if self.is_direct(at.linear(), len) {
            let mut v = vec![0; len];
            self.direct_pages(at.linear(), len, |gpa, r| self.world.ram.read(gpa, &mut v[r]));
            return v;
        }
        let mut out = Vec::with_capacity(len);
        while out.len() < len {
            let n = (len - out.len()).min(0x4000);
            let from = Far::new(at.seg, at.off.wrapping_add(out.len() as u16));
            // The VGA takes reads a byte at a time; wider ones only cost the bus the splitting.
            let e = element(n, u32::from(from.off));
            let op = [Op::Read8, Op::Read16, Op::Read32][e.trailing_zeros() as usize];
            out.extend(self.exchange(op, &[from.bits(), n as u32 / e]).await);
        }
        out
    }

    pub async fn write(&self, at: Far, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.is_direct(at.linear(), bytes.len()) {
            self.direct_pages(at.linear(), bytes.len(), |gpa, r| self.world.ram.write(gpa, &bytes[r]));
            return;
        }
        let mut done = 0;
        for part in bytes.chunks(0x4000) {
            let to = Far::new(at.seg, at.off.wrapping_add(done));
            let e = element(part.len(), u32::from(to.off));
            let op = [Op::Write8, Op::Write16, Op::Write32][e.trailing_zeros() as usize];
            let mut data = dwords(&[to.bits(), part.len() as u32 / e]);
            data.extend_from_slice(part);
            self.post(op, data).await;
            done = done.wrapping_add(part.len() as u16);
        }
    }

    pub async fn read8(&self, at: Far) -> u8 {
        self.read(at, 1).await[0]
    }

    pub async fn read16(&self, at: Far) -> u16 {
        le16(&self.read(at, 2).await)
    }

    pub async fn read32(&self, at: Far) -> u32 {
        le32(&self.read(at, 4).await)
    }

    pub async fn write8(&self, at: Far, v: u8) {
        self.write(at, &[v]).await;
    }

    pub async fn write16(&self, at: Far, v: u16) {
        self.write(at, &v.to_le_bytes()).await;
    }

    pub async fn write32(&self, at: Far, v: u32) {
        self.write(at, &v.to_le_bytes()).await;
    }

    /// Bytes `stride` apart. `latch`: read each place first, as VGA write modes with a function want it.
    pub async fn write_stride(&self, at: Far, stride: u16, bytes: &[u8], latch: bool) {
        let mut data = dwords(&[at.bits(), u32::from(latch) << 16 | u32::from(stride), bytes.len() as u32]);
        data.extend_from_slice(bytes);
        self.post(Op::WriteStride, data).await;
    }

    /// Copies `count` bytes within guest memory, lowest or highest first, as MOVSB does.
    pub async fn move_bytes(&self, from: Far, to: Far, count: u16, down: bool) {
        self.exchange(Op::Move8, &[from.bits(), to.bits(), u32::from(down) << 16 | u32::from(count)]).await;
    }

    /// The same with MOVSW; `count` in words.
    pub async fn move_words(&self, from: Far, to: Far, count: u16, down: bool) {
        self.exchange(Op::Move16, &[from.bits(), to.bits(), u32::from(down) << 16 | u32::from(count)]).await;
    }

    pub async fn fill_bytes(&self, to: Far, count: u16, v: u8) {
        self.exchange(Op::Fill8, &[to.bits(), u32::from(v) << 16 | u32::from(count)]).await;
    }

    pub async fn fill_words(&self, to: Far, count: u16, v: u16) {
        self.exchange(Op::Fill16, &[to.bits(), u32::from(v) << 16 | u32::from(count)]).await;
    }

    /// REP INSW: `count` words from a device's data port straight into guest memory.
    pub async fn in_words_to(&self, port: u16, to: Far, count: u16) {
        self.exchange(Op::PioIn16, &[u32::from(count) << 16 | u32::from(port), to.bits()]).await;
    }

    pub async fn in_dwords_to(&self, port: u16, to: Far, count: u16) {
        self.exchange(Op::PioIn32, &[u32::from(count) << 16 | u32::from(port), to.bits()]).await;
    }

    /// REP OUTSW.
    pub async fn out_words_from(&self, port: u16, from: Far, count: u16) {
        self.exchange(Op::PioOut16, &[u32::from(count) << 16 | u32::from(port), from.bits()]).await;
    }

    /// `count` words from a device's data port to the service.
    pub async fn in_words(&self, port: u16, count: u16) -> Vec<u8> {
        self.exchange(Op::InWords, &[u32::from(count) << 16 | u32::from(port)]).await
    }

    /// Words from the service to a device's data port.
    pub async fn out_words(&self, port: u16, words: &[u16]) {
        for part in words.chunks(1024) {
            let mut data = dwords(&[(part.len() as u32) << 16 | u32::from(port)]);
            data.extend(part.iter().flat_map(|w| w.to_le_bytes()));
            self.post(Op::OutWords, data).await;
        }
    }

    /// Calls far code that ends with RETF.
    pub async fn call(&self, target: Far, r: CallRegs) -> CallResult {
        self.call_with(Op::Call, target, r).await
    }

    /// INT n, through the vector.
    pub async fn int(&self, n: u8, r: CallRegs) -> CallResult {
        let target = Far::from_bits(self.read32(Far::new(0, u16::from(n) * 4)).await);
        self.call_with(Op::CallInt, target, r).await
    }

    async fn call_with(&self, op: Op, target: Far, r: CallRegs) -> CallResult {
        let pair = |hi: u16, lo: u16| u32::from(hi) << 16 | u32::from(lo);
        let params = [target.bits(), pair(r.es, r.di), pair(r.cx, r.ax), pair(r.dx, r.bx)];
        let v = self.exchange(op, &params).await;
        CallResult { ax: le16(&v), flags: le16(v.get(2..).unwrap_or(&[])) }
    }

    /// Calls a far routine with four words on its stack, first one deepest.
    pub async fn call_with_words(&self, target: Far, w: [u16; 4]) {
        let pair = |hi: u16, lo: u16| u32::from(hi) << 16 | u32::from(lo);
        self.exchange(Op::CallWords, &[pair(w[0], w[1]), pair(w[2], w[3]), target.bits()]).await;
    }

    /// Goes on at another place and never comes back.
    pub async fn leave(&self, l: Leave) -> ! {
        let pair = |hi: u16, lo: u16| u32::from(hi) << 16 | u32::from(lo);
        loop {
            let params = [l.stack.bits(), l.target.bits(), l.es_di.bits(), l.ds_si.bits(), pair(l.dx, l.ax)];
            self.exchange(Op::Leave, &params).await;
        }
    }

    /// Lets interrupts in for a moment.
    pub async fn let_interrupts_in(&self) {
        self.exchange(Op::Relax, &[]).await;
    }

    /// Sleeps until an interrupt was served. Only where HLT is allowed: the caller was in real mode.
    pub async fn wait_interrupt(&self) {
        self.exchange(if self.direct { Op::Halt } else { Op::Relax }, &[]).await;
    }

    /// Comes back after `ns` of guest time; interrupts stay as they are.
    pub async fn delay(&self, ns: Tick) {
        let end = self.now() + ns;
        while self.now() < end {
            self.exchange(Op::Pause, &[]).await;
        }
    }

    pub async fn cmos(&self, index: u8) -> u8 {
        // Bit 7 keeps NMI off, as on any PC whose firmware polls.
        self.outb(0x70, 0x80 | index).await;
        self.inb(0x71).await
    }

    pub async fn set_cmos(&self, index: u8, v: u8) {
        self.outb(0x70, 0x80 | index).await;
        self.outb(0x71, v).await;
    }

    pub async fn pci_read32(&self, devfn: u8, reg: u8) -> u32 {
        self.outl(0xcf8, config_address(devfn, reg)).await;
        self.inl(0xcfc).await
    }

    pub async fn pci_read16(&self, devfn: u8, reg: u8) -> u16 {
        self.outl(0xcf8, config_address(devfn, reg)).await;
        self.inw(0xcfc + u16::from(reg & 2)).await
    }

    pub async fn pci_read8(&self, devfn: u8, reg: u8) -> u8 {
        self.outl(0xcf8, config_address(devfn, reg)).await;
        self.inb(0xcfc + u16::from(reg & 3)).await
    }

    pub async fn pci_write32(&self, devfn: u8, reg: u8, v: u32) {
        self.outl(0xcf8, config_address(devfn, reg)).await;
        self.outl(0xcfc, v).await;
    }

    pub async fn pci_write16(&self, devfn: u8, reg: u8, v: u16) {
        self.outl(0xcf8, config_address(devfn, reg)).await;
        self.outw(0xcfc + u16::from(reg & 2), v).await;
    }

    pub async fn pci_write8(&self, devfn: u8, reg: u8, v: u8) {
        self.outl(0xcf8, config_address(devfn, reg)).await;
        self.outb(0xcfc + u16::from(reg & 3), v).await;
    }
}

pub const fn config_address(devfn: u8, reg: u8) -> u32 {
    0x8000_0000 | (devfn as u32) << 8 | (reg as u32 & 0xfc)
}

pub fn le16(b: &[u8]) -> u16 {
    u16::from_le_bytes([b.first().copied().unwrap_or(0), b.get(1).copied().unwrap_or(0)])
}

pub fn le32(b: &[u8]) -> u32 {
    u32::from(le16(b)) | u32::from(le16(b.get(2..).unwrap_or(&[]))) << 16
}
