/** What the server refuses a well-behaved client, by code: unknown keys, bad names, large messages, unknown protocol versions. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawConnection } from './raw_connection.mjs';
import { startServer } from './server.mjs';
import { failure, flow } from './stage.mjs';
import { refusal } from './waiting.mjs';

const server = await startServer();

flow(server, 'a wrong secret fails the connection with 40101', async (stage) => {
  const error = await failure(stage.realtime({ key: `${server.keyName}:not-the-secret` }).connection);
  assert.deepEqual([error.code, error.statusCode], [40101, 401]);
});

flow(server, 'an unknown key and an unknown app fail the connection', async (stage) => {
  const appId = server.keyName.split('.')[0];
  for (const key of [`${appId}.nokey1:secret`, 'noapp1.nokey1:secret']) {
    const error = await failure(stage.realtime({ key }).connection);
    assert.ok([40101, 40130, 40400].includes(error.code), `code ${error.code}`);
  }
});

flow(server, 'a wrong secret is refused over REST', async (stage) => {
  const rest = stage.rest({ key: `${server.keyName}:not-the-secret` });
  const error = await refusal(rest.channels.get('any').history(), 'history with a wrong secret');
  assert.deepEqual([error.code, error.statusCode], [40101, 401]);
});

flow(server, 'channel names that cannot be are refused with 40010', async (stage) => {
  const client = await stage.connected();
  for (const name of [':leading-colon', '[nosuchqualifier]name']) {
    const channel = client.channels.get(name);
    const error = await refusal(channel.attach(), `attach to ${name}`);
    assert.equal(error.code, 40010, name);
    assert.equal(channel.state, 'failed');
  }
  const error = await refusal(stage.rest().channels.get(':leading-colon').publish('x', null), 'REST publish');
  assert.deepEqual([error.code, error.statusCode], [40010, 400]);
  assert.equal(client.connection.state, 'connected');
});

flow(server, 'a message above the limit is refused with 40009 and the connection stays', async (stage) => {
  const data = 'x'.repeat(70_000);
  const rest = stage.rest({ maxMessageSize: 10_000_000 }); // so that the client leaves the refusal to the server
  const error = await refusal(rest.channels.get(stage.channelName()).publish('large', data), 'REST publish');
  assert.deepEqual([error.code, error.statusCode], [40009, 413]);

  const raw = await RawConnection.open(stage.t, server, { key: server.key });
  await raw.next((frame) => frame.action === 4, 'CONNECTED');
  raw.send({ action: 15, channel: stage.channelName(), msgSerial: 0, messages: [{ name: 'large', data }] });
  const nack = await raw.next((frame) => frame.action === 2, 'NACK');
  assert.equal(nack.error.code, 40009);
  raw.send({ action: 15, channel: stage.channelName(), msgSerial: 1, messages: [{ name: 'small' }] });
  await raw.next((frame) => frame.action === 1 && frame.msgSerial === 1, 'ACK of the next message');
});

flow(server, 'publishing as someone else over a connection is refused', async (stage) => {
  const { token } = await stage.rest().auth.requestToken({ clientId: 'ann' });
  const raw = await RawConnection.open(stage.t, server, { access_token: token });
  await raw.next((frame) => frame.action === 4, 'CONNECTED');
  raw.send({ action: 15, channel: stage.channelName(), msgSerial: 0, messages: [{ name: 'x', clientId: 'mallory' }] });
  const nack = await raw.next((frame) => frame.action === 2, 'NACK');
  assert.ok([40012, 40102].includes(nack.error.code), `code ${nack.error.code}`);
});

for (const version of ['1.2', '99', 'junk']) {
  test(`protocol version ${version} gets an error after the upgrade`, { timeout: 10_000 }, async (t) => {
    const raw = await RawConnection.open(t, server, { key: server.key, v: version });
    const frame = await raw.next((item) => item.action === 9, 'ERROR');
    assert.ok([40017, 80024].includes(frame.error.code), `code ${frame.error.code}`);
    await raw.closed('the server closes the transport');
  });
}

test('a connection without credentials gets an error after the upgrade', { timeout: 10_000 }, async (t) => {
  const raw = await RawConnection.open(t, server, {});
  const frame = await raw.next((item) => item.action === 9, 'ERROR');
  assert.equal(frame.error.statusCode, 401);
  await raw.closed('the server closes the transport');
});
