/** Rewinds of a persisted channel of which nothing is in memory any more. */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { Inbox, within } from './waiting.mjs';

const server = await startServer({
  config: '[[namespaces]]\nid = "kept"\npersisted = true\n\n[[namespaces]]\nid = "mutable"\nmutable_messages = true\n\n[node]\nlog_retention_ms = 1\n',
});

async function rewound(stage, name, params) {
  const channel = (await stage.connected()).channels.get(name, { params });
  const inbox = new Inbox();
  const attached = within(new Promise((resolve) => channel.once('attached', resolve)), 'ATTACHED');
  await channel.subscribe(inbox.take);
  const { hasBacklog, resumed, reason } = await attached;
  assert.equal(resumed, false);
  return { inbox, hasBacklog, code: reason?.code };
}

flow(server, 'a rewind reads from the store, and what is published goes on behind it', async (stage) => {
  const name = stage.channelName('kept');
  const publisher = stage.rest().channels.get(name);
  for (let n = 0; n < 5; n++) await publisher.publish(String(n), { n });
  const counted = await rewound(stage, name, { rewind: '3' });
  const timed = await rewound(stage, name, { rewind: '5m', rewindLimit: '2' });
  await publisher.publish('5', { n: 5 });
  for (const [{ inbox, hasBacklog, code }, first] of [
    [counted, 2],
    [timed, 3],
  ]) {
    await inbox.item((message) => message.name === '5', 'the live message');
    const expected = Array.from({ length: 6 - first }, (_, n) => first + n);
    assert.deepEqual(
      inbox.items.map((message) => message.data.n),
      expected,
    );
    assert.ok(hasBacklog);
    assert.equal(code, undefined);
  }
});

flow(server, 'a rewound message is as it is now', async (stage) => {
  const name = stage.channelName('mutable');
  const publisher = stage.rest().channels.get(name);
  const { serials } = await publisher.publish('0', 'first');
  await publisher.publish('1', 'second');
  await publisher.updateMessage({ serial: serials[0], data: 'changed' });
  const { inbox } = await rewound(stage, name, { rewind: '9' });
  await inbox.item((message) => message.name === '1', 'the last message');
  assert.deepEqual(
    inbox.items.map(({ name, data, action }) => [name, data, action]),
    [
      ['0', 'changed', 'message.update'],
      ['1', 'second', 'message.create'],
    ],
  );
});
