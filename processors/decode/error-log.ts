import { looksLikeAddress } from './access-log.ts';
import type { RowWriter } from './row-writer.ts';
import { integerAt } from './text-of.ts';
import { asctimeAt, isoTimeAt, timeEnd } from './time.ts';
import { level, requestPart } from './value-forms.ts';

/**
 * nginx's error log: `2022/04/02 13:39:51 [error] 8#8: *6631 open() "/x" failed (2: No such file or directory), client: 1.2.3.4, server:
 * _, request: "GET /x HTTP/1.1", host: "h"`. Its time has no zone, so an envelope's is better. False if the text is none.
 */
export function fillNginxError(text: string, row: RowWriter): boolean {
  if (text.charCodeAt(4) !== 47 || text.charCodeAt(10) !== 32) return false;
  const timeMs = isoTimeAt(text, 0);
  if (Number.isNaN(timeMs) || text.charCodeAt(20) !== 91) return false;
  const close = text.indexOf('] ', 21);
  const colon = close < 0 ? -1 : text.indexOf(': ', close);
  if (close < 0 || close > 32 || colon < 0 || text.lastIndexOf('#', colon) < close) return false;
  if (!row.hasTime) row.time(timeMs);
  row.untyped = true;
  row.text('log.level', level(text.slice(21, close)));
  row.text('process.pid', text.slice(close + 2, text.indexOf('#', close)));
  let start = colon + 2;
  if (text.charCodeAt(start) === 42) start = text.indexOf(' ', start) + 1 || start;
  const context = text.indexOf(', client: ', start);
  row.text('message', text.slice(start, context < 0 ? text.length : context));
  // From the right: what stands before may hold the client's own words.
  if (context >= 0) {
    const client = after(text, ', client: ');
    row.text('client.address', client);
    row.text('server.address', quoted(text, ', host: "') ?? after(text, ', server: '));
    fillRequestLine(quoted(text, ', request: "'), row);
    row.text('user.name', quoted(text, ', login: "'));
    row.text('http.request.header.referer', quoted(text, ', referrer: "'));
    if (text.includes(' login failed', start)) row.text('event.name', 'mail.auth_failed');
  }
  row.untyped = false;
  return true;
}

/**
 * Apache's error log: `[Wed Oct 11 14:32:52.123456 2021] [core:error] [pid 123:tid 456] [client 1.2.3.4:5678] AH00128: File does not
 * exist: /x`. False if the text is none.
 */
export function fillApacheError(text: string, row: RowWriter): boolean {
  if (text.charCodeAt(0) !== 91 || text.charCodeAt(4) !== 32) return false;
  const timeMs = asctimeAt(text, 1);
  let at = timeEnd;
  if (Number.isNaN(timeMs) || text.charCodeAt(at) !== 93) return false;
  if (!row.hasTime) row.time(timeMs);
  at += 2;
  row.untyped = true;
  while (text.charCodeAt(at) === 91) {
    const close = text.indexOf('] ', at);
    if (close < 0) break;
    fillBracket(text.slice(at + 1, close), row);
    at = close + 2;
  }
  const rest = text.slice(at);
  row.text('message', rest);
  // `AH01276: Cannot serve directory …`
  if (rest.startsWith('AH') && integerAt(rest, 2) >= 0 && rest.charCodeAt(7) === 58) row.text('error.code', rest.slice(0, 7));
  row.text('http.request.header.referer', after(rest, ', referer: '));
  row.untyped = false;
  return true;
}

function fillBracket(inside: string, row: RowWriter): void {
  if (inside.startsWith('pid ')) row.text('process.pid', String(integerAt(inside, 4)));
  else if (inside.startsWith('client ')) {
    const client = inside.slice(7);
    row.text('client.address', client);
    const port = client.lastIndexOf(':');
    if (port > 0 && (looksLikeAddress(client.slice(0, port)) || client.charCodeAt(port - 1) === 93))
      row.text('client.port', client.slice(port + 1));
  } else {
    const colon = inside.indexOf(':');
    row.text('log.level', level(inside.slice(colon + 1)));
    if (colon > 0) row.text('log.logger', inside.slice(0, colon));
  }
}

/** What stands between the last `label` and the next comma. */
function after(text: string, label: string): string | undefined {
  const at = text.lastIndexOf(label);
  if (at < 0) return undefined;
  const comma = text.indexOf(',', at + label.length);
  return text.slice(at + label.length, comma < 0 ? text.length : comma);
}

function quoted(text: string, label: string): string | undefined {
  const at = text.lastIndexOf(label);
  if (at < 0) return undefined;
  const close = text.indexOf('"', at + label.length);
  return text.slice(at + label.length, close < 0 ? text.length : close);
}

function fillRequestLine(request: string | undefined, row: RowWriter): void {
  if (request === undefined) return;
  row.text('http.request.line', request);
  row.text('http.request.method', requestPart(request, 0));
  row.text('url.path', requestPart(request, 1));
  row.text('url.query', requestPart(request, 2));
  row.text('network.protocol.version', requestPart(request, 3));
}
