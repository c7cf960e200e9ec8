//! Scripted runs of one node: drop at every frame (T1), presence truth (T4), long-idle (T5).

use sim::{Cut, Setup, Verdict, World};

const CHANNELS: &[&str] = &["c0", "kept:0"];
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

fn hold(verdict: Verdict) {
    if let Err(violation) = verdict {
        panic!("{violation}");
    }
}

/// Client 0 publishes; client 1 subscribes, is away once while much is published, and comes back. Its
/// transport `transport` breaks after `frames` frames. Says how often client 1 was told of a loss, and
/// how many transports it has used.
fn drop_at(transport: u64, frames: u64) -> (u32, u64) {
    let mut setup = Setup::calm(2, CHANNELS);
    setup.breaks = vec![(1, transport, frames)];
    let mut world = World::scripted(setup);
    let script = |world: &mut World| {
        world.join(0, CHANNELS)?;
        world.join(1, CHANNELS)?;
        world.enter(0, "c0")?;
        for round in 0..10 {
            for channel in CHANNELS {
                world.say(0, channel)?;
                world.say(1, channel)?;
            }
            world.run_for(400)?;
            if round == 5 {
                world.lose(1, Cut::Clean, 2 * SECOND)?;
            }
        }
        world.run_for(10 * SECOND)?;
        for channel in CHANNELS {
            world.say(0, channel)?;
        }
        world.finish()
    };
    hold(script(&mut world));
    (world.losses(1), world.clients[1].transports())
}

#[test]
fn t1_a_drop_at_any_frame_loses_and_repeats_nothing() {
    for (transport, least) in [(1, 30), (2, 22)] {
        let dropped = (0..60).filter(|frames| {
            let (losses, transports) = drop_at(transport, *frames);
            assert_eq!(losses, 0, "transport {transport}, frame {frames}");
            transports == 3
        });
        let dropped = dropped.count();
        assert!(dropped >= least, "transport {transport} carried only {dropped} frames");
    }
}

#[test]
fn t1_a_client_that_is_away_beyond_the_retention_is_told() {
    let mut world = World::scripted(Setup::calm(2, CHANNELS));
    let script = |world: &mut World| {
        world.join(0, CHANNELS)?;
        world.join(1, CHANNELS)?;
        world.say(0, "c0")?;
        world.run_for(SECOND)?;
        world.lose(1, Cut::Clean, 3 * MINUTE)?;
        world.run_for(SECOND)?;
        world.say(0, "c0")?;
        world.run_for(4 * MINUTE)?;
        world.say(0, "c0")?;
        world.finish()
    };
    hold(script(&mut world));
    assert_eq!(world.losses(1), 1);
}

/// Client 0 is a member and away for `away`; the node learns of it after `noticed`.
fn presence_after(how: Cut, away: u64, watcher_away: u64) {
    let mut world = World::scripted(Setup::calm(3, CHANNELS));
    let script = |world: &mut World| {
        for client in 0..3 {
            world.join(client, CHANNELS)?;
        }
        for channel in CHANNELS {
            world.enter(0, channel)?;
            world.enter(1, channel)?;
        }
        world.run_for(SECOND)?;
        world.lose(0, how, away)?;
        world.lose(2, Cut::Clean, watcher_away)?;
        world.run_for(3 * MINUTE)?;
        world.finish()
    };
    if let Err(violation) = script(&mut world) {
        panic!("{how:?}, away for {away}: {violation}");
    }
}

#[test]
fn t4_presence_is_the_truth_whenever_the_grace_ends_around_a_resume() {
    for away in (14_800..15_300).step_by(5) {
        presence_after(Cut::HalfOpen(1), away, 10);
    }
    for away in (0..60_000).step_by(500) {
        presence_after(Cut::HalfOpen(1), away, away / 2);
    }
}

#[test]
fn t4_a_member_whose_leave_was_made_comes_back_under_its_old_id() {
    for away in (16_000..115_000).step_by(3_000) {
        presence_after(Cut::Clean, away, 10);
    }
}

#[test]
fn t4_a_superseded_transport_takes_nobody_away() {
    for noticed in (100..60_000).step_by(500) {
        presence_after(Cut::HalfOpen(noticed), 50, 10);
    }
}

#[test]
fn t5_a_publish_every_ten_minutes_is_never_refused() {
    let mut world = World::scripted(Setup::calm(2, CHANNELS));
    let script = |world: &mut World| {
        world.join(0, &[])?;
        world.join(1, &[])?;
        for _ in 0..200 {
            for channel in CHANNELS {
                world.say(0, channel)?;
            }
            world.run_for(SECOND)?;
            assert!(world.clients[0].is_settled());
            world.run_for(10 * MINUTE)?;
            assert_eq!(world.sizes(), (2, 0));
        }
        world.finish()
    };
    hold(script(&mut world));
}

#[test]
fn t5_a_thousand_reconnects_and_restarts_leave_nothing_behind() {
    let mut world = World::scripted(Setup::calm(2, CHANNELS));
    let script = |world: &mut World| {
        world.join(0, CHANNELS)?;
        world.join(1, CHANNELS)?;
        world.enter(1, "c0")?;
        for round in 0..1_000 {
            if round % 50 == 49 {
                world.crash(200);
            } else {
                world.cut_client(1, if round % 3 == 0 { Cut::HalfOpen(20) } else { Cut::Clean });
            }
            world.say(0, "kept:0")?;
            world.run_for(MINUTE)?;
            assert!(world.clients[0].is_settled());
            assert_eq!(world.sizes(), (2, 2), "round {round}");
        }
        world.finish()
    };
    hold(script(&mut world));
}
