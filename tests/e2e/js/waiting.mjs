/**
 * Bounded waits. A test never sleeps: it waits for an event or a predicate, and says what it waited for when the bound is reached.
 */

import { setTimeout as delay } from 'node:timers/promises';

const POLL_EVERY_MS = 20;

/** `promise`, or an error naming `what` after `boundMs`. */
export async function within(promise, what, boundMs = 10_000) {
  let timer;
  const bound = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${boundMs} ms`)), boundMs);
  });
  try {
    return await Promise.race([promise, bound]);
  } finally {
    clearTimeout(timer);
  }
}

/** Polls an (async) predicate until it returns something truthy, and returns that. For state that sends no event, such as REST reads. */
export async function eventually(predicate, what, boundMs = 10_000) {
  const end = Date.now() + boundMs;
  for (;;) {
    const value = await predicate();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${boundMs} ms`);
    await delay(POLL_EVERY_MS);
  }
}

/** Everything a subscription delivers, in order. `inbox.take` goes to `channel.subscribe` or `presence.subscribe`. */
export class Inbox {
  items = [];
  #checks = new Set();

  take = (item) => {
    this.items.push(item);
    for (const check of this.#checks) check();
  };

  /** Resolves with the first item that satisfies `predicate`, already delivered or not. */
  async item(predicate, what, boundMs) {
    let check;
    const found = new Promise((resolve) => {
      check = () => {
        const hit = this.items.find(predicate);
        if (hit) resolve(hit);
      };
    });
    this.#checks.add(check);
    check();
    try {
      return await within(found, what, boundMs);
    } catch (error) {
      const names = this.items.map((item) => item.name ?? item.action);
      throw new Error(`${error.message}; delivered so far (${names.length}): ${names.slice(-20).join(' ')}`);
    } finally {
      this.#checks.delete(check);
    }
  }

  get names() {
    return this.items.map((item) => item.name);
  }
}

/** The error that `promise` rejects with; a promise that resolves is a failure. */
export async function refusal(promise, what) {
  let value;
  try {
    value = await within(promise, what);
  } catch (error) {
    if (error.code === undefined) throw error;
    return error;
  }
  throw new Error(`${what}: was accepted (${JSON.stringify(value)})`);
}
