//! A guest: smoltcp's interface at the end of the cable.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use board::NetPort;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{dhcpv4, tcp, udp};
use smoltcp::time::Instant as GuestTime;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

use super::super::{GATEWAY, Nat, NatOptions};

pub(super) const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Far more than any of these takes on an idle host.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// As many frames as a chip's receive ring has room for.
const RING: usize = 64;

/// The card: what the guest sent and did not read yet.
#[derive(Default)]
pub(super) struct Card {
    rx: VecDeque<Vec<u8>>,
    tx: VecDeque<Vec<u8>>,
}

pub(super) struct Rx(Vec<u8>);
pub(super) struct Tx<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut b = vec![0; len];
        let r = f(&mut b);
        self.0.push_back(b);
        r
    }
}

impl Device for Card {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: GuestTime) -> Option<(Rx, Tx<'_>)> {
        self.rx.pop_front().map(|f| (Rx(f), Tx(&mut self.tx)))
    }

    fn transmit(&mut self, _: GuestTime) -> Option<Tx<'_>> {
        (self.tx.len() < RING).then_some(Tx(&mut self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut c = DeviceCapabilities::default();
        c.medium = Medium::Ethernet;
        c.max_transmission_unit = 1514;
        c
    }
}

pub(super) struct Guest {
    pub(super) nat: Nat,
    pub(super) iface: Interface,
    pub(super) sockets: SocketSet<'static>,
    card: Card,
    woken: Receiver<()>,
    /// It was told that there are frames, and has not got all of them.
    due: bool,
    /// Without a host nobody wakes it when time passed.
    alone: bool,
    /// Every frame with this number, counted in both directions, is lost; 0: none.
    pub(super) lose: u64,
    count: u64,
    /// The cable loses, doubles and swaps frames as these numbers say.
    pub(super) noise: Option<seeded::Rng>,
}

impl Guest {
    /// With a cable, and no address.
    pub(super) fn nameless(options: &str) -> Self {
        Self::with(NatOptions::parse(options).unwrap())
    }

    pub(super) fn with(options: NatOptions) -> Self {
        let (wake, woken) = channel();
        let alone = options.offline;
        let nat = Nat::new(options, std::sync::Arc::new(move || wake.send(()).unwrap_or_default())).unwrap();
        let mut card = Card::default();
        let mut config = Config::new(HardwareAddress::Ethernet(MAC));
        config.random_seed = 1;
        let iface = Interface::new(config, &mut card, GuestTime::now());
        Self {
            nat,
            iface,
            sockets: SocketSet::new(Vec::new()),
            card,
            woken,
            due: true,
            alone,
            lose: 0,
            count: 0,
            noise: None,
        }
    }

    /// With an address that was set by hand.
    pub(super) fn new(options: &str) -> Self {
        let mut g = Self::nameless(options);
        g.address(IpCidr::new(ADDRESS.into(), 24));
        g
    }

    pub(super) fn address(&mut self, cidr: IpCidr) {
        self.iface.update_ip_addrs(|a| {
            a.clear();
            a.push(cidr).unwrap();
        });
        self.iface.routes_mut().add_default_ipv4_route(GATEWAY).unwrap();
    }

    /// What arrives of what was sent.
    fn carry(&mut self, mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        frames.retain(|_| {
            self.count += 1;
            self.lose == 0 || !self.count.is_multiple_of(self.lose)
        });
        if let Some(rng) = &mut self.noise {
            let mut i = 0;
            while i < frames.len() {
                match rng.below(60) {
                    0 => drop(frames.remove(i)),
                    1 => frames.insert(i, frames[i].clone()),
                    2 | 3 if i > 0 => frames.swap(i - 1, i),
                    _ => {}
                }
                i += 1;
            }
        }
        frames
    }

    /// Moves frames once; false: there were none.
    pub(super) fn step(&mut self) -> bool {
        let mut got = Vec::new();
        let mut f = [0; 1514];
        // It asks as a chip does: when it was told to, as long as it has room.
        self.due |= self.was_woken() || self.alone;
        while self.due && got.len() < RING {
            match self.nat.receive(&mut f) {
                Some(n) => got.push(f[..n].to_vec()),
                None => self.due = false,
            }
        }
        let mut any = !got.is_empty();
        let got = self.carry(got);
        self.card.rx.extend(got);
        self.iface.poll(GuestTime::now(), &mut self.card, &mut self.sockets);
        any |= !self.card.tx.is_empty();
        let sent = self.card.tx.drain(..).collect();
        for f in self.carry(sent) {
            self.nat.send(&f);
        }
        self.due |= self.nat.flush();
        any
    }

