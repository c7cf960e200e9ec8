//! Deltas (`delta=vcdiff`): whatever happens, what a client makes of them is what was published.

use std::collections::BTreeMap;
use std::sync::Arc;

use node::TransportId;
use protocol::{Action, Format, ProtocolMessage};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use testkit::undo_delta;
use types::{Data, Message};

use crate::world::{
    ALL, World, attach, attach_from, enter, on, publish, publish_all, text, with_params, world,
    world_with,
};

/// A client that undoes deltas as libraries do (RTL19, RTL20).
#[derive(Default)]
struct Reader {
    last: Option<(Arc<str>, Vec<u8>)>,
    serial: Option<Arc<str>>,
    deltas: usize,
}

impl Reader {
    /// What the frames say.
    fn read(&mut self, frames: &[ProtocolMessage]) -> Vec<String> {
        let mut said = Vec::new();
        for frame in frames {
            if frame.channel_serial.is_some() && frame.action != Action::Sync {
                self.serial.clone_from(&frame.channel_serial);
            }
            for (index, message) in frame.messages.iter().enumerate() {
                let inherited = || format!("{}:{index}", frame.id.as_ref().unwrap()).into();
                let id = message.id.clone().unwrap_or_else(inherited);
                let data = self.data(message);
                said.push(String::from_utf8(data.clone()).unwrap());
                self.last = Some((id, data));
            }
        }
        said
    }

    fn data(&mut self, message: &Message) -> Vec<u8> {
        let data = match &message.data {
            Data::None => Vec::new(),
            Data::Text(text) => text.as_bytes().to_vec(),
            Data::Binary(bytes) => bytes.to_vec(),
        };
        let delta = message.extras.as_ref().and_then(|extras| extras.get("delta"));
        let says_so = message.encoding.as_deref().is_some_and(|steps| steps.ends_with("vcdiff"));
        assert_eq!(delta.is_some(), says_so);
        let Some(delta) = delta else { return data };
        let (id, base) = self.last.as_ref().expect("something before a delta");
        assert_eq!(delta["from"], id.as_ref(), "a delta of what came last");
        self.deltas += 1;
        undo_delta(base, &data)
    }
}

fn with_delta(channel: &str) -> ProtocolMessage {
    with_params(attach(channel), &[("delta", "vcdiff")])
}

