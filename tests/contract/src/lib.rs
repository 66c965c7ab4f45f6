//! Only the tests of this package matter: see `tests/vcpu_contract.rs`.
