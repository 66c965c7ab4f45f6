//! The CD-ROM drive through PACKET, as the drivers of SFF-8020i times and of today do it.

use board::{DiskOp, HostEvent, Media};

use super::{BMBA, IRQ15, Ide, S, pattern};
use crate::ata::DriveSpec;
use crate::ata::atapi::CdSpec;

const BLOCKS: u32 = 300;

/// Secondary master, as Virtual PC has it.
fn drive(media: bool) -> Ide {
    let media = media.then_some(Media { sectors: u64::from(BLOCKS) * 4, read_only: true });
    let spec = DriveSpec::Cd(CdSpec { serial: "CD-0001".into(), media });
    let mut i = Ide::with([None, None, Some(spec), None]);
    i.images[2] = pattern(BLOCKS as usize * 4);
    i
}

/// With the power-on attention consumed.
fn ready() -> Ide {
    let mut i = drive(true);
    assert_eq!(i.packet(&[0]), Err([6, 0x29, 0]));
    assert_eq!(i.packet(&[0]), Ok(vec![]));
    i
}

impl Ide {
    fn send(&mut self, cdb: &[u8], features: u8, limit: u16) {
        self.b.out8(S + 6, 0xa0);
        self.b.out8(S + 1, features);
        self.b.out8(S + 4, limit as u8);
        self.b.out8(S + 5, (limit >> 8) as u8);
        self.out8(S + 7, 0xa0);
        assert_eq!(self.in8(S + 7), 0x58);
        assert_eq!(self.in8(S + 2), 0x01, "the packet is awaited");
        assert!(!self.irq(IRQ15), "without an interrupt");
        let mut p = [0; 12];
        p[..cdb.len()].copy_from_slice(cdb);
        self.write_words(S, &p);
    }

    /// Takes data blocks until the end; checks every phase. Err: sense.
    fn take(&mut self, limit: u16) -> Result<Vec<u8>, [u8; 3]> {
        let mut got = Vec::new();
        loop {
            assert!(self.irq(IRQ15), "an interrupt for each phase");
            let status = self.in8(S + 7);
            assert!(!self.irq(IRQ15));
            if status & 0x08 == 0 {
                assert_eq!(self.in8(S + 2), 0x03);
                if status & 1 == 0 {
                    assert_eq!((status, self.in8(S + 1)), (0x50, 0));
                    return Ok(got);
                }
                assert_eq!(status, 0x51);
                let error = self.in8(S + 1);
                let sense = self.sense();
                assert_eq!(error, sense[0] << 4 | 4);
                return Err(sense);
            }
            assert_eq!((status, self.in8(S + 2)), (0x58, 0x02));
            let n = u16::from_le_bytes([self.in8(S + 4), self.in8(S + 5)]);
            assert!(n > 0 && (limit == 0 || n <= limit), "{n} of {limit}");
            let mut b = self.read_words(S, usize::from(n).div_ceil(2));
            b.truncate(usize::from(n));
            got.extend(b);
        }
    }

    fn packet_with(&mut self, cdb: &[u8], limit: u16) -> Result<Vec<u8>, [u8; 3]> {
        self.send(cdb, 0, limit);
        self.take(limit)
    }

    fn packet(&mut self, cdb: &[u8]) -> Result<Vec<u8>, [u8; 3]> {
        self.packet_with(cdb, 0xfffe)
    }

    fn sense(&mut self) -> [u8; 3] {
        self.send(&[3, 0, 0, 0, 18], 0, 18);
        assert_eq!(self.in8(S + 2), 0x02);
        self.in8(S + 7);
        let b = self.read_words(S, 9);
        assert_eq!(self.in8(S + 7), 0x50);
        assert_eq!((b[0], b[7]), (0x70, 10));
        [b[2], b[12], b[13]]
    }

    fn put_in(&mut self, blocks: u64) {
        let media = Some(Media { sectors: blocks * 4, read_only: true });
        self.b.host(HostEvent::Media { unit: 2, media, forced: false });
    }

    fn take_out(&mut self, forced: bool) {
        self.b.host(HostEvent::Media { unit: 2, media: None, forced });
    }

