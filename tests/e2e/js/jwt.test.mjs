/** JSON Web Tokens signed with an app key (HS256): identity, capability, expiry and forgery. */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { signJwt } from './signing.mjs';
import { failure, flow } from './stage.mjs';
import { Inbox, refusal } from './waiting.mjs';

const server = await startServer();

flow(server, 'a JWT opens a connection with its clientId', async (stage) => {
  const client = await stage.connected({ token: signJwt(server, { 'x-ably-clientId': 'ann' }) });
  const channel = client.channels.get(stage.channelName());
  const inbox = new Inbox();
  await channel.subscribe(inbox.take);
  await channel.publish('signed', null);
  const message = await inbox.item((item) => item.name === 'signed', 'the message');
  assert.equal(message.clientId, 'ann');
});

flow(server, 'a JWT can do what its capability says and no more', async (stage) => {
  const capability = JSON.stringify({ 'open:*': ['publish', 'history'] });
  const rest = stage.rest({ token: signJwt(server, { 'x-ably-capability': capability }) });
  await rest.channels.get(stage.channelName('open')).publish('allowed', null);
  const error = await refusal(rest.channels.get(stage.channelName('closed')).publish('denied', null), 'publish outside the capability');
  assert.deepEqual([error.code, error.statusCode], [40160, 401]);
});

flow(server, 'what a JWT says of its user goes with what the user publishes, and nobody can forge it', async (stage) => {
  const name = stage.channelName('lobby');
  const [, ...rest] = name.split(':');
  const claims = { 'ably.channel.*': 'anybody', [`ably.channel.lobby:${rest.join(':')}`]: '{"role":"host"}' };
  const client = await stage.connected({ token: signJwt(server, { 'x-ably-clientId': 'ann', ...claims }) });
  const reader = (await stage.connected()).channels.get(name);
  const [messages, members] = [new Inbox(), new Inbox()];
  await reader.subscribe(messages.take);
  await reader.presence.subscribe(members.take);
  const channel = client.channels.get(name);
  await channel.publish({ name: 'claimed', extras: { userClaim: 'forged', headers: { a: 'b' } } });
  await channel.presence.enter();
  const message = await messages.item((item) => item.name === 'claimed', 'the message');
  assert.deepEqual(message.extras, { userClaim: '{"role":"host"}', headers: { a: 'b' } });
  const member = await members.item((item) => item.clientId === 'ann', 'the member');
  assert.deepEqual(member.extras, { userClaim: '{"role":"host"}' });
});

flow(server, 'a JWT limits how fast its client publishes', async (stage) => {
  const limit = { 'ably.limits.publish.perAttachment.maxRate.*': 3 };
  const client = await stage.connected({ token: signJwt(server, limit) });
  const channel = client.channels.get(stage.channelName());
  const publishes = Array.from({ length: 10 }, (_, n) => channel.publish(`n${n}`, null));
  const outcomes = await Promise.allSettled(publishes);
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
  assert.ok(refused.length > 0 && refused.length < 10, `${refused.length} refused`);
  assert.ok(refused.every((outcome) => outcome.reason.code === 42911));
});

flow(server, 'only a key, or a JWT that says so, makes a server of a client', async (stage) => {
  const transportParams = { clientType: 'server' };
  await stage.connected({ transportParams });
  await stage.connected({ transportParams, token: signJwt(server, { 'x-ably-clientType': 'server' }) });
  const error = await failure(stage.realtime({ transportParams, token: signJwt(server) }).connection);
  assert.equal(error.code, 40167);
});

flow(server, 'an expired JWT is refused', async (stage) => {
  const token = signJwt(server, { iat: 1_600_000_000, exp: 1_600_000_060 });
  const error = await refusal(stage.rest({ token }).channels.get(stage.channelName()).publish('late', null), 'publish with an expired JWT');
  assert.ok([40142, 40171].includes(error.code), `code ${error.code}`); // the client turns 40142 into 40171: it cannot renew (RSA4a2)
});

flow(server, 'a JWT with a forged signature is refused', async (stage) => {
  const token = `${signJwt(server).slice(0, -6)}AAAAAA`;
  const client = stage.realtime({ token });
  const error = await failure(client.connection);
  assert.ok([40101, 40144, 40171].includes(error.code), `code ${error.code}`);
});
