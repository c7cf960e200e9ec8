// Runs test files of a checkout in headless Chromium, against the browser builds in it: each file in a page and a context of
// its own, served from this machine.

import { createServer } from 'node:http';
import { appendFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { answerElsewhere } from './elsewhere.mjs';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.json': 'application/json' };
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
/** Pages have a global `module` for other uses; the library's own build of this package ignores it, the published one does not. */
const ASYNC = '/node_modules/async/lib/async.js';
/** Files that look for the names, ports and TLS that the suite has of its own: they are not told of others. */
const ON_THEIR_OWN = ['test/rest/fallbacks.test.js', 'test/rest/init.test.js'];
const own = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Starts Chromium and a file server; ends both with `close`. */
export async function openBrowser(checkout, executablePath) {
  const files = await serve(checkout);
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  const origin = `http://localhost:${files.address().port}`;
  return {
    run: (file, options) => runInPage(browser, origin, file, options),
    close: async () => {
      await browser.close();
      files.close();
    },
  };
}

/** The records of one file; what was reported before the time was up, if it was. */
async function runInPage(browser, origin, file, { url, results, seconds }) {
  writeFileSync(results, '');
  const records = [];
  const context = await browser.newContext();
  try {
    const server = new URL(url);
    await answerElsewhere(context, server);
    const page = await context.newPage();
    const ended = new Promise((resolve) => {
      setTimeout(resolve, seconds * 1000).unref();
      page.on('crash', resolve);
      page.exposeFunction('put', (record) => {
        records.push(record);
        appendFileSync(results, `${JSON.stringify(record)}\n`);
        if (record.end) resolve();
      });
    });
    const where = `&endpoint=${server.hostname}&port=${server.port}&tls=false&local_sandbox_url=${encodeURIComponent(url)}`;
    await page.goto(`${origin}/page.html?file=${file}${ON_THEIR_OWN.includes(file) ? '' : where}`);
    await ended;
  } finally {
    await context.close();
  }
  return records;
}

/** A page that loads one file the way the checkout's own page loads all of them. */
const page = (file) => `<!doctype html><meta charset="utf-8"><div id="mocha"></div>
<script src="/node_modules/chai/chai.js"></script><script src="/node_modules/mocha/mocha.js"></script>
<script src="/reporter.cjs"></script><script>mocha.setup({ ui: 'bdd', reporter: Reporter });</script>
<script src="/require.js"></script><script src="/test/support/modules_helper.js"></script><script src="/test/support/test_helper.js"></script>
<script>
  window.__testFiles__ = { base: '../', files: { 'test/support/root_hooks.js': true, ${JSON.stringify(file)}: true } };
  window.registerAblyModularTests = async () => {};
</script>
${file.endsWith('/modular.test.js') ? '<script type="module" src="/test/browser/modular.test.js"></script>' : ''}
<script type="module">await import('/start.js');</script>`;

const START = `const script = document.createElement('script');
script.src = '/test/support/browser_setup.js';
document.body.append(script);`;

async function serve(checkout) {
  const requirejs = createRequire(import.meta.url).resolve('requirejs/require.js');
  // Where the pages of the checkout expect its folders.
  const at = (path) => {
    if (path === '/require.js') return requirejs;
    if (path === '/reporter.cjs') return own('reporter.cjs');
    if (path === '/push_sw.js') return join(checkout, 'test/support/push_sw.js');
    if (path.startsWith('/browser/')) return join(checkout, 'src/web', path.slice('/browser'.length));
    return join(checkout, path);
  };
  const server = createServer(async (request, response) => {
    const asked = new URL(request.url, 'http://localhost');
    const path = normalize(decodeURIComponent(asked.pathname));
    const type = TYPES[extname(path) === '.cjs' ? '.js' : extname(path)] ?? 'application/octet-stream';
    try {
      const made = { '/page.html': () => page(asked.searchParams.get('file')), '/start.js': () => START }[path];
      let body = made ? made() : await readFile(at(path));
      if (path === ASYNC) body = `(function (module) {\n${body}\n})();`;
      response.writeHead(200, { 'content-type': type, 'access-control-allow-origin': '*' }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  return server;
}
