"""Fixtures: one server for the session, clients of both formats, and channel names of a test's own.

Two ways of the Python library shape the clients: its realtime part ignores `port`, so the port goes with the endpoint, and its
REST part refuses to send a key without TLS (RSC18), so REST clients exchange the key for a token first.
"""

from __future__ import annotations

import itertools

import pytest
import pytest_asyncio
from ably import AblyRealtime, AblyRest
from serving import Server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server():
    running = Server()
    yield running
    running.stop()


@pytest.fixture(params=["json", "msgpack"])
def binary(request) -> bool:
    """Whether clients speak MessagePack; a test that uses it runs in both formats."""
    return request.param == "msgpack"


@pytest.fixture
def channel_name() -> str:
    return f"python:{next(_numbers)}"


def _options(server: Server, binary: bool, extra: dict) -> dict:
    credentialed = {"key", "token", "auth_callback"} & extra.keys()
    key = {} if credentialed else {"key": server.key}
    return {"tls": False, "use_binary_protocol": binary} | key | extra


@pytest_asyncio.fixture
async def rest(server, binary):
    """Makes REST clients, closed when the test ends."""
    made = []

    def make(**extra) -> AblyRest:
        options = _options(server, binary, extra)
        made.append(AblyRest(endpoint="127.0.0.1", port=server.port, use_token_auth="key" in options or None, **options))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest_asyncio.fixture
async def realtime(server, binary):
    """Makes connected realtime clients, closed when the test ends."""
    made = []

    async def make(**extra) -> AblyRealtime:
        made.append(AblyRealtime(endpoint=f"127.0.0.1:{server.port}", **_options(server, binary, extra)))
        await made[-1].connection.once_async("connected")
        return made[-1]

    yield make
    for client in made:
        await client.close()
