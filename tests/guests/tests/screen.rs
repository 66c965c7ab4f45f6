//! Debian's kernel with its own driver of the S3 chips: every mode that it takes, and what it draws, dot for dot.

use guest_tests::{Args, Console, Screen, Vm, alone, guest};

/// Video memory of the machine that the test starts.
const VRAM: u32 = 4 << 20;

/// Timings of the kernel's own table of modes (drivers/video/fbdev/core/modedb.c), and one of 1600x1200 whose blank the chip's
/// counters can hold: width, height, pixel clock in ps, left,
/// right, upper and lower margin, sync lengths, sync polarities, and 0: progressive, 1: interlaced, 2: lines doubled.
const TIMINGS: &[[u32; 11]] = &[
    [640, 400, 39721, 40, 24, 39, 9, 96, 2, 0, 0],
    [640, 480, 39721, 40, 24, 32, 11, 96, 2, 0, 0],
    [800, 600, 27777, 128, 24, 22, 1, 72, 2, 0, 0],
    [1024, 768, 22271, 56, 24, 33, 8, 160, 8, 0, 1],
    [640, 480, 31746, 120, 16, 16, 1, 64, 3, 0, 0],
    [800, 600, 25000, 88, 40, 23, 1, 128, 4, 3, 0],
    [640, 480, 23148, 80, 24, 25, 1, 96, 3, 0, 0],
    [800, 600, 20000, 64, 56, 23, 37, 120, 6, 3, 0],
    [1024, 768, 15384, 168, 8, 29, 3, 144, 6, 0, 0],
    [1152, 864, 15384, 96, 16, 110, 1, 216, 10, 0, 1],
    [1152, 864, 11123, 208, 64, 16, 4, 256, 8, 0, 0],
    [1280, 1024, 12500, 168, 16, 38, 3, 104, 4, 0, 1],
    [1024, 768, 13271, 168, 24, 29, 3, 136, 6, 0, 0],
    [1280, 1024, 9090, 200, 48, 26, 1, 184, 3, 0, 0],
    [1400, 1050, 9259, 128, 40, 12, 0, 112, 3, 3, 0],
    [1600, 1200, 6172, 304, 64, 46, 1, 192, 3, 3, 0],
    [1600, 1200, 6485, 200, 64, 46, 1, 192, 3, 3, 0],
    [320, 200, 79440, 16, 16, 20, 4, 48, 1, 0, 2],
    [320, 240, 79440, 16, 16, 16, 5, 48, 1, 0, 2],
    [400, 300, 50000, 56, 16, 12, 3, 64, 1, 0, 2],
    [480, 300, 39721, 52, 20, 12, 3, 64, 1, 0, 2],
    [512, 384, 30769, 80, 16, 14, 3, 64, 1, 0, 2],
];

/// What the driver knows pixels as.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Format {
    Packed4,
    Planes4,
    Bits8,
    Rgb555,
    Rgb565,
    Bits32,
}

use Format::{Bits8, Bits32, Packed4, Planes4, Rgb555, Rgb565};

impl Format {
    fn bits(self) -> u32 {
        match self {
            Packed4 | Planes4 => 4,
            Bits8 => 8,
            Rgb555 | Rgb565 => 16,
            Bits32 => 32,
        }
    }

    /// Length of green, and `nonstd`.
    fn words(self) -> (u32, u32) {
        match self {
            Rgb555 => (5, 0),
            Rgb565 => (6, 0),
            Planes4 => (0, 1),
            _ => (0, 0),
        }
    }
}

/// A byte of what the guest's program fills the memory with.
fn byte(at: u32) -> u32 {
    (at / 4).wrapping_mul(0x9e37_79b9) >> (8 * (at % 4)) & 0xff
}

/// Entry `i` of `n` colours that it sets, through a DAC of six bits.
fn entry(i: u32, n: u32) -> u32 {
    let v = i * 255 / (n - 1);
    let six = |v: u32| (v * 257) >> 10;
    let eight = |v: u32| six(v) << 2 | six(v) >> 4;
    eight(v) << 16 | eight(v * 7 & 255) << 8 | eight(255 - v)
}

fn dot(f: Format, line: u32, x: u32, y: u32) -> u32 {
    let wide = |v: u32, bits: u32| v << (8 - bits) | v >> (2 * bits - 8);
    let start = y * line;
    match f {
        Packed4 => entry(if x & 1 == 0 { byte(start + x / 2) >> 4 } else { byte(start + x / 2) & 15 }, 16),
        Planes4 => {
            let at = start + x / 8 * 4;
            entry((0..4).map(|p| (byte(at + p) >> (7 - x % 8) & 1) << p).sum(), 16)
        }
        Bits8 => entry(byte(start + x), 256),
        Rgb555 | Rgb565 => {
            let v = byte(start + x * 2) | byte(start + x * 2 + 1) << 8;
            let g = if f == Rgb555 { 5 } else { 6 };
            let mask = (1 << g) - 1;
            wide(v >> (5 + g) & 31, 5) << 16 | wide(v >> 5 & mask, g) << 8 | wide(v & 31, 5)
        }
        Bits32 => (0..3).map(|i| byte(start + x * 4 + i) << (8 * i)).sum(),
    }
}

