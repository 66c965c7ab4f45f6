use super::{BMBA, IRQ14, Ide, P, SECTORS, disk};

pub(super) const TABLE: u32 = 0x1_0000;
pub(super) const START_READ: u8 = 0x09;
pub(super) const START_WRITE: u8 = 0x01;

impl Ide {
    pub(super) fn prd(&mut self, regions: &[(u32, u16)]) {
        for (n, (base, count)) in regions.iter().enumerate() {
            let eot = if n + 1 == regions.len() { 0x8000_0000 } else { 0 };
            self.b.write32(TABLE + 8 * n as u32, *base);
            self.b.write32(TABLE + 8 * n as u32 + 4, u32::from(*count) | eot);
        }
        self.b.out32(BMBA + 4, TABLE);
    }

    pub(super) fn memory(&self, at: u32, len: usize) -> Vec<u8> {
        let mut v = vec![0; len];
        self.b.ram.read(u64::from(at), &mut v);
        v
    }
}

#[test]
fn dma_read_scatters_and_ends_with_interrupt_and_inactive() {
    let mut i = Ide::one_disk();
    i.prd(&[(0x2_0000, 512), (0x4_0002, 1024), (0x3_0ffe, 512)]);
    i.out8(BMBA, 0x08);
    i.lba_command(P, 20, 4, 0xc8);
    assert!(!i.irq(IRQ14), "nothing moves before the start bit");
    assert_eq!(i.memory(0x2_0000, 4), [0; 4]);
    i.out8(BMBA, START_READ);
    assert!(i.irq(IRQ14));
    assert_eq!(i.in8(BMBA + 2), 0x04);
    let want = i.images[0][20 * 512..24 * 512].to_vec();
    let got = [i.memory(0x2_0000, 512), i.memory(0x4_0002, 1024), i.memory(0x3_0ffe, 512)].concat();
    assert_eq!(got, want);
    assert_eq!(i.in8(P + 7), 0x50);
    i.out8(BMBA, 0);
    i.out8(BMBA + 2, 0x04);
    assert_eq!(i.in8(BMBA + 2), 0x00);
}

#[test]
fn the_start_bit_may_come_first() {
    let mut i = Ide::one_disk();
    i.prd(&[(0x2_0000, 512)]);
    i.out8(BMBA, START_READ);
    assert_eq!(i.in8(BMBA + 2), 0x01);
    i.auto = false;
    i.lba_command(P, 3, 1, 0xc8);
    assert_eq!(i.in8(BMBA + 2), 0x01);
    i.serve();
    assert_eq!(i.in8(BMBA + 2), 0x04);
    assert_eq!(i.memory(0x2_0000, 4), 0x300_u32.to_le_bytes());
}

#[test]
fn dma_write_gathers_and_stays_active_until_the_host_has_it() {
    let mut i = Ide::one_disk();
    i.b.ram.write(0x2_0000, &[0x11; 512]);
    i.b.ram.write(0x5_0000, &[0x22; 512]);
    i.prd(&[(0x2_0000, 512), (0x5_0000, 512)]);
    i.auto = false;
    i.lba_command(P, 30, 2, 0xca);
    i.out8(BMBA, START_WRITE);
    assert_eq!((i.in8(BMBA + 2), i.in8(0x3f6)), (0x01, 0x80));
    assert!(!i.irq(IRQ14));
    i.serve();
    assert_eq!((i.in8(BMBA + 2), i.in8(P + 7)), (0x04, 0x50));
    assert_eq!(i.images[0][30 * 512..32 * 512], [[0x11; 512], [0x22; 512]].concat());
}

#[test]
fn a_count_of_0_is_64_kib() {
    let mut i = Ide::one_disk();
    i.prd(&[(0x10_0000, 0), (0x20_0000, 0)]);
    i.out8(BMBA, 0x08);
    i.lba_command(P, 0, 0, 0xc8);
    i.out8(BMBA, START_READ);
    assert_eq!(i.in8(BMBA + 2), 0x04);
    assert_eq!(i.memory(0x20_0000, 0x1_0000), i.images[0][0x1_0000..0x2_0000]);
}

#[test]
fn a_longer_table_stays_active() {
    let mut i = Ide::one_disk();
    i.prd(&[(0x2_0000, 4096)]);
    i.lba_command(P, 0, 1, 0xc8);
    i.out8(BMBA, START_READ);
    assert_eq!((i.in8(BMBA + 2), i.in8(P + 7)), (0x05, 0x50));
    assert_eq!(i.memory(0x2_0200, 4), [0; 4]);
    i.out8(BMBA, 0x08);
    assert_eq!(i.in8(BMBA + 2), 0x04);
}

#[test]
fn a_shorter_table_drops_the_rest_of_a_read() {
    let mut i = Ide::one_disk();
    i.prd(&[(0x2_0000, 512)]);
    i.lba_command(P, 0, 2, 0xc8);
    i.out8(BMBA, START_READ);
    assert_eq!((i.in8(BMBA + 2), i.in8(P + 7)), (0x04, 0x50));
    assert_eq!(i.memory(0x2_0000, 512), i.images[0][..512]);
    assert_eq!(i.memory(0x2_0200, 4), [0; 4]);
}

