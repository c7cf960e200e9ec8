/** Publishing over REST: single, array, idempotent, and on behalf of a connection. */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { eventually, Inbox, refusal } from './waiting.mjs';

const server = await startServer();

flow(server, 'a message and an array published over REST reach a subscriber', async (stage) => {
  const subscriber = await stage.connected();
  const name = stage.channelName();
  const inbox = new Inbox();
  await subscriber.channels.get(name).subscribe(inbox.take);
  const channel = stage.rest().channels.get(name);
  const result = await channel.publish('single', { n: 1 });
  await channel.publish([{ name: 'first', data: 'a' }, { name: 'second', data: 'b' }]);
  await inbox.item((item) => item.name === 'second', 'the last message');
  assert.deepEqual(inbox.items.map((item) => [item.name, item.data]), [['single', { n: 1 }], ['first', 'a'], ['second', 'b']]);
  assert.deepEqual(result.serials, [inbox.items[0].serial]);
});

flow(server, 'the same id published twice is one message', async (stage) => {
  const subscriber = await stage.connected();
  const name = stage.channelName();
  const inbox = new Inbox();
  await subscriber.channels.get(name).subscribe(inbox.take);
  const channel = stage.rest().channels.get(name);
  await channel.publish({ id: 'once', name: 'repeated', data: 'x' }); // RSL1k5
  await channel.publish({ id: 'once', name: 'repeated', data: 'x' });
  await channel.publish({ id: 'end', name: 'end' });
  await inbox.item((item) => item.name === 'end', 'the end marker');
  assert.deepEqual(inbox.names, ['repeated', 'end']);
  const history = await eventually(async () => {
    const page = await channel.history();
    return page.items.some((item) => item.name === 'end') && page.items;
  }, 'history with the end marker');
  assert.deepEqual(history.map((item) => item.id), ['end', 'once']);
});

flow(server, 'ids of an array that do not share one base are refused with 40031', async (stage) => {
  const channel = stage.rest().channels.get(stage.channelName());
  const publish = channel.publish([{ id: 'one:0', name: 'a' }, { id: 'two:1', name: 'b' }]);
  const error = await refusal(publish, 'publish with unrelated ids');
  assert.equal(error.code, 40031);
});

flow(server, 'a publish with a connection key is attributed to that connection', async (stage) => {
  const ann = await stage.connected({ clientId: 'ann' });
  const name = stage.channelName();
  const inbox = new Inbox();
  await ann.channels.get(name).subscribe(inbox.take);
  await stage.rest().channels.get(name).publish({ name: 'for ann', connectionKey: ann.connection.key }); // TM2h
  const message = await inbox.item((item) => item.name === 'for ann', 'the message');
  assert.equal(message.connectionId, ann.connection.id);
  assert.equal(message.clientId, 'ann');
});

flow(server, 'an unknown connection key is refused with 40006', async (stage) => {
  const channel = stage.rest().channels.get(stage.channelName());
  const error = await refusal(channel.publish({ name: 'x', connectionKey: 'nobody!here' }), 'publish with a made-up key');
  assert.equal(error.code, 40006);
});

flow(server, 'time is now', async (stage) => {
  const time = await stage.rest().time();
  assert.ok(Math.abs(time - Date.now()) < 5000);
});
