//! One processor: the `KVM_RUN` loop.
#![allow(unsafe_code, reason = "the exit union of kvm_run and one ioctl that kvm-ioctls lacks")]

use std::sync::Arc;
use std::time::Duration;

use hv_vcpu::{CpuState, GuestIo, HvError, Kicker, Stop, Vcpu, Width};
use kvm_bindings::kvm_interrupt;
use kvm_ioctls::{VcpuExit, VcpuFd, VmFd};
use ram::GuestRam;
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

use crate::alarm::{Alarm, Runner};
use crate::memory::Slots;
use crate::{ENGINE, failed, state};

ioctl_iow_nr!(KVM_INTERRUPT, kvm_bindings::KVMIO, 0x86, kvm_interrupt);

pub struct KvmCpu {
    pub(crate) fd: VcpuFd,
    slots: Slots,
    kicker: Kicker,
    runner: Runner,
    ram: Arc<GuestRam>,
    alarm: Option<Alarm>,
    /// HLT was executed and no interrupt has come since.
    halted: bool,
    exits: Exits,
}

#[derive(Default)]
struct Exits {
    total: u64,
    io: u64,
    mmio: u64,
    halt: u64,
    window: u64,
    interrupted: u64,
}

/// What one return from the kernel asks for.
enum Next {
    Go,
    Halt,
    Stop(Stop),
}

impl KvmCpu {
    pub(crate) fn new(vm: Arc<VmFd>, fd: VcpuFd, ram: Arc<GuestRam>) -> Result<Self, HvError> {
        let runner = Runner::default();
        let wake = runner.clone();
        let mut cpu = Self {
            fd,
            slots: Slots::new(vm, ram.clone()),
            ram,
            kicker: Kicker::with_wake(Arc::new(move || wake.wake())),
            runner,
            alarm: None,
            halted: false,
            exits: Exits::default(),
        };
        cpu.slots.sync()?;
        Ok(cpu)
    }

    fn interrupts_on(&mut self) -> bool {
        self.fd.get_kvm_run().if_flag != 0
    }

    /// Gives the guest a pending interrupt, or asks for the window in which it can take it.
    fn inject(&mut self, io: &mut dyn GuestIo) -> Result<(), HvError> {
        let run = self.fd.get_kvm_run();
        run.request_interrupt_window = 0;
        if !io.intr_pending() {
            return Ok(());
        }
        if run.ready_for_interrupt_injection == 0 || run.if_flag == 0 {
            run.request_interrupt_window = 1;
            return Ok(());
        }
        let irq = kvm_interrupt { irq: u32::from(io.ack_intr()) };
        self.halted = false;
        self.queue(irq)?;
        let again = io.intr_pending();
        self.fd.get_kvm_run().request_interrupt_window = again.into();
        Ok(())
    }

    /// The guest takes it with the next entry.
    fn queue(&mut self, irq: kvm_interrupt) -> Result<(), HvError> {
        // SAFETY: the fd is a vCPU's and the argument is the struct that this ioctl takes.
        if unsafe { ioctl_with_ref(&self.fd, KVM_INTERRUPT(), &irq) } < 0 {
            let source = std::io::Error::last_os_error();
            return Err(HvError::Call { engine: ENGINE, call: "KVM_INTERRUPT", source });
        }
        Ok(())
    }

    fn set_alarm(&mut self, io: &mut dyn GuestIo) -> Result<(), HvError> {
        if !self.alarm.as_ref().is_some_and(Alarm::is_mine) {
            self.alarm = Some(Alarm::new()?);
        }
        match &self.alarm {
            Some(a) => a.set(io.deadline_ns().map(Duration::from_nanos)),
            None => Ok(()),
        }
    }

