/** Chat: two people in a room, by `@ably/chat` and its REST endpoints, in an app without any rule for rooms. */

import { ChatClient, LogLevel } from '@ably/chat';
import assert from 'node:assert/strict';
import { CuttingProxy } from './cutting_proxy.mjs';
import { startServer } from './server.mjs';
import { flow, reaches } from './stage.mjs';
import { eventually, Inbox } from './waiting.mjs';

const server = await startServer();

/** The room as one person sees it, attached, with an inbox for messages. */
async function enterRoom(stage, name, clientId, { client = {}, room: options } = {}) {
  const realtime = await stage.connected({ clientId, ...client });
  const chat = new ChatClient(realtime, { logLevel: LogLevel.Silent });
  const room = await chat.rooms.get(name, options);
  const inbox = new Inbox();
  const subscription = room.messages.subscribe((event) => inbox.take(event));
  await room.attach();
  return { realtime, room, inbox, subscription };
}

/** A room with ann and bo in it. A token that names the room is all that either has. */
async function twoPeople(stage, options = {}) {
  const name = stage.channelName('room');
  const token = (clientId) => stage.rest().auth.requestToken({ clientId, capability: { [name]: ['*'] } });
  const person = async (clientId) =>
    enterRoom(stage, name, clientId, { ...options, client: { tokenDetails: await token(clientId), ...options.client } });
  return { name, ann: await person('ann'), bo: await person('bo') };
}

const texts = (page) => page.items.map((message) => message.text);

flow(server, 'what one says, updates and deletes, the other sees, and so does history', async (stage) => {
  const { ann, bo } = await twoPeople(stage);
  const sent = await ann.room.messages.send({ text: 'helo', metadata: { mood: { of: 'day' } }, headers: { to: 'all' } });
  assert.deepEqual([sent.clientId, sent.text, sent.action], ['ann', 'helo', 'message.create']);
  const heard = await bo.inbox.item((event) => event.type === 'message.created', 'the message');
  assert.equal(heard.message.serial, sent.serial);
  assert.deepEqual(heard.message.timestamp, sent.timestamp);
  assert.deepEqual([heard.message.metadata, heard.message.headers], [{ mood: { of: 'day' } }, { to: 'all' }]);

  const changed = await ann.room.messages.update(sent.serial, { text: 'hello' }, { description: 'typo', metadata: { by: 'ann' } });
  assert.ok(changed.version.serial > sent.version.serial);
  assert.deepEqual([changed.text, changed.metadata, changed.headers], ['hello', {}, {}]);
  const update = await bo.inbox.item((event) => event.type === 'message.updated', 'the update');
  const { serial, clientId, description, metadata } = update.message.version;
  assert.deepEqual([serial, clientId, description, metadata], [changed.version.serial, 'ann', 'typo', { by: 'ann' }]);
  assert.equal(heard.message.with(update).text, 'hello');
  assert.deepEqual(texts(await bo.room.messages.history({ limit: 1 })), ['hello']);

  const removed = await bo.room.messages.delete(sent.serial, { description: 'spam' });
  assert.deepEqual([removed.text, removed.clientId, removed.version.clientId], ['', 'ann', 'bo']);
  const deletion = await ann.inbox.item((event) => event.type === 'message.deleted', 'the delete');
  assert.equal(deletion.message.version.serial, removed.version.serial);
  assert.equal((await ann.room.messages.get(sent.serial)).action, 'message.delete');
  const versions = await ann.room.messages.getVersions(sent.serial);
  assert.deepEqual(versions.items.map((version) => version.action), ['message.create', 'message.update', 'message.delete']);
});

