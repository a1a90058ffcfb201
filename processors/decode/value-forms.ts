/** The forms sender's values come in, and how each becomes the OpenTelemetry one: text or number, or undefined where it is not of that form. */

export type Converted = string | number | undefined;
/** Gets a text, a number or a boolean. `untyped` is true for formats whose values are all text (logfmt), where digits are a number. */
export type ValueForm = (value: string | number | boolean, untyped: boolean) => Converted;

/** The forms of `fields.ts`, by name. */
export const valueForms: Readonly<Record<string, ValueForm>> = {
  text: (value) => (typeof value === 'string' ? value : undefined),
  id: (value) => (typeof value === 'boolean' ? undefined : value),
  // A number written as JSON text stays text; in untyped formats digits are a number.
  number: (value, untyped) => (typeof value === 'boolean' ? undefined : typeof value === 'string' && untyped ? decimal(value) : value),
  upper: (value) => (typeof value === 'string' ? value.toUpperCase() : undefined),
  address: (value) => (typeof value === 'string' ? address(value) : undefined),
  'last-address': (value) => (typeof value === 'string' ? address(value.slice(value.lastIndexOf(',') + 1)) : undefined),
  level: (value) => level(value),
  'text-level': (value) => (typeof value === 'string' && value.length < 12 ? levelAliases.get(value.toLowerCase()) : undefined),
  'otlp-level': (value) => otlpLevel(Number(value)),
  path: (value) => (typeof value === 'string' ? urlPath(value) : undefined),
  query: (value) => (typeof value === 'string' ? urlQuery(value) : undefined),
  'request-method': (value) => requestPart(value, 0),
  'request-path': (value) => requestPart(value, 1),
  'request-query': (value) => requestPart(value, 2),
  'request-version': (value) => requestPart(value, 3),
  scheme: (value) => (typeof value === 'string' && value.startsWith('https') ? 'https' : typeof value === 'string' ? 'http' : undefined),
  'protocol-version': (value) => (typeof value === 'string' ? protocolVersion(value) : undefined),
  // Durations become seconds.
  ms: (value) => scaled(value, 1e3),
  us: (value) => scaled(value, 1e6),
  ns: (value) => scaled(value, 1e9),
  seconds: (value) => (typeof value === 'string' ? durationSeconds(value, 's') : scaled(value, 1)),
  duration: (value) => (typeof value === 'string' ? durationSeconds(value, 'ms') : scaled(value, 1e3)),
  // Only text that names its unit: a bare number under this name could be anything.
  'duration-text': (value) => (typeof value === 'string' ? durationSeconds(value, '') : undefined),
};

/** Whether ASCII text `bytes[start..end)` is what its form makes of it (in formats that know types). */
export type TextKept = (bytes: Uint8Array, start: number, end: number) => boolean;

const always: TextKept = () => true;

/** What tells, without making a text, that a form has nothing to change; undefined where it nearly always has. */
export function keepsText(form: string | undefined): TextKept | undefined {
  switch (form) {
    case undefined:
    case 'text':
    case 'id':
    case 'number':
      return always;
    case 'upper':
      return isUpper;
    case 'address':
      return isIpv4;
    case 'path':
      return isBarePath;
    default:
      return undefined;
  }
}

function isUpper(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] >= 97 && bytes[at] <= 122) return false;
  return true;
}

/** Digits and points only: see `isBareIpv4`. */
function isIpv4(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if ((byte < 48 || byte > 57) && byte !== 46) return false;
  }
  return end > start;
}

/** Begins with a slash and has neither `?` nor `#`: see `urlPath`. */
function isBarePath(bytes: Uint8Array, start: number, end: number): boolean {
  if (end === start || bytes[start] !== 47) return false;
  for (let at = start; at < end; at++) if (bytes[at] === 63 || bytes[at] === 35) return false;
  return true;
}

function scaled(value: string | number | boolean, perSecond: number): Converted {
  if (typeof value === 'boolean') return undefined;
  const number = typeof value === 'number' ? value : decimal(value);
  return typeof number === 'number' ? number / perSecond : undefined;
}