fn boot(test: &str) -> (Vm, Console) {
    let args = Args::default()
        .with("--memory", "128")
        .with("--kernel", guest("screen/vmlinuz"))
        .with("--initrd", guest("screen/initrd.gz"))
        .with("--append", "console=ttyS0 quiet");
    let mut vm = Vm::start(test, &args);
    let mut t = vm.console();
    t.expect("heirloom screen guest ready", 400);
    t.expect("# ", 60);
    (vm, t)
}

fn set(t: &mut Console, first: &str, timing: &[u32; 11], f: (u32, u32, u32)) -> String {
    let [w, h, rest @ ..] = timing;
    let rest: Vec<String> = rest.iter().map(u32::to_string).collect();
    let (bits, green, nonstd) = f;
    t.command(&format!("/modules/fbshow {first} {w} {h} {bits} {green} {nonstd} {}", rest.join(" ")))
}

#[track_caller]
fn same(s: &Screen, width: u32, height: u32, what: &str, want: impl Fn(u32, u32) -> u32) {
    assert_eq!((s.width as u32, s.height as u32), (width, height), "{what}");
    for y in 0..height {
        for x in 0..width {
            let (got, want) = (s.pixels[(y * width + x) as usize], want(x, y));
            assert_eq!(got, want, "{what} at {x},{y}: {got:06x}, not {want:06x}");
        }
    }
}

fn all_met(vm: &Vm) {
    let unknown = vm.ctl(["unknowns"]).expect("the machine answers");
    assert!(unknown.contains("every access so far met a register"), "{unknown}");
}

#[test]
fn s3fb_sets_every_mode_that_it_takes() {
    let _one = alone();
    let (vm, mut t) = boot("s3fb");
    let log = t.command("dmesg | grep -i -e s3fb -e fb0");
    assert!(log.contains("S3 Trio64") && log.contains("4 MB RAM"), "{log}");
    let mut shown = 0;
    for timing in TIMINGS {
        let [w, h, .., mode] = *timing;
        for f in [Packed4, Planes4, Bits8, Rgb555, Rgb565, Bits32] {
            let what = format!("{w}x{h}x{} {f:?}, mode {mode}", f.bits());
            let (green, nonstd) = f.words();
            let said = set(&mut t, "", timing, (f.bits(), green, nonstd));
            let memory = w.next_multiple_of(16) * h * f.bits() / 8;
            // Too large; or blank or sync are longer than CR03, CR05 b7 and CR05 b4-0 can tell.
            let [.., left, right, _, _, sync, _, _, _] = *timing;
            if memory > VRAM || sync / 8 > 31 || (left + right + sync) / 8 > 63 {
                assert!(said.contains("refused by 22"), "{what}: {said}");
                continue;
            }
            assert!(said.contains(&format!("mode {w}x{h}x{} ", f.bits())), "{what}: {said}");
            let line =
                said.split("line=").nth(1).and_then(|s| s.split_whitespace().next()).expect("a length");
            let line: u32 = line.parse().expect("a number");
            let screen = vm.screen().expect("a screenshot");
            // A doubled line is one that shows twice.
            let lines = if mode == 2 { 2 } else { 1 };
            same(&screen, w, h * lines, &what, |x, y| dot(f, line, x, y / lines));
            shown += 1;
        }
    }
    assert!(shown > 100, "{shown} modes");
    all_met(&vm);
}

#[test]
fn s3fb_pans_and_blanks() {
    let _one = alone();
    let (vm, mut t) = boot("s3fb-pan");
    let said = set(&mut t, "tall", &TIMINGS[1], (8, 0, 0));
    assert!(said.contains("mode 640x480x8 line=640"), "{said}");
    for y in [0, 1, 17, 480] {
        let said = t.command(&format!("/modules/fbshow pan {y}"));
        assert!(!said.contains("refused"), "{said}");
        let screen = vm.screen().expect("a screenshot");
        same(&screen, 640, 480, &format!("line {y} first"), |x, row| dot(Bits8, 640, x, row + y));
    }
    t.command("echo 4 > /sys/class/graphics/fb0/blank");
    let screen = vm.screen().expect("a screenshot");
    same(&screen, 640, 480, "blank", |_, _| 0);
    t.command("echo 0 > /sys/class/graphics/fb0/blank");
    let screen = vm.screen().expect("a screenshot");
    same(&screen, 640, 480, "on again", |x, row| dot(Bits8, 640, x, row + 480));
    all_met(&vm);
}

