/** AI Transport, by `@ably/ai-transport`: an answer that streams as appends to one message, to whoever is there, comes or comes back. */

import { createAgentSession, createClientSession, Invocation } from '@ably/ai-transport';
import { ResponsesCodec } from '@ably/ai-transport/openai';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { CuttingProxy } from './cutting_proxy.mjs';
import { startServer } from './server.mjs';
import { flow, reaches } from './stage.mjs';
import { within } from './waiting.mjs';

const server = await startServer({ config: '[[namespaces]]\nid = "conversations"\nmutable_messages = true\n' });

/** One who reads and asks: `reads` waits until the conversation ends in a text. */
class Person {
  static async joining(stage, channelName, clientId, options = {}) {
    const realtime = await stage.connected({ clientId, ...options });
    const session = createClientSession({ client: realtime, channelName, codec: ResponsesCodec });
    await session.connect();
    const person = new Person(realtime, session);
    while (person.view.hasOlder()) await person.view.loadOlder();
    return person;
  }

  constructor(realtime, session) {
    Object.assign(this, { realtime, session, view: session.createView() });
  }

  ask(text) {
    const content = [{ type: 'input_text', text }];
    return this.view.send(ResponsesCodec.createUserMessage({ role: 'user', items: [{ type: 'message', role: 'user', content }] }));
  }

  texts() {
    const parts = this.view.getMessages().flatMap(({ message }) => message.items.flatMap((item) => item.content ?? []));
    return parts.map((part) => part.text);
  }

  reads(text) {
    const read = new Promise((resolve) => {
      const look = () => this.texts().at(-1) === text && resolve();
      this.view.on('update', look);
      look();
    });
    return within(read, `the text '${text}'`).catch((error) => assert.fail(`${error.message}; read so far: ${this.texts().join(' | ')}`));
  }
}

/** The agent's part of a run: it answers with these pieces, and calls `between` before each. */
async function answering(stage, run, pieces, between = async () => {}) {
  const invocation = Invocation.fromJSON(JSON.parse(JSON.stringify(run.toInvocation().toJSON())));
  const client = await stage.connected({ clientId: 'agent' });
  const session = createAgentSession({ client, channelName: invocation.sessionName, codec: ResponsesCodec });
  await session.connect();
  const answer = session.createRun(invocation);
  while (answer.view.hasOlder()) await answer.view.loadOlder();
  await answer.start();
  const { reason, error } = await answer.pipe(responses(pieces, (index) => between(index, answer.abortSignal)));
  if (error) throw error.cause ?? error;
  await answer.end({ reason });
  await session.end();
  return reason;
}

/** What a model's streaming interface yields for one text. */
async function* responses(pieces, between) {
  const [text, place] = [pieces.join(''), { item_id: 'm1', output_index: 0, content_index: 0 }];
  const part = (said) => ({ type: 'output_text', text: said, annotations: [] });
  const item = (status, content) => ({ type: 'message', id: 'm1', role: 'assistant', status, content });
  yield { type: 'response.output_item.added', output_index: 0, item: item('in_progress', []) };
  yield { type: 'response.content_part.added', ...place, part: part('') };
  for (const [index, delta] of pieces.entries()) {
    await between(index);
    yield { type: 'response.output_text.delta', ...place, delta };
  }
  yield { type: 'response.output_text.done', ...place, text };
  yield { type: 'response.content_part.done', ...place, part: part(text) };
  yield { type: 'response.output_item.done', output_index: 0, item: item('completed', [part(text)]) };
}

flow(server, 'an answer streams piece by piece, to those who join later and across a cut socket, too', async (stage) => {
  const proxy = await CuttingProxy.before(server);
  stage.t.after(() => proxy.close());
  const name = stage.channelName('conversations');
  const ann = await Person.joining(stage, name, 'ann', { port: proxy.port });
  let bo;
  const reason = await answering(stage, await ann.ask('Who?'), ['Some', 'body ', 'who ', 'waits'], async (index) => {
    if (index === 1) await ann.reads('Some');
    if (index === 2) {
      await ann.reads('Somebody ');
      bo = await Person.joining(stage, name, 'bo');
      const away = reaches(ann.realtime.connection, 'disconnected');
      proxy.cut();
      await away;
    }
    if (index === 3) await bo.reads('Somebody who ');
  });
  assert.equal(reason, 'complete');
  await Promise.all([ann.reads('Somebody who waits'), bo.reads('Somebody who waits')]);
  const cy = await Person.joining(stage, name, 'cy');
  assert.deepEqual(cy.texts(), ['Who?', 'Somebody who waits']);
  assert.deepEqual(ann.texts(), cy.texts());
});

flow(server, 'an answer is one message in history, with the last headers of its run', async (stage) => {
  const name = stage.channelName('conversations');
  const ann = await Person.joining(stage, name, 'ann');
  const run = await ann.ask('Who?');
  await answering(stage, run, ['I', ' do']);
  await ann.reads('I do');
  const { items } = await stage.rest().channels.get(name).history({ direction: 'forwards' });
  const streamed = items.filter((item) => item.data === 'I do');
  assert.deepEqual(streamed.map((item) => [item.name, item.action]), [['ai-output', 'message.update']]);
  const { transport } = streamed[0].extras.ai;
  assert.deepEqual([transport.stream, transport.status, transport['run-id']], ['true', 'complete', run.runId]);
  assert.equal(items.at(-1).name, 'ai-run-end');
});

flow(server, 'whoever asked can cancel in the middle', async (stage) => {
  const ann = await Person.joining(stage, stage.channelName('conversations'), 'ann');
  const run = await ann.ask('Who?');
  const reason = await answering(stage, run, ['One', ' two', ' three'], async (index, abort) => {
    if (index !== 1) return;
    await ann.reads('One');
    await Promise.all([within(once(abort, 'abort'), 'the cancellation at the agent'), run.cancel()]);
  });
  assert.equal(reason, 'cancelled');
  assert.deepEqual(ann.texts(), ['Who?', 'One']);
});

flow(server, 'headers below extras.ai arrive as they were sent, live, in history and after an append', async (stage) => {
  const [agent, reader] = await Promise.all([stage.connected(), stage.connected()]);
  const name = stage.channelName('conversations');
  const extras = { ai: { transport: { 'run-id': 'R1', nested: { list: [1, null, 'ř'] } }, codec: { status: 'streaming' } } };
  const heard = new Promise((resolve) => reader.channels.get(name).subscribe('ai-output', resolve));
  await reader.channels.get(name).attach();
  const channel = agent.channels.get(name);
  const [serial] = (await channel.publish({ name: 'ai-output', data: 'a', extras })).serials;
  assert.deepEqual((await within(heard, 'the message')).extras, extras);
  const closing = { ai: { codec: { status: 'complete' } } };
  await channel.appendMessage({ serial, data: 'b', extras: closing });
  const [kept] = (await stage.rest().channels.get(name).history()).items;
  assert.deepEqual([kept.data, kept.extras], ['ab', closing]);
});
