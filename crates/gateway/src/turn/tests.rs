//! Order at the connections, and what travels together.

use protocol::Format;
use types::NodeLimits;

use super::*;
use crate::{hub::Transport, mailbox::Mailbox};

const NEWS: ChannelKey = ChannelKey(1);

struct Bench {
    hub: Arc<Hub>,
    turn: Turn,
    peers: Vec<(Transport, Arc<Mailbox>)>,
}

impl Bench {
    fn new(peers: usize) -> Self {
        Self::with_threads(peers, 0)
    }

    fn with_threads(peers: usize, threads: usize) -> Self {
        let (hub, _events) = Hub::new(&NodeLimits::default());
        let peers = (0..peers).map(|_| hub.open_mailbox(Format::Json)).collect();
        Self { turn: Turn::new(Arc::clone(&hub), threads).unwrap(), hub, peers }
    }

    fn audience(&self, peers: &[usize]) -> Arc<[TransportId]> {
        peers.iter().map(|peer| self.id(*peer)).collect()
    }

    fn id(&self, peer: usize) -> TransportId {
        self.peers[peer].0.id
    }

    fn deliver(&mut self, to: &Arc<[TransportId]>, frame: &'static str) {
        self.turn.deliver(NEWS, Arc::clone(to), Bytes::from_static(frame.as_bytes()));
    }

    async fn got(&mut self, peer: usize) -> String {
        self.turn.flush();
        self.hub.deliver([self.id(peer)], &[Bytes::from_static(b".")]);
        let frames = self.peers[peer].1.next().await.unwrap();
        frames.iter().map(|frame| str::from_utf8(frame).unwrap()).collect()
    }
}

#[tokio::test]
async fn frames_for_the_same_connections_leave_together_before_acknowledgements() {
    let mut bench = Bench::new(2);
    let all = bench.audience(&[0, 1]);
    for frame in ["1", "2", "3"] {
        bench.deliver(&all, frame);
        bench.turn.acknowledge(bench.id(0), Bytes::from_static(b"A"));
    }
    assert_eq!(bench.turn.runs.len(), 1);
    assert_eq!(bench.got(0).await, "123AAA.");
    assert_eq!(bench.got(1).await, "123.");
}

#[tokio::test]
async fn lists_without_a_connection_in_common_grow_side_by_side() {
    let mut bench = Bench::new(3);
    let (some, others) = (bench.audience(&[0, 2]), bench.audience(&[1]));
    for (one, other) in [("1", "a"), ("2", "b")] {
        bench.deliver(&some, one);
        bench.deliver(&others, other);
    }
    assert_eq!(bench.turn.runs.len(), 2);
    assert_eq!(bench.got(2).await, "12.");
    assert_eq!(bench.got(1).await, "ab.");
}

#[tokio::test]
async fn nothing_of_a_channel_passes_what_went_to_one_of_its_connections_before() {
    let mut bench = Bench::new(2);
    let (all, one) = (bench.audience(&[0, 1]), bench.audience(&[1]));
    for (to, frame) in [(&all, "1"), (&one, "2"), (&all, "3"), (&one, "4")] {
        bench.deliver(to, frame);
    }
    assert_eq!(bench.got(0).await, "13.");
    assert_eq!(bench.got(1).await, "1234.");
}

#[tokio::test]
async fn a_frame_for_one_connection_passes_no_delivery_and_is_passed_by_none() {
    let mut bench = Bench::new(1);
    let all = bench.audience(&[0]);
    bench.deliver(&all, "1");
    bench.turn.send(bench.id(0), Bytes::from_static(b"s"));
    bench.turn.acknowledge(bench.id(0), Bytes::from_static(b"A"));
    bench.deliver(&all, "2");
    assert_eq!(bench.got(0).await, "1sA2.");
}

#[tokio::test]
async fn a_connection_is_closed_behind_what_was_sent_to_it() {
    let mut bench = Bench::new(1);
    let all = bench.audience(&[0]);
    bench.deliver(&all, "1");
    bench.turn.close(bench.id(0));
    assert_eq!(bench.got(0).await, "1");
}

#[tokio::test]
async fn what_is_joined_is_bounded() {
    let mut bench = Bench::new(1);
    let all = bench.audience(&[0]);
    let frame = Bytes::from(vec![b'x'; MAX_PIECE / 2]);
    for _ in 0..3 {
        bench.turn.deliver(NEWS, Arc::clone(&all), frame.clone());
    }
    assert_eq!(bench.turn.runs.iter().map(|run| run.frames.len()).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn several_threads_keep_the_order_of_each_connection() {
    const PEERS: usize = 200;
    let mut bench = Bench::with_threads(PEERS, 3);
    let all = bench.audience(&(0..PEERS).collect::<Vec<_>>());
    for number in 0..50 {
        let frame = |kind: &str| Bytes::from(format!("{kind}{number} "));
        bench.turn.deliver(NEWS, Arc::clone(&all), frame("d"));
        // A few writes: done at once, if nothing waits.
        bench.turn.send(bench.id(number), frame("s"));
        bench.turn.flush();
    }
    (0..PEERS).for_each(|peer| bench.turn.close(bench.id(peer)));
    for (number, (_, mailbox)) in bench.peers.iter().enumerate() {
        let mut got = String::new();
        while let Some(frames) = mailbox.next().await {
            got.extend(frames.iter().map(|frame| str::from_utf8(frame).unwrap()));
        }
        let sent =
            |at: usize| if at == number { format!("d{at} s{at} ") } else { format!("d{at} ") };
        assert_eq!(got, (0..50).map(sent).collect::<String>());
    }
}
