/** A WebSocket without a client library (JSON frames), to say what a library never would. */

import { once } from 'node:events';
import WebSocket from 'ws';
import { Inbox, within } from './waiting.mjs';

export class RawConnection {
  #frames = new Inbox();

  /** Opens a connection with these query parameters (`v` is 6 unless given). */
  static async open(t, server, params) {
    const raw = new RawConnection();
    const query = new URLSearchParams({ v: '6', format: 'json', ...params });
    raw.socket = new WebSocket(`ws://127.0.0.1:${server.port}/?${query}`);
    t.after(() => raw.socket.terminate());
    raw.socket.on('message', (data) => raw.#frames.take(JSON.parse(data)));
    raw.socket.on('error', () => {});
    raw.end = once(raw.socket, 'close');
    await within(once(raw.socket, 'open'), 'the WebSocket upgrade');
    return raw;
  }

  /** A value is sent as JSON, a string or buffer as it is. */
  send(frame) {
    const plain = typeof frame === 'string' || Buffer.isBuffer(frame);
    this.socket.send(plain ? frame : JSON.stringify(frame));
  }

  /** The first frame, past or future, that satisfies `predicate`. */
  async next(predicate, what) {
    return this.#frames.item(predicate, what);
  }

  /** All frames so far. */
  get received() {
    return this.#frames.items;
  }

  async closed(what) {
    return within(this.end, what);
  }
}
