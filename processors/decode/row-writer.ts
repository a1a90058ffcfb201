import type { SourceRecord } from '../record.ts';
import { datasetOf } from './dataset-header.ts';
import type { EventBatch, Scalar } from './event-batch.ts';
import { type FieldNames, Special, type Target } from './field-table.ts';
import { epochMs, textTimeMs } from './time.ts';

/** The deepest JSON that is taken: deeper is made to hurt whoever walks it. */
export const maxDepth = 64;

const unset = 255;
/** What an envelope says (Kubernetes metadata, a frame's header) gives way to what the line itself says. */
const envelopePenalty = 80;
const nullPenalty = 160;

/** Looks at the message of a row before it is counted. */
export interface MessageReader {
  run(row: RowWriter): void;
}

/**
 * Writes the row that is being decoded. Values come under their sender's names; the compiled name table says which slots want them and
 * which name is better. One object, reused for every row.
 */
export class RowWriter {
  out!: EventBatch;
  row = 0;
  /** When the transport says the record was written; NaN where it does not. */
  recordMs = Number.NaN;
  record!: SourceRecord;
  /** The dataset of the record, whatever the line says. */
  recordDataset = '';
  /** The message's text, if extractors want it. */
  message: string | undefined;
  /** What a JSON envelope holds: the text of its line, and how it was told. */
  innerText: string | undefined;
  stream: string | undefined;
  hasKubernetes = false;
  /** Whether the object is an OTLP request. */
  isOtlp = false;
  /** True for formats whose values are all text. */
  untyped = false;

  private timeRank = unset;
  private datasetRank = unset;
  private messageRank = unset;
  private innerRank = unset;
  private penalty = 0;
  private readonly ranks: Uint8Array;
  private readonly names: FieldNames;
  private readonly extractors: MessageReader | undefined;

  constructor(names: FieldNames, slots: number, extractors?: MessageReader) {
    this.names = names;
    this.extractors = extractors;
    this.ranks = new Uint8Array(slots);
  }

  /** Opens the next row of `out`. A row that is opened and not committed leaves no trace. */
  open(out: EventBatch, recordIndex: number, record: SourceRecord): void {
    this.out = out;
    this.row = out.startRow(recordIndex);
    this.record = record;
    this.recordMs = record.timestampMs;
    this.recordDataset = out.records.dataset;
    if (record.headers !== undefined) {
      this.recordDataset = datasetOf(record, out.records);
      out.dataset[this.row] = this.recordDataset;
    }
    this.message = undefined;
    this.innerText = undefined;
    this.stream = undefined;
    this.hasKubernetes = false;
    this.isOtlp = false;
    this.timeRank = unset;
    this.datasetRank = unset;
    this.messageRank = unset;
    this.innerRank = unset;
    this.penalty = 0;
    this.untyped = false;
    const ranks = this.ranks;
    for (let slot = 0; slot < ranks.length; slot++) ranks[slot] = unset;
  }

  /** From here on values come from the line itself (`own`) or from what was put around it (`envelope`), which gives way. */
  from(part: 'own' | 'envelope'): void {
    this.penalty = part === 'own' ? 0 : envelopePenalty;
  }

  /** The time of the row; one from an envelope gives way to the line's own. NaN changes nothing. */
  time(ms: number): void {
    if (Number.isNaN(ms) || this.penalty > this.timeRank) return;
    this.timeRank = this.penalty;
    this.out.timeMs[this.row] = ms;
  }

  /** Names the dataset for good: the line's own name for it no longer counts. */
  dataset(name: string): void {
    this.out.dataset[this.row] = name;
    this.datasetRank = -1;
  }

  /** Whether the row knows its time already. */
  get hasTime(): boolean {
    return this.timeRank !== unset;
  }

  lost(messages: number, sinceMs: number): void {
    this.out.lost[this.row] = Math.min(messages, 0xffffffff);
    this.out.lostSinceMs[this.row] = sinceMs;
  }

  /** Counts the row, after the extractors have seen its message. */
  commit(): void {
    if (this.message !== undefined) this.extractors?.run(this);
    this.out.commitRow();
  }

  /** The message of a row that has no other. */
  fallbackMessage(text: string): void {
    const before = this.penalty;
    this.penalty = envelopePenalty;
    this.text('message', text);
    this.penalty = before;
  }

  /** Puts a text under a name, the OpenTelemetry one or the sender's. */
  text(name: string, value: string | undefined, names: FieldNames = this.names): void {
    if (value === undefined) return;
    const targets = names.get(name)?.targets;
    if (targets !== undefined) this.put(targets, value);
  }

  number(name: string, value: number, names: FieldNames = this.names): void {
    const targets = names.get(name)?.targets;
    if (targets !== undefined) this.put(targets, value);
  }

  /** Whether any slot wants this name: for values that cost something to make. */
  wants(name: string): boolean {
    return this.names.has(name);
  }

  /** Puts every field of a parsed JSON object. False if it is deeper than `maxDepth`. */
  object(value: object): boolean {
    return this.walk(this.names, value as Record<string, unknown>, 1);
  }

  /** Puts the value of one name, whatever JSON it is. False if it is too deep. */
  value(name: string, value: unknown): boolean {
    const node = this.names.get(name);
    if (node?.targets !== undefined) this.put(node.targets, value);
    return typeof value !== 'object' || value === null || this.walk(node?.children, value as Record<string, unknown>, 2);
  }

