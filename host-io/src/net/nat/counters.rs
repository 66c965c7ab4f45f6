//! What happened on the cable, for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows. One thread adds, others may look.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, n: u64) {
        // There is one writer.
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    pub(super) fn one(&self) {
        self.add(1);
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)+) => {
        /// Counts since the network was made.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])* pub $name: Counter,)+
        }

        impl Counters {
            /// Names and values, for a table.
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get())),+]
            }
        }
    };
}

counters! {
    /// Frames from the guest.
    frames_from_guest,
    bytes_from_guest,
    /// Frames to the guest.
    frames_to_guest,
    bytes_to_guest,
    /// From the guest: cut short, or with a field that can't be.
    malformed,
    /// From the guest: a checksum is wrong.
    bad_checksums,
    /// From the guest: for nobody here, or of a protocol that is not carried.
    ignored,
    /// From the guest: to where it may not go (`host=allow` may be wanted).
    denied,
    /// Small frames that the guest did not take in time.
    overruns,
    /// TCP connections ever made, by the guest or to it.
    tcp_opened,
    /// TCP connections that the far end refused.
    tcp_refused,
    /// TCP connections given up to make room for others.
    tcp_evicted,
    /// TCP segments sent to the guest again.
    tcp_resent,
    /// TCP segments from the guest that came before those they follow.
    tcp_out_of_order,
    /// UDP sources that were given a socket.
    udp_opened,
    /// Datagrams that were put together from fragments.
    reassembled,
    /// Names asked for.
    dns_queries,
    dhcp_acks,
}
