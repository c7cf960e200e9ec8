"""Realtime: connect, attach, publish, subscribe, ping."""

import asyncio

import pytest
from ably import AblyException, ChannelMode, ChannelOptions
from ably.types.channelstate import ChannelState
from inbox import Inbox


async def test_messages_pass_between_two_clients_in_order(realtime, channel_name):
    publisher, subscriber = await realtime(client_id="ann"), await realtime()
    inbox = Inbox()
    await subscriber.channels.get(channel_name).subscribe(inbox.take)
    assert subscriber.channels.get(channel_name).state == ChannelState.ATTACHED
    channel = publisher.channels.get(channel_name)
    payloads = ["text", {"a": [1, "ř"]}, bytearray(b"\x00\xff\x80")]
    for number, data in enumerate(payloads):
        await channel.publish(str(number), data)
    await inbox.item(lambda item: item.name == "2")
    assert [(item.name, item.data, item.client_id) for item in inbox.items] == [
        (str(n), data, "ann") for n, data in enumerate(payloads)
    ]


async def test_a_message_published_over_rest_is_received(realtime, rest, channel_name):
    subscriber = await realtime()
    inbox = Inbox()
    await subscriber.channels.get(channel_name).subscribe("wanted", inbox.take)
    channel = rest().channels.get(channel_name)
    await channel.publish("unwanted", "1")
    await channel.publish("wanted", "2")
    await inbox.item(lambda item: item.name == "wanted")
    assert [item.name for item in inbox.items] == ["wanted"]


async def test_nothing_arrives_after_detach(realtime, rest, channel_name):
    subscriber = await realtime()
    left, kept = Inbox(), Inbox()
    channel = subscriber.channels.get(channel_name)
    await channel.subscribe(left.take)
    await subscriber.channels.get(f"{channel_name}:kept").subscribe(kept.take)
    await channel.detach()
    await rest().channels.get(channel_name).publish("unwanted", None)
    await rest().channels.get(f"{channel_name}:kept").publish("end", None)
    await kept.item(lambda item: item.name == "end")
    assert left.items == []


async def test_rewind_delivers_what_was_before(realtime, rest, channel_name):
    for number in range(3):
        await rest().channels.get(channel_name).publish(str(number), None)
    inbox = Inbox()
    channel = (await realtime()).channels.get(channel_name, ChannelOptions(params={"rewind": "2"}))
    await channel.subscribe(inbox.take)
    await rest().channels.get(channel_name).publish("live", None)
    await inbox.item(lambda item: item.name == "live")
    assert [item.name for item in inbox.items] == ["1", "2", "live"]


async def test_a_connection_that_is_lost_resumes_and_misses_nothing(realtime, rest, channel_name):
    client = await realtime()
    inbox = Inbox()
    await client.channels.get(channel_name).subscribe(inbox.take)
    before = client.connection.connection_manager.connection_id
    back = asyncio.create_task(client.connection.once_async("connected"))
    await client.connection.connection_manager.transport.websocket.close()
    for number in range(3):
        await rest().channels.get(channel_name).publish(str(number), None)
    await asyncio.wait_for(back, 10)
    await rest().channels.get(channel_name).publish("end", None)
    await inbox.item(lambda item: item.name == "end")
    assert [item.name for item in inbox.items] == ["0", "1", "2", "end"]
    assert client.connection.connection_manager.connection_id == before


async def test_a_mode_that_was_not_asked_for_is_refused(realtime, channel_name):
    channel = (await realtime()).channels.get(channel_name, ChannelOptions(modes=[ChannelMode.SUBSCRIBE]))
    await channel.attach()
    assert channel.modes == [ChannelMode.SUBSCRIBE]
    with pytest.raises(AblyException) as refusal:
        await channel.publish("x", None)
    assert refusal.value.code == 40165


async def test_a_ping_is_answered(realtime):
    client = await realtime()
    assert await asyncio.wait_for(client.connection.ping(), 5) >= 0


async def test_a_token_opens_a_connection(realtime, rest, channel_name):
    details = await rest().auth.request_token({"client_id": "ann"})
    client = await realtime(token=details.token)
    inbox = Inbox()
    channel = client.channels.get(channel_name)
    await channel.subscribe(inbox.take)
    await channel.publish("by token", None)
    assert (await inbox.item(lambda item: item.name == "by token")).client_id == "ann"
