//! Small images by hand: what each field does, and damaged ones.

use seeded::for_a_while;

use super::super::store::MemStore;
use super::*;

fn open(bytes: &[u8]) -> Found<Box<dyn Extents>> {
    let what = FOREIGN.iter().find(|(magic, _)| bytes.starts_with(magic)).unwrap().1;
    open_on(MemStore(bytes.to_vec()), what, &mut |name, format| {
        assert!(matches!(format, Some("raw" | EXTENT)));
        assert_eq!(name, "below.img");
        Ok(Box::new(Flat::raw(MemStore(vec![0xbe; 8192]), true)))
    })
}

fn says(bytes: &[u8]) -> String {
    match open(bytes) {
        Err(Fault::Bad(s)) => format!("bad: {s}"),
        Err(Fault::Unknown(s)) => format!("unknown: {s}"),
        Err(e) => panic!("{e:?}"),
        Ok(_) => panic!("opened"),
    }
}

fn put(b: &mut Vec<u8>, at: usize, what: &[u8]) {
    b.resize(b.len().max(at + what.len()), 0);
    b[at..at + what.len()].copy_from_slice(what);
}

/// Clusters of 4 KiB, five of them: data, zeros by flag, none, compressed, data again.
fn qcow2(over: bool) -> Vec<u8> {
    let mut b = Vec::new();
    put(&mut b, 0, b"QFI\xfb\0\0\0\x03");
    put(&mut b, 20, &12_u32.to_be_bytes());
    put(&mut b, 24, &(5 * 4096_u64).to_be_bytes());
    put(&mut b, 36, &1_u32.to_be_bytes());
    put(&mut b, 40, &4096_u64.to_be_bytes());
    put(&mut b, 100, &104_u32.to_be_bytes());
    if over {
        put(&mut b, 104, &0xe279_2aca_u32.to_be_bytes());
        put(&mut b, 108, &3_u32.to_be_bytes());
        put(&mut b, 112, b"raw");
        put(&mut b, 8, &200_u64.to_be_bytes());
        put(&mut b, 16, &9_u32.to_be_bytes());
        put(&mut b, 200, b"below.img");
    }
    put(&mut b, 4096, &(1 << 63 | 8192_u64).to_be_bytes());
    let mut z = flate2::Compress::new(flate2::Compression::default(), false);
    let mut packed = Vec::with_capacity(4096);
    z.compress_vec(&[0xcc; 4096], &mut packed, flate2::FlushCompress::Finish).unwrap();
    let l2 = [1 << 63 | 12288, 1, 0, COMPRESSED | 20580, 1 << 63 | 16384];
    for (n, e) in l2.into_iter().enumerate() {
        put(&mut b, 8192 + n * 8, &u64::to_be_bytes(e));
    }
    put(&mut b, 12288, &[0xaa; 4096]);
    put(&mut b, 16384, &[0xdd; 4096]);
    put(&mut b, 20580, &packed);
    b
}

const COMPRESSED: u64 = 1 << 62;

fn all(bytes: &[u8]) -> Vec<u8> {
    let mut d = open(bytes).unwrap();
    let mut b = vec![0; (d.sectors() * 512) as usize];
    d.read(0, &mut b).unwrap();
    assert!(d.write(0, &b).is_err() && d.read_only());
    b
}

#[test]
fn a_qcow2_by_its_entries() {
    let cells = |v: [u8; 5]| v.iter().flat_map(|v| [*v; 4096]).collect::<Vec<u8>>();
    assert!(all(&qcow2(false)) == cells([0xaa, 0, 0, 0xcc, 0xdd]));
    // The one below ends within the third cluster's reach: 8192 bytes.
    let mut over = qcow2(true);
    assert!(all(&over) == cells([0xaa, 0, 0, 0xcc, 0xdd]));
    put(&mut over, 8192, &[0; 16]);
    assert!(all(&over) == cells([0xbe, 0xbe, 0, 0xcc, 0xdd]));
    let mut d = open(&qcow2(false)).unwrap();
    assert_eq!([0, 8, 30, 39].map(|lba| d.next_data(lba)), [Some(0), Some(24), Some(30), Some(39)]);
    assert_eq!(d.next_data(40), None);
}

