use std::time::Instant;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;
use vmm::KEPT;

use super::*;
use crate::control::testbed::{Bed, diskette, text};
use crate::control::{Lines, runtime};

/// The messages of a stream, checked against each other: id, name, data.
fn messages(text: &str) -> Vec<EventBody> {
    let whole = text.split_terminator("\n\n").filter(|m| !m.starts_with(':'));
    whole
        .map(|m| {
            let field = |name: &str| {
                let mut all = m.lines().filter_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
                let one = all.next().unwrap_or_else(|| panic!("no {name} in {m:?}"));
                assert!(all.next().is_none(), "{m:?}");
                one.to_owned()
            };
            let json: serde_json::Value = serde_json::from_str(&field("data")).unwrap();
            assert_eq!(json["id"], field("id"));
            assert_eq!(json["event"], field("event"));
            serde_json::from_value(json).unwrap()
        })
        .collect()
}

fn kept(bed: &Bed, query: &str) -> Vec<EventBody> {
    let a = bed.ask("get", &format!("/v1/events?follow=false{query}"), None);
    assert_eq!((a.status.as_u16(), a.kind.as_str()), (200, "text/event-stream"));
    messages(&String::from_utf8(a.body).unwrap())
}

fn kinds(all: &[EventBody]) -> Vec<What> {
    all.iter().map(|e| e.what.clone()).collect()
}

fn link(adapter: usize) -> Event {
    Event::Link { adapter, up: true }
}

/// A machine that has told exactly so many more events about a link.
fn paused(test: &str) -> (Bed, Vec<EventBody>) {
    let bed = Bed::new(test);
    bed.machine.pause().unwrap();
    let all = kept(&bed, "");
    assert_eq!(
        (all[0].what.clone(), all.last().map(|e| e.what.clone())),
        (What::Running, Some(What::Paused))
    );
    (bed, all)
}