/** A decimal text as a number; other text as it is; undefined for `-` and nothing. */
export function decimal(text: string): Converted {
  if (text === '' || text === '-') return undefined;
  const first = text.charCodeAt(0);
  if (!((first >= 48 && first <= 57) || first === 45 || first === 46 || first === 43)) return text;
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}

/** Decimal units are shifts of the point: `2405.887` ms read as `2405.887e-3` is the nearest double, 2405.887 / 1000 is not. */
const unitExponents = new Map<string, string>([
  ['ns', 'e-9'],
  ['us', 'e-6'],
  ['µs', 'e-6'],
  ['μs', 'e-6'],
  ['ms', 'e-3'],
  ['s', ''],
]);

/** `12ms`, `163.92µs`, `1.5 s`, `2m` in seconds; `bareUnit` is the unit of a number without one. Undefined for anything else. */
export function durationSeconds(text: string, bareUnit: string): number | undefined {
  let end = 0;
  while (end < text.length) {
    const code = text.charCodeAt(end);
    if (!((code >= 48 && code <= 57) || code === 46 || (code === 45 && end === 0))) break;
    end++;
  }
  if (end === 0) return undefined;
  const digits = text.slice(0, end);
  const unit = end === text.length ? bareUnit : text.slice(end).trim();
  const exponent = unitExponents.get(unit);
  const seconds =
    exponent !== undefined
      ? Number(digits + exponent)
      : unit === 'm'
        ? Number(digits) * 60
        : unit === 'h'
          ? Number(digits) * 3600
          : Number.NaN;
  return Number.isFinite(seconds) ? seconds : undefined;
}

/** An address without quotes, brackets, port, or the `::ffff:` of an IPv4 address; undefined for `-`, `unknown` and nothing. */
export function address(raw: string): string | undefined {
  if (isBareIpv4(raw)) return raw;
  let start = 0;
  let end = raw.length;
  while (start < end && isPadding(raw.charCodeAt(start))) start++;
  while (end > start && isPadding(raw.charCodeAt(end - 1))) end--;
  if (raw.charCodeAt(start) === 91) {
    const close = raw.indexOf(']', start);
    if (close > 0 && close < end) {
      end = close;
      start++;
    }
  } else {
    const colon = raw.indexOf(':', start);
    // One colon is a port; more are an IPv6 address.
    if (colon >= 0 && colon < end && raw.lastIndexOf(':', end - 1) === colon) end = colon;
  }
  const text = start === 0 && end === raw.length ? raw : raw.slice(start, end);
  if (text === '' || text === '-' || text === 'unknown') return undefined;
  return text.length > 7 && text.charCodeAt(0) === 58 && text.includes('.') && text.slice(0, 7).toLowerCase() === '::ffff:'
    ? text.slice(7)
    : text;
}

/** Digits and points only: nearly every address, and nothing of it to take away. */
function isBareIpv4(raw: string): boolean {
  for (let at = 0; at < raw.length; at++) {
    const code = raw.charCodeAt(at);
    if ((code < 48 || code > 57) && code !== 46) return false;
  }
  return raw.length > 0;
}

function isPadding(code: number): boolean {
  return code === 32 || code === 34 || code === 39 || code === 9;
}

/** Where the path begins: 0, or after `scheme://host` of a full URL. */
function pathStart(url: string): number {
  if (url.charCodeAt(0) === 47) return 0;
  const scheme = url.indexOf('://');
  if (scheme <= 0 || scheme > 10) return 0;
  let at = scheme + 3;
  while (at < url.length && url.charCodeAt(at) !== 47 && url.charCodeAt(at) !== 63 && url.charCodeAt(at) !== 35) at++;
  return at;
}

