/** A ping measures the round trip (RTN13). */

import assert from 'node:assert/strict';
import { startServer } from './server.mjs';
import { flow } from './stage.mjs';
import { within } from './waiting.mjs';

const server = await startServer();

flow(server, 'a ping is answered', async (stage) => {
  const client = await stage.connected();
  const roundTrip = await within(client.connection.ping(), 'the answer to the ping', 5000);
  assert.ok(roundTrip >= 0 && roundTrip < 5000);
});
