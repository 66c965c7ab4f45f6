//! Network adapters on the board.

use board::{NetPort, NoCable};
use hv_vcpu::GuestIo;

use super::*;
use crate::mailbox::Message;

type Cables = [Option<Box<dyn NetPort>>; 4];

fn with(net: Cables, parts: Parts) -> Machine {
    let parts = Parts { memory_mib: 16, engine: Choice::This(Engine::Software), ..parts };
    let ports = Ports { net, ..no_ports() };
    Machine::build(&parts, ports).unwrap()
}

fn cables(of: [bool; 4]) -> Cables {
    of.map(|is| is.then(|| Box::new(NoCable) as Box<dyn NetPort>))
}

#[test]
fn adapters_are_functions_of_one_device_without_a_gap() {
    for (of, ids, header) in [
        ([true, false, false, false], [1, 0, 0, 0], 0),
        ([false, true, false, true], [1, 1, 0, 0], 0x80),
        ([true; 4], [1; 4], 0x80),
    ] {
        let mut m = with(cables(of), Parts::default());
        for (func, there) in (0..).zip(ids) {
            let id = if there == 1 { 0x0009_1011 } else { u32::MAX };
            assert_eq!(config(&mut m, 10, func, 0), id);
        }
        assert_eq!(config(&mut m, 10, 0, 0x0c) >> 16 & 0xff, header);
    }
}

#[test]
fn a_group_address_is_refused() {
    let mut parts = Parts { engine: Choice::This(Engine::Software), ..Parts::default() };
    parts.macs[2] = [1, 0, 0, 0, 0, 1];
    let told = parts.check().unwrap_err().to_string();
    assert!(told.contains("01:00:00:00:00:01"), "{told}");
}

#[test]
fn news_of_a_port_waits_in_the_mailbox_once() {
    let m = with(cables([true, false, true, false]), Parts::default());
    let h = m.handle();
    for _ in 0..100 {
        h.network(0).unwrap();
        h.network(2).unwrap();
    }
    assert_eq!(h.network(1), Err(NoAnswer::NoAdapter(1)));
    assert_eq!(h.network(4), Err(NoAnswer::NoAdapter(4)));
    let waiting: Vec<Message> = std::iter::from_fn(|| m.mailbox.take()).collect();
    assert!(matches!(waiting[..], [Message::Network(0), Message::Network(2)]));
}

/// A wire with somebody at the other end, who is never silent.
struct Wire(Arc<std::sync::atomic::AtomicU64>);

impl NetPort for Wire {
    fn send(&mut self, _: &[u8]) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn receive(&mut self, _: &mut [u8]) -> Option<usize> {
        Some(60)
    }
}

#[test]
fn a_cable_is_pulled_and_put_back() {
    let sent = Arc::default();
    let wire = Box::new(Wire(Arc::clone(&sent))) as Box<dyn NetPort>;
    let mut m = with([None, Some(wire), Some(Box::new(NoCable)), None], Parts::default());
    assert_eq!(m.status().links, [true, false]);
    assert_eq!(m.set_link(1, false), Some(false));
    assert_eq!(m.status().links, [false, false]);
    assert_eq!(m.set_link(1, true), Some(true));
    assert_eq!(m.set_link(2, true), Some(false), "nothing is at the other end");
    assert_eq!(m.set_link(0, true), None);
    assert_eq!(m.set_link(4, true), None);
    let told: Vec<_> = m.handle().events().after(0, 100).records.into_iter().map(|r| r.event).collect();
    assert_eq!(told, [true, false, true].map(|up| crate::Event::Link { adapter: 1, up }));
    // What is sent and comes meanwhile is lost.
    let plug: Arc<crate::cable::Plug> = Arc::default();
    let mut c = crate::cable::Cable::new(Box::new(Wire(Arc::clone(&sent))), plug.clone());
    let mut frame = [0; 60];
    c.send(&frame);
    assert_eq!(c.receive(&mut frame), Some(60));
    plug.pull(true);
    c.send(&frame);
    assert_eq!((c.receive(&mut frame), c.link()), (None, false));
    assert_eq!(sent.load(std::sync::atomic::Ordering::Relaxed), 1);
}

