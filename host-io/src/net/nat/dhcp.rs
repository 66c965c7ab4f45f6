//! The DHCP server (RFC 2131, 2132), which serves BOOTP clients too.
//!
//! Every option goes into every reply, asked for or not: MS-DOS clients want 58 and 59 and don't ask. Lengths are
//! exact, since Windows refuses an offer with a wrong one.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{
    DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessageType as Kind, DhcpOption, DhcpPacket,
    EthernetAddress as Mac,
};

use super::env::{Env, GATEWAY, MASK, in_net, is_guest};
use super::options::NetBoot;

const LEASE: u32 = 86400;
/// A BOOTP client may drop what is shorter.
const SHORTEST: usize = 300;
const MAGIC: u32 = 0x6382_5363;
const ETHERNET: [u8; 2] = [1, 6];
/// From the lowest address on.
const FIRST: u8 = 2;
const LAST: u8 = 254;

#[derive(Default)]
pub(super) struct Dhcp {
    /// The oldest first.
    leases: Vec<(Mac, Ipv4Addr)>,
    /// A client found somebody else there.
    declined: HashSet<Ipv4Addr>,
    boot: NetBoot,
}

impl Dhcp {
    pub(super) fn new(boot: NetBoot) -> Self {
        Self { boot, ..Self::default() }
    }

    /// A packet to port 67.
    pub(super) fn input(&mut self, env: &mut Env, payload: &[u8]) {
        let Some(request) = Request::parse(payload) else {
            env.counters.malformed.one();
            return;
        };
        let mac = request.mac;
        match request.kind {
            None => {
                if let Some(ip) = self.lease(mac, None) {
                    self.bound(env, mac, ip);
                    self.reply(env, &request, None, ip);
                }
            }
            Some(Kind::Discover) => {
                if let Some(ip) = self.lease(mac, request.wanted) {
                    self.reply(env, &request, Some(Kind::Offer), ip);
                }
            }
            Some(Kind::Request) => self.request(env, &request),
            Some(Kind::Inform) => {
                env.learn(request.client, mac);
                self.reply(env, &request, Some(Kind::Ack), Ipv4Addr::UNSPECIFIED);
            }
            Some(Kind::Release) => {
                if self.leases.contains(&(mac, request.client)) {
                    // The address stays the client's for when it comes back.
                    env.forget(request.client);
                }
            }
            Some(Kind::Decline) => {
                if let Some(ip) = request.wanted.filter(|&ip| self.leases.contains(&(mac, ip))) {
                    self.leases.retain(|&(m, _)| m != mac);
                    self.declined.insert(ip);
                    env.forget(ip);
                }
            }
            Some(_) => env.counters.ignored.one(),
        }
    }

    fn request(&mut self, env: &mut Env, request: &Request) {
        if request.server.is_some_and(|s| s != GATEWAY) {
            // Another server's offer was taken.
            return;
        }
        let unset = request.client.is_unspecified();
        let wanted = request.wanted.or((!unset).then_some(request.client));
        // A guest that moved here from another net must hear so, or it goes on with an address of no use. An address of
        // ours that nobody has is given to who asks: it may have had it before this process began.
        match wanted.map(|ip| (ip, self.lease(request.mac, Some(ip)))) {
            Some((ip, Some(leased))) if ip == leased => {
                self.bound(env, request.mac, ip);
                self.reply(env, request, Some(Kind::Ack), ip);
            }
            Some(_) => self.reply(env, request, Some(Kind::Nak), Ipv4Addr::UNSPECIFIED),
            None => env.counters.malformed.one(),
        }
    }

    fn bound(&mut self, env: &mut Env, mac: Mac, ip: Ipv4Addr) {
        env.learn(ip, mac);
        env.guest = Some(ip);
    }

    /// The client's address: the one that it wants, if it may have it, or that which it has, or a new one.
    fn lease(&mut self, mac: Mac, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let taken = |ip: Ipv4Addr| self.leases.iter().any(|&(m, l)| l == ip && m != mac);
        let fits = |ip: &Ipv4Addr| is_guest(*ip) && !taken(*ip) && !self.declined.contains(ip);
        let had = self.leases.iter().position(|&(m, _)| m == mac);
        let free = || {
            let all = (FIRST..=LAST).map(|n| Ipv4Addr::from_bits(GATEWAY.to_bits() & !0xff | u32::from(n)));
            let mut all = all.filter(|ip| fits(ip));
            all.next()
        };
        let ip = wanted.filter(fits).or(had.map(|i| self.leases[i].1)).or_else(free);
        let ip = ip.or_else(|| {
            // All are given out: a guest that changes its address all the time.
            self.declined.clear();
            Some(self.leases.first()?.1)
        })?;
        self.leases.retain(|&(m, l)| m != mac && l != ip);
        self.leases.push((mac, ip));
        Some(ip)
    }

