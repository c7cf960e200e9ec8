/**
 * `kill -9` while messages flow on a persisted channel: what was acknowledged is in history, and clients that come back see each message once.
 *
 * A publish may have been made durable without its ACK having left; its resend must not become a second message (RTN19a).
 */

import assert from 'node:assert/strict';
import { CuttingProxy } from './cutting_proxy.mjs';
import { allItems, assertExactlyOnceInOrder, NumberedPublisher } from './numbered.mjs';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { eventually, Inbox } from './waiting.mjs';

const MESSAGES = 200;
const KILLED_AFTER = [50, 120];

const server = await startServer();

/** Kills the server when messages are durable whose acknowledgements have been lost, and starts it again. */
async function killBetweenWriteAndAck(stage, source, proxy, name) {
  proxy.loseAnswers();
  const known = source.acknowledged;
  await eventually(async () => {
    const page = await stage.rest().channels.get(name).history({ limit: 1000 });
    return page.items.length > known + 3;
  }, 'messages in history that are not acknowledged');
  await server.kill();
  await server.launch();
}

flow(server, 'acknowledged messages survive kill -9 and clients see each exactly once', async (stage) => {
  const proxy = await CuttingProxy.before(server);
  stage.t.after(() => proxy.close());
  const [publisher, subscriber] = await Promise.all([stage.connected({ port: proxy.port }), stage.connected()]);
  const name = stage.channelName('persisted');
  const inbox = new Inbox();
  await subscriber.channels.get(name).subscribe(inbox.take);
  const source = new NumberedPublisher(publisher.channels.get(name), MESSAGES);
  const published = source.run();
  for (const count of KILLED_AFTER) {
    await Promise.race([source.reached(count), published]);
    await killBetweenWriteAndAck(stage, source, proxy, name);
  }
  await published;

  const history = await allItems(stage.rest().channels.get(name).history({ direction: 'forwards', limit: 70 }));
  assertExactlyOnceInOrder(history.map((item) => item.name), MESSAGES, 'history');
  await stage.rest().channels.get(name).publish('end', null);
  await inbox.item((item) => item.name === 'end', 'the end marker', 20_000);
  assertExactlyOnceInOrder(inbox.names.slice(0, -1), MESSAGES, 'the subscriber');
}, 50_000);

flow(server, 'history and key survive a kill that follows the acknowledgement at once', async (stage) => {
  const name = stage.channelName('persisted');
  const key = server.key;
  const { serials } = await stage.rest().channels.get(name).publish('durable', Buffer.from([1, 2, 3]));
  await server.kill();
  await server.launch();
  assert.equal(server.key, key);
  const items = await eventually(async () => (await stage.rest().channels.get(name).history()).items, 'history');
  assert.deepEqual(items.map((item) => [item.name, item.serial]), [['durable', serials[0]]]);
  assert.deepEqual(Buffer.from(items[0].data), Buffer.from([1, 2, 3]));
});
