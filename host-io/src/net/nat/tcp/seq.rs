//! Sequence numbers, which wrap.

/// Is `a` before `b`?
pub(super) fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// The later one.
pub(super) fn later(a: u32, b: u32) -> u32 {
    if before(a, b) { b } else { a }
}

/// From `a` to `b`, or nothing if `b` is before `a`.
pub(super) fn ahead(a: u32, b: u32) -> u32 {
    if before(b, a) { 0 } else { b.wrapping_sub(a) }
}
