// Runs the mocha suite of a checkout against a server and prints a table:
//
//   node run.mjs URL CHECKOUT [--chromium PATH] [PART]
//
// CHECKOUT: a client library with its tests, installed and built as its own instructions say. --chromium: the browser builds, in
// that browser, and the files that the checkout lists for browsers. PART: only files whose path contains it. A test that never
// ran counts as failed. Failures with their errors, and all results, are in $CONFORMANCE_OUT (default: a new temporary folder).

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInNode } from './node.mjs';

const SECONDS_PER_FILE = 1500;
const args = process.argv.slice(2);
const flag = args.indexOf('--chromium');
const chromium = flag >= 0 ? args.splice(flag, 2)[1] : undefined;
const [url, checkout, part = ''] = args;
if (!checkout) throw new Error('usage: run.mjs URL CHECKOUT [--chromium PATH] [PART]');

const out = process.env.CONFORMANCE_OUT ?? mkdtempSync(join(tmpdir(), 'dunlin-conformance-'));
mkdirSync(out, { recursive: true });

function filesForNode() {
  return ['rest', 'realtime', 'unit'].flatMap((folder) =>
    readdirSync(join(checkout, 'test', folder)).filter((name) => name.endsWith('.test.js')).sort().map((name) => `test/${folder}/${name}`),
  );
}

function filesForBrowsers() {
  const list = readFileSync(join(checkout, 'test/support/browser_file_list.js'), 'utf8');
  return [...list.matchAll(/'(test\/[^']+\.test\.js)'/g)].map(([, file]) => file).concat('test/browser/modular.test.js');
}

function sum(file, records) {
  const count = (state) => records.filter((record) => record.state === state).length;
  const [passed, skipped] = [count('passed'), count('skipped')];
  const total = records.find((record) => record.total !== undefined)?.total ?? 1;
  const failures = records.filter((record) => record.state === 'failed' || record.hook);
  return { file, passed, failed: Math.max(total - passed - skipped, count('failed')), skipped, failures };
}

const browser = chromium && (await (await import('./browser.mjs')).openBrowser(checkout, chromium));
const rows = [];
for (const file of (browser ? filesForBrowsers() : filesForNode()).filter((file) => file.includes(part))) {
  const options = { url, seconds: SECONDS_PER_FILE, results: join(out, `${file.replaceAll('/', '_')}.jsonl`) };
  const records = browser ? await browser.run(file, options) : await runInNode(checkout, file, options);
  const row = sum(file, records);
  rows.push(row);
  console.log(`${file}: ${row.passed} passed, ${row.failed} failed, ${row.skipped} skipped`);
  for (const { title, error } of row.failures) console.log(`  ${title}\n    ${error.split('\n')[0]}`);
}
await browser?.close();

writeFileSync(join(out, 'results.json'), JSON.stringify(rows, null, 1));
console.log('\n| file | passed | failed | skipped |\n| --- | --- | --- | --- |');
for (const { file, passed, failed, skipped } of rows) console.log(`| ${file} | ${passed} | ${failed} | ${skipped} |`);
const all = (key) => rows.reduce((total, row) => total + row[key], 0);
console.log(`\n${all('passed')} passed, ${all('failed')} failed, ${all('skipped')} skipped`);
process.exitCode = rows.length > 0 && all('failed') === 0 ? 0 : 1;
