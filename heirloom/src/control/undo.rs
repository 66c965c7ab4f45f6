//! `/v1/undo`: what becomes of undo disks when the run is over.

use std::path::PathBuf;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use vmm::spec::UndoClose;
use vmm::{Event, NoAnswer, Phase};

use super::server::{Failed, Json, Target, gone, refused};

/// What becomes of undo disks when the machine is off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UndoAction {
    /// They stay, and the next run goes on with them
    Keep,
    /// They are merged into their images
    Commit,
    /// They are removed
    Discard,
}

impl UndoAction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Commit => "commit",
            Self::Discard => "discard",
        }
    }
}

impl From<UndoClose> for UndoAction {
    fn from(c: UndoClose) -> Self {
        match c {
            UndoClose::Keep => Self::Keep,
            UndoClose::Commit => Self::Commit,
            UndoClose::Discard => Self::Discard,
        }
    }
}

impl From<UndoAction> for UndoClose {
    fn from(a: UndoAction) -> Self {
        match a {
            UndoAction::Keep => Self::Keep,
            UndoAction::Commit => Self::Commit,
            UndoAction::Discard => Self::Discard,
        }
    }
}

/// What `POST /v1/undo` takes. Without a disk: all that have an undo disk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndoBody {
    /// From 1, in the order of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) disk: Option<usize>,
    pub(crate) action: UndoAction,
}

/// A disk with an undo disk, as `GET /v1/undo` lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UndoDiskBody {
    pub(crate) disk: usize,
    pub(crate) image: PathBuf,
    pub(crate) undo_file: PathBuf,
    pub(crate) action: UndoAction,
}

pub(super) async fn undo_disks(State(t): State<Target>) -> Json<Vec<UndoDiskBody>> {
    let all = t.undo_disks.into_iter().zip(t.undo.all());
    Json(all.map(|(d, now)| UndoDiskBody { action: now.into(), ..d }).collect())
}

pub(super) async fn undo(State(t): State<Target>, Json(b): Json<UndoBody>) -> Result<StatusCode, Failed> {
    let wanted = |d: &UndoDiskBody| b.disk.is_none_or(|n| n == d.disk);
    let chosen: Vec<usize> = (0..).zip(&t.undo_disks).filter(|(_, d)| wanted(d)).map(|(n, _)| n).collect();
    if chosen.is_empty() {
        let which = b.disk.map_or("no disk".into(), |n| format!("no disk {n}"));
        return Err(refused(format!(
            "the machine has {which} with an undo disk; start it with --disk IMAGE,undo"
        )));
    }
    if t.machine.phase() == Phase::Off {
        return Err(gone(NoAnswer::Gone));
    }
    let action = b.action.name();
    for n in chosen {
        t.undo.set(n, b.action.into());
        t.feed.events.tell(Event::Undo { disk: t.undo_disks[n].disk, action });
    }
    Ok(StatusCode::NO_CONTENT)
}
