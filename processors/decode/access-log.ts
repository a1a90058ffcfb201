import type { RowWriter } from './row-writer.ts';
import { integerAt } from './text-of.ts';
import { clfTimeAt, timeEnd } from './time.ts';
import { requestPart, urlPath, urlQuery } from './value-forms.ts';

/**
 * Common and combined access logs (nginx, Apache, LiteSpeed), also with the virtual host first:
 * `[vhost[:port] ]client ident user [29/Sep/2021:12:37:05 +0000] "GET /x HTTP/1.1" 404 196["referer" "agent"[ "x-forwarded-for"]]`.
 * The user may hold blanks and is the client's own word, so everything before the time is read from the left. False if the text is none.
 */
export function fillAccessLog(text: string, row: RowWriter): boolean {
  const bracket = timeBracket(text);
  if (bracket < 0) return false;
  const timeMs = clfTimeAt(text, bracket + 1);
  const close = timeEnd;
  if (Number.isNaN(timeMs) || text.charCodeAt(close) !== 93 || text.charCodeAt(close + 2) !== 34) return false;
  const requestEnd = closingQuote(text, close + 3);
  if (requestEnd < 0) return false;
  const status = integerAt(text, requestEnd + 2);
  // `-` and `000` stand for a request that had no answer.
  if (status < 0 && text.charCodeAt(requestEnd + 2) !== 45) return false;
  row.untyped = true;
  row.time(timeMs);
  fillClient(text.slice(0, bracket - 1), row);
  fillRequest(text.slice(close + 3, requestEnd), row);
  if (status > 0) row.number('http.response.status_code', status);
  let at = text.indexOf(' ', requestEnd + 2);
  if (at > 0) {
    const bytes = integerAt(text, at + 1);
    if (bytes >= 0) row.number('http.response.body.size', bytes);
    at = text.indexOf('"', at);
  }
  for (const name of ['http.request.header.referer', 'user_agent.original', 'http.request.header.x-forwarded-for']) {
    if (at < 0) break;
    const end = closingQuote(text, at + 1);
    if (end < 0) break;
    if (end > at + 1 && !(end === at + 2 && text.charCodeAt(at + 1) === 45)) row.text(name, text.slice(at + 1, end));
    at = text.charCodeAt(end + 2) === 34 ? end + 2 : -1;
  }
  row.text('message', text);
  row.untyped = false;
  return true;
}

/** Index of the `[` of the time: after a blank, before `dd/Mon/yyyy:`; -1 if there is none. */
function timeBracket(text: string): number {
  for (let at = text.indexOf('['); at >= 0; at = text.indexOf('[', at + 1)) {
    if (at > 0 && text.charCodeAt(at - 1) === 32 && text.charCodeAt(at + 3) === 47 && text.charCodeAt(at + 7) === 47) return at;
    if (at > 512) return -1;
  }
  return -1;
}

/** Index of the quote that closes the text which begins at `at`; nginx writes `\x22`, Apache `\"` for one inside. */
function closingQuote(text: string, at: number): number {
  for (let to = at; to < text.length; to++) {
    const code = text.charCodeAt(to);
    if (code === 92) to++;
    else if (code === 34) return to;
  }
  return -1;
}

/** `172.17.0.1 - frank`, `example.com:443 172.17.0.1 - -`, `example.com 127.0.0.1 - abc123 -`. */
function fillClient(before: string, row: RowWriter): void {
  const words = before.split(' ');
  let client = 0;
  if (words.length > 3 && !looksLikeAddress(words[0]) && looksLikeAddress(words[1])) {
    row.text('server.address', hostOf(words[0]));
    client = 1;
  }
  row.text('client.address', words[client]);
  const user = words[words.length - 1];
  if (words.length >= client + 3 && user !== '-' && user !== '') row.text('user.name', user);
}

function hostOf(vhost: string): string {
  const colon = vhost.lastIndexOf(':');
  return colon > 0 ? vhost.slice(0, colon) : vhost;
}

/** Digits and points, or hexadecimal digits and at least two colons. */
export function looksLikeAddress(word: string): boolean {
  let colons = 0;
  let points = 0;
  for (let at = 0; at < word.length; at++) {
    const code = word.charCodeAt(at);
    const lower = code | 32;
    if (code === 58) colons++;
    else if (code === 46) points++;
    else if (lower >= 97 && lower <= 102) {
      if (colons === 0 && word.indexOf(':') < 0) return false;
    } else if (code < 48 || code > 57) return false;
  }
  return points === 3 || colons >= 2;
}

function fillRequest(request: string, row: RowWriter): void {
  const method = requestPart(request, 0);
  if (method === undefined) {
    if (request !== '' && request !== '-') row.text('http.request.line', request);
    return;
  }
  row.text('http.request.method', method);
  row.text('network.protocol.version', requestPart(request, 3));
  row.text('http.request.line', request);
  if (!row.wants('url.path') && !row.wants('url.query') && !row.wants('url.original')) return;
  const last = request.lastIndexOf(' ');
  const target = request.slice(method.length + 1, last > method.length && request.startsWith('HTTP/', last + 1) ? last : request.length);
  row.text('url.original', target);
  row.text('url.path', urlPath(target));
  row.text('url.query', urlQuery(target));
}
