//! No guest, however wild, makes a chip panic, hang or lose its own saved state.
//!
//! Each chip is driven by a fixed stream of random accesses over all its windows, at every width, with time passing in
//! between by nothing, by little, by hours and by stalls; with events from outside; with resets; and its state is taken
//! out and put back on the way. What must hold at the end: it still lives, a timer is never armed for ever in the past,
//! and a saved state that comes back is the state that was saved.

use board::testkit::Bench;
use board::{
    Decode, Device, Dir, DiskDone, DiskFault, DiskOp, Dreq, HostEvent, HostJob, IntCtl, IsaDma, Key, Media,
    NetPort, ParallelPort, Pointer, Reset, Route, SerialPort, SoundPort, StateOut, Width, Win, WinKind,
};
use devices::audio::sb16;
use devices::chipset::{i440bx, piix4};
use devices::isa::{i8042, i8237, i8254, i8259, i82077, lpt, mc146818, ns16550, w83977};
use devices::net::dec21140;
use seeded::Rng;

const ROUNDS: u32 = 60_000;

fn saved<D: Device>(b: &Bench<D>) -> (u16, Vec<u8>) {
    let mut out = StateOut::default();
    b.dev.save(&mut out);
    out.into_body().unwrap_or_else(|| panic!("{} saves nothing", b.dev.name()))
}

fn event(r: &mut Rng) -> HostEvent {
    match r.below(7) {
        0 => HostEvent::Key { key: Key(r.next() as u16), down: r.below(2) == 0 },
        1 => HostEvent::Pointer(Pointer {
            dx: r.next() as i32,
            dy: r.next() as i32,
            wheel: r.next() as i8 as i32,
            buttons: r.next() as u8,
        }),
        2 => HostEvent::Serial((0..r.below(40)).map(|_| r.next() as u8).collect()),
        3 => HostEvent::Network,
        4 => HostEvent::RtcAlarm,
        5 => HostEvent::Interrupt,
        _ => HostEvent::PowerButton { down: r.below(2) == 0 },
    }
}

/// `ports`: where each I/O window goes; `each`: what the board does besides.
fn torment<D: Device>(mut b: Bench<D>, ports: &[(Win, u16)], mut each: impl FnMut(&mut Bench<D>, &mut Rng)) {
    let mut r = Rng::new(0);
    for &(win, port) in ports {
        b.place(win, Decode::Pio(port));
    }
    let specs = b.dev.windows();
    let spans: Vec<(u16, u64)> = ports
        .iter()
        .map(|&(win, port)| (port, u64::from(specs.iter().find(|s| s.win == win).map_or(1, |s| s.len))))
        .collect();
    let config: Vec<Win> = specs.iter().filter(|s| s.kind == WinKind::Config).map(|s| s.win).collect();
    let targets = (spans.len() + config.len()) as u64;
    for n in 0..ROUNDS {
        let t = r.below(targets) as usize;
        let v = r.next() as u32;
        if let Some(&(port, len)) = spans.get(t) {
            let port = port + r.below(len) as u16;
            match r.below(8) {
                0..=3 => b.out8(port, v as u8),
                4 => b.out16(port, v as u16),
                5 => {
                    b.in32(port);
                }
                _ => {
                    b.in8(port);
                }
            }
        } else {
            let win = config[t - spans.len()];
            let (width, off) = match r.below(3) {
                0 => (Width::B, r.below(256)),
                1 => (Width::W, r.below(128) * 2),
                _ => (Width::D, r.below(64) * 4),
            };
            if r.below(2) == 0 {
                b.cfg_write(win, off as u8, width, v);
            } else {
                b.cfg_read(win, off as u8, width);
            }
        }
        match r.below(64) {
            0 => b.advance(r.below(3_000_000)),
            1 => b.stall(r.below(50_000_000)),
            2 if n % 16 == 0 => b.stall(r.below(7_200_000_000_000)),
            3..=20 => b.advance(r.below(2000)),
            21..=24 => {
                let e = event(&mut r);
                b.host(e);
            }
            25 if n % 32 == 0 => b.reset(Reset::Hard),
            26 => {
                b.call(Device::catch_up);
                let before = saved(&b);
                b.save_and_load();
                if b.next_timer().is_none_or(|t| t > b.now()) {
                    assert_eq!(before, saved(&b), "{} is not what it was", b.dev.name());
                }
            }
            _ => {}
        }
        each(&mut b, &mut r);
    }
    // Whatever was left behind, time still passes.
    b.advance(1_000_000);
}

