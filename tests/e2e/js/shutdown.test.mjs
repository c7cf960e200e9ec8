/** SIGTERM: clients are told to reconnect, the process ends with 0, and the clients go on at its successor. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertExactlyOnceInOrder, NumberedPublisher } from './numbered.mjs';
import { startServer } from './server.mjs';
import { flow, reaches } from './stage.mjs';
import { Inbox } from './waiting.mjs';

const server = await startServer();
const MESSAGES = 160;

flow(server, 'clients under load move to a restarted server and lose nothing', async (stage) => {
  const [publisher, subscriber] = await Promise.all([stage.connected(), stage.connected()]);
  const name = stage.channelName('persisted');
  const inbox = new Inbox();
  await subscriber.channels.get(name).subscribe(inbox.take);
  const source = new NumberedPublisher(publisher.channels.get(name), MESSAGES);
  const published = source.run();
  await Promise.race([source.reached(60), published]);
  const ended = await server.end('SIGTERM');
  assert.deepEqual(ended, { code: 0, signal: null });
  await server.launch();
  await published;
  await stage.rest().channels.get(name).publish('end', null);
  await inbox.item((item) => item.name === 'end', 'the end marker', 20_000);
  assertExactlyOnceInOrder(inbox.names.slice(0, -1), MESSAGES, 'the subscriber');
}, 60_000);

flow(server, 'an idle client is disconnected, not failed, and reconnects', async (stage) => {
  const client = await stage.connected();
  const states = [];
  client.connection.on((change) => states.push(change.current));
  const { code } = await server.end('SIGTERM');
  assert.equal(code, 0);
  await server.launch();
  await reaches(client.connection, 'connected');
  assert.ok(states.includes('disconnected') && !states.includes('failed'), states.join(' '));
});

test('SIGTERM ends an idle server promptly with 0', { timeout: 20_000 }, async () => {
  const idle = await startServer();
  const begun = Date.now();
  assert.deepEqual(await idle.end('SIGTERM'), { code: 0, signal: null });
  assert.ok(Date.now() - begun < 5000, `took ${Date.now() - begun} ms`);
});
