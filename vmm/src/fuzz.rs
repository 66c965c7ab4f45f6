//! The seam for fuzzing: random accesses of the processor to the whole board, none of which may panic.

mod video;

pub use video::video;

use board::{Disk, HostEvent, Media, NetPort, Scanout, SoundPort, VideoMode};
use hv_vcpu::{GuestIo, Width};

use crate::clock::ClockKind;
use crate::engine::{Choice, Engine};
use crate::machine::{Drive, Floppy, Machine, Parts, Ports};

const SECTORS: u64 = 2048;

/// A disk in memory.
struct Plain(Vec<u8>);

impl Plain {
    fn range(&self, lba: u64, len: usize) -> std::io::Result<std::ops::Range<usize>> {
        let at = usize::try_from(lba).ok().and_then(|l| l.checked_mul(512)).filter(|a| *a <= self.0.len());
        let range = at.map(|a| a..a + len).filter(|r| r.end <= self.0.len());
        range.ok_or_else(|| std::io::ErrorKind::InvalidInput.into())
    }
}

impl Disk for Plain {
    fn sectors(&self) -> u64 {
        self.0.len() as u64 / 512
    }
    fn read_only(&self) -> bool {
        false
    }
    fn read(&mut self, lba: u64, buf: &mut [u8]) -> std::io::Result<()> {
        let r = self.range(lba, buf.len())?;
        buf.copy_from_slice(&self.0[r]);
        Ok(())
    }
    fn write(&mut self, lba: u64, buf: &[u8]) -> std::io::Result<()> {
        let r = self.range(lba, buf.len())?;
        self.0[r].copy_from_slice(buf);
        Ok(())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
    fn discards(&self) -> bool {
        true
    }
}

/// A display that somebody looks at, so that it is drawn.
struct Seen;

impl Scanout for Seen {
    fn mode(&mut self, _: VideoMode) {}
    fn rows(&mut self, _: std::ops::Range<u32>, _: &[u32]) {}
    fn wanted(&self) -> bool {
        true
    }
}

/// A wire on which there is always something, for us or for everybody.
struct Busy(u8);

impl NetPort for Busy {
    fn send(&mut self, frame: &[u8]) {
        assert!((14..=1522).contains(&frame.len()), "no frame has {} bytes", frame.len());
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        self.0 = self.0.wrapping_add(1);
        let len = usize::from(self.0) * 8;
        frame[..len].fill(self.0);
        frame[..len.min(6)].fill(0xff);
        (self.0 & 3 != 0).then_some(len)
    }
}

/// Somebody who listens, so that sound is made.
struct Heard;

impl SoundPort for Heard {
    fn play(&mut self, _: u64, frames: &[[i16; 2]]) {
        assert!(frames.len() <= 24_000, "half a second at most");
    }
}

/// Where the network adapter's registers are put before the fuzzing begins.
const NET: u16 = 0xe000;

/// Ports where chips are, as pairs of first port and mask of what is added.
const PORTS: &[(u16, u16)] = &[
    (0x00, 0xf),
    (0x20, 1),
    (0x40, 3),
    (0x60, 7),
    (0x70, 7),
    (0x80, 0xf),
    (0xa0, 1),
    (0xc0, 0x1f),
    (0xf0, 1),
    (0x170, 7),
    (0x1f0, 7),
    (0x220, 0xf),
    (0x220, 0xf),
    (0x279, 0),
    (0x2f8, 7),
    (0x330, 1),
    (0x370, 1),
    (0x376, 1),
    (0x378, 3),
    (0x388, 3),
    (0x3b0, 0xf),
    (0x3c0, 0x1f),
    (0x3f0, 0xf),
    (0x400, 0x3f),
    (0x450, 0xf),
    (0x4d0, 1),
    (0x510, 0xf),
    (0xa79, 0),
    (0xc000, 0xf),
    (0xcf8, 7),
    (NET, 0x7f),
    (NET, 0x7f),
];

fn machine() -> Option<Machine> {
    let parts = Parts {
        memory_mib: 8,
        engine: Choice::This(Engine::Software),
        clock: ClockKind::Instructions,
        ..Parts::default()
    };
    let disk = || Box::new(Plain(vec![0; SECTORS as usize * 512])) as Box<dyn Disk>;
    let drives = [Some(Drive::disk(disk())), None, Some(Drive::Cdrom { medium: Some(disk()) }), None];
    let diskette = Floppy { medium: Some(Box::new(Plain(vec![0; 2880 * 512]))) };
    let floppies = [Some(diskette), Some(Floppy { medium: None })];
    let net = [Some(Box::new(Busy(0)) as Box<dyn NetPort>), None, None, None];
    let ports = Ports {
        drives,
        floppies,
        serial: [None, None],
        net,
        parallel: None,
        sound: Some(Box::new(Heard)),
        display: Box::new(Seen),
    };
    let mut m = Machine::build(&parts, ports).ok()?;
    for (register, v) in [(0x10, u32::from(NET)), (0x14, 0xe000_0000), (0x04, 7)] {
        m.board.pio_write(0xcf8, Width::Dword, 0x8000_5000 | register);
        m.board.pio_write(0xcfc, Width::Dword, v);
    }
    // Power management as POST leaves it: blocks placed and on, the command port and wake-up by interrupts too.
    for (register, v) in
        [(0x40, 0x401), (0x80, 1), (0x58, 1 << 25), (0x90, 0x451), (0xd0, 9 << 16), (0x04, 1)]
    {
        m.board.pio_write(0xcf8, Width::Dword, 0x8000_3b00 | register);
        m.board.pio_write(0xcfc, Width::Dword, v);
    }
    Some(m)
}

/// Five bytes an access: what, where (2), value (2).
pub fn board(bytes: &[u8]) {
    let Some(mut m) = machine() else { return };
    let mut written = 0x5eed_u32;
    for op in bytes.chunks_exact(5) {
        let (what, wide) = (op[0] & 0x0f, op[0] >> 4);
        let place = u16::from_le_bytes([op[1], op[2]]);
        let value = u32::from(u16::from_le_bytes([op[3], op[4]]));
        written = written.rotate_left(7) ^ value;
        let width = [Width::Byte, Width::Byte, Width::Word, Width::Dword][usize::from(wide & 3)];
        let port = if wide & 4 != 0 {
            place
        } else {
            let (first, mask) = PORTS[usize::from(op[2]) % PORTS.len()];
            first + (u16::from(op[1]) & mask)
        };
        // PCI configuration space of the chips that are there, VGA memory, the PCI window, above 4 GiB.
        let gpa = match wide & 3 {
            0 => 0xa_0000 + u64::from(place),
            1 => 0xe000_0000 + (u64::from(place) << 8),
            2 => 0xffff_0000 + u64::from(place),
            _ => u64::from(written) << (wide >> 1),
        };
        let len = (usize::from(op[3]) % 16 + 1).min(4096 - (gpa as usize & 4095));
        m.board.retired(1);
        match what {
            0..=3 => {
                m.board.pio_write(port, width, if wide & 8 != 0 { written } else { value } & width.ones())
            }
            4..=6 => drop(m.board.pio_read(port, width)),
            7 => {
                let function = [0x00, 0x38, 0x39, 0x3b, 0x40, 0x50, 0x7f][usize::from(op[1]) % 7];
                let address = 0x8000_0000 | function << 8 | u32::from(op[2] & 0xfc);
                m.board.pio_write(0xcf8, Width::Dword, address);
                m.board.pio_write(0xcfc, Width::Dword, written);
            }
            8 => m.board.mmio_write(gpa, &[op[4]; 16][..len]),
            9 => m.board.mmio_read(gpa, &mut [0; 16][..len]),
            10 | 11 => {
                // Time passes, up to half a second.
                m.board.retired(u64::from(place) << (wide & 7));
                let _ = m.board.poll();
            }
            12 => {
                if m.board.intr_pending() {
                    let _ = m.board.ack_intr();
                }
            }
            13 => m.board.host_event(m.roles.com[usize::from(op[1] & 1)], HostEvent::Serial(op.to_vec())),
            14 if op[1] & 3 == 0 => m.board.host_event(m.roles.vga, HostEvent::Redraw),
            14 if op[1] & 3 == 1 => {
                if let Some(slot) = m.roles.net[0] {
                    m.board.host_event(slot, HostEvent::Network);
                }
            }
            14 if op[1] & 3 == 2 => {
                let ev = match op[2] & 3 {
                    0 => HostEvent::RtcAlarm,
                    1 => HostEvent::Interrupt,
                    n => HostEvent::PowerButton { down: n == 2 },
                };
                m.board.host_event(m.roles.pm, ev);
            }
            14 => {
                // Diskettes come and go, of sizes that the image behind them has or has not.
                let sectors = [720, 1440, 2880, 2881][usize::from(op[2] & 3)];
                let media = (op[2] & 4 != 0).then_some(Media { sectors, read_only: op[2] & 8 != 0 });
                let ev = HostEvent::Media { unit: op[1] >> 2 & 1, media, forced: true };
                m.board.host_event(m.roles.fdc, ev);
            }
            _ => {
                let _ = m.board.take_power();
                m.board.ferr(op[1] & 1 != 0);
                let _ = m.board.tsc();
            }
        }
    }
    let _ = m.board.unknowns().count();
}

/// Any bytes as a configuration of Virtual PC: is it one?
pub fn vmc(bytes: &[u8]) -> bool {
    let Ok(v) = crate::spec::vmc::read(bytes) else { return false };
    let text = v.to_spec("fuzz", |_, relative| relative.to_owned());
    // It may be of no machine that can be made, but never of no text.
    if let Err(f) = crate::spec::MachineSpec::parse(&text, "fuzz.toml") {
        assert!(!f.to_string().contains("TOML"), "{text}: {f}");
    }
    drop(v.notes());
    // What is written of it is read as the same, but for what has no equal.
    let again = crate::spec::vmc::read(&v.write());
    assert_eq!(again, Ok(crate::spec::vmc::Vmc { left: Vec::new(), ..v }));
    true
}

mod sound;
mod state;

pub use sound::sound;
pub use state::state;

#[cfg(test)]
mod tests;
