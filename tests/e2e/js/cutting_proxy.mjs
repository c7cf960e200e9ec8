/**
 * A TCP proxy that cuts connections: after a seeded number of bytes (so also in the middle of a frame), or on demand.
 *
 * What has been forwarded stays forwarded: a publish may have arrived whose acknowledgement is cut off. Nothing is altered or reordered.
 */

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { seededIntegers } from './seeded.mjs';

export class CuttingProxy {
  cuts = 0;
  #pairs = new Set();
  #accepting = true;
  #bytesUntilCut;

  /** `bytes` is the range of a connection's life in bytes, both directions counted together; without it only `cut` cuts. */
  static async before(target, { seed, bytes } = {}) {
    const proxy = new CuttingProxy();
    const draw = bytes ? seededIntegers(seed) : undefined;
    proxy.#bytesUntilCut = () => (draw ? draw(...bytes) : Infinity);
    proxy.listener = createServer((client) => proxy.#carry(client, target.port));
    proxy.listener.listen(0, '127.0.0.1');
    await once(proxy.listener, 'listening');
    proxy.port = proxy.listener.address().port;
    return proxy;
  }

  #carry(client, port) {
    if (!this.#accepting) {
      client.destroy();
      return;
    }
    const upstream = connect(port, '127.0.0.1');
    const pair = { client, upstream, left: this.#bytesUntilCut(), answered: true };
    this.#pairs.add(pair);
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      from.on('data', (chunk) => this.#forward(pair, to, chunk));
      from.on('error', () => {});
      from.on('close', () => this.#drop(pair));
    }
  }

  #forward(pair, to, chunk) {
    if (pair.left <= 0 || (to === pair.client && !pair.answered)) return;
    const part = chunk.subarray(0, pair.left);
    pair.left -= chunk.length;
    if (pair.left > 0) {
      to.write(part);
      return;
    }
    this.cuts += 1;
    to.write(part, () => this.#drop(pair));
  }

  #drop(pair) {
    this.#pairs.delete(pair);
    pair.client.destroy();
    pair.upstream.destroy();
  }

  /** Open connections still carry requests, but their answers are lost from now on. */
  loseAnswers() {
    for (const pair of this.#pairs) pair.answered = false;
  }

  /** Cuts every open connection now. */
  cut() {
    this.cuts += this.#pairs.size;
    for (const pair of [...this.#pairs]) this.#drop(pair);
  }

  /** Cuts every open connection and lets no new one through. */
  sever() {
    this.#accepting = false;
    this.cut();
  }

  /** After `sever`. */
  readmit() {
    this.#accepting = true;
  }

  close() {
    this.listener.close();
    this.sever();
  }
}