    fn gesn(&mut self) -> (u8, u8) {
        let b = self.packet(&[0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]).unwrap();
        assert_eq!(b[..4], [0, 6, 4, 0x10]);
        (b[4], b[5])
    }
}

#[test]
fn identify_packet_device() {
    let mut i = drive(true);
    assert_eq!(i.in8(S + 7), 0x00, "status before the first packet");
    let id = i.identify(S, 0xa1);
    assert_eq!(id[0], 0x85c0);
    assert_eq!(id[49] & 0x0300, 0x0300);
    assert_eq!((id[63], id[88]), (0x0007, 0x0407));
    let model: Vec<u8> = id[27..47].iter().flat_map(|w| w.to_be_bytes()).collect();
    assert_eq!(String::from_utf8(model).unwrap(), format!("{:40}", "MS C/DVD-ROM"));
    assert_eq!(i.in8(S + 7), 0x50);
}

#[test]
fn power_on_is_told_once_and_inquiry_does_not_mind() {
    let mut i = drive(true);
    let b = i.packet(&[0x12, 0, 0, 0, 36]).unwrap();
    assert_eq!(b[..8], [5, 0x80, 0, 0x21, 31, 0, 0, 0]);
    assert_eq!(&b[8..], b"MS      C/DVD-ROM       3.0 ");
    assert_eq!(i.packet(&[0]), Err([6, 0x29, 0]));
    assert_eq!(i.packet(&[0]), Ok(vec![]));
    assert_eq!(i.sense(), [0, 0, 0]);
    i.out8(S + 7, 0x08);
    assert_eq!(i.packet(&[0]), Err([6, 0x29, 0]));
}

#[test]
fn allocation_length_is_a_hard_bound() {
    let mut i = ready();
    for n in [0, 1, 5, 8, 36, 200] {
        let got = i.packet(&[0x12, 0, 0, 0, n]).unwrap();
        assert_eq!(got.len(), usize::from(n.min(36)));
        let got = i.packet(&[0x46, 0, 0, 0, 0, 0, 0, 0, n]).unwrap();
        assert!(got.len() <= usize::from(n));
    }
}

