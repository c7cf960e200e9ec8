//! Chat over real HTTP against a scripted node: what rooms become of, and what is shown of them.

use std::sync::Arc;

use node::{Occupancy, Request, VersionsPage};
use serde_json::{Value, json};
use types::{
    Accepted, AnnotationAction, Body, ChannelRef, Data, Entry, EntryId, HistoryPage, Message,
    MessageAction, Serial, SeriesId, Timestamp, Version, error::NOT_FOUND,
};

use super::*;
use crate::testing::Bench;

const JSON: &str = "Content-Type: application/json";
const ROOM: &str = "/chat/v4/rooms/dms%3Aa%2Fb";
const CHANNEL: &str = "dms:a/b::$chat";

fn serial() -> Serial {
    Serial { ms: 1_000, counter: 2, series: SeriesId::from_bytes(b"dunAAAAAAAAA").unwrap() }
}

fn text(data: &Value) -> Message {
    Message {
        name: Some("chat.message".into()),
        data: Data::Text(data.to_string().into()),
        encoding: Some("json".into()),
        ..Message::default()
    }
}

fn kept() -> Message {
    let summary = json!({"reaction:distinct.v1": {"+1": {"total": 1, "clientIds": ["bo"]}}});
    Message {
        serial: Some("s1".into()),
        client_id: Some("ann".into()),
        timestamp: Some(Timestamp(10)),
        extras: json!({"headers": {"h": 1}, "userClaim": "admin"})
            .as_object()
            .cloned()
            .map(Arc::new),
        summary: summary.as_object().cloned().map(Arc::new),
        ..text(&json!({"text": "hi", "metadata": {"m": {"n": 1}}}))
    }
}

/// What a request with this body becomes, or the error.
async fn asked(call: &str, body: &[u8]) -> Result<Operation, (u16, u64)> {
    let script = |_: &Request| Response::Message(Box::default());
    let (bench, mut requests) = Bench::answering(script).await;
    let answer = bench.ask(call, &[JSON], body).await;
    match requests.try_recv() {
        Ok(request) => Ok(request.operation),
        Err(_) => Err(answer.error()),
    }
}

