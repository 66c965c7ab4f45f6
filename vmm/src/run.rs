//! The run loop: the engine, the clock, the mailbox and the machine's life, on one thread.

use std::sync::atomic::Ordering;

use board::{At, Disk, HostEvent, Key, Leds, Media, Moment, Power, Reset, SlotId, Width};
use devices::chipset::piix4::pm;
use hv_vcpu::{CpuState, CpuidTable, HvError, Stop};

use crate::api::{Bay, Command, Outcome, Phase, Pressed, SaveTo, Status, Unknown};
use crate::disks::Unit;
use crate::events::Event;
use crate::floppy;
use crate::machine::{self, Machine};
use crate::mailbox::Message;
use crate::snapshot::live;
use crate::spec::OnError;

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the {engine} engine failed")]
    Engine {
        engine: &'static str,
        #[source]
        source: HvError,
    },
    #[error("the machine has run and is off; build a new one")]
    Off,
    #[error(
        "the state that the machine goes on from can't be read any more: it was changed or the host's disk failed; the \
         machine stopped, its disks are as if the power had gone"
    )]
    Memory,
    #[error(
        "a disk could not be opened again for a snapshot: {0}; the machine stopped, its disks are as if the power had gone"
    )]
    Disk(String),
}

/// What the power button would meet.
struct Acpi {
    sci_en: bool,
    pwrbtn_en: bool,
    pwrbtn_sts: bool,
}

/// What the loop does next.
enum Next {
    Go,
    End(Outcome),
}

impl Machine {
    /// Powers the machine on and runs it until its power goes off, the guest crashes or the host fails it.
    pub fn run(&mut self) -> Result<Outcome, RunError> {
        self.power_on()?;
        let out = self.run_on();
        self.end(out)
    }

    /// The same, or until so much guest time has gone by: then it is paused, and `None` is the answer. A machine that does
    /// not go by the host's clock always stops between the same two instructions.
    pub fn run_until(&mut self, guest_ns: u64) -> Result<Option<Outcome>, RunError> {
        self.power_on()?;
        self.board.set_off_at(guest_ns);
        let out = self.run_on();
        if matches!(out, Ok(Outcome::PoweredOff))
            && !self.board.clear_off_at()
            && !self.board.ram.fetch_failed()
        {
            self.note_progress();
            self.set_phase(Phase::Paused);
            return Ok(None);
        }
        self.end(out).map(Some)
    }

    fn power_on(&mut self) -> Result<(), RunError> {
        if self.phase == Phase::Off {
            return Err(RunError::Off);
        }
        self.set_phase(Phase::Running);
        Ok(())
    }

    fn end(&mut self, mut out: Result<Outcome, RunError>) -> Result<Outcome, RunError> {
        // Whatever it came to, it came to it without a part of its memory.
        if self.board.ram.fetch_failed() {
            out = Err(RunError::Memory);
        }
        self.note_progress();
        self.set_phase(Phase::Off);
        // Nobody reads it any more: who asks shall not wait.
        self.mailbox.close();
        out
    }

    fn set_phase(&mut self, p: Phase) {
        match p {
            Phase::Running => self.board.clock.start(),
            Phase::Built | Phase::Paused | Phase::Off => self.board.clock.stop(),
        }
        self.phase = p;
        self.note_progress();
        self.shared.set_phase(p);
    }

    fn tell(&mut self, e: Event) {
        self.note_progress();
        self.shared.events.tell(e);
    }

