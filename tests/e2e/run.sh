#!/usr/bin/env bash
# End-to-end tests: a real dunlin binary, driven by the published client libraries.
#
#   run.sh BINARY [PATTERN]     PATTERN: part of a test file's name ("presence", "crash", "test_rest"); all without it
#
# Environment (all optional):
#   E2E_SEED         seed of the cutting proxies in resume.test.mjs, in place of its own list
#   E2E_CLIENT_LOG   log level of the JavaScript clients (4 is everything)
#   E2E_JOBS         test files at a time (3)
#
# Needs node 20 and python 3.9 or later; installs the pinned client libraries on the first run. Ends within seven minutes,
# prints "N passed, N failed" last, and exits non-zero on any failure. Logs of the servers stay behind when something failed.
set -uo pipefail

[[ $# -ge 1 ]] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 2; }
[[ -x "$1" ]] || { echo "run.sh: no binary at $1" >&2; exit 2; }
binary=$(realpath "$1")
pattern=${2:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
run=$(mktemp -d "${TMPDIR:-/tmp}/dunlin-e2e.XXXXXX")
export E2E_BINARY=$binary E2E_RUN_DIR=$run

# Servers end with their tests; this is for those whose test was itself killed. A process id counts only while it is still our binary.
reap() {
  [[ -f "$run/pids" ]] || return 0
  while read -r pid; do
    [[ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$binary"* ]] && kill -9 "$pid"
  done <"$run/pids"
}
trap reap EXIT
trap 'exit 130' INT TERM

install() {
  [[ "$here/js/node_modules/.package-lock.json" -nt "$here/js/package-lock.json" ]] || (cd "$here/js" && npm ci --no-audit --no-fund) || return
  [[ -x "$here/.venv/bin/pytest" ]] ||
    { python3 -m venv "$here/.venv" && "$here/.venv/bin/pip" install -q -r "$here/python/requirements.txt"; }
}

run_js() {
  cd "$here/js" || return
  local files
  mapfile -t files < <(ls ./*.test.mjs | grep -F -- "$pattern")
  [[ ${#files[@]} -gt 0 ]] || return 0
  printf '%s\n' "${files[@]##*/}" | timeout -k 10 240 xargs -P "${E2E_JOBS:-3}" -I FILE bash -c '
    node --test --test-reporter=tap --test-reporter-destination="$0/FILE.tap" --test-reporter=spec --test-reporter-destination="$0/FILE.log" FILE
    status=$?
    cat "$0/FILE.log"
    exit $status' "$run"
}

js_table() {
  local tap skipped passed
  for tap in "$run"/*.tap; do
    [[ -f "$tap" ]] || continue
    skipped=$(grep -c "^ok .*# SKIP" "$tap")
    passed=$(grep -c "^ok " "$tap")
    echo "| $(basename "$tap" .tap) | $((passed - skipped)) | $(grep -c "^not ok " "$tap") | $skipped |"
  done
}

run_python() {
  cd "$here/python" || return
  local files
  mapfile -t files < <(ls test_*.py | grep -F -- "$pattern")
  [[ ${#files[@]} -gt 0 ]] || return 0
  timeout -k 10 120 "$here/.venv/bin/pytest" -p no:cacheprovider --junitxml="$run/python.xml" "${files[@]}"
}

python_table() {
  [[ -f "$run/python.xml" ]] || return 0
  python3 - "$run/python.xml" <<'PY'
import sys, xml.etree.ElementTree as tree
rows = {}
for case in tree.parse(sys.argv[1]).iter("testcase"):
    row = rows.setdefault(case.get("classname").split(".")[0] + ".py", [0, 0, 0])
    kinds = {child.tag for child in case}
    row[1 if kinds & {"failure", "error"} else 2 if "skipped" in kinds else 0] += 1
for file, (passed, failed, skipped) in sorted(rows.items()):
    print(f"| {file} | {passed} | {failed} | {skipped} |")
PY
}

tap_count() { cat "$run"/*.tap 2>/dev/null | grep -c "^$1 "; }
xml_count() { grep -o "<testsuite [^>]*" "$run/python.xml" 2>/dev/null | grep -o " $1=\"[0-9]*\"" | tr -cd 0-9; }

install >"$run/install.log" 2>&1 || { tail -20 "$run/install.log"; echo "run.sh: cannot install the client libraries" >&2; exit 2; }
(run_js); js_status=$?
(run_python); python_status=$?

echo "| file | passed | failed | skipped |"
echo "| --- | --- | --- | --- |"
js_table
python_table

ran=$(xml_count tests) broken=$(($(xml_count failures) + $(xml_count errors) + 0))
passed=$(($(tap_count ok) + ${ran:-0} - broken))
failed=$(($(tap_count 'not ok') + broken))
if ((js_status == 124 || python_status == 124)); then
  echo "run.sh: cut short, out of time: the totals lack what did not run"
  failed=$((failed + 1))
fi
if ((js_status != 0 || python_status != 0)); then
  ((failed > 0)) || failed=1
  echo "server logs: $run"
else
  reap
  rm -rf "$run"
fi
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