/// In 32-bit code, which is translated: arms the adapter's timer through memory again and again, and crashes at its
/// interrupt, which comes long before the poll that was promised last.
fn arms_through_memory() -> Vec<u8> {
    let mut c = vec![0xfa];
    // Both 8259: vectors from 8 and 70h, IRQ 2 and IRQ 11 alone.
    for (port, v) in [(0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0xfb)] {
        c.extend([0xb0, v, 0xe6, port]);
    }
    for (port, v) in [(0xa0, 0x11), (0xa1, 0x70), (0xa1, 2), (0xa1, 1), (0xa1, 0xf7)] {
        c.extend([0xb0, v, 0xe6, port]);
    }
    let data = 0x100_u16;
    let [low, high] = data.to_le_bytes();
    c.extend([0x2e, 0x0f, 0x01, 0x16, low, high]); // lgdt cs:[data]
    c.extend([0x2e, 0x0f, 0x01, 0x1e, low + 6, high]); // lidt cs:[data + 6], of no descriptors
    c.extend([0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0]); // cr0.pe = 1
    let flat = c.len() as u32 + 8 + 0xf_0000;
    c.extend([0x66, 0xea]); // jmp 8:flat
    c.extend(flat.to_le_bytes());
    c.extend([0x08, 0x00]);
    c.extend([0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0]); // ds, es, ss = 10h
    c.extend([0xb9, 0x00, 0x10, 0x00, 0x00]); // mov ecx, 4096
    c.extend([0xc7, 0x05, 0x58, 0x00, 0x0a, 0x00, 1, 0, 0, 0]); // mov dword [A0058h], 1
    c.extend([0xe2, 0xf4]); // loop
    c.extend([0xfb, 0xeb, 0xfe]); // sti; jmp $
    c.resize(usize::from(data), 0);
    c.extend(23_u16.to_le_bytes());
    c.extend((0xf_0000 + u32::from(data) + 12).to_le_bytes());
    c.extend([0; 6]);
    for descriptor in [0, 0x00cf_9a00_0000_ffff, 0x00cf_9200_0000_ffff_u64] {
        c.extend(descriptor.to_le_bytes());
    }
    c
}

#[test]
fn on_the_instruction_clock_a_timer_that_is_armed_through_memory_comes_at_its_instruction() {
    let count = |jit_cache| {
        let mut parts = Parts {
            clock: ClockKind::Instructions,
            bios: Some(rom(&arms_through_memory())),
            ..Parts::default()
        };
        parts.software.jit_cache = jit_cache;
        let mut m = with(cables([true, false, false, false]), parts);
        let mut set = |bdf: u32, register: u32, v: u32| {
            m.board.pio_write(CONFIG_ADDRESS, Width::Dword, 1 << 31 | bdf << 8 | register);
            m.board.pio_write(CONFIG_DATA, Width::Dword, v);
        };
        // PIRQD# to IRQ 11; the registers where the display's memory would be.
        set(7 << 3, 0x60, 0x0b80_8080);
        set(10 << 3, 0x14, 0xa_0000);
        set(10 << 3, 0x04, 6);
        m.board.mmio_write(0xa_0038, &0x1_0800_u32.to_le_bytes());
        let Outcome::Crashed { .. } = m.run().unwrap() else { panic!("the interrupt did not come") };
        m.handle().progress().1
    };
    let translated = count(64 << 20);
    // 4,096 rounds of two, 40 around them, 204.8 us.
    assert!((28_690..28_740).contains(&translated), "{translated}");
    assert_eq!(count(0), translated, "interpreted");
}
