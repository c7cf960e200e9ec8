"""Tokens: requested with a key, through a signed request, and restricted by capability."""

import asyncio

import pytest
from ably import AblyException
from ably.types.message import Message
from inbox import Inbox


async def test_a_requested_token_works_and_expires_as_asked(rest, channel_name):
    details = await rest().auth.request_token({"ttl": 60_000, "client_id": "ann"})
    assert details.client_id == "ann"
    assert details.expires - details.issued == 60_000
    channel = rest(token=details.token).channels.get(channel_name)
    await channel.publish("by token", None)
    page = await channel.history()
    assert [(item.name, item.client_id) for item in page.items] == [("by token", "ann")]


async def test_a_signed_token_request_is_exchanged_by_the_client(rest, channel_name):
    issuer = rest()

    async def auth_callback(params):
        return await issuer.auth.create_token_request({"client_id": "bo"}, None)

    channel = rest(auth_callback=auth_callback).channels.get(channel_name)
    await channel.publish("by request", None)
    page = await channel.history()
    assert [item.client_id for item in page.items] == ["bo"]


async def test_a_restricted_token_is_refused_with_40160(rest, channel_name):
    details = await rest().auth.request_token({"capability": {"elsewhere": ["publish"]}})
    with pytest.raises(AblyException) as refusal:
        await rest(token=details.token).channels.get(channel_name).publish("denied", None)
    assert (refusal.value.code, refusal.value.status_code) == (40160, 401)


# The server asks for a new token half a minute before the end of a longer one. At the end of a short one it disconnects, upon
# which this library renews it once: the second time it takes the error for one of the new token, and waits. After a renewal in
# place it attaches anew, from where it was: what is on its way then arrives twice.
@pytest.mark.parametrize(("ttl", "tokens"), [(31_000, 3), (1_500, 2)], ids=["in place", "by reconnecting"])
async def test_a_subscriber_whose_token_is_renewed_misses_nothing(realtime, rest, channel_name, ttl, tokens):
    issuer, issued = rest(), []

    async def auth_callback(params):
        issued.append(await issuer.auth.request_token({"ttl": ttl, "client_id": "ann"}))
        return issued[-1]

    inbox, sent = Inbox(), 0
    await (await realtime(auth_callback=auth_callback)).channels.get(channel_name).subscribe(inbox.take)
    channel = issuer.channels.get(channel_name)
    while len(issued) < tokens and sent < 250:
        await channel.publish(str(sent), None)
        sent += 1
        await asyncio.sleep(0.02)
    await channel.publish("end", None)
    await inbox.item(lambda item: item.name == "end")
    assert list(dict.fromkeys(item.name for item in inbox.items)) == [str(n) for n in range(sent)] + ["end"]
    assert len(issued) >= tokens


async def test_an_expired_token_without_a_way_to_renew_is_refused(rest, channel_name):
    details = await rest().auth.request_token({"ttl": 1})
    await asyncio.sleep(0.01)
    with pytest.raises(AblyException) as refusal:
        await rest(token=details.token).channels.get(channel_name).history()
    assert refusal.value.status_code in (401, 403)


async def test_a_token_cannot_speak_for_somebody_else(realtime, rest, channel_name):
    details = await rest().auth.request_token({"client_id": "ann"})
    channel = (await realtime(token=details.token)).channels.get(channel_name)
    with pytest.raises(AblyException) as refusal:
        await channel.publish(Message(name="x", client_id="bo"))
    assert refusal.value.code == 40012
