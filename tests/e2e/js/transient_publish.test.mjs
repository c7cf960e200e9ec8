/** Publishing without attaching (RTL6c1). */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { Inbox } from './waiting.mjs';

const server = await startServer();

flow(server, 'a client publishes to a channel it never attaches', async (stage) => {
  const [publisher, subscriber] = await Promise.all([stage.connected(), stage.connected()]);
  const name = stage.channelName();
  const inbox = new Inbox();
  await subscriber.channels.get(name).subscribe(inbox.take);
  await publisher.channels.get(name).publish('passing by', null);
  await inbox.item((item) => item.name === 'passing by', 'the transient message');
  assert.equal(publisher.channels.get(name).state, 'initialized');
});
