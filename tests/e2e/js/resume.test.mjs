/**
 * Sockets that die at any byte: a publisher and a subscriber behind cutting proxies, and no message lost, repeated or out of order.
 *
 * RTN15b/c6 (resume keeps the connection), RTN19a (unacknowledged messages are resent with the same serial and not published twice),
 * RTL4c1 (the channel continues at its channelSerial).
 */

import assert from 'node:assert/strict';
import { CuttingProxy } from './cutting_proxy.mjs';
import { assertExactlyOnceInOrder, NumberedPublisher } from './numbered.mjs';
import { startServer } from './server.mjs';
import { flow, reaches } from './stage.mjs';
import { Inbox } from './waiting.mjs';

const server = await startServer();
const MESSAGES = 200;
const BYTES_PER_CONNECTION = [4_000, 10_000];
const SEEDS = process.env.E2E_SEED ? [Number(process.env.E2E_SEED)] : [1, 2];

async function cutting(stage, seed) {
  const proxy = await CuttingProxy.before(server, { seed, bytes: BYTES_PER_CONNECTION });
  stage.t.after(() => proxy.close());
  return proxy;
}

/** Every connection id that the client has had, and every time a channel said that continuity was lost. */
function witness(client, channel) {
  const seen = { ids: new Set(), discontinuities: [] };
  const note = () => client.connection.id && seen.ids.add(client.connection.id);
  client.connection.on('connected', note);
  note();
  channel.on(['attached', 'update'], (change) => {
    if (change.current === 'attached' && !change.resumed) seen.discontinuities.push(change.reason?.message ?? 'no reason');
  });
  return seen;
}

for (const seed of SEEDS) {
  flow(server, `a stream survives cut sockets on both sides, seed ${seed}`, async (stage) => {
    const [before, behind] = [await cutting(stage, seed), await cutting(stage, seed + 1000)];
    const publisher = stage.realtime({ port: before.port });
    const subscriber = stage.realtime({ port: behind.port });
    const name = stage.channelName();
    const channel = subscriber.channels.get(name);
    const inbox = new Inbox();
    await channel.subscribe(inbox.take);
    await reaches(publisher.connection, 'connected');
    const [heard, sent] = [witness(subscriber, channel), witness(publisher, publisher.channels.get(name))];

    await new NumberedPublisher(publisher.channels.get(name), MESSAGES).run();
    await stage.rest().channels.get(name).publish('end', null);
    await inbox.item((item) => item.name === 'end', 'the end marker', 20_000);

    stage.t.diagnostic(`publisher cut ${before.cuts} times, subscriber ${behind.cuts} times`);
    assert.ok(before.cuts >= 3 && behind.cuts >= 3, 'both sides were cut');
    assertExactlyOnceInOrder(inbox.names.slice(0, -1), MESSAGES, 'the subscriber');
    assert.deepEqual(heard.discontinuities, [], 'the channel was resumed each time');
    assert.equal(heard.ids.size, 1, 'the subscriber kept its connection id');
    assert.equal(sent.ids.size, 1, 'the publisher kept its connection id');
  }, 55_000);
}

flow(server, 'an unknown connection key gets a new connection and error 80018', async (stage) => {
  const recover = JSON.stringify({ connectionKey: '_____!no-such-connection', msgSerial: 3, channelSerials: {} });
  const client = await stage.connected({ recover });
  assert.equal(client.connection.errorReason?.code, 80018); // RTN16e
  assert.match(client.connection.id, /^[\w-]{6,}$/);
});
