//! The BIOS data area at 0040:0000 and the extended one. Names as in RBIL's MEMORY.LST.

use crate::bus::Far;
use crate::wiring::EBDA_SEG;

/// A byte of the BIOS data area by its offset from 0040:0000.
pub const fn bda(off: u16) -> Far {
    Far::new(0x40, off)
}

pub const fn ebda(off: u16) -> Far {
    Far::new(EBDA_SEG, off)
}

pub const COM: u16 = 0x00;
pub const LPT: u16 = 0x08;
pub const EBDA: u16 = 0x0e;
pub const EQUIPMENT: u16 = 0x10;
pub const MEMORY_KB: u16 = 0x13;
pub const KB_FLAGS: u16 = 0x17;
pub const KB_HEAD: u16 = 0x1a;
pub const KB_BUFFER: u16 = 0x1e;
pub const FD_RECALIBRATE: u16 = 0x3e;
pub const FD_MOTOR: u16 = 0x3f;
pub const FD_MOTOR_TICKS: u16 = 0x40;
pub const FD_STATUS: u16 = 0x41;
pub const FD_RESULT: u16 = 0x42;
pub const VIDEO: u16 = 0x49;
pub const TICKS: u16 = 0x6c;
pub const MIDNIGHT: u16 = 0x70;
pub const BREAK: u16 = 0x71;
pub const RESET: u16 = 0x72;
pub const HD_STATUS: u16 = 0x74;
pub const HD_COUNT: u16 = 0x75;
pub const LPT_TIMEOUT: u16 = 0x78;
pub const COM_TIMEOUT: u16 = 0x7c;
pub const KB_START: u16 = 0x80;
pub const EGA: u16 = 0x84;
pub const HD_DONE: u16 = 0x8e;
pub const FD_MEDIA: u16 = 0x90;
pub const FD_TRACK: u16 = 0x94;
pub const KB_STATUS3: u16 = 0x96;
pub const KB_LEDS: u16 = 0x97;
pub const WAIT_POINTER: u16 = 0x98;
pub const WAIT_COUNT: u16 = 0x9c;
pub const WAIT_FLAG: u16 = 0xa0;
pub const VIDEO_SAVE: u16 = 0xa8;

/// EBDA: mouse handler, flags, collected packet.
pub const MOUSE_HANDLER: u16 = 0x22;
pub const MOUSE_FLAGS1: u16 = 0x26;
pub const MOUSE_FLAGS2: u16 = 0x27;
pub const MOUSE_DATA: u16 = 0x28;
/// EBDA: fixed disk parameter tables of 80h and 81h.
pub const FDPT0: u16 = 0x3d;
pub const FDPT1: u16 = 0x4d;
/// EBDA: device parameter table extensions for INT 13h AH=48h, 16 bytes a drive.
pub const DPTE: u16 = 0x100;
