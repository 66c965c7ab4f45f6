//! The seam for fuzzing: any frames from a guest, to a network without a host.

use std::sync::Arc;

use board::NetPort;
use smoltcp::wire::{IpProtocol, Ipv4Packet, TcpPacket, UdpPacket};

use super::frame::{ETH, FRAME, IPV4};
use super::{GATEWAY_MAC, Nat, NatOptions};

/// Any bytes as frames, each behind its length in two bytes. Must not panic, and end.
pub fn fuzz_frames(bytes: &[u8]) {
    let options = NatOptions { offline: true, host: true, ..NatOptions::default() };
    let Ok(mut nat) = Nat::new(options, Arc::new(|| {})) else { return };
    let mut rest = bytes;
    while let [low, high, tail @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])) % (FRAME + 5);
        let (frame, tail) = tail.split_at(len.min(tail.len()));
        rest = tail;
        nat.send(frame);
        if let Some(f) = right(frame) {
            nat.send(&f);
        }
        nat.flush();
        let mut out = [0; FRAME];
        let mut took = 0;
        while let Some(n) = nat.receive(&mut out) {
            assert!((60..=FRAME).contains(&n), "a frame of {n} bytes");
            took += 1;
            assert!(took < 10_000, "one frame has answers without end");
        }
    }
}

/// The same frame with right addresses and checksums, so that random changes reach the code behind them.
fn right(frame: &[u8]) -> Option<Vec<u8>> {
    let mut f = frame.to_vec();
    f.get_mut(..6)?.copy_from_slice(GATEWAY_MAC.as_bytes());
    *f.get_mut(6)? &= !1;
    let mut ip = Ipv4Packet::new_unchecked(f.get_mut(ETH..)?);
    if ip.check_len().is_err() || usize::from(ip.header_len()) < IPV4 {
        return Some(f);
    }
    ip.fill_checksum();
    let (src, dst, kind) = (ip.src_addr().into(), ip.dst_addr().into(), ip.next_header());
    let payload = ip.payload_mut();
    match kind {
        IpProtocol::Tcp => {
            let mut p = TcpPacket::new_unchecked(payload);
            if p.check_len().is_ok() {
                p.fill_checksum(&src, &dst);
            }
        }
        IpProtocol::Udp => {
            let mut p = UdpPacket::new_unchecked(payload);
            if p.check_len().is_ok() {
                p.fill_checksum(&src, &dst);
            }
        }
        IpProtocol::Icmp => {
            let mut p = smoltcp::wire::Icmpv4Packet::new_unchecked(payload);
            if p.check_len().is_ok() {
                p.fill_checksum();
            }
        }
        _ => {}
    }
    Some(f)
}
