//! ARP: the gateway's address is answered for, and no other.
//!
//! A guest that probes its own new address must hear nothing, or it takes the address for another's.

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress as Mac, EthernetProtocol};

use super::env::{Env, GATEWAY, GATEWAY_MAC};
use super::frame::{self, ETH};

const LEN: usize = 28;

pub(super) fn input(env: &mut Env, payload: &[u8]) {
    let Ok(ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: mac,
        source_protocol_addr: ip,
        target_protocol_addr: target,
        ..
    }) = ArpPacket::new_checked(payload).and_then(|p| ArpRepr::parse(&p))
    else {
        env.counters.malformed.one();
        return;
    };
    env.learn(ip, mac);
    // A probe's sender is 0.0.0.0: somebody else may want to have the gateway's address.
    if operation == ArpOperation::Request && target == GATEWAY && ip != GATEWAY {
        let reply = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: GATEWAY_MAC,
            source_protocol_addr: GATEWAY,
            target_hardware_addr: mac,
            target_protocol_addr: ip,
        };
        env.queue(build(mac, &reply));
    }
}

fn build(to: Mac, repr: &ArpRepr) -> Vec<u8> {
    let mut f = vec![0; 60];
    frame::ethernet(&mut f, to, EthernetProtocol::Arp);
    repr.emit(&mut ArpPacket::new_unchecked(&mut f[ETH..ETH + LEN]));
    f
}