#[test]
fn i8259_takes_anything() {
    let b = Bench::new(|_| i8259::I8259::new());
    torment(b, &[(i8259::MASTER, 0x20), (i8259::SLAVE, 0xa0), (i8259::ELCR, 0x4d0)], |b, r| {
        if r.below(4) == 0 {
            b.dev.set_levels(r.next() as u16);
        }
        if b.dev.pending() && r.below(2) == 0 {
            let (vector, irq) = b.dev.ack();
            if let Some(irq) = irq {
                assert_eq!(vector & 7, irq & 7);
            }
        }
    });
}

#[test]
fn i8254_takes_anything() {
    let [port] = devices::audio::share(Box::new(Listening(0)));
    let mut port = Some(port);
    let b = Bench::new(|l| i8254::I8254::new(l.connect(Route::Isa(0))).with_speaker(port.take()));
    torment(b, &[(i8254::TIMER, 0x40), (i8254::PORT61, 0x61)], |b, r| {
        if r.below(3) == 0 && b.lines.take_moved().is_some() {
            b.lines.note_ack(0);
        }
    });
}

#[test]
fn mc146818_takes_anything() {
    let b = Bench::new(|l| mc146818::Mc146818::new(l.connect(Route::Isa(8)), 1_700_000_000));
    torment(b, &[(mc146818::RTC, 0x70)], |_, _| {});
}

#[test]
fn i8042_takes_anything() {
    let b = Bench::new(|l| i8042::I8042::new(l.connect(Route::Isa(1)), l.connect(Route::Isa(12))));
    torment(b, &[(i8042::DATA, 0x60), (i8042::COMMAND, 0x64)], |_, _| {});
}

struct Nowhere;

impl SerialPort for Nowhere {
    fn send(&mut self, _: u8) {}
}

#[test]
fn ns16550_takes_anything() {
    for paced in [false, true] {
        let b = Bench::new(|l| {
            let u = ns16550::Ns16550::new("com1", l.connect(Route::Isa(4)), Box::new(Nowhere));
            if paced { u.paced() } else { u }
        });
        torment(b, &[(ns16550::UART, 0x3f8)], |_, _| {});
    }
}

#[test]
fn i440bx_takes_anything() {
    let b = Bench::with_ram(|_, ram| {
        let rom = ram.allocate(0x4_0000, false);
        i440bx::I440bx::new(rom, vec![i440bx::RomPages { pages: 0xe0..=0xff, offset: 0x2_0000 }])
    });
    torment(b, &[], |_, _| {});
}

#[test]
fn piix4_isa_takes_anything() {
    use piix4::isa::{COPROC, PORT92, POST8C, POST80, POST84, POST88, Piix4Isa, RESET_CONTROL};
    let b = Bench::new(|l| Piix4Isa::new(l.connect(Route::Isa(13))));
    let ports = [
        (POST80, 0x80),
        (POST84, 0x84),
        (POST88, 0x88),
        (POST8C, 0x8c),
        (PORT92, 0x92),
        (COPROC, 0xf0),
        (RESET_CONTROL, 0xcf9),
    ];
    torment(b, &ports, |b, r| {
        if r.below(16) == 0 {
            let on = r.below(2) == 0;
            b.call(|d, cx| d.ferr(cx, on));
        }
    });
}

#[test]
fn piix4_pm_takes_anything() {
    let modules = devices::smbus::Bus::with_modules(devices::smbus::modules(192 << 20));
    let b = Bench::new(|l| piix4::pm::Piix4Pm::new(l.connect(Route::Isa(9))).with_smbus(modules));
    torment(b, &[(piix4::pm::APM, 0xb2)], |b, r| {
        for base in [0u16, 0x400] {
            let port = base + r.below(0x40) as u16;
            if r.below(2) == 0 {
                b.out32(port & !3, r.next() as u32);
            } else {
                b.in8(port);
            }
        }
        if r.below(200) == 0 {
            b.cfg_write(piix4::pm::CONFIG, 0x40, Width::D, 0x400);
            b.cfg_write(piix4::pm::CONFIG, 0x80, Width::B, 1);
        }
    });
}

