//! What the guest says of itself, and keys and values.

use std::sync::mpsc::Sender;

use channel::services::information::{
    About, Ask, KEY_MOST, PAIRS_MOST, Package, Pair, Software, ToGuest, ToHost, VALUE_MOST,
};
use devices::channel::Refused;
use minicbor::{Decode, Encode};

use super::{At, GuestError, Request, Service, parse};

#[derive(Default)]
pub(super) struct Information {
    about: Option<About>,
    values: Vec<(String, String)>,
    software: Vec<Sender<Result<Vec<Package>, GuestError>>>,
}

#[derive(Encode, Decode)]
struct Saved {
    #[n(0)]
    about: Option<About>,
    #[n(1)]
    values: Vec<(String, String)>,
}

impl Service for Information {
    fn opened(&mut self, at: &mut At<'_, '_>) {
        at.send(&ToGuest::Ask(Ask { software: false }));
    }

    fn message(&mut self, at: &mut At<'_, '_>, message: &[u8]) -> Result<(), Refused> {
        match parse(at, message)? {
            Some(ToHost::About(about)) => {
                self.about = Some(about.clone());
                at.shown().about = Some(about);
            }
            Some(ToHost::Set(Pair { key, value })) => {
                if key.is_empty() || key.len() > KEY_MOST || value.len() > VALUE_MOST {
                    return Err(Refused);
                }
                self.values.retain(|(k, _)| *k != key);
                if !value.is_empty() && self.values.len() < PAIRS_MOST {
                    self.values.push((key, value));
                }
                at.shown().values = self.values.clone();
            }
            Some(ToHost::Software(Software { packages })) => {
                for done in self.software.drain(..) {
                    let _ = done.send(Ok(packages.clone()));
                }
            }
            Some(ToHost::Unsupported(_)) => {
                for done in self.software.drain(..) {
                    let _ = done.send(Err(GuestError::Unsupported));
                }
            }
            None => {}
        }
        Ok(())
    }

    fn closed(&mut self, at: &mut At<'_, '_>) {
        *self = Self::default();
        let mut shown = at.shown();
        shown.about = None;
        shown.values.clear();
    }

    fn request(&mut self, at: &mut At<'_, '_>, request: Request) {
        if !at.open() {
            return;
        }
        match request {
            Request::Set { key, value } => at.send(&ToGuest::Set(Pair { key, value })),
            Request::Software(done) => {
                self.software.push(done);
                at.send(&ToGuest::Ask(Ask { software: true }));
            }
            _ => {}
        }
    }

    fn missed(&mut self, at: &mut At<'_, '_>) {
        let mut shown = at.shown();
        shown.about = self.about.clone();
        shown.values = self.values.clone();
    }

    fn save(&self) -> Vec<u8> {
        super::wire::bytes(&Saved { about: self.about.clone(), values: self.values.clone() })
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), minicbor::decode::Error> {
        let Saved { about, values } = minicbor::decode(saved)?;
        (self.about, self.values) = (about, values);
        Ok(())
    }
}
