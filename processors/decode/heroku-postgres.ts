import { herokuEvents } from './heroku-events.ts';
import { fillSamples, isSample } from './heroku-metrics.ts';
import { fillLogfmt } from './logfmt.ts';
import type { RowWriter } from './row-writer.ts';
import { durationSeconds, level } from './value-forms.ts';

const levels: readonly string[] = [
  'LOG',
  'ERROR',
  'FATAL',
  'PANIC',
  'WARNING',
  'NOTICE',
  'INFO',
  'DEBUG',
  'STATEMENT',
  'DETAIL',
  'HINT',
  'CONTEXT',
];

/**
 * A line of Heroku Postgres: samples, or `[COLOR] [12-1]  sql_error_code = 00000 … LOG:  duration: 2405.887 ms
 * statement: …`, of which `[12-2]` and so on are the rest of the same statement.
 */
export function fillPostgres(text: string, row: RowWriter): void {
  if (isSample(text)) {
    fillSamples(text, row);
    return;
  }
  row.text('message', text);
  const body = afterBrackets(text, row);
  let kind = '';
  let kindAt = -1;
  for (const name of levels) {
    const at = body.startsWith(`${name}:`) ? 0 : body.indexOf(` ${name}: `) + 1;
    if ((at > 0 || body.startsWith(`${name}:`)) && (kindAt < 0 || at < kindAt)) {
      kind = name;
      kindAt = at;
    }
  }
  if (kindAt < 0) {
    row.text('event.name', herokuEvents.dbLog);
    return;
  }
  // `sql_error_code = 00000` has blanks around its `=`, the pairs after it have none.
  const code = body.indexOf('sql_error_code = ');
  if (code >= 0 && code < kindAt) row.text('db.response.status_code', body.slice(code + 17, code + 22));
  const pairs = code >= 0 ? code + 23 : 0;
  if (pairs < kindAt) {
    row.from('envelope');
    fillLogfmt(body.slice(pairs, kindAt).replace(' = ', '='), row);
    row.from('own');
  }
  const isError = kind === 'ERROR' || kind === 'FATAL' || kind === 'PANIC';
  row.text('event.name', isError ? herokuEvents.dbError : herokuEvents.dbLog);
  row.text('log.level', kind === 'LOG' ? 'info' : level(kind));
  const rest = body.slice(kindAt + kind.length + 1).trim();
  if (isError) row.text('error.message', rest);
  fillDuration(rest, row);
}

/** `duration: 2405.887 ms  statement: SELECT …` */
function fillDuration(rest: string, row: RowWriter): void {
  if (!rest.startsWith('duration: ')) return;
  const unit = rest.indexOf(' ms', 10);
  const seconds = unit < 0 ? undefined : durationSeconds(rest.slice(10, unit), 'ms');
  if (seconds !== undefined) row.number('db.client.operation.duration', seconds);
  const colon = rest.indexOf(': ', 11);
  if (colon > 0) row.text('db.query.text', rest.slice(colon + 2));
}

/** What follows `[YELLOW] [12-2] `; the second bracket names the part of a statement. */
function afterBrackets(text: string, row: RowWriter): string {
  let at = 0;
  while (text.charCodeAt(at) === 91) {
    const close = text.indexOf(']', at);
    if (close < 0 || close - at > 24) break;
    const inside = text.slice(at + 1, close);
    const dash = inside.indexOf('-');
    if (dash > 0) row.text('heroku.postgres.line', inside);
    else row.text('heroku.postgres.color', inside);
    at = close + 1;
    while (text.charCodeAt(at) === 32 || text.charCodeAt(at) === 9) at++;
  }
  return text.slice(at);
}
