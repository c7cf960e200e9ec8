/** WebSocket traffic that no client library sends: a protocol error or a closed connection, and the server lives on. */

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { RawConnection } from './raw_connection.mjs';
import { seededIntegers } from './seeded.mjs';
import { startServer } from './server.mjs';

const LIMIT = { timeout: 15_000 };
const server = await startServer();

afterEach(async () => assert.equal(await server.isAlive(), true, 'the server is alive'));

async function connected(t, params) {
  const raw = await RawConnection.open(t, server, { key: server.key, ...params });
  await raw.next((frame) => frame.action === 4, 'CONNECTED');
  return raw;
}

/** The connection got an error (ERROR, NACK or DISCONNECTED) or was closed. */
async function refused(raw) {
  const isError = (frame) => [2, 6, 9].includes(frame.action);
  await Promise.any([raw.next(isError, 'an error frame'), raw.closed('a closed transport')]);
}

for (const [label, frame] of [
  ['text that is no JSON', '{"action": '],
  ['JSON that is no object', '[1, 2, 3]'],
  ['an action of the wrong type', '{"action": "attach"}'],
  ['a binary frame on a JSON connection', Buffer.from([0xc1, 0xff, 0x00])],
  ['deeply nested JSON', `{"action":15,"channel":"x","messages":${'['.repeat(100_000)}`],
  ['a message without a channel', { action: 15, msgSerial: 0, messages: [{ name: 'x' }] }],
]) {
  test(`${label} is refused`, LIMIT, async (t) => {
    const raw = await connected(t);
    raw.send(frame);
    await refused(raw);
  });
}

test('a frame beyond maxFrameSize is refused', LIMIT, async (t) => {
  const raw = await connected(t);
  raw.send(JSON.stringify({ action: 15, channel: 'x', msgSerial: 0, messages: [{ data: 'x'.repeat(2_000_000) }] }));
  await refused(raw);
});

test('bytes that are no WebSocket frame close the connection', LIMIT, async (t) => {
  const draw = seededIntegers(11);
  for (let round = 0; round < 5; round += 1) {
    const raw = await connected(t);
    raw.socket._socket.write(Buffer.from([0xff, 0xff, ...Array.from({ length: 300 }, () => draw(0, 255))]));
    await raw.closed('a closed transport');
  }
});

test('an unmasked frame closes the connection', LIMIT, async (t) => {
  const raw = await connected(t);
  raw.socket._socket.write(Buffer.from([0x81, 0x02, 0x7b, 0x7d])); // RFC 6455 5.1
  await raw.closed('a closed transport');
});

test('an unknown action and unknown fields are tolerated', LIMIT, async (t) => {
  const raw = await connected(t);
  raw.send({ action: 99, novelty: true }); // RSF1, RTF1
  raw.send({ action: 0, id: 'still here', novelty: { deep: 1 } });
  await raw.next((frame) => frame.action === 0 && frame.id === 'still here', 'the answer to the ping');
});

test('a resent message is acknowledged again and published once', LIMIT, async (t) => {
  const channel = `raw:resend-${process.pid}`;
  const [publisher, watcher] = [await connected(t), await connected(t)];
  watcher.send({ action: 10, channel });
  await watcher.next((frame) => frame.action === 11 && frame.channel === channel, 'ATTACHED');
  const message = { action: 15, channel, msgSerial: 0, messages: [{ name: 'once' }] };
  publisher.send(message);
  await publisher.next((frame) => frame.action === 1 && frame.msgSerial === 0, 'ACK');
  const { connectionDetails } = await publisher.next((frame) => frame.action === 4, 'CONNECTED');

  publisher.socket.terminate();
  const again = await connected(t, { resume: connectionDetails.connectionKey });
  again.send(message); // RTN19a: same serial after a successful resume
  await again.next((frame) => frame.action === 1 && frame.msgSerial === 0, 'ACK of the resend');
  again.send({ action: 15, channel, msgSerial: 1, messages: [{ name: 'end' }] });
  await watcher.next((frame) => frame.messages?.some((item) => item.name === 'end'), 'the end marker');
  const names = watcher.received.flatMap((frame) => frame.messages ?? []).map((item) => item.name);
  assert.deepEqual(names, ['once', 'end']);
});

test('ATTACHED names the granted modes and the channel position', LIMIT, async (t) => {
  const raw = await connected(t);
  raw.send({ action: 10, channel: 'raw:modes', flags: 1 << 18 });
  const attached = await raw.next((frame) => frame.action === 11, 'ATTACHED');
  assert.ok(attached.channelSerial, 'channelSerial');
  assert.equal(attached.flags & (0b1111 << 16), 1 << 18, 'SUBSCRIBE only');
});