#[test]
fn read_10_in_blocks_of_the_byte_count_limit() {
    let mut i = ready();
    let cdb = [0x28, 0, 0, 0, 0, 17, 0, 0, 5];
    let want = i.images[2][17 * 2048..22 * 2048].to_vec();
    for limit in [2048, 0xffff, 0, 6, 511, 1, 10240] {
        let got = i.packet_with(&cdb, if limit == 1 { 2 } else { limit }).unwrap();
        assert!(got == want, "{limit}");
    }
    assert_eq!(i.packet(&[0x28, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(vec![]), "no blocks, no data");
}

#[test]
fn a_long_read_takes_several_jobs() {
    let mut i = ready();
    i.log.clear();
    let got = i.packet_with(&[0xa8, 0, 0, 0, 0, 10, 0, 0, 0, 200], 0xfffe).unwrap();
    assert!(got == i.images[2][10 * 2048..210 * 2048]);
    assert_eq!(i.log.len(), 4);
    assert_eq!(i.log[0].op, DiskOp::Read { lba: 40, count: 256 });
    assert_eq!(i.log[3].op, DiskOp::Read { lba: 40 + 768, count: 32 });
}

#[test]
fn reads_by_dma() {
    let mut i = ready();
    for (blocks, lists) in [
        (3_u8, vec![(0x2_0000_u32, 6144_u16)]),
        (100, vec![(0x14_0000, 0), (0x16_0000, 0), (0x18_0000, 0), (0x1a_0000, 8192)]),
    ] {
        for (n, (base, count)) in lists.iter().enumerate() {
            i.b.write32(0x1_0000 + 8 * n as u32, *base);
            let eot = if n + 1 == lists.len() { 0x8000_0000 } else { 0 };
            i.b.write32(0x1_0004 + 8 * n as u32, u32::from(*count) | eot);
        }
        i.b.out32(BMBA + 12, 0x1_0000);
        i.out8(BMBA + 10, 0x06);
        i.send(&[0x28, 0, 0, 0, 0, 50, 0, 0, blocks], 1, 0);
        assert!(!i.irq(IRQ15));
        i.out8(BMBA + 8, 0x09);
        assert!(i.irq(IRQ15));
        assert_eq!(i.in8(BMBA + 10), 0x04);
        assert_eq!((i.in8(S + 7), i.in8(S + 2)), (0x50, 0x03));
        i.out8(BMBA + 8, 0);
        let mut got = Vec::new();
        for (base, count) in lists {
            let mut part = vec![0; if count == 0 { 65536 } else { usize::from(count) }];
            i.b.ram.read(u64::from(base), &mut part);
            got.extend(part);
        }
        assert!(got == i.images[2][50 * 2048..][..usize::from(blocks) * 2048]);
    }
}

#[test]
fn a_short_reply_leaves_a_long_table_active() {
    let mut i = ready();
    i.b.write32(0x1_0000, 0x2_0000);
    i.b.write32(0x1_0004, 0x8000_0200);
    i.b.out32(BMBA + 12, 0x1_0000);
    i.send(&[0x12, 0, 0, 0, 36], 1, 0);
    i.out8(BMBA + 8, 0x09);
    assert_eq!((i.in8(BMBA + 10), i.in8(S + 7)), (0x05, 0x50));
}

#[test]
fn ends_of_the_disc_and_bad_commands() {
    let mut i = ready();
    assert_eq!(i.packet(&[0x25]).unwrap(), [0, 0, 1, 43, 0, 0, 8, 0]);
    assert_eq!(i.packet(&[0x28, 0, 0, 0, 1, 43, 0, 0, 2]), Err([5, 0x21, 0]));
    assert_eq!(i.packet(&[0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 1]), Err([5, 0x21, 0]));
    assert_eq!(i.packet(&[0xa8, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]), Err([5, 0x21, 0]));
    assert_eq!(i.packet(&[0x2b, 0, 0, 0, 1, 44]), Err([5, 0x21, 0]));
    assert_eq!(i.packet(&[0x2b, 0, 0, 0, 1, 43]), Ok(vec![]));
    assert_eq!(i.packet(&[0x99]), Err([5, 0x20, 0]));
    assert_eq!(i.packet(&[0x2a]), Err([5, 0x20, 0]), "a write");
    assert_eq!(i.packet(&[0x12, 1, 0, 0, 36]), Err([5, 0x24, 0]));
    assert_eq!(i.packet(&[0x47]), Err([5, 0x64, 0]), "audio of a data track");
    i.images[2].truncate(40 * 2048);
    assert_eq!(i.packet(&[0x28, 0, 0, 0, 0, 50, 0, 0, 2]), Err([3, 0x11, 0]), "the host can't read");
}

#[test]
fn tables_of_contents() {
    let mut i = ready();
    let toc = |i: &mut Ide, msf: u8, format: u8, track: u8, control: u8| {
        i.packet(&[0x43, msf, format, 0, 0, 0, track, 0, 200, control])
    };
    let lba = [0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 1, 44];
    assert_eq!(toc(&mut i, 0, 0, 0, 0).unwrap(), lba);
    assert_eq!(toc(&mut i, 0, 0, 1, 0).unwrap(), lba);
    assert_eq!(
        toc(&mut i, 2, 0, 0, 0).unwrap(),
        [0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0, 0, 0x14, 0xaa, 0, 0, 0, 6, 0]
    );
    assert_eq!(toc(&mut i, 0, 0, 0xaa, 0).unwrap()[..8], [0, 10, 1, 1, 0, 0x14, 0xaa, 0]);
    assert_eq!(toc(&mut i, 0, 0, 2, 0), Err([5, 0x24, 0]));
    let session = [0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0];
    assert_eq!(toc(&mut i, 0, 1, 0, 0).unwrap(), session);
    assert_eq!(toc(&mut i, 0, 0, 0, 0x40).unwrap(), session, "the format as SFF-8020i has it");
    let full = toc(&mut i, 0, 2, 0, 0).unwrap();
    assert_eq!((full.len(), full[1]), (48, 46));
    assert_eq!(full[4 + 22..4 + 33], [1, 0x14, 0, 0xa2, 0, 0, 0, 0, 0, 6, 0]);
    assert_eq!(toc(&mut i, 0, 5, 0, 0), Err([5, 0x24, 0]));
}

#[test]
fn mode_pages_and_what_may_change() {
    let mut i = ready();
    let b = i.packet(&[0x5a, 8, 0x2a, 0, 0, 0, 0, 0, 128]).unwrap();
    assert_eq!(b.len(), 28);
    assert_eq!((b[1], b[2], b[7], b[8], b[9]), (26, 1, 0, 0x2a, 18));
    let b = i.packet(&[0x1a, 8, 0x2a, 0, 128]).unwrap();
    assert_eq!((b.len(), b[0], b[1], b[3], b[4]), (24, 23, 1, 0, 0x2a));
    let all = i.packet(&[0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 255]).unwrap();
    assert_eq!((all[8], all[16], all[32]), (0x01, 0x0e, 0x2a));
    assert_eq!(i.packet(&[0x5a, 0, 0xc1, 0, 0, 0, 0, 0, 255]), Err([5, 0x39, 0]));
    assert_eq!(i.packet(&[0x5a, 0, 0x05, 0, 0, 0, 0, 0, 255]), Err([5, 0x24, 0]));
    // MODE SELECT(10) of page 01.
    let select = |i: &mut Ide, list: &[u8]| {
        i.send(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, list.len() as u8], 0, 0xfffe);
        assert!(i.irq(IRQ15));
        assert_eq!((i.in8(S + 7), i.in8(S + 2)), (0x58, 0x00));
        assert_eq!(i.in8(S + 4), list.len() as u8);
        i.write_words(S, list);
        i.take(0)
    };
    assert_eq!(select(&mut i, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 0x20, 9, 0, 0, 0, 0]), Ok(vec![]));
    let page = |i: &mut Ide, control: u8| {
        i.packet(&[0x5a, 0, control << 6 | 1, 0, 0, 0, 0, 0, 255]).unwrap()[8..12].to_vec()
    };
    assert_eq!(page(&mut i, 0), [1, 6, 0x20, 9]);
    assert_eq!(page(&mut i, 1), [1, 6, 0xff, 0xff]);
    assert_eq!(page(&mut i, 2), [1, 6, 0, 5]);
    assert_eq!(select(&mut i, &[0, 0, 0, 0, 0, 0, 0, 0, 0x2a, 2, 0, 0]), Err([5, 0x26, 0]));
    assert_eq!(select(&mut i, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 0, 0]), Err([5, 0x1a, 0]));
    assert_eq!(select(&mut i, &[0, 0]), Err([5, 0x1a, 0]));
}

