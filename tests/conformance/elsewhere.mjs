// What tests look for on the internet, answered inside the browser: pages reach nothing but loopback. Known are the hosts from which
// the library learns that there is internet, a service that echoes requests and signs JWTs, an address from which no answer
// comes, and the host that the suite has of its own, which stands for the server. Everything else is refused.

import { createCipheriv, createHash, createHmac, randomBytes } from 'node:crypto';

const LOOPBACK = ['localhost', '127.0.0.1'];
const OWN_HOST = 'sandbox.realtime.ably-nonprod.net';
const NO_ANSWER = '10.255.255.1';
const cors = (request) => ({
  'access-control-allow-origin': request.headers()['origin'] ?? '*',
  'access-control-allow-credentials': 'true',
  'access-control-allow-headers': request.headers()['access-control-request-headers'] ?? '*',
  'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
});

/** Answers for the hosts named above in every page of the context. */
export async function answerElsewhere(context, server) {
  await context.route((url) => !LOOPBACK.includes(url.hostname), async (route, request) => {
    const url = new URL(request.url());
    if (url.hostname === NO_ANSWER) return undefined;
    if (url.hostname === OWN_HOST) {
      const response = await route.fetch({ url: new URL(url.pathname + url.search, server).href });
      return route.fulfill({ response });
    }
    const answer = request.method() === 'OPTIONS' ? { status: 204 } : HOSTS[url.hostname]?.(url, request);
    return answer ? route.fulfill({ ...answer, headers: { ...cors(request), 'content-type': answer.type ?? 'text/plain' } }) : route.abort();
  });
  await context.routeWebSocket((url) => !LOOPBACK.includes(url.hostname), (socket) => {
    const { hostname } = new URL(socket.url());
    if (hostname !== 'ws-up.ably-realtime.com' && hostname !== NO_ANSWER) socket.close();
  });
}

const HOSTS = {
  'internet-up.ably-realtime.com': () => ({ status: 200, body: 'yes\n' }),
  'echo.ably.io': (url, request) => {
    const query = url.searchParams;
    const parameters = (text) => JSON.stringify(Object.fromEntries(new URLSearchParams(text)));
    const status = Number(query.get('status') ?? 200);
    switch (url.pathname) {
      case '/':
        if (!request.postData() && !['type', 'body', 'status'].some((name) => query.has(name))) return { status: 404 };
        return { status, type: TYPES[query.get('type')], body: query.get('body') ?? parameters(request.postData() ?? '') };
      case '/qs_to_body':
        return { status, type: 'application/json', body: parameters(url.search) };
      case '/respondwith':
        return { status };
      case '/methods':
        return { status, type: 'application/json', body: JSON.stringify({ method: request.method().toLowerCase() }) };
      case '/createJWT':
        return { status, type: query.get('returnType') === 'jwt' ? TYPES.jwt : undefined, body: token(query) };
      default:
        return { status: 404 };
    }
  },
};

const TYPES = { json: 'application/json', text: 'text/plain', jwt: 'application/jwt' };
const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A JWT of the key, around another token if one is given; encrypted, that one stands in its header. */
function token(query) {
  const inner = query.get('innerToken');
  const secret = query.get('keySecret') ?? '';
  const iat = Math.floor(Date.now() / 1000);
  const claims = { iat, exp: iat + Number(query.get('expiresIn') ?? (inner ? 1800 : 3600)) };
  for (const claim of ['clientId', 'capability']) if (query.get(claim)) claims[`x-ably-${claim}`] = query.get(claim);
  if (query.get('encrypted')) {
    const header = part({ typ: 'JWT', alg: 'dir', enc: 'A256GCM', 'x-ably-token': inner });
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', createHash('sha256').update(secret).digest(), iv).setAAD(Buffer.from(header));
    const sealed = Buffer.concat([cipher.update(JSON.stringify(claims)), cipher.final()]);
    return [header, '', iv.toString('base64url'), sealed.toString('base64url'), cipher.getAuthTag().toString('base64url')].join('.');
  }
  if (inner) claims['x-ably-token'] = inner;
  const signed = `${part({ typ: 'JWT', alg: 'HS256', kid: query.get('keyName') })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
