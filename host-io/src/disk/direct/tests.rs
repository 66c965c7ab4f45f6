use std::io::ErrorKind;

use proptest::prelude::*;

use super::*;
use crate::disk::tests::{Dir, pattern};

/// A file of so many bytes on a file system that takes direct I/O, else none: nothing can be tried then.
fn file(dir: &Dir, len: usize) -> Option<(File, Vec<u8>)> {
    let path = dir.file("f");
    let bytes = pattern(3, len.div_ceil(512))[..len].to_vec();
    std::fs::write(&path, &bytes).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    if let Err(e) = cached(&file, false) {
        eprintln!("skipped: no direct I/O in {}: {e}", path.display());
        return None;
    }
    Some((file, bytes))
}

#[derive(Debug, Clone)]
enum Op {
    Read { at: usize, len: usize },
    Write { at: usize, len: usize, fill: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    // Multiples of a sector more often than not.
    let number = |most: usize| prop_oneof![3 => (0..most / 512).prop_map(|n| n * 512), 1 => 0..most];
    prop_oneof![
        (number(40_000), number(20_000)).prop_map(|(at, len)| Op::Read { at, len }),
        (number(40_000), number(20_000), 1..=255_u8).prop_map(|(at, len, fill)| Op::Write { at, len, fill }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Also where the blocks are larger than this host's, and where the file ends within one.
    #[test]
    fn a_file_beside_the_cache_is_an_array_of_bytes(
        larger in any::<bool>(),
        end in 20_000..30_000_usize,
        ops in prop::collection::vec(op(), 1..30),
    ) {
        let dir = Dir::new(&format!("direct-{larger}"));
        let Some((file, mut model)) = file(&dir, end) else { return Ok(()) };
        let mut d = if larger { Direct::with(&file, 4096) } else { Direct::new(&file) }.unwrap();
        for op in ops {
            match op {
                Op::Read { at, len } => {
                    let mut got = vec![0xee; len];
                    let r = d.read(&file, at as u64, &mut got);
                    match model.get(at..at + len) {
                        _ if len == 0 => prop_assert!(r.is_ok()),
                        Some(want) => prop_assert!(r.is_ok() && got == want, "{r:?}"),
                        None => prop_assert_eq!(r.map_err(|e| e.kind()), Err(ErrorKind::UnexpectedEof)),
                    }
                }
                Op::Write { at, len, fill } => {
                    d.write(&file, at as u64, &vec![fill; len], model.len() as u64).unwrap();
                    if len > 0 {
                        model.resize(model.len().max(at + len), 0);
                        model[at..at + len].fill(fill);
                    }
                }
            }
        }
        // As another program sees it, through the cache.
        prop_assert!(std::fs::read(dir.file("f")).unwrap() == model);
    }
}

#[test]
fn runs_longer_than_the_buffer_go_in_parts() {
    let dir = Dir::new("direct-long");
    let Some((file, mut model)) = file(&dir, 3 * MOST + 700) else { return };
    let mut d = Direct::with(&file, 4096).unwrap();
    let data = pattern(9, 2 * MOST / 512 + 3);
    d.write(&file, 512, &data, model.len() as u64).unwrap();
    model[512..512 + data.len()].copy_from_slice(&data);
    let mut got = vec![0; model.len() - 100];
    d.read(&file, 100, &mut got).unwrap();
    assert!(got == model[100..]);
}

#[test]
fn what_was_written_is_not_in_the_hosts_cache() {
    let dir = Dir::new("direct-cache");
    let Some((file, bytes)) = file(&dir, 8 << 20) else { return };
    // From what the file's making left there.
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let mut d = Direct::new(&file).unwrap();
    d.write(&file, 0, &bytes, bytes.len() as u64).unwrap();
    let mut got = vec![0; bytes.len()];
    d.read(&file, 0, &mut got).unwrap();
    assert!(got == bytes);
    let mut b = [0; 512];
    let mut slices = [io::IoSliceMut::new(&mut b)];
    cached(&file, true).unwrap();
    let r = rustix::io::preadv2(&file, &mut slices, 4 << 20, rustix::io::ReadWriteFlags::NOWAIT);
    assert_eq!(r, Err(rustix::io::Errno::AGAIN));
}

#[test]
fn a_file_system_without_direct_io_says_so() {
    assert!(Direct::new(&File::open("/proc/self/status").unwrap()).is_err());
}
