"""Presence: over realtime between two clients, and read over REST."""

import pytest
from ably import AblyException
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


async def test_a_client_enters_for_others_and_they_are_told_apart(realtime, rest, channel_name):
    agent = await realtime(client_id="*")
    channel = agent.channels.get(channel_name)
    await channel.attach()
    for client_id in ("ann", "bo", "cy"):
        await channel.presence.enter_client(client_id, client_id.upper())
    await channel.presence.leave_client("cy")
    late = await realtime()
    members = await late.channels.get(channel_name).presence.get()
    assert sorted((member.client_id, member.data) for member in members) == [("ann", "ANN"), ("bo", "BO")]
    assert [member.data for member in await late.channels.get(channel_name).presence.get(client_id="bo")] == ["BO"]
    page = await rest().channels.get(channel_name).presence.get(limit=1)
    names = [member.client_id for member in page.items]
    while page.has_next():
        page = await page.next()
        names += [member.client_id for member in page.items]
    assert sorted(names) == ["ann", "bo"]


async def test_members_leave_when_their_client_closes(realtime, channel_name):
    ann, watcher = await realtime(client_id="ann"), await realtime()
    inbox = Inbox()
    await watcher.channels.get(channel_name).presence.subscribe(inbox.take)
    channel = ann.channels.get(channel_name)
    await channel.attach()
    await channel.presence.enter("in")
    await inbox.item(lambda item: item.action == PresenceAction.ENTER)
    await ann.close()
    left = await inbox.item(lambda item: item.action == PresenceAction.LEAVE)
    assert left.client_id == "ann"
    assert await watcher.channels.get(channel_name).presence.get() == []


async def test_presence_without_a_client_id_is_refused(realtime, channel_name):
    channel = (await realtime()).channels.get(channel_name)
    await channel.attach()
    with pytest.raises(AblyException):
        await channel.presence.enter("nobody")


async def test_presence_history_is_paged(realtime, rest, channel_name):
    ann = await realtime(client_id="ann")
    channel = ann.channels.get(channel_name)
    await channel.attach()
    await channel.presence.enter("0")
    for data in ("1", "2", "3", "4"):
        await channel.presence.update(data)
    page = await rest().channels.get(channel_name).presence.history(limit=2)
    data = [item.data for item in page.items]
    while page.has_next():
        page = await page.next()
        data += [item.data for item in page.items]
    assert data == ["4", "3", "2", "1", "0"]


async def test_presence_history_holds_the_events(realtime, rest, channel_name):
    ann = await realtime(client_id="ann")
    channel = ann.channels.get(channel_name)
    await channel.attach()
    await channel.presence.enter("in")
    await channel.presence.leave("out")
    page = await rest().channels.get(channel_name).presence.history(direction="forwards")
    assert [(item.action, item.data) for item in page.items] == [(PresenceAction.ENTER, "in"), (PresenceAction.LEAVE, "out")]