#[test]
fn i8237_takes_anything() {
    use i8237::{HIGH, I8237, LOW, PAGE8F, PAGE81, PAGE87, PAGE89};
    let b = Bench::new(|_| I8237::new());
    let ports = [(LOW, 0x00), (HIGH, 0xc0), (PAGE81, 0x81), (PAGE87, 0x87), (PAGE89, 0x89), (PAGE8F, 0x8f)];
    torment(b, &ports, |b, r| {
        if r.below(8) != 0 {
            return;
        }
        let mut data = vec![0x5a; r.below(600) as usize];
        let dir = [Dir::ToMemory, Dir::FromMemory, Dir::Verify][r.below(3) as usize];
        let dreq = Dreq(r.below(10) as u8);
        let left = b.dev.left(dreq);
        let moved = b.dev.transfer(dreq, &b.ram, &mut data, dir);
        assert!(moved.bytes <= data.len());
        assert!(moved.bytes <= left.unwrap_or(0), "not beyond the terminal count");
    });
}

/// With a host that answers late, wrongly or not at all, and diskettes that come and go.
#[test]
fn i82077_takes_anything() {
    use i82077::media::{DriveKind, FORMATS, FloppySpec};
    let media = |sectors| Some(Media { sectors, read_only: false });
    let drives = [
        Some(FloppySpec { kind: DriveKind::Mini1440, media: media(2880) }),
        Some(FloppySpec { kind: DriveKind::Wide1200, media: None }),
    ];
    let b = Bench::new(|l| i82077::I82077::new(l.connect(Route::Isa(6)), drives));
    torment(b, &[(i82077::LOW, 0x3f0), (i82077::HIGH, 0x3f7)], |b, r| {
        if r.below(8) == 0 {
            // Out of reset, motors on; whole commands rather than bytes.
            b.out8(0x3f2, 0x3c | r.below(2) as u8);
            b.out8(0x3f5, [0xe6, 0xc5, 0x4d, 0x42, 0x51, 0x56, 0x0f, 0x08][r.below(8) as usize]);
            for v in [r.below(8) as u8, 0, r.below(2) as u8, r.below(20) as u8, 2, 18, 0x1b, 0xff] {
                b.out8(0x3f5, v);
            }
        }
        if r.below(40) == 0 {
            (b.dma.left, b.dma.masked) = (r.below(20_000) as usize, r.below(3) == 0);
            b.dma.taken.clear();
        }
        if r.below(200) == 0 {
            let sectors = FORMATS[r.below(12) as usize].sectors();
            let media = (r.below(3) != 0).then_some(Media { sectors, read_only: r.below(4) == 0 });
            b.host(HostEvent::Media { unit: r.below(6) as u8, media, forced: true });
        }
        for HostJob::Disk(job) in b.jobs() {
            let result = match job.op {
                _ if r.below(8) == 0 => Err(DiskFault::Io),
                DiskOp::Read { count, .. } => Ok(vec![1; (count as usize - r.below(2) as usize) * 512]),
                _ => Ok(Vec::new()),
            };
            let unit = if r.below(20) == 0 { 3 } else { job.unit };
            b.host(HostEvent::Disk(DiskDone { unit, tag: job.tag, result }));
        }
    });
}

/// A wire that always has a frame, of any length.
struct Babble(Rng);

impl NetPort for Babble {
    fn send(&mut self, frame: &[u8]) {
        assert!((14..=1522).contains(&frame.len()));
    }
    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let len = self.0.index(frame.len() + 1);
        frame[..len].fill_with(|| self.0.byte());
        (!self.0.one_in(3)).then_some(len)
    }
}

