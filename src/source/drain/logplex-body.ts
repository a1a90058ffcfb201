/**
 * A Logplex drain body -> its frames, as byte ranges. `body = 1*(LEN SP msg)`, LEN counts the bytes of msg, nothing between frames. Always
 * by byte count on the bytes: a text may hold newlines, half code points and things that look like a frame.
 *
 * LEN is believed when it lands on the end of the body or on the head of another frame (`digits SP "<"`). When it does not, the frame is
 * handed over as rejected, from its LEN to the next line that starts like a frame, and parsing goes on there. Every byte of the body is in
 * exactly one range, but for LEN and its space in front of a good message, and for line ends a sender put after a frame without counting
 * them: a few of them, or any number at the end of the body.
 */

/** Logplex stops at 10,240 bytes a message; other senders of the format are given more. */
export const maxLogplexFrameBytes = 64 * 1024;

/** A LEN of more digits than this is no LEN: bodies are far below 10 MB. */
const maxLenDigits = 7;
/** Senders that do not count their line ends put one or two. Without a bound, any number of LENs could make us walk one long run of them. */
const maxUncounted = 16;
const newline = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const zero = 0x30;
const one = 0x31;
const nine = 0x39;
const less = 0x3c;
const greater = 0x3e;

/**
 * Steps through the frames of a body. After `next`, the frame is `start` to `end`. Never throws, whatever the bytes; linear in their number.
 */
export class LogplexFrames {
  /** First byte of the message, or of LEN where the frame was rejected. */
  start = 0;
  /** One past the last byte. */
  end = 0;
  /** Why these bytes are no frame; undefined where they are one. */
  reject: 'bad_frame' | 'too_long' | undefined;
  private at = 0;
  private readonly body: Uint8Array;
  private readonly maxFrameBytes: number;
  /** Where the line ends begin that nothing follows. */
  private readonly contentEnd: number;

  /** `maxFrameBytes` bounds one message. */
  constructor(body: Uint8Array, maxFrameBytes = maxLogplexFrameBytes) {
    this.body = body;
    this.maxFrameBytes = maxFrameBytes;
    let contentEnd = body.length;
    while (contentEnd > 0 && isLineEnd(body[contentEnd - 1])) contentEnd--;
    this.contentEnd = contentEnd;
  }

  /** The next frame; false at the end of the body. */
  next(): boolean {
    if (this.atEnd) return false;
    const start = messageAt(this.body, this.at);
    const end = start < 0 ? -1 : frameEnd(this.body, this.at, start);
    if (end >= 0 && this.lands(end)) {
      this.start = start;
      this.end = end;
      this.reject = end - start > this.maxFrameBytes ? 'too_long' : undefined;
      this.at = this.afterLineEnds(end);
    } else {
      this.start = this.at;
      this.end = nextHead(this.body, this.at);
      this.reject = 'bad_frame';
      this.at = this.end;
    }
    return true;
  }

  /** Whether there is no other frame. */
  get atEnd(): boolean {
    return this.at === this.body.length;
  }

  /** Whether a frame may end here: at the end of the body, or where another begins. */
  private lands(end: number): boolean {
    if (!this.touches(end)) return false;
    // A LEN that is one or two too long ends inside the digits of the next LEN ("\n83 <" -> "3 <"), which looks like a head. Then the
    // frame from here would not land either, while the one from the start of the line would be a frame.
    if (!isInDigits(this.body, end)) return true;
    return this.touches(frameEnd(this.body, end, messageAt(this.body, end)));
  }

  private touches(end: number): boolean {
    if (end > this.body.length) return false;
    const next = this.afterLineEnds(end);
    return next === this.body.length || messageAt(this.body, next) >= 0;
  }

  private afterLineEnds(at: number): number {
    if (at >= this.contentEnd) return this.body.length;
    const limit = at + maxUncounted;
    let i = at;
    while (i < limit && isLineEnd(this.body[i])) i++;
    return i;
  }
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

/** Whether this is in the middle of the LEN of a frame head that starts its line. */
function isInDigits(body: Uint8Array, at: number): boolean {
  let i = at;
  while (i > 0 && at - i < 5 && body[i - 1] >= zero && body[i - 1] <= nine) i--;
  return i !== at && i > 0 && body[i - 1] === newline && isHead(body, i);
}

function isLineEnd(byte: number): boolean {
  return byte === newline || byte === carriageReturn;
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
