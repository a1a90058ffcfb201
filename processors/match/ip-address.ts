/**
 * IPv4 and IPv6 addresses as four 32-bit words, without allocation. An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`, RFC 4291 2.5.5.2)
 * is the IPv4 address it stands for.
 */

/** 0 = not an address. */
export type Family = 0 | 4 | 6;

/**
 * Reads an address into `out[0..3]`, most significant word first; an IPv4 address sits in `out[3]` under zeros. Takes what RFC 4291 2.2
 * and dotted decimals without leading zeros allow; a zone (`%eth0`) is left out. Anything else is 0, and `out` is then undefined.
 */
export function parseIp(text: string, out: Uint32Array): Family {
  if (text.length < 2 || text.length > 100) return 0;
  if (!hasColon(text)) {
    out[0] = 0;
    out[1] = 0;
    out[2] = 0;
    return parseDotted(text, 0, text.length, out) ? 4 : 0;
  }
  if (!parseGroups(text, out)) return 0;
  if (out[0] === 0 && out[1] === 0 && out[2] === 0xffff) {
    out[2] = 0;
    return 4;
  }
  return 6;
}

/** True if the first `bits` of two addresses of one family are the same. */
export function samePrefix(family: Family, a: Uint32Array, b: Uint32Array, bits: number): boolean {
  const skipped = family === 4 ? 3 : 0;
  let left = bits;
  for (let word = skipped; word < 4 && left > 0; word++) {
    const mask = left >= 32 ? 0xffffffff : ~(0xffffffff >>> left);
    if (((a[word] ^ b[word]) & mask) !== 0) return false;
    left -= 32;
  }
  return true;
}

/** Clears what comes after the first `bits` of an address. */
export function keepPrefix(family: Family, address: Uint32Array, bits: number): void {
  let left = bits;
  for (let word = family === 4 ? 3 : 0; word < 4; word++) {
    if (left <= 0) address[word] = 0;
    else if (left < 32) address[word] &= ~(0xffffffff >>> left);
    left -= 32;
  }
}

/** An address as RFC 5952 writes it. */
export function formatIp(family: Family, address: Uint32Array): string {
  if (family === 4) {
    const word = address[3];
    return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  }
  const groups = Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? address[i >> 1] >>> 16 : address[i >> 1] & 0xffff));
  // The longest run of zeros, the first of equals, two groups or more, becomes `::` (RFC 5952 4.2).
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) {
      start = i;
      length = run;
    }
    i += run;
  }
  const write = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return start < 0 ? write(0, 8) : `${write(0, start)}::${write(start + length, 8)}`;
}

function hasColon(text: string): boolean {
  // At most four hex digits can come before the first colon.
  const end = Math.min(text.length, 5);
  for (let i = 0; i < end; i++) if (text.charCodeAt(i) === 58) return true;
  return false;
}

/** Dotted decimals in `text[start..end)` into `out[3]`. */
function parseDotted(text: string, start: number, end: number, out: Uint32Array): boolean {
  let word = 0;
  let part = 0;
  let digits = 0;
  let dots = 0;
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === 46) {
      if (digits === 0 || dots === 3) return false;
      word = (word << 8) | part;
      dots++;
      part = 0;
      digits = 0;
    } else {
      // A leading zero would be octal to some and decimal to others.
      if (code < 48 || code > 57 || (digits > 0 && part === 0)) return false;
      part = part * 10 + code - 48;
      digits++;
      if (part > 255) return false;
    }
  }
  if (dots !== 3 || digits === 0) return false;
  out[3] = (word << 8) | part;
  return true;
}

const groupsRead = new Uint16Array(8);
const dotted = new Uint32Array(4);

function parseGroups(text: string, out: Uint32Array): boolean {
  let end = text.indexOf('%');
  if (end < 0) end = text.length;
  else if (!isZone(text, end + 1)) return false;
  let count = 0;
  let gap = -1;
  let i = 0;
  if (text.charCodeAt(0) === 58) {
    if (text.charCodeAt(1) !== 58) return false;
    gap = 0;
    i = 2;
  }
  while (i < end) {
    if (count === 8) return false;
    const start = i;
    let group = 0;
    for (; i < end; i++) {
      const digit = hexDigit(text.charCodeAt(i));
      if (digit < 0) break;
      group = group * 16 + digit;
      if (i - start === 4) return false;
    }
    if (i < end && text.charCodeAt(i) === 46) {
      if (count > 6 || !parseDotted(text, start, end, dotted)) return false;
      groupsRead[count++] = dotted[3] >>> 16;
      groupsRead[count++] = dotted[3] & 0xffff;
      i = end;
      break;
    }
    if (i === start) return false;
    groupsRead[count++] = group;
    if (i === end) break;
    if (text.charCodeAt(i) !== 58) return false;
    i++;
    if (i < end && text.charCodeAt(i) === 58) {
      if (gap >= 0) return false;
      gap = count;
      i++;
    } else if (i === end) {
      return false;
    }
  }
  if (gap < 0 ? count !== 8 : count > 7) return false;
  spread(count, gap, out);
  return true;
}

/** A zone as Node's `net.isIP` takes it: letters, digits, `-`, `.` and `:`. */
function isZone(text: string, start: number): boolean {
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const lower = code | 32;
    if (!((lower >= 97 && lower <= 122) || (code >= 48 && code <= 58) || code === 45 || code === 46)) return false;
  }
  return start < text.length;
}

/** Lays the groups out in `out`, zeros where the `::` stood. */
function spread(count: number, gap: number, out: Uint32Array): void {
  const zeros = 8 - count;
  for (let word = 0; word < 4; word++) out[word] = (groupAt(word * 2, gap, zeros) << 16) | groupAt(word * 2 + 1, gap, zeros);
}

function groupAt(index: number, gap: number, zeros: number): number {
  if (gap < 0 || index < gap) return groupsRead[index];
  return index < gap + zeros ? 0 : groupsRead[index - zeros];
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
