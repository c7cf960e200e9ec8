/** Whether a publisher hears its own messages (RTN2b, RTL7f). */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { Inbox } from './waiting.mjs';

const server = await startServer();

flow(server, 'a publisher hears itself by default', async (stage) => {
  const client = await stage.connected();
  const channel = client.channels.get(stage.channelName());
  const inbox = new Inbox();
  await channel.subscribe(inbox.take);
  await channel.publish('mine', null);
  await inbox.item((item) => item.name === 'mine', 'the own message');
});

flow(server, 'with echoMessages false a publisher hears others only', async (stage) => {
  const [quiet, other] = await Promise.all([stage.connected({ echoMessages: false }), stage.connected()]);
  const name = stage.channelName();
  const [heard, heardByOther] = [new Inbox(), new Inbox()];
  await quiet.channels.get(name).subscribe(heard.take);
  await other.channels.get(name).subscribe(heardByOther.take);
  await quiet.channels.get(name).publish('mine', null);
  await heardByOther.item((item) => item.name === 'mine', 'the message at the other client');
  await other.channels.get(name).publish('theirs', null);
  await heard.item((item) => item.name === 'theirs', "the other client's message");
  assert.deepEqual(heard.names, ['theirs']);
});
