//! Waiting for a text.

use board::SerialPort;

/// Passes a port's output on and looks for a text in it.
pub struct Expect {
    inner: Option<Box<dyn SerialPort>>,
    want: Vec<u8>,
    matched: usize,
    found: Option<Box<dyn FnOnce() + Send>>,
}

impl Expect {
    /// Calls `found` once when `want` came. `inner` may be missing: then output is only looked at.
    pub fn new(inner: Option<Box<dyn SerialPort>>, want: &str, found: Box<dyn FnOnce() + Send>) -> Self {
        Self { inner, want: want.as_bytes().to_vec(), matched: 0, found: Some(found) }
    }
}

impl SerialPort for Expect {
    fn send(&mut self, byte: u8) {
        if let Some(p) = &mut self.inner {
            p.send(byte);
        }
        if self.found.is_none() {
            return;
        }
        // The longest beginning of `want` that ends here.
        let mut seen = self.want[..self.matched].to_vec();
        seen.push(byte);
        while !self.want.starts_with(&seen) {
            seen.remove(0);
        }
        self.matched = seen.len();
        if self.matched == self.want.len()
            && let Some(f) = self.found.take()
        {
            f();
        }
    }

    fn modem(&mut self, dtr: bool, rts: bool) {
        if let Some(p) = &mut self.inner {
            p.modem(dtr, rts);
        }
    }

    fn connected(&self) -> bool {
        self.inner.as_ref().is_none_or(|p| p.connected())
    }
}
