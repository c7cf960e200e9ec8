"""REST: publish, history, time, errors."""

import time

import pytest
from ably import AblyException
from ably.types.message import Message


async def test_time_is_now(rest):
    assert abs(await rest().time() - time.time() * 1000) < 5000


async def test_published_messages_are_in_history_newest_first(rest, channel_name):
    channel = rest().channels.get(channel_name)
    payloads = ["text", {"a": [1, "ř"]}, ["list", None], bytearray(b"\x00\xff\x80")]
    for number, data in enumerate(payloads):
        await channel.publish(str(number), data)
    page = await channel.history()
    assert [(item.name, item.data) for item in page.items] == [(str(n), payloads[n]) for n in (3, 2, 1, 0)]
    assert all(item.timestamp and item.id for item in page.items)


async def test_history_is_paged_forwards(rest, channel_name):
    channel = rest().channels.get(channel_name)
    for number in range(5):
        await channel.publish(str(number), None)
    page = await channel.history(direction="forwards", limit=2)
    names = [item.name for item in page.items]
    assert names == ["0", "1"]
    while page.has_next():
        page = await page.next()
        names += [item.name for item in page.items]
    assert names == ["0", "1", "2", "3", "4"]
    assert page.is_last()


async def test_stored_history_is_paged_backwards_and_between_times(rest, channel_name):
    channel = rest().channels.get(f"persisted:{channel_name}")
    for number in range(5):
        await channel.publish(str(number), {"number": number})
    page = await channel.history(limit=2)
    items = list(page.items)
    while page.has_next():
        page = await page.next()
        items += page.items
    assert [(item.name, item.data["number"]) for item in items] == [(str(n), n) for n in (4, 3, 2, 1, 0)]
    first = await (await channel.history(limit=2)).first()
    assert [item.name for item in first.items] == ["4", "3"]
    at = items[2].timestamp
    page = await channel.history(start=at, end=at)
    assert "2" in [item.name for item in page.items]
    assert all(item.timestamp == at for item in page.items)


async def test_a_channel_tells_who_is_there(realtime, rest, channel_name):
    client = await realtime(client_id="ann")
    channel = client.channels.get(channel_name)
    await channel.attach()
    await channel.presence.enter()
    details = await rest().channels.get(channel_name).status()
    metrics = details.status.occupancy.metrics
    assert (details.channel_id, details.status.is_active) == (channel_name, True)
    assert (metrics.connections, metrics.presence_members) == (1, 1)


async def test_an_array_is_published_in_order(rest, channel_name):
    channel = rest().channels.get(channel_name)
    await channel.publish([Message(name="a", data="1"), Message(name="b", data="2")])
    page = await channel.history(direction="forwards")
    assert [(item.name, item.data) for item in page.items] == [("a", "1"), ("b", "2")]


async def test_the_same_id_twice_is_one_message(rest, channel_name):
    channel = rest().channels.get(channel_name)
    for _ in range(2):
        await channel.publish(Message(id="once", name="repeated", data="x"))
    page = await channel.history()
    assert [item.id for item in page.items] == ["once"]


async def test_a_wrong_secret_is_refused(rest, server, channel_name):
    client = rest(key=f"{server.key_name}:not-the-secret")
    with pytest.raises(AblyException) as refusal:
        await client.channels.get(channel_name).history()
    assert (refusal.value.code, refusal.value.status_code) == (40101, 401)