#[test]
fn a_shorter_table_writes_what_came_whole_and_aborts() {
    let mut i = Ide::one_disk();
    let before = i.images[0][1024..1536].to_vec();
    i.b.ram.write(0x2_0000, &[0x77; 1536]);
    i.prd(&[(0x2_0000, 1100)]);
    i.lba_command(P, 0, 3, 0xca);
    i.out8(BMBA, START_WRITE);
    assert!(i.irq(IRQ14));
    assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x51, 0x04));
    assert_eq!((i.in8(P + 3), i.in8(P + 2)), (2, 1));
    assert_eq!(i.images[0][..1024], [0x77; 1024]);
    assert_eq!(i.images[0][1024..1536], before);
}

#[test]
fn wrong_direction_moves_nothing() {
    let mut i = Ide::one_disk();
    i.prd(&[(0x2_0000, 512)]);
    i.lba_command(P, 5, 1, 0xc8);
    i.out8(BMBA, START_WRITE);
    assert_eq!(i.in8(BMBA + 2), 0x01);
    assert!(!i.irq(IRQ14));
    assert_eq!(i.in8(0x3f6), 0x58);
    i.out8(BMBA, 0);
    i.out8(BMBA, START_READ);
    assert_eq!(i.in8(BMBA + 2), 0x04);
}

#[test]
fn a_buffer_that_is_no_memory_sets_error_and_aborts_the_command() {
    let mut i = Ide::one_disk();
    i.prd(&[(0x2_0000, 512), (0x4000_0000, 512)]);
    i.lba_command(P, 5, 2, 0xc8);
    i.out8(BMBA, START_READ);
    assert_eq!(i.in8(BMBA + 2), 0x06);
    assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x51, 0x04));
    i.b.out32(BMBA + 4, 0x7000_0000);
    i.out8(BMBA, 0);
    i.out8(BMBA + 2, 0x06);
    i.lba_command(P, 5, 2, 0xc8);
    i.out8(BMBA, START_READ);
    assert_eq!(i.in8(BMBA + 2), 0x06, "a table in nowhere too");
}

#[test]
fn stopping_drops_the_place_in_the_table() {
    let mut i = Ide::one_disk();
    i.prd(&[(0x2_0000, 512), (0x3_0000, 512)]);
    i.out8(BMBA, START_READ);
    i.out8(BMBA, 0x08);
    assert_eq!(i.in8(BMBA + 2), 0x00);
    i.lba_command(P, 8, 2, 0xc8);
    assert!(!i.irq(IRQ14));
    i.out8(BMBA, START_READ);
    assert!(i.irq(IRQ14));
    assert_eq!(i.memory(0x2_0000, 4), 0x800_u32.to_le_bytes());
}

#[test]
fn status_bits_clear_one_by_one_and_the_capable_bits_are_plain() {
    let mut i = Ide::one_disk();
    i.out8(BMBA + 2, 0x60);
    assert_eq!(i.in8(BMBA + 2), 0x60);
    i.prd(&[(0x4000_0000, 512)]);
    i.lba_command(P, 5, 1, 0xc8);
    i.out8(BMBA, START_READ);
    assert_eq!(i.in8(BMBA + 2), 0x66);
    i.out8(BMBA + 2, 0x64);
    assert_eq!(i.in8(BMBA + 2), 0x62);
    i.out8(BMBA + 2, 0xff);
    assert_eq!(i.in8(BMBA + 2), 0x60);
    assert_eq!(i.in8(BMBA + 10), 0x00, "the other channel has its own");
}

#[test]
fn the_interrupt_bit_follows_edges_and_not_levels() {
    let mut i = Ide::one_disk();
    i.lba_command(P, 0, 2, 0x20);
    assert_eq!(i.in8(BMBA + 2), 0x04, "PIO sets it too");
    i.out8(BMBA + 2, 0x04);
    assert!(i.irq(IRQ14));
    assert_eq!(i.in8(BMBA + 2), 0x00, "INTRQ is high, but made no edge");
    i.in8(P + 7);
    i.read_words(P, 256);
    assert_eq!(i.in8(BMBA + 2), 0x04);
}

#[test]
fn a_command_that_fails_at_once_still_makes_an_edge() {
    let mut i = Ide::one_disk();
    i.out8(P + 7, 0xff);
    i.out8(BMBA + 2, 0x04);
    // INTRQ was never acknowledged.
    i.out8(P + 7, 0xff);
    assert_eq!(i.in8(BMBA + 2), 0x04);
}

#[test]
fn the_table_pointer_merges_bytes_and_words() {
    let mut i = Ide::one_disk();
    i.b.out16(BMBA + 4, 0x5677);
    i.b.out16(BMBA + 6, 0x1234);
    assert_eq!(i.b.in32(BMBA + 4), 0x1234_5674);
    i.b.out8(BMBA + 5, 0xaa);
    assert_eq!(i.b.in32(BMBA + 4), 0x1234_aa74);
    assert_eq!((i.in8(BMBA + 1), i.in8(BMBA + 3)), (0, 0));
}

#[test]
fn a_dma_read_past_the_end_moves_the_good_sectors() {
    let mut i = Ide::with([disk(SECTORS), None, None, None]);
    i.prd(&[(0x2_0000, 2048)]);
    i.lba_command(P, SECTORS as u32 - 1, 4, 0xc8);
    i.out8(BMBA, START_READ);
    assert_eq!((i.in8(P + 7), i.in8(P + 1), i.in8(P + 2)), (0x51, 0x10, 3));
    assert_eq!(i.memory(0x2_0000, 4), ((SECTORS as u32 - 1) << 8).to_le_bytes());
}
