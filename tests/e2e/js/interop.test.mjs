/**
 * One payload, two formats: what a JSON client sends a MessagePack client receives unchanged, and the other way round.
 *
 * On JSON, binary is base64 with a trailing `base64` encoding; on MessagePack it is plain bytes without one (RSL4c, RSL4d, RSL6a).
 */

import assert from 'node:assert/strict';
import msgpack from '@ably/msgpack-js';
import { test } from 'node:test';
import { startServer } from './server.mjs';
import { Stage } from './stage.mjs';
import { Inbox } from './waiting.mjs';

const LIMIT = { timeout: 25_000 };
const server = await startServer();

const PAYLOADS = {
  'a word': 'hello',
  'an empty string': '',
  'text beyond ASCII': 'žluťoučký 🦆 \u0000 \u2028 "quoted"',
  'text that looks like JSON': '{"not":"parsed"}',
  'an object': { text: 'ř', nested: { list: [1, 2.5, null, true, 'x'] }, 'dotted.key': -0.1 },
  'an array': ['a', 1, { b: [] }],
  'an empty object': {},
  'bytes': Buffer.from([0, 1, 2, 127, 128, 254, 255]),
  'no bytes': Buffer.alloc(0),
  'many bytes': Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 31) % 256)),
  'nothing': undefined,
};

const comparable = (data) => {
  if (data === undefined || data === null) return null;
  return data instanceof ArrayBuffer || ArrayBuffer.isView(data) ? { hex: Buffer.from(data).toString('hex') } : data;
};

for (const [from, to] of [['json', 'msgpack'], ['msgpack', 'json'], ['json', 'json'], ['msgpack', 'msgpack']]) {
  test(`payloads pass unchanged from ${from} to ${to}, live and in history`, LIMIT, async (t) => {
    const [source, sink] = [new Stage(t, server, from), new Stage(t, server, to)];
    const [publisher, subscriber] = await Promise.all([source.connected(), sink.connected()]);
    const name = source.channelName();
    const inbox = new Inbox();
    await subscriber.channels.get(name).subscribe(inbox.take);
    const channel = publisher.channels.get(name);
    for (const [label, data] of Object.entries(PAYLOADS)) await channel.publish(label, data);
    await inbox.item((item) => item.name === 'nothing', 'the last payload');
    const expected = Object.entries(PAYLOADS).map(([label, data]) => [label, comparable(data)]);
    assert.deepEqual(inbox.items.map((item) => [item.name, comparable(item.data)]), expected);
    assert.ok(inbox.items.every((item) => !item.encoding), 'everything was decoded');
    const history = await sink.rest().channels.get(name).history({ direction: 'forwards' });
    assert.deepEqual(history.items.map((item) => [item.name, comparable(item.data)]), expected);
  });
}

test('extras pass unchanged between the formats', LIMIT, async (t) => {
  const [source, sink] = [new Stage(t, server, 'json'), new Stage(t, server, 'msgpack')];
  const subscriber = await sink.connected();
  const name = source.channelName();
  const inbox = new Inbox();
  await subscriber.channels.get(name).subscribe(inbox.take);
  const extras = {
    headers: { lang: 'cs', n: 1.5, on: true, none: null },
    ref: { type: 'com.example.reply', timeserial: '01726585978590-001@abcdefghijkl:001' },
  };
  const channel = source.rest().channels.get(name);
  await channel.publish({ name: 'x', extras });
  const message = await inbox.item((item) => item.name === 'x', 'the message');
  assert.deepEqual(message.extras, extras);
  const nested = { name: 'y', extras: { headers: { deep: { n: 1 } } } };
  await assert.rejects(channel.publish(nested), { code: 40032 });
});

/** The channel's newest message as it is on the wire in each format. */
async function onTheWire(name) {
  const get = async (accept, decode) => {
    const headers = { Accept: accept, 'X-Ably-Version': '6', Authorization: `Basic ${Buffer.from(server.key).toString('base64')}` };
    const answer = await fetch(`${server.url}/channels/${encodeURIComponent(name)}/messages`, { headers });
    assert.equal(answer.headers.get('content-type'), accept);
    return decode(Buffer.from(await answer.arrayBuffer()))[0];
  };
  return {
    json: await get('application/json', (body) => JSON.parse(body)),
    msgpack: await get('application/x-msgpack', (body) => msgpack.decode(body)),
  };
}

test('bytes are base64 on JSON and plain on MessagePack, whichever way they came', LIMIT, async (t) => {
  const bytes = Buffer.from([200, 0, 7]);
  for (const format of ['json', 'msgpack']) {
    const stage = new Stage(t, server, format);
    const name = stage.channelName();
    await stage.rest().channels.get(name).publish('bytes', bytes);
    const wire = await onTheWire(name);
    assert.deepEqual([wire.json.data, wire.json.encoding], [bytes.toString('base64'), 'base64'], format);
    assert.deepEqual(Buffer.from(wire.msgpack.data), bytes, format);
    assert.ok(!wire.msgpack.encoding, `encoding ${wire.msgpack.encoding}`);
  }
});

test('only the outermost base64 belongs to the transport', LIMIT, async (t) => {
  const stage = new Stage(t, server, 'json');
  const name = stage.channelName();
  const data = Buffer.from('héllo').toString('base64');
  const headers = { 'Content-Type': 'application/json', Authorization: `Basic ${Buffer.from(server.key).toString('base64')}` };
  const body = JSON.stringify({ name: 'x', data, encoding: 'utf-8/base64' });
  const answer = await fetch(`${server.url}/channels/${encodeURIComponent(name)}/messages`, { method: 'POST', headers, body });
  assert.equal(answer.status, 201);
  const wire = await onTheWire(name);
  assert.deepEqual([wire.json.data, wire.json.encoding], [data, 'utf-8/base64']);
  assert.deepEqual([Buffer.from(wire.msgpack.data).toString(), wire.msgpack.encoding], ['héllo', 'utf-8']);
});

test('an encoding that nobody knows is passed on as it is', LIMIT, async (t) => {
  const stage = new Stage(t, server, 'json');
  const name = stage.channelName();
  const headers = { 'Content-Type': 'application/json', Authorization: `Basic ${Buffer.from(server.key).toString('base64')}` };
  const body = JSON.stringify({ name: 'x', data: 'opaque', encoding: 'json/rot13' });
  await fetch(`${server.url}/channels/${encodeURIComponent(name)}/messages`, { method: 'POST', headers, body });
  const wire = await onTheWire(name);
  for (const message of [wire.json, wire.msgpack]) assert.deepEqual([message.data, message.encoding], ['opaque', 'json/rot13']);
});
