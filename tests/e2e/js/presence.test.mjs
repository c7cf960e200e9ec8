/** Presence between two clients: enter, update, leave, get, and the members that a late comer is told (RTP). */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { eventually, Inbox } from './waiting.mjs';

const server = await startServer();

const of = (action, clientId) => (item) => item.action === action && item.clientId === clientId;

flow(server, 'enter, update and leave reach the other client in order', async (stage) => {
  const [ann, watcher] = await Promise.all([stage.connected({ clientId: 'ann' }), stage.connected()]);
  const name = stage.channelName();
  const inbox = new Inbox();
  await watcher.channels.get(name).presence.subscribe(inbox.take);
  const { presence } = ann.channels.get(name);
  await presence.enter('arriving');
  await presence.update({ mood: 'busy' });
  await presence.leave('leaving');
  await inbox.item(of('leave', 'ann'), 'the leave');
  const summary = inbox.items.map((item) => [item.action, item.clientId, item.data]);
  assert.deepEqual(summary, [
    ['enter', 'ann', 'arriving'],
    ['update', 'ann', { mood: 'busy' }],
    ['leave', 'ann', 'leaving'],
  ]);
  assert.ok(inbox.items.every((item) => item.connectionId === ann.connection.id));
  assert.deepEqual(await watcher.channels.get(name).presence.get(), []);
});

flow(server, 'a late comer gets all members by SYNC, and over REST', async (stage) => {
  const [ann, bo, late] = await Promise.all([
    stage.connected({ clientId: 'ann' }),
    stage.connected({ clientId: 'bo' }),
    stage.connected(),
  ]);
  const name = stage.channelName();
  await ann.channels.get(name).presence.enter('first');
  await bo.channels.get(name).presence.enter(Buffer.from([0, 1, 255]));
  const members = await late.channels.get(name).presence.get();
  const byClient = Object.fromEntries(members.map((member) => [member.clientId, member]));
  assert.deepEqual(Object.keys(byClient).sort(), ['ann', 'bo']);
  assert.equal(byClient.ann.data, 'first');
  assert.equal(byClient.ann.action, 'present');
  assert.deepEqual(Buffer.from(byClient.bo.data), Buffer.from([0, 1, 255]));

  const page = await stage.rest().channels.get(name).presence.get();
  assert.deepEqual(page.items.map((member) => member.clientId).sort(), ['ann', 'bo']);
  const filtered = await stage.rest().channels.get(name).presence.get({ clientId: 'bo' });
  assert.deepEqual(filtered.items.map((member) => member.clientId), ['bo']);
});

flow(server, 'one connection enters several members with enterClient', async (stage) => {
  const [host, watcher] = await Promise.all([stage.connected(), stage.connected()]);
  const name = stage.channelName();
  const { presence } = host.channels.get(name);
  const ids = Array.from({ length: 12 }, (_, number) => `guest-${number}`);
  await Promise.all(ids.map((id) => presence.enterClient(id, id)));
  const members = await watcher.channels.get(name).presence.get();
  assert.deepEqual(members.map((member) => member.clientId).sort(), [...ids].sort());
});

flow(server, 'closing a connection makes its members leave at once', async (stage) => {
  const [ann, watcher] = await Promise.all([stage.connected({ clientId: 'ann' }), stage.connected()]);
  const name = stage.channelName();
  const inbox = new Inbox();
  await watcher.channels.get(name).presence.subscribe(inbox.take);
  await ann.channels.get(name).presence.enter();
  await inbox.item(of('enter', 'ann'), 'the enter');
  ann.close();
  await inbox.item(of('leave', 'ann'), 'the leave', 5000); // far below the 15 s grace of a lost connection
});

flow(server, 'presence events are kept as presence history', async (stage) => {
  const ann = await stage.connected({ clientId: 'ann' });
  const name = stage.channelName();
  const { presence } = ann.channels.get(name);
  await presence.enter('in');
  await presence.update('still in');
  await presence.leave('out');
  const items = await eventually(async () => {
    const page = await stage.rest().channels.get(name).presence.history({ direction: 'forwards' });
    return page.items.length >= 3 && page.items;
  }, 'three presence events in history');
  assert.deepEqual(items.map((item) => [item.action, item.data]), [['enter', 'in'], ['update', 'still in'], ['leave', 'out']]);
});
