/** History of messages: limit, direction and paging over REST, and up to the attach point over realtime. */

import assert from 'node:assert/strict';
import { allItems, numbers } from './numbered.mjs';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { eventually, Inbox } from './waiting.mjs';

const server = await startServer();

/** A channel that holds `0 … 9`, all visible in history. */
async function tenMessages(stage, prefix) {
  const name = stage.channelName(prefix);
  const channel = stage.rest().channels.get(name);
  for (const number of numbers(10)) await channel.publish(number, { number });
  await eventually(async () => (await channel.history()).items.length === 10, 'ten messages in history');
  return channel;
}

const names = (items) => items.map((item) => item.name);

for (const prefix of ['e2e', 'persisted']) {
  flow(server, `history of a channel in ${prefix} is newest first, or oldest first on demand`, async (stage) => {
    const channel = await tenMessages(stage, prefix);
    assert.deepEqual(names((await channel.history()).items), numbers(10).reverse());
    const forwards = await channel.history({ direction: 'forwards' });
    assert.deepEqual(names(forwards.items), numbers(10));
    assert.deepEqual(forwards.items[3].data, { number: '3' });
  });

  flow(server, `history of a channel in ${prefix} is paged by limit, in both directions`, async (stage) => {
    const channel = await tenMessages(stage, prefix);
    const first = await channel.history({ limit: 4, direction: 'forwards' });
    assert.deepEqual(names(first.items), ['0', '1', '2', '3']);
    assert.equal(first.hasNext(), true);
    const second = await first.next();
    assert.deepEqual(names(second.items), ['4', '5', '6', '7']);
    const third = await second.next();
    assert.deepEqual(names(third.items), ['8', '9']);
    assert.equal(third.isLast(), true);
    assert.deepEqual(names((await third.first()).items), ['0', '1', '2', '3']);
    assert.deepEqual(names(await allItems(channel.history({ limit: 3 }))), numbers(10).reverse());
  });
}

flow(server, 'history between two times holds only what was published then', async (stage) => {
  const channel = await tenMessages(stage);
  const all = (await channel.history({ direction: 'forwards' })).items;
  const [start, end] = [all[3].timestamp, all[6].timestamp];
  const page = await channel.history({ direction: 'forwards', start, end });
  const expected = all.filter((item) => item.timestamp >= start && item.timestamp <= end);
  assert.deepEqual(names(page.items), names(expected));
});

flow(server, 'untilAttach history and the live stream meet without gap or overlap', async (stage) => {
  const [publisher, subscriber] = await Promise.all([stage.connected(), stage.connected()]);
  const name = stage.channelName();
  const source = publisher.channels.get(name);
  for (const number of numbers(5)) await source.publish(number, null);
  const inbox = new Inbox();
  const channel = subscriber.channels.get(name);
  await channel.subscribe(inbox.take);
  for (const number of ['5', '6', '7']) await source.publish(number, null);
  await inbox.item((item) => item.name === '7', 'the last live message');
  const past = await allItems(channel.history({ untilAttach: true, limit: 2 })); // RTL10b
  assert.deepEqual(names(past), numbers(5).reverse());
  assert.deepEqual(inbox.names, ['5', '6', '7']);
});
