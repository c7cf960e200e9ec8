/** Spaces: members, locations, locks and cursors of two people, by `@ably/spaces`. */

import spacesModule from '@ably/spaces';
import assert from 'node:assert/strict';
import { CuttingProxy } from './cutting_proxy.mjs';
import { startServer } from './server.mjs';
import { flow, reaches } from './stage.mjs';
import { eventually, Inbox } from './waiting.mjs';

const Spaces = spacesModule.default; // The package is CommonJS.
const server = await startServer();

/** The space as one person sees it. A token that names the space is all that one has. */
async function visit(stage, name, clientId, client = {}) {
  const tokenDetails = await stage.rest().auth.requestToken({ clientId, capability: { [name]: ['*'] } });
  const realtime = await stage.connected({ clientId, tokenDetails, ...client });
  const space = await new Spaces(realtime).get(name, { offlineTimeout: 200, cursors: { outboundBatchInterval: 50 } });
  return { realtime, space };
}

async function twoPeople(stage, client = {}) {
  const name = stage.channelName('space');
  const [ann, bo] = [await visit(stage, name, 'ann', client), await visit(stage, name, 'bo')];
  const inbox = (source) => {
    const taken = new Inbox();
    source.subscribe((item) => taken.take(item));
    return taken;
  };
  const seen = { members: inbox(bo.space.members), locations: inbox(bo.space.locations), locks: inbox(bo.space.locks) };
  await bo.space.enter({ name: 'Bo' });
  await ann.space.enter({ name: 'Ann' });
  await seen.members.item((member) => member.clientId === 'ann' && member.lastEvent.name === 'enter', 'that ann entered');
  return { name, ann, bo, seen };
}

/** Leaves, and waits until `everybody` has removed the member: the package still asks for members then, open connection or not. */
async function leaveForGood({ space, realtime }, everybody) {
  const removals = everybody.map((one) => {
    const removed = new Inbox();
    one.space.members.subscribe('remove', (member) => removed.take(member));
    return removed;
  });
  await space.leave();
  const isGone = (member) => member.connectionId === realtime.connection.id;
  await Promise.all(removals.map((removed) => removed.item(isGone, 'the removal')));
}

const ofAnn = (name) => (member) => member.clientId === 'ann' && member.lastEvent.name === name;

flow(server, 'members enter, change what they say of themselves, and leave', async (stage) => {
  const { ann, bo, seen } = await twoPeople(stage);
  const others = await bo.space.members.getOthers();
  assert.deepEqual(others.map((member) => [member.clientId, member.isConnected, member.profileData]), [['ann', true, { name: 'Ann' }]]);
  await ann.space.updateProfileData((profile) => ({ ...profile, mood: 'fine' }));
  const changed = await seen.members.item(ofAnn('update'), 'the update');
  assert.deepEqual(changed.profileData, { name: 'Ann', mood: 'fine' });
  await leaveForGood(ann, [ann, bo]);
  await seen.members.item(ofAnn('leave'), 'the leave');
  assert.deepEqual(await bo.space.members.getOthers(), []);
});

flow(server, 'locations are told with the one before', async (stage) => {
  const { ann, bo, seen } = await twoPeople(stage);
  await ann.space.locations.set({ slide: 1 });
  await ann.space.locations.set({ slide: 2 });
  const moved = await seen.locations.item((update) => update.currentLocation?.slide === 2, 'the second location');
  assert.deepEqual([moved.previousLocation, moved.member.clientId], [{ slide: 1 }, 'ann']);
  const others = Object.values(await bo.space.locations.getOthers());
  assert.deepEqual(others, [{ slide: 2 }]);
});

flow(server, 'a lock is held by one, and free once that one lets go or leaves', async (stage) => {
  const { ann, bo, seen } = await twoPeople(stage);
  assert.equal((await ann.space.locks.acquire('title', { attributes: { colour: 'red' } })).status, 'pending');
  const locked = await seen.locks.item((lock) => lock.id === 'title' && lock.status === 'locked', 'the lock');
  assert.deepEqual([locked.member.clientId, locked.attributes], ['ann', { colour: 'red' }]);
  await bo.space.locks.acquire('title');
  const refused = await seen.locks.item((lock) => lock.member.clientId === 'bo' && lock.status === 'unlocked', 'the refusal');
  assert.equal(refused.reason.code, 101003);
  await ann.space.locks.release('title');
  await seen.locks.item((lock) => lock.member.clientId === 'ann' && lock.status === 'unlocked', 'the release');
  await bo.space.locks.acquire('title');
  await seen.locks.item((lock) => lock.member.clientId === 'bo' && lock.status === 'locked', 'the lock of the other');
  await ann.space.locks.acquire('text');
  await seen.locks.item((lock) => lock.id === 'text' && lock.status === 'locked', 'another lock');
  await leaveForGood(ann, [ann, bo]);
  await seen.locks.item((lock) => lock.id === 'text' && lock.status === 'unlocked', 'that leaving frees it');
});

flow(server, 'cursors move live, and their last positions are in history', async (stage) => {
  const { ann, bo } = await twoPeople(stage);
  const moves = new Inbox();
  bo.space.cursors.subscribe('update', (move) => moves.take(move));
  // A cursor is sent once its owner knows that somebody else is there.
  ann.space.cursors.subscribe('update', () => {});
  let x = 0;
  await eventually(async () => {
    x += 1;
    await ann.space.cursors.set({ position: { x, y: 2 }, data: { colour: 'red' } });
    return moves.items.length > 0;
  }, 'a cursor on the move');
  const last = { position: { x: 1000, y: 1 }, data: { colour: 'blue' } };
  await ann.space.cursors.set(last);
  const move = await moves.item((item) => item.position.x === 1000, 'the last move');
  assert.deepEqual([move.clientId, move.connectionId, move.data], ['ann', ann.realtime.connection.id, last.data]);
  const known = await bo.space.cursors.getOthers();
  assert.deepEqual(known[ann.realtime.connection.id], { ...last, clientId: 'ann', connectionId: ann.realtime.connection.id });
});

flow(server, 'a member whose socket is cut stays, with location and lock', async (stage) => {
  const proxy = await CuttingProxy.before(server);
  stage.t.after(() => proxy.close());
  const { ann, bo, seen } = await twoPeople(stage, { port: proxy.port });
  await ann.space.locations.set({ slide: 7 });
  await ann.space.locks.acquire('title');
  await seen.locks.item((lock) => lock.status === 'locked', 'the lock');
  const away = reaches(ann.realtime.connection, 'disconnected');
  proxy.cut();
  await away;
  await reaches(ann.realtime.connection, 'connected');
  await ann.space.locations.set({ slide: 8 });
  await seen.locations.item((update) => update.currentLocation?.slide === 8, 'a location after the cut');
  assert.ok(seen.members.items.every((member) => member.lastEvent.name !== 'leave'), 'nobody left');
  assert.equal(bo.space.locks.get('title').status, 'locked');
});
