// Runs one test file of a checkout with the checkout's own mocha, in a process group of its own.

import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const reporter = fileURLToPath(new URL('reporter.cjs', import.meta.url));

/** The records of one file; what was reported before the time was up, if it was. */
export async function runInNode(checkout, file, { url, results, seconds }) {
  const server = new URL(url);
  rmSync(results, { force: true });
  const child = spawn(
    process.execPath,
    ['node_modules/mocha/bin/mocha', '--exit', '--reporter', reporter, file],
    {
      cwd: checkout,
      detached: true,
      stdio: 'ignore',
      env: {
        ...process.env,
        RESULTS: results,
        ABLY_LOCAL_SANDBOX_URL: url,
        ABLY_ENDPOINT: server.hostname,
        ABLY_PORT: server.port,
        ABLY_TLS_PORT: server.port,
        ABLY_USE_TLS: 'false',
      },
    },
  );
  const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), seconds * 1000);
  await new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject));
  clearTimeout(timer);
  return read(results);
}

function read(results) {
  try {
    return readFileSync(results, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
}
