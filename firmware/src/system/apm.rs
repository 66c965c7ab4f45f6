//! Advanced power management: INT 15h AH=53h. APM 1.2, section 4.

use board::Power;

use crate::bus::{Bus, lock};
use crate::frame::Frame;
use crate::rom::SYSTEM_SEG;
use crate::rom::entries::APM_REAL;

const NOT_CONNECTED: u8 = 0x03;
const BAD_DEVICE: u8 = 0x09;
const BAD_VALUE: u8 = 0x0a;
const NO_EVENT: u8 = 0x80;
const UNSUPPORTED: u8 = 0x86;
const CONNECTED: u8 = 0x02;
const NO_32_BIT: u8 = 0x08;

pub async fn serve(bus: &Bus, f: &mut Frame) {
    let connected = lock(&bus.world.shared).apm;
    match f.al() {
        0x00 => {
            f.set_ax(0x0102);
            f.set_bx(u16::from_be_bytes(*b"PM"));
            // The 16-bit interface.
            f.set_cx(0x0001);
            f.carry(false);
        }
        0x01 | 0x02 if connected != 0 => f.fail(CONNECTED),
        0x01 => {
            lock(&bus.world.shared).apm = 1;
            f.ok();
        }
        0x02 => {
            lock(&bus.world.shared).apm = 2;
            f.set_ax(SYSTEM_SEG);
            f.set_bx(APM_REAL);
            f.set_cx(SYSTEM_SEG);
            f.set_si(0xffff);
            f.set_di(0xffff);
            f.carry(false);
        }
        0x03 => f.fail(NO_32_BIT),
        0x04 if connected == 0 => f.fail(NOT_CONNECTED),
        0x04 => {
            lock(&bus.world.shared).apm = 0;
            f.ok();
        }
        0x05 => {
            bus.wait_interrupt().await;
            f.ok();
        }
        0x06 => f.ok(),
        0x07 => match (f.bx(), f.cx()) {
            (1, 3) => {
                bus.power(Power::Off);
                f.ok();
            }
            // Standby and suspend end at once.
            (1, 1 | 2) => f.ok(),
            (1, _) => f.fail(BAD_VALUE),
            _ => f.fail(BAD_DEVICE),
        },
        0x08 | 0x0d | 0x0f => f.ok(),
        0x0a => {
            if f.bx() == 1 || f.bx() == 0x8001 {
                // On mains; no battery.
                f.set_bx(0x01ff);
                f.set_cx(0x80ff);
                f.set_dx(0xffff);
                f.ok();
            } else {
                f.fail(BAD_DEVICE);
            }
        }
        0x0b => f.fail(NO_EVENT),
        0x0e => {
            f.set_ax(0x0102);
            f.carry(false);
        }
        0x10 => {
            f.set_bx(0);
            f.set_cx(0);
            f.ok();
        }
        _ => f.fail(UNSUPPORTED),
    }
}

/// The 16-bit protected-mode entry: AL as in INT 15h.
pub async fn entry(bus: &Bus, f: &mut Frame) {
    serve(bus, f).await;
}