#[test]
fn what_a_qcow2_can_be_and_is_not_read() {
    let with = |at: usize, v: &[u8]| {
        let mut b = qcow2(false);
        put(&mut b, at, v);
        says(&b)
    };
    for (at, v, want) in [
        (7, &[4][..], "unknown: version 4"),
        (79, &[2], "bad: it is marked as corrupt"),
        (79, &[4], "unknown: its data is in another file"),
        (79, &[16], "unknown: it has subclusters"),
        (79, &[32], "unknown: incompatible features 0x20"),
        (35, &[2], "unknown: it is encrypted"),
        (23, &[8], "bad: clusters of 2^8"),
        (23, &[22], "bad: clusters of 2^22"),
        (24, &[0x0f], "bad: its level 1 table has 1 entries"),
        (24, &[0xff], "bad: a size of"),
        (40, &[1], "bad: the level 1 table at 0x1"),
    ] {
        let said = with(at, v);
        assert!(said.starts_with(want), "{said}");
    }
    let mut b = qcow2(false);
    put(&mut b, 79, &[8]);
    put(&mut b, 104, &[1]);
    assert!(says(&b).contains("another way than zlib"));
    let mut b = qcow2(true);
    put(&mut b, 112, b"ftp");
    assert!(says(&b).contains("format \"ftp\""));
    // Damage that shows only when it is read.
    for (at, v) in
        [(4096, 0x8000_0000_0000_2200_u64), (4096, 1 << 50), (8192, 12288 + 512), (8192 + 24, COMPRESSED | 9)]
    {
        let mut b = qcow2(false);
        put(&mut b, at, &v.to_be_bytes());
        let mut d = open(&b).unwrap();
        let mut buf = vec![0; 5 * 4096];
        assert_eq!(d.read(0, &mut buf).unwrap_err().kind(), io::ErrorKind::InvalidData, "{at}, {v:#x}");
    }
}

/// Grains of 4 KiB in tables of four: six of them, the first and the last are there.
fn vmdk() -> Vec<u8> {
    let mut b = Vec::new();
    put(&mut b, 0, b"KDMV\x01\0\0\0\x07");
    put(&mut b, 12, &48_u64.to_le_bytes());
    put(&mut b, 20, &8_u64.to_le_bytes());
    put(&mut b, 28, &1_u64.to_le_bytes());
    put(&mut b, 36, &1_u64.to_le_bytes());
    put(&mut b, 44, &4_u32.to_le_bytes());
    put(&mut b, 56, &2_u64.to_le_bytes());
    put(&mut b, 512, b"# Disk DescriptorFile\nparentCID=ffffffff\nRW 48 SPARSE \"self.vmdk\"\n");
    put(&mut b, 1024, &3_u32.to_le_bytes());
    put(&mut b, 1028, &4_u32.to_le_bytes());
    put(&mut b, 1536, &8_u32.to_le_bytes());
    // The fifth is zeros by its entry.
    put(&mut b, 2048, &1_u32.to_le_bytes());
    put(&mut b, 2052, &16_u32.to_le_bytes());
    put(&mut b, 4096, &[0xaa; 4096]);
    put(&mut b, 8192, &[0xbb; 4096]);
    b
}

#[test]
fn a_vmdk_by_its_tables() {
    let mut want = vec![0; 6 * 4096];
    want[..4096].fill(0xaa);
    want[5 * 4096..].fill(0xbb);
    assert!(all(&vmdk()) == want);
    let mut d = open(&vmdk()).unwrap();
    assert_eq!([d.next_data(0), d.next_data(8), d.next_data(47)], [Some(0), Some(40), Some(47)]);
    let with = |at: usize, v: &[u8]| {
        let mut b = vmdk();
        put(&mut b, at, v);
        says(&b)
    };
    for (at, v, want) in [
        (4, &[9][..], "unknown: version 9"),
        (20, &[7], "bad: grains of 7"),
        (44, &[0], "bad: 48 sectors in tables of 0"),
        (60, &[1], "bad: the grain directory"),
        (512 + 32, b"12345678", "unknown: it lies over another disk"),
        (56, &[0xff; 8], "bad: its footer is missing"),
        (10, &[1], "unknown: it is compressed by another way"),
    ] {
        let said = with(at, v);
        assert!(said.starts_with(want), "{said}");
    }
    let mut b = vmdk();
    put(&mut b, 1536, &[0xff; 4]);
    assert!(open(&b).unwrap().read(0, &mut [0; 512]).is_err());
}

