//! A channel with a clock, and effects as one line of text each.

use std::sync::Arc;
use std::time::Duration;

use channel::{
    Attach, Attached, AttachmentId, Channel, Config, Effect, Event, Limits, Publish, PublishToken,
    Rewind,
};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use types::{
    AppLimits, Body, ChannelName, Cursor, CursorError, Data, Entry, EntryId, Grouping, Message,
    NodeLimits, PresenceAction, PresenceMessage, Template, Timestamp,
};

pub(crate) const START: u64 = 1_700_000_000_000;
pub(crate) const RETENTION_MS: u64 = 120_000;
pub(crate) const DEADLINE_MS: u64 = 10_000;

pub(crate) struct Host {
    pub(crate) channel: Channel,
    pub(crate) now: u64,
    tokens: u64,
}

pub(crate) fn config() -> Config {
    Config {
        site: "dun".parse().unwrap(),
        persisted: false,
        persist_last: false,
        grouping: Grouping::None,
        limits: Limits::new(&AppLimits::unlimited(), &NodeLimits::default()),
    }
}

/// By names; all messages without one have the same key.
pub(crate) fn conflation() -> Grouping {
    let key = Template::parse("#{message.name}").unwrap();
    Grouping::Conflation { interval: Duration::from_millis(100), key }
}

pub(crate) fn host() -> Host {
    host_with(|_| {})
}

pub(crate) fn host_with(change: impl FnOnce(&mut Config)) -> Host {
    let mut config = config();
    change(&mut config);
    Host::open(config, 1, 0)
}

/// A persisted channel that has read an empty store.
pub(crate) fn persisted() -> Host {
    let mut host = Host::open(Config { persisted: true, ..config() }, 1, 0);
    host.load(vec![]);
    host
}

impl Host {
    pub(crate) fn open(config: Config, seed: u64, now: u64) -> Self {
        let name = ChannelName::parse("orders").unwrap();
        let channel = Channel::new(name, Arc::new(config), &mut SmallRng::seed_from_u64(seed));
        Self { channel, now: START + now, tokens: 0 }
    }

    pub(crate) fn handle(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.channel.handle(Timestamp(self.now), event, &mut effects);
        effects
    }

    pub(crate) fn say(&mut self, event: Event) -> Vec<String> {
        self.handle(event).iter().map(line).collect()
    }