#[test]
fn dec21140_takes_anything() {
    let place = dec21140::Place { name: "dec21140-0", func: 0, many: false };
    let mac = [0, 3, 0xff, 0, 0, 1];
    let b = Bench::new(|l| {
        let line = l.connect(Route::Pirq(0));
        dec21140::Dec21140::new(place, mac, line, Box::new(Babble(Rng::new(1))))
    });
    // Lists that lie in memory full of what random bytes make of descriptors.
    let mut r = Rng::new(2);
    b.ram.write(0, &r.bytes(0x2_0000));
    torment(b, &[(dec21140::IO, 0xec00)], |b, r| {
        if r.below(8) == 0 {
            b.cfg_write(dec21140::CONFIG, 4, Width::W, 7);
            b.out32(0xec00 + r.pick(&[0x18, 0x20]), r.below(0x2_0000) as u32);
            b.out32(0xec30, r.next() as u32 | 0x2042);
        }
    });
}

/// Frames of guest time, in order, and never more than half a second at once. A state that comes back plays again what
/// it had not played.
struct Listening(u64);

impl SoundPort for Listening {
    fn play(&mut self, first: u64, frames: &[[i16; 2]]) {
        assert!(first + 24_000 >= self.0, "{first} comes after {}", self.0);
        // None: sound goes on after a restore.
        assert!(frames.len() <= 24_000);
        self.0 = first + frames.len() as u64;
    }
}

#[test]
fn sb16_takes_anything() {
    use sb16::{DSP, IRQS, MPU, OPL, PNP_ADDRESS, PNP_READ, PNP_WRITE, Sb16};
    let b = Bench::new(|l| Sb16::new(IRQS.map(|n| l.connect(Route::Isa(n))), Some(Box::new(Listening(0)))));
    let ports = [
        (DSP, 0x220),
        (MPU, 0x330),
        (OPL, 0x388),
        (PNP_ADDRESS, 0x279),
        (PNP_WRITE, 0xa79),
        (PNP_READ, 0x203),
    ];
    torment(b, &ports, |b, r| {
        match r.below(24) {
            0 => {
                // Whole commands that play or record, at any rate.
                let command =
                    r.pick(&[0x14, 0x1c, 0x1f, 0x24, 0x2c, 0x75, 0x7d, 0x7f, 0x80, 0xb6, 0xb8, 0xc6, 0xc8]);
                for v in [0x41, r.byte(), r.byte(), 0x48, r.byte(), 0, command, r.byte() & 0x30, r.byte(), 0]
                {
                    b.out8(0x22c, v);
                }
            }
            1 => {
                (b.dma.left, b.dma.masked) = (r.below(100_000) as usize, r.below(4) == 0);
                b.dma.given = r.bytes(2000);
                b.dma.taken.clear();
            }
            2 => b.call(|d, cx| d.catch_up(cx)),
            // Active again, wherever it was put.
            3 if r.below(8) == 0 => {
                let v = r.byte();
                for (index, v) in [(0x02, 0x05), (0x80, 1 << (v & 3)), (0x84, v & 6)] {
                    b.out8(0x224, index);
                    b.out8(0x225, v);
                }
            }
            4 if r.below(8) == 0 => {
                let mut key = 0x6a_u8;
                b.out8(0x279, 0);
                for _ in 0..32 {
                    b.out8(0x279, key);
                    key = key >> 1 | ((key ^ key >> 1) & 1) << 7;
                }
                for (reg, v) in [(3, 0), (0, 0x80), (6, 1), (0x30, r.byte()), (0x31, r.byte())] {
                    b.out8(0x279, reg);
                    b.out8(0xa79, v);
                }
            }
            _ => {}
        }
    });
}

impl ParallelPort for Nowhere {
    fn strobe(&mut self, _: u8) {}
}

#[test]
fn lpt_takes_anything() {
    let b = Bench::new(|l| lpt::Lpt::new(l.connect(Route::Isa(7)), Some(Box::new(Nowhere))));
    torment(b, &[(lpt::LPT, 0x378)], |_, _| {});
}

#[test]
fn w83977_takes_anything() {
    let b = Bench::new(|_| w83977::W83977::new());
    torment(b, &[(w83977::CONFIG, 0x370)], |b, r| {
        if r.below(20) == 0 {
            b.out8(0x370, 0x87);
            b.out8(0x370, 0x87);
        }
    });
}
