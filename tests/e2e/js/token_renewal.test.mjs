/** A short-lived token is renewed while messages flow, in place (RTN22) or over a reconnect (RTN15h2): nobody notices. */

import assert from 'node:assert/strict';
import { assertExactlyOnceInOrder, NumberedPublisher } from './numbered.mjs';
import { startServer } from './server.mjs';
import { signJwt } from './signing.mjs';
import { flow } from './stage.mjs';
import { Inbox } from './waiting.mjs';

const server = await startServer();
const MESSAGES = 280; // seven seconds of them

/** Publishes through two lifetimes of a three-second token and checks that nothing is lost or repeated. */
async function flowsThroughRenewals(stage, issue) {
  let issued = 0;
  const authCallback = (_params, done) => {
    issued += 1;
    issue(done);
  };
  const client = await stage.connected({ authCallback });
  const watcher = await stage.connected();
  const name = stage.channelName();
  const [own, heard] = [new Inbox(), new Inbox()];
  await client.channels.get(name).subscribe(own.take);
  await watcher.channels.get(name).subscribe(heard.take);
  const id = client.connection.id;
  await new NumberedPublisher(client.channels.get(name), MESSAGES).run();
  assert.ok(issued >= 3, `the token was renewed (${issued} issued)`);
  assert.ok(issued <= 8, `the token was not renewed over and over (${issued} issued)`);
  await watcher.channels.get(name).publish('end', null);
  await heard.item((item) => item.name === 'end', 'the end marker at the watcher');
  await own.item((item) => item.name === 'end', 'the end marker at the renewing client');
  assertExactlyOnceInOrder(heard.names.slice(0, -1), MESSAGES, 'the watcher');
  assertExactlyOnceInOrder(own.names.slice(0, -1), MESSAGES, 'the renewing client');
  assert.equal(client.connection.id, id, 'the connection is the same throughout');
}

flow(server, 'an issued token of three seconds is renewed', async (stage) => {
  const issuer = stage.rest();
  const issue = (done) => issuer.auth.requestToken({ ttl: 3000 }).then((token) => done(null, token), done);
  await flowsThroughRenewals(stage, issue);
}, 40_000);

flow(server, 'a JWT of three seconds is renewed', async (stage) => {
  await flowsThroughRenewals(stage, (done) => done(null, signJwt(server, { ttlSeconds: 3 })));
}, 40_000);
