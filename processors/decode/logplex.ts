/**
 * Logplex frames: `<PRI>1 TIME host APPNAME PROCID - TEXT`. Looks like RFC 5424 and is not: the structured data is
 * absent, without a `-` in its place, so that a strict parser eats the `[YELLOW] [12-1]` of a Postgres line.
 */

import type { FieldNames } from './field-table.ts';
import { fillApi } from './heroku-api.ts';
import { fillDyno } from './heroku-dyno.ts';
import { fillLoss } from './heroku-loss.ts';
import { fillSamples, isSample } from './heroku-metrics.ts';
import { fillPostgres } from './heroku-postgres.ts';
import { fillRouter } from './heroku-router.ts';
import type { RowWriter } from './row-writer.ts';
import { integerAt, withoutLineBreak } from './text-of.ts';
import { isoTimeAt, timeEnd } from './time.ts';

/** What the header of a frame says; one object, reused. */
export interface Frame {
  priority: number;
  timeMs: number;
  host: string;
  app: string;
  process: string;
  text: string;
}

const frame: Frame = { priority: 0, timeMs: 0, host: '', app: '', process: '', text: '' };

/**
 * The frame that a text is, or undefined. Unless `certain` (the record came from a drain), host and application must be those Logplex
 * writes: an RFC 5424 line with `-` as its message id looks the same otherwise.
 */
export function parseFrame(text: string, certain: boolean): Frame | undefined {
  const close = text.indexOf('>', 1);
  if (text.charCodeAt(0) !== 60 || close < 2 || close > 4 || text.charCodeAt(close + 1) !== 49 || text.charCodeAt(close + 2) !== 32)
    return undefined;
  frame.priority = integerAt(text, 1);
  frame.timeMs = isoTimeAt(text, close + 3);
  const host = timeEnd + 1;
  if (Number.isNaN(frame.timeMs) || frame.priority < 0 || text.charCodeAt(host - 1) !== 32) return undefined;
  const app = text.indexOf(' ', host) + 1;
  const process = app > 0 ? text.indexOf(' ', app) + 1 : 0;
  const id = process > 0 ? text.indexOf(' ', process) + 1 : 0;
  if (id === 0 || text.charCodeAt(id) !== 45 || (text.charCodeAt(id + 1) !== 32 && id + 1 < text.length)) return undefined;
  frame.host = text.slice(host, app - 1);
  frame.app = text.slice(app, process - 1);
  frame.process = text.slice(process, id - 1);
  if (!certain && (frame.host !== 'host' || !(frame.app === 'app' || frame.app === 'heroku' || frame.app.startsWith('t.'))))
    return undefined;
  frame.text = withoutLineBreak(text.slice(id + 2));
  // log-shuttle writes a token for the application and `- -` for the message id.
  if (frame.app.startsWith('t.') && frame.text.startsWith('- ')) frame.text = frame.text.slice(2);
  return frame;
}

export type HerokuPart = 'router' | 'app' | 'dyno' | 'postgres' | 'redis' | 'api' | 'logplex' | 'addon';

/** Which part of the platform wrote a line, from its application and process names. */
export function herokuPart(app: string, process: string): HerokuPart {
  if (app === 'heroku') return process === 'router' ? 'router' : process === 'logplex' ? 'logplex' : 'dyno';
  if (process === 'api') return 'api';
  if (process === 'log-shuttle' || process === 'logplex') return 'logplex';
  if (process.startsWith('postgres.') || process === 'heroku-postgres' || process === 'heroku-pgbouncer') return 'postgres';
  if (process.startsWith('heroku-redis') || process.startsWith('redis.')) return 'redis';
  // Dynos are `web.1`; what has no number is an add-on.
  return app === 'app' && process.indexOf('.') < 0 ? 'addon' : 'app';
}

/** Fills a row from the parts of a frame; `content` decodes an application's own line into the row. */
export function fillHeroku(parts: Frame, row: RowWriter, routerNames: FieldNames, content: (text: string, row: RowWriter) => void): void {
  const { text, process, app, priority, timeMs } = parts;
  const part = herokuPart(app, process);
  row.dataset(datasetOf(row.recordDataset, part));
  row.from('envelope');
  row.time(timeMs);
  row.text('heroku.app', app);
  row.text('heroku.process', process);
  row.number('log.syslog.priority', priority);
  row.text('heroku.drain.token', row.record.headers?.['logplex-drain-token']);
  if (part === 'app' || part === 'dyno') {
    const dot = process.indexOf('.');
    row.text('service.instance.id', process);
    // The frames never name the application; its process type is the nearest to a service there is.
    row.text('service.name', dot > 0 ? process.slice(0, dot) : process);
  }
  row.from('own');
  // Only Logplex is believed: a loss marks windows degraded, and an application's line may hold a stranger's words.
  if (part === 'logplex' && fillLoss(text, row)) return;
  if (part === 'router') fillRouter(text, row, routerNames);
  else if (part === 'dyno') fillDyno(text, row);
  else if (part === 'postgres') fillPostgres(text, row);
  else if (part === 'api') fillApi(text, row);
  else if ((part === 'redis' || part === 'addon') && isSample(text)) fillSamples(text, row);
  else content(text, row);
}

// One source has one dataset and eight parts: the joined names are kept, not made per event.
const datasets = new Map<string, Map<HerokuPart, string>>();

function datasetOf(base: string, part: HerokuPart): string {
  let parts = datasets.get(base);
  if (parts === undefined) {
    if (datasets.size >= 1000) datasets.clear();
    parts = new Map();
    datasets.set(base, parts);
  }
  let name = parts.get(part);
  if (name === undefined) {
    name = base.endsWith(`.${part}`) ? base : `${base}.${part}`;
    parts.set(part, name);
  }
  return name;
}
