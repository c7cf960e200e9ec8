/** Push administration: devices, subscriptions and notifications, with a channel in place of a device; and that they survive a restart. */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { Inbox, refusal } from './waiting.mjs';

const server = await startServer({ config: '[[namespaces]]\nid = "pushed"\npush_enabled = true\n' });

/** A device whose notifications are messages on the channel `inbox`. */
function device(id, inbox) {
  const recipient = { transportType: 'ablyChannel', channel: inbox, ablyKey: server.key, ablyUrl: server.url };
  return { id, clientId: 'ann', platform: 'browser', formFactor: 'desktop', push: { recipient } };
}

async function notifications(stage, name) {
  const inbox = new Inbox();
  await (await stage.connected()).channels.get(name).subscribe('__ably_push__', inbox.take);
  return inbox;
}

const payload = (title) => ({ notification: { title }, data: { foo: 'bar' } });
const titled = (title) => (item) => JSON.parse(item.data).notification.title === title;

flow(server, 'a device is notified directly, as its client, and by messages of a channel that it is subscribed to', async (stage) => {
  const { admin } = stage.rest().push;
  const [id, name] = [`device of ${stage.channelName()}`, `pushed:${stage.channelName()}`];
  const inbox = await notifications(stage, `inbox of ${id}`);
  await admin.deviceRegistrations.save(device(id, `inbox of ${id}`));
  await admin.publish({ deviceId: id }, payload('to the device'));
  await inbox.item(titled('to the device'), 'the notification of the device');
  await admin.publish({ clientId: 'ann' }, payload('to the client'));
  await inbox.item(titled('to the client'), 'the notification of the client');
  await admin.channelSubscriptions.save({ channel: name, deviceId: id });
  await stage.rest().channels.get(name).publish({ name: 'x', extras: { push: payload('to the channel') } });
  await inbox.item(titled('to the channel'), 'the notification of the channel');
  assert.equal((await admin.deviceRegistrations.get(id)).push.state, 'ACTIVE');
  await admin.deviceRegistrations.remove(id);
  const error = await refusal(admin.deviceRegistrations.get(id), 'a device that is gone');
  assert.equal(error.statusCode, 404);
  assert.deepEqual((await admin.channelSubscriptions.list({ channel: name })).items, []);
});

flow(server, 'a device whose provider is not configured says so', async (stage) => {
  const { admin } = stage.rest().push;
  const id = `phone of ${stage.channelName()}`;
  const recipient = { transportType: 'fcm', registrationToken: 'token' };
  await admin.deviceRegistrations.save({ id, platform: 'android', formFactor: 'phone', push: { recipient } });
  await admin.publish({ deviceId: id }, payload('nowhere'));
  const { push } = await admin.deviceRegistrations.get(id);
  assert.deepEqual([push.state, push.errorReason.code], ['FAILING', 103006]);
});

flow(server, 'devices and subscriptions survive kill -9, and lists of them come in pages', async (stage) => {
  const { admin } = stage.rest().push;
  const clientId = `client of ${stage.channelName()}`;
  const ids = [1, 2, 3].map((number) => `${number} of ${clientId}`);
  for (const id of ids) await admin.deviceRegistrations.save({ ...device(id, 'nowhere'), clientId });
  const channel = `pushed:${stage.channelName()}`;
  await admin.channelSubscriptions.save({ channel, clientId });
  await server.kill();
  await server.launch();
  const first = await admin.deviceRegistrations.list({ clientId, limit: 2 });
  assert.equal(first.hasNext(), true);
  const second = await first.next();
  assert.deepEqual([...first.items, ...second.items].map((item) => item.id), ids);
  assert.deepEqual((await admin.channelSubscriptions.list({ clientId })).items.map((item) => item.channel), [channel]);
  await admin.deviceRegistrations.removeWhere({ clientId });
  await admin.channelSubscriptions.removeWhere({ clientId });
  assert.deepEqual((await admin.deviceRegistrations.list({ clientId })).items, []);
});

flow(server, 'messages with push, and subscriptions to it, need a namespace that has it enabled', async (stage) => {
  const name = stage.channelName();
  const publish = stage.rest().channels.get(name).publish({ extras: { push: payload('x') } });
  assert.equal((await refusal(publish, 'a publish with push')).code, 40032);
  const subscribe = stage.rest().push.admin.channelSubscriptions.save({ channel: name, clientId: 'ann' });
  assert.equal((await refusal(subscribe, 'a subscription')).code, 40100);
});
