//! What this host's KVM can do, found out by running small guests in bounded time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hv_vcpu::{
    Caps, CpuState, CpuidTable, GuestIo, Hypervisor, Kicker, Segment, Stop, Unavailable, Vcpu, Vm, Width,
};
use ram::GuestRam;

use crate::Kvm;

const DEVICE: &str = "/dev/kvm";
const CODE: u32 = 0x1000;
const PAGES: u32 = 0x2000;
const DONE: u16 = 0x80;

/// A test: loop iterations, and how long they may take. Both allow a hundredth of what hardware virtualization does.
#[derive(Clone, Copy)]
struct Test {
    loops: u32,
    patience: Duration,
}

/// For a report: long enough to tell the speed.
const THOROUGH: Test = Test { loops: 50_000, patience: Duration::from_millis(500) };
/// For a start: a host that pages does this in microseconds, and one that doesn't must not hold the user up.
const QUICK: Test = Test { loops: 2_500, patience: Duration::from_millis(25) };

/// Counts down, then writes AL to port 80h and halts.
///   mov ecx, loops; again: dec ecx; jnz again; mov al, 42h; out 80h, al; hlt
fn count_down(loops: u32) -> Vec<u8> {
    let mut c = vec![0xb9];
    c.extend(loops.to_le_bytes());
    c.extend([0x49, 0x75, 0xfd, 0xb0, 0x42, 0xe6, 0x80, 0xf4]);
    c
}

/// Turns paging on over 4 MiB pages, then counts.
///   mov eax, cr4; or al, 10h; mov cr4, eax; mov eax, PAGES; mov cr3, eax; mov eax, cr0; or eax, 80000000h; mov cr0, eax
fn paged(loops: u32) -> Vec<u8> {
    let mut c = vec![0x0f, 0x20, 0xe0, 0x0c, 0x10, 0x0f, 0x22, 0xe0, 0xb8];
    c.extend(PAGES.to_le_bytes());
    c.extend([0x0f, 0x22, 0xd8, 0x0f, 0x20, 0xc0, 0x0d, 0x00, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0]);
    c.extend(count_down(loops));
    c
}

/// A machine with one port.
struct OnePort {
    done: bool,
}

impl GuestIo for OnePort {
    fn pio_read(&mut self, _: u16, w: Width) -> u32 {
        w.ones()
    }
    fn pio_write(&mut self, port: u16, _: Width, v: u32) {
        self.done |= port == DONE && v == 0x42;
    }
    fn mmio_read(&mut self, _: u64, b: &mut [u8]) {
        b.fill(0xff);
    }
    fn mmio_write(&mut self, _: u64, _: &[u8]) {}
    fn intr_pending(&self) -> bool {
        false
    }
    fn ack_intr(&mut self) -> u8 {
        0
    }
    fn retired(&mut self, _: u64) {}
    fn poll(&mut self) -> u64 {
        1
    }
    fn deadline_ns(&mut self) -> Option<u64> {
        None
    }
    fn tsc(&mut self) -> u64 {
        0
    }
    fn ferr(&mut self, _: bool) {}
    fn ignne(&self) -> bool {
        false
    }
}

/// Flat 32-bit protected mode at [`CODE`].
fn flat() -> CpuState {
    let mut s = CpuState::reset(CpuidTable::SIGNATURE);
    let data = Segment { selector: 0x10, base: 0, limit: u32::MAX, attr: 0xc093 };
    s.seg = [data, Segment { selector: 8, attr: 0xc09b, ..data }, data, data, data, data];
    s.cr0 = 0x11;
    s.eip = CODE;
    s
}

/// Runs one guest. Ok: how long it took.
fn try_guest(code: &[u8], test: Test) -> Result<Duration, String> {
    let say = |e: &dyn std::error::Error| {
        let cause = e.source().map_or(String::new(), |s| format!(" ({s})"));
        format!("{e}{cause}")
    };
    let ram = Arc::new(GuestRam::new(4 << 20, 0).map_err(|e| say(&e))?);
    ram.write(u64::from(CODE), code);
    ram.write(u64::from(PAGES), &0x83_u32.to_le_bytes());
    let cpuid = CpuidTable::pentium4(false);
    let mut vm = Kvm.create(ram, &cpuid).map_err(|e| say(&e))?;
    let mut cpu = vm.vcpu().map_err(|e| say(&e))?;
    cpu.set_state(&flat()).map_err(|e| say(&e))?;
    let over = watchdog(cpu.kicker(), test.patience);
    let mut io = OnePort { done: false };
    let begin = Instant::now();
    let stop = cpu.run(&mut io);
    let took = begin.elapsed();
    over.store(true, Ordering::Relaxed);
    match stop.map_err(|e| say(&e))? {
        Stop::HaltedForGood | Stop::Halted if io.done => Ok(took),
        Stop::Kicked => {
            Err(format!("is too slow: {} loops took over {} ms", test.loops, test.patience.as_millis()))
        }
        Stop::TripleFault => Err("shuts the guest down".into()),
        other => Err(format!("stops with {other:?}")),
    }
}

/// Kicks the processor when its time is over; ends when told that the guest is done.
fn watchdog(kicker: Kicker, patience: Duration) -> Arc<AtomicBool> {
    let over = Arc::new(AtomicBool::new(false));
    let seen = over.clone();
    std::thread::spawn(move || {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if seen.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        kicker.kick();
    });
    over
}

/// Does paged code run at a speed that is worth having? Bounded at [`QUICK`]'s patience.
pub(crate) fn pages() -> bool {
    Path::new(DEVICE).exists() && try_guest(&paged(QUICK.loops), QUICK).is_ok()
}

pub(crate) fn probe() -> Result<Caps, Unavailable> {
    let no = |reason: String, mend: &str| Unavailable { reason, mend: Some(mend.into()) };
    if !Path::new(DEVICE).exists() {
        return Err(no(
            format!("this host has no {DEVICE}"),
            "enable virtualization in the firmware and load kvm_intel or kvm_amd; or use --engine software",
        ));
    }
    if let Err(e) = kvm_ioctls::Kvm::new() {
        let e = std::io::Error::from_raw_os_error(e.errno());
        return Err(no(
            format!("cannot open {DEVICE}: {e}"),
            "add yourself to the kvm group; or use --engine software",
        ));
    }
    let flat = match try_guest(&count_down(THOROUGH.loops), THOROUGH) {
        Ok(t) => t,
        Err(why) => {
            return Err(no(format!("KVM of this host {why} on flat 32-bit code"), "use --engine software"));
        }
    };
    let paging = try_guest(&paged(THOROUGH.loops), THOROUGH);
    let speed = f64::from(THOROUGH.loops) * 2.0 / flat.as_secs_f64() / 1e6;
    let summary = match &paging {
        Ok(_) => format!("KVM runs 32-bit paged code ({speed:.0} million instructions a second in a loop)"),
        Err(why) => {
            format!("KVM of this host {why} when 32-bit paging is on: XP-class guests can't run on it")
        }
    };
    Ok(Caps { summary, counts_instructions: false, paging: paging.is_ok() })
}
