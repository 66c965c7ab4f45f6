//! Chips at fixed ports, as an AT has them.
