/**
 * A Logplex drain body -> its frames, as byte ranges. `body = 1*(LEN SP msg)`, LEN counts the bytes of msg, nothing between frames. Always
 * by byte count on the bytes: a text may hold newlines, half code points and things that look like a frame.
 *
 * LEN is believed when it lands on the end of the body or on the head of another frame (`digits SP "<"`). When it does not, the frame is
 * handed over as rejected, from its LEN to the next line that starts like a frame, and parsing goes on there. Every byte of the body is in
 * exactly one range, but for LEN and its space in front of a good message, and for line ends a sender put after a frame without counting
 * them.
 */

export interface LogplexFrame {
  /** First byte of the message, or of LEN where the frame was rejected. */
  readonly start: number;
  /** One past the last byte. */
  readonly end: number;
  /** Why these bytes are no frame; undefined where they are one. */
  readonly reject: 'bad_frame' | 'too_long' | undefined;
}

/** Logplex stops at 10,240 bytes a message; other senders of the format are given more. */
export const maxLogplexFrameBytes = 64 * 1024;

/** A LEN of more digits than this is no LEN: bodies are far below 10 MB. */
const maxLenDigits = 7;
const newline = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const zero = 0x30;
const one = 0x31;
const nine = 0x39;
const less = 0x3c;
const greater = 0x3e;

/** Cuts a body into frames. Never throws, whatever the bytes; linear in their number. `maxFrameBytes` bounds one message. */
export function parseLogplexBody(body: Uint8Array, maxFrameBytes = maxLogplexFrameBytes): LogplexFrame[] {
  const frames: LogplexFrame[] = [];
  let at = 0;
  while (at < body.length) {
    const start = messageAt(body, at);
    const end = start < 0 ? -1 : frameEnd(body, at, start);
    if (end >= 0 && lands(body, end)) {
      frames.push({ start, end, reject: end - start > maxFrameBytes ? 'too_long' : undefined });
      at = afterLineEnds(body, end);
    } else {
      const next = nextHead(body, at);
      frames.push({ start: at, end: next, reject: 'bad_frame' });
      at = next;
    }
  }
  return frames;
}

/** Where the message of a frame that starts at `at` starts, or -1 if no frame head (`digits SP "<"`) is there. */
function messageAt(body: Uint8Array, at: number): number {
  let i = at;
  const limit = Math.min(body.length, at + maxLenDigits);
  while (i < limit && body[i] >= zero && body[i] <= nine) i++;
  if (i === at || i + 1 >= body.length || body[i] !== space || body[i + 1] !== less) return -1;
  return i + 1;
}

/** Where LEN says the frame ends; it may be past the body. */
function frameEnd(body: Uint8Array, at: number, messageStart: number): number {
  let length = 0;
  for (let i = at; i < messageStart - 1; i++) length = length * 10 + (body[i] - zero);
  return messageStart + length;
}

/** Whether a frame may end here: at the end of the body, or where another begins. */
function lands(body: Uint8Array, end: number): boolean {
  if (!touches(body, end)) return false;
  // A LEN that is one or two too long ends inside the digits of the next LEN ("\n83 <" -> "3 <"), which looks like a head. Then the frame
  // from here would not land either, while the one from the start of the line would be a frame.
  const line = lineOfDigits(body, end);
  if (line < 0) return true;
  return touches(body, frameEnd(body, end, messageAt(body, end)));
}

function touches(body: Uint8Array, end: number): boolean {
  if (end > body.length) return false;
  const next = afterLineEnds(body, end);
  return next === body.length || messageAt(body, next) >= 0;
}

/** The start of a line that holds a frame head which `at` is in the middle of the LEN of; -1 if it is not. */
function lineOfDigits(body: Uint8Array, at: number): number {
  let i = at;
  while (i > 0 && at - i < 5 && body[i - 1] >= zero && body[i - 1] <= nine) i--;
  if (i === at || i === 0 || body[i - 1] !== newline) return -1;
  return isHead(body, i) ? i : -1;
}

function afterLineEnds(body: Uint8Array, at: number): number {
  let i = at;
  while (i < body.length && (body[i] === newline || body[i] === carriageReturn)) i++;
  return i;
}

/** The next line after `at` that starts like a frame (`\d{1,5} <\d{1,3}>1 `), else the end of the body. */
function nextHead(body: Uint8Array, at: number): number {
  let i = at;
  for (;;) {
    const lineEnd = body.indexOf(newline, i);
    if (lineEnd < 0) return body.length;
    i = lineEnd + 1;
    if (isHead(body, i)) return i;
  }
}

function isHead(body: Uint8Array, at: number): boolean {
  const message = messageAt(body, at);
  if (message < 0 || message - at > 6) return false;
  let i = message + 1;
  while (i < message + 4 && body[i] >= zero && body[i] <= nine) i++;
  return i > message + 1 && body[i] === greater && body[i + 1] === one && body[i + 2] === space;
}
