//! What becomes of the messages of a chain.

use testkit::undo_delta;

use super::*;

fn message(data: Data, encoding: &str) -> Message {
    let encoding = (!encoding.is_empty()).then(|| encoding.into());
    Message { data, encoding, ..Message::default() }
}

fn text(text: &str) -> Message {
    message(Data::Text(text.into()), "")
}

fn frame(id: &str, messages: Vec<Message>) -> ProtocolMessage {
    let id = Some(id.into());
    ProtocolMessage { id, messages, ..ProtocolMessage::new(Action::Message) }
}

/// What becomes of `messages`, each in a frame of its own.
fn linked(messages: Vec<Message>) -> Vec<Message> {
    let (mut chain, mut deltas) = (Chain::Vcdiff(None), Deltas::default());
    let frames = messages.into_iter().enumerate().map(|(n, message)| {
        let mut frame = frame(&format!("c:{n}"), vec![message]);
        chain.append(&mut frame, &mut deltas);
        frame.messages.remove(0)
    });
    frames.collect()
}

fn is_delta(message: &Message) -> bool {
    message.extras.as_ref().is_some_and(|extras| extras.contains_key("delta"))
}

fn long(name: &str) -> String {
    format!("{name}: what is the same in all of them is worth to be left out")
}

#[test]
fn a_delta_names_its_base_and_how_to_undo_it() {
    let json = message(Data::Text(long("b").into()), "json");
    let binary = message(Data::Binary(long("c").into()), "");
    let sent = linked(vec![text(&long("a")), json, binary]);
    assert!(!is_delta(&sent[0]));
    assert_eq!(sent[1].encoding.as_deref(), Some("json/utf-8/vcdiff"));
    assert_eq!(sent[2].encoding.as_deref(), Some("vcdiff"));
    let expected = serde_json::json!({ "delta": { "from": "c:0:0", "format": "vcdiff" } });
    assert_eq!(sent[1].extras.as_deref(), expected.as_object());
    for (n, before) in [(1, "a"), (2, "b")] {
        let made = undo_delta(long(before).as_bytes(), bytes(&sent[n].data));
        assert_eq!(made, long(["a", "b", "c"][n]).as_bytes());
    }
}

#[test]
fn extras_stay_beside_what_is_said_of_the_delta() {
    let extras = serde_json::json!({ "headers": { "a": 1 } }).as_object().cloned().map(Arc::new);
    let with_extras = Message { extras, ..text(&long("b")) };
    let sent = linked(vec![text(&long("a")), with_extras.clone()]);
    assert!(is_delta(&sent[1]) && sent[1].extras.as_ref().unwrap().contains_key("headers"));
    assert!(!is_delta(&with_extras), "which the message itself does not learn of");
}

#[test]
fn messages_of_one_frame_are_made_of_one_another() {
    let mut chain = Chain::Vcdiff(None);
    let own_id = Message { id: Some("own".into()), ..text(&long("b")) };
    let mut frame = frame("c:0", vec![text(&long("a")), own_id, text(&long("c"))]);
    chain.append(&mut frame, &mut Deltas::default());
    let from = |n: usize| frame.messages[n].extras.as_ref().unwrap()["delta"]["from"].clone();
    assert!(!is_delta(&frame.messages[0]));
    assert_eq!((from(1), from(2)), ("c:0:0".into(), "own".into()));
}

#[test]
fn what_clients_may_be_unable_to_decode_is_no_base_and_no_delta() {
    let same = || Data::Text(long("x").into());
    let oddities = [
        Message::default(),
        message(same(), "base64"),
        message(same(), "utf-8/cipher+aes-256-cbc"),
        message(same(), "vcdiff"),
        message(same(), "json/other"),
        text("short"),
    ];
    for odd in oddities {
        let sent = linked(vec![text(&long("a")), odd.clone(), text(&long("b")), text(&long("c"))]);
        let deltas: Vec<bool> = sent.iter().map(is_delta).collect();
        assert_eq!(deltas, [false, false, false, true], "{odd:?}");
        assert_eq!(sent[1], odd);
    }
}

#[test]
fn a_delta_is_made_once_for_all_who_need_the_same_and_not_without_end() {
    let mut deltas = Deltas::default();
    let messages: Vec<Message> = (0..1_000).map(|n| text(&long(&n.to_string()))).collect();
    for _ in 0..2 {
        let mut chain = Chain::Vcdiff(None);
        let mut made = 0;
        for message in &messages {
            let mut frame = frame("c:0", vec![message.clone()]);
            chain.append(&mut frame, &mut deltas);
            made += usize::from(is_delta(&frame.messages[0]));
        }
        assert_eq!((made, deltas.made.len()), (256, 256));
    }
}

#[test]
fn chains_that_end_in_the_same_message_are_the_same() {
    let mut chains = [(); 2].map(|()| Chain::Vcdiff(None));
    let one = frame("c:0", vec![text("a")]);
    chains.iter_mut().for_each(|chain| chain.append_in_full(&mut one.clone()));
    assert_eq!(chains[0], chains[1]);
    chains[1].append_in_full(&mut frame("c:1", vec![text("a")]));
    assert_ne!(chains[0], chains[1]);
    chains[1].restart();
    assert_eq!(chains[1], Chain::Vcdiff(None));
    assert_ne!(chains[1], Chain::Unlinked);
}