    fn enter(&mut self, io: &mut dyn GuestIo) -> Result<Next, HvError> {
        self.exits.total += 1;
        let exit = match self.fd.run() {
            Ok(e) => e,
            Err(e) if e.errno() == libc::EINTR || e.errno() == libc::EAGAIN => {
                self.exits.interrupted += 1;
                self.fd.set_kvm_immediate_exit(0);
                return Ok(Next::Go);
            }
            Err(e) => return Err(failed("KVM_RUN")(e)),
        };
        match exit {
            VcpuExit::IoOut(port, data) => {
                let data = data.to_vec();
                self.exits.io += 1;
                let size = self.io_size();
                for part in data.chunks(size) {
                    let (w, mut b) = (width(part.len()), [0; 4]);
                    b[..part.len()].copy_from_slice(part);
                    io.pio_write(port, w, u32::from_le_bytes(b));
                }
            }
            VcpuExit::IoIn(port, data) => {
                self.exits.io += 1;
                let (at, len) = (data.as_mut_ptr(), data.len());
                let size = self.io_size();
                for n in (0..len).step_by(size) {
                    let v = io.pio_read(port, width(size)).to_le_bytes();
                    // SAFETY: `at` points to `len` bytes of the kvm_run mapping, which lives as long as self.fd;
                    // nothing else refers to it now, and n + size <= len because len is a multiple of size.
                    unsafe { std::ptr::copy_nonoverlapping(v.as_ptr(), at.add(n), size) };
                }
            }
            VcpuExit::MmioRead(gpa, data) => {
                self.exits.mmio += 1;
                match self.ram.resolve(gpa).read {
                    Some(_) => self.ram.read(gpa, data),
                    None => io.mmio_read(gpa, data),
                }
            }
            VcpuExit::MmioWrite(gpa, data) => {
                self.exits.mmio += 1;
                match self.ram.resolve(gpa).write {
                    // Reads of this page go elsewhere, so the host kernel has no memory slot for it.
                    Some(_) => self.ram.write(gpa, data),
                    None => io.mmio_write(gpa, data),
                }
            }
            VcpuExit::Hlt => {
                self.exits.halt += 1;
                return Ok(Next::Halt);
            }
            VcpuExit::IrqWindowOpen => self.exits.window += 1,
            VcpuExit::Intr => self.exits.interrupted += 1,
            VcpuExit::Shutdown => return Ok(Next::Stop(Stop::TripleFault)),
            VcpuExit::FailEntry(reason, _) => {
                return Err(self.stuck(format!("the host refuses to enter the guest (reason {reason:#x})")));
            }
            VcpuExit::InternalError => {
                return Err(self.stuck("the host's KVM cannot emulate an instruction here".into()));
            }
            other => {
                let what = format!("unexpected exit {other:?}");
                return Err(self.stuck(what));
            }
        }
        Ok(Next::Go)
    }

    /// Element size of the port access that just left the guest.
    fn io_size(&mut self) -> usize {
        // SAFETY: the exit reason was KVM_EXIT_IO, so `io` is the union's live field.
        let size = unsafe { self.fd.get_kvm_run().__bindgen_anon_1.io.size };
        usize::from(size).max(1)
    }

    fn stuck(&self, reason: String) -> HvError {
        let eip = self.fd.get_regs().map_or(0, |r| r.rip as u32);
        HvError::Stuck { engine: ENGINE, eip, reason }
    }

    fn run_on(&mut self, io: &mut dyn GuestIo) -> Result<Stop, HvError> {
        loop {
            if self.kicker.take() {
                self.complete(io)?;
                return Ok(Stop::Kicked);
            }
            io.poll();
            self.slots.sync()?;
            self.inject(io)?;
            if self.halted {
                return Ok(if self.interrupts_on() { Stop::Halted } else { Stop::HaltedForGood });
            }
            self.set_alarm(io)?;
            match self.enter(io)? {
                Next::Go => {}
                Next::Halt => self.halted = true,
                Next::Stop(s) => return Ok(s),
            }
        }
    }

    /// The kernel finishes an I/O instruction at the next entry: registers are right only after that.
    fn complete(&mut self, io: &mut dyn GuestIo) -> Result<(), HvError> {
        if self.halted {
            return Ok(());
        }
        self.fd.get_kvm_run().request_interrupt_window = 0;
        self.fd.set_kvm_immediate_exit(1);
        let r = self.enter(io);
        self.fd.set_kvm_immediate_exit(0);
        match r? {
            Next::Halt => self.halted = true,
            Next::Go | Next::Stop(_) => {}
        }
        Ok(())
    }
}

fn width(bytes: usize) -> Width {
    match bytes {
        1 => Width::Byte,
        2 => Width::Word,
        _ => Width::Dword,
    }
}

impl Vcpu for KvmCpu {
    fn run(&mut self, io: &mut dyn GuestIo) -> Result<Stop, HvError> {
        let flag = &raw mut self.fd.get_kvm_run().immediate_exit;
        self.runner.enter(flag);
        let r = self.run_on(io);
        self.runner.leave();
        r
    }

    fn kicker(&self) -> Kicker {
        self.kicker.clone()
    }

    fn state(&mut self) -> Result<CpuState, HvError> {
        let mut s = state::get(&self.fd)?;
        s.halted = self.halted;
        Ok(s)
    }

    fn set_state(&mut self, s: &CpuState) -> Result<(), HvError> {
        self.halted = s.halted;
        state::set(&self.fd, s)?;
        // Flags that the loop reads before the first entry.
        let run = self.fd.get_kvm_run();
        run.if_flag = (s.eflags >> 9 & 1) as u8;
        run.ready_for_interrupt_injection = run.if_flag;
        if let Some(v) = s.acked {
            self.queue(kvm_interrupt { irq: v.into() })?;
            self.fd.get_kvm_run().ready_for_interrupt_injection = 0;
        }
        Ok(())
    }

    fn collect_dirty(&mut self) -> Result<(), HvError> {
        self.slots.collect_dirty()
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let Exits { total, io, mmio, halt, window, interrupted } = self.exits;
        vec![
            ("exits", total),
            ("io", io),
            ("mmio", mmio),
            ("halt", halt),
            ("window", window),
            ("interrupted", interrupted),
        ]
    }
}