  private walk(names: FieldNames | undefined, object: Record<string, unknown>, depth: number): boolean {
    if (depth > maxDepth) return false;
    if (Array.isArray(object)) {
      for (let i = 0; i < object.length; i++) {
        const value: unknown = object[i];
        if (typeof value === 'object' && value !== null && !this.walk(undefined, value as Record<string, unknown>, depth + 1)) return false;
      }
      return true;
    }
    let place = 0;
    for (const key in object) {
      const value = object[key];
      const node = names === undefined ? undefined : names.at(place++, key);
      if (node !== undefined && node.targets !== undefined) this.put(node.targets, value);
      if (typeof value === 'object' && value !== null) {
        if (!this.walk(node === undefined ? undefined : node.children, value as Record<string, unknown>, depth + 1)) return false;
      }
    }
    return true;
  }

  /** Whether the row is a line in an envelope, or a request of many: what it holds must be decoded in its turn. */
  get isEnvelope(): boolean {
    return this.isOtlp || (this.innerText !== undefined && (this.hasKubernetes || this.stream !== undefined));
  }

  /** Puts a JSON string, `bytes[start..end)` between its quotes, which lies in the record's own value and stays there if it can. */
  putBytes(targets: readonly Target[], bytes: Buffer, start: number, end: number): void {
    const plain = isPlain(bytes, start, end);
    let text: string | undefined;
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i];
      const { slot } = target;
      if (slot >= 0 && target.rank + this.penalty > this.ranks[slot]) continue;
      if (slot >= 0 && plain && target.keepsText?.(bytes, start, end) === true) {
        this.out.setBytes(slot, this.row, start, end);
        this.ranks[slot] = target.rank + this.penalty;
      } else {
        text ??= plain ? this.out.texts.of(bytes, start, end) : (JSON.parse(bytes.toString('utf8', start - 1, end + 1)) as string);
        if (slot >= 0) this.putSlot(target, text);
        else this.putSpecial(target, text);
      }
    }
  }

  put(targets: readonly Target[], value: unknown): void {
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i];
      if (target.slot < 0) this.putSpecial(target, value);
      else this.putSlot(target, value);
    }
  }

  private putSlot(target: Target, value: unknown): void {
    const { slot, form } = target;
    const rank = target.rank + this.penalty;
    if (typeof value === 'string') {
      if (rank > this.ranks[slot]) return;
      const converted = form === undefined ? value : form(value, this.untyped);
      if (typeof converted === 'string') this.out.setText(slot, this.row, converted);
      else if (converted !== undefined && Number.isFinite(converted)) this.out.setNumber(slot, this.row, converted);
      else return;
      this.ranks[slot] = rank;
    } else if (typeof value === 'number') {
      if (rank > this.ranks[slot]) return;
      const converted = target.keepsNumbers ? value : form?.(value, this.untyped);
      if (typeof converted === 'string') this.out.setText(slot, this.row, converted);
      // Neither NaN nor Infinity (1e999 in JSON) is a value.
      else if (converted !== undefined && Number.isFinite(converted)) this.out.setNumber(slot, this.row, converted);
      else return;
      this.ranks[slot] = rank;
    } else this.putOther(target, value);
  }

  /** Booleans, null and lists. A form takes none of them but null, which gives way to any value. */
  private putOther({ slot, rank, form }: Target, value: unknown): void {
    if (value === null) {
      if (rank + nullPenalty > this.ranks[slot]) return;
      this.ranks[slot] = rank + nullPenalty;
      this.out.setNull(slot, this.row);
      return;
    }
    if (form !== undefined || rank + this.penalty > this.ranks[slot]) return;
    if (typeof value === 'boolean') this.out.setBoolean(slot, this.row, value);
    else if (Array.isArray(value)) this.out.setList(slot, this.row, value.filter(isScalar));
    else return;
    this.ranks[slot] = rank + this.penalty;
  }

  private putSpecial(target: Target, value: unknown): void {
    const rank = target.rank + this.penalty;
    switch (target.slot) {
      case Special.time: {
        if (rank > this.timeRank) return;
        const ms = typeof value === 'string' ? textTimeMs(value) : typeof value === 'number' ? epochMs(value) : Number.NaN;
        if (Number.isNaN(ms)) return;
        this.timeRank = rank;
        this.out.timeMs[this.row] = ms;
        return;
      }
      case Special.dataset:
        if (rank > this.datasetRank || typeof value !== 'string' || value === '') return;
        this.datasetRank = rank;
        this.out.dataset[this.row] = value;
        return;
      case Special.message:
        if (rank > this.messageRank || typeof value !== 'string') return;
        this.messageRank = rank;
        this.message = value;
        return;
      case Special.innerText:
        if (rank > this.innerRank || typeof value !== 'string') return;
        this.innerRank = rank;
        this.innerText = value;
        return;
      case Special.stream:
        if (value === 'stdout' || value === 'stderr') this.stream = value;
        return;
      case Special.kubernetes:
        this.hasKubernetes = typeof value === 'object' && value !== null;
        return;
      case Special.otlp:
        this.isOtlp = Array.isArray(value);
        return;
    }
  }
}

/** ASCII without an escape: its bytes are its text. */
function isPlain(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] === 92 || bytes[at] > 126) return false;
  return true;
}

function isScalar(value: unknown): value is Scalar {
  return typeof value === 'string' || typeof value === 'boolean' || value === null || (typeof value === 'number' && Number.isFinite(value));
}