    /// Runs until `done`, which may use the sockets.
    pub(super) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + LONG;
        loop {
            let moved = self.step();
            if done(self) {
                return;
            }
            assert!(Instant::now() < end, "{what} did not come about; {:?}", self.nat.metrics().list());
            if !moved {
                let delay = self.iface.poll_delay(GuestTime::now(), &self.sockets).map(Duration::from);
                let most = delay.unwrap_or(Duration::from_millis(5)).min(Duration::from_millis(5));
                self.due |= self.woken.recv_timeout(most).is_ok();
            }
        }
    }

    /// Runs for a time in which nothing is expected.
    pub(super) fn idle(&mut self, time: Duration) {
        let end = Instant::now() + time;
        self.until("the end of a pause", |_| Instant::now() >= end);
    }

    /// What the guest reads next, as a frame: for those who speak without an interface.
    pub(super) fn frame(&mut self) -> Option<Vec<u8>> {
        let mut f = [0; 1514];
        self.nat.receive(&mut f).map(|n| f[..n].to_vec())
    }

    pub(super) fn frame_soon(&mut self) -> Vec<u8> {
        let end = Instant::now() + LONG;
        loop {
            if let Some(f) = self.frame() {
                return f;
            }
            assert!(Instant::now() < end, "no frame came");
            let _ = self.woken.recv_timeout(Duration::from_millis(5));
        }
    }

    /// From now on time passes only by `wait`.
    pub(super) fn still(&mut self) {
        self.nat.still = Some(Instant::now());
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.nat.still = self.nat.still.map(|s| s + time);
    }

    /// Was the machine told to ask, since it was looked last?
    pub(super) fn was_woken(&mut self) -> bool {
        std::iter::from_fn(|| self.woken.try_recv().ok()).count() > 0
    }

    /// True: asking for an answer is worth while.
    pub(super) fn say(&mut self, frame: &[u8]) -> bool {
        self.nat.send(frame);
        self.nat.flush()
    }

    pub(super) fn tcp_socket(&mut self, size: usize) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; size]);
        let mut s = tcp::Socket::new(buffer(), buffer());
        s.set_ack_delay(None);
        self.sockets.add(s)
    }

    pub(super) fn connect(&mut self, to: (Ipv4Addr, u16), from: u16, size: usize) -> SocketHandle {
        let h = self.tcp_socket(size);
        self.sockets.get_mut::<tcp::Socket>(h).connect(self.iface.context(), to, from).unwrap();
        h
    }

    pub(super) fn tcp(&mut self, h: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(h)
    }

    pub(super) fn udp_socket(&mut self, port: u16) -> SocketHandle {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 1 << 17]);
        let mut s = udp::Socket::new(buffer(), buffer());
        s.bind(port).unwrap();
        self.sockets.add(s)
    }

    pub(super) fn udp(&mut self, h: SocketHandle) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(h)
    }

    /// Gets an address as smoltcp's client does.
    pub(super) fn lease(&mut self) -> dhcpv4::Config<'static> {
        let h = self.sockets.add(dhcpv4::Socket::new());
        let mut lease = None;
        self.until("a lease", |g| {
            if let Some(dhcpv4::Event::Configured(c)) = g.sockets.get_mut::<dhcpv4::Socket>(h).poll() {
                lease = Some(dhcpv4::Config {
                    server: c.server,
                    address: c.address,
                    router: c.router,
                    dns_servers: c.dns_servers.clone(),
                    packet: None,
                });
            }
            lease.is_some()
        });
        let lease = lease.unwrap();
        self.address(IpCidr::Ipv4(lease.address));
        lease
    }
}

/// Bytes that differ everywhere, again and again.
pub(super) fn pattern() -> Vec<u8> {
    seeded::Rng::new(7).bytes(1_000_003)
}

/// Checks a part of the endless pattern.
pub(super) fn check(pattern: &[u8], mut at: usize, mut data: &[u8]) {
    while !data.is_empty() {
        let from = at % pattern.len();
        let n = data.len().min(pattern.len() - from);
        assert!(data[..n] == pattern[from..from + n], "wrong bytes near {at}");
        data = &data[n..];
        at += n;
    }
}

/// A port of this host's loopback on which nobody listens.
pub(super) fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server on this host's loopback for one caller: its port, and what `serve` returns.
pub(super) fn server<R: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> R + Send + 'static,
) -> (u16, JoinHandle<R>) {
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = l.local_addr().unwrap().port();
    (port, std::thread::spawn(move || serve(l.accept().unwrap().0)))
}
