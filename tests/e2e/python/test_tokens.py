"""Tokens: requested with a key, through a signed request, and restricted by capability."""

import pytest
from ably import AblyException


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
