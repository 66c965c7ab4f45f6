//! The SMBus host controller. 82371AB 7.3; protocols of the SMBus specification 1.0, section 5.
//!
//! A command takes the time of its bits; it is carried out when they are through, and then says how it ended: INTER, or
//! DEV_ERR where a byte was not acknowledged or the protocol is none. KILL ends it before. Nobody else is master on
//! this bus and ALERT# is not wired: the slave half never has anything to tell.

use board::{Cx, MICROSECOND, Tick, TimerId};

use crate::smbus::{Bus, Eeprom};

/// SMBHSTSTS, offset 00h.
const HOST_BUSY: u8 = 1;
const INTER: u8 = 1 << 1;
const DEV_ERR: u8 = 1 << 2;
/// Another master won; there is none.
const BUS_ERR: u8 = 1 << 3;
const FAILED: u8 = 1 << 4;
const CLEARED: u8 = INTER | DEV_ERR | BUS_ERR | FAILED;
/// SMBHSTCNT, offset 02h; SMB_CMD_PROT in bits 4:2.
const INTEREN: u8 = 1;
const KILL: u8 = 1 << 1;
const START: u8 = 1 << 6;
/// SMBSLVCNT, offset 08h: SLV_EN, SHDW1_EN, SHDW2_EN, ALERT_EN.
const SLAVE_CONTROL: u8 = 0x0f;

pub(super) const BLOCK: usize = 32;
/// The bus's clock.
const BIT: Tick = 10 * MICROSECOND;

/// SMB_CMD_PROT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Protocol(u8);

impl Protocol {
    const QUICK: Self = Self(0);
    const BYTE: Self = Self(1);
    const BYTE_DATA: Self = Self(2);
    const WORD_DATA: Self = Self(3);
    const BLOCK: Self = Self(5);
}

/// A byte that was not acknowledged.
struct Refused;

#[derive(Debug, Clone)]
pub(super) struct Smbus {
    pub(super) bus: Bus,
    /// SMBHSTSTS without HOST_BUSY.
    pub(super) status: u8,
    /// SMBHSTCNT without START.
    pub(super) control: u8,
    pub(super) command: u8,
    pub(super) address: u8,
    pub(super) data: [u8; 2],
    pub(super) block: [u8; BLOCK],
    pub(super) at: u8,
    pub(super) slave_control: u8,
    /// SMBSLVEVT.
    pub(super) slave_event: [u8; 2],
    /// When the command that runs is through.
    pub(super) busy: Option<Tick>,
}

impl Smbus {
    pub(super) fn new(bus: Bus) -> Self {
        Self {
            bus,
            status: 0,
            control: 0,
            command: 0,
            address: 0,
            data: [0; 2],
            block: [0; BLOCK],
            at: 0,
            slave_control: 0,
            slave_event: [0; 2],
            busy: None,
        }
    }

    /// Registers as after power-on. The EEPROMs have no reset.
    pub(super) fn reset(&mut self) {
        *self = Self::new(std::mem::take(&mut self.bus));
    }

    /// Does the host want its interrupt?
    pub(super) fn interrupts(&self) -> bool {
        self.control & INTEREN != 0 && self.status & CLEARED != 0
    }

    /// Ends the command whose time has come, and arms `timer` for the one that runs.
    pub(super) fn advance(&mut self, cx: &mut Cx<'_>, timer: TimerId) {
        match self.busy {
            Some(t) if t <= cx.now() => {
                self.busy = None;
                cx.cancel(timer);
                self.status |= if self.transfer().is_ok() { INTER } else { DEV_ERR };
            }
            Some(t) => cx.wake_at(timer, t),
            None => cx.cancel(timer),
        }
    }

    pub(super) fn read(&mut self, off: u32) -> Option<u8> {
        Some(match off {
            0 => self.status | if self.busy.is_some() { HOST_BUSY } else { 0 },
            // SMBSLVSTS: nobody addressed us, no alert.
            1 => 0,
            2 => {
                // Reading SMBHSTCNT resets the block index.
                self.at = 0;
                self.control
            }
            3 => self.command,
            4 => self.address,
            5 | 6 => self.data[off as usize - 5],
            7 => {
                let v = self.block[usize::from(self.at)];
                self.at = (self.at + 1) % BLOCK as u8;
                v
            }
            8 => self.slave_control,
            // SMBSHDWCMD and SMBSLVDAT: what a master wrote to us.
            9 | 12 | 13 => 0,
            10 | 11 => self.slave_event[off as usize - 10],
            _ => return None,
        })
    }

