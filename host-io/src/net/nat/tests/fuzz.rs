//! The fuzz target for every build: near-right frames for a time (`HEIRLOOM_FUZZ_SECS`, 2 unless told).

use seeded::{Rng, for_a_while};
use smoltcp::wire::TcpControl;

use super::super::{GATEWAY, fuzz_frames};
use super::wire::{ping, segment, udp};

fn frame(rng: &mut Rng) -> Vec<u8> {
    let numbers = [0, 1, 2, 100, u32::MAX, u32::MAX / 2];
    match rng.below(6) {
        0 => ping(GATEWAY, b"hello"),
        1 => {
            let port = rng.pick(&[53, 67, 69, 80]);
            let len = rng.index(400);
            let data = rng.bytes(len);
            udp(rng.pick(&[68, 1000]), GATEWAY, port, &data)
        }
        2 => {
            let len = rng.index(80);
            rng.bytes(len)
        }
        _ => {
            let control = rng.pick(&[
                TcpControl::None,
                TcpControl::Psh,
                TcpControl::Syn,
                TcpControl::Syn,
                TcpControl::Fin,
                TcpControl::Rst,
            ]);
            let len = rng.pick(&[0, 0, 1, 100, 1400]);
            let ack = rng.one_in(2).then(|| rng.pick(&numbers));
            segment(control, rng.pick(&numbers), ack, &vec![7; len])
        }
    }
}

#[test]
fn any_frames_are_answered_or_dropped() {
    let runs = for_a_while(|rng| {
        let mut all = Vec::new();
        for _ in 0..rng.below(20) {
            let mut f = frame(rng);
            if rng.one_in(2) && !f.is_empty() {
                let at = rng.index(f.len());
                f[at] = rng.byte();
            }
            all.extend((f.len() as u16).to_le_bytes());
            all.extend(f);
        }
        fuzz_frames(&all);
    });
    println!("{runs} runs");
    assert!(runs > 0);
}
