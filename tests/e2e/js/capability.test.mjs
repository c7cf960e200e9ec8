/** What a restricted token may not do: 40160, on attach, publish, presence and history. */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { Inbox, refusal } from './waiting.mjs';

const server = await startServer();

async function restricted(stage, capability) {
  const { token } = await stage.rest().auth.requestToken({ capability, clientId: 'ann' });
  return { client: await stage.connected({ token }), rest: stage.rest({ token }) };
}

function assertDenied(error) {
  assert.deepEqual([error.code, error.statusCode], [40160, 401]);
}

flow(server, 'attach outside the capability fails the channel, not the connection', async (stage) => {
  const { client } = await restricted(stage, { 'open:*': ['subscribe'] });
  const channel = client.channels.get(stage.channelName('closed'));
  assertDenied(await refusal(channel.attach(), 'attach outside the capability'));
  assert.equal(channel.state, 'failed'); // RTL14
  assert.equal(client.connection.state, 'connected');
});

flow(server, 'a subscriber may listen but neither publish, enter nor read history', async (stage) => {
  const { client, rest } = await restricted(stage, { 'open:*': ['subscribe'] });
  const name = stage.channelName('open');
  const channel = client.channels.get(name);
  const inbox = new Inbox();
  await channel.subscribe(inbox.take);
  assert.ok(channel.modes.includes('SUBSCRIBE') || channel.modes.includes('subscribe'), `modes ${channel.modes}`);
  assert.ok(!channel.modes.some((mode) => mode.toLowerCase() === 'publish'), `modes ${channel.modes}`);
  assertDenied(await refusal(channel.publish('denied', null), 'realtime publish'));
  assertDenied(await refusal(channel.presence.enter(), 'presence enter'));
  assertDenied(await refusal(rest.channels.get(name).publish('denied', null), 'REST publish'));
  assertDenied(await refusal(rest.channels.get(name).history(), 'REST history'));
  await stage.rest().channels.get(name).publish('heard', null);
  await inbox.item((item) => item.name === 'heard', 'a message of someone who may');
  assert.deepEqual(inbox.names, ['heard']);
});

flow(server, 'a publisher may publish without attaching, and is not sent messages', async (stage) => {
  const { client } = await restricted(stage, { 'open:*': ['publish'] });
  const watcher = await stage.connected();
  const name = stage.channelName('open');
  const [sent, heard] = [new Inbox(), new Inbox()];
  await watcher.channels.get(name).subscribe(heard.take);
  client.channels.get(name).subscribe(sent.take).catch(() => {});
  await client.channels.get(name).publish('outbound', null);
  await heard.item((item) => item.name === 'outbound', 'the message at the watcher');
  await client.connection.ping(); // anything sent before the answer to the ping has arrived
  assert.deepEqual(sent.names, []);
});

flow(server, 'a token has the capability that was asked for', async (stage) => {
  const narrow = await stage.rest().auth.requestToken({ capability: { 'open:*': ['subscribe'] } });
  assert.deepEqual(JSON.parse(narrow.capability), { 'open:*': ['subscribe'] });
});

flow(server, 'a capability that is no JSON is refused with 400', async (stage) => {
  const body = { keyName: server.keyName, capability: '{not json', timestamp: Date.now(), nonce: `${stage.format}-${Date.now()}` };
  const answer = await stage.rest().request('post', `/keys/${server.keyName}/requestToken`, 3, {}, body, {}); // Basic auth: no mac needed
  assert.equal(answer.statusCode, 400);
});
