//! The host's side as chips see it: traits to push through, jobs to hand over, events that come back.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use ram::GuestRam;

use crate::pieces::{self, Piece};

/// A translation of block numbers to cylinder, head and sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    pub cylinders: u16,
    pub heads: u8,
    /// Sectors a track.
    pub sectors: u8,
}

impl Geometry {
    /// Sectors in all.
    pub fn total(self) -> u32 {
        u32::from(self.cylinders) * u32::from(self.heads) * u32::from(self.sectors)
    }
}

/// A block device in sectors of 512 bytes. What may wait is called on a thread of its own.
pub trait Disk: Send {
    fn sectors(&self) -> u64;
    /// `buf` is a whole number of sectors.
    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()>;
    fn write(&mut self, lba: u64, buf: &[u8]) -> io::Result<()>;
    /// As `read`, straight to where the bytes belong; together they are a whole number of sectors. Of a read that fails a part
    /// may have come.
    fn read_to(&mut self, lba: u64, to: &[Piece<'_>]) -> io::Result<()> {
        let mut buf = vec![0; pieces::total(to)];
        self.read(lba, &mut buf)?;
        pieces::put(to, &buf);
        Ok(())
    }
    /// As `write`, straight from where the bytes are.
    fn write_from(&mut self, lba: u64, from: &[Piece<'_>]) -> io::Result<()> {
        self.write(lba, &pieces::get(from))
    }
    /// Everything written before is on stable storage when this returns. What can't be put there any more fails as [`Lost`].
    fn flush(&mut self) -> io::Result<()>;
    /// Nobody needs what these sectors hold: each reads as zeros from now on, or as it did.
    fn discard(&mut self, _lba: u64, _count: u64) -> io::Result<()> {
        Ok(())
    }
    /// Discarding gives room back to the host, and the guest is to know of it.
    fn discards(&self) -> bool {
        false
    }
    /// A write is on stable storage when it returns.
    fn writes_through(&self) -> bool {
        false
    }
    /// What is kept in memory until a flush, and would be lost with this process, gets into the image. Asked about once a
    /// second while something is written.
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// From now on, what would wait for the host's disk fails with [`io::ErrorKind::WouldBlock`], to be asked for again
    /// when that is over. False: this disk can't tell.
    fn at_once(&mut self, _on: bool) -> bool {
        false
    }
    fn read_only(&self) -> bool {
        false
    }
    /// The translation that the image itself states (a VHD's footer): what its partition table was made for.
    fn geometry(&self) -> Option<Geometry> {
        None
    }
}

/// An error of a [`Disk`] that asking again would only hide: the host took what was written, then could not put it on stable
/// storage, and may have dropped it. Anything written since the last flush may be gone.
#[derive(Debug, thiserror::Error)]
#[error("{0}; what was written since the last flush may be lost")]
pub struct Lost(io::Error);

impl Lost {
    pub fn error(e: io::Error) -> io::Error {
        io::Error::new(e.kind(), Self(e))
    }

    pub fn is(e: &io::Error) -> bool {
        e.get_ref().is_some_and(|e| e.is::<Self>())
    }
}

/// Where a guest's writes are when it is told that they are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cache {
    /// In the host's cache; the guest's FLUSH CACHE puts them on the disk.
    #[default]
    WriteBack,
    /// On the disk.
    WriteThrough,
    /// Beside the host's cache, in the disk's own; FLUSH CACHE puts them on the disk.
    None,
}

/// What a drive asks its disk to do. LBA and counts in 512-byte sectors (CD drives too: four to a block).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskOp {
    Read {
        lba: u64,
        count: u32,
    },
    Write {
        lba: u64,
        /// The drive keeps it, too, until the answer has come.
        data: Arc<Vec<u8>>,
    },
    /// Reads straight into main RAM, whole sectors. Done while the machine waits, or not at all: [`DiskFault::Later`].
    ReadTo {
        lba: u64,
        to: Vec<Range<u32>>,
    },
    /// Writes straight from main RAM, likewise.
    WriteFrom {
        lba: u64,
        from: Vec<Range<u32>>,
    },
    Flush,
    /// These runs of sectors, first and count, are not needed any more.
    Discard {
        runs: Vec<(u64, u32)>,
    },
    /// Let go of the medium: the tray opened.
    Eject,
}

