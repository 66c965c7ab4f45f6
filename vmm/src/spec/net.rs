//! Network adapters: `--net`, `--mac` and `[[net]]`.

use std::path::Path;

use super::reader::Table;

/// As many as the board's device 10 has functions for.
pub const NETS_MOST: usize = 4;
/// Microsoft's, whose adapters these are to the guest.
const OUI: [u8; 3] = [0x00, 0x03, 0xff];
/// A Linux interface name's longest.
const INTERFACE_MOST: usize = 15;

/// Where an adapter's cable ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetKind {
    /// Not plugged in.
    None,
    /// In a network of its own, behind the host's sockets, with these options (docs/networking.md): who opens the port
    /// understands them.
    Nat(Vec<String>),
    /// In a tap interface of the host.
    Tap(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetSpec {
    pub kind: NetKind,
    /// None: the one that the machine's name gives.
    pub mac: Option<[u8; 6]>,
}

impl NetSpec {
    pub const UNPLUGGED: Self = Self { kind: NetKind::None, mac: None };

    pub(super) fn rebase(&mut self, base: &Path) {
        let NetKind::Nat(options) = &mut self.kind else { return };
        for o in options {
            if let Some(file) = o.strip_prefix("pcap=") {
                *o = format!("pcap={}", base.join(file).display());
            }
        }
    }
}

fn interface(s: &str) -> Result<String, String> {
    if (1..=INTERFACE_MOST).contains(&s.len()) && !s.contains(|c: char| c == '/' || c.is_whitespace()) {
        Ok(s.into())
    } else {
        Err(format!("no interface can be named {s:?}; use 1 to {INTERFACE_MOST} characters, as in tap0"))
    }
}

pub fn net(s: &str) -> Result<NetSpec, String> {
    let mut words = s.split(',');
    let kind = match (words.next(), s.split_once('=')) {
        (Some("none"), _) if s == "none" => NetKind::None,
        (Some("nat"), _) => NetKind::Nat(words.map(Into::into).collect()),
        (_, Some(("tap", name))) => NetKind::Tap(interface(name)?),
        _ => return Err(format!("network {s:?}; use none, nat[,OPTION]... or tap=INTERFACE")),
    };
    Ok(NetSpec { kind, mac: None })
}

/// Six bytes in hexadecimal, of one adapter and not of a group.
pub fn mac(s: &str) -> Result<[u8; 6], String> {
    let example = "as in 00:03:ff:12:34:56";
    let bytes: Vec<u8> = s
        .split([':', '-'])
        .filter(|w| w.len() == 2 && w.chars().all(|c| c.is_ascii_hexdigit()))
        .filter_map(|w| u8::from_str_radix(w, 16).ok())
        .collect();
    let mac: [u8; 6] = match bytes.try_into() {
        Ok(m) if s.len() == 17 => m,
        _ => return Err(format!("MAC address {s:?}; use six bytes, {example}")),
    };
    if mac[0] & 1 != 0 {
        return Err(format!(
            "MAC address {s:?} is a group's: its first byte is odd; use an even one, {example}"
        ));
    }
    if mac == [0; 6] {
        return Err(format!("MAC address {s:?} is nobody's; use another, {example}"));
    }
    Ok(mac)
}

/// The address of a machine's adapter `n` if none is given. A machine keeps it as long as it keeps its name.
pub fn mac_for(name: &str, n: usize) -> [u8; 6] {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    let own = ((hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32).wrapping_add(n as u32);
    let [_, a, b, c] = own.to_be_bytes();
    [OUI[0], OUI[1], OUI[2], a, b, c]
}

/// All adapters' addresses.
pub fn macs(name: &str, nets: &[NetSpec]) -> [[u8; 6]; NETS_MOST] {
    std::array::from_fn(|n| nets.get(n).and_then(|net| net.mac).unwrap_or_else(|| mac_for(name, n)))
}

pub fn show_mac(mac: [u8; 6]) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}

/// One `[[net]]` table.
pub(super) fn read(t: &mut Table<'_, '_>) -> NetSpec {
    let (mut named, mut options) = (None, Vec::new());
    let mut of = NetSpec::UNPLUGGED;
    let kind = |s: &str| match s {
        "none" => Ok(NetKind::None),
        "nat" => Ok(NetKind::Nat(Vec::new())),
        "tap" => Ok(NetKind::Tap(String::new())),
        _ => Err(format!("no kind of network {s:?}; use none, nat or tap")),
    };
    t.text("kind", kind, |v| of.kind = v);
    t.text("interface", interface, |v| named = Some(v));
    t.texts("forward", option, |v| options.push(format!("forward={v}")));
    for key in ["host", "dns", "pcap", "tftp", "bootfile"] {
        t.text(key, option, |v| options.push(format!("{key}={v}")));
    }
    t.text("mac", mac, |v| of.mac = Some(v));
    t.needs("kind");
    match &mut of.kind {
        NetKind::None => {}
        NetKind::Nat(all) => *all = options,
        NetKind::Tap(interface) => {
            t.needs("interface");
            *interface = named.unwrap_or_default();
        }
    }
    of
}

/// Options are words between commas.
fn option(s: &str) -> Result<String, String> {
    if s.contains(',') { Err(format!("{s:?} has a comma; leave it out")) } else { Ok(s.into()) }
}

/// What no single adapter shows.
pub(super) fn check(name: &str, nets: &[NetSpec], bad: &mut Vec<String>) {
    if nets.len() > NETS_MOST {
        bad.push(format!("{} network adapters; the machine takes {NETS_MOST}", nets.len()));
        return;
    }
    let all = &macs(name, nets)[..nets.len()];
    if let Some(n) = (1..all.len()).find(|&n| all[..n].contains(&all[n])) {
        bad.push(format!("two network adapters with MAC address {}; give each its own", show_mac(all[n])));
    }
    let tap = |n: &'_ NetSpec| if let NetKind::Tap(t) = &n.kind { Some(t.clone()) } else { None };
    let taps: Vec<String> = nets.iter().filter_map(tap).collect();
    if let Some(t) = (1..taps.len()).find(|&n| taps[..n].contains(&taps[n])).map(|n| &taps[n]) {
        bad.push(format!("two network adapters on interface {t}; give each its own"));
    }
}
