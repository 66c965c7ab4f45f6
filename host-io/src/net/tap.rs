//! A tap interface of a Linux host: what the guest sends comes out there, and what goes in reaches the guest.
#![allow(unsafe_code, reason = "one ioctl names the interface of an open /dev/net/tun")]

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use board::NetPort;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};
use vmm_sys_util::ioctl::ioctl_with_mut_ref;
use vmm_sys_util::ioctl_iow_nr;

use super::Wake;

const DEVICE: &str = "/dev/net/tun";
/// The kernel's own queue is behind this one.
const QUEUE: usize = 256;
/// Longer than any frame that an adapter takes; the kernel cuts the rest off.
const LONGEST: usize = 2048;

ioctl_iow_nr!(TUNSETIFF, b'T' as u32, 202, i32);
const IFF_TAP: u16 = 0x0002;
/// No header before each frame.
const IFF_NO_PI: u16 = 0x1000;

/// struct ifreq, as far as TUNSETIFF reads it.
#[repr(C)]
struct IfReq {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Why an interface could not be used: one line, with the mend.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    #[error(
        "cannot open {DEVICE}: {0}; load the kernel's module tun, and let this user read and write that file"
    )]
    Device(io::Error),
    #[error("interface {name} is in use: another program has it open; choose another, or end that program")]
    InUse { name: String },
    #[error(
        "cannot use interface {name}: {source}; make it with: ip tuntap add {name} mode tap user $USER && ip link set {name} up"
    )]
    Interface { name: String, source: io::Error },
    #[error("cannot watch interface {name}: {source}; the host has too many open files or processes")]
    Watch { name: String, source: io::Error },
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    closed: bool,
}

#[derive(Clone, Default)]
struct Inbox(Arc<(Mutex<Queue>, Condvar)>);

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room; false when the port is gone.
    fn push(&self, frame: &[u8]) -> bool {
        let q = self.lock();
        let full = |q: &mut Queue| q.frames.len() >= QUEUE && !q.closed;
        let mut q = self.0.1.wait_while(q, full).unwrap_or_else(PoisonError::into_inner);
        q.frames.push_back(frame.to_vec());
        !q.closed
    }

    fn pop(&self) -> Option<Vec<u8>> {
        let mut q = self.lock();
        if q.frames.len() == QUEUE {
            self.0.1.notify_one();
        }
        q.frames.pop_front()
    }

    fn close(&self) {
        self.lock().closed = true;
        self.0.1.notify_all();
    }
}

/// The cable's end in an interface.
pub struct Tap {
    file: Arc<File>,
    inbox: Inbox,
    stop: EventFd,
    reader: Option<JoinHandle<()>>,
}

impl Tap {
    /// Opens interface `name`; `wake` is called when frames came.
    pub fn open(name: &str, wake: Wake) -> Result<Self, TapError> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE);
        let file = file.map_err(TapError::Device)?;
        let mut request = IfReq { name: [0; 16], flags: IFF_TAP | IFF_NO_PI, rest: [0; 22] };
        let named = name.bytes().filter(|b| *b != 0).take(request.name.len() - 1);
        request.name.iter_mut().zip(named).for_each(|(to, b)| *to = b);
        debug_assert_eq!(request.rest.len() + request.name.len() + 2, size_of::<IfReq>());
        // SAFETY: the descriptor is a tun device's; the kernel reads a struct ifreq of 40 bytes, which IfReq is, and
        // writes it back with the interface's name.
        if unsafe { ioctl_with_mut_ref(&file, TUNSETIFF(), &mut request) } < 0 {
            let (name, source) = (name.to_owned(), io::Error::last_os_error());
            return Err(match source.raw_os_error() {
                Some(libc::EBUSY) => TapError::InUse { name },
                _ => TapError::Interface { name, source },
            });
        }
        Self::over(file, wake).map_err(|source| TapError::Watch { name: name.to_owned(), source })
    }

    /// A port over an open descriptor that reads and writes whole frames and never blocks.
    fn over(file: File, wake: Wake) -> io::Result<Self> {
        let stop = EventFd::new(EFD_NONBLOCK)?;
        let file = Arc::new(file);
        let inbox = Inbox::default();
        let watch = Epoll::new()?;
        let readable = |n| EpollEvent::new(EventSet::IN, n);
        watch.ctl(ControlOperation::Add, std::os::fd::AsRawFd::as_raw_fd(&*file), readable(0))?;
        watch.ctl(ControlOperation::Add, std::os::fd::AsRawFd::as_raw_fd(&stop), readable(1))?;
        let (from, to) = (file.clone(), inbox.clone());
        let reader = std::thread::Builder::new()
            .name("net-tap".into())
            .spawn(move || read_all(&watch, &from, &to, &wake))?;
        Ok(Self { file, inbox, stop, reader: Some(reader) })
    }
}

