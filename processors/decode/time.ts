/**
 * Times as senders write them, to ms since the epoch (UTC, whole ms, rounded down). Integers and tables only: a `Date` per event costs
 * more than the rest of its decoding. Every function answers NaN for what is not a time; a time without an offset is UTC.
 */

/** The year of a syslog line without one whose record has no timestamp: fixed, so that a replay agrees, and a leap year, so that 29 February exists. */
export const yearlessYear = 2000;

const dayMs = 86_400_000;
/** Days before each month of a year that begins in March (Hinnant, "chrono-compatible low-level date algorithms", 2013). */
const daysBefore = new Uint16Array([306, 337, 0, 31, 61, 92, 122, 153, 184, 214, 245, 275]);
const daysIn = new Uint8Array([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]);

/** Days from 1970-01-01; `month` 0..11. */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month < 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + daysBefore[month] + day - 1 - 719_468;
}

function isLeap(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
}

// Consecutive events share their day: the last one is remembered. A pure cache, it changes no answer.
let cachedYear = -1;
let cachedMonth = -1;
let cachedDay = -1;
let cachedMs = 0;

/** `month` 0..11. NaN for a date or a time of day that does not exist (a leap second counts as the second after). */
export function civilMs(year: number, month: number, day: number, hour: number, minute: number, second: number, ms: number): number {
  if (hour > 23 || minute > 59 || second > 60) return Number.NaN;
  if (day !== cachedDay || month !== cachedMonth || year !== cachedYear) {
    if (!(month >= 0 && month < 12) || day < 1 || day > daysIn[month] || (month === 1 && day === 29 && !isLeap(year))) return Number.NaN;
    cachedYear = year;
    cachedMonth = month;
    cachedDay = day;
    cachedMs = daysFromCivil(year, month, day) * dayMs;
  }
  return cachedMs + hour * 3_600_000 + minute * 60_000 + second * 1000 + ms;
}

/** Two digits as a number; 1000 where they are not digits, which no range check lets pass. */
function two(text: string, at: number): number {
  const high = text.charCodeAt(at) - 48;
  const low = text.charCodeAt(at + 1) - 48;
  return high >= 0 && high <= 9 && low >= 0 && low <= 9 ? high * 10 + low : 1000;
}

/** Where the last `…At` parser stopped: the index after the time. Valid only if it did not answer NaN. */
export let timeEnd = 0;

/**
 * ISO 8601 / RFC 3339 at `at`: `2022-12-05T08:59:21.66229+00:00`, a space or a `_` for the `T`, `/` for the `-`, any number of fraction
 * digits after `.` or `,`, `Z`, `±hh:mm`, `±hhmm`, `±hh`, or no offset. `timeEnd` is where it stopped.
 */
export function isoTimeAt(text: string, at: number): number {
  const year = two(text, at) * 100 + two(text, at + 2);
  if (year > 9999) return Number.NaN;
  const separator = text.charCodeAt(at + 4);
  if ((separator !== 45 && separator !== 47) || text.charCodeAt(at + 7) !== separator) return Number.NaN;
  const gap = text.charCodeAt(at + 10);
  if (gap !== 84 && gap !== 32 && gap !== 116 && gap !== 95) return Number.NaN;
  if (text.charCodeAt(at + 13) !== 58) return Number.NaN;
  let second = 0;
  let ms = 0;
  let end = at + 16;
  if (text.charCodeAt(end) === 58) {
    second = two(text, end + 1);
    end += 3;
    const point = text.charCodeAt(end);
    if (point === 46 || point === 44) {
      let scale = 100;
      let code = text.charCodeAt(++end) - 48;
      if (!(code >= 0 && code <= 9)) return Number.NaN;
      while (code >= 0 && code <= 9) {
        ms += code * scale;
        scale = (scale / 10) | 0;
        code = text.charCodeAt(++end) - 48;
      }
    }
  }
  const local = civilMs(year, two(text, at + 5) - 1, two(text, at + 8), two(text, at + 11), two(text, at + 14), second, ms);
  return local - offsetMsAt(text, end);
}

/** The offset at `at`, in ms, with or without one space before it (`12:00:00 +0200`); 0 where there is none. Sets `timeEnd`. */
function offsetMsAt(text: string, at: number): number {
  let end = at;
  if (text.charCodeAt(end) === 32 && isSign(text.charCodeAt(end + 1)) && two(text, end + 2) < 24) end++;
  const code = text.charCodeAt(end);
  if (code === 90 || code === 122) {
    timeEnd = end + 1;
    return 0;
  }
  const hours = isSign(code) ? two(text, end + 1) : 1000;
  if (hours > 23) {
    timeEnd = end === at ? at : end - 1;
    return 0;
  }
  const minutesAt = text.charCodeAt(end + 3) === 58 ? end + 4 : end + 3;
  const minutes = two(text, minutesAt);
  timeEnd = minutes < 60 ? minutesAt + 2 : end + 3;
  const offset = (hours * 60 + (minutes < 60 ? minutes : 0)) * 60_000;
  return code === 45 ? -offset : offset;
}

function isSign(code: number): boolean {
  return code === 43 || code === 45;
}

const monthLetters = 'janfebmaraprmayjunjulaugsepoctnovdec';

