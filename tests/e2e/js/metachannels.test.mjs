/** What the server says of an app on metachannels, and objects and occupancy in messages on ordinary channels. */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { Inbox, eventually, refusal } from './waiting.mjs';

const server = await startServer();

async function listening(stage, name, options) {
  const client = await stage.connected();
  const channel = client.channels.get(name, options);
  const inbox = new Inbox();
  await channel.subscribe(inbox.take);
  return { channel, inbox };
}

flow(server, 'a channel that opens is told with its details', async (stage) => {
  const { inbox } = await listening(stage, '[meta]channel.lifecycle');
  const name = stage.channelName();
  await (await stage.connected()).channels.get(name).attach();
  const opened = await inbox.item((item) => item.name === 'channel.opened' && item.data.channelId === name, 'opened');
  assert.equal(opened.data.status.isActive, true);
  assert.equal(typeof opened.data.status.occupancy.metrics.connections, 'number');
  await inbox.item((item) => item.name === 'channel.region.active' && item.data.channelId === name, 'active');
});

flow(server, 'connections are told as they come and go, with the name of the key but not its secret', async (stage) => {
  const lifecycle = await listening(stage, '[meta]connection.lifecycle');
  const samples = await listening(stage, '[meta]clientEvents:connections');
  const clientId = `ann-${stage.format}`;
  const client = await stage.connected({ clientId });
  const opened = await samples.inbox.item((item) => item.data.clientId === clientId, 'sample');
  assert.equal(opened.name, 'connection.opened');
  assert.equal(opened.data.credential.keyName, server.key.split(':')[0]);
  assert.equal(opened.data.connectionId, client.connection.id);
  assert.ok(!JSON.stringify(opened.data).includes(server.key.split(':')[1]));
  client.close();
  const is = (item) => item.name === 'connection.closed' && item.data.clientId === clientId;
  await lifecycle.inbox.item(is, 'the end in the lifecycle');
  await samples.inbox.item(is, 'the end as a sample');
});

flow(server, 'requests are sampled', async (stage) => {
  const { inbox } = await listening(stage, '[meta]clientEvents:apiRequests');
  const name = stage.channelName();
  await stage.rest().channels.get(name).publish('x', null);
  const told = await inbox.item((item) => item.data.channels?.includes(name), 'the request');
  assert.deepEqual([told.name, told.data.method, told.data.path], [
    'request.succeeded',
    'POST',
    `/channels/${encodeURIComponent(name)}/messages`,
  ]);
  assert.equal(told.data.headers.host, `127.0.0.1:${server.port}`);
});

flow(server, 'a rewind gives the newest statistics at once', async (stage) => {
  const { inbox } = await listening(stage, '[meta]stats:minute', { params: { rewind: '1' } });
  const minute = await inbox.item((item) => item.name === 'update', 'statistics');
  assert.equal(minute.data.unit, 'minute');
  assert.match(minute.data.intervalId, /^\d{4}-\d\d-\d\d:\d\d:\d\d$/);
});

flow(server, 'nobody publishes on a metachannel, but its history can be read', async (stage) => {
  const { channel } = await listening(stage, '[meta]channel.lifecycle');
  assert.equal((await refusal(channel.publish('x', null), 'a publish')).code, 40160);
  const rest = stage.rest().channels.get('[meta]channel.lifecycle');
  assert.equal((await refusal(rest.publish('x', null), 'a publish over REST')).code, 40160);
  await (await stage.connected()).channels.get(stage.channelName()).attach();
  await eventually(async () => (await rest.history()).items.some((item) => item.name === 'channel.opened'), 'history');
});

flow(server, 'objects come in messages, all of them and as notifications', async (stage) => {
  const name = stage.channelName();
  const [all, link] = await Promise.all(
    ['objects', 'notification'].map((objects) => listening(stage, name, { params: { objects } })),
  );
  const body = { mapSet: { key: 'colour', value: { string: 'green' } }, objectId: 'root' };
  const rest = stage.rest();
  const path = `/channels/${encodeURIComponent(name)}/object`;
  const answer = await rest.request('post', path, 6, {}, body, {});
  assert.ok(answer.success, answer.errorMessage);
  const isGreen = (item) => item.data.object?.map.entries.colour?.data.string === 'green';
  const told = await all.inbox.item(isGreen, 'the objects');
  assert.deepEqual([told.name, told.data.object.objectId, told.data.nextCursor], ['[meta]objects', 'root', undefined]);
  const notified = await link.inbox.item((item) => item.name === '[meta]objects', 'the notification');
  const read = await rest.request('get', notified.data.link, 6, {}, null, {});
  assert.deepEqual(read.items[0], { colour: 'green' });
});