/// Reads frames until the port goes or the interface does.
fn read_all(watch: &Epoll, file: &File, to: &Inbox, wake: &Wake) {
    let mut frame = [0; LONGEST];
    let mut events = [EpollEvent::default(); 2];
    loop {
        match watch.wait(-1, &mut events) {
            Ok(n) if events[..n].iter().any(|e| e.data() == 1) => return,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        loop {
            match { file }.read(&mut frame) {
                Ok(0) => return,
                Ok(n) => {
                    if !to.push(&frame[..n]) {
                        return;
                    }
                    wake();
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => {
                    tracing::warn!("a tap interface is lost: {e}");
                    return;
                }
            }
        }
    }
}

impl NetPort for Tap {
    fn send(&mut self, frame: &[u8]) {
        // An interface that is down, or whose queue is full, loses frames as any wire does.
        let _ = (&*self.file).write(frame);
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let f = self.inbox.pop()?;
        let n = f.len().min(frame.len());
        frame[..n].copy_from_slice(&f[..n]);
        Some(n)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.inbox.close();
        // It fails only if it was written already.
        let _ = self.stop.write(1);
        if let Some(r) = self.reader.take() {
            let _ = r.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Datagrams keep their bounds, as frames do.
    fn pair() -> (Tap, UnixDatagram, mpsc::Receiver<()>) {
        let (near, far) = UnixDatagram::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let (tx, rx) = mpsc::channel();
        let wake: Wake = Arc::new(move || {
            let _ = tx.send(());
        });
        (Tap::over(File::from(OwnedFd::from(near)), wake).unwrap(), far, rx)
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn frames_go_both_ways_whole() {
        let (mut tap, far, woken) = pair();
        tap.send(&[1; 60]);
        let mut b = [0; 100];
        assert_eq!(far.recv(&mut b).unwrap(), 60);
        assert_eq!(tap.receive(&mut b), None);
        far.send(&[2; 70]).unwrap();
        far.send(&[3; 1514]).unwrap();
        woken.recv_timeout(PATIENCE).unwrap();
        woken.recv_timeout(PATIENCE).unwrap();
        assert_eq!(tap.receive(&mut b), Some(70));
        assert_eq!(b[..70], [2; 70]);
        let mut b = [0; 2048];
        assert_eq!(tap.receive(&mut b), Some(1514));
        assert_eq!(tap.receive(&mut b), None);
    }

    #[test]
    fn a_machine_that_does_not_look_loses_nothing_and_a_port_goes_though_it_is_full() {
        let (mut tap, far, woken) = pair();
        let sender = std::thread::spawn(move || {
            for n in 0..2000_u16 {
                far.send(&n.to_be_bytes()).unwrap();
            }
            far
        });
        let mut b = [0; 100];
        for n in 0..1000_u16 {
            while tap.receive(&mut b).is_none() {
                woken.recv_timeout(PATIENCE).unwrap();
            }
            assert_eq!(b[..2], n.to_be_bytes());
        }
        while tap.inbox.lock().frames.len() < QUEUE {
            std::thread::yield_now();
        }
        drop(tap);
        // What nobody takes any more is refused.
        assert!(sender.join().is_err());
    }

    #[test]
    fn an_interface_that_cannot_be_used_is_named_with_the_mend() {
        let Err(e) = Tap::open("lo", Arc::new(|| ())) else { panic!("the loopback interface is no tap") };
        let told = e.to_string();
        assert!(told.contains("/dev/net/tun") || told.contains("ip tuntap add lo mode tap"), "{told}");
    }
}
