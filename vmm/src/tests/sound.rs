//! The sound card on the board: its wires to the 8237 pair and the 8259.

use board::SoundPort;

use super::*;

/// Frames that came, and the number of the first one.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<[i16; 2]>>>);

impl SoundPort for Ear {
    fn play(&mut self, _first: u64, frames: &[[i16; 2]]) {
        self.0.lock().unwrap().extend_from_slice(frames);
    }
}

fn machine(sound: Option<Box<dyn SoundPort>>) -> Machine {
    let parts = Parts {
        memory_mib: 16,
        engine: Choice::This(Engine::Software),
        clock: ClockKind::Instructions,
        ..Parts::default()
    };
    Machine::build(&parts, Ports { sound, ..no_ports() }).unwrap()
}

fn out(m: &mut Machine, all: &[(u16, u8)]) {
    for &(port, v) in all {
        m.board.pio_write(port, Width::Byte, v.into());
    }
}

/// Time passes: 10 ns an instruction, with a look at timers each 10 us.
fn pass(m: &mut Machine, us: u64) {
    for _ in 0..us / 10 {
        m.board.retired(1000);
        m.board.poll();
    }
}

/// A channel's count as drivers read it.
fn count(m: &mut Machine, flip_flop: u16, port: u16) -> u32 {
    m.board.pio_write(flip_flop, Width::Byte, 0);
    m.board.pio_read(port, Width::Byte) | m.board.pio_read(port, Width::Byte) << 8
}

const CASCADE: [(u16, u8); 2] = [(0xd6, 0xc0), (0xd4, 0)];
/// Channel 1: 4096 bytes at 20000h, from memory, autoinitialise.
const CHANNEL_1: [(u16, u8); 8] =
    [(0x0b, 0x59), (0x0c, 0), (0x02, 0), (0x02, 0), (0x83, 2), (0x03, 0xff), (0x03, 0x0f), (0x0a, 1)];
/// 8000 Hz, 8 bits, auto-initialise, blocks of 2048.
const PLAY: [(u16, u8); 7] =
    [(0x22c, 0x41), (0x22c, 0x1f), (0x22c, 0x40), (0x22c, 0xc6), (0x22c, 0x00), (0x22c, 0xff), (0x22c, 0x07)];

#[test]
fn the_dma_controllers_count_is_that_of_the_moment() {
    for sound in [None, Some(Box::new(Ear::default()) as Box<dyn SoundPort>)] {
        let mut m = machine(sound);
        out(&mut m, &CASCADE);
        out(&mut m, &CHANNEL_1);
        out(&mut m, &PLAY);
        for ms in 1..=20 {
            pass(&mut m, 1000);
            assert_eq!(count(&mut m, 0x0c, 0x03), 4095 - ms * 8, "a byte each 125 us");
        }
    }
}

#[test]
fn a_block_ends_with_interrupt_5() {
    let mut m = machine(None);
    // Both 8259s: vectors 20h and 28h, all but line 5 masked.
    out(&mut m, &[(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xdf)]);
    out(&mut m, &CASCADE);
    out(&mut m, &CHANNEL_1);
    out(&mut m, &PLAY);
    pass(&mut m, 255_980);
    assert!(!m.board.intr_pending());
    pass(&mut m, 40);
    assert!(m.board.intr_pending());
    assert_eq!(m.board.ack_intr(), 0x25);
    assert_eq!(count(&mut m, 0x0c, 0x03), 2047);
}

#[test]
fn what_lies_in_memory_is_heard() {
    let ear = Ear::default();
    let mut m = machine(Some(Box::new(ear.clone())));
    // A square of 500 Hz over channel 5, 16 bits signed.
    let wave: Vec<u8> =
        (0..4096_u32).flat_map(|n| (if n / 8 % 2 == 0 { 8000_i16 } else { -8000 }).to_le_bytes()).collect();
    m.board.ram.write(0x4_0000, &wave);
    out(&mut m, &CASCADE);
    out(
        &mut m,
        &[(0xd6, 0x59), (0xd8, 0), (0xc4, 0), (0xc4, 0), (0x8b, 4), (0xc6, 0xff), (0xc6, 0x0f), (0xd4, 1)],
    );
    out(
        &mut m,
        &[
            (0x22c, 0x41),
            (0x22c, 0x1f),
            (0x22c, 0x40),
            (0x22c, 0xb6),
            (0x22c, 0x10),
            (0x22c, 0xff),
            (0x22c, 0x07),
        ],
    );
    pass(&mut m, 100_000);
    let heard = ear.0.lock().unwrap();
    let rises = heard.windows(2).filter(|w| w[0][0] < 0 && w[1][0] >= 0).count();
    assert!((48..=51).contains(&rises), "{rises} turns in a tenth of a second");
    assert!(heard.iter().all(|f| f[0] == f[1] && f[0].abs() < 10_500));
}
