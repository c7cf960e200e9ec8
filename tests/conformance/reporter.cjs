// A mocha reporter that hands over one record per result: `{total}` first, then `{state, title, error}` for each test and
// `{hook, error}` for each hook that failed. In node the records go to the file $RESULTS, a line each; in a page, to `window.put`.

class Reporter {
  constructor(runner) {
    const text = (error) => String(error?.stack ?? error).slice(0, 2000);
    let put = (record) => Reporter.put(record);
    runner.once('start', () => put({ total: runner.total }));
    runner.on('pass', (test) => put({ state: 'passed', title: test.fullTitle() }));
    runner.on('pending', (test) => put({ state: 'skipped', title: test.fullTitle() }));
    runner.on('fail', (test, error) => {
      const failure = { title: test.fullTitle(), error: text(error) };
      put(test.type === 'hook' ? { hook: true, ...failure } : { state: 'failed', ...failure });
    });
    runner.once('end', () => put({ end: true }));
  }
}

if (typeof window === 'object') {
  Reporter.put = (record) => window.put(record);
  window.Reporter = Reporter;
} else {
  const results = require('fs').openSync(process.env.RESULTS, 'a');
  Reporter.put = (record) => require('fs').writeSync(results, JSON.stringify(record) + '\n');
  module.exports = Reporter;
}
