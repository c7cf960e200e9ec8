/** A resume of more than the queue of a connection holds: what a client has asked for is not taken for a sign that it reads too slowly. */

import assert from 'node:assert/strict';
import { CuttingProxy } from './cutting_proxy.mjs';
import { assertExactlyOnceInOrder } from './numbered.mjs';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { Inbox } from './waiting.mjs';

const server = await startServer({ config: '[limits]\nchannel_message_rate = 0\nchannel_kib_rate = 0\n' });
/** Six megabytes together; the queue of a connection holds four. */
const MESSAGES = 100;
const LARGE = 'x'.repeat(60_000);

flow(server, 'a resume brings megabytes', async (stage) => {
  const proxy = await CuttingProxy.before(server);
  stage.t.after(() => proxy.close());
  const name = stage.channelName();
  const channel = stage.realtime({ port: proxy.port, disconnectedRetryTimeout: 500 }).channels.get(name);
  const inbox = new Inbox();
  await channel.subscribe(inbox.take);
  const discontinuities = [];
  channel.on(['attached', 'update'], (change) => change.resumed || discontinuities.push(change.reason));
  proxy.sever();
  const publisher = stage.rest().channels.get(name);
  for (let number = 0; number < MESSAGES; number++) await publisher.publish(String(number), LARGE);
  proxy.readmit();
  await inbox.item((item) => item.name === String(MESSAGES - 1), 'the last one', 20_000);
  assertExactlyOnceInOrder(inbox.names, MESSAGES, 'the subscriber');
  assert.deepEqual(discontinuities, [], 'the channel was resumed');
}, 55_000);
