/** Namespaces that batch or conflate, appends that are rolled up, and the last message that outlives a restart. */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { Inbox } from './waiting.mjs';

const server = await startServer({
  config: `
    [[namespaces]]
    id = "batched"
    batching_enabled = true
    batching_interval_ms = 200
    [[namespaces]]
    id = "conflated"
    conflation_enabled = true
    conflation_interval_ms = 200
    conflation_key = "#{message.extras.headers['market']}"
    [[namespaces]]
    id = "mutable"
    mutable_messages = true
    [[namespaces]]
    id = "last"
    persist_last = true
    populate_channel_registry = true
  `,
});

async function subscribed(stage, namespace, options = {}) {
  const [writer, reader] = [stage.realtime(options), stage.realtime()];
  const name = stage.channelName(namespace);
  const inbox = new Inbox();
  await reader.channels.get(name).subscribe(inbox.take);
  return { channel: writer.channels.get(name), inbox };
}

flow(server, 'messages of a batch arrive in order, each with its own id and serial', async (stage) => {
  const { channel, inbox } = await subscribed(stage, 'batched');
  const names = ['a', 'b', 'c'];
  await Promise.all(names.map((name) => channel.publish(name, null)));
  await inbox.item((message) => message.name === 'c', 'the last message of the batch');
  assert.deepEqual(inbox.items.map((message) => message.name), names);
  assert.equal(new Set(inbox.items.map((message) => message.id)).size, 3);
  assert.equal(new Set(inbox.items.map((message) => message.serial)).size, 3);
});

flow(server, 'conflation leaves the newest message of each key, and the others have no serial', async (stage) => {
  const { channel, inbox } = await subscribed(stage, 'conflated');
  const price = (market, data) => ({ name: 'price', data, extras: { headers: { market } } });
  const results = await channel.publish([price('A', '1'), price('B', '2'), price('A', '3')]);
  assert.deepEqual(results.serials.map((serial) => serial !== null), [false, true, true]);
  await inbox.item((message) => message.data === '3', 'the newest price of A');
  assert.deepEqual(inbox.items.map((message) => message.data), ['2', '3']);
});

flow(server, 'appends in quick succession arrive as fewer, and say the same', async (stage) => {
  const { channel, inbox } = await subscribed(stage, 'mutable', { transportParams: { appendRollupWindow: 500 } });
  const { serials } = await channel.publish('answer', '');
  const pieces = [...Array(20).keys()].map((number) => `${number} `);
  await Promise.all(pieces.map((data) => channel.appendMessage({ serial: serials[0], data })));
  let text = '';
  const seen = (message) => {
    text = message.action === 'message.append' ? text + message.data : message.data;
    return text === pieces.join('');
  };
  await inbox.item(seen, 'all pieces');
  assert.ok(inbox.items.length < 10, `${inbox.items.length} deliveries`);
});

flow(server, 'the last message is there after a restart for who rewinds by one, and its channel is enumerated', async (stage) => {
  const name = stage.channelName('last');
  const rest = stage.rest();
  await rest.channels.get(name).publish('first', '1');
  await rest.channels.get(name).publish('last', '2');
  await server.end('SIGTERM');
  await server.launch();
  const inbox = new Inbox();
  await stage.realtime().channels.get(name, { params: { rewind: '1' } }).subscribe(inbox.take);
  const message = await inbox.item(() => true, 'the last message');
  assert.deepEqual([message.name, message.data], ['last', '2']);
  const list = await rest.request('GET', '/channels', 2, { by: 'id', prefix: 'last:' });
  assert.ok(list.items.includes(name), JSON.stringify(list.items));
});
