use super::super::iso::{BootEntry, Emulation, IsoFault, examine};
use super::super::store::MemStore;
use super::super::{DiskError, Mode, open_cdrom};
use super::{Dir, open_named};

/// A CD image of 64 blocks: a volume descriptor, and if asked a boot record with its catalog in block 20.
pub(super) fn iso(boot: bool) -> Vec<u8> {
    let mut b = vec![0; 64 * 2048];
    let mut block = 16;
    let mut put = |b: &mut Vec<u8>, kind: u8, f: &dyn Fn(&mut [u8])| {
        let d = &mut b[block * 2048..(block + 1) * 2048];
        d[0] = kind;
        d[1..7].copy_from_slice(b"CD001\x01");
        f(d);
        block += 1;
    };
    put(&mut b, 1, &|d| {
        d[40..72].copy_from_slice(format!("{:32}", "HEIRLOOM").as_bytes());
        d[80..84].copy_from_slice(&64_u32.to_le_bytes());
    });
    if boot {
        put(&mut b, 0, &|d| {
            d[7..30].copy_from_slice(b"EL TORITO SPECIFICATION");
            d[0x47..0x4b].copy_from_slice(&20_u32.to_le_bytes());
        });
        let c = &mut b[20 * 2048..];
        c[0] = 1;
        c[28..32].copy_from_slice(&[0xaa, 0x55, 0x55, 0xaa]);
        c[32..44].copy_from_slice(&[0x88, 0, 0xc0, 0x07, 0, 0, 4, 0, 30, 0, 0, 0]);
    }
    put(&mut b, 255, &|_| {});
    b
}

fn faults(b: Vec<u8>) -> Vec<IsoFault> {
    examine(&mut MemStore(b)).unwrap().faults
}

#[test]
fn volume_and_boot_entry_are_read() {
    let i = examine(&mut MemStore(iso(true))).unwrap();
    assert_eq!((i.volume.as_str(), i.blocks, i.udf), ("HEIRLOOM", 64, false));
    let entry = BootEntry { emulation: Emulation::None, load_segment: 0x07c0, sectors: 4, lba: 30 };
    assert_eq!(i.boot, Some(entry));
    assert_eq!(i.faults, []);
}

#[test]
fn what_is_wrong_is_named() {
    assert_eq!(faults(iso(false)), [IsoFault::NoBootRecord]);
    assert_eq!(faults(vec![0; 64 * 2048]), [IsoFault::NoVolume]);
    assert_eq!(faults(vec![0; 10]), [IsoFault::NoVolume]);
    let mut b = iso(true);
    b[16 * 2048 + 80..][..4].copy_from_slice(&5000_u32.to_le_bytes());
    assert_eq!(faults(b), [IsoFault::Truncated { need: 5000, have: 64 }]);
    let mut b = iso(true);
    b[17 * 2048 + 0x47] = 0xff;
    assert_eq!(faults(b), [IsoFault::Catalog(255)]);
    let mut b = iso(true);
    b[20 * 2048 + 4] = 1;
    assert_eq!(faults(b), [IsoFault::Catalog(20)], "the validation entry's sum");
    let mut b = iso(true);
    b[20 * 2048 + 32] = 0;
    assert_eq!(faults(b), [IsoFault::NotBootable]);
    let mut b = iso(true);
    b[20 * 2048 + 40] = 200;
    assert_eq!(faults(b), [IsoFault::BootImage(200)]);
}

#[test]
fn a_cd_reads_in_whole_blocks_and_takes_no_write() {
    let dir = Dir::new("iso");
    let path = dir.file("a.iso");
    let mut b = iso(false);
    b.extend([7; 100]);
    std::fs::write(&path, &b).unwrap();
    let (mut image, _) = open_cdrom(&path).unwrap();
    assert_eq!(image.disk.sectors(), 65 * 4);
    let mut got = vec![1; 2048];
    image.disk.read(64 * 4, &mut got).unwrap();
    assert_eq!((got[..100].to_vec(), got[100..].to_vec()), (vec![7; 100], vec![0; 1948]));
    assert!(image.disk.read_only() && image.disk.write(0, &got).is_err());
    // Many may read one.
    assert!(open_cdrom(&path).is_ok());
}

#[test]
fn a_cd_is_no_hard_disk_unless_it_is_hybrid() {
    let mut b = iso(true);
    let e = open_named(MemStore(b.clone()), "x.iso", Mode::ReadOnly).err().unwrap();
    assert!(matches!(e, DiskError::IsCd { .. }) && e.to_string().contains("--cdrom"));
    b[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert!(open_named(MemStore(b), "x.iso", Mode::ReadOnly).is_ok());
}
