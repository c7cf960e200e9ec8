/** Deltas, decoded by the published decoder: over every transport, of text, objects and binary, and over server-sent events. */

import vcdiff from '@ably/vcdiff-decoder';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { Inbox, within } from './waiting.mjs';

const server = await startServer();

/** The plugin of the client library, counting. */
function decoder(fails = () => false) {
  const plugin = {
    calls: 0,
    decode(delta, base) {
      plugin.calls += 1;
      if (fails(plugin.calls)) throw new Error('a decoder that fails');
      return vcdiff.decode(delta, base);
    },
  };
  return plugin;
}

/** Payloads that have something in common: pieces move, come and go. Every third is text, object and binary in turn. */
function payloads(count) {
  const words = Array.from({ length: 120 }, (_, n) => `w${(n * 7919) % 1000}`);
  return Array.from({ length: count }, (_, n) => {
    words.splice((n * 31) % words.length, n % 4, `new${n}`, `ü${n}`);
    words.push(...words.splice(0, n % 9));
    const text = words.join(' ');
    return [text, { n, text }, Buffer.from(text)][n % 3];
  });
}

async function subscribed(stage, transport, name, plugin) {
  const client = await stage.connected({ transports: [transport], plugins: { vcdiff: plugin } });
  const channel = client.channels.get(name, { params: { delta: 'vcdiff' } });
  const inbox = new Inbox();
  const reattached = [];
  await channel.subscribe(inbox.take);
  channel.on('attaching', ({ reason }) => reattached.push(reason?.code));
  return { channel, inbox, reattached };
}

for (const transport of ['web_socket', 'comet']) {
  flow(server, `what the decoder makes of deltas is what was published, over ${transport}`, async (stage) => {
    const [name, plugin, all] = [stage.channelName(), decoder(), payloads(60)];
    const { inbox, reattached } = await subscribed(stage, transport, name, plugin);
    const publisher = (await stage.connected()).channels.get(name);
    // Each alone, and then several in one publish.
    for (const [n, data] of all.slice(0, 40).entries()) await publisher.publish(String(n), data);
    await publisher.publish(all.slice(40).map((data, n) => ({ name: String(40 + n), data })));
    await inbox.item((message) => message.name === '59', 'the last message');
    assert.deepEqual(
      inbox.items.map((message) => message.data),
      all,
    );
    assert.deepEqual(reattached, []);
    assert.equal(plugin.calls, 59);
  });
}

flow(server, 'a client that cannot decode a delta gets the message in full', async (stage) => {
  const [name, all] = [stage.channelName(), payloads(12)];
  const plugin = decoder((call) => call % 4 === 0);
  const { inbox, reattached } = await subscribed(stage, 'web_socket', name, plugin);
  const publisher = (await stage.connected()).channels.get(name);
  for (const [n, data] of all.entries()) await publisher.publish(String(n), data);
  await inbox.item((message) => message.name === '11', 'the last message');
  assert.deepEqual(
    inbox.items.map((message) => message.data),
    all,
  );
  assert.ok(reattached.length > 0 && reattached.every((code) => code === 40018), `${reattached}`);
});

test('server-sent events carry deltas, with and without envelope', { timeout: 25_000 }, async (t) => {
  for (const enveloped of [true, false]) {
    const name = `e2e:sse-delta-${enveloped}`;
    const query = new URLSearchParams({ v: '1.2', channels: name, key: server.key, delta: 'vcdiff', enveloped: String(enveloped) });
    const ending = new AbortController();
    t.after(() => ending.abort());
    const answer = await fetch(`${server.url}/sse?${query}`, { signal: ending.signal });
    assert.equal(answer.status, 200);
    const texts = payloads(9).filter((data) => typeof data === 'string');
    for (const data of texts) {
      await fetch(`${server.url}/channels/${name}/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Basic ${btoa(server.key)}` },
        body: JSON.stringify({ data }),
      });
    }
    const events = await within(messageEvents(answer.body, texts.length), 'the events');
    let base, id;
    const decoded = events.map((event) => {
      const message = enveloped ? JSON.parse(event) : { data: event };
      const isDelta = enveloped ? message.extras?.delta !== undefined : message.data.startsWith('1sPEAA');
      if (enveloped && isDelta) assert.equal(message.extras.delta.from, id);
      base = Buffer.from(isDelta ? vcdiff.decode(Buffer.from(message.data, 'base64'), base) : message.data);
      id = message.id;
      return { isDelta, text: base.toString() };
    });
    assert.deepEqual(
      decoded,
      texts.map((text, n) => ({ isDelta: n > 0, text })),
    );
  }
});

/** The data of the first `count` message events of a stream. */
async function messageEvents(body, count) {
  const found = [];
  let text = '';
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const lines = text.slice(0, end).split('\n');
      if (!lines.includes('event: message')) continue;
      found.push(lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice(6)).join('\n'));
      if (found.length === count) return found;
    }
  }
  throw new Error(`the stream ended after ${found.length} messages`);
}
