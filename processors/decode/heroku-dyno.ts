import { herokuEvents } from './heroku-events.ts';
import { fillSamples, isSample, sizeBytes } from './heroku-metrics.ts';
import type { RowWriter } from './row-writer.ts';
import { integerAt } from './text-of.ts';

/** Lines that are one word or begin with it. */
const phrases: readonly (readonly [string, string])[] = [
  ['Cycling', herokuEvents.cycling],
  ['Restarting', herokuEvents.restarting],
  ['Idling', herokuEvents.idling],
  ['Unidling', herokuEvents.unidling],
];

/** A line of the dyno manager or of log-runtime-metrics. */
export function fillDyno(text: string, row: RowWriter): void {
  if (isSample(text)) {
    fillSamples(text, row);
    return;
  }
  row.text('message', text);
  if (text.startsWith('State changed from ')) {
    fillState(text, row);
    return;
  }
  if (text.startsWith('Error R')) {
    fillError(text, row);
    return;
  }
  if (text.startsWith('Starting process with command')) {
    const tick = text.indexOf('`');
    if (tick > 0)
      row.text('process.command_line', text.slice(tick + 1, text.lastIndexOf('`') > tick ? text.lastIndexOf('`') : text.length));
    row.text('event.name', herokuEvents.starting);
    return;
  }
  if (text.startsWith('Stopping ')) {
    const signal = text.lastIndexOf(' SIG');
    if (signal > 0) row.text('process.signal', text.slice(signal + 1));
    row.text('event.name', herokuEvents.stopping);
    return;
  }
  if (text.startsWith('Process exited with status ')) {
    const code = integerAt(text, 27);
    if (code >= 0) row.number('process.exit.code', code);
    row.text('event.name', herokuEvents.exited);
    return;
  }
  if (text.startsWith('Process running mem=')) {
    fillMemory(text, row);
    return;
  }
  for (const [start, name] of phrases) {
    if (text.startsWith(start)) row.text('event.name', name);
  }
}

function fillState(text: string, row: RowWriter): void {
  const to = text.indexOf(' to ', 19);
  if (to < 0) return;
  row.text('event.name', herokuEvents.stateChanged);
  row.text('heroku.dyno.state.from', text.slice(19, to));
  row.text('heroku.dyno.state.to', text.slice(to + 4).trimEnd());
}

/** `Error R10 (Boot timeout) -> Web process failed to bind …` */
function fillError(text: string, row: RowWriter): void {
  const code = text.slice(6, 9);
  const open = text.indexOf('(', 9);
  const close = text.indexOf(')', open);
  row.text('event.name', herokuEvents.error);
  row.text('log.level', 'error');
  row.text('error.code', code);
  row.text('error.type', code);
  if (open > 0 && close > open) {
    row.text('error.message', text.slice(open + 1, close));
    const arrow = text.indexOf('-> ', close);
    if (arrow > 0) row.text('error.detail', text.slice(arrow + 3));
  }
}

/** `Process running mem=870M(170.1%)`; the docs print `1028MB(103.3%)`. */
function fillMemory(text: string, row: RowWriter): void {
  const open = text.indexOf('(', 20);
  row.text('event.name', herokuEvents.memory);
  const bytes = sizeBytes(text.slice(20, open < 0 ? text.length : open));
  if (bytes !== undefined) row.number('heroku.memory_total', bytes);
  const percent = open < 0 ? Number.NaN : Number.parseFloat(text.slice(open + 1));
  if (Number.isFinite(percent)) row.number('heroku.memory_percent', percent);
}
