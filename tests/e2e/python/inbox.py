"""What a subscription delivers, in order, with a bounded wait for an item."""

from __future__ import annotations

import asyncio


class Inbox:
    """`take` goes to `subscribe`."""

    def __init__(self) -> None:
        self.items: list = []
        self._arrived = asyncio.Event()

    def take(self, item) -> None:
        self.items.append(item)
        self._arrived.set()

    async def item(self, predicate, bound: float = 10):
        """The first item, past or future, that satisfies `predicate`."""

        async def search():
            while True:
                for item in self.items:
                    if predicate(item):
                        return item
                self._arrived.clear()
                await self._arrived.wait()

        return await asyncio.wait_for(search(), bound)