    fn run_on(&mut self) -> Result<Outcome, RunError> {
        let engine = self.engine.name();
        let mut dead = false;
        loop {
            if let Next::End(o) = self.read_mailbox()? {
                return Ok(o);
            }
            if let Next::End(o) = self.save_if_asked()? {
                return Ok(o);
            }
            if self.phase == Phase::Paused {
                self.mailbox.wait(None);
                continue;
            }
            if self.board.ram.fetch_failed() {
                return Err(RunError::Memory);
            }
            self.look_at_button();
            self.keep_time_of_day();
            self.board.fire_due();
            if let Next::End(o) = self.power()? {
                return Ok(o);
            }
            if self.asleep {
                self.sleep_in_s1();
                continue;
            }
            let stop =
                self.vcpu.run(&mut self.board).map_err(|source| RunError::Engine { engine, source })?;
            self.note_progress();
            if let Next::End(o) = self.power()? {
                return Ok(o);
            }
            match stop {
                Stop::Kicked | Stop::Debug(_) => {}
                Stop::Halted => self.sleep(),
                Stop::HaltedForGood => {
                    if !std::mem::replace(&mut dead, true) {
                        self.tell(Event::Stuck);
                    }
                    self.sleep();
                }
                Stop::TripleFault if self.deliberate_shutdown() => self.restart(Reset::Hard, true)?,
                Stop::TripleFault => {
                    let report = self.crash_report();
                    self.tell(Event::TripleFault { report: report.clone() });
                    return Ok(Outcome::Crashed { report });
                }
            }
            dead &= stop == Stop::HaltedForGood;
        }
    }

    /// Saves the state if that was asked for and can be done now.
    fn save_if_asked(&mut self) -> Result<Next, RunError> {
        const SOON: board::Tick = 10 * board::MICROSECOND;
        /// Looks for a good moment; then any that can be is taken: a call of the BIOS may wait for a key.
        const LOOKS: u32 = 2_000;
        let Some(mut saving) = self.saving.take() else { return Ok(Next::Go) };
        let running = self.phase == Phase::Running;
        let ahead = match &mut saving.to {
            SaveTo::GoOn(live) => running && live.copy_ahead(self),
            SaveTo::End { .. } => false,
        };
        let wait = if ahead {
            Some(live::STEP)
        } else {
            saving.looks += 1;
            (running && saving.looks < LOOKS && self.board.moment() > Moment::Good).then_some(SOON)
        };
        if let Some(wait) = wait {
            let now = self.board.clock.now();
            self.board.set_look_at(now + wait);
            self.saving = Some(saving);
            return Ok(Next::Go);
        }
        match saving.to {
            SaveTo::GoOn(live) => live.end(self).map(|()| Next::Go).map_err(RunError::Disk),
            SaveTo::End { mut file, done } => {
                let saved = self.save(file.as_mut());
                let ok = saved.is_ok();
                // Before the answer: who gets it may read the file.
                drop(file);
                done.send(saved).ok();
                Ok(if ok { Next::End(Outcome::Saved) } else { Next::Go })
            }
        }
    }

    /// The processor has nothing to do: sleep until a timer or a message.
    fn sleep(&mut self) {
        if self.board.fire_early() {
            return;
        }
        let next = self.board.next_due();
        self.board.clock.sleep(next, |longest| self.mailbox.wait(longest));
    }

    /// The processor is stopped until the power management chip wakes it.
    fn sleep_in_s1(&mut self) {
        if self.board.interrupt_waits() {
            self.board.host_event(self.roles.pm, HostEvent::Interrupt);
        }
        if !self.board.power_is_due() {
            self.sleep();
        }
    }

    /// Battery and crystal of the clock chip went on while guest time stood.
    fn keep_time_of_day(&mut self) {
        if self.board.clock.has_missed() {
            let secs = self.board.clock.take_missed();
            for slot in std::iter::once(self.roles.rtc).chain(self.roles.channel) {
                self.board.host_event(slot, HostEvent::Missed(secs));
            }
        }
    }

    /// DOS extenders and 286 systems leave protected mode by a triple fault; they leave a shutdown code in CMOS
    /// 0Fh or the warm-boot word in the BDA. Anything else is a crash.
    fn deliberate_shutdown(&mut self) -> bool {
        let mut warm = [0; 2];
        self.board.ram.read(0x472, &mut warm);
        warm == 0x1234_u16.to_le_bytes() || self.cmos_shutdown_code() != 0
    }

