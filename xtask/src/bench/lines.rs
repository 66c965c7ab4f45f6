//! Table: the lines of the benchmarks, and what is promised of them.
//!
//! The programs behind the names are in `benches/guest`; rows that start with `boot-` are taken from booting itself.

/// What a benchmark is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Area {
    #[value(skip)]
    Cpu,
    Net,
    Disk,
}

impl Area {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Net => "net",
            Self::Disk => "disk",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Integer,
    Shell,
    Busybox,
    Strings,
    ShortStrings,
    X87,
    Sse2,
    NewCode,
    Kernel,
    Interrupts,
    Boot,
    Disk,
    Net,
}

impl Group {
    pub(crate) const ALL: &[Self] = &[
        Self::Integer,
        Self::Shell,
        Self::Busybox,
        Self::Strings,
        Self::ShortStrings,
        Self::X87,
        Self::Sse2,
        Self::NewCode,
        Self::Kernel,
        Self::Interrupts,
        Self::Boot,
        Self::Disk,
        Self::Net,
    ];

    pub(crate) fn area(self) -> Area {
        match self {
            Self::Disk => Area::Disk,
            Self::Net => Area::Net,
            _ => Area::Cpu,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Shell => "shell loop",
            Self::Busybox => "busybox programs",
            Self::Strings => "string instructions",
            Self::ShortStrings => "string instructions, short",
            Self::X87 => "x87",
            Self::Sse2 => "SSE2",
            Self::NewCode => "code written and run at once",
            Self::Kernel => "system calls, forks, faults, pipes",
            Self::Interrupts => "interrupts",
            Self::Boot => "boot",
            Self::Disk => "disk",
            Self::Net => "network",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A program, in the guest and on the host
    Everywhere,
    /// A program that needs the guest's own disk or network; it waits more than it computes
    GuestOnly,
    /// From the start of the emulator to a mark on the console
    Booting,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) group: Group,
    pub(crate) how: How,
}

const fn line(name: &'static str, group: Group, what: &'static str) -> Line {
    Line { name, what, group, how: How::Everywhere }
}

const fn waits(name: &'static str, group: Group, what: &'static str) -> Line {
    Line { name, what, group, how: How::GuestOnly }
}

pub(crate) const BOOT_INIT: &str = "boot-init";
pub(crate) const BOOT_LOGIN: &str = "boot-login";

pub(crate) const LINES: &[Line] = &[
    line("fib", Group::Integer, "calls and returns"),
    line("crc32", Group::Integer, "table CRC-32"),
    line("qsort", Group::Integer, "quicksort of 1.5 million integers"),
    line("sieve", Group::Integer, "sieve of 24 MB"),
    line("indirect", Group::Integer, "indirect calls"),
    line("shell-loop", Group::Shell, "150,000 rounds of a loop in busybox's shell"),
    line("md5sum", Group::Busybox, "busybox md5sum of 96 MB"),
    line("gzip", Group::Busybox, "busybox gzip of 3 MB"),
    line("memcpy", Group::Strings, "rep movsd, movsb, stosd of pages and more"),
    line("memchr", Group::Strings, "repne scasb"),
    line("memcpy-short", Group::ShortStrings, "rep movsd, movsb, stosd of 1 to 44 bytes"),
    line("x87-mandelbrot", Group::X87, "Mandelbrot on the x87"),
    line("x87-trig", Group::X87, "FSIN, FPATAN, FSQRT"),
    line("sse2-mandelbrot", Group::Sse2, "Mandelbrot on SSE2"),
    line("sse2-trig", Group::Sse2, "sine and arc tangent by polynomials, SQRTSD"),
    line("libm-trig", Group::Sse2, "sin, atan2, sqrt of the C library from SSE2 code"),
    line("new-code", Group::NewCode, "300,000 functions, written in hundreds, each run once"),
    line("patched-code", Group::NewCode, "the same, each run before the next is written"),
    line("syscall", Group::Kernel, "getppid"),
    line("fork", Group::Kernel, "fork, exit, wait"),
    line("page-fault", Group::Kernel, "mmap, touch, munmap"),
    line("pipe", Group::Kernel, "two processes that wake each other"),
    line("timer-signals", Group::Interrupts, "a computation under a timer of 10 kHz"),
    waits("disk-sectors", Group::Interrupts, "2,000 sectors read one by one"),
    Line {
        name: BOOT_INIT,
        what: "Debian 686 kernel, direct boot to /init",
        group: Group::Boot,
        how: How::Booting,
    },
    Line { name: BOOT_LOGIN, what: "Debian VHD, power-on to login", group: Group::Boot, how: How::Booting },
    waits("disk-read", Group::Disk, "512 MiB in order, a mebibyte at a time"),
    waits("disk-random-read", Group::Disk, "5,000 pages anywhere in 64 MiB"),
    waits("disk-write", Group::Disk, "256 MiB in order, a mebibyte at a time"),
    waits("disk-random-write", Group::Disk, "5,000 pages anywhere in 64 MiB"),
    waits("tcp-down", Group::Net, "200 MiB from the host"),
    waits("tcp-up", Group::Net, "200 MiB to the host"),
    waits("tcp-turn", Group::Net, "2,000 bytes there and back, one by one"),
];

/// How a promise is held.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// The geometric mean of the times, against native, is at most this
    NativeMean(f64),
    /// Each time, against native, is at most this
    NativeEach(f64),
    /// Each is at least so many times as fast as QEMU
    QemuEach(f64),
}

