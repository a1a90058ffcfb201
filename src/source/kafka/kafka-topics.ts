/** Which topics a source reads: names, and `/patterns/` that are resolved here, the same for every driver, and looked at again and again. */
import { partitionKey } from '../../../processors/record.ts';
import type { KafkaReader } from './kafka-reader.ts';

export class KafkaTopics {
  readonly #wanted: readonly (string | RegExp)[];
  readonly #text: string;
  /** Partition keys there were when the run began. */
  #atStart: ReadonlySet<string> | undefined;
  #names: readonly string[] = [];
  partitionCount = 0;

  /** Throws a SyntaxError for a pattern that is none; the config has looked at its own. */
  constructor(topics: readonly string[]) {
    this.#text = topics.join(', ');
    this.#wanted = topics.map((topic) => (isPattern(topic) ? patternOf(topic) : topic));
  }

  /** As they were resolved last. */
  get names(): readonly string[] {
    return this.#names;
  }

  get hasPatterns(): boolean {
    return this.#wanted.some((topic) => typeof topic !== 'string');
  }

  /** Whether it is named, or would match. */
  has(topic: string): boolean {
    return this.#wanted.some((wanted) => (typeof wanted === 'string' ? wanted === topic : wanted.test(topic)));
  }

  /** Were these the names, the last time? */
  are(names: readonly string[]): boolean {
    return names.length === this.#names.length && names.every((name, index) => name === this.#names[index]);
  }

  /** For messages: as they were written. */
  toString(): string {
    return this.#text;
  }

  /** Did this partition come into being while we run? */
  isNew(key: string): boolean {
    return this.#atStart !== undefined && !this.#atStart.has(key);
  }

  /**
   * Resolves the patterns, connects the reader to all topics and counts their partitions. Rejects if a named topic is not there, or no
   * topic at all.
   */
  async refresh(reader: KafkaReader): Promise<void> {
    const names = this.hasPatterns ? this.#matching(await reader.listTopics()) : (this.#wanted as readonly string[]);
    if (names.length === 0) throw noSuchTopic(`no topic matches ${this.#text}`);
    await reader.connect(names);
    await reader.refresh();
    this.#names = names;
    const keys = names.flatMap((topic) => reader.partitions(topic).map((partition) => partitionKey(topic, partition)));
    this.partitionCount = keys.length;
    this.#atStart ??= new Set(keys);
  }

  #matching(existing: readonly string[]): string[] {
    const names = new Set(this.#wanted.filter((topic) => typeof topic === 'string'));
    for (const name of existing) if (this.#wanted.some((topic) => typeof topic !== 'string' && topic.test(name))) names.add(name);
    return [...names].sort();
  }
}

export function isPattern(topic: string): boolean {
  return topic.length > 2 && topic.startsWith('/') && topic.endsWith('/');
}

/** Of `/pattern/`. Throws a SyntaxError. */
export function patternOf(topic: string): RegExp {
  return new RegExp(topic.slice(1, -1), 'u');
}

function noSuchTopic(message: string): Error {
  return Object.assign(new Error(message), { type: 'UNKNOWN_TOPIC_OR_PARTITION' });
}