#[test]
fn a_reader_that_comes_back_misses_nothing() {
    let (bed, before) = paused("events-back");
    let last = &before.last().unwrap().id;
    assert!(kept(&bed, &format!("&after={last}")).is_empty());
    assert!(kept(&bed, "&after=now").is_empty());
    bed.machine.resume().unwrap();
    bed.machine.pause().unwrap();
    let new = kept(&bed, &format!("&after={last}"));
    assert_eq!(kinds(&new), [What::Running, What::Paused]);
    assert!(new[0].guest_ns >= before.last().unwrap().guest_ns && new[0].time >= before[0].time);
    assert!(new[0].time.parse::<jiff::Timestamp>().is_ok(), "{}", new[0].time);
    assert_eq!(kept(&bed, &format!("&after={}", new[0].id)), new[1..]);
    // A browser tells the header beside the query of its first request.
    let r = Request::get("/v1/events?follow=false&after=now").header("last-event-id", &new[0].id);
    let body = runtime().unwrap().block_on(async {
        let a = bed.routes.clone().oneshot(r.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(text(a.headers(), "cache-control"), "no-cache");
        a.into_body().collect().await.unwrap().to_bytes()
    });
    assert_eq!(messages(&String::from_utf8_lossy(&body)), new[1..]);
}

#[test]
fn a_reader_is_told_what_it_missed() {
    let (bed, before) = paused("events-missed");
    let last = &before.last().unwrap().id;
    (0..KEPT + 5).for_each(|n| bed.events.tell(link(n)));
    let all = kept(&bed, &format!("&after={last}"));
    assert_eq!(all.len(), 1 + KEPT);
    assert_eq!(all[0].what, What::Missed { why: "old".into() });
    assert_eq!(all[1].what, What::Link { adapter: 6, up: true });
    // With the id of that it goes on behind it.
    assert_eq!(kept(&bed, &format!("&after={}", all[0].id)), all[1..]);
    // An id of another run of the machine.
    let other = kept(&bed, "&after=0-3");
    assert_eq!(other[0].what, What::Missed { why: "another-run".into() });
    assert_eq!(other[1].what, What::Missed { why: "old".into() });
    assert_eq!(other[2..], all[1..]);
    for bad in ["x", "1f", "-1", "1f-", "1f-x", "zz-1", last.as_str().rsplit_once('-').unwrap().0] {
        let a = bed.ask("get", &format!("/v1/events?after={bad}"), None);
        assert_eq!(a.status, 422, "{bad}");
    }
    let ahead = format!("{}-999999", last.rsplit_once('-').unwrap().0);
    assert_eq!(bed.ask("get", &format!("/v1/events?after={ahead}"), None).status, 422);
}

#[test]
fn a_reader_that_does_not_read_holds_nothing_up() {
    let (bed, _) = paused("events-slow");
    runtime().unwrap().block_on(async {
        let r = Request::get("/v1/events").body(Body::empty()).unwrap();
        let mut body = bed.routes.clone().oneshot(r).await.unwrap().into_body();
        let begun = Instant::now();
        (0..100_000).for_each(|n| bed.events.tell(link(n)));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        bed.events.close();
        let (mut lines, mut data) = (Lines::default(), Vec::new());
        while let Some(frame) = body.frame().await {
            data.extend(lines.push(frame.unwrap().data_ref().unwrap()));
        }
        let json = data.iter().filter_map(|l| l.strip_prefix("data: "));
        let all: Vec<EventBody> = json.map(|d| serde_json::from_str(d).unwrap()).collect();
        assert_eq!(all[0].what, What::Missed { why: "old".into() });
        assert_eq!(all.len(), 1 + KEPT);
        assert_eq!(all.last().unwrap().what, What::Link { adapter: 100_000, up: true });
    });
}

#[test]
fn what_the_user_does_is_told_until_the_machine_is_off() {
    let (mut bed, before) = paused("events-told");
    let (floppy, state) = (bed.file("a.img"), bed.file("state"));
    diskette(&floppy);
    let post = |path: &str, body: serde_json::Value| {
        let a = bed.ask("post", path, Some(&body.to_string()));
        assert!(a.status.is_success(), "{path}: {}", String::from_utf8_lossy(&a.body));
    };
    post("/v1/insert", serde_json::json!({"drive": "a", "path": floppy, "read_only": true}));
    post("/v1/eject", serde_json::json!({"drive": "a"}));
    post("/v1/undo", serde_json::json!({"action": "discard"}));
    assert_eq!(bed.ask("post", "/v1/shutdown", None).status, 409);
    bed.machine.resume().unwrap();
    bed.machine.reset().unwrap();
    post("/v1/save", serde_json::json!({"path": state}));
    bed.outcome();
    bed.events.tell(Event::Off { reason: "saved", exit_code: 0 });
    bed.events.close();
    // Without end otherwise: it follows.
    let a = bed.ask("get", &format!("/v1/events?after={}", before.last().unwrap().id), None);
    let mut all = kinds(&messages(&String::from_utf8(a.body).unwrap()));
    // The BIOS may or may not have come so far.
    all.retain(|w| !matches!(w, What::Lamps { .. } | What::Display { .. }));
    assert_eq!(
        all,
        [
            What::Inserted { drive: "a".into(), path: floppy, read_only: true },
            What::Ejected { drive: "a".into(), by: "user".into() },
            What::Undo { disk: 1, action: "discard".into() },
            What::PowerButton { result: "paused".into() },
            What::Running,
            What::Reset { by: "user".into() },
            What::Saving { path: state },
            What::Off { reason: "saved".into(), exit_code: 0 },
        ]
    );
}

#[test]
fn drives_have_the_names_that_insert_takes() {
    let told = |bay| what(&Event::EjectedByGuest(bay), &[2, 3]);
    for (bay, name) in [(Bay::Cdrom(2), "cdrom"), (Bay::Cdrom(3), "cdrom2"), (Bay::Floppy(1), "b")] {
        assert_eq!(told(bay), What::Ejected { drive: name.into(), by: "guest".into() });
    }
}

#[test]
fn a_full_disk_is_another_event() {
    let of = |full| {
        let path = "/a.vhd".into();
        let t = DiskTrouble { path, operation: "write", sector: Some(9), full, error: "no".into() };
        serde_json::to_value(what(&Event::DiskFault(t), &[])).unwrap()["event"].clone()
    };
    assert_eq!((of(true), of(false)), ("disk-full".into(), "disk-fault".into()));
}
