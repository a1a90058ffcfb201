/**
 * Whose window an event counts in: the keyed 64-bit hash of the key's parts, and their text when somebody asks. The hash of a single
 * plain field is the event's own, shared by every rule that uses the field.
 */
import { type EventBatch, type FieldPlan, Kind } from '../decode/event-batch.ts';
import type { KeyPart } from '../rule.ts';
import { hashBytes, hashText } from '../sketch/hash.ts';
import { domainOf, shapeOf } from './email.ts';
import { type Family, formatIp, keepPrefix, parseIp } from './ip-address.ts';

export interface KeyReader {
  /**
   * Reads the key of a row. False if a part that must be there is missing: absent, null, empty, a list, or nothing its function can
   * work on (no address, no `@`). `hashKey` is the one the batch was made with.
   */
  read(events: EventBatch, row: number, hashKey: Uint32Array): boolean;
  low: number;
  high: number;
  /** The text of the key last read, for `keyObject`; valid while its batch is. */
  text(): string;
}

/** A part's text is cut beyond this: it is kept for every key, and the hash tells keys apart. */
export const maxKeyPartChars = 512;

/** Compiles a key and asks the plan for its fields. No parts at all is `key: all`. */
export function compileKey(parts: readonly KeyPart[], plan: FieldPlan): KeyReader {
  const readers = parts.map((part) => partReader(part, plan.slot(part.field)));
  if (readers.length === 0) return new WholeKey();
  return readers.length === 1 ? new SingleKey(readers[0], parts[0].optional) : new CompositeKey(readers, parts);
}

/** How a rule writes a part: what names it in findings. */
export function keyPartLabel(part: KeyPart): string {
  if (part.transform === 'none') return part.field;
  return part.transform === 'subnet' ? `subnet(${part.field}, ${part.bits})` : `${part.transform}(${part.field})`;
}

/** The parts of a stored key by their labels. */
export function keyObject(parts: readonly KeyPart[], text: string): Record<string, string> {
  const values = parts.length === 1 ? [text] : splitParts(text);
  // Not an object literal's assignment: a field may be called __proto__.
  return Object.fromEntries(parts.map((part, index) => [keyPartLabel(part), values[index] ?? '']));
}

/** Texts as one that can be taken apart again: joined by `, `, with `\` before each comma and `\` of their own. */
export function joinParts(texts: readonly string[]): string {
  return texts.map((text) => text.replace(/[\\,]/g, '\\$&')).join(', ');
}

function splitParts(text: string): string[] {
  const parts: string[] = [];
  let part = '';
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') part += text[++i] ?? '';
    else if (text[i] === ',') {
      parts.push(part);
      part = '';
      i++;
    } else part += text[i];
  }
  parts.push(part);
  return parts;
}

class WholeKey implements KeyReader {
  low = 0;
  high = 0;
  private readonly out = new Uint32Array(2);

  read(_events: EventBatch, _row: number, hashKey: Uint32Array): boolean {
    hashText('', hashKey, this.out);
    this.low = this.out[0];
    this.high = this.out[1];
    return true;
  }

  text(): string {
    return '';
  }
}

class SingleKey implements KeyReader {
  low = 0;
  high = 0;
  private readonly out = new Uint32Array(2);
  private readonly part: PartReader;
  private readonly optional: boolean;
  private missing = false;

  constructor(part: PartReader, optional: boolean) {
    this.part = part;
    this.optional = optional;
  }

  read(events: EventBatch, row: number, hashKey: Uint32Array): boolean {
    this.missing = !this.part.read(events, row, hashKey, this.out);
    if (this.missing) {
      if (!this.optional) return false;
      hashText('', hashKey, this.out);
    }
    this.low = this.out[0];
    this.high = this.out[1];
    return true;
  }

  text(): string {
    return this.missing ? '' : cut(this.part.text());
  }
}

class CompositeKey implements KeyReader {
  low = 0;
  high = 0;
  private readonly out = new Uint32Array(2);
  private readonly parts: readonly PartReader[];
  private readonly optional: readonly boolean[];
  private readonly missing: boolean[];
  /** The parts' hashes side by side, 8 bytes each: what is hashed has the same length whatever the parts, so no boundary can shift. */
  private readonly words: Uint32Array;
  private readonly bytes: Uint8Array;

  constructor(readers: readonly PartReader[], parts: readonly KeyPart[]) {
    this.parts = readers;
    this.optional = parts.map((part) => part.optional);
    this.missing = parts.map(() => false);
    this.words = new Uint32Array(parts.length * 2);
    this.bytes = new Uint8Array(this.words.length * 4);
  }