/** The path of a path with query string, or of a full URL. Percent signs stay as they were sent. */
export function urlPath(url: string): string {
  const start = pathStart(url);
  let end = start;
  while (end < url.length && url.charCodeAt(end) !== 63 && url.charCodeAt(end) !== 35) end++;
  if (start === 0 && end === url.length) return url;
  return start === end ? '/' : url.slice(start, end);
}

/** What stands after the `?`; undefined where there is none. */
export function urlQuery(url: string): string | undefined {
  const mark = url.indexOf('?');
  return mark < 0 ? undefined : url.slice(mark + 1);
}

/** Of `GET /a?b HTTP/1.1`: 0 method, 1 path, 2 query, 3 version. */
export function requestPart(value: unknown, part: 0 | 1 | 2 | 3): string | undefined {
  if (typeof value !== 'string') return undefined;
  const space = value.indexOf(' ');
  if (space <= 0) return undefined;
  for (let at = 0; at < space; at++) {
    const code = value.charCodeAt(at) | 32;
    if (code < 97 || code > 122) return undefined;
  }
  if (part === 0) return value.slice(0, space).toUpperCase();
  const last = value.lastIndexOf(' ');
  const versioned = last > space && value.startsWith('HTTP/', last + 1);
  if (part === 3) return versioned ? value.slice(last + 6) : undefined;
  const target = value.slice(space + 1, versioned ? last : value.length);
  return part === 1 ? urlPath(target) : urlQuery(target);
}

function protocolVersion(text: string): string | undefined {
  if (text.slice(0, 4).toLowerCase() !== 'http') return undefined;
  const version = text.slice(text.charCodeAt(4) === 47 ? 5 : 4);
  const first = version.charCodeAt(0);
  return first >= 48 && first <= 57 ? version : undefined;
}

/** Syslog severities 0..7, in our words. */
export const syslogLevels: readonly string[] = ['emergency', 'alert', 'critical', 'error', 'warn', 'notice', 'info', 'debug'];
const pinoLevels: readonly string[] = ['trace', 'trace', 'debug', 'info', 'warn', 'error', 'fatal'];
const otlpLevels: readonly string[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/** Other spellings of a level. A level that is not listed is only made lower-case. */
const levelAliases = new Map<string, string>([
  ['trace', 'trace'],
  ['debug', 'debug'],
  ['info', 'info'],
  ['notice', 'notice'],
  ['warn', 'warn'],
  ['error', 'error'],
  ['critical', 'critical'],
  ['alert', 'alert'],
  ['emergency', 'emergency'],
  ['fatal', 'fatal'],
  ['warning', 'warn'],
  ['err', 'error'],
  ['eror', 'error'],
  ['information', 'info'],
  ['informational', 'info'],
  ['crit', 'critical'],
  ['emerg', 'emergency'],
  ['dbug', 'debug'],
  ['panic', 'fatal'],
  ['t', 'trace'],
  ['d', 'debug'],
  ['i', 'info'],
  ['n', 'notice'],
  ['w', 'warn'],
  ['e', 'error'],
  ['f', 'fatal'],
  ['c', 'critical'],
]);

/** A level as text or number: 10..69 is pino and bunyan, 0..7 is syslog. */
export function level(value: string | number | boolean): string | undefined {
  if (typeof value === 'string') {
    const known = levelAliases.get(value);
    if (known !== undefined) return known;
    if (value === '') return undefined;
    const first = value.charCodeAt(0);
    if (first >= 48 && first <= 57) return level(Number(value)) ?? value.toLowerCase();
    const lower = value.toLowerCase();
    return levelAliases.get(lower) ?? lower;
  }
  if (typeof value !== 'number') return undefined;
  if (value >= 10 && value < 70) return pinoLevels[Math.floor(value / 10)];
  return Number.isInteger(value) && value >= 0 && value < 8 ? syslogLevels[value] : undefined;
}

/** An OTLP severity number, 1..24 in steps of four. */
export function otlpLevel(value: number): string | undefined {
  return value >= 1 && value <= 24 ? otlpLevels[Math.floor((value - 1) / 4)] : undefined;
}
