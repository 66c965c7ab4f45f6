//! Warnings and errors of this process are events of its machine, whatever HEIRLOOM_LOG lets through to standard error.

use std::fmt::{Debug, Write};
use std::sync::OnceLock;

use tracing::Level;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;
use vmm::{Event, Events};

/// A process runs one machine.
static EVENTS: OnceLock<Events> = OnceLock::new();

/// From now on they are told there.
pub(crate) fn tell_to(events: Events) {
    // A second machine in this process, in a test, has none.
    let _ = EVENTS.set(events);
}

/// Tells warnings and errors.
pub(crate) fn layer<S: tracing::Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    Notices.with_filter(LevelFilter::WARN)
}

struct Notices;

impl<S: tracing::Subscriber> Layer<S> for Notices {
    fn on_event(&self, e: &tracing::Event<'_>, _: Context<'_, S>) {
        let Some(to) = EVENTS.get() else { return };
        let m = e.metadata();
        let mut said = Said::default();
        e.record(&mut said);
        let message = said.message + &said.fields;
        if !is_told_otherwise(m.target(), &message) {
            let (error, area) = (*m.level() == Level::ERROR, area(m.target()));
            to.tell(Event::Notice { error, area, message });
        }
    }
}

/// What the host failed a disk is told with path and sector.
fn is_told_otherwise(target: &str, message: &str) -> bool {
    target.starts_with("vmm::disks") && message.starts_with("disk ")
}

fn area(target: &str) -> &'static str {
    let areas = [
        ("host_io::disk", "disk"),
        ("vmm::disks", "disk"),
        ("heirloom::run::undo", "disk"),
        ("host_io::net", "network"),
        ("host_io::audio", "audio"),
        ("host_io::display", "display"),
        ("host_io::serial", "serial"),
        ("vmm::clock", "clock"),
    ];
    areas.iter().find(|(t, _)| target.starts_with(t)).map_or("machine", |(_, a)| a)
}

/// A message with its fields behind it.
#[derive(Default)]
struct Said {
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_debug(&mut self, f: &Field, v: &dyn Debug) {
        // Writing to a string does not fail.
        let _ = match f.name() {
            "message" => write!(self.message, "{v:?}"),
            name => write!(self.fields, " {name}={v:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn warnings_and_errors_become_events() {
        let events = Events::default();
        tell_to(events.clone());
        let all = tracing_subscriber::registry().with(layer());
        tracing::subscriber::with_default(all, || {
            tracing::warn!(target: "host_io::audio::player", "no {}", "sound");
            tracing::info!("nothing to speak of");
            tracing::error!(target: "host_io::net::tap", name = "tap0", "gone");
            tracing::error!(target: "vmm::disks", "disk 0: read at sector 7 failed");
            tracing::error!("else");
        });
        let told: Vec<Event> = events.after(0, 100).records.into_iter().map(|r| r.event).collect();
        let notice = |error, area, message: &str| Event::Notice { error, area, message: message.into() };
        assert_eq!(
            told,
            [
                notice(false, "audio", "no sound"),
                notice(true, "network", "gone name=\"tap0\""),
                notice(true, "machine", "else")
            ]
        );
    }
}
