import { herokuEvents } from './heroku-events.ts';
import type { RowWriter } from './row-writer.ts';
import { skipBlanks } from './text-of.ts';

/** Heroku's MB and kB are powers of 1024: a 512 MB dyno has a quota of 512.00MB. `pages` are counted, not sized. */
const unitBytes = new Map<string, number>([
  ['', 1],
  ['bytes', 1],
  ['B', 1],
  ['kB', 1024],
  ['KB', 1024],
  ['K', 1024],
  ['MB', 1024 ** 2],
  ['M', 1024 ** 2],
  ['GB', 1024 ** 3],
  ['G', 1024 ** 3],
  ['TB', 1024 ** 4],
  ['pages', 1],
]);

export function isSample(text: string): boolean {
  return text.startsWith('source=') && text.includes(' sample#');
}

/**
 * `source=web.1 dyno=heroku.… sample#memory_total=221.47MB …`: each sample a number under `heroku.<name>`, its
 * hyphens as underscores (add-ons use both), and under the name as it was sent.
 */
export function fillSamples(text: string, row: RowWriter): void {
  row.text('message', text);
  row.text('event.name', herokuEvents.sample);
  let at = skipBlanks(text, 0);
  while (at < text.length) {
    let end = at;
    while (end < text.length && text.charCodeAt(end) > 32) end++;
    const equals = text.indexOf('=', at);
    if (equals > at && equals < end) put(text.slice(at, equals), text.slice(equals + 1, end), row);
    at = skipBlanks(text, end);
  }
}

function put(key: string, value: string, row: RowWriter): void {
  if (value === '') return;
  if (!key.startsWith('sample#')) {
    if (key === 'source') row.text('heroku.source', value);
    else if (key === 'addon') row.text('heroku.addon', value);
    else if (key === 'dyno') row.text('heroku.dyno.id', value);
    // Under its own name it gives way: here `dyno` is an id, elsewhere the instance.
    row.from('envelope');
    row.text(key, value);
    row.from('own');
    return;
  }
  const name = key.slice(7);
  const number = sizeBytes(value);
  if (number === undefined) {
    row.text(`heroku.${name}`, value);
    return;
  }
  row.number(`heroku.${name.replaceAll('-', '_')}`, number);
  if (name.includes('-')) row.number(`heroku.${name}`, number);
  if (row.wants(key)) row.number(key, number);
}

/** `15664876.0kB` in bytes, `149293pages` and `0.01` as they are; undefined for anything else. */
export function sizeBytes(text: string): number | undefined {
  let end = 0;
  while (end < text.length) {
    const code = text.charCodeAt(end);
    if (!((code >= 48 && code <= 57) || code === 46 || (code === 45 && end === 0))) break;
    end++;
  }
  if (end === 0) return undefined;
  const scale = unitBytes.get(text.slice(end));
  const number = scale === undefined ? Number.NaN : Number(text.slice(0, end)) * scale;
  return Number.isFinite(number) ? number : undefined;
}
