/**
 * Syslog: RFC 5424, RFC 3164 with and without `<PRI>`, the ISO-time lines of rsyslog and journald (`2025-01-22T13:09:20.606136+01:00 host
 * prog[9400]: text`), and the lines of `heroku logs` (`2022-12-05T08:59:21+00:00 app[web.1]: text`).
 */
import type { Frame } from './logplex.ts';
import type { RowWriter } from './row-writer.ts';
import { fillSshd } from './sshd.ts';
import { integerAt } from './text-of.ts';
import { bsdTimeAt, isoTimeAt, timeEnd } from './time.ts';
import { syslogLevels } from './value-forms.ts';

/** Where the message of a syslog line goes: an application's own line, or a part of Heroku's platform. */
export interface SyslogContent {
  content(text: string, row: RowWriter): void;
  heroku(frame: Frame, row: RowWriter): void;
}

/** False if the text is no syslog line. */
export function fillSyslog(text: string, row: RowWriter, into: SyslogContent): boolean {
  if (text.charCodeAt(0) !== 60) return fillHeader(text, 0, -1, row, into);
  const close = text.indexOf('>', 1);
  const priority = integerAt(text, 1);
  if (close < 2 || close > 4 || priority < 0 || priority > 191) return false;
  if (text.charCodeAt(close + 1) === 49 && text.charCodeAt(close + 2) === 32) return fillRfc5424(text, close + 3, priority, row, into);
  return fillHeader(text, close + 1, priority, row, into);
}

/** `TIME HOST APP PROCID MSGID SD MSG`, each of which may be `-`. */
function fillRfc5424(text: string, at: number, priority: number, row: RowWriter, into: SyslogContent): boolean {
  let timeMs = Number.NaN;
  let next = at + 2;
  if (text.charCodeAt(at) !== 45) {
    timeMs = isoTimeAt(text, at);
    if (Number.isNaN(timeMs)) return false;
    next = timeEnd + 1;
  }
  if (text.charCodeAt(next - 1) !== 32) return false;
  const words: string[] = [];
  for (let word = 0; word < 4; word++) {
    const end = text.indexOf(' ', next);
    if (end < 0) return false;
    words.push(text.slice(next, end));
    next = end + 1;
  }
  const dataEnd = structuredDataEnd(text, next);
  if (dataEnd < 0) return false;
  const [host, program, pid, id] = words;
  fillEnvelope(row, priority, timeMs, host, program, pid);
  row.from('envelope');
  if (id !== '-') row.text('log.syslog.msgid', id);
  if (text.charCodeAt(next) === 91) fillStructuredData(text.slice(next, dataEnd), row);
  row.from('own');
  let start = dataEnd < text.length ? dataEnd + 1 : dataEnd;
  if (text.charCodeAt(start) === 0xfeff) start++;
  fillMessage(program, text.slice(start), row, into);
  return true;
}

/** Index after the structured data at `at`; -1 if it is none. `]` inside quotes is escaped with a backslash. */
function structuredDataEnd(text: string, at: number): number {
  if (text.charCodeAt(at) === 45) return at + 1;
  if (text.charCodeAt(at) !== 91) return -1;
  let inQuotes = false;
  for (let to = at; to < text.length; to++) {
    const code = text.charCodeAt(to);
    if (code === 92) to++;
    else if (code === 34) inQuotes = !inQuotes;
    else if (code === 93 && !inQuotes && text.charCodeAt(to + 1) !== 91) return to + 1;
  }
  return -1;
}

/** `[id name="value" …][…]`: each value under its name. */
function fillStructuredData(data: string, row: RowWriter): void {
  let at = data.indexOf('="');
  while (at > 0) {
    const start = data.lastIndexOf(' ', at) + 1;
    let end = at + 2;
    while (end < data.length && data.charCodeAt(end) !== 34) end += data.charCodeAt(end) === 92 ? 2 : 1;
    row.text(data.slice(start, at), data.slice(at + 2, end));
    at = data.indexOf('="', end);
  }
}

/** `TIME HOST PROG[PID]: MSG`; `at` is where the time begins. */
function fillHeader(text: string, at: number, priority: number, row: RowWriter, into: SyslogContent): boolean {
  const first = text.charCodeAt(at);
  const isIso = first >= 48 && first <= 57;
  const timeMs = isIso ? isoTimeAt(text, at) : bsdTimeAt(text, at, row.recordMs);
  if (Number.isNaN(timeMs)) return false;
  let host = timeEnd + 1;
  if (text.charCodeAt(host - 1) !== 32 || (isIso && text.charCodeAt(at + 10) === 32)) return false;
  const end = text.indexOf(': ', host);
  const tagEnd = end < 0 ? (text.charCodeAt(text.length - 1) === 58 ? text.length - 1 : -1) : end;
  if (tagEnd < 0 || tagEnd - host > 300) return priority >= 0 && fillUntagged(text, host, priority, timeMs, row, into);
  const space = text.indexOf(' ', host);
  let hostName = '-';
  if (space > 0 && space < tagEnd) {
    hostName = text.slice(host, space);
    host = space + 1;
  }
  const tag = text.slice(host, tagEnd);
  const program = programOf(tag);
  if (program === undefined) return priority >= 0 && fillUntagged(text, host, priority, timeMs, row, into);
  const pid = tag.length > program.length ? tag.slice(program.length + 1, -1) : '-';
  const message = text.slice(Math.min(tagEnd + 2, text.length));
  if (hostName === '-' && (program === 'app' || program === 'heroku') && pid !== '-') {
    into.heroku({ priority: -1, timeMs, host: 'host', app: program, process: pid, text: message }, row);
    return true;
  }
  // Without a priority in front the line must have a host, or any `2022-… error: text` would be one.
  if (priority < 0 && hostName === '-') return false;
  fillEnvelope(row, priority, timeMs, hostName, program, pid);
  fillMessage(program, message, row, into);
  return true;
}

/** A line with a priority and a time whose rest is no `prog[pid]: text`: all of it is the message. */
function fillUntagged(text: string, at: number, priority: number, timeMs: number, row: RowWriter, into: SyslogContent): boolean {
  fillEnvelope(row, priority, timeMs, '-', '-', '-');
  into.content(text.slice(at), row);
  return true;
}

/** `sshd` of `sshd[8807]` or `sshd`; undefined if the tag is neither (it holds blanks or brackets elsewhere). */
function programOf(tag: string): string | undefined {
  const open = tag.indexOf('[');
  if (open === 0 || tag === '' || tag.includes(' ')) return undefined;
  if (open > 0) return tag.charCodeAt(tag.length - 1) === 93 ? tag.slice(0, open) : undefined;
  return tag;
}

function fillEnvelope(row: RowWriter, priority: number, timeMs: number, host: string, program: string, pid: string): void {
  row.from('envelope');
  row.time(timeMs);
  if (priority >= 0) {
    row.number('log.syslog.priority', priority);
    row.text('log.level', syslogLevels[priority & 7]);
  }
  if (host !== '-') row.text('host.name', host);
  if (program !== '-') row.text('service.name', program);
  if (pid !== '-') row.text('process.pid', pid);
  row.from('own');
}

function fillMessage(program: string, message: string, row: RowWriter, into: SyslogContent): void {
  if (program === 'sshd' || program === 'sshd-session') fillSshd(message, row);
  else into.content(message, row);
}
