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