/** 0..11 for the three letters of a month at `at`, else -1. Packed into one integer, looked up in a table of twelve. */
export function monthAt(text: string, at: number): number {
  const packed = ((text.charCodeAt(at) | 32) << 16) | ((text.charCodeAt(at + 1) | 32) << 8) | (text.charCodeAt(at + 2) | 32);
  return months.get(packed) ?? -1;
}

const months = new Map<number, number>();
for (let month = 0; month < 12; month++) {
  const at = month * 3;
  months.set((monthLetters.charCodeAt(at) << 16) | (monthLetters.charCodeAt(at + 1) << 8) | monthLetters.charCodeAt(at + 2), month);
}

/** Common Log Format at `at`: `29/Sep/2021:12:37:05 +0000` (also with a space for the colon). Sets `timeEnd`. */
export function clfTimeAt(text: string, at: number): number {
  if (text.charCodeAt(at + 2) !== 47 || text.charCodeAt(at + 6) !== 47) return Number.NaN;
  const gap = text.charCodeAt(at + 11);
  if (gap !== 58 && gap !== 32) return Number.NaN;
  const year = two(text, at + 7) * 100 + two(text, at + 9);
  if (year > 9999) return Number.NaN;
  const local = civilMs(year, monthAt(text, at + 3), two(text, at), two(text, at + 12), two(text, at + 15), two(text, at + 18), 0);
  return local - offsetMsAt(text, at + 20);
}

/**
 * RFC 3164 at `at`: `Jul  1 09:30:56`, `Nov 09 10:04:05`. The year is the nearest one that puts the line at most one day after
 * `recordMs`; `yearlessYear` where that is NaN. Sets `timeEnd`.
 */
export function bsdTimeAt(text: string, at: number, recordMs: number): number {
  const month = monthAt(text, at);
  if (month < 0 || text.charCodeAt(at + 3) !== 32) return Number.NaN;
  const day = text.charCodeAt(at + 4) === 32 ? text.charCodeAt(at + 5) - 48 : two(text, at + 4);
  if (text.charCodeAt(at + 6) !== 32 || text.charCodeAt(at + 9) !== 58 || text.charCodeAt(at + 12) !== 58) return Number.NaN;
  timeEnd = at + 15;
  const hour = two(text, at + 7);
  const minute = two(text, at + 10);
  const second = two(text, at + 13);
  if (Number.isNaN(recordMs)) return civilMs(yearlessYear, month, day, hour, minute, second, 0);
  const latestMs = recordMs + dayMs;
  // At most 8 years between two 29 Februaries (1896 to 1904).
  let year = 1970 + Math.floor(latestMs / (365.2425 * dayMs)) + 1;
  for (let tries = 0; tries < 10; tries++, year--) {
    const ms = civilMs(year, month, day, hour, minute, second, 0);
    if (ms <= latestMs) return ms;
  }
  return Number.NaN;
}

/** The C `asctime` of Apache's error log at `at`: `Wed Oct 11 14:32:52.123456 2021` with or without the fraction. Sets `timeEnd`. */
export function asctimeAt(text: string, at: number): number {
  const month = monthAt(text, at + 4);
  if (month < 0 || text.charCodeAt(at + 13) !== 58) return Number.NaN;
  const day = text.charCodeAt(at + 8) === 32 ? text.charCodeAt(at + 9) - 48 : two(text, at + 8);
  let end = at + 19;
  let ms = 0;
  if (text.charCodeAt(end) === 46) {
    ms = two(text, end + 1) * 10 + (text.charCodeAt(end + 3) - 48);
    if (!(ms >= 0 && ms <= 999)) return Number.NaN;
    end += 4;
    while (text.charCodeAt(end) >= 48 && text.charCodeAt(end) <= 57) end++;
  }
  const year = two(text, end + 1) * 100 + two(text, end + 3);
  timeEnd = end + 5;
  if (year > 9999) return Number.NaN;
  return civilMs(year, month, day, two(text, at + 11), two(text, at + 14), two(text, at + 17), ms);
}

/** A number of seconds, ms, us or ns by its size. Below 1e8 (March 1973) it is a duration or a counter, not a time: NaN. */
export function epochMs(value: number): number {
  if (!(value >= 1e8 && value < 1e20)) return Number.NaN;
  // Half a tick is added because 1554141513.598 * 1000 is a hair below its whole ms.
  if (value < 1e11) return Math.floor(value * 1000 + 0.0005);
  if (value < 1e14) return Math.floor(value);
  return value < 1e17 ? Math.floor(value / 1e3) : Math.floor(value / 1e6);
}

/** A whole text as a time: ISO 8601, an epoch number, CLF. */
export function textTimeMs(text: string): number {
  const iso = isoTimeAt(text, 0);
  if (!Number.isNaN(iso)) return timeEnd === text.length || text.charCodeAt(timeEnd) <= 32 ? iso : Number.NaN;
  const first = text.charCodeAt(0) - 48;
  if (!(first >= 0 && first <= 9) || text.length > 30) return Number.NaN;
  const clf = clfTimeAt(text, 0);
  return Number.isNaN(clf) ? epochMs(Number(text)) : clf;
}