async fn said(call: &str, body: &Value) -> Message {
    match asked(call, body.to_string().as_bytes()).await {
        Ok(Operation::Chat { room, message }) => {
            assert_eq!(room, "dms:a/b");
            message
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_sent_becomes_a_message_of_the_room() {
    let call = format!("POST {ROOM}/messages?idempotencyKey=once&clientId=ann");
    let body = json!({"text": "hi", "metadata": {"m": 1}, "headers": {"h": 1}});
    let message = said(&call, &body).await;
    let expected = Message {
        id: Some("once".into()),
        client_id: Some("ann".into()),
        extras: json!({"headers": {"h": 1}}).as_object().cloned().map(Arc::new),
        ..text(&json!({"text": "hi", "metadata": {"m": 1}}))
    };
    assert_eq!(message, expected);
}

#[tokio::test]
async fn an_update_replaces_and_a_delete_empties_what_was_there() {
    let body = json!({"message": {"text": "ho"}, "description": "typo", "metadata": {"by": "x"}});
    let update = said(&format!("PUT {ROOM}/messages/s%401"), &body).await;
    let version = Version {
        description: Some("typo".into()),
        metadata: json!({"by": "x"}).as_object().cloned().map(Arc::new),
        ..Version::default()
    };
    let expected = Message {
        action: MessageAction::Update,
        serial: Some("s@1".into()),
        extras: Some(Arc::default()),
        version: Some(Arc::new(version)),
        ..text(&json!({"text": "ho"}))
    };
    assert_eq!(update, expected);

    let delete = said(&format!("POST {ROOM}/messages/s%401/delete"), &json!({})).await;
    let expected = Message {
        action: MessageAction::Delete,
        version: Some(Arc::default()),
        data: Data::Text("{}".into()),
        ..expected
    };
    assert_eq!(delete, expected);
    let empty = asked(&format!("POST {ROOM}/messages/s/delete"), b"").await;
    assert!(matches!(empty, Ok(Operation::Chat { .. })));
}

#[tokio::test]
async fn bodies_that_say_nothing_are_refused() {
    let messages = format!("POST {ROOM}/messages");
    let reactions = format!("POST {ROOM}/messages/s/reactions");
    for (call, body, code) in [
        (&messages, json!({}), 40001),
        (&messages, json!({"text": ""}), 40001),
        (&messages, json!({"text": 1}), 40001),
        (&messages, json!({"text": "x", "metadata": 1}), 40001),
        (&format!("PUT {ROOM}/messages/s"), json!({"text": "x"}), 40001),
        (&reactions, json!({"type": "unique"}), 40001),
        (&reactions, json!({"type": "reaction:unique.v1", "name": "x"}), 40003),
        (&format!("GET {ROOM}/messages?orderBy=age"), json!({}), 40003),
        (&format!("DELETE {ROOM}/messages/s/reactions"), json!({}), 40003),
    ] {
        let refused = asked(call, body.to_string().as_bytes()).await.unwrap_err();
        assert_eq!(refused, (400, code), "{call} {body}");
    }
}

#[tokio::test]
async fn a_message_is_shown_with_everything_that_chat_knows_of_it() {
    let (bench, _) = Bench::answering(|_| Response::Message(Box::new(kept()))).await;
    let answer = bench.ask(&format!("POST {ROOM}/messages"), &[JSON], br#"{"text":"x"}"#).await;
    assert_eq!(answer.status, 201);
    let expected = json!({
        "serial": "s1", "clientId": "ann", "text": "hi", "metadata": {"m": {"n": 1}},
        "headers": {"h": 1}, "userClaim": "admin", "timestamp": 10, "action": "message.create",
        "version": {"serial": "s1", "timestamp": 10},
        "reactions": {
            "unique": {}, "multiple": {}, "distinct": {"+1": {"total": 1, "clientIds": ["bo"]}},
        },
    });
    assert_eq!(answer.json(), expected);
    let answer = bench.get(&format!("{ROOM}/messages/s1?format=msgpack")).await;
    assert_eq!((answer.status, answer.msgpack()), (200, expected));
}

#[tokio::test]
async fn a_change_is_shown_with_who_made_it_and_foreign_data_without_text() {
    let version = Version {
        serial: Some("s2".into()),
        timestamp: Some(Timestamp(20)),
        client_id: Some("bo".into()),
        description: Some("why".into()),
        metadata: None,
    };
    let changed = Message {
        action: MessageAction::Delete,
        version: Some(Arc::new(version)),
        data: Data::Binary(Vec::from(*b"x").into()),
        ..Message::default()
    };
    let versions = VersionsPage { versions: vec![changed], next: Some("s2".into()) };
    let (bench, _) = Bench::answering(move |_| Response::Versions(versions.clone())).await;
    let answer = bench.get(&format!("{ROOM}/messages/s1/versions?limit=1")).await;
    let shown = &answer.json()[0];
    assert_eq!((&shown["text"], &shown["metadata"]), (&json!(""), &json!({})));
    assert_eq!(shown["action"], "message.delete");
    let version = json!({"serial": "s2", "timestamp": 20, "clientId": "bo", "description": "why"});
    assert_eq!(shown["version"], version);
    assert!(answer.headers_named("link").iter().any(|link| link.contains("rel=\"next\"")));
}

#[tokio::test]
async fn messages_are_listed_by_order_and_page() {
    let serial = serial();
    let entry = Arc::new(Entry {
        id: EntryId::Named("id".into()),
        serial,
        position: 1,
        timestamp: Timestamp(1_234),
        connection_id: None,
        body: Body::Messages(vec![text(&json!({"text": "hi"}))]),
    });
    let page = HistoryPage { items: vec![(entry, 0)], next: None };
    let (bench, mut requests) = Bench::answering(move |_| Response::History(page.clone())).await;
    let answer = bench.get(&format!("{ROOM}/messages?orderBy=oldestFirst&limit=1")).await;
    assert_eq!(answer.json()[0]["text"], "hi");
    assert_eq!(answer.json()[0]["serial"], "00000000001000-002@dunAAAAAAAAA:000");
    assert!(answer.headers_named("link").iter().any(|link| link.contains("./messages?")));
    requests.recv().await.unwrap();
    for (params, expected) in [
        ("", Direction::Backwards),
        ("?direction=forwards", Direction::Forwards),
        ("?orderBy=newestFirst", Direction::Backwards),
        ("?orderBy=oldestFirst", Direction::Forwards),
    ] {
        bench.get(&format!("{ROOM}/messages{params}")).await;
        let request = requests.recv().await.unwrap();
        let Operation::History { channel, query, .. } = request.operation else { panic!() };
        assert_eq!((channel.as_str(), query.direction), (CHANNEL, expected), "{params}");
    }
}

#[tokio::test]
async fn reactions_are_annotations_and_their_answer_is_a_serial() {
    let published = || Response::Published {
        channel: CHANNEL.into(),
        message_id: "id".into(),
        accepted: Accepted { serial: Some(serial()), items: 1, dropped: 0 },
    };
    let (bench, mut requests) = Bench::answering(move |_| published()).await;
    let path = format!("{ROOM}/messages/s1/reactions");
    let mut annotation = async |call: &str, body: &Value, status| {
        let answer = bench.ask(call, &[JSON], body.to_string().as_bytes()).await;
        assert_eq!((answer.status, answer.json()), (status, json!({"serial": serial().item(0)})));
        let request = requests.recv().await.unwrap();
        let Operation::Annotate { channel, serial, mut annotations } = request.operation else {
            panic!()
        };
        assert_eq!((channel.as_str(), serial.as_str()), (CHANNEL, "s1"));
        let annotation = annotations.remove(0);
        (annotation.kind.to_string(), annotation.name, annotation.count, annotation.action)
    };
    let add = format!("POST {path}");
    let multiple = json!({"type": "multiple", "name": "+1", "count": 3});
    let (name, create) = (Some("+1".into()), AnnotationAction::Create);
    let expected = ("reaction:multiple.v1".into(), name.clone(), Some(3), create);
    assert_eq!(annotation(&add, &multiple, 201).await, expected);
    let unique = json!({"type": "unique", "name": "+1", "count": 3});
    let expected = ("reaction:unique.v1".into(), name.clone(), None, create);
    assert_eq!(annotation(&add, &unique, 201).await, expected);

    let delete = AnnotationAction::Delete;
    let call = format!("DELETE {path}?type=distinct&name=%2B1");
    let expected = ("reaction:distinct.v1".into(), name, None, delete);
    assert_eq!(annotation(&call, &json!({}), 200).await, expected);
    let call = format!("DELETE {path}?type=unique&name=%2B1");
    let expected = ("reaction:unique.v1".into(), None, None, delete);
    assert_eq!(annotation(&call, &json!({}), 200).await, expected);
}

#[tokio::test]
async fn the_part_of_a_client_and_the_occupancy_are_read_from_the_channel() {
    let summary = json!({"reaction:unique.v1": {"+1": {"total": 1}}, "other:total.v1": {}});
    let summary = Arc::new(summary.as_object().cloned().unwrap());
    let occupancy = Occupancy { connections: 3, presence_members: 2, ..Occupancy::default() };
    let script = move |request: &Request| match &request.operation {
        Operation::ReadMessage { .. } => Response::Summary(Arc::clone(&summary)),
        Operation::ChannelDetails { channel } => Response::ChannelDetails(ChannelDetails {
            name: ChannelRef::parse(channel.as_str()).unwrap().name,
            is_active: true,
            occupancy,
        }),
        _ => Response::Error(NOT_FOUND.info()),
    };
    let (bench, _) = Bench::answering(script).await;
    let answer = bench.get(&format!("{ROOM}/messages/s1/client-reactions?forClientId=bo")).await;
    let expected = json!({"unique": {"+1": {"total": 1}}, "distinct": {}, "multiple": {}});
    assert_eq!(answer.json(), expected);
    let answer = bench.get(&format!("{ROOM}/occupancy")).await;
    assert_eq!(answer.json(), json!({"connections": 3, "presenceMembers": 2}));
    assert_eq!(bench.get(&format!("{ROOM}/messages")).await.error(), (404, 40400));
}

#[tokio::test]
async fn paths_and_methods_that_chat_does_not_have_are_refused() {
    for (call, error) in [
        ("GET /chat/v4/rooms/a", (404, 40400)),
        ("GET /chat/v2/rooms/a/messages", (404, 40400)),
        ("GET /chat/v4/rooms/a/messages/s/reactions", (405, 40500)),
        ("PATCH /chat/v4/rooms/a/messages/s", (405, 40500)),
    ] {
        assert_eq!(asked(call, b"").await.unwrap_err(), error, "{call}");
    }
}
