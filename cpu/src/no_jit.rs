//! In place of the translator on hosts that it has no code for: there is never one.

use std::convert::Infallible;

use hv_vcpu::GuestIo;

use crate::fault::Fault;
use crate::fpu::Fpu;
use crate::run::Engine;

/// No host instructions here either.
pub(crate) fn on_host(_: &mut Fpu, _: u8) -> bool {
    false
}

#[derive(Default)]
pub(crate) struct Hot;

pub(crate) struct Jit(Infallible);

impl Jit {
    pub(crate) fn new(_: &crate::Software) -> Result<Self, String> {
        Err("translated code needs an x86-64 host".to_owned())
    }

    pub(crate) fn metrics(&self) -> Vec<(&'static str, u64)> {
        match self.0 {}
    }
}

pub(crate) enum Left {
    Boundary,
    Fault(usize, Fault),
    Next(Option<u32>),
    Budget(u64),
    Refused,
}

impl Engine {
    pub(crate) fn may_translate(&self) -> bool {
        false
    }

    pub(crate) fn find_translation(&self) -> Option<u32> {
        None
    }

    pub(crate) fn know_page(&mut self, _: &mut dyn GuestIo) -> bool {
        false
    }

    pub(crate) fn translation(&mut self, _: u32) -> bool {
        false
    }

    pub(crate) fn retire_dropped(&mut self) {
        self.cache.dropped_code.clear();
        self.cache.all_dropped = false;
    }

    pub(crate) fn enter(&mut self, _: &mut dyn GuestIo, _: u32) -> Left {
        Left::Boundary
    }

    pub(crate) fn link(&mut self, _: u32, _: u32) {}

    pub(crate) fn remember_translation(&mut self, _: u32) {}
}
