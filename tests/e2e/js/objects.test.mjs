/**
 * LiveObjects across `kill -9`, on a channel that persists nothing else: what was acknowledged is there, and counted once.
 */

import { LiveCounter, LiveMap, LiveObjects } from 'ably/liveobjects';
import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { eventually } from './waiting.mjs';

const INCREMENTS = 120;
const KILLED_AFTER = [30, 80];
const modes = ['OBJECT_SUBSCRIBE', 'OBJECT_PUBLISH'];

/** Each operation follows the last at once, which may be more of them than a connection is allowed by default. */
const server = await startServer({ config: 'unlimited = true' });

async function objectsOf(client, name) {
  return client.channels.get(name, { modes }).object.get();
}

flow(server, 'acknowledged operations survive kill -9 and each counts once', async (stage) => {
  const [writer, reader] = await Promise.all([
    stage.connected({ plugins: { LiveObjects } }),
    stage.connected({ plugins: { LiveObjects } }),
  ]);
  const name = stage.channelName();
  const root = await objectsOf(writer, name);
  await root.set('settings', LiveMap.create({ colour: 'red', gone: true }));
  await root.set('visits', LiveCounter.create(10));
  await root.get('settings').remove('gone');
  let acknowledged = 0;
  const increments = (async () => {
    for (let n = 0; n < INCREMENTS; n += 1) {
      await root.get('visits').increment(1);
      acknowledged += 1;
    }
  })();
  for (const count of KILLED_AFTER) {
    await Promise.race([eventually(() => acknowledged >= count, `${count} increments`, 20_000), increments]);
    await server.kill();
    await server.launch();
  }
  await increments;
  await server.kill();
  await server.launch();

  const expected = { settings: { colour: 'red' }, visits: 10 + INCREMENTS };
  const late = await objectsOf(await stage.connected({ plugins: { LiveObjects } }), name);
  assert.deepEqual(late.compact(), expected);
  const before = await objectsOf(reader, name);
  await late.set('end', 1);
  await eventually(() => before.get('end').value() === 1, 'an operation after the restart');
  assert.deepEqual(before.compact(), { ...expected, end: 1 });
  assert.deepEqual(root.get('visits').value(), 10 + INCREMENTS);
}, 60_000);
