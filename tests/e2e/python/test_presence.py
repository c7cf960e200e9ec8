"""Presence: over realtime between two clients, and read over REST."""

from ably.types.presence import PresenceAction
from inbox import Inbox


async def test_enter_update_and_leave_reach_the_other_client(realtime, channel_name):
    ann, watcher = await realtime(client_id="ann"), await realtime()
    inbox = Inbox()
    await watcher.channels.get(channel_name).presence.subscribe(inbox.take)
    channel = ann.channels.get(channel_name)
    await channel.attach()
    await channel.presence.enter("in")
    await channel.presence.update("still")
    await channel.presence.leave("out")
    await inbox.item(lambda item: item.action == PresenceAction.LEAVE)
    assert [(item.action, item.client_id, item.data) for item in inbox.items] == [
        (PresenceAction.ENTER, "ann", "in"),
        (PresenceAction.UPDATE, "ann", "still"),
        (PresenceAction.LEAVE, "ann", "out"),
    ]


async def test_members_are_told_to_a_late_comer_and_over_rest(realtime, rest, channel_name):
    ann, late = await realtime(client_id="ann"), await realtime()
    channel = ann.channels.get(channel_name)
    await channel.attach()
    await channel.presence.enter({"mood": "fine"})
    await late.channels.get(channel_name).attach()
    members = await late.channels.get(channel_name).presence.get()
    assert [(member.client_id, member.data) for member in members] == [("ann", {"mood": "fine"})]
    page = await rest().channels.get(channel_name).presence.get()
    assert [(member.client_id, member.data) for member in page.items] == [("ann", {"mood": "fine"})]


async def test_presence_history_holds_the_events(realtime, rest, channel_name):
    ann = await realtime(client_id="ann")
    channel = ann.channels.get(channel_name)
    await channel.attach()
    await channel.presence.enter("in")
    await channel.presence.leave("out")
    page = await rest().channels.get(channel_name).presence.history(direction="forwards")
    assert [(item.action, item.data) for item in page.items] == [(PresenceAction.ENTER, "in"), (PresenceAction.LEAVE, "out")]