/// The console draws the same text as pixels, through planes, and through the chip's text mode.
#[test]
fn s3fb_draws_text_in_every_way_alike() {
    let _one = alone();
    let (vm, mut t) = boot("s3fb-text");
    let mut before: Option<Screen> = None;
    for f in [(8, 0, 0), (4, 0, 0), (4, 0, 1), (0, 0, 0)] {
        let said = set(&mut t, "text", &TIMINGS[1], f);
        assert!(said.contains("mode 640x480"), "{f:?}: {said}");
        t.command("printf '\\033c\\033[?25l' > /dev/tty1");
        t.command(
            "for i in 0 1 2 3 4 5 6 7; do printf \"\\033[3${i}mink $i \\033[1mbright \\033[0;4${i}mpaper\\033[0m \\101\\102~}|\\n\" > /dev/tty1; done",
        );
        t.command("seq 1 20 > /dev/tty1; printf 'last line' > /dev/tty1; sleep 1");
        let screen = vm.screen().expect("a screenshot");
        assert_eq!((screen.width, screen.height), (640, 480), "{f:?}");
        let inked = screen.pixels.iter().filter(|p| **p != screen.pixels[639]).count();
        assert!(inked > 1000, "{f:?}: {inked} dots are not the background's");
        if let Some(b) = &before {
            // svgalib never hears that the chip's own text cursor is to go. It is dark half of the time.
            let mut tries = 0;
            let mut at = Some(0);
            while at.is_some() && tries < 40 {
                let screen = vm.screen().expect("a screenshot");
                at = screen.pixels.iter().zip(&b.pixels).position(|(a, b)| a != b);
                tries += 1;
            }
            assert_eq!(at.map(|i| (i % 640, i / 640)), None, "{f:?} differs from pixels");
        }
        before = before.or(Some(screen));
    }
    all_met(&vm);
}

/// A picture of 1024x768 at 16 bits, drawn as plainly as can be.
struct Drawn(Vec<u16>);

impl Drawn {
    fn area(&mut self, [x, y, w, h]: [usize; 4], dot: impl Fn(usize, usize, u16) -> u16) {
        for row in 0..h {
            for column in 0..w {
                let at = (y + row) * 1024 + x + column;
                self.0[at] = dot(column, row, self.0[at]);
            }
        }
    }

    /// Bresenham's line, a tie along the diagonal.
    fn line(&mut self, (mut x, mut y): (i32, i32), dx: i32, dy: i32, colour: u16) {
        let (w, h) = (dx.abs(), dy.abs());
        let mut err = 2 * w.min(h) - w.max(h);
        for _ in 0..=w.max(h) {
            self.0[(y * 1024 + x) as usize] = colour;
            let both = err >= 0;
            err += 2 * w.min(h) - if both { 2 * w.max(h) } else { 0 };
            if both || w >= h {
                x += dx.signum();
            }
            if both || h > w {
                y += dy.signum();
            }
        }
    }
}

/// A program of the guest draws by the engine's ports, REP OUTSW among them, as XFree86's driver does.
#[test]
fn the_guest_draws_by_the_engine() {
    let _one = alone();
    let (vm, mut t) = boot("engine");
    let said = set(&mut t, "", &TIMINGS[8], (16, 6, 0));
    assert!(said.contains("mode 1024x768x16 line=2048"), "{said}");
    let said = t.command("/modules/fbshow engine && echo drawn");
    assert!(said.contains("drawn") && !said.contains("refused"), "{said}");
    let mut p = Drawn(vec![0; 1024 * 768]);
    for i in 0..32usize {
        p.area([i * 28, i * 21, 100, 60], |_, _, _| (i * 2049) as u16);
    }
    p.area([200, 100, 400, 300], |_, _, d| d ^ 0x07e0);
    let before = p.0.clone();
    p.area([200, 150, 512, 384], |x, y, _| before[y * 1024 + x]);
    for i in 0..32 {
        let (dx, dy) = (i * 32 - 500, if i & 1 != 0 { 300 - i * 7 } else { i * 7 - 300 });
        p.line((512, 384), dx, dy, (0xffff - i * 1031) as u16);
    }
    p.area([900, 600, 64, 64], |x, y, _| ((y * 64 + x) * 77) as u16);
    let glyph = [0xf0u8, 0x99, 0x3c, 0x81, 0xc7];
    let bit = |x: usize| glyph[x / 8] >> (7 - x % 8) & 1 != 0;
    p.area([50, 700, 40, 20], |x, _, _| if bit(x) { 0xffe0 } else { 0x001f });
    let screen = vm.screen().expect("a screenshot");
    let wide = |v: u32, bits: u32| v << (8 - bits) | v >> (2 * bits - 8);
    same(&screen, 1024, 768, "the engine's picture", |x, y| {
        let v = u32::from(p.0[(y * 1024 + x) as usize]);
        wide(v >> 11, 5) << 16 | wide(v >> 5 & 63, 6) << 8 | wide(v & 31, 5)
    });
    let metrics = vm.ctl(["metrics"]).expect("the machine answers");
    let commands = metrics.lines().find_map(|l| l.strip_prefix("heirloom_s3trio64_engine_commands "));
    assert_eq!(commands, Some("69"), "{metrics}");
    all_met(&vm);
}