#[test]
fn a_vmdk_of_extents() {
    let text = "# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\nRW 4 FLAT \"below.img\" 2\nRW 3 ZERO\n\
                NOACCESS 1\nRW 2 FLAT \"below.img\" 0\n";
    let want = [vec![0xbe; 4 * 512], vec![0; 4 * 512], vec![0xbe; 2 * 512]].concat();
    assert!(all(text.as_bytes()) == want);
    let mut d = open(text.as_bytes()).unwrap();
    assert_eq!([d.next_data(0), d.next_data(4), d.next_data(10)], [Some(0), Some(8), None]);
    for (line, want) in [
        ("RW x FLAT \"below.img\"", "has no size"),
        ("RW 4 FLAT below.img", "names no file"),
        ("RW 4 VMFSSPARSE \"below.img\"", "kind VMFSSPARSE"),
        ("RW 18446744073709551615 ZERO", "too large"),
        ("", "names no extent"),
    ] {
        let said = says(format!("# Disk DescriptorFile\n{line}\n").as_bytes());
        assert!(said.contains(want), "{said}");
    }
}

/// Three blocks of 1 MiB, of which the second is there.
fn vhdx() -> Vec<u8> {
    const MIB: usize = 1 << 20;
    let mut b = b"vhdxfile".to_vec();
    let sums = |b: &mut Vec<u8>, at: usize, len: usize| {
        let sum = vhdx::sum(&b[at..at + len]);
        put(b, at + 4, &sum.to_le_bytes());
    };
    put(&mut b, 0x10000, &[0; 4096]);
    put(&mut b, 0x10000, b"head");
    put(&mut b, 0x10000 + 66, &[1]);
    sums(&mut b, 0x10000, 4096);
    put(&mut b, 0x30000, &[0; 65536]);
    put(&mut b, 0x30000, b"regi");
    put(&mut b, 0x30008, &[2]);
    for (n, id, at) in [(0, vhdx::BAT, MIB), (1, vhdx::METADATA, 2 * MIB)] {
        let e = 0x30010 + n * 32;
        put(&mut b, e, &id);
        put(&mut b, e + 16, &(at as u64).to_le_bytes());
        put(&mut b, e + 24, &(MIB as u32).to_le_bytes());
        put(&mut b, e + 28, &[1]);
    }
    sums(&mut b, 0x30000, 65536);
    put(&mut b, MIB + 8, &(3 << 20 | 6_u64).to_le_bytes());
    put(&mut b, 2 * MIB, b"metadata\0\0\x03");
    let items = [
        (vhdx::FILE_PARAMETERS, (MIB as u64).to_le_bytes().to_vec()),
        (vhdx::DISK_SIZE, (3 * MIB as u64).to_le_bytes().to_vec()),
        (vhdx::LOGICAL_SECTOR, 512_u32.to_le_bytes().to_vec()),
    ];
    for (n, (id, value)) in items.into_iter().enumerate() {
        let e = 2 * MIB + 32 + n * 32;
        put(&mut b, e, &id);
        put(&mut b, e + 16, &(65536 + n as u32 * 16).to_le_bytes());
        put(&mut b, 2 * MIB + 65536 + n * 16, &value);
    }
    put(&mut b, 3 * MIB, &[0xab; MIB]);
    b
}

