//! Display adapters.