    fn power(&mut self) -> Result<Next, RunError> {
        match self.board.take_power() {
            None => {}
            Some(p @ (Power::Off | Power::S4)) => {
                if self.stop_at.is_none_or(|at| self.board.clock.now() < at) {
                    self.tell(Event::SwitchedOff { hibernated: p == Power::S4 });
                }
                return Ok(Next::End(Outcome::PoweredOff));
            }
            Some(Power::Reset) => self.restart(Reset::Hard, true)?,
            Some(Power::Init) => {
                // With a shutdown code it is a 286 system that leaves protected mode.
                if self.cmos_shutdown_code() == 0 {
                    self.tell(Event::Reset { by_guest: true });
                    if let Some(slot) = self.roles.channel {
                        self.board.host_event(slot, HostEvent::Restarted);
                    }
                }
                self.init_cpu()?;
            }
            Some(p @ (Power::S1 | Power::Wake)) => {
                let asleep = p == Power::S1;
                if std::mem::replace(&mut self.asleep, asleep) != asleep {
                    self.tell(if asleep { Event::Asleep } else { Event::Awake });
                }
            }
        }
        Ok(Next::Go)
    }

    fn restart(&mut self, kind: Reset, by_guest: bool) -> Result<(), RunError> {
        self.asleep = false;
        self.button_waits = false;
        self.board.reset(kind);
        self.shadow_bios();
        self.init_cpu()?;
        self.tell(Event::Reset { by_guest });
        Ok(())
    }

    fn init_cpu(&mut self) -> Result<(), RunError> {
        let engine = self.engine.name();
        let state = CpuState::reset(CpuidTable::SIGNATURE);
        self.vcpu.set_state(&state).map_err(|source| RunError::Engine { engine, source })
    }

    fn crash_report(&mut self) -> String {
        let Ok(s) = self.vcpu.state() else { return "triple fault".into() };
        let [eax, ecx, edx, ebx, esp, ebp, esi, edi] = s.gpr;
        format!(
            "triple fault at CS:EIP {:04x}:{:08x} (EFLAGS {:08x} CR0 {:08x} CR2 {:08x} CR3 {:08x} CR4 {:08x})\n\
             EAX {eax:08x} EBX {ebx:08x} ECX {ecx:08x} EDX {edx:08x} ESI {esi:08x} EDI {edi:08x} EBP {ebp:08x} ESP {esp:08x}",
            s.seg[CpuState::CS].selector,
            s.eip,
            s.eflags,
            s.cr0,
            s.cr2,
            s.cr3,
            s.cr4,
        )
    }

    fn note_progress(&mut self) {
        let now = self.board.clock.now();
        self.shared.guest_ns.store(now, Ordering::Relaxed);
        self.shared.events.set_guest_ns(now);
        self.shared.instructions.store(self.board.clock.instructions(), Ordering::Relaxed);
    }

    fn read_mailbox(&mut self) -> Result<Next, RunError> {
        while let Some(m) = self.mailbox.take() {
            match m {
                Message::Chip(slot, ev) => self.board.host_event(slot, ev),
                Message::Network(n) => {
                    // Before the look: what comes from now on is told anew.
                    self.shared.net_told[n].store(false, Ordering::Release);
                    if let Some(slot) = self.roles.net[n] {
                        self.board.host_event(slot, HostEvent::Network);
                    }
                }
                Message::DiskFailed { slot, unit, why } => {
                    self.board.disks.note_failed(slot, unit, why);
                    if self.phase == Phase::Running {
                        self.set_phase(Phase::Paused);
                    }
                }
                Message::Command(c) => {
                    if let Next::End(o) = self.command(c)? {
                        return Ok(Next::End(o));
                    }
                }
            }
        }
        Ok(Next::Go)
    }

