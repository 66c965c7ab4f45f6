//! VNC Authentication. RFC 6143 7.2.2: the client encrypts a challenge with DES under the password.

use des::Des;
use des::cipher::{Array, BlockCipherEncrypt, KeyInit};

/// What a client that knows the password answers. The key is the password's first eight bytes, padded with zeros,
/// each with its bits mirrored: an old slip that all implementations keep.
pub fn response(password: &str, challenge: [u8; 16]) -> [u8; 16] {
    let mut key = [0; 8];
    for (k, p) in key.iter_mut().zip(password.bytes()) {
        *k = p.reverse_bits();
    }
    let des = Des::new(&Array::from(key));
    let mut out = challenge;
    for block in out.chunks_exact_mut(8) {
        let mut b = Array::<u8, _>::try_from(&*block).unwrap_or_default();
        des.encrypt_block(&mut b);
        block.copy_from_slice(&b);
    }
    out
}

/// Compares without telling by its time where the difference is.
pub fn matches(a: [u8; 16], b: [u8; 16]) -> bool {
    a.iter().zip(b).fold(0, |d, (a, b)| d | (a ^ b)) == 0
}
