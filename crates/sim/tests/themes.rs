//! Scripted runs about objects, and about changed and annotated messages: a transport that breaks at
//! every frame in turn loses nothing and counts nothing twice.

use std::sync::Arc;

use sim::{Cut, Framing, Setup, Theme, Verdict, World};

const SECOND: u64 = 1_000;

fn hold(verdict: Verdict, context: &str) {
    if let Err(violation) = verdict {
        panic!("{context}: {violation}");
    }
}

/// Clients 0 and 1 work on the channel and client 2 follows it; each is away once, and the second
/// transport of client `broken` breaks after `frames` frames. Says how many transports that took.
fn work(theme: Theme, channel: &str, broken: usize, framing: Framing, frames: u64) -> u64 {
    let mut setup = Setup::calm(3, &[channel]);
    setup.theme = theme;
    setup.breaks = vec![(broken, 2, frames)];
    setup.limits.max_message_size = 400;
    setup.clients[broken].framing = framing;
    let name: Arc<str> = channel.into();
    let mut world = World::scripted(setup);
    let script = |world: &mut World| {
        for client in 0..3 {
            world.join(client, &[channel])?;
        }
        world.say(0, channel)?;
        for round in 0..30 {
            for client in 0..2 {
                match theme {
                    Theme::Objects => world.operate(client, &name)?,
                    Theme::Changes | Theme::Messages => {
                        world.change(client, &name)?;
                        world.annotate(client, &name)?;
                    }
                }
            }
            // Some of what was just sent is not acknowledged yet.
            world.run_for(if round % 2 == 0 { 7 } else { 300 })?;
            if round == 14 {
                world.lose(broken, Cut::Clean, 2 * SECOND)?;
            }
        }
        world.run_for(30 * SECOND)?;
        world.finish()
    };
    let context = format!("{theme:?}, client {broken}, frame {frames}");
    hold(script(&mut world), &context);
    assert_eq!(world.losses(broken), 0, "{context}");
    world.clients[broken].transports()
}

fn dropped(theme: Theme, channel: &str, broken: usize, framing: Framing) -> usize {
    (0..40).filter(|frames| work(theme, channel, broken, framing, *frames) == 3).count()
}

#[test]
fn objects_agree_after_a_drop_at_any_frame_of_a_sync() {
    for broken in [0, 2] {
        let dropped = dropped(Theme::Objects, "c0", broken, Framing::Socket);
        assert!(dropped >= 15, "client {broken} was dropped only {dropped} times");
    }
}

#[test]
fn versions_and_summaries_agree_after_a_drop_at_any_frame_of_a_replay() {
    for broken in [0, 2] {
        let dropped = dropped(Theme::Changes, "edited:0", broken, Framing::Socket);
        assert!(dropped >= 15, "client {broken} was dropped only {dropped} times");
    }
}

#[test]
fn requests_that_carry_one_direction_at_a_time_lose_no_more_than_sockets() {
    for (theme, channel) in [(Theme::Objects, "c0"), (Theme::Changes, "edited:0")] {
        let dropped = dropped(theme, channel, 0, Framing::Comet);
        assert!(dropped >= 10, "{theme:?}: dropped only {dropped} times");
    }
}
