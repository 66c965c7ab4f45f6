//! Ordered and unordered comparison.

use super::{Env, IE, Kind, Num};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Less,
    Equal,
    Greater,
    Unordered,
}

/// Compares; `quiet` comparisons (FUCOM, UCOMISS, CMPEQPS) take a QNaN without complaint.
#[inline]
pub fn compare(a: &Num, b: &Num, quiet: bool, env: &mut Env) -> Order {
    let nan = |n: &Num| matches!(n.kind, Kind::QNaN | Kind::SNaN | Kind::Unsupported);
    let bad = |n: &Num| matches!(n.kind, Kind::SNaN | Kind::Unsupported);
    if nan(a) || nan(b) {
        if !quiet || bad(a) || bad(b) {
            env.raise(IE);
        }
        return Order::Unordered;
    }
    env.denormals(a, b);
    let key = |n: &Num| {
        let magnitude: (i32, u64) = match n.kind {
            Kind::Zero => (i32::MIN, 0),
            Kind::Inf => (i32::MAX, 0),
            _ => (n.exp, n.sig),
        };
        (n.neg && n.kind != Kind::Zero, magnitude)
    };
    let ((an, am), (bn, bm)) = (key(a), key(b));
    let o = match (an, bn) {
        (false, true) => std::cmp::Ordering::Greater,
        (true, false) => std::cmp::Ordering::Less,
        (false, false) => am.cmp(&bm),
        (true, true) => bm.cmp(&am),
    };
    match o {
        std::cmp::Ordering::Less => Order::Less,
        std::cmp::Ordering::Equal => Order::Equal,
        std::cmp::Ordering::Greater => Order::Greater,
    }
}