    /// Moves to `ms` after the start, stopping at each deadline on the way.
    pub(crate) fn at(&mut self, ms: u64) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(deadline) = self.channel.next_deadline()
            && deadline.0 <= START + ms
        {
            self.now = self.now.max(deadline.0);
            lines.extend(self.say(Event::Tick));
            assert!(self.channel.next_deadline() != Some(deadline), "no progress at a deadline");
        }
        self.now = self.now.max(START + ms);
        lines
    }

    pub(crate) fn publish_event(&mut self, id: EntryId, body: Body) -> Event {
        self.tokens += 1;
        let connection_id = match &id {
            EntryId::Connection { connection_id, .. } => Some(connection_id.clone()),
            EntryId::Named(_) => None,
        };
        let token = PublishToken(self.tokens);
        Event::Publish(Publish { token, id, connection_id, owner: None, body })
    }

    pub(crate) fn publish(&mut self, id: EntryId, body: Body) -> Vec<String> {
        let event = self.publish_event(id, body);
        self.say(event)
    }

    /// Publishes one message with a new id for each text.
    pub(crate) fn post(&mut self, texts: &[&str]) -> Vec<String> {
        let post = |text: &&str| self.publish(named(&format!("id-{text}")), messages(&[text]));
        texts.iter().flat_map(post).collect()
    }

    /// The store says that the entry at `position` is durable.
    pub(crate) fn durable(&mut self, position: u64) -> Vec<String> {
        self.say(Event::Stored { position, durable: true })
    }

    pub(crate) fn not_durable(&mut self, position: u64) -> Vec<String> {
        self.say(Event::Stored { position, durable: false })
    }

    /// Makes the channel load, with the attachment 1000, which leaves again.
    pub(crate) fn load(&mut self, entries: Vec<Arc<Entry>>) -> Vec<String> {
        let attachment = AttachmentId(1000);
        self.handle(Event::Attach(Attach { attachment, resume: None, rewind: None }));
        let lines = self.say(Event::Loaded(Ok(entries)));
        self.handle(Event::Detach(attachment));
        lines
    }

    pub(crate) fn attach(&mut self) -> Attached {
        self.attach_with(None, None)
    }

    pub(crate) fn resume(&mut self, cursor: &Cursor) -> Attached {
        self.attach_with(Some(Ok(cursor.clone())), None)
    }

    pub(crate) fn rewind(&mut self, rewind: Rewind) -> Attached {
        self.attach_with(None, Some(rewind))
    }

    /// A store that is asked has nothing.
    pub(crate) fn attach_with(
        &mut self,
        resume: Option<Result<Cursor, CursorError>>,
        rewind: Option<Rewind>,
    ) -> Attached {
        let attachment = AttachmentId(1);
        match self.handle(Event::Attach(Attach { attachment, resume, rewind })).pop() {
            Some(Effect::Attached(attached)) => *attached,
            Some(Effect::LoadBacklog { attachment, .. }) => {
                let nothing = Event::BacklogLoaded { attachment, result: Ok(vec![]) };
                match self.handle(nothing).pop() {
                    Some(Effect::Attached(attached)) => *attached,
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The wire's text of what an attach was told.
pub(crate) fn told(attached: &Attached) -> String {
    let replay: Vec<String> = attached.replay.iter().map(|(entry, _)| content(entry)).collect();
    match &attached.error {
        Some(error) => format!("{} {}", error.code, replay.join(" ")).trim_end().to_owned(),
        None if attached.resumed => format!("resumed {}", replay.join(" ")).trim_end().to_owned(),
        None => format!("new {}", replay.join(" ")).trim_end().to_owned(),
    }
}

pub(crate) fn named(id: &str) -> EntryId {
    EntryId::Named(id.into())
}

pub(crate) fn sent(connection: &str, msg_serial: i64) -> EntryId {
    EntryId::Connection { connection_id: connection.into(), msg_serial }
}

pub(crate) fn messages(texts: &[&str]) -> Body {
    let message = |text: &&str| Message { data: Data::Text((*text).into()), ..Message::default() };
    Body::Messages(texts.iter().map(message).collect())
}

pub(crate) fn presence(action: PresenceAction, client: &str, data: &str) -> PresenceMessage {
    PresenceMessage {
        client_id: Some(client.into()),
        data: if data.is_empty() { Data::None } else { Data::Text(data.into()) },
        ..PresenceMessage::new(action)
    }
}

pub(crate) fn text(data: &Data) -> &str {
    match data {
        Data::Text(text) => text,
        Data::None | Data::Binary(_) => "",
    }
}

/// The items of an entry: `a+b` for messages, `enter:client=data` for presence.
pub(crate) fn content(entry: &Entry) -> String {
    let items: Vec<String> = match &entry.body {
        Body::Messages(messages) => messages.iter().map(|m| text(&m.data).to_owned()).collect(),
        Body::Annotations(items) => items
            .iter()
            .map(|item| format!("{}:{}", item.kind, item.name.as_deref().unwrap_or_default()))
            .collect(),
        Body::Objects(items) => items.iter().map(|o| o.operation.object_id.to_string()).collect(),
        Body::Presence(items) => items
            .iter()
            .map(|item| {
                let client = item.client_id.as_ref().unwrap();
                let action = format!("{:?}", item.action).to_lowercase();
                format!("{action}:{client}={}", text(&item.data))
            })
            .collect(),
    };
    items.join("+")
}

pub(crate) fn line(effect: &Effect) -> String {
    match effect {
        Effect::Attached(attached) => format!("attached {}", told(attached)),
        Effect::AttachRefused { error, .. } => format!("attach refused {}", error.code),
        Effect::Deliver { entry, cursor } => {
            // Summaries come before what they sum up, ephemeral messages behind what is kept.
            let covers = Cursor::at(entry.serial.series, entry.position);
            let is_kept = |messages: &[Message]| {
                messages.iter().all(|m| m.summary.is_none() && !m.is_ephemeral())
            };
            assert!(match &entry.body {
                Body::Messages(messages) => (*cursor == covers) == is_kept(messages),
                Body::Annotations(_) | Body::Presence(_) | Body::Objects(_) => *cursor == covers,
            });
            format!("deliver {}", content(entry))
        }
        Effect::Published { token, result } => match result {
            Ok(accepted) if accepted.dropped != 0 => {
                format!("{} accepted {} dropped {:b}", token.0, accepted.items, accepted.dropped)
            }
            Ok(accepted) if accepted.serial.is_none() => format!("{} changed nothing", token.0),
            Ok(accepted) => format!("{} accepted {}", token.0, accepted.items),
            Err(error) => format!("{} refused {}", token.0, error.code),
        },
        Effect::Store(entry) => format!("store {} {}", entry.position, content(entry)),
        Effect::KeepLast(entry) => format!("keep {}", content(entry)),
        Effect::StoreObjects(snapshot) => format!("store {} objects", snapshot.objects.len()),
        Effect::Occupancy(occupancy) => format!("occupancy {occupancy:?}"),
        Effect::Load => "load".to_owned(),
        Effect::LoadBacklog { query, .. } => format!("load {} older", query.limit),
        Effect::LoadMessages(messages) => format!("load {} messages", messages.len()),
    }
}

pub(crate) fn entries(effects: &[Effect]) -> Vec<Arc<Entry>> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Deliver { entry, .. } | Effect::Store(entry) => Some(Arc::clone(entry)),
            _ => None,
        })
        .collect()
}

pub(crate) fn window_ms() -> u64 {
    let window: Duration = config().limits.id_window();
    u64::try_from(window.as_millis()).unwrap()
}