    /// False if no register is there.
    pub(super) fn write(&mut self, now: Tick, off: u32, v: u8) -> bool {
        match off {
            0 => self.status &= !(v & CLEARED),
            // R/WC and read-only.
            1 | 9 | 12 | 13 => {}
            2 => {
                self.control = v & !START & 0x1f;
                if v & KILL != 0 {
                    self.busy = None;
                    self.status |= FAILED;
                } else if v & START != 0 && self.busy.is_none() {
                    self.busy = Some(now + self.duration());
                }
            }
            3 => self.command = v,
            4 => self.address = v,
            5 | 6 => self.data[off as usize - 5] = v,
            7 => {
                self.block[usize::from(self.at)] = v;
                self.at = (self.at + 1) % BLOCK as u8;
            }
            8 => self.slave_control = v & SLAVE_CONTROL,
            10 | 11 => self.slave_event[off as usize - 10] = v,
            _ => return false,
        }
        true
    }

    fn protocol(&self) -> Protocol {
        Protocol(self.control >> 2 & 7)
    }

    fn reads(&self) -> bool {
        self.address & 1 != 0
    }

    /// Start and stop conditions, and nine bits a byte. What a refused byte or a short block saves is not counted; an
    /// address without a slave ends it.
    fn duration(&mut self) -> Tick {
        let bytes = match self.protocol() {
            _ if self.bus.address(self.address >> 1).is_none() => 1,
            Protocol::BYTE => 2,
            Protocol::BYTE_DATA => 3 + Tick::from(self.reads()),
            Protocol::WORD_DATA => 4 + Tick::from(self.reads()),
            Protocol::BLOCK if self.reads() => 4 + BLOCK as Tick,
            Protocol::BLOCK => 3 + self.count() as Tick,
            _ => 1,
        };
        (2 + 9 * bytes) * BIT
    }

    /// Bytes of a block: SMBHSTDAT0, as far as the buffer goes.
    fn count(&self) -> usize {
        usize::from(self.data[0]).min(BLOCK)
    }

    /// What the command does on the bus.
    fn transfer(&mut self) -> Result<(), Refused> {
        let (protocol, reads, count) = (self.protocol(), self.reads(), self.count());
        if !matches!(
            protocol,
            Protocol::QUICK | Protocol::BYTE | Protocol::BYTE_DATA | Protocol::WORD_DATA | Protocol::BLOCK
        ) {
            return Err(Refused);
        }
        let slave = self.bus.address(self.address >> 1).ok_or(Refused)?;
        // All but the two shortest tell a command first, and turn the bus round if they read.
        let plain = matches!(protocol, Protocol::QUICK | Protocol::BYTE);
        slave.start(plain && reads);
        if !plain {
            put(slave, self.command)?;
            if reads {
                slave.start(true);
            }
        }
        match protocol {
            Protocol::QUICK => {}
            Protocol::BYTE if reads => self.data[0] = slave.give(),
            Protocol::BYTE => put(slave, self.command)?,
            Protocol::BYTE_DATA if reads => self.data[0] = slave.give(),
            Protocol::BYTE_DATA => put(slave, self.data[0])?,
            Protocol::WORD_DATA if reads => self.data = [slave.give(), slave.give()],
            Protocol::WORD_DATA => self.data.into_iter().try_for_each(|v| put(slave, v))?,
            _ if reads => {
                self.data[0] = slave.give();
                let count = usize::from(self.data[0]).min(BLOCK);
                self.block[..count].fill_with(|| slave.give());
            }
            _ => {
                put(slave, self.data[0])?;
                self.block[..count].iter().try_for_each(|v| put(slave, *v))?;
            }
        }
        Ok(())
    }
}

fn put(slave: &mut Eeprom, byte: u8) -> Result<(), Refused> {
    if slave.take(byte) { Ok(()) } else { Err(Refused) }
}