fn state(n: u64) -> String {
    format!(r#"{{"count":{n},"status":"a state that is long enough to be left out"}}"#)
}

fn is_delta(frame: &ProtocolMessage) -> bool {
    frame.messages[0].extras.as_ref().is_some_and(|extras| extras.contains_key("delta"))
}

#[test]
fn every_message_but_the_first_is_a_delta_in_both_formats() {
    let mut world = world();
    let publisher = world.connect(ALL);
    let readers = Format::ALL.map(|format| world.open_as(format, &format!("v=6&{ALL}")));
    for reader in readers {
        let attached = world.attach_with(reader, &with_delta("news"));
        assert_eq!(attached.params["delta"], "vcdiff");
        world.frames(reader);
    }
    let plain = world.connect(ALL);
    world.attach(plain, "news");
    (0..4).for_each(|n| world.send(publisher, &publish("news", n, &state(n.unsigned_abs()))));
    for transport in readers {
        let mut reader = Reader::default();
        let said = reader.read(&world.frames(transport));
        assert_eq!((said, reader.deltas), ((0..4).map(state).collect(), 3));
    }
    assert!(!world.frames(plain).iter().any(is_delta));
}

#[test]
fn an_attachment_that_begins_or_goes_on_gets_a_full_message_first() {
    let mut world = world();
    let [publisher, transport] = [(); 2].map(|()| world.connect(ALL));
    let mut reader = Reader::default();
    world.attach_with(transport, &with_delta("news"));
    (0..2).for_each(|n| world.send(publisher, &publish("news", n, &state(n.unsigned_abs()))));
    let frames = world.frames(transport);
    reader.read(&frames);
    (2..5).for_each(|n| world.send(publisher, &publish("news", n, &state(n.unsigned_abs()))));
    assert!(world.frames(transport).iter().all(is_delta));
    // A client that could not decode the third presents the position of the second.
    let again = with_params(attach_from("news", &frames[1]), &[("delta", "vcdiff")]);
    world.send(transport, &again);
    let frames = world.frames(transport);
    assert_eq!(frames.iter().filter(|f| f.action == Action::Message).count(), 3);
    assert!(!is_delta(&frames[1]) && is_delta(&frames[2]));
    assert_eq!(reader.read(&frames), (2..5).map(state).collect::<Vec<_>>());
    world.send(publisher, &publish("news", 5, &state(5)));
    let live = world.frames(transport);
    assert!(is_delta(&live[0]), "of the last message of the replay");
    reader.read(&live);
    let head = reader.serial.clone();
    world.send(transport, &ProtocolMessage { channel_serial: head, ..with_delta("news") });
    world.frames(transport);
    world.send(publisher, &publish("news", 6, &state(6)));
    assert!(!is_delta(&world.frames(transport)[0]), "nothing was replayed");
}

#[test]
fn options_turn_deltas_on_and_off() {
    let mut world = world();
    let [publisher, transport] = [(); 2].map(|()| world.connect(ALL));
    world.attach(transport, "news");
    let mut serial = 0;
    let mut deltas = |world: &mut World, frame: &ProtocolMessage| -> Vec<bool> {
        let attached = world.attach_with(transport, frame);
        assert_ne!(attached.flags.unwrap() & protocol::flags::RESUMED, 0);
        for _ in 0..2 {
            world.send(publisher, &publish("news", serial, &state(1)));
            serial += 1;
        }
        world.frames(transport).iter().map(is_delta).collect()
    };
    assert_eq!(deltas(&mut world, &with_delta("news")), [false, true]);
    assert_eq!(deltas(&mut world, &attach("news")), [false, false]);
    assert_eq!(deltas(&mut world, &with_delta("news")), [false, true]);
}

#[test]
fn what_is_not_of_the_chain_is_followed_by_a_full_message() {
    let mut world = world();
    let [publisher, transport] = [(); 2].map(|()| world.connect(ALL));
    let params = [("delta", "vcdiff"), ("occupancy", "metrics.presenceMembers")];
    world.attach_with(transport, &with_params(attach("news"), &params));
    world.attach(publisher, "news");
    world.send(publisher, &publish("news", 0, &state(0)));
    world.send(publisher, &publish("news", 1, &state(1)));
    world.send(publisher, &enter("news", 2, "x"));
    world.send(publisher, &publish("news", 3, &state(3)));
    let mut reader = Reader::default();
    let frames = world.frames(transport);
    let said = reader.read(&frames);
    let own: Vec<_> = said.into_iter().filter(|said| said.contains("status")).collect();
    assert_eq!(own, [0, 1, 3].map(state));
    assert_eq!(reader.deltas, 1);
    assert!(frames.iter().all(|frame| frame.presence.iter().all(|p| p.encoding.is_none())));
}

#[test]
fn after_a_loss_the_next_message_is_in_full() {
    let mut world = world_with(|setup| setup.app.limits.connection_outbound_rate = 3);
    let [publisher, transport] = [(); 2].map(|()| world.connect(ALL));
    world.attach_with(transport, &with_delta("news"));
    for n in 0..9 {
        world.send(publisher, &publish("news", n, &state(n.unsigned_abs())));
    }
    let mut reader = Reader::default();
    reader.read(&world.frames(transport));
    assert!(reader.deltas > 0);
    world.advance(10_000);
    world.frames(transport);
    world.send(publisher, &publish("news", 9, &state(9)));
    assert!(!is_delta(&world.frames(transport)[0]));
}

/// One subscriber of a random run.
struct Subscriber {
    transport: TransportId,
    query: String,
    channel: &'static str,
    reader: Reader,
    said: Vec<String>,
}

/// `[filter=name == 'a']news`
const FILTERED: &str = "[filter=bmFtZSA9PSAnYSc]news";

impl Subscriber {
    fn look(&mut self, world: &mut World) {
        self.said.extend(self.reader.read(&world.frames(self.transport)));
    }
}

/// Clients attach, change options, drop, come back and publish at random.
fn random_run(seed: u64) -> usize {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let mut pick = move |count: u64| rng.next_u64() % count;
    let mut world = world();
    let publisher = world.connect(ALL);
    let mut published: BTreeMap<String, bool> = BTreeMap::new();
    let mut all: Vec<Subscriber> = ["news", "[?delta=vcdiff]news", FILTERED, "news"]
        .into_iter()
        .zip(["", "&echo=false", "&echo=false", ""])
        .map(|(channel, echo)| {
            let query = format!("{ALL}{echo}");
            let transport = world.connect(&query);
            let (reader, said) = (Reader::default(), Vec::new());
            Subscriber { transport, query, channel, reader, said }
        })
        .collect();
    for msg_serial in 0..60 {
        let who = usize::try_from(pick(4)).unwrap();
        let subscriber = &mut all[who];
        subscriber.look(&mut world);
        let mut frame = with_delta(subscriber.channel);
        frame.channel_serial.clone_from(&subscriber.reader.serial);
        match pick(10) {
            0 => world.send(subscriber.transport, &frame),
            1 => world.send(subscriber.transport, &on(Action::Detach, subscriber.channel)),
            2 => {
                frame = with_params(frame, &[("delta", "vcdiff"), ("rewind", "3")]);
                frame.channel_serial = None;
                world.send(subscriber.transport, &frame);
            }
            3 => {
                world.drop_transport(subscriber.transport);
                subscriber.transport = world.connect(&subscriber.query);
                world.send(subscriber.transport, &frame);
            }
            _ => {
                let names = ["a", "b"];
                let messages: Vec<Message> = (0..=pick(3))
                    .map(|n| {
                        let name = names[usize::try_from(pick(2)).unwrap()];
                        let data = match pick(4) {
                            0 => format!("{seed} {msg_serial} {n}"),
                            more => format!("{msg_serial}.{n} {}", state(n).repeat(more as usize)),
                        };
                        published.insert(data.clone(), name == "a");
                        Message { name: Some(name.into()), ..text(&data) }
                    })
                    .collect();
                let by = if pick(2) == 0 { publisher } else { subscriber.transport };
                world.send(by, &publish_all("news", msg_serial, messages));
            }
        }
    }
    let mut deltas = 0;
    for mut subscriber in all {
        subscriber.look(&mut world);
        deltas += subscriber.reader.deltas;
        for said in &subscriber.said {
            let selected = published.get(said).expect("what was published");
            assert!(*selected || subscriber.channel != FILTERED, "seed {seed}: {said}");
        }
    }
    deltas
}

#[test]
fn whatever_clients_do_deltas_make_what_was_published() {
    let deltas: usize = (0..100).map(random_run).sum();
    assert!(deltas > 2_000, "{deltas} deltas");
}
