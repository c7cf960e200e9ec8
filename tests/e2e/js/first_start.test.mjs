/** First start without configuration, later starts, and namespaces from a configuration file. */

import assert from 'node:assert/strict';
import Ably from 'ably';
import { test } from 'node:test';
import { startServer } from './server.mjs';
import { Stage } from './stage.mjs';
import { allItems } from './numbered.mjs';

const LIMIT = { timeout: 30_000 };

test('a first start makes an app with a key, and every later start keeps it', LIMIT, async () => {
  const server = await startServer();
  const key = server.key;
  await server.end('SIGTERM');
  await server.launch();
  assert.equal(server.key, key);
});

test('two data directories have different apps', LIMIT, async () => {
  const [one, other] = await Promise.all([startServer(), startServer()]);
  assert.notEqual(one.keyName.split('.')[0], other.keyName.split('.')[0]);
  assert.notEqual(one.keySecret, other.keySecret);
});

test('a namespace of the configuration file is persisted; others are forgotten with the process', LIMIT, async (t) => {
  const config = '[[namespaces]]\nid = "kept"\npersisted = true\n';
  const server = await startServer({ config });
  const stage = new Stage(t, server, 'json');
  for (const channel of ['kept:x', 'kept', 'loose:x']) await stage.rest().channels.get(channel).publish('m', null);
  await server.kill();
  await server.launch();
  const counts = {};
  for (const channel of ['kept:x', 'kept', 'loose:x']) {
    counts[channel] = (await allItems(new Ably.Rest(stage.options()).channels.get(channel).history())).length;
  }
  assert.deepEqual(counts, { 'kept:x': 1, kept: 1, 'loose:x': 0 });
});

test('health, readiness and metrics answer without credentials', LIMIT, async () => {
  const server = await startServer();
  for (const path of ['/health/live', '/health/ready']) assert.equal((await fetch(server.url + path)).status, 200, path);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(metrics, /^# (HELP|TYPE) /m);
});
