//! Saved in the middle of things.

use super::*;

#[test]
fn a_seek_goes_on() {
    let mut r = Rig::ready(2880);
    r.command(&[0x0f, 0, 30]);
    r.pass(MS);
    r.b.save_and_load();
    r.interrupt();
    assert_eq!(r.ask(&[0x08]), [0x20, 30]);
    assert_eq!(r.run(&[0x4a, 0])[3], 30);
}

/// At each moment of a read and of a write.
#[test]
fn a_transfer_goes_on_from_any_moment() {
    for at in 0..120 {
        let mut r = Rig::ready(2880);
        r.dma_to_memory(4 * 512);
        r.command(&[0xe6, 0, 0, 0, 17, 2, 18, 0x1b, 0xff]);
        r.b.advance(at * 20 * MICROSECOND);
        r.b.save_and_load();
        r.interrupt();
        assert_eq!(r.result(), [4, 0, 0, 0, 1, 3, 2], "{at}");
        assert_eq!(r.b.dma.taken, pattern(2880)[16 * 512..20 * 512], "{at}");

        r.dma_from_memory(&[0x77; 1024]);
        r.command(&[0xc5, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]);
        r.pass(at * 20 * MICROSECOND);
        r.b.save_and_load();
        r.interrupt();
        assert_eq!(r.result()[0], 0, "{at}");
        assert!(r.images[0].as_ref().unwrap()[..1024].iter().all(|b| *b == 0x77), "{at}");
    }
}

#[test]
fn results_settings_and_the_line_survive() {
    let mut r = Rig::ready(2880);
    r.command(&[0x13, 0, 0x5a, 9]);
    r.dma_to_memory(512);
    r.command(&[0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]);
    r.interrupt();
    r.b.save_and_load();
    assert!(r.irq());
    assert_eq!(r.result(), [0, 0, 0, 0, 0, 2, 2]);
    r.b.save_and_load();
    let dump = r.ask(&[0x0e]);
    assert_eq!((dump[8], dump[9], r.b.in8(DIR)), (0x5a, 9, 0x7f));
    assert_eq!(r.b.in8(DOR), 0x1c);
}

#[test]
fn a_state_of_another_medium_is_a_change() {
    let mut r = Rig::ready(2880);
    let mut out = StateOut::default();
    r.b.dev.save(&mut out);
    let (version, body) = out.into_body().unwrap();
    r.media(0, Some(pattern(1440)), false);
    r.seek(0, 1);
    assert_eq!(r.b.in8(DIR), 0x7f);
    r.b.dev.load(&StateIn::new("i82077", version, &body)).unwrap();
    assert_eq!(r.b.in8(DIR), 0xff);
}

#[test]
fn damaged_states_are_refused_or_harmless() {
    let mut r = Rig::ready(2880);
    r.dma_to_memory(512);
    r.command(&[0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]);
    r.pass(500 * MICROSECOND);
    let mut out = StateOut::default();
    r.b.dev.save(&mut out);
    let (version, body) = out.into_body().unwrap();
    for at in 0..body.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = body.clone();
            bad[at] ^= flip;
            if r.b.dev.load(&StateIn::new("i82077", version, &bad)).is_ok() {
                r.b.call(|d, cx| d.restored(cx));
                r.pass(2 * MS);
                r.b.in8(FIFO);
                r.b.out8(FIFO, 8);
            }
        }
    }
}