#[test]
fn configuration_profiles() {
    let mut i = ready();
    let all = i.packet(&[0x46, 0, 0, 0, 0, 0, 0, 1, 0]).unwrap();
    let len = u32::from_be_bytes([all[0], all[1], all[2], all[3]]) as usize;
    assert_eq!((len, all[6], all[7]), (all.len() - 4, 0, 8));
    let one = i.packet(&[0x46, 2, 0, 3, 0, 0, 0, 1, 0]).unwrap();
    assert_eq!(one[8..12], [0, 3, 3, 4]);
    assert_eq!(i.packet(&[0x46, 3, 0, 0, 0, 0, 0, 1, 0]), Err([5, 0x24, 0]));
    assert_eq!(i.packet(&[0xad, 0, 0, 0, 0, 0, 0, 0, 8]), Err([5, 0x30, 2]), "no DVD");
    i.put_in(1_000_000);
    let dvd = i.packet(&[0x46, 1, 0, 0, 0, 0, 0, 0, 8]).unwrap();
    assert_eq!((dvd.len(), dvd[6], dvd[7]), (8, 0, 0x10));
    i.packet(&[0]).unwrap_err();
    i.packet(&[0]).unwrap_err();
    let s = i.packet(&[0xad, 0, 0, 0, 0, 0, 0, 0, 8, 4]).unwrap();
    assert_eq!((s.len(), s[1]), (2052, 2));
}

