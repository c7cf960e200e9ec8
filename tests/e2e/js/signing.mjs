/**
 * JSON Web Tokens (HS256) signed with an app key, as an auth server of one's own would issue them.
 */

import { createHmac } from 'node:crypto';

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JWT of the server's key. `claims` override or extend `iat` and `exp`. */
export function signJwt(server, { ttlSeconds = 3600, ...claims } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const head = encode({ typ: 'JWT', alg: 'HS256', kid: server.keyName });
  const body = encode({ iat: now, exp: now + ttlSeconds, ...claims });
  const signature = createHmac('sha256', server.keySecret).update(`${head}.${body}`).digest('base64url');
  return `${head}.${body}.${signature}`;
}
