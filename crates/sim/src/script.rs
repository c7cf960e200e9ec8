//! Scripted runs: what a test lets clients do, step by step, in a world where nothing else happens.

use std::collections::VecDeque;
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use types::PresenceAction;

use crate::checkers::Verdict;
use crate::report::Trace;
use crate::setup::Setup;
use crate::transport::Cut;
use crate::world::World;

impl World {
    pub fn scripted(setup: Setup) -> Self {
        let trace = Trace::Tail(VecDeque::new());
        Self::new(setup, ChaCha12Rng::seed_from_u64(1), None, trace)
    }

    /// Connects a client and attaches it to these channels.
    pub fn join(&mut self, client: usize, channels: &[&str]) -> Verdict {
        self.act(client, |client, now| client.connect(now))?;
        for channel in channels {
            let channel: Arc<str> = Arc::from(*channel);
            self.act(client, |client, now| client.attach(now, &channel, None))?;
        }
        self.run_for(100)
    }

    pub fn say(&mut self, client: usize, channel: &str) -> Verdict {
        self.publish(client, &channel.into(), 1)
    }

    pub fn enter(&mut self, client: usize, channel: &str) -> Verdict {
        let channel = channel.into();
        self.act(client, |client, _| client.enter(&channel, PresenceAction::Enter, 0))
    }

    /// The client's transport breaks, and the client is out of reach for a while.
    pub fn lose(&mut self, client: usize, how: Cut, away: u64) -> Verdict {
        self.cut_client(client, how);
        self.act(client, |client, now| client.stay_away(now, away))
    }

    pub fn close(&mut self, client: usize) -> Verdict {
        self.act(client, |client, now| client.close(now))
    }

    /// Nothing is missing, presence is the truth, and after everybody has left nothing remains.
    pub fn finish(&mut self) -> Verdict {
        self.calm()?;
        self.run_for(60_000)?;
        self.check_settled()?;
        self.leave()?;
        self.run_for(600_000)?;
        self.check_idle()
    }

    /// How often a client was told that it missed something.
    pub fn losses(&self, client: usize) -> u32 {
        let client = self.clients.get(client);
        client.map_or(0, |client| client.channels.values().map(|channel| channel.losses).sum())
    }
}