    fn command(&mut self, c: Command) -> Result<Next, RunError> {
        // Who asked may have gone away meanwhile; that is no error.
        match c {
            Command::Pause(done) => {
                if self.phase == Phase::Running {
                    self.set_phase(Phase::Paused);
                }
                done.send(()).ok();
            }
            Command::Resume(done) => {
                if self.phase == Phase::Paused {
                    self.set_phase(Phase::Running);
                    self.keep_time_of_day();
                    self.board.disks_again();
                }
                done.send(()).ok();
            }
            Command::Reset(done) => {
                self.restart(Reset::Hard, false)?;
                done.send(()).ok();
            }
            Command::PowerOff => return Ok(Next::End(Outcome::PoweredOff)),
            Command::PowerButton(done) => {
                done.send(self.press_power_button()).ok();
            }
            Command::HoldPowerButton { down } => self.power_button(down),
            Command::SetLink { adapter, up, done } => {
                done.send(self.set_link(adapter, up)).ok();
            }
            Command::Key { key, down } => {
                self.note_key(key, down);
                self.board.host_event(self.roles.kbc, HostEvent::Key { key, down });
            }
            Command::Pointer(p) => self.board.host_event(self.roles.kbc, HostEvent::Pointer(p)),
            Command::Redraw(done) => {
                self.board.host_event(self.roles.vga, HostEvent::Redraw);
                done.send(()).ok();
            }
            Command::Status(tx) => {
                tx.send(self.status()).ok();
            }
            Command::Unknowns(tx) => {
                tx.send(self.unknowns()).ok();
            }
            Command::Metrics(tx) => {
                let mut all = self.board.metrics();
                all.extend(self.vcpu.metrics().into_iter().map(|(n, v)| (format!("cpu.{n}"), v)));
                tx.send(all).ok();
            }
            Command::Save(saving) => self.saving = Some(saving),
            Command::Insert { bay, disk: Some((disk, media)), done } => {
                done.send(self.insert(bay, disk, media)).ok();
            }
            Command::Insert { bay, disk: None, done } => match self.drive(bay) {
                // Once the image is closed, which may take its time.
                Ok((slot, unit)) => {
                    self.board.disks.remove(slot, unit, move || drop(done.send(Ok(()))));
                    let ev = HostEvent::Media { unit, media: None, forced: true };
                    self.board.host_event(slot, ev);
                }
                Err(e) => drop(done.send(Err(e))),
            },
        }
        Ok(Next::Go)
    }

    /// Guest time doesn't leap while a key is held.
    fn note_key(&mut self, key: Key, down: bool) {
        /// Of both hands.
        const FINGERS: usize = 10;
        self.keys_down.retain(|k| *k != key);
        if down && self.keys_down.len() < FINGERS {
            self.keys_down.push(key);
        }
        self.board.clock.set_key_down(!self.keys_down.is_empty());
    }

    fn power_button(&mut self, down: bool) {
        self.board.host_event(self.roles.pm, HostEvent::PowerButton { down });
    }

    pub(crate) fn press_power_button(&mut self) -> Pressed {
        let acpi = self.acpi();
        let pressed = match () {
            () if self.phase == Phase::Paused => Pressed::Paused,
            () if self.asleep => Pressed::Woke,
            () if !acpi.sci_en => Pressed::NoAcpi,
            () if !acpi.pwrbtn_en => Pressed::Deaf,
            () => Pressed::Told,
        };
        if matches!(pressed, Pressed::Woke | Pressed::Told) {
            self.power_button(true);
            self.power_button(false);
            self.button_waits = pressed == Pressed::Told;
        }
        self.tell(Event::Button(pressed));
        pressed
    }

    /// Has the guest taken note of the button?
    fn look_at_button(&mut self) {
        const AGAIN: board::Tick = 10 * board::MILLISECOND;
        if !self.button_waits {
            return;
        }
        self.button_waits = self.acpi().pwrbtn_sts;
        if self.button_waits {
            let now = self.board.clock.now();
            self.board.set_look_at(now + AGAIN);
        } else {
            self.tell(Event::ButtonTaken);
        }
    }

