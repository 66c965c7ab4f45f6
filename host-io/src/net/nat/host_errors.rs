//! Errors that the network reported for a datagram: which of them, from whom.
//!
//! Only Linux tells this of sockets that send to many. Elsewhere a refused datagram is silence.

use std::net::{Ipv4Addr, SocketAddrV4};

use mio::net::UdpSocket;

use super::icmp::Trouble;

pub(super) struct Reported {
    /// Where the datagram went.
    pub(super) to: SocketAddrV4,
    /// Who reported it; `None`: this host.
    pub(super) from: Option<Ipv4Addr>,
    pub(super) what: Trouble,
    /// The datagram, as the socket sent it.
    pub(super) packet: Vec<u8>,
}

#[cfg(target_os = "linux")]
pub(super) fn ask(socket: &UdpSocket) {
    use nix::sys::socket::{setsockopt, sockopt::Ipv4RecvErr};
    if let Err(e) = setsockopt(socket, Ipv4RecvErr, &true) {
        tracing::debug!("network: errors of datagrams stay unknown: {e}");
    }
}

#[cfg(target_os = "linux")]
pub(super) fn take(socket: &UdpSocket) -> Option<Reported> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg};
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd;

    const FROM_ICMP: u8 = 2;
    let mut data = [0; 1500];
    let mut iov = [IoSliceMut::new(&mut data)];
    let mut space = nix::cmsg_space!([u8; 256]);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let m = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut iov, Some(&mut space), flags).ok()?;
    let (to, n) = (SocketAddrV4::from(m.address?), m.bytes);
    let found = m.cmsgs().ok()?.find_map(|c| match c {
        ControlMessageOwned::Ipv4RecvErr(e, offender) => {
            let from = offender.map(|a| Ipv4Addr::from_bits(u32::from_be(a.sin_addr.s_addr)));
            let icmp = e.ee_origin == FROM_ICMP;
            let what = if icmp { Trouble(e.ee_type, e.ee_code) } else { Trouble::HOST };
            Some((from.filter(|f| icmp && !f.is_unspecified()), what))
        }
        _ => None,
    });
    let (from, what) = found?;
    Some(Reported { to, from, what, packet: data[..n].to_vec() })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn ask(_: &UdpSocket) {}

#[cfg(not(target_os = "linux"))]
pub(super) fn take(_: &UdpSocket) -> Option<Reported> {
    None
}