#[test]
fn read_cd_makes_raw_sectors() {
    let mut i = ready();
    let read = |i: &mut Ide, flags: u8| i.packet(&[0xbe, 0, 0, 0, 0, 75, 0, 0, 1, flags]);
    let user = i.images[2][75 * 2048..76 * 2048].to_vec();
    assert!(read(&mut i, 0x10).unwrap() == user);
    assert_eq!(read(&mut i, 0x00), Ok(vec![]));
    let raw = read(&mut i, 0xf8).unwrap();
    assert_eq!(raw.len(), 2352);
    assert_eq!((raw[0], raw[1], raw[11]), (0, 0xff, 0));
    assert_eq!(raw[12..16], [0, 3, 0, 1], "block 75 is at 00:03:00, mode 1");
    assert!(raw[16..2064] == user);
    assert!(raw[2064..].iter().any(|b| *b != 0));
    assert_eq!(read(&mut i, 0xa8).unwrap().len(), 12 + 4 + 288);
    assert_eq!(read(&mut i, 0x12), Err([5, 0x24, 0]), "C2 pointers");
    assert_eq!(i.packet(&[0xbe, 4, 0, 0, 0, 0, 0, 0, 1, 0xf8]), Err([5, 0x64, 0]), "CD-DA sectors");
    // 00:03:00 to 00:03:02.
    let msf = i.packet(&[0xb9, 0, 0, 0, 3, 0, 0, 3, 2, 0x10]).unwrap();
    assert!(msf == i.images[2][75 * 2048..77 * 2048]);
    assert_eq!(i.packet(&[0xb9, 0, 0, 0, 3, 2, 0, 3, 0, 0x10]), Err([5, 0x24, 0]));
    let many = i.packet(&[0xbe, 0, 0, 0, 0, 0, 0, 0, 100, 0xf8]).unwrap();
    assert_eq!(many.len(), 100 * 2352);
}

#[test]
fn an_empty_drive() {
    let mut i = drive(false);
    i.packet(&[0]).unwrap_err();
    for op in [0x00, 0x25, 0x28, 0x43, 0x51, 0xbe] {
        assert_eq!(i.packet(&[op]), Err([2, 0x3a, 1]), "{op:02x}");
    }
    assert_eq!(i.packet(&[0x99]), Err([5, 0x20, 0]));
    let b = i.packet(&[0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255]).unwrap();
    assert_eq!(b[2], 0x70);
    assert_eq!(i.gesn(), (0, 0));
    let b = i.packet(&[0x46, 0, 0, 0, 0, 0, 0, 0, 8]).unwrap();
    assert_eq!((b[6], b[7]), (0, 0), "no profile");
}

#[test]
fn a_swapped_disc_is_seen_as_an_open_tray_then_as_new() {
    let mut i = ready();
    i.put_in(200);
    assert_eq!(i.packet(&[0x12, 0, 0, 0, 36]).unwrap().len(), 36, "exempt");
    assert_eq!(i.packet(&[0]), Err([2, 0x3a, 2]));
    assert_eq!(i.packet(&[0]), Err([6, 0x28, 0]));
    assert_eq!(i.packet(&[0]), Ok(vec![]));
    assert_eq!(i.packet(&[0x25]).unwrap()[..4], [0, 0, 0, 199]);
}

#[test]
fn a_drive_known_to_be_empty_needs_no_open_tray() {
    let mut i = ready();
    i.take_out(true);
    assert_eq!(i.packet(&[0]), Err([2, 0x3a, 2]));
    i.put_in(200);
    assert_eq!(i.packet(&[0]), Err([6, 0x28, 0]));
    assert_eq!(i.packet(&[0]), Ok(vec![]));
}

#[test]
fn media_events_are_told_once() {
    let mut i = ready();
    assert_eq!(i.gesn(), (0, 2));
    i.take_out(true);
    assert_eq!(i.gesn(), (3, 1));
    assert_eq!(i.gesn(), (0, 1));
    i.put_in(200);
    assert_eq!(i.gesn(), (2, 2));
    assert_eq!(i.gesn(), (0, 2));
    assert_eq!(i.packet(&[0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8]), Err([5, 0x24, 0]), "polled only");
    assert_eq!(i.packet(&[0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8]).unwrap(), [0, 2, 0x80, 0x10]);
}

