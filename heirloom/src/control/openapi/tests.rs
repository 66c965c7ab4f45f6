//! Document and server say the same.

use std::collections::BTreeSet;

use clap::Args as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use vmm::Outcome;

use super::DOCUMENT;
use crate::control::metrics::parse;
use crate::control::server::table;
use crate::control::testbed::{Answer, Bed, diskette};
use crate::control::*;

fn document() -> Value {
    serde_json::from_str(DOCUMENT).expect("the document is JSON")
}

/// Method, path and operation.
fn operations(doc: &Value) -> Vec<(String, String, Value)> {
    let paths = doc["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(p, all)| {
            let all = all.as_object().expect("operations");
            all.iter().map(|(m, op)| (m.clone(), p.clone(), op.clone()))
        })
        .collect()
}

/// Does a value fit a schema? Knows what the document uses, and fails at all else.
fn fits(doc: &Value, schema: &Value, v: &Value) -> Result<(), String> {
    let bad = |what: &str| Err(format!("{v} is not {what} of {schema}"));
    for (key, want) in schema.as_object().ok_or("a schema is an object")? {
        match key.as_str() {
            "$ref" => {
                let at = want.as_str().and_then(|r| r.strip_prefix('#')).ok_or("a reference")?;
                fits(doc, doc.pointer(at).ok_or(format!("nothing is at {at}"))?, v)?;
            }
            "type" => {
                let is = match want.as_str() {
                    Some("object") => v.is_object(),
                    Some("array") => v.is_array(),
                    Some("string") => v.is_string(),
                    Some("boolean") => v.is_boolean(),
                    Some("integer") => v.is_i64() || v.is_u64(),
                    _ => return Err(format!("type {want}")),
                };
                if !is {
                    return bad("the type");
                }
            }
            "enum" if !want.as_array().is_some_and(|all| all.contains(v)) => return bad("one"),
            "const" if want != v => return bad("the constant"),
            "minimum" if v.as_i64().zip(want.as_i64()).is_none_or(|(v, m)| v < m) => return bad("in range"),
            "maximum" if v.as_i64().zip(want.as_i64()).is_none_or(|(v, m)| v > m) => return bad("in range"),
            "items" => v.as_array().into_iter().flatten().try_for_each(|v| fits(doc, want, v))?,
            "required" => {
                if !want
                    .as_array()
                    .into_iter()
                    .flatten()
                    .all(|k| v.get(k.as_str().unwrap_or_default()).is_some())
                {
                    return bad("with all");
                }
            }
            "properties" => {
                for (k, v) in v.as_object().into_iter().flatten() {
                    if let Some(s) = want.get(k) {
                        fits(doc, s, v)?;
                    }
                }
            }
            "additionalProperties" => {
                assert_eq!(want, false);
                let known = |k: &String| schema["properties"].get(k).is_some();
                if !v.as_object().into_iter().flatten().all(|(k, _)| known(k)) {
                    return bad("without others");
                }
            }
            "oneOf" => {
                let all = want.as_array().ok_or("a list")?;
                if all.iter().filter(|s| fits(doc, s, v).is_ok()).count() != 1 {
                    return bad("one");
                }
            }
            "description" | "enum" | "const" | "minimum" | "maximum" => {}
            other => return Err(format!("this test does not know the keyword {other}")),
        }
    }
    Ok(())
}

fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn must_fit(schema: &Value, v: &Value) {
    fits(&document(), schema, v).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn the_schemas_refuse() {
    for (name, v) in [
        ("Link", json!({"adapter": 1})),
        ("Link", json!({"adapter": 0, "up": true})),
        ("Link", json!({"adapter": 1.5, "up": true})),
        ("Link", json!({"adapter": 1, "up": true, "down": false})),
        ("Mouse", json!({"x": 0, "y": 16384})),
        ("Undo", json!({"action": "merge"})),
        ("Eject", json!({"drive": "cdrom5"})),
        ("Status", json!([])),
        ("Event", json!({"id": "1-1", "time": "", "guest_ns": 0, "event": "dance"})),
    ] {
        assert!(fits(&document(), &schema(name), &v).is_err(), "{name}: {v}");
    }
}

#[test]
fn every_route_is_in_the_document_and_back() {
    let documented: BTreeSet<(String, String)> =
        operations(&document()).into_iter().map(|(m, p, _)| (m, p)).collect();
    let served: BTreeSet<(String, String)> =
        table().into_iter().map(|(m, p, _)| (m.to_owned(), p.to_owned())).collect();
    assert_eq!(documented, served);
    assert_eq!(served.len(), table().len(), "a route twice");
}

#[test]
fn every_route_is_a_subcommand_of_ctl_and_back() {
    let documented: BTreeSet<String> = operations(&document())
        .into_iter()
        .map(|(_, p, op)| op["x-ctl"].as_str().unwrap_or_else(|| panic!("{p} has no x-ctl")).to_owned())
        .collect();
    let ctl = crate::ctl::Args::augment_args(clap::Command::new("ctl"));
    let offered: BTreeSet<String> = ctl.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    assert_eq!(documented, offered);
}

/// Through the type and back.
fn round<T: DeserializeOwned + Serialize>(v: &Value) -> Value {
    let typed: T = serde_json::from_value(v.clone()).unwrap_or_else(|e| panic!("{v}: {e}"));
    serde_json::to_value(typed).expect("it is JSON")
}

type Round = fn(&Value) -> Value;

/// The types behind the schemas.
const TYPES: [(&str, Round); 29] = [
    ("Status", round::<StatusBody>),
    ("Shutdown", round::<ShutdownBody>),
    ("Pressed", round::<PressedBody>),
    ("Link", round::<LinkBody>),
    ("Linked", round::<LinkedBody>),
    ("Save", round::<SaveBody>),
    ("Snapshot", round::<SnapshotBody>),
    ("Type", round::<TypeBody>),
    ("Key", round::<KeyBody>),
    ("Mouse", round::<MouseBody>),
    ("Insert", round::<InsertBody>),
    ("Eject", round::<EjectBody>),
    ("Undo", round::<UndoBody>),
    ("UndoDisk", round::<UndoDiskBody>),
    ("UndoAction", round::<UndoAction>),
    ("Unknown", round::<UnknownBody>),
    ("Error", round::<ErrorBody>),
    ("Agent", round::<AgentBody>),
    ("Guest", round::<GuestBody>),
    ("Value", round::<ValueBody>),
    ("Package", round::<PackageBody>),
    ("Offer", round::<OfferBody>),
    ("Power", round::<PowerBody>),
    ("Run", round::<RunBody>),
    ("Input", round::<InputBody>),
    ("Kill", round::<KillBody>),
    ("Test", round::<TestBody>),
    ("Tested", round::<TestedBody>),
    ("RunEvent", round::<RunEvent>),
];

/// All examples, with their schemas.
fn examples(op: &Value) -> Vec<(Value, Value)> {
    let mut all = Vec::new();
    let body = &op["requestBody"]["content"]["application/json"];
    for e in body["examples"].as_object().into_iter().flatten() {
        all.push((body["schema"].clone(), e.1["value"].clone()));
    }
    for answer in op["responses"].as_object().into_iter().flatten() {
        let a = &answer.1["content"]["application/json"];
        if let Some(e) = a.get("example") {
            all.push((a["schema"].clone(), e.clone()));
        }
    }
    all
}

/// The smallest and the largest object of a schema.
fn made_up(doc: &Value, s: &Value, whole: bool) -> Value {
    if let Some(at) = s["$ref"].as_str() {
        return made_up(doc, doc.pointer(&at[1..]).expect("it is there"), whole);
    }
    if s["oneOf"].is_array() {
        return made_up(doc, &s["oneOf"][usize::from(whole)], whole);
    }
    match (s["type"].as_str(), &s["enum"][0], &s["const"]) {
        (_, Value::Null, Value::Null) => {}
        (_, Value::Null, c) => return c.clone(),
        (_, e, _) => return e.clone(),
    }
    match s["type"].as_str() {
        Some("string") => json!("text"),
        Some("boolean") => json!(true),
        Some("integer") => s["maximum"].as_i64().map_or(json!(7), |m| json!(m)),
        Some("array") => json!([made_up(doc, &s["items"], whole)]),
        Some("object") => {
            let wanted = |k: &str| {
                whole || s["required"].as_array().is_some_and(|r| r.iter().any(|v| v.as_str() == Some(k)))
            };
            let all = s["properties"].as_object().into_iter().flatten();
            all.filter(|(k, _)| wanted(k)).map(|(k, s)| (k.clone(), made_up(doc, s, whole))).collect()
        }
        _ => panic!("{s}"),
    }
}

#[test]
fn schemas_and_types_are_the_same() {
    let doc = document();
    let named: BTreeSet<&str> =
        doc["components"]["schemas"].as_object().unwrap().keys().map(String::as_str).collect();
    let typed: BTreeSet<&str> = TYPES.iter().map(|(n, _)| *n).chain(["Drive", "Event"]).collect();
    assert_eq!(named, typed);
    for (name, round) in TYPES {
        for whole in [false, true] {
            let v = made_up(&doc, &schema(name), whole);
            must_fit(&schema(name), &v);
            let back = round(&v);
            must_fit(&schema(name), &back);
            // What is left out may come back as what it stands for.
            let same = |(k, v): (&String, &Value)| back.get(k) == Some(v);
            assert!(v.as_object().map_or(v == back, |o| o.iter().all(same)), "{v} became {back}");
        }
    }
    for (_, path, op) in operations(&doc) {
        for (schema, e) in examples(&op) {
            fits(&doc, &schema, &e).unwrap_or_else(|what| panic!("{path}: {what}"));
            if let Some((_, round)) = TYPES.iter().find(|(n, _)| schema == self::schema(n)) {
                must_fit(&schema, &round(&e));
            }
        }
    }
}

#[test]
fn kinds_of_events_are_the_same() {
    let doc = document();
    let all = doc["components"]["schemas"]["Event"]["oneOf"].as_array().unwrap();
    let documented: Vec<&str> =
        all.iter().filter_map(|s| s["properties"]["event"]["const"].as_str()).collect();
    assert_eq!(documented, NAMES);
    for s in all {
        for whole in [false, true] {
            let v = made_up(&doc, s, whole);
            let typed: EventBody = serde_json::from_value(v.clone()).unwrap_or_else(|e| panic!("{v}: {e}"));
            assert_ne!(typed.what, What::Unknown, "{v}");
            assert_eq!(serde_json::to_value(typed).unwrap(), v);
        }
    }
    // A client of this release takes what a newer one tells.
    let new = json!({"id": "1-1", "time": "", "guest_ns": 0, "event": "dance", "steps": 3});
    assert_eq!(serde_json::from_value::<EventBody>(new).unwrap().what, What::Unknown);
}

/// Is this answer documented, and does it fit?
fn documented(method: &str, path: &str, a: &Answer) -> (String, String, u16) {
    let doc = document();
    let (status, said) = (a.status.as_u16(), String::from_utf8_lossy(&a.body));
    let path = path.split('?').next().unwrap_or_default();
    let content = &doc["paths"][path][method]["responses"][status.to_string()];
    assert!(content.is_object(), "{method} {path} answers {status}, which is not documented: {said}");
    let kind = a.kind.split(';').next().unwrap_or_default();
    match content.get("content") {
        None => assert!(a.body.is_empty(), "{path}: {said}"),
        Some(c) => {
            let of = c.get(kind).unwrap_or_else(|| panic!("{path}: {kind:?} is not documented: {said}"));
            if kind == "application/json" {
                let v = serde_json::from_slice(&a.body).unwrap_or_else(|e| panic!("{path}: {e}: {said}"));
                fits(&doc, &of["schema"], &v).unwrap_or_else(|e| panic!("{path}: {e}"));
            }
        }
    }
    if a.status.is_client_error() {
        let told: ErrorBody = serde_json::from_slice(&a.body).unwrap();
        assert!(!told.error.is_empty() && !told.error.contains('\n'), "{}", told.error);
    }
    (method.into(), path.into(), status)
}

#[test]
fn a_machine_answers_as_documented() {
    let mut bed = Bed::new("openapi");
    let mut reached = BTreeSet::new();
    let (floppy, state) = (bed.file("a.img"), bed.file("state"));
    diskette(&floppy);
    let with_path = |v: Value, p: &std::path::Path| {
        let mut v = v;
        v["path"] = json!(p);
        v.to_string()
    };
    let insert = with_path(json!({"drive": "a", "read_only": true}), &floppy);
    let save = with_path(json!({}), &state);
    let snapshot = with_path(json!({}), &bed.file("monday"));
    let bodies = [
        ("post", "/v1/pause", None, 204),
        ("post", "/v1/shutdown", None, 409),
        ("post", "/v1/resume", None, 204),
        ("get", "/v1/status", None, 200),
        ("post", "/v1/link", Some(r#"{"adapter": 1, "up": false}"#), 200),
        ("post", "/v1/link", Some(r#"{"adapter": 2, "up": false}"#), 422),
        ("get", "/v1/screenshot", None, 200),
        ("post", "/v1/type", Some(r#"{"text": "a\n"}"#), 204),
        ("post", "/v1/type", Some(r#"{"text": "é"}"#), 422),
        ("post", "/v1/key", Some(r#"{"chord": "ctrl-c"}"#), 204),
        ("post", "/v1/key", Some(r#"{"chord": "hyper-c"}"#), 422),
        ("post", "/v1/mouse", Some(r#"{"x": 1, "y": 2}"#), 204),
        ("post", "/v1/mouse", Some(r#"{"x": 1, "y": 20000}"#), 422),
        ("post", "/v1/insert", Some(insert.as_str()), 204),
        ("post", "/v1/insert", Some(r#"{"drive": "a", "path": "/nowhere/at.all"}"#), 422),
        ("post", "/v1/eject", Some(r#"{"drive": "a"}"#), 204),
        ("post", "/v1/eject", Some(r#"{"drive": "cdrom2"}"#), 422),
        ("get", "/v1/undo", None, 200),
        ("post", "/v1/undo", Some(r#"{"action": "discard"}"#), 204),
        ("post", "/v1/undo", Some(r#"{"action": "commit", "disk": 2}"#), 422),
        ("get", "/v1/events?follow=false", None, 200),
        ("get", "/v1/events?after=x", None, 422),
        ("get", "/v1/events?follow=maybe", None, 400),
        ("get", "/v1/guest", None, 200),
        ("get", "/v1/guest/software", None, 409),
        ("post", "/v1/guest/offer", Some(r#"{"service": "programs", "on": false}"#), 204),
        ("post", "/v1/guest/offer", Some(r#"{"service": "magic", "on": true}"#), 422),
        ("post", "/v1/guest/run", Some(r#"{"arguments": []}"#), 422),
        ("post", "/v1/guest/run", Some(r#"{"arguments": ["ls"]}"#), 409),
        ("get", "/v1/unknowns", None, 200),
        ("get", "/v1/metrics", None, 200),
        ("get", "/v1/openapi.json", None, 200),
        ("post", "/v1/reset", None, 204),
        ("post", "/v1/save", Some(r#"{"path": "/nowhere/at.all"}"#), 422),
        ("post", "/v1/snapshot", Some(snapshot.as_str()), 200),
        ("post", "/v1/snapshot", Some(r#"{"path": "/nowhere/at.all"}"#), 422),
    ];
    for (method, path, body, status) in bodies {
        let a = bed.ask(method, path, body);
        assert_eq!(a.status, status, "{path}: {}", String::from_utf8_lossy(&a.body));
        reached.insert(documented(method, path, &a));
    }
    let undo: Vec<UndoDiskBody> = serde_json::from_slice(&bed.ask("get", "/v1/undo", None).body).unwrap();
    assert_eq!((undo.len(), undo[0].disk, undo[0].action), (1, 1, UndoAction::Discard));
    let long = format!("{{\"text\": \"{}\"}}", "x".repeat(3 << 20));
    // The examples of the document: some name files that are not here.
    for (method, path, op) in operations(&document()) {
        let examples = op["requestBody"]["content"]["application/json"]["examples"].clone();
        for (_, e) in examples.as_object().into_iter().flatten() {
            documented(&method, &path, &bed.ask(&method, &path, Some(&e["value"].to_string())));
        }
        // And what is no body.
        if op.get("requestBody").is_some() {
            for (body, kind, status) in [
                (r#"{"no such": "field"}"#, "application/json", 422),
                ("{", "application/json", 400),
                ("{}", "text/plain", 415),
                (long.as_str(), "application/json", 413),
            ] {
                let a = bed.ask_with(&method, &path, Some(body), kind);
                assert_eq!(a.status, status, "{path} {}", &body[..body.len().min(80)]);
                documented(&method, &path, &a);
            }
        }
    }
    for (path, method, status) in [("/v1/nothing", "get", 404), ("/v1/status", "post", 405)] {
        let a = bed.ask(method, path, None);
        let told: ErrorBody = serde_json::from_slice(&a.body).unwrap();
        assert!(a.status == status && told.error.contains("openapi.json"), "{}", told.error);
    }
    let a = bed.ask("post", "/v1/save", Some(&save));
    reached.insert(documented("post", "/v1/save", &a));
    assert_eq!(bed.outcome(), Outcome::Saved);
    reached.insert(documented("get", "/v1/status", &bed.ask("get", "/v1/status", None)));
    reached.insert(documented(
        "post",
        "/v1/undo",
        &bed.ask("post", "/v1/undo", Some(r#"{"action": "keep"}"#)),
    ));
    let gone = |m: &str, p: &str| reached.contains(&(m.into(), p.into(), 410));
    assert!(gone("get", "/v1/status") && gone("post", "/v1/undo"));

    let mut bed = Bed::new("openapi-off");
    reached.insert(documented("post", "/v1/poweroff", &bed.ask("post", "/v1/poweroff", None)));
    assert_eq!(bed.outcome(), Outcome::PoweredOff);
    // The chipset switches off after four seconds.
    let mut bed = Bed::new("openapi-held");
    let held = bed.ask("post", "/v1/shutdown", Some(r#"{"hold": true}"#));
    reached.insert(documented("post", "/v1/shutdown", &held));
    assert_eq!(bed.outcome(), Outcome::PoweredOff);

    // Each way in which a request can succeed was seen; with an agent in the guest, in tests/guests.
    for (method, path, op) in operations(&document()).into_iter().filter(|(_, _, op)| op["x-agent"] != true) {
        for status in op["responses"].as_object().unwrap().keys().filter(|s| s.starts_with('2')) {
            let status: u16 = status.parse().unwrap();
            assert!(
                reached.contains(&(method.clone(), path.clone(), status)),
                "{method} {path}: no {status}"
            );
        }
    }
}

#[test]
fn metrics_are_what_prometheus_reads_and_all_are_described() {
    let bed = Bed::new("metrics");
    assert_eq!(bed.ask("post", "/v1/pause", None).status, 204);
    let a = bed.ask("get", "/v1/metrics", None);
    assert_eq!(a.kind, "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(a.body).unwrap();
    let all = parse(&text).unwrap_or_else(|e| panic!("{e}"));
    for (name, kind, value) in [
        ("heirloom_machine_running", "gauge", Some(0)),
        ("heirloom_machine_memory_bytes", "gauge", Some(4 << 20)),
        ("heirloom_net_link{adapter=\"1\"}", "gauge", Some(0)),
        ("heirloom_dec21140_sent{adapter=\"1\"}", "counter", Some(0)),
        ("heirloom_nat_tcp_opened{adapter=\"1\"}", "counter", Some(0)),
        ("heirloom_disk_reads{drive=\"disk1\"}", "counter", None),
        ("heirloom_disk_faults{drive=\"disk1\"}", "counter", Some(0)),
        ("heirloom_audio_gone", "gauge", Some(0)),
        ("heirloom_clock_guest_ns", "counter", None),
        ("heirloom_board_behind_us", "gauge", None),
        // Running, display and lamps perhaps, paused.
        ("heirloom_events_told", "counter", None),
        ("heirloom_uart_sent{port=\"com2\"}", "counter", Some(0)),
    ] {
        let (k, v) = all.get(name).unwrap_or_else(|| panic!("no {name} in\n{text}"));
        assert!(k == kind && value.is_none_or(|want| want == *v), "{name}: {k} {v}");
    }
    assert!(all["heirloom_events_told"].1 >= 2);
    let bare: Vec<&str> = text.lines().filter(|l| l.ends_with(" Not described")).collect();
    assert!(bare.is_empty(), "say in control/metrics_help.rs what these are: {bare:?}");
}