flow(server, 'history is paged in both orders, and ends where a subscription begins', async (stage) => {
  const { name, ann } = await twoPeople(stage);
  for (const text of ['0', '1', '2', '3', '4']) await ann.room.messages.send({ text });
  const forwards = await ann.room.messages.history({ limit: 2, orderBy: 'oldestFirst' });
  assert.deepEqual(texts(forwards), ['0', '1']);
  const [second, last] = [await forwards.next(), await (await forwards.next()).next()];
  assert.deepEqual([texts(second), texts(last), last.hasNext()], [['2', '3'], ['4'], false]);
  assert.deepEqual(texts(await ann.room.messages.history({ limit: 3 })), ['4', '3', '2']);

  const late = await enterRoom(stage, name, 'cy');
  await ann.room.messages.send({ text: '5' });
  await late.inbox.item((event) => event.message.text === '5', 'the live message');
  const before = await late.subscription.historyBeforeSubscribe({ limit: 10 });
  assert.deepEqual(texts(before), ['4', '3', '2', '1', '0']);
});

flow(server, 'reactions of every kind are summarised, and taken back', async (stage) => {
  const { ann, bo } = await twoPeople(stage, { room: { messages: { rawMessageReactions: true } } });
  const { serial } = await ann.room.messages.send({ text: 'cake' });
  const [summaries, raw] = [new Inbox(), new Inbox()];
  ann.room.messages.reactions.subscribe((event) => summaries.take(event));
  ann.room.messages.reactions.subscribeRaw((event) => raw.take(event));
  const react = (who, type, name, count) => who.room.messages.reactions.send(serial, { type, name, count });
  await react(ann, 'distinct', '👍');
  await react(bo, 'distinct', '👍');
  await react(bo, 'unique', '🎂');
  await react(bo, 'unique', '🍰');
  await react(bo, 'multiple', '👏', 3);
  await react(bo, 'multiple', '👏', 2);
  const told = await summaries.item((event) => event.reactions.multiple['👏']?.total === 5, 'the whole summary');
  assert.equal(told.messageSerial, serial);
  assert.deepEqual(told.reactions.distinct['👍'], { total: 2, clientIds: ['ann', 'bo'], clipped: false });
  assert.deepEqual(Object.keys(told.reactions.unique), ['🍰']);
  assert.deepEqual(told.reactions.multiple['👏'].clientIds, { bo: 5 });

  const kept = (await bo.room.messages.get(serial)).reactions;
  assert.deepEqual(kept.distinct['👍'].clientIds, ['ann', 'bo']);
  const [listed] = (await bo.room.messages.history({ limit: 1 })).items;
  assert.equal(listed.reactions.multiple['👏'].total, 5);
  const own = await ann.room.messages.reactions.clientReactions(serial);
  assert.deepEqual(own.distinct['👍'].clientIds, ['ann']);
  assert.deepEqual([own.unique, own.multiple], [{}, {}]);

  await bo.room.messages.reactions.delete(serial, { type: 'distinct', name: '👍' });
  await bo.room.messages.reactions.delete(serial, { type: 'unique' });
  await summaries.item(({ reactions }) => reactions.distinct['👍']?.total === 1 && !reactions.unique['🍰'], 'what is left');
  const taken = await raw.item((event) => event.type === 'reaction.delete' && event.reaction.type === 'unique', 'the raw delete');
  assert.equal(taken.reaction.clientId, 'bo');
});

flow(server, 'typing, room reactions and presence pass between two people', async (stage) => {
  const { ann, bo } = await twoPeople(stage);
  const [typing, reactions, presence] = [new Inbox(), new Inbox(), new Inbox()];
  bo.room.typing.subscribe((event) => typing.take(event));
  bo.room.reactions.subscribe((event) => reactions.take(event));
  bo.room.presence.subscribe((event) => presence.take(event));
  await ann.room.typing.keystroke();
  await typing.item((event) => event.change.type === 'typing.started' && event.change.clientId === 'ann', 'typing started');
  await ann.room.typing.stop();
  await typing.item((event) => event.change.type === 'typing.stopped', 'typing stopped');
  await ann.room.reactions.send({ name: '🎉', metadata: { of: 1 } });
  const { reaction } = await reactions.item((event) => event.reaction.name === '🎉', 'the room reaction');
  assert.deepEqual([reaction.clientId, reaction.metadata], ['ann', { of: 1 }]);
  await ann.room.presence.enter({ status: 'here' });
  const entered = await presence.item((event) => event.type === 'enter', 'the enter');
  assert.deepEqual([entered.member.clientId, entered.member.data], ['ann', { status: 'here' }]);
  assert.equal(await bo.room.presence.isUserPresent('ann'), true);
  await ann.room.presence.leave();
  await presence.item((event) => event.type === 'leave', 'the leave');
  // What is ephemeral is in no history.
  assert.deepEqual(texts(await ann.room.messages.history({ limit: 10 })), []);
});

