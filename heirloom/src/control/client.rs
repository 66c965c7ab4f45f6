//! The client half: requests to a machine, and its stream of events.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ErrorBody, EventBody, PACE, alive, names, socket};

/// Sends one request to a machine and waits for the head of its answer; an error if it is one.
async fn send(
    name: &str,
    method: &str,
    path: &str,
    body: Option<Vec<u8>>,
    patience: Duration,
) -> Result<hyper::Response<Incoming>> {
    let at = socket(name);
    if !alive(&at) {
        let running = names().unwrap_or_default();
        let others =
            if running.is_empty() { "none is".into() } else { format!("running: {}", running.join(", ")) };
        bail!("no machine named {name:?} is running ({others})");
    }
    let stream = tokio::net::UnixStream::connect(&at).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut r = hyper::Request::builder().method(method).uri(path).header("host", "heirloom");
    if body.is_some() {
        r = r.header("content-type", "application/json");
    }
    let request = r.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
    let answer = tokio::time::timeout(patience, sender.send_request(request))
        .await
        .with_context(|| format!("machine {name:?} does not answer"))??;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let bytes = answer.into_body().collect().await?.to_bytes();
    match serde_json::from_slice::<ErrorBody>(&bytes) {
        Ok(e) => bail!("{}", e.error),
        Err(_) => bail!("machine {name:?} answered {status} to {method} {path}"),
    }
}

pub(super) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// How long a machine may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

fn request_within(
    name: &str,
    method: &str,
    path: &str,
    body: Option<Vec<u8>>,
    patience: Duration,
) -> Result<Vec<u8>> {
    runtime()?.block_on(async {
        let answer = send(name, method, path, body, patience).await?;
        Ok(answer.into_body().collect().await?.to_bytes().to_vec())
    })
}

/// Sends one request to a machine; the body of the answer if it is a success, else its error.
pub(crate) fn request(name: &str, method: &str, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>> {
    // A character of a text to type is four strokes at most.
    let typing = 4 * PACE * body.as_ref().map_or(0, Vec::len) as u32;
    request_within(name, method, path, body, PATIENCE + typing)
}

pub(crate) fn get<T: DeserializeOwned>(name: &str, path: &str) -> Result<T> {
    get_within(name, path, PATIENCE)
}

pub(crate) fn get_within<T: DeserializeOwned>(name: &str, path: &str, patience: Duration) -> Result<T> {
    Ok(serde_json::from_slice(&request_within(name, "GET", path, None, patience)?)?)
}

pub(crate) fn post<T: Serialize>(name: &str, path: &str, body: &T) -> Result<Vec<u8>> {
    request(name, "POST", path, Some(serde_json::to_vec(body)?))
}

pub(crate) fn post_within<T: Serialize>(
    name: &str,
    path: &str,
    body: &T,
    patience: Duration,
) -> Result<Vec<u8>> {
    request_within(name, "POST", path, Some(serde_json::to_vec(body)?), patience)
}

/// Why a reader of events stopped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Enough,
    Ended,
    TimedOut,
}

/// Reads events as they come, until the reader has enough (false), there are no more or the time is over.
pub(crate) fn stream(
    name: &str,
    path: &str,
    end: Option<Instant>,
    reader: impl FnMut(EventBody) -> bool,
) -> Result<Stream> {
    read(name, "GET", path, None, end, reader)
}

/// Asks for something whose answer is a stream of events, and reads them until the reader has enough.
pub(crate) fn stream_of<T: DeserializeOwned>(
    name: &str,
    path: &str,
    body: &impl Serialize,
    reader: impl FnMut(T) -> bool,
) -> Result<Stream> {
    read(name, "POST", path, Some(serde_json::to_vec(body)?), None, reader)
}

fn read<T: DeserializeOwned>(
    name: &str,
    method: &str,
    path: &str,
    body: Option<Vec<u8>>,
    end: Option<Instant>,
    mut reader: impl FnMut(T) -> bool,
) -> Result<Stream> {
    let read = async {
        let mut body = send(name, method, path, body, PATIENCE).await?.into_body();
        let mut lines = Lines::default();
        while let Some(frame) = body.frame().await {
            // Broken off: the machine's process was killed.
            let Ok(frame) = frame else { break };
            for line in lines.push(frame.data_ref().map_or(&[], |d| &d[..])) {
                if let Some(json) = line.strip_prefix("data: ")
                    && !reader(serde_json::from_str(json)?)
                {
                    return Ok(Stream::Enough);
                }
            }
        }
        Ok(Stream::Ended)
    };
    runtime()?.block_on(async {
        match end {
            None => read.await,
            Some(end) => tokio::time::timeout_at(end.into(), read).await.unwrap_or(Ok(Stream::TimedOut)),
        }
    })
}

/// Whole lines of what comes in pieces.
#[derive(Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let whole = self.0.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        let lines: Vec<u8> = self.0.drain(..whole).collect();
        String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect()
    }
}
