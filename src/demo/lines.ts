/** How each sender of the demo writes a line: the shapes a Logplex drain, a pino logger and an sshd put on the wire. */
import type { Random } from './random.ts';

export type Channel = 'logplex' | 'json' | 'syslog';

/** One log line: when it happened, which way it travels, and its text (for `logplex` the whole syslog message, without its length). */
export interface Line {
  readonly atMs: number;
  readonly channel: Channel;
  readonly text: string;
}

/** Syslog priorities as Heroku sends them. */
export const Priority = { router: 158, app: 190, dyno: 45, api: 133, addOn: 134, loss: 172 } as const;

let stampSecond = Number.NaN;
let stampText = '';

/** `2025-06-17T08:59:21.66229+00:00`: microseconds, trailing zeros dropped. */
function logplexTime(atMs: number, micros: number): string {
  const second = Math.floor(atMs / 1000);
  if (second !== stampSecond) {
    stampSecond = second;
    stampText = new Date(second * 1000).toISOString().slice(0, 19);
  }
  const fraction = String((atMs - second * 1000) * 1000 + micros)
    .padStart(6, '0')
    .replace(/0+$/, '');
  return fraction === '' ? `${stampText}+00:00` : `${stampText}.${fraction}+00:00`;
}

/** One Logplex message; `text` gets the newline that the frame's length counts. */
export function logplex(atMs: number, priority: number, app: string, process: string, text: string, micros = 0): Line {
  return { atMs, channel: 'logplex', text: `<${priority}>1 ${logplexTime(atMs, micros)} host ${app} ${process} - ${text}\n` };
}

/** The line Logplex puts in for what it had to drop; it carries no newline. */
export function lossLine(atMs: number, dropped: number, sinceMs: number): Line {
  const since = logplexTime(sinceMs, 0);
  const text = `Error L10 (output buffer overflow): ${dropped} messages dropped since ${since}.`;
  return { atMs, channel: 'logplex', text: `<${Priority.loss}>1 ${logplexTime(atMs, 0)} host heroku logplex - ${text}` };
}

export interface Request {
  readonly method: string;
  /** With its query string, if it has one. */
  readonly path: string;
  readonly address: string;
  readonly status: number;
  readonly serviceMs: number;
  readonly bytes: number;
  readonly dyno: string;
  /** A router error such as `H12`. */
  readonly error?: { readonly code: string; readonly desc: string };
}

export function routerLine(atMs: number, request: Request, random: Random): Line {
  const { method, path, address, status, serviceMs, bytes, dyno, error } = request;
  const at = error === undefined ? 'at=info' : `at=error code=${error.code} desc="${error.desc}"`;
  const text =
    `${at} method=${method} path="${path}" host=shop.example.com request_id=${random.uuid()} fwd="${address}" dyno=${dyno} ` +
    `connect=${random.between(0, 3)}ms service=${serviceMs}ms status=${status} bytes=${bytes} protocol=https`;
  return logplex(atMs, Priority.router, 'heroku', 'router', text, random.between(0, 1000));
}

/** A line of pino 10: level as a number, time in ms. */
export function pinoText(atMs: number, host: string, level: number, fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ level, time: atMs, pid: 4, hostname: host, ...fields });
}

/** A dyno's pino line, inside a Logplex message. */
export function appLine(atMs: number, dyno: string, level: number, fields: Readonly<Record<string, unknown>>): Line {
  return logplex(atMs, Priority.app, 'app', dyno, pinoText(atMs, dyno, level, fields));
}

/** A line of a service that does not run on Heroku: pino JSON as it is. */
export function jsonLine(atMs: number, host: string, level: number, fields: Readonly<Record<string, unknown>>): Line {
  return { atMs, channel: 'json', text: pinoText(atMs, host, level, fields) };
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** A bastion's syslog line in the form of RFC 3164: no year, no zone, whole seconds. */
export function syslogLine(atMs: number, program: string, pid: number, text: string): Line {
  const date = new Date(atMs);
  const day = String(date.getUTCDate()).padStart(2, ' ');
  const time = date.toISOString().slice(11, 19);
  return { atMs, channel: 'syslog', text: `<38>${months[date.getUTCMonth()]} ${day} ${time} bastion ${program}[${pid}]: ${text}` };
}