/// One request; `tag` comes back with the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskJob {
    /// The drive on this chip: IDE channel*2 + device, or the floppy unit.
    pub unit: u8,
    pub tag: u32,
    pub op: DiskOp,
}

/// Why the host could not serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// No medium.
    Absent,
    /// Outside the disk.
    Range,
    /// Write to a read-only medium.
    ReadOnly,
    /// The host's read or write failed.
    Io,
    /// The host would have had to wait, which it does only with a buffer of its own: all is to be asked for again with one,
    /// whatever of it was done.
    Later,
}

/// The answer to a [`DiskJob`]: for [`DiskOp::Read`] the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskDone {
    pub unit: u8,
    pub tag: u32,
    pub result: Result<Vec<u8>, DiskFault>,
}

/// Work for the host that a chip waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostJob {
    Disk(DiskJob),
}

/// A medium as a drive sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Media {
    /// In sectors of 512 bytes.
    pub sectors: u64,
    pub read_only: bool,
}

/// A key by its XT (set 1) make code; the extended ones as E0xxh, Pause as E11Dh, Print Screen as E037h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u16);

/// A pointer movement: counts right and *down* positive, wheel detents (towards the user positive), buttons
/// (bit 0 left, 1 right, 2 middle, 3 and 4 at the sides) as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pointer {
    pub dx: i32,
    pub dy: i32,
    pub wheel: i32,
    pub buttons: u8,
}

/// What reaches a chip from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEvent {
    Disk(DiskDone),
    /// A medium was put in (Some) or is taken out (None) of this drive. `forced`: by the user's hand, locked or not.
    Media {
        unit: u8,
        media: Option<Media>,
        forced: bool,
    },
    /// Bytes arrived for a serial port, or none: somebody came to its other end or left it.
    Serial(Vec<u8>),
    /// Something came for the integration channel's services.
    Channel,
    /// The processor alone was reset, for a new start of the guest; chips were not.
    Restarted,
    /// A network port may have frames for the guest, or its link changed.
    Network,
    Key {
        key: Key,
        down: bool,
    },
    Pointer(Pointer),
    /// The user pressed the power button, or let go of it.
    PowerButton {
        down: bool,
    },
    /// The clock chip asserted IRQ8#.
    RtcAlarm,
    /// An interrupt that is not masked waits for the stopped processor; not the timer's, whose clock stands in S1, and
    /// not IRQ8.
    Interrupt,
    /// So many seconds passed for the world that guest time does not count: the machine was paused, or the host slept.
    Missed(u64),
    /// Somebody wants a whole, fresh picture (a screenshot, a viewer that just connected).
    Redraw,
}

/// What the display shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoMode {
    pub width: u32,
    pub height: u32,
}

/// Where pictures go. Pixels are 00RRGGBBh.
pub trait Scanout: Send {
    /// A new size: what was shown is gone.
    fn mode(&mut self, m: VideoMode);
    /// Rows `y` changed; `px` holds them whole, `width` pixels each.
    fn rows(&mut self, y: Range<u32>, px: &[u32]);
    /// All rows of this refresh were given.
    fn frame(&mut self) {}
    /// Is anybody looking? A display need not draw while nobody does.
    fn wanted(&self) -> bool;
}

/// The far end of a COM port. Bytes for the guest come as [`HostEvent::Serial`].
pub trait SerialPort: Send {
    fn send(&mut self, byte: u8);
    /// The guest's modem control outputs.
    fn modem(&mut self, _dtr: bool, _rts: bool) {}
    /// True if somebody is at the other end (then CTS, DSR and DCD are on). An empty [`HostEvent::Serial`] tells of
    /// changes.
    fn connected(&self) -> bool {
        true
    }
}

