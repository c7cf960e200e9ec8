/**
 * A dunlin process: starts it, reads the URL and the key that it prints, and ends it by process id.
 *
 * The binary is `E2E_BINARY`; data directories, logs and process ids live under `E2E_RUN_DIR`, which `run.sh` clears away.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { within } from './waiting.mjs';

const URL_LINE = /http:\/\/127\.0\.0\.1:(\d+)/;
const KEY_LINE = /([\w-]{3,}\.[\w-]{3,}):([\w+/=-]{8,})/;
/** Generous for a debug build on a busy machine; the promise to users is about a second. */
const READY_WITHIN_MS = 10_000;
const EXIT_WITHIN_MS = 15_000;

const runDir = process.env.E2E_RUN_DIR ?? mkdtempSync(join(tmpdir(), 'dunlin-e2e-'));
const running = new Set();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a server that is stopped when the surrounding test, or else the test file, ends. */
export async function startServer(options = {}) {
  const server = new Server(options);
  after(() => server.kill());
  await server.launch();
  return server;
}

class Server {
  port = 0;
  #child;
  #arguments;
  #log;

  constructor({ sandbox = false, config, dataDir } = {}) {
    mkdirSync(runDir, { recursive: true });
    const room = mkdtempSync(join(runDir, 'server-'));
    this.dataDir = dataDir ?? join(room, 'data');
    this.#log = openSync(join(room, 'stderr.log'), 'a');
    this.#arguments = ['--data-dir', this.dataDir];
    if (sandbox) this.#arguments.push('--sandbox');
    if (config !== undefined) {
      writeFileSync(join(room, 'dunlin.toml'), config);
      this.#arguments.push('--config', join(room, 'dunlin.toml'));
    }
  }

  /** Starts the process; after a stop, again on the same port and data directory. */
  async launch() {
    const binary = process.env.E2E_BINARY;
    if (!binary) throw new Error('E2E_BINARY names no dunlin binary');
    const child = spawn(binary, ['serve', '--listen', `127.0.0.1:${this.port}`, ...this.#arguments], {
      stdio: ['ignore', 'pipe', this.#log],
    });
    this.#child = child;
    child.exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
    child.exited.finally(() => running.delete(child));
    running.add(child);
    appendFileSync(join(runDir, 'pids'), `${child.pid}\n`);
    await within(this.#banner(child), 'the URL and the key on stdout', READY_WITHIN_MS);
  }

  async #banner(child) {
    let url, key;
    const printed = [];
    const complete = new Promise((resolve) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        printed.push(line);
        url ??= line.match(URL_LINE);
        key ??= line.match(KEY_LINE);
        if (url && key) resolve();
      });
    });
    const early = child.exited.then(({ code, signal }) => {
      throw new Error(`dunlin ended (${code ?? signal}) before it was ready; it printed: ${printed.join(' | ')}`);
    });
    await Promise.race([complete, early]);
    this.url = url[0];
    this.port = Number(url[1]);
    this.key = key[0];
    this.keyName = key[1];
    this.keySecret = key[2];
  }

  /** Sends a signal and resolves with how the process ended. */
  async end(signal) {
    this.#child.kill(signal);
    return within(this.#child.exited, `exit after ${signal}`, EXIT_WITHIN_MS);
  }

  async kill() {
    return this.#child && this.end('SIGKILL');
  }

  async isAlive() {
    const answer = await fetch(`${this.url}/health/live`);
    return answer.status === 200 && this.#child.exitCode === null;
  }
}
