/**
 * Numbered messages: a publisher that waits for every acknowledgement, and the check that a stream holds each message exactly once, in order.
 */

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { within } from './waiting.mjs';

/** 40 messages a second: below the documented default limit of 50 per connection and per channel. */
const PACE_MS = 25;
/** Unacknowledged messages at a time, so that what is resent after a cut is less than what a connection carries before the next. */
const WINDOW = 16;

export class NumberedPublisher {
  acknowledged = 0;
  #milestones = [];

  constructor(channel, count) {
    this.channel = channel;
    this.count = count;
  }

  /** Publishes `0 … count-1` at a steady pace with several in flight, and resolves once all are acknowledged. */
  async run(boundMs = 30_000) {
    await within(this.#publishAll(), `${this.count} acknowledgements`, boundMs).catch((error) => {
      throw new Error(`${error.message} (${this.acknowledged} acknowledged)`);
    });
  }

  async #publishAll() {
    const acks = [];
    for (let number = 0; number < this.count; number += 1) {
      await acks[number - WINDOW];
      acks.push(this.channel.publish(String(number), { number }).then(() => this.#acknowledge()));
      await delay(PACE_MS);
    }
    await Promise.all(acks);
  }

  /** Resolves when `count` messages have been acknowledged. */
  reached(count) {
    return new Promise((resolve) => {
      this.#milestones.push({ count, resolve });
    });
  }

  #acknowledge() {
    this.acknowledged += 1;
    for (const { count, resolve } of this.#milestones) if (this.acknowledged >= count) resolve();
  }
}

/** The names that a complete stream of `count` messages has. */
export function numbers(count) {
  return Array.from({ length: count }, (_, number) => String(number));
}

/** `names` are exactly `0 … count-1`, in order; the failure lists what is lost, repeated and out of order. */
export function assertExactlyOnceInOrder(names, count, who) {
  const expected = numbers(count);
  const seen = new Map();
  for (const name of names) seen.set(name, (seen.get(name) ?? 0) + 1);
  const lost = expected.filter((name) => !seen.has(name));
  const repeated = [...seen].filter(([, times]) => times > 1).map(([name, times]) => `${name}×${times}`);
  const disordered = names.filter((name, at) => at > 0 && Number(name) < Number(names[at - 1]));
  const verdict = `lost [${lost}] repeated [${repeated}] out of order [${disordered}]`;
  assert.equal(verdict, 'lost [] repeated [] out of order []', who);
  assert.deepEqual(names, expected, who);
}

/** All items of a paginated result, following `next()`. */
export async function allItems(firstPage) {
  const items = [];
  for (let page = await firstPage; page; page = page.hasNext() ? await page.next() : null) items.push(...page.items);
  return items;
}