flow(server, 'occupancy is told as it changes, and on request', async (stage) => {
  const { ann, bo } = await twoPeople(stage, { room: { occupancy: { enableEvents: true } } });
  const counts = new Inbox();
  ann.room.occupancy.subscribe((event) => counts.take(event.occupancy));
  await bo.room.presence.enter();
  await counts.item((count) => count.presenceMembers === 1, 'the member');
  await eventually(async () => {
    const { connections, presenceMembers } = await bo.room.occupancy.get();
    return connections === 2 && presenceMembers === 1;
  }, 'two connections and a member');
});

flow(server, 'a person whose socket is cut misses nothing that was said', async (stage) => {
  const proxy = await CuttingProxy.before(server);
  stage.t.after(() => proxy.close());
  const name = stage.channelName('room');
  const speaker = await enterRoom(stage, name, 'ann');
  const listener = await enterRoom(stage, name, 'bo', { client: { port: proxy.port } });
  const gaps = [];
  listener.room.onDiscontinuity((reason) => gaps.push(reason));
  await speaker.room.messages.send({ text: 'before' });
  await listener.inbox.item((event) => event.message.text === 'before', 'the first message');
  const away = reaches(listener.realtime.connection, 'disconnected');
  proxy.cut();
  const whileAway = await speaker.room.messages.send({ text: 'while away' });
  await speaker.room.messages.update(whileAway.serial, { text: 'edited while away' });
  await away;
  await reaches(listener.realtime.connection, 'connected');
  await speaker.room.messages.send({ text: 'after' });
  await listener.inbox.item((event) => event.message.text === 'after', 'the last message');
  const heard = listener.inbox.items.map((event) => event.message.text);
  assert.deepEqual(heard, ['before', 'while away', 'edited while away', 'after']);
  assert.deepEqual(gaps, []);
});

flow(server, 'what a person may not do is refused with the code of the protocol', async (stage) => {
  const name = stage.channelName('room');
  const capability = { [name]: ['subscribe', 'history', 'publish', 'message-update-own'] };
  const tokenDetails = await stage.rest().auth.requestToken({ clientId: 'ann', capability });
  const ann = await enterRoom(stage, name, 'ann', { client: { tokenDetails } });
  const owner = await enterRoom(stage, name, 'owner');
  const { serial } = await owner.room.messages.send({ text: 'mine' });
  const refused = async (promise, code, statusCode) => assert.rejects(promise, { code, statusCode });
  await refused(ann.room.messages.update(serial, { text: 'yours' }), 40160, 401);
  await refused(ann.room.messages.delete(serial), 40160, 401);
  await refused(ann.room.occupancy.get(), 40160, 401);
  await refused(ann.room.messages.reactions.send(serial, { type: 'distinct', name: 'x' }), 40160, 401);
  await refused(ann.room.messages.get('no-such-serial'), 40400, 404);
  await refused(ann.room.messages.send({ text: '' }), 40001, 400);
  await refused(ann.room.messages.send({ text: 'x'.repeat(70_000) }), 40009, 413);
  const own = await ann.room.messages.send({ text: 'own' });
  assert.equal((await ann.room.messages.update(own.serial, { text: 'changed' })).text, 'changed');
});
