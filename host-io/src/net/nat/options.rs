//! What the user may choose, and how it is written: `forward=tcp:2222:22,host=allow,pcap=FILE`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::error::NetError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// A port of the host that leads to one of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    pub protocol: Protocol,
    pub host: SocketAddr,
    pub guest: u16,
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{protocol}:{}:{}", self.host, self.guest)
    }
}

/// What a guest that starts from the network loads, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetBoot {
    pub server: Option<Ipv4Addr>,
    pub file: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NatOptions {
    pub forwards: Vec<Forward>,
    /// The guest may reach services of this host: its loopback at the gateway's address, and the host's own addresses.
    pub host: bool,
    /// Takes the place of the host's resolvers.
    pub dns: Option<SocketAddr>,
    /// Every frame of both directions is written there.
    pub pcap: Option<PathBuf>,
    pub boot: NetBoot,
    /// No socket of the host is opened; whatever a guest sends to a TCP port comes back. For tests and fuzzing.
    pub offline: bool,
}

/// The longest name that fits its field in a BOOTP reply.
const BOOT_FILE: usize = 127;

impl NatOptions {
    /// Reads `forward=tcp:[ADDR:]HOST:GUEST`, `host=allow`, `dns=ADDR[:PORT]`, `pcap=FILE`, `tftp=ADDR` and
    /// `bootfile=NAME`, separated by commas. Nothing at all is the default.
    pub fn parse(text: &str) -> Result<Self, NetError> {
        let mut o = Self::default();
        let mut host = false;
        for item in text.split(',').filter(|i| !i.is_empty()) {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            match name {
                "forward" => o.forwards.push(forward(value)?),
                "host" => {
                    once("host", &host.then_some(()))?;
                    host = true;
                    o.host = match value {
                        "allow" => true,
                        "deny" => false,
                        _ => return Err(field("host", value, "allow or deny")),
                    };
                }
                "dns" => {
                    once("dns", &o.dns)?;
                    o.dns = Some(resolver(value)?);
                }
                "pcap" => {
                    once("pcap", &o.pcap)?;
                    if value.is_empty() {
                        return Err(field("pcap", value, "a file's name, as in pcap=net.pcap"));
                    }
                    o.pcap = Some(value.into());
                }
                "tftp" => {
                    once("tftp", &o.boot.server)?;
                    let server = value.parse();
                    o.boot.server = Some(
                        server.map_err(|_| field("tftp", value, "an IPv4 address, as in tftp=192.0.2.1"))?,
                    );
                }
                "bootfile" => {
                    once("bootfile", &o.boot.file)?;
                    if value.is_empty() || value.len() > BOOT_FILE || !value.is_ascii() {
                        return Err(field("bootfile", value, "a name of 1 to 127 ASCII characters"));
                    }
                    o.boot.file = Some(value.into());
                }
                _ => return Err(NetError::Unknown { name: name.into() }),
            }
        }
        Ok(o)
    }
}

fn field(field: &'static str, value: &str, want: &'static str) -> NetError {
    NetError::Field { field, value: value.into(), want }
}

fn once<T>(field: &'static str, had: &Option<T>) -> Result<(), NetError> {
    if had.is_some() { Err(NetError::Twice { field }) } else { Ok(()) }
}

fn resolver(value: &str) -> Result<SocketAddr, NetError> {
    if let Ok(ip) = value.parse::<IpAddr>() {
        return Ok((ip, 53).into());
    }
    value.parse().map_err(|_| field("dns", value, "an address, as in dns=192.0.2.53 or dns=127.0.0.1:5353"))
}

/// `tcp:[ADDR:]HOST:GUEST`; an IPv6 ADDR is in brackets.
fn forward(value: &str) -> Result<Forward, NetError> {
    let bad = |want| field("forward", value, want);
    let (protocol, rest) =
        value.split_once(':').ok_or_else(|| bad("PROTOCOL:[ADDR:]HOST:GUEST, as in tcp:2222:22"))?;
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return Err(bad("of protocol tcp or udp, as in tcp:2222:22")),
    };
    let (host, guest) = rest
        .rsplit_once(':')
        .ok_or_else(|| bad("two ports, the host's and the guest's, as in tcp:2222:22"))?;
    let port = |p: &str| p.parse::<u16>().ok().filter(|&p| p != 0);
    let guest = port(guest).ok_or_else(|| bad("to a guest's port of 1 to 65535"))?;
    let (ip, number) = match host.rsplit_once(':') {
        None => (IpAddr::from(Ipv4Addr::LOCALHOST), host),
        Some((ip, number)) => {
            let ip = ip.strip_prefix('[').and_then(|i| i.strip_suffix(']')).unwrap_or(ip);
            (ip.parse().map_err(|_| bad("on an address of this host, as in tcp:0.0.0.0:2222:22"))?, number)
        }
    };
    let number = port(number).ok_or_else(|| bad("from a host's port of 1 to 65535"))?;
    Ok(Forward { protocol, host: (ip, number).into(), guest })
}