#[test]
fn a_vhdx_by_its_block_table() {
    let mut want = vec![0; 3 << 20];
    want[1 << 20..2 << 20].fill(0xab);
    assert!(all(&vhdx()) == want);
    let mut d = open(&vhdx()).unwrap();
    assert_eq!([d.next_data(0), d.next_data(3000), d.next_data(4096)], [Some(2048), Some(3000), None]);
    let (regions, metadata, items) = (0x30000, 2 << 20, (2 << 20) + 65536);
    for (at, v, want) in [
        (0x10000 + 9, &[1][..], "bad: neither of its headers"),
        (regions + 20, &[1], "bad: neither of its region tables"),
        (metadata, b"M", "bad: the metadata's table"),
        (metadata + 32, &[0], "bad: a metadata item is missing"),
        (items + 4, &[2], "unknown: it is a differencing disk"),
        (items, &[1], "bad: blocks of"),
        (items + 17, &[1], "bad: a size of"),
        (items + 21, &[1], "bad: its block table has"),
        (items + 33, &[16], "unknown: sectors of 4096"),
    ] {
        let mut b = vhdx();
        put(&mut b, at, v);
        let said = says(&b);
        assert!(said.starts_with(want), "{said}");
    }
    let mut b = vhdx();
    put(&mut b, 0x10000 + 48, &[1]);
    put(&mut b, 0x10000 + 4, &[0; 4]);
    let sum = vhdx::sum(&b[0x10000..0x11000]);
    put(&mut b, 0x10000 + 4, &sum.to_le_bytes());
    assert!(says(&b).contains("log has to be replayed"));
    for entry in [7_u64, 4, 6, 77 << 20 | 6] {
        let mut b = vhdx();
        put(&mut b, (1 << 20) + 8, &entry.to_le_bytes());
        assert!(open(&b).unwrap().read(2048, &mut [0; 512]).is_err(), "{entry:#x}");
    }
}

#[test]
fn names_lead_nowhere_else() {
    let image = Path::new("folder/a.qcow2");
    for name in
        ["/etc/shadow", "../b.img", "a/../../b", "", "nbd:host", "json:{}", "C:\\x", "a\\b", "\\\\host\\x"]
    {
        assert!(matches!(beside(image, name), Err(Fault::Unknown(_))), "{name}");
    }
    assert_eq!(beside(image, "b.img").ok(), Some(PathBuf::from("folder/b.img")));
    assert_eq!(beside(Path::new("a.qcow2"), "sub/b.img").ok(), Some(PathBuf::from("./sub/b.img")));
}

#[test]
fn mutated_images_of_others_do_no_harm() {
    let text = b"# Disk DescriptorFile\nRW 4 FLAT \"below.img\" 2\nRW 3 ZERO\n".to_vec();
    let good = [qcow2(false), qcow2(true), vmdk(), text, vhdx()];
    let places = [
        &[(4, 108), (4096, 8), (8192, 40)][..],
        &[(4, 220), (8192, 40)],
        &[(4, 100), (512, 80), (1024, 1100)],
        &[(20, 40)],
        &[(0x10000, 80), (0x30000, 96), (1 << 20, 64), (2 << 20, 128), ((2 << 20) + 65536, 48)],
    ];
    let runs = for_a_while(|rng| {
        let which = rng.index(5);
        let mut b = good[which].clone();
        for _ in 0..1 + rng.below(4) {
            let (first, len) = rng.pick(places[which]);
            let at = (first + rng.index(len)).min(b.len() - 1);
            match rng.below(4) {
                0 => b[at] ^= 1 << rng.below(8),
                1 => b[at] = rng.byte(),
                2 => {
                    let end = (at + 8).min(b.len());
                    b[at..end].fill(0xff);
                }
                _ => b.truncate(at.max(40)),
            }
        }
        // Right sums let the change through.
        if which == 4 && b.len() > 0x40000 {
            for (at, len) in [(0x10000, 4096), (0x30000, 65536)] {
                let sum = vhdx::sum(&b[at..at + len]);
                put(&mut b, at + 4, &sum.to_le_bytes());
            }
        }
        fuzz_foreign(&b);
    });
    assert!(runs > 10);
}
