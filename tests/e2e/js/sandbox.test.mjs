/** `--sandbox`: many apps at once, each empty, with keys as asked for; without it the endpoint does not exist. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer } from './server.mjs';
import { Stage } from './stage.mjs';
import { refusal } from './waiting.mjs';

const LIMIT = { timeout: 20_000 };
const server = await startServer({ sandbox: true });

async function createApp(spec) {
  const body = JSON.stringify(spec);
  return fetch(`${server.url}/apps`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
}

test('POST /apps answers with the address, the keys in order and the namespaces', LIMIT, async () => {
  const capability = '{"open:*":["subscribe"]}';
  const answer = await createApp({ keys: [{}, { capability }], namespaces: [{ id: 'persisted', persisted: true }] });
  assert.equal(answer.status, 201);
  const app = await answer.json();
  assert.deepEqual([app.endpoint, app.port, app.tls], ['127.0.0.1', server.port, false]);
  assert.equal(app.keys.length, 2);
  assert.equal(app.keys[1].capability, capability);
  assert.deepEqual(app.keys.map((key) => key.keyStr), app.keys.map((key) => `${app.appId}.${key.id}:${key.value}`));
  assert.equal(app.namespaces.length, 1);
});

test('apps are apart: the same channel name in two apps is two channels', LIMIT, async (t) => {
  const apps = await Promise.all([1, 2].map(async () => (await createApp({ keys: [{}] })).json()));
  const stage = new Stage(t, server, 'json');
  const [one, other] = apps.map((app) => stage.rest({ key: app.keys[0].keyStr }).channels.get('same'));
  await one.publish('only here', null);
  assert.equal((await one.history()).items.length, 1);
  assert.equal((await other.history()).items.length, 0);
});

test('a restricted key is restricted', LIMIT, async (t) => {
  const app = await (await createApp({ keys: [{ capability: '{"open:*":["subscribe"]}' }] })).json();
  const rest = new Stage(t, server, 'json').rest({ key: app.keys[0].keyStr });
  assert.equal((await refusal(rest.channels.get('open:x').publish('x', null), 'publish with a subscribe-only key')).code, 40160);
});

test('presence fixtures are there without any client', LIMIT, async (t) => {
  const presence = [{ clientId: 'fixture', data: 'placed' }];
  const app = await (await createApp({ keys: [{}], channels: [{ name: 'placed', presence }] })).json();
  const page = await new Stage(t, server, 'json').rest({ key: app.keys[0].keyStr }).channels.get('placed').presence.get();
  assert.deepEqual(page.items.map((member) => [member.clientId, member.data]), [['fixture', 'placed']]);
});

test('a deleted app is gone', LIMIT, async (t) => {
  const app = await (await createApp({ keys: [{}] })).json();
  const { keyStr } = app.keys[0];
  const headers = { Authorization: `Basic ${Buffer.from(keyStr).toString('base64')}` };
  const answer = await fetch(`${server.url}/apps/${app.appId}`, { method: 'DELETE', headers });
  assert.ok(answer.ok, `status ${answer.status}`);
  const rest = new Stage(t, server, 'json').rest({ key: keyStr });
  const error = await refusal(rest.channels.get('any').history(), 'history of a deleted app');
  assert.ok([401, 404].includes(error.statusCode), `status ${error.statusCode}`);
});

test('without --sandbox nobody can make apps', LIMIT, async () => {
  const plain = await startServer();
  const answer = await fetch(`${plain.url}/apps`, { method: 'POST', body: '{"keys":[{}]}', headers: { 'Content-Type': 'application/json' } });
  assert.ok([401, 404].includes(answer.status), `status ${answer.status}`);
});
