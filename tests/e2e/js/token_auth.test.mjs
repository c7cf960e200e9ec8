/** Tokens issued by the server: from a key, through an authCallback with a TokenRequest, and the requests it refuses. */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { failure, flow } from './stage.mjs';
import { Inbox, refusal } from './waiting.mjs';

const server = await startServer();

async function publishesAndHears(client, name) {
  const inbox = new Inbox();
  const channel = client.channels.get(name);
  await channel.subscribe(inbox.take);
  await channel.publish('works', null);
  return inbox.item((item) => item.name === 'works', 'the own message');
}

flow(server, 'a token requested with a key opens a connection', async (stage) => {
  const token = await stage.rest().auth.requestToken({ clientId: 'ann', ttl: 60_000 });
  assert.equal(token.clientId, 'ann');
  assert.equal(token.expires - token.issued, 60_000);
  assert.deepEqual(JSON.parse(token.capability), { '[*]*': ['*'] });
  const client = await stage.connected({ token: token.token });
  const message = await publishesAndHears(client, stage.channelName());
  assert.equal(message.clientId, 'ann');
});

flow(server, 'a token request signed elsewhere is honoured, without the key', async (stage) => {
  const issuer = stage.rest();
  const authCallback = (params, done) => {
    issuer.auth.createTokenRequest({ ...params, clientId: 'bo' }).then((request) => done(null, request), done);
  };
  const client = await stage.connected({ authCallback });
  assert.equal(client.auth.clientId, 'bo');
  await publishesAndHears(client, stage.channelName());
});

flow(server, 'a token works over REST', async (stage) => {
  const { token } = await stage.rest().auth.requestToken({ capability: { 'open:*': ['publish', 'history'] } });
  const channel = stage.rest({ token }).channels.get(stage.channelName('open'));
  await channel.publish('by token', null);
  assert.equal((await channel.history()).items.length, 1);
});

flow(server, 'a nonce is good for one token', async (stage) => {
  const rest = stage.rest();
  const request = await rest.auth.createTokenRequest();
  const post = () => rest.request('post', `/keys/${server.keyName}/requestToken`, 3, {}, request, {});
  assert.equal((await post()).success, true);
  const again = await post();
  assert.equal(again.statusCode, 401);
  assert.equal(again.errorCode, 40105);
});

flow(server, 'a forged signature, a stale timestamp and an overlong ttl are refused', async (stage) => {
  const rest = stage.rest();
  const request = await rest.auth.createTokenRequest();
  const forged = { ...request, mac: Buffer.from('forged').toString('base64') };
  const answer = await rest.request('post', `/keys/${server.keyName}/requestToken`, 3, {}, forged, {});
  assert.deepEqual([answer.statusCode, answer.errorCode], [401, 40101]);
  const stale = await refusal(rest.auth.requestToken({ timestamp: Date.now() - 600_000 }), 'a request ten minutes old');
  assert.equal(stale.code, 40104);
  const overlong = await refusal(rest.auth.requestToken({ ttl: 25 * 3600 * 1000 }), 'a ttl above 24 hours');
  assert.equal(overlong.code, 40003);
});

flow(server, 'garbage in place of a token fails the connection', async (stage) => {
  const client = stage.realtime({ token: 'no.such-token' });
  const error = await failure(client.connection);
  assert.ok([40005, 40101, 40140, 40143, 40144, 40145, 40171, 40400].includes(error.code), `code ${error.code}`);
});
