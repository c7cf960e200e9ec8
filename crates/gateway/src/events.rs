//! Events on their way to the node. The queue is bounded by what they hold, not only by their number: a message
//! that takes a byte on the wire takes two hundred in memory.

use std::sync::Arc;

use node::Event;
use protocol::ProtocolMessage;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError, mpsc};

/// Events that wait for the node. When they are this many, connections read no further and
/// requests wait, within their deadline.
pub(crate) const EVENT_QUEUE: usize = 1024;

/// So many items in frames take the room of an event.
const ITEMS: usize = 64;

/// The end at which the node takes them.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::UnboundedReceiver<Event>,
    room: Arc<Semaphore>,
}

/// The end at which they are put.
#[derive(Debug)]
pub(crate) struct Sender {
    queue: mpsc::UnboundedSender<Event>,
    room: Arc<Semaphore>,
}

/// Why an event was not put into the queue.
pub(crate) enum Refused {
    /// There is no room for it now.
    Full(Event),
    /// There is no node any more.
    Closed,
}

pub(crate) fn queue() -> (Sender, Events) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(EVENT_QUEUE));
    (Sender { queue: sender, room: Arc::clone(&room) }, Events { queue: receiver, room })
}

impl Events {
    /// The next event, if one is there.
    pub fn try_recv(&mut self) -> Option<Event> {
        let event = self.queue.try_recv().ok()?;
        self.room.add_permits(weight(&event));
        Some(event)
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next event; none when there is no hub any more.
    #[cfg(test)]
    pub(crate) async fn recv(&mut self) -> Option<Event> {
        let event = self.queue.recv().await?;
        self.room.add_permits(weight(&event));
        Some(event)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.room.close();
    }
}

impl Sender {
    pub(crate) fn try_send(&self, event: Event) -> Result<(), Refused> {
        match self.room.try_acquire_many(permits(&event)) {
            Ok(room) => {
                self.send(event, room);
                Ok(())
            }
            Err(TryAcquireError::NoPermits) => Err(Refused::Full(event)),
            Err(TryAcquireError::Closed) => Err(Refused::Closed),
        }
    }

    /// Waits for room for the event; cancel safe.
    pub(crate) async fn room(&self, event: &Event) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.room.acquire_many(permits(event)).await
    }

    /// Puts the event where there is room for it.
    pub(crate) fn send(&self, event: Event, room: SemaphorePermit<'_>) {
        room.forget();
        // A node that is gone needs no news.
        self.queue.send(event).ok();
    }

    /// How much of the room is taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        EVENT_QUEUE - self.room.available_permits()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.room.is_closed()
    }
}

fn permits(event: &Event) -> u32 {
    u32::try_from(weight(event)).unwrap_or(u32::MAX)
}

/// The room that an event takes; the largest takes all.
fn weight(event: &Event) -> usize {
    let items =
        if let Event::Frames { frames, .. } = event { frames.iter().map(items).sum() } else { 0 };
    (1 + items / ITEMS).min(EVENT_QUEUE)
}

/// What a frame has lists of.
pub(crate) fn items(frame: &ProtocolMessage) -> usize {
    let ProtocolMessage { messages, presence, annotations, state, res, params, .. } = frame;
    messages.len() + presence.len() + annotations.len() + state.len() + res.len() + params.len()
}

#[cfg(test)]
mod tests {
    use node::TransportId;
    use protocol::Action;
    use types::Message;

    use super::*;

    fn event(messages: usize) -> Event {
        let mut frame = ProtocolMessage::new(Action::Message);
        frame.messages = vec![Message::default(); messages];
        Event::Frames { transport: TransportId(1), frames: vec![frame] }
    }

    #[test]
    fn there_is_room_for_a_number_of_items() {
        for items in [1, 10_000, 100_000] {
            let (sender, mut events) = queue();
            while sender.try_send(event(items)).is_ok() {}
            let most = (ITEMS * EVENT_QUEUE).max(items);
            assert!((1..=EVENT_QUEUE).contains(&events.len()) && events.len() * items <= most);
            assert!(events.try_recv().is_some());
            assert!(sender.try_send(event(items)).is_ok());
            assert!(matches!(sender.try_send(event(items)), Err(Refused::Full(_))));
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_node_that_goes_learns_it() {
        let (sender, events) = queue();
        while sender.try_send(event(1)).is_ok() {}
        let next = event(1);
        let (waited, ()) = tokio::join!(sender.room(&next), async { drop(events) });
        assert!(waited.is_err() && sender.is_closed());
        assert!(matches!(sender.try_send(event(1)), Err(Refused::Closed)));
    }
}
