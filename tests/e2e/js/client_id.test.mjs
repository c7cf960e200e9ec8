/** Identity: a client cannot be someone else than its credentials say (40012, 40102). */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { signJwt } from './signing.mjs';
import { failure, flow } from './stage.mjs';
import { Inbox, refusal } from './waiting.mjs';

const server = await startServer();

flow(server, 'connecting as someone else than the token says fails', async (stage) => {
  const token = signJwt(server, { 'x-ably-clientId': 'ann' });
  const client = stage.realtime({ token, clientId: 'mallory' });
  const error = await failure(client.connection);
  assert.ok([40012, 40102].includes(error.code), `code ${error.code}`); // RSA15c
});

flow(server, 'publishing over REST as someone else than the token says is refused', async (stage) => {
  const { token } = await stage.rest().auth.requestToken({ clientId: 'ann' });
  const channel = stage.rest({ token }).channels.get(stage.channelName());
  const error = await refusal(channel.publish({ name: 'x', clientId: 'mallory' }), 'publish as someone else');
  assert.ok([40012, 40102].includes(error.code), `code ${error.code}`);
});

flow(server, 'an anonymous token cannot name itself', async (stage) => {
  const { token } = await stage.rest().auth.requestToken();
  const channel = stage.rest({ token }).channels.get(stage.channelName());
  const error = await refusal(channel.publish({ name: 'x', clientId: 'mallory' }), 'publish under a made-up name');
  assert.ok([40012, 40102].includes(error.code), `code ${error.code}`);
});

flow(server, 'a wildcard token may name anyone', async (stage) => {
  const { token } = await stage.rest().auth.requestToken({ clientId: '*' });
  const client = await stage.connected({ token });
  const channel = client.channels.get(stage.channelName());
  const inbox = new Inbox();
  await channel.subscribe(inbox.take);
  await channel.publish({ name: 'x', clientId: 'anyone' });
  const message = await inbox.item((item) => item.name === 'x', 'the message');
  assert.equal(message.clientId, 'anyone');
});