/// The far end of a network cable. It is asked for frames, so that nothing is lost where the guest has no room for them;
/// [`HostEvent::Network`] says that asking is worth while. Frames are Ethernet's, without preamble and checksum.
pub trait NetPort: Send {
    /// A frame from the guest: 14 to 1518 bytes (four more with a VLAN tag), padded or not.
    fn send(&mut self, frame: &[u8]);
    /// The guest has given all frames that it had to give: what was held back to be done together is done now. True: there may
    /// be frames for it.
    fn flush(&mut self) -> bool {
        false
    }
    /// The next frame for the guest, into `frame` (room for the longest); its length, or `None`: there is none now.
    fn receive(&mut self, frame: &mut [u8]) -> Option<usize>;
    /// The cable is plugged in, and somebody is at the other end.
    fn link(&self) -> bool {
        true
    }
}

/// A network cable that is not plugged in.
pub struct NoCable;

impl NetPort for NoCable {
    fn send(&mut self, _: &[u8]) {}

    fn receive(&mut self, _: &mut [u8]) -> Option<usize> {
        None
    }

    fn link(&self) -> bool {
        false
    }
}

/// The lamps of a keyboard, as the guest lights them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leds {
    pub scroll: bool,
    pub num: bool,
    pub caps: bool,
}

impl Leds {
    /// Scroll Lock, Num Lock, Caps Lock in bits 0 to 2.
    pub const fn from_bits(v: u8) -> Self {
        Self { scroll: v & 1 != 0, num: v & 2 != 0, caps: v & 4 != 0 }
    }

    pub const fn into_bits(self) -> u8 {
        self.scroll as u8 | (self.num as u8) << 1 | (self.caps as u8) << 2
    }
}

/// Where a keyboard's lamps are shown.
pub trait Lamps: Send {
    /// Some have changed.
    fn show(&mut self, leds: Leds);
}

/// The far end of an LPT port.
pub trait ParallelPort: Send {
    fn strobe(&mut self, byte: u8);
}

/// Frames a second of [`SoundPort`].
pub const SOUND_HZ: u64 = 48_000;

/// Where the sound of the machine goes: 16-bit frames, left and right, [`SOUND_HZ`] a second of guest time.
pub trait SoundPort: Send {
    /// `first`: how many frames fit into guest time before these. Frames that nobody gave were silence.
    fn play(&mut self, first: u64, frames: &[[i16; 2]]);
    /// Nothing sounds from here on, until the next `play`.
    fn rest(&mut self) {}
    /// What was given and waits for what else is to be heard beside it: the number of the first frame, and all from there on.
    /// It belongs to the state of who gave it.
    fn waiting(&self) -> Option<(u64, Vec<[i16; 2]>)> {
        None
    }
}

/// A DMA request wire of the 8237 pair, by channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dreq(pub u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dir {
    /// The device gives, memory takes (8237 "write transfer").
    ToMemory,
    FromMemory,
    Verify,
}

/// What a DMA transfer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    pub bytes: usize,
    /// TC: the channel's count ran out.
    pub terminal: bool,
}

/// The 8237 pair, as a chip with a DREQ wire sees it.
pub trait IsaDma {
    /// Asserts DREQ and moves up to `buf.len()` bytes between `buf` and memory as the channel is programmed. A
    /// masked channel or one programmed the other way moves nothing.
    fn transfer(&mut self, dreq: Dreq, ram: &GuestRam, buf: &mut [u8], dir: Dir) -> Moved;
    /// How many bytes the channel would still move before TC, if it is unmasked.
    fn left(&self, dreq: Dreq) -> Option<usize>;
}

/// A board without DMA: for tests, and for the call into the 8237 itself.
pub struct NoDma;

impl IsaDma for NoDma {
    fn transfer(&mut self, _: Dreq, _: &GuestRam, _: &mut [u8], _: Dir) -> Moved {
        Moved::default()
    }

    fn left(&self, _: Dreq) -> Option<usize> {
        None
    }
}

/// The 8259 pair, as the machine sees it.
pub trait IntCtl {
    /// Levels of the sixteen request lines, bit n = IRQ n.
    fn set_levels(&mut self, irqs: u16);
    fn pending(&self) -> bool;
    /// The INTA cycle: vector, and which IRQ it was (None: spurious).
    fn ack(&mut self) -> (u8, Option<u8>);
}
