//! Requests about several channels at once.

use node::{Operation, Response};
use protocol::{BatchPublish, BatchResult, BatchSpec, BatchSuccess};
use types::Message;

use crate::world::{ALL, code, enter, text, world};

fn spec(channels: &[&str], messages: Vec<Message>) -> BatchSpec {
    BatchSpec { channels: channels.iter().map(|name| (*name).into()).collect(), messages }
}

/// The error code of each part, or 0.
fn codes(results: &[BatchResult]) -> Vec<u32> {
    results.iter().map(|result| result.outcome.as_ref().map_or_else(|e| e.code, |_| 0)).collect()
}

#[test]
fn a_batch_publishes_where_it_may_and_says_where_it_may_not() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "news");
    world.frames(client);
    let batch = BatchPublish::One(spec(&["news", "weather", "[x"], vec![text("a"), text("b")]));
    let Response::Batch(results) = world.request("news", Operation::BatchPublish(batch)) else {
        panic!()
    };
    assert_eq!(codes(&results), [0, 40160, 40010]);
    let Ok(BatchSuccess::Published { accepted, .. }) = &results[0].outcome else { panic!() };
    assert_eq!(accepted.serials().flatten().count(), 2);
    assert_eq!(world.seen(client), ["message news a b"]);
}

#[test]
fn the_answer_to_a_batch_waits_for_the_last_of_its_parts() {
    let mut world = world();
    let batch = BatchPublish::Many(vec![
        spec(&["news"], vec![text("a")]),
        spec(&["kept:a", "kept:b"], vec![text("b")]),
    ]);
    world.store.holding = true;
    let caller = crate::world::key_caller("all");
    let id = world.start_request(caller, Operation::BatchPublish(batch));
    assert!(world.reply(id).is_none());
    world.release();
    let Some(Response::Batches(batches)) = world.reply(id) else { panic!() };
    assert_eq!(
        batches.iter().map(|results| codes(results)).collect::<Vec<_>>(),
        [vec![0], vec![0, 0]]
    );
}

#[test]
fn a_batch_has_bounds() {
    let mut world = world();
    let mut ask = |spec: BatchSpec| {
        code(&world.request("all", Operation::BatchPublish(BatchPublish::One(spec))))
    };
    assert_eq!(ask(spec(&[], vec![text("a")])), 40001);
    assert_eq!(ask(spec(&["a"], Vec::new())), 40001);
    assert_eq!(ask(spec(&["a"], vec![text("a"); 1_001])), 40034);
    assert_eq!(ask(spec(&["a"; 101], vec![text("a")])), 90010);
}

#[test]
fn presence_of_several_channels_comes_at_once() {
    let mut world = world();
    let client = world.connect(&format!("{ALL}&clientId=bob"));
    world.attach(client, "news");
    world.send(client, &enter("news", 0, "bob"));
    let channels = vec!["news".into(), "weather".into()];
    let ask = Operation::BatchPresence { channels };
    let Response::Batch(results) = world.request("news", ask) else { panic!() };
    assert_eq!(codes(&results), [0, 40160]);
    let Ok(BatchSuccess::Presence(members)) = &results[0].outcome else { panic!() };
    assert_eq!(members[0].client_id, Some("bob".into()));
}