  read(events: EventBatch, row: number, hashKey: Uint32Array): boolean {
    for (let i = 0; i < this.parts.length; i++) {
      const missing = !this.parts[i].read(events, row, hashKey, this.out);
      this.missing[i] = missing;
      if (missing) {
        if (!this.optional[i]) return false;
        hashText('', hashKey, this.out);
      }
      this.words[i * 2] = this.out[0];
      this.words[i * 2 + 1] = this.out[1];
    }
    for (let i = 0; i < this.words.length; i++) writeWord(this.bytes, i * 4, this.words[i]);
    hashBytes(this.bytes, 0, this.bytes.length, hashKey, this.out);
    this.low = this.out[0];
    this.high = this.out[1];
    return true;
  }

  text(): string {
    return joinParts(this.parts.map((part, index) => (this.missing[index] ? '' : cut(part.text()))));
  }
}

/** Little-endian whatever the machine is: hashes are stored. */
function writeWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word;
  bytes[at + 1] = word >>> 8;
  bytes[at + 2] = word >>> 16;
  bytes[at + 3] = word >>> 24;
}

function cut(text: string): string {
  if (text.length <= maxKeyPartChars) return text;
  const high = text.charCodeAt(maxKeyPartChars - 1);
  return `${text.slice(0, high >= 0xd800 && high <= 0xdbff ? maxKeyPartChars - 1 : maxKeyPartChars)}…`;
}

interface PartReader {
  /** False if the row has nothing for this part; else its hash is in `out`. */
  read(events: EventBatch, row: number, hashKey: Uint32Array, out: Uint32Array): boolean;
  text(): string;
}

function partReader(part: KeyPart, slot: number): PartReader {
  switch (part.transform) {
    case 'none':
      return new FieldPart(slot);
    case 'domain':
      return new TextPart(slot, domainOf);
    case 'lower':
      return new TextPart(slot, (text) => text.toLowerCase());
    case 'shape':
      return new TextPart(slot, shapeOf);
    case 'subnet':
      return new SubnetPart(slot, part.bits ?? 32);
  }
}

function present(events: EventBatch, slot: number, row: number): boolean {
  const kind = events.kind(slot, row);
  if (kind === Kind.text) return events.hasText(slot, row);
  return kind === Kind.number || kind === Kind.boolean;
}

class FieldPart implements PartReader {
  private readonly slot: number;
  private events: EventBatch | undefined;
  private row = 0;

  constructor(slot: number) {
    this.slot = slot;
  }

  read(events: EventBatch, row: number, _hashKey: Uint32Array, out: Uint32Array): boolean {
    if (!present(events, this.slot, row)) return false;
    this.events = events;
    this.row = row;
    events.hash(this.slot, row, out);
    return true;
  }

  text(): string {
    return this.events?.text(this.slot, this.row) ?? '';
  }
}

class TextPart implements PartReader {
  private readonly slot: number;
  private readonly transform: (text: string) => string;
  private value = '';

  constructor(slot: number, transform: (text: string) => string) {
    this.slot = slot;
    this.transform = transform;
  }

  read(events: EventBatch, row: number, hashKey: Uint32Array, out: Uint32Array): boolean {
    if (!present(events, this.slot, row)) return false;
    this.value = this.transform(events.text(this.slot, row) as string);
    if (this.value === '') return false;
    hashText(this.value, hashKey, out);
    return true;
  }

  text(): string {
    return this.value;
  }
}

/** Hashes the network's bits, not its text: the text is only made for a key that is new. */
class SubnetPart implements PartReader {
  private readonly slot: number;
  private readonly bits: number;
  private readonly address = new Uint32Array(4);
  private readonly bytes = new Uint8Array(17);
  private family: Family = 0;

  constructor(slot: number, bits: number) {
    this.slot = slot;
    this.bits = bits;
  }

  read(events: EventBatch, row: number, hashKey: Uint32Array, out: Uint32Array): boolean {
    if (events.kind(this.slot, row) !== Kind.text) return false;
    this.family = parseIp(events.text(this.slot, row) as string, this.address);
    if (this.family === 0) return false;
    keepPrefix(this.family, this.address, this.prefix());
    this.bytes[0] = this.family;
    for (let i = 0; i < 4; i++) writeWord(this.bytes, 1 + i * 4, this.address[i]);
    hashBytes(this.bytes, 0, this.bytes.length, hashKey, out);
    return true;
  }

  text(): string {
    return `${formatIp(this.family, this.address)}/${this.prefix()}`;
  }

  /** A provider gives a customer one IPv4 address or an IPv6 /64: so a rule's /32 means /64 there, and /24 means /56. */
  private prefix(): number {
    if (this.family === 4) return Math.min(32, this.bits);
    return this.bits <= 32 ? this.bits + 32 : this.bits;
  }
}
