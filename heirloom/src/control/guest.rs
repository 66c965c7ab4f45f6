//! `/v1/guest...`: what the machine's integration channel gives.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use vmm::services::{self, Guest, GuestError, Output, TestKind};

use super::server::{Failed, Json, Target, ask, refused};

/// What `GET /v1/guest` answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GuestBody {
    pub(crate) services: Vec<ServiceBody>,
    /// Left out while no agent is there; so is what only an agent tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<AgentBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) about: Option<AboutBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clock: Option<ClockBody>,
    /// What the guest has left for the host.
    pub(crate) values: Vec<ValueBody>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceBody {
    pub(crate) name: String,
    pub(crate) offered: bool,
    pub(crate) open: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AgentBody {
    /// Its name and version, as it says.
    pub(crate) name: String,
    /// linux, windows or other.
    pub(crate) system: String,
    /// pci or serial.
    pub(crate) transport: String,
    /// It answered the last three heartbeats.
    pub(crate) alive: bool,
    /// Milliseconds since the guest began, as of its last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) up_ms: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AboutBody {
    pub(crate) system: String,
    pub(crate) version: String,
    pub(crate) name: String,
    pub(crate) domain: String,
    pub(crate) agent: String,
    pub(crate) users: Vec<String>,
    pub(crate) memory: u64,
    pub(crate) memory_free: u64,
    /// Minutes that local time is ahead of UTC.
    pub(crate) zone: i32,
    pub(crate) adapters: Vec<AdapterBody>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AdapterBody {
    pub(crate) name: String,
    pub(crate) mac: String,
    pub(crate) addresses: Vec<String>,
}

/// The guest's clock, as of its last answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClockBody {
    pub(crate) ahead_ns: i64,
    /// It was set, not slewed.
    pub(crate) stepped: bool,
}

/// A key and its value. An empty value takes the key away.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValueBody {
    pub(crate) key: String,
    pub(crate) value: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PackageBody {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) publisher: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfferBody {
    pub(crate) service: String,
    pub(crate) on: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PowerAction {
    Shutdown,
    Restart,
    Logoff,
    Lock,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PowerBody {
    pub(crate) action: PowerAction,
    /// Programs that don't answer are ended.
    #[serde(default)]
    pub(crate) force: bool,
    /// Shown to users.
    #[serde(default)]
    pub(crate) message: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunBody {
    /// A program and its arguments.
    pub(crate) arguments: Vec<String>,
    /// Empty: the agent's own; `@session`: who is logged on at the screen.
    #[serde(default)]
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) folder: String,
    /// `NAME=VALUE`.
    #[serde(default)]
    pub(crate) environment: Vec<String>,
    /// Its window is shown.
    #[serde(default)]
    pub(crate) shown: bool,
    /// It goes on without whoever asked; input and output are not wanted.
    #[serde(default)]
    pub(crate) detached: bool,
}

/// What comes of a program, an event each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum RunEvent {
    /// `id`: for input and kill.
    Accepted {
        id: u32,
    },
    Started {
        process: u32,
    },
    /// Base64.
    Out {
        data: String,
    },
    Err {
        data: String,
    },
    Exited {
        code: u32,
    },
    Failed {
        error: String,
    },
    /// Of a newer release than this.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputBody {
    pub(crate) id: u32,
    /// Base64; empty: the end of the input.
    pub(crate) data: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KillBody {
    pub(crate) id: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TestName {
    /// One message at a time, there and back
    RoundTrip,
    ToHost,
    ToGuest,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestBody {
    pub(crate) test: TestName,
    /// Bytes of a message.
    pub(crate) size: u32,
    /// Messages.
    pub(crate) count: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TestedBody {
    /// By the guest's clock.
    pub(crate) nanoseconds: u64,
    pub(crate) size: u32,
    pub(crate) count: u32,
}

fn failed(e: GuestError) -> Failed {
    let status = match e {
        GuestError::Gone => StatusCode::GONE,
        GuestError::Bad(_) => StatusCode::UNPROCESSABLE_ENTITY,
        GuestError::Silent(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    };
    Failed(status, e.to_string())
}

impl Target {
    fn guest(&self) -> Result<Guest, Failed> {
        self.machine.guest().map_err(failed)
    }
}

type Done = Result<StatusCode, Failed>;

async fn act(t: Target, f: impl FnOnce(&Guest) -> Result<(), GuestError> + Send + 'static) -> Done {
    ask(move || f(&t.guest()?).map_err(failed)).await.map(|()| StatusCode::NO_CONTENT)
}

pub(crate) fn agent(a: &services::AgentSeen) -> AgentBody {
    let system = match a.system {
        services::System::Linux => "linux",
        services::System::Windows => "windows",
        services::System::Other => "other",
    };
    AgentBody {
        name: a.name.clone(),
        system: system.into(),
        transport: if a.serial { "serial" } else { "pci" }.into(),
        alive: true,
        up_ms: None,
    }
}

pub(super) async fn guest(State(t): State<Target>) -> Result<Json<GuestBody>, Failed> {
    let s = t.guest()?.shown();
    let is = |v: &[bool], n: usize| v.get(n).copied().unwrap_or_default();
    let about = |a: services::About| AboutBody {
        system: a.system,
        version: a.version,
        name: a.name,
        domain: a.domain,
        agent: a.agent,
        users: a.users,
        memory: a.memory,
        memory_free: a.memory_free,
        zone: a.zone,
        adapters: (a.adapters.into_iter())
            .map(|a| AdapterBody { name: a.name, mac: a.mac, addresses: a.addresses })
            .collect(),
    };
    Ok(Json(GuestBody {
        services: (services::NAMES.iter().enumerate())
            .map(|(n, name)| ServiceBody {
                name: (*name).into(),
                offered: is(&s.on, n),
                open: is(&s.open, n),
            })
            .collect(),
        agent: s.agent.as_ref().map(|a| AgentBody {
            alive: s.unanswered < services::STUCK,
            up_ms: s.up,
            ..agent(a)
        }),
        about: s.about.map(about),
        clock: s.ahead.map(|(ahead_ns, stepped)| ClockBody { ahead_ns, stepped }),
        values: s.values.into_iter().map(|(key, value)| ValueBody { key, value }).collect(),
    }))
}

pub(super) async fn software(State(t): State<Target>) -> Result<Json<Vec<PackageBody>>, Failed> {
    let all = ask(move || t.guest()?.software().map_err(failed)).await?;
    let body =
        |p: services::Package| PackageBody { name: p.name, version: p.version, publisher: p.publisher };
    Ok(Json(all.into_iter().map(body).collect()))
}

pub(super) async fn set(State(t): State<Target>, Json(b): Json<ValueBody>) -> Done {
    act(t, move |g| g.set(&b.key, &b.value)).await
}

pub(super) async fn offer(State(t): State<Target>, Json(b): Json<OfferBody>) -> Done {
    act(t, move |g| g.offer(&b.service, b.on)).await
}

pub(super) async fn power(State(t): State<Target>, Json(b): Json<PowerBody>) -> Done {
    let action = match b.action {
        PowerAction::Shutdown => services::Action::ShutDown,
        PowerAction::Restart => services::Action::Restart,
        PowerAction::Logoff => services::Action::LogOff,
        PowerAction::Lock => services::Action::Lock,
    };
    let order = services::Do { request: 0, action, force: b.force, message: b.message };
    act(t, move |g| g.power(order)).await
}

/// Kills the program when whoever asked goes away.
struct Leash {
    guest: Guest,
    id: u32,
    ended: bool,
}

impl Drop for Leash {
    fn drop(&mut self) {
        if !self.ended {
            // The machine may be gone, and the program with it.
            let _ = self.guest.kill(self.id);
        }
    }
}

fn event(o: Output) -> RunEvent {
    match o {
        Output::Started(process) => RunEvent::Started { process },
        Output::Data(services::Stream::Out, b) => RunEvent::Out { data: STANDARD.encode(b) },
        Output::Data(services::Stream::Error, b) => RunEvent::Err { data: STANDARD.encode(b) },
        Output::Ended(Ok(code)) => RunEvent::Exited { code },
        Output::Ended(Err(e)) => RunEvent::Failed { error: e.to_string() },
    }
}

/// Starts a program; the answer is a stream of what comes of it, and its end ends the program.
pub(super) async fn run(
    State(t): State<Target>,
    Json(b): Json<RunBody>,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, Failed> {
    const ALIVE: Duration = Duration::from_secs(15);
    let guest = t.guest()?;
    let detached = b.detached;
    let order = services::Run {
        id: 0,
        arguments: b.arguments,
        user: b.user,
        folder: b.folder,
        environment: b.environment,
        shown: b.shown,
        detached,
    };
    let asked = guest.clone();
    let mut program = ask(move || asked.run(order).map_err(failed)).await?;
    let id = program.id();
    let (to, from) = mpsc::channel(4);
    let first = RunEvent::Accepted { id };
    // A thread for each program: it ends with it, or when nobody reads any more.
    std::thread::Builder::new()
        .name("program".into())
        .spawn(move || {
            while let Some(o) = program.output() {
                let last = detached && matches!(o, Output::Started(_));
                if to.blocking_send(event(o)).is_err() {
                    return;
                }
                if last {
                    return program.leave();
                }
            }
        })
        .map_err(|e| refused(format!("the host has no thread for it: {e}")))?;
    let leash = Leash { guest, id, ended: false };
    let all = stream::unfold((Some(first), from, leash), move |(first, mut from, mut leash)| async move {
        let next = match first {
            Some(e) => e,
            None => from.recv().await?,
        };
        leash.ended |= match next {
            RunEvent::Exited { .. } | RunEvent::Failed { .. } => true,
            RunEvent::Started { .. } => detached,
            _ => false,
        };
        let m = Message::default().data(serde_json::to_string(&next).unwrap_or_default());
        Some((Ok(m), (None, from, leash)))
    });
    Ok(Sse::new(all).keep_alive(KeepAlive::new().interval(ALIVE)))
}

pub(super) async fn input(State(t): State<Target>, Json(b): Json<InputBody>) -> Done {
    let bytes = STANDARD.decode(&b.data).map_err(|e| refused(format!("data is no base64: {e}")))?;
    act(t, move |g| g.input(b.id, bytes)).await
}

pub(super) async fn kill(State(t): State<Target>, Json(b): Json<KillBody>) -> Done {
    act(t, move |g| g.kill(b.id)).await
}

pub(super) async fn test(
    State(t): State<Target>,
    Json(b): Json<TestBody>,
) -> Result<Json<TestedBody>, Failed> {
    let kind = match b.test {
        TestName::RoundTrip => TestKind::RoundTrip,
        TestName::ToHost => TestKind::ToHost,
        TestName::ToGuest => TestKind::ToGuest,
    };
    let r = ask(move || t.guest()?.test(kind, b.size, b.count).map_err(failed)).await?;
    Ok(Json(TestedBody { nanoseconds: r.nanoseconds, size: r.size, count: r.count }))
}
