/** Presence of a connection that is lost: kept for `remainPresentFor`, kept on a resume, and left by the server otherwise. */

import assert from 'node:assert/strict';
import { CuttingProxy } from './cutting_proxy.mjs';
import { startServer } from './server.mjs';
import { flow, reaches } from './stage.mjs';
import { eventually, Inbox } from './waiting.mjs';

const server = await startServer();

async function memberBehindProxy(stage, clientOptions) {
  const proxy = await CuttingProxy.before(server);
  stage.t.after(() => proxy.close());
  const [member, watcher] = await Promise.all([
    stage.connected({ clientId: 'ann', port: proxy.port, ...clientOptions }),
    stage.connected(),
  ]);
  const name = stage.channelName();
  const inbox = new Inbox();
  await watcher.channels.get(name).presence.subscribe(inbox.take);
  await member.channels.get(name).presence.enter('here');
  await inbox.item((item) => item.action === 'enter', 'the enter');
  return { proxy, member, name, inbox };
}

flow(server, 'the server leaves for a member whose socket died and stayed away', async (stage) => {
  const transportParams = { remainPresentFor: 1000 };
  const { proxy, member, name, inbox } = await memberBehindProxy(stage, { transportParams });
  const lost = member.connection.id;
  proxy.sever();
  const leave = await inbox.item((item) => item.action === 'leave', 'the synthesised leave', 8000);
  assert.equal(leave.clientId, 'ann');
  assert.equal(leave.connectionId, lost);
  assert.ok(!leave.id.startsWith(`${lost}:`), 'a synthesised leave has a foreign id (RTP2b1)');
  await eventually(async () => {
    const page = await stage.rest().channels.get(name).presence.get();
    return page.items.length === 0;
  }, 'no member over REST');
});

flow(server, 'a member that resumes in time never leaves', async (stage) => {
  const { proxy, member, name, inbox } = await memberBehindProxy(stage, {});
  const before = member.connection.id;
  const away = reaches(member.connection, 'disconnected');
  proxy.cut();
  await away;
  await reaches(member.connection, 'connected');
  assert.equal(member.connection.id, before, 'the connection is resumed (RTN15c6)');
  await member.channels.get(name).presence.update('back');
  await inbox.item((item) => item.data === 'back', 'the update');
  assert.ok(inbox.items.every((item) => item.action !== 'leave'), 'no leave was sent');
});
