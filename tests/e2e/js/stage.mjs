/**
 * What one test plays on: clients of one format on one server, closed when the test ends, and channel names of its own.
 *
 * `flow` registers a test twice, once in JSON and once in MessagePack.
 */

import Ably from 'ably';
import { test } from 'node:test';
import { within } from './waiting.mjs';

const DEFAULT_TIMEOUT_MS = 25_000;
let channelsNamed = 0;

export function flow(server, name, body, timeout = DEFAULT_TIMEOUT_MS) {
  for (const format of ['json', 'msgpack']) {
    test(`${name} (${format})`, { timeout }, (t) => body(new Stage(t, server, format)));
  }
}

export class Stage {
  constructor(t, server, format) {
    this.t = t;
    this.server = server;
    this.format = format;
  }

  /** A channel name no other test uses. `prefix` may name a namespace. */
  channelName(prefix = 'e2e') {
    channelsNamed += 1;
    return `${prefix}:${this.format}-${process.pid}-${channelsNamed}`;
  }

  /** Options for a client of this stage. Without `key`, `token` or `authCallback` among the `extra` it uses the server's key. */
  options(extra = {}) {
    const credentialed = ['key', 'token', 'tokenDetails', 'authCallback'].some((name) => name in extra);
    return {
      endpoint: '127.0.0.1',
      port: this.server.port,
      tls: false,
      useBinaryProtocol: this.format === 'msgpack',
      transports: ['web_socket'],
      disableConnectivityCheck: true,
      disconnectedRetryTimeout: 100,
      suspendedRetryTimeout: 500,
      logLevel: Number(process.env.E2E_CLIENT_LOG ?? 0),
      ...(credentialed ? {} : { key: this.server.key }),
      ...extra,
    };
  }

  rest(extra) {
    return new Ably.Rest(this.options(extra));
  }

  /** A realtime client, connecting. */
  realtime(extra) {
    const client = new Ably.Realtime(this.options(extra));
    this.t.after(() => client.close());
    return client;
  }

  /** A realtime client, connected. */
  async connected(extra) {
    const client = this.realtime(extra);
    await reaches(client.connection, 'connected');
    return client;
  }
}

/** Waits until a connection or channel is in `state`; fails at once when it turns `failed` instead. */
export async function reaches(machine, state, boundMs) {
  const arrival = new Promise((resolve, reject) => {
    // The change says more than the machine: events come a tick late, when the machine may be one state further.
    const look = ({ current, reason }) => {
      if (current === state) resolve();
      else if (current === 'failed') reject(new Error(`failed instead of ${state}: ${reason?.code} ${reason?.message}`));
    };
    machine.on(look);
    look({ current: machine.state, reason: machine.errorReason });
  });
  await within(arrival, `state ${state}`, boundMs).catch((error) => {
    throw new Error(`${error.message} (now ${machine.state}: ${machine.errorReason?.message ?? 'no error'})`);
  });
}

/** Waits until a connection has failed and returns why; fails when it connects instead. */
export async function failure(connection) {
  await within(
    new Promise((resolve, reject) => {
      const look = ({ current }) => {
        if (current === 'failed') resolve();
        if (current === 'connected') reject(new Error('connected instead of failed'));
      };
      connection.on(look);
      look({ current: connection.state });
    }),
    'state failed',
  );
  return connection.errorReason;
}
