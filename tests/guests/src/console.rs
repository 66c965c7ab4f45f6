//! A guest's serial port on a Unix socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Where and what a guest writes to its serial port.
pub struct Console {
    stream: UnixStream,
    from: Receiver<(Instant, Vec<u8>)>,
    /// When the last of it came.
    came: Instant,
    /// All that came.
    all: String,
    /// Up to where [`Console::expect`] has looked.
    read: usize,
}

impl Console {
    pub(crate) fn connect(path: &Path) -> Option<Self> {
        let stream = UnixStream::connect(path).ok()?;
        let mut reader = stream.try_clone().ok()?;
        let (to, from) = mpsc::channel();
        std::thread::spawn(move || {
            let mut b = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut b) {
                if to.send((Instant::now(), b[..n].to_vec())).is_err() {
                    return;
                }
            }
        });
        Some(Self { stream, from, came: Instant::now(), all: String::new(), read: 0 })
    }

    /// Waits for a text after what was last waited for. Returns what came up to it.
    pub fn expect(&mut self, want: &str, secs: u64) -> String {
        let end = Instant::now() + Duration::from_secs(secs);
        loop {
            if let Some(at) = self.all[self.read..].find(want) {
                let upto = self.read + at + want.len();
                let text = self.all[self.read..upto].to_owned();
                self.read = upto;
                return text;
            }
            match self.from.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((at, b)) => {
                    self.came = at;
                    self.all += &String::from_utf8_lossy(&b);
                }
                Err(_) => {
                    let tail: Vec<&str> = self.all.lines().rev().take(20).collect();
                    let tail: Vec<&str> = tail.into_iter().rev().collect();
                    panic!("{want:?} did not come on COM1 within {secs} s; last:\n{}", tail.join("\n"));
                }
            }
        }
    }

    /// Did this text come, after what was last waited for?
    pub fn has(&mut self, text: &str) -> bool {
        while let Ok((at, b)) = self.from.try_recv() {
            self.came = at;
            self.all += &String::from_utf8_lossy(&b);
        }
        self.all[self.read..].contains(text)
    }

    /// The next line, and when the last of it had come.
    pub fn line(&mut self, secs: u64) -> (Instant, String) {
        let line = self.expect("\n", secs);
        (self.came, line.trim_end().to_owned())
    }

    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("the serial port takes input");
    }

    /// As [`Console::command`], without the prompt and the echo, which may take more than a line, and without what
    /// Linux's kernel says meanwhile: drivers look for devices in the background.
    pub fn output(&mut self, line: &str) -> String {
        let out = self.command(&format!("dmesg -n 1; echo pri\"\"nts; {line}; dmesg -n 7"));
        let at = out.find("prints").map_or(0, |at| at + "prints".len());
        out[at..].trim().to_owned()
    }

    /// Runs a shell command; returns what it printed.
    pub fn command(&mut self, line: &str) -> String {
        self.send(&format!("{line}; echo end-of-$((20+22))\n"));
        let out = self.expect("end-of-42", 120);
        // The first line is the echo of what was typed.
        out.lines().skip(1).filter(|l| !l.contains("end-of-")).collect::<Vec<_>>().join("\n")
    }
}