#[test]
fn a_locked_drive_keeps_its_disc_unless_forced() {
    let mut i = ready();
    i.packet(&[0x1e, 0, 0, 0, 1]).unwrap();
    assert_eq!(i.packet(&[0x1b, 0, 0, 0, 2]), Err([5, 0x53, 2]));
    i.take_out(false);
    assert_eq!(i.gesn(), (1, 2), "the button is a wish");
    assert_eq!(i.packet(&[0]), Ok(vec![]));
    assert!(i.b.jobs().is_empty());
    i.take_out(true);
    assert_eq!(i.packet(&[0]), Err([2, 0x3a, 2]));
    i.put_in(200);
    i.packet(&[0]).unwrap_err();
    assert_eq!(i.packet(&[0x1b, 0, 0, 0, 2]), Ok(vec![]), "the lock went with the disc");
}

#[test]
fn ejecting_tells_the_host() {
    let mut i = ready();
    i.log.clear();
    i.packet(&[0x1b, 0, 0, 0, 2]).unwrap();
    assert_eq!(i.log[0].op, DiskOp::Eject);
    assert_eq!(i.packet(&[0]), Err([2, 0x3a, 2]));
    i.packet(&[0x1b, 0, 0, 0, 3]).unwrap();
    assert_eq!(i.packet(&[0]), Err([2, 0x3a, 1]));
    i.put_in(200);
    assert_eq!(i.packet(&[0]), Err([6, 0x28, 0]));
    i.packet(&[0]).unwrap();
    i.log.clear();
    i.take_out(false);
    i.serve();
    assert_eq!(i.log[0].op, DiskOp::Eject, "the button, unlocked");
}

#[test]
fn other_answers() {
    let mut i = ready();
    assert_eq!(i.packet(&[0x51, 0, 0, 0, 0, 0, 0, 0, 34]).unwrap()[..7], [0, 0x20, 0x0e, 1, 1, 1, 1]);
    let t = i.packet(&[0x52, 1, 0, 0, 0, 1, 0, 0, 36]).unwrap();
    assert_eq!((t.len(), &t[24..28]), (36, &[0, 0, 1, 44][..]));
    assert_eq!(i.packet(&[0x42, 2, 0x40, 1, 0, 0, 0, 0, 16]).unwrap()[1], 0x15);
    assert_eq!(i.packet(&[0x44, 2, 0, 0, 0, 75, 0, 0, 8]).unwrap(), [1, 0, 0, 0, 0, 0, 3, 0]);
    assert_eq!(i.packet(&[0x23, 0, 0, 0, 0, 0, 0, 0, 12]).unwrap()[3..], [8, 0, 0, 1, 44, 2, 0, 8, 0]);
    assert_eq!(i.packet(&[0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8]).unwrap().len(), 8);
    assert_eq!(i.packet(&[0xa4, 0, 0, 0, 0, 0, 0, 0, 0, 8, 8]).unwrap()[..2], [0, 6]);
    assert_eq!(i.packet(&[0xa4, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0]), Err([5, 0x24, 0]));
    assert_eq!(i.packet(&[0xbb, 0, 0xff, 0xff]), Ok(vec![]));
    assert_eq!(i.packet(&[0x4b]), Err([5, 0x2c, 0]));
    // Overlapped packets are not offered.
    i.out8(S + 1, 2);
    i.out8(S + 7, 0xa0);
    assert_eq!((i.in8(S + 7), i.in8(S + 1)), (0x51, 0x04));
}

#[test]
fn a_read_goes_on_after_a_restore() {
    let mut i = ready();
    i.auto = false;
    i.send(&[0x28, 0, 0, 0, 0, 10, 0, 0, 100], 0, 4096);
    i.b.save_and_load();
    i.auto = true;
    i.serve();
    i.in8(S + 7);
    let mut got = i.read_words(S, 1000);
    i.b.save_and_load();
    got.extend(i.read_words(S, 1048));
    got.extend(i.take(4096).unwrap());
    assert!(got == i.images[2][10 * 2048..110 * 2048]);
    i.packet(&[0x1e, 0, 0, 0, 1]).unwrap();
    i.put_in(200);
    i.b.save_and_load();
    assert_eq!(i.packet(&[0]), Err([2, 0x3a, 2]));
    assert_eq!(i.packet(&[0x1b, 0, 0, 0, 2]), Err([6, 0x28, 0]));
    assert_eq!(i.packet(&[0x1b, 0, 0, 0, 2]), Err([5, 0x53, 2]));
}
