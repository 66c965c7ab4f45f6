use std::fmt::Debug;
use std::io::{self, ErrorKind};

use super::*;

/// A bzImage of one setup sector and `paragraphs` behind it, of which the header says `says`.
fn kernel(paragraphs: u32, says: u32) -> Vec<u8> {
    let mut k = vec![0; 1024 + paragraphs as usize * 16];
    k[0x1f1] = 1;
    k[0x1f4..0x1f8].copy_from_slice(&says.to_le_bytes());
    k[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    k[0x202..0x206].copy_from_slice(b"HdrS");
    k[0x206..0x208].copy_from_slice(&0x020c_u16.to_le_bytes());
    k[0x211] = 1;
    k[0x214..0x218].copy_from_slice(&0x10_0000_u32.to_le_bytes());
    k[0x238..0x23c].copy_from_slice(&80_u32.to_le_bytes());
    k
}

fn boot(kernel: Vec<u8>) -> LinuxBoot {
    LinuxBoot { kernel: Arc::new(kernel), initrd: None, cmdline: String::new(), kernel_path: "k".into() }
}

fn why(b: &LinuxBoot) -> String {
    b.check(16).expect_err("it is refused").to_string()
}

/// Says that it has bytes, and gives none.
#[derive(Debug)]
struct Torn(u64);

impl BootFile for Torn {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0)
    }

    fn read(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(ErrorKind::UnexpectedEof.into())
    }
}

#[test]
fn a_kernel_that_is_whole_is_taken() {
    boot(kernel(10, 10)).check(16).expect("it is whole");
    // A signature may follow.
    boot(kernel(20, 10)).check(16).expect("it is whole");
}

#[test]
fn a_kernel_that_is_cut_short_is_named_before_the_guest_starts() {
    assert_eq!(
        why(&boot(kernel(9, 10))),
        "k is not a Linux bzImage: it is cut short: 1168 bytes, where its header says 1184"
    );
    assert!(why(&boot(vec![0; 4096])).starts_with("k is not a Linux bzImage: "));
    assert!(why(&boot(Vec::new())).starts_with("k is not a Linux bzImage: "));
}

#[test]
fn a_file_larger_than_the_machine_is_not_read() {
    let b = LinuxBoot { kernel: Arc::new(Torn(u64::MAX)), ..boot(Vec::new()) };
    assert!(why(&b).ends_with("the machine has 16; raise --memory"));
    let b = LinuxBoot { initrd: Some(Arc::new(Torn(u64::MAX))), ..boot(kernel(10, 10)) };
    assert!(why(&b).ends_with("the machine has 16; raise --memory"));
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let b = LinuxBoot { kernel: Arc::new(Torn(4096)), ..boot(Vec::new()) };
    assert!(why(&b).starts_with("k is not a Linux bzImage: it cannot be read: "));
}

#[test]
fn a_command_line_that_the_kernel_would_cut_is_refused() {
    let b = LinuxBoot { cmdline: "x".repeat(81), ..boot(kernel(10, 10)) };
    assert_eq!(why(&b), "the kernel command line has 81 bytes; k takes 80");
}
