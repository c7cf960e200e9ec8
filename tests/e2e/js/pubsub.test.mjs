/** Two clients on one channel: what one publishes, the other receives, whole and in order. */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow, reaches } from './stage.mjs';
import { Inbox } from './waiting.mjs';

const server = await startServer();

flow(server, 'a message reaches a subscriber with its name, data, ids and timestamp', async (stage) => {
  const [publisher, subscriber] = await Promise.all([stage.connected({ clientId: 'ann' }), stage.connected()]);
  const name = stage.channelName();
  const inbox = new Inbox();
  await subscriber.channels.get(name).subscribe(inbox.take);
  const result = await publisher.channels.get(name).publish('greeting', 'hello');
  const message = await inbox.item((item) => item.name === 'greeting', 'the message');
  assert.equal(message.data, 'hello');
  assert.equal(message.clientId, 'ann');
  assert.equal(message.connectionId, publisher.connection.id);
  assert.match(message.id, new RegExp(`^${publisher.connection.id}:\\d+:0$`)); // TM2a
  assert.ok(Math.abs(message.timestamp - Date.now()) < 60_000, 'timestamp is about now');
  assert.equal(message.action, 'message.create');
  assert.ok(message.serial, 'a message has a serial'); // TM2r
  assert.deepEqual(result.serials, [message.serial]); // RTL6j: the ACK's `res` names the same serial
});

flow(server, 'messages of one publisher arrive in publish order', async (stage) => {
  const [publisher, subscriber] = await Promise.all([stage.connected(), stage.connected()]);
  const name = stage.channelName();
  const inbox = new Inbox();
  await subscriber.channels.get(name).subscribe(inbox.take);
  const channel = publisher.channels.get(name);
  const sent = Array.from({ length: 30 }, (_, number) => String(number));
  await Promise.all(sent.map((item) => channel.publish(item, null)));
  await inbox.item((item) => item.name === '29', 'the last message');
  assert.deepEqual(inbox.names, sent);
});

flow(server, 'an array is published as one unit and keeps its order', async (stage) => {
  const [publisher, subscriber] = await Promise.all([stage.connected(), stage.connected()]);
  const name = stage.channelName();
  const inbox = new Inbox();
  await subscriber.channels.get(name).subscribe(inbox.take);
  const result = await publisher.channels.get(name).publish([{ name: 'a' }, { name: 'b', data: 'two' }, { name: 'c' }]);
  await inbox.item((item) => item.name === 'c', 'the last of the array');
  assert.deepEqual(inbox.names, ['a', 'b', 'c']);
  assert.equal(result.serials.length, 3);
  const [first, second] = inbox.items;
  assert.equal(second.id, first.id.replace(/0$/, '1'), 'ids count up within the frame (TM2a)');
});

flow(server, 'after detach nothing more is delivered', async (stage) => {
  const [publisher, subscriber] = await Promise.all([stage.connected(), stage.connected()]);
  const [left, kept] = [stage.channelName(), stage.channelName()];
  const inbox = new Inbox();
  await subscriber.channels.get(left).subscribe(inbox.take);
  await subscriber.channels.get(kept).subscribe(inbox.take);
  await subscriber.channels.get(left).detach();
  assert.equal(subscriber.channels.get(left).state, 'detached');
  await publisher.channels.get(left).publish('unwanted', null);
  await publisher.channels.get(kept).publish('wanted', null);
  await inbox.item((item) => item.name === 'wanted', 'the message on the other channel');
  assert.deepEqual(inbox.names, ['wanted']);
});

flow(server, 'connection details are complete', async (stage) => {
  const client = stage.realtime({ clientId: 'bo' });
  await reaches(client.connection, 'connected');
  assert.match(client.connection.id, /^[\w-]{6,}$/);
  assert.ok(client.connection.key.length > client.connection.id.length, 'the key is private and longer than the id');
  assert.equal(client.auth.clientId, 'bo');
  assert.ok(client.connection.createRecoveryKey(), 'a recovery key exists while connected (RTN16g)');
});

flow(server, 'close is answered and ends the connection', async (stage) => {
  const client = await stage.connected();
  client.close();
  await reaches(client.connection, 'closed');
});
