/** HTTP that no client library sends: every answer is an error in the protocol's shape or a closed connection, and the server lives on. */

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { afterEach, test } from 'node:test';
import { seededIntegers } from './seeded.mjs';
import { startServer } from './server.mjs';
import { within } from './waiting.mjs';

const LIMIT = { timeout: 15_000 };
const server = await startServer();
const authorization = { Authorization: `Basic ${Buffer.from(server.key).toString('base64')}` };
const messages = `${server.url}/channels/raw/messages`;

afterEach(async () => assert.equal(await server.isAlive(), true, 'the server is alive'));

/** The error body, checked against the headers that repeat it. */
async function errorOf(answer) {
  const { error } = await answer.json();
  assert.equal(error.statusCode, answer.status);
  assert.equal(typeof error.message, 'string');
  assert.equal(answer.headers.get('x-ably-errorcode'), String(error.code));
  assert.ok(answer.headers.get('x-ably-errormessage'), 'the message is in a header, too');
  return error;
}

async function post(body, contentType = 'application/json') {
  return fetch(messages, { method: 'POST', headers: { ...authorization, 'Content-Type': contentType }, body });
}

/** Writes bytes to a plain socket and returns what came back until the server closed it. */
async function exchange(bytes) {
  const socket = connect(server.port, '127.0.0.1');
  const received = [];
  const closed = new Promise((resolve) => {
    socket.on('data', (chunk) => received.push(chunk));
    socket.on('error', () => {});
    socket.on('close', resolve);
  });
  socket.write(bytes);
  try {
    await within(closed, 'the server closes the socket', 12_000);
  } finally {
    socket.destroy();
  }
  return Buffer.concat(received).toString('latin1');
}

test('garbage bytes end in a closed socket', LIMIT, async () => {
  const draw = seededIntegers(7);
  for (const length of [1000, 65_536]) {
    const garbage = Buffer.from(Array.from({ length }, () => draw(0, 255)));
    const answer = await exchange(Buffer.concat([garbage, Buffer.from('\r\n\r\n')]));
    assert.ok(answer === '' || answer.startsWith('HTTP/1.1 4'), answer.slice(0, 100));
  }
});

test('a TLS hello to the plain port ends in a closed socket', LIMIT, async () => {
  const hello = Buffer.concat([Buffer.from([0x16, 3, 1, 0, 0x50, 1, 0, 0, 0x4c, 3, 3]), Buffer.alloc(70, 5)]);
  const answer = await exchange(hello);
  assert.ok(answer === '' || answer.startsWith('HTTP/1.1 4'), answer.slice(0, 100));
});

test('oversized headers are refused', LIMIT, async () => {
  const answer = await exchange(`GET /time HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(1_000_000)}\r\n\r\n`);
  assert.ok(answer === '' || /^HTTP\/1\.1 4(00|13|31)/.test(answer), answer.slice(0, 100));
});

test('an oversized body is refused with 413', LIMIT, async () => {
  const answer = await post(JSON.stringify({ name: 'large', data: 'x'.repeat(70_000) }));
  assert.equal(answer.status, 413);
  assert.equal((await errorOf(answer)).code, 40009);
});

test('a body that declares gigabytes is refused before it is sent', LIMIT, async () => {
  const head = `POST /channels/raw/messages HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization.Authorization}\r\n` +
    'Content-Type: application/json\r\nContent-Length: 8000000000\r\nConnection: close\r\n\r\n{"name":"';
  const answer = await exchange(head);
  assert.ok(answer === '' || answer.startsWith('HTTP/1.1 413'), answer.slice(0, 100));
});

for (const [label, body, contentType] of [
  ['invalid JSON', '{"name": ', 'application/json'],
  ['an empty body', '', 'application/json'],
  ['JSON that is no message', '42', 'application/json'],
  ['fields of the wrong type', '{"name": {"a": 1}}', 'application/json'],
  ['deeply nested JSON', `${'['.repeat(50_000)}`, 'application/json'],
  ['invalid MessagePack', Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff, 0xc1]), 'application/x-msgpack'],
]) {
  test(`${label} is refused with 400`, LIMIT, async () => {
    const answer = await post(body, contentType);
    assert.equal(answer.status, 400);
    const { code } = await errorOf(answer);
    assert.ok(code >= 40000 && code < 40100, `code ${code}`);
  });
}

test('an error is in MessagePack for who asks for it', LIMIT, async () => {
  const headers = { Accept: 'application/x-msgpack', ...authorization };
  const answer = await fetch(`${server.url}/no/such/path`, { headers });
  assert.equal(answer.status, 404);
  assert.equal(answer.headers.get('content-type'), 'application/x-msgpack');
  assert.equal(answer.headers.get('x-ably-errorcode'), '40400');
});

test('an unknown path is 404 with code 40400', LIMIT, async () => {
  const answer = await fetch(`${server.url}/no/such/path`, { headers: authorization });
  assert.equal(answer.status, 404);
  assert.equal((await errorOf(answer)).code, 40400);
});

test('a method that a path does not have is refused', LIMIT, async () => {
  const answer = await fetch(messages, { method: 'PUT', headers: authorization, body: '{}' });
  assert.ok([404, 405].includes(answer.status), `status ${answer.status}`);
  await errorOf(answer);
});

test('missing and malformed credentials are refused with 401', LIMIT, async () => {
  for (const headers of [{}, { Authorization: 'Basic !!!' }, { Authorization: 'Bearer !!!' }, { Authorization: 'Nonsense' }]) {
    const answer = await fetch(messages, { headers });
    assert.ok([400, 401].includes(answer.status), `status ${answer.status} for ${JSON.stringify(headers)}`);
    const { code } = await errorOf(answer);
    assert.ok((code >= 40100 && code < 40200) || code === 40005, `code ${code}`);
  }
});

test('parameters outside their range are refused with 40003', LIMIT, async () => {
  for (const query of ['limit=1001', 'limit=-1', 'limit=x', 'direction=sideways', 'start=x']) {
    const answer = await fetch(`${messages}?${query}`, { headers: authorization });
    assert.equal(answer.status, 400, query);
    const { code } = await errorOf(answer);
    assert.ok([40000, 40003].includes(code), `${query}: code ${code}`);
  }
});

test('a preflight lets any origin send what browsers send', LIMIT, async () => {
  const wanted = 'authorization,content-type,x-ably-version,ably-agent';
  const headers = { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': wanted };
  const answer = await fetch(messages, { method: 'OPTIONS', headers });
  assert.ok([200, 204].includes(answer.status), `status ${answer.status}`);
  assert.ok(['*', 'https://app.example'].includes(answer.headers.get('access-control-allow-origin')));
  assert.match(answer.headers.get('access-control-allow-methods') ?? '', /POST/);
  const allowed = (answer.headers.get('access-control-allow-headers') ?? '').toLowerCase();
  for (const header of wanted.split(',')) assert.ok(allowed.includes(header), `${header} in ${allowed}`);
});

test('answers expose the paging and error headers to browsers', LIMIT, async () => {
  const answer = await fetch(`${server.url}/no/such/path`, { headers: { Origin: 'https://app.example', ...authorization } });
  const exposed = (answer.headers.get('access-control-expose-headers') ?? '').toLowerCase();
  for (const header of ['link', 'x-ably-errorcode', 'x-ably-errormessage']) assert.ok(exposed.includes(header), `${header} in ${exposed}`);
});