    /// PMSTS, PMEN and PMCNTRL, read as software would.
    fn acpi(&mut self) -> Acpi {
        let mut read = |off| {
            let at = At { win: pm::PM, off, width: Width::W };
            self.board.call(self.roles.pm, |d, cx| d.read(cx, at))
        };
        const PWRBTN: u32 = 1 << 8;
        Acpi { pwrbtn_sts: read(0) & PWRBTN != 0, pwrbtn_en: read(2) & PWRBTN != 0, sci_en: read(4) & 1 != 0 }
    }

    pub(crate) fn set_link(&mut self, adapter: usize, up: bool) -> Option<bool> {
        let slot = self.roles.net.get(adapter).copied().flatten()?;
        let plug = self.plugs[adapter].clone()?;
        plug.pull(!up);
        // The adapter looks.
        self.board.host_event(slot, HostEvent::Network);
        Some(plug.link())
    }

    /// Where a drive is, if its medium can be changed.
    fn drive(&self, bay: Bay) -> Result<(SlotId, u8), String> {
        match bay {
            Bay::Cdrom(unit) if self.removable.get(usize::from(unit)).is_some_and(|r| *r) => {
                Ok((self.roles.ide, unit))
            }
            Bay::Cdrom(unit) => Err(format!("IDE unit {unit} is no CD-ROM drive")),
            Bay::Floppy(unit) if self.floppies.get(usize::from(unit)).is_some_and(Option::is_some) => {
                Ok((self.roles.fdc, unit))
            }
            Bay::Floppy(unit) => {
                Err(format!("the machine has no diskette drive {}", char::from(b'A' + unit % 26)))
            }
        }
    }

    /// Another medium lies in a drive than the guest has in mind: it is told. For states that go on.
    pub fn medium_changed(&mut self, bay: Bay) {
        if let Ok((slot, unit)) = self.drive(bay)
            && let Some(media) = self.board.disks.media(slot, unit)
        {
            self.board.host_event(slot, HostEvent::Media { unit, media: Some(media), forced: true });
        }
    }

    fn insert(&mut self, bay: Bay, disk: Box<dyn Disk>, media: Media) -> Result<(), String> {
        let (slot, unit) = self.drive(bay)?;
        let name = match bay {
            Bay::Cdrom(unit) => machine::cdrom_name(unit),
            Bay::Floppy(unit) => machine::floppy_name(unit),
        };
        if let Bay::Floppy(unit) = bay
            && let Some(kind) = self.floppies[usize::from(unit)]
        {
            floppy::fits(kind, media.sectors).map_err(|e| e.to_string())?;
        }
        let inserted = self.board.disks.insert(slot, unit, Unit::new(disk, name, OnError::default()));
        inserted.map_err(|e| format!("cannot start a disk thread: {e}"))?;
        self.board.host_event(slot, HostEvent::Media { unit, media: Some(media), forced: true });
        Ok(())
    }

    pub(crate) fn status(&mut self) -> Status {
        let s = self.vcpu.state().ok();
        let acpi = self.acpi();
        Status {
            phase: self.phase,
            guest_ns: self.board.clock.now(),
            instructions: self.board.clock.instructions(),
            engine: self.engine.name(),
            memory_mib: self.board.ram.main_len() >> 20,
            halted: s.as_ref().is_some_and(|s| s.halted),
            eip: s.as_ref().map_or(0, |s| s.eip),
            asleep: self.asleep,
            acpi: acpi.sci_en,
            button_waits: acpi.pwrbtn_en && acpi.pwrbtn_sts,
            leds: Leds::from_bits(self.shared.leds.load(Ordering::Relaxed)),
            links: self.plugs.iter().flatten().map(|p| p.link()).collect(),
            reason: self.board.disks.failed(),
        }
    }

    fn unknowns(&self) -> Vec<Unknown> {
        let of = self.board.unknowns();
        of.map(|(slot, win, offset, count)| Unknown {
            chip: self.board.name(slot).into(),
            window: win.0,
            offset,
            count,
        })
        .collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}