    fn reply(&self, env: &mut Env, request: &Request, kind: Option<Kind>, ip: Ipv4Addr) {
        let nak = kind == Some(Kind::Nak);
        let mut b = vec![0; 1024];
        let text = request.head;
        b[..2].copy_from_slice(&[2, ETHERNET[0]]);
        b[2] = ETHERNET[1];
        // Transaction and flags as they came.
        b[4..8].copy_from_slice(&text[4..8]);
        b[10..12].copy_from_slice(&text[10..12]);
        if !nak {
            b[12..16].copy_from_slice(&request.client.octets());
            b[16..20].copy_from_slice(&ip.octets());
            b[20..24].copy_from_slice(&self.boot.server.unwrap_or(GATEWAY).octets());
            if let Some(f) = &self.boot.file {
                b[108..108 + f.len()].copy_from_slice(f.as_bytes());
            }
        }
        // Sixteen bytes of hardware address, whatever they are.
        b[28..44].copy_from_slice(&text[28..44]);
        b[236..240].copy_from_slice(&MAGIC.to_be_bytes());

        let mut end = 240;
        let mut option = |code: u8, data: &[u8]| {
            b[end] = code;
            b[end + 1] = data.len() as u8;
            b[end + 2..end + 2 + data.len()].copy_from_slice(data);
            end += 2 + data.len();
        };
        if let Some(kind) = kind {
            option(53, &[kind.into()]);
            option(54, &GATEWAY.octets());
        }
        if !nak {
            let gateway = GATEWAY.octets();
            if kind.is_some() && request.kind != Some(Kind::Inform) {
                option(51, &LEASE.to_be_bytes());
                option(58, &(LEASE / 2).to_be_bytes());
                option(59, &(LEASE / 8 * 7).to_be_bytes());
            }
            option(1, &MASK.octets());
            option(3, &gateway);
            option(6, &gateway);
            if let Some(d) = env.resolver.domain(env.now) {
                option(15, d.as_bytes());
            }
            if let Some(s) = self.boot.server {
                option(66, s.to_string().as_bytes());
            }
            if let Some(f) = &self.boot.file {
                option(67, f.as_bytes());
            }
        }
        b[end] = 255;
        b.truncate((end + 1).max(SHORTEST));

        if kind == Some(Kind::Ack) {
            env.counters.dhcp_acks.one();
        }
        let from = SocketAddrV4::new(GATEWAY, DHCP_SERVER_PORT);
        // RFC 2131, 4.1. The address is not yet known to who asks for it, so the frame goes to its hardware address.
        let (mac, to) = if nak || request.broadcast && request.client.is_unspecified() {
            (Mac::BROADCAST, Ipv4Addr::BROADCAST)
        } else if !request.client.is_unspecified() {
            (request.mac, request.client)
        } else {
            (request.mac, ip)
        };
        env.udp_to(mac, from, SocketAddrV4::new(to, DHCP_CLIENT_PORT), &b);
    }
}

/// What counts of a client's message.
struct Request<'a> {
    head: &'a [u8],
    /// `None`: plain BOOTP.
    kind: Option<Kind>,
    mac: Mac,
    client: Ipv4Addr,
    wanted: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    broadcast: bool,
}

impl<'a> Request<'a> {
    fn parse(payload: &'a [u8]) -> Option<Self> {
        let p = DhcpPacket::new_checked(payload).ok()?;
        let request = 1;
        if payload.len() < 240 || payload[0] != request || payload[1..3] != ETHERNET {
            return None;
        }
        let mac = p.client_hardware_address();
        let client = p.client_ip();
        // A relay's address: there are none on this net.
        if !mac.is_unicast()
            || !p.relay_agent_ip().is_unspecified()
            || !client.is_unspecified() && client.is_loopback()
        {
            return None;
        }
        let mut r = Self {
            head: payload,
            kind: None,
            mac,
            client,
            wanted: None,
            server: None,
            broadcast: payload[10] & 0x80 != 0,
        };
        let ip = |o: &DhcpOption<'_>| <[u8; 4]>::try_from(o.data).ok().map(Ipv4Addr::from);
        if p.magic_number() == MAGIC {
            for o in p.options() {
                match o.kind {
                    50 => r.wanted = ip(&o),
                    53 => r.kind = o.data.first().map(|&k| k.into()),
                    54 => r.server = ip(&o),
                    _ => {}
                }
            }
        }
        // An answer to a foreign address would have no way.
        if r.kind == Some(Kind::Inform) && !in_net(client) {
            return None;
        }
        Some(r)
    }
}