#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) what: &'static str,
    /// Empty: every line of the processor's
    pub(crate) lines: &'static [&'static str],
    pub(crate) rule: Rule,
}

pub(crate) const PROMISES: &[Promise] = &[
    Promise {
        what: "integer, the five together",
        lines: &["fib", "crc32", "qsort", "sieve", "indirect"],
        rule: Rule::NativeMean(1.8),
    },
    Promise { what: "shell loop", lines: &["shell-loop"], rule: Rule::NativeEach(2.2) },
    Promise { what: "string instructions", lines: &["memcpy", "memchr"], rule: Rule::NativeMean(1.5) },
    Promise { what: "x87", lines: &["x87-mandelbrot", "x87-trig"], rule: Rule::NativeEach(3.0) },
    Promise {
        what: "SSE2",
        lines: &["sse2-mandelbrot", "sse2-trig", "libm-trig"],
        rule: Rule::NativeEach(3.0),
    },
    Promise {
        what: "code written and run at once",
        lines: &["new-code", "patched-code"],
        rule: Rule::NativeEach(60.0),
    },
    Promise {
        what: "system calls, forks, faults, pipes",
        lines: &["syscall", "fork", "page-fault", "pipe"],
        rule: Rule::QemuEach(2.0),
    },
    Promise { what: "direct boot to /init", lines: &[BOOT_INIT], rule: Rule::QemuEach(3.0) },
    Promise { what: "VHD to its login prompt", lines: &[BOOT_LOGIN], rule: Rule::QemuEach(3.0) },
    Promise { what: "no line slower than QEMU", lines: &[], rule: Rule::QemuEach(1.0) },
    Promise { what: "disk in order", lines: &["disk-read", "disk-write"], rule: Rule::QemuEach(1.5) },
    Promise {
        what: "pages of a disk",
        lines: &["disk-random-read", "disk-random-write"],
        rule: Rule::QemuEach(2.0),
    },
    Promise { what: "TCP, down and up", lines: &["tcp-down", "tcp-up"], rule: Rule::QemuEach(10.0) },
    Promise { what: "TCP, there and back", lines: &["tcp-turn"], rule: Rule::QemuEach(1.0) },
];

impl Promise {
    /// Names of its lines.
    pub(crate) fn of(&self) -> Vec<&'static str> {
        if self.lines.is_empty() {
            return LINES.iter().filter(|l| l.group.area() == Area::Cpu).map(|l| l.name).collect();
        }
        self.lines.to_vec()
    }
}
