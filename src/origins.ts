/** Whose topics a checkpoint goes on in: those that are read here, or another deployment's of the same names. */
import { topicOf } from '../processors/record.ts';
import type { Checkpoint, TopicsOf } from './checkpoint/checkpoint.ts';
import type { Origin, Positions, Source } from './source/source.ts';

const shown = 5;

export class Origins {
  readonly #sources: readonly Source[];
  readonly #known = new Map<Source, Origin>();
  /** Of topics that none of the sources reads any more: one that reads them again is held against it. */
  #before: ReadonlyMap<string, Origin> = new Map();

  constructor(sources: readonly Source[]) {
    this.#sources = sources;
  }

  /** Asks each source where its topics lie. Rejects with what the first one that cannot be asked says, `gaveUp` is told which. */
  async ask(gaveUp: (source: Source, error: unknown) => void): Promise<void> {
    const asked = this.#sources.map(async (source) => {
      try {
        const origin = await source.origin?.();
        if (origin !== undefined) this.#known.set(source, origin);
      } catch (error) {
        gaveUp(source, error);
        throw error;
      }
    });
    await Promise.all(asked);
  }

  /** See `Refuse`. Topics that are read no more are no reason while others still are: a config may let go of some. */
  refusal({ positions, origins = [] }: Pick<Checkpoint, 'positions' | 'origins'>): string | undefined {
    const topics = topicsOf(positions);
    if (topics.length > 0 && !topics.some((topic) => this.#isRead(topic))) {
      const names = this.#sources.map(({ name }) => name).join(', ');
      return `it goes on in ${listed(topics)}, of which no source here reads any (${names}): name in \`sources\` what it reads`;
    }
    for (const { cluster, topics } of origins) {
      for (const topic of topics) {
        const here = this.#here(topic)?.cluster ?? cluster;
        if (here === cluster) continue;
        return `it goes on in topic ${topic} of the Kafka cluster ${cluster}, and topic ${topic} of this config is in the cluster ${here}: use \`brokers\` of the former`;
      }
    }
    return undefined;
  }

  /** Goes on from this checkpoint. Returns what is worth a warning. */
  restored({ origins = [] }: Pick<Checkpoint, 'origins'>): string[] {
    this.#before = new Map(origins.flatMap(({ cluster, group, topics }) => topics.map((topic) => [topic, { cluster, group }])));
    return origins.flatMap(({ group, topics }) => {
      const now = topics.map((topic) => this.#here(topic)?.group ?? group).find((here) => here !== group);
      if (now === undefined) return [];
      const from = `the checkpoint was taken under the group ${group}, this is ${now}: going on where the checkpoint stands, not where ${now} does`;
      return [`${from}; move the checkpoint away to begin there`];
    });
  }

  /** For a checkpoint with these positions; undefined where nothing is known. */
  of(positions: Positions): readonly TopicsOf[] | undefined {
    const found = new Map<string, { cluster: string; group: string; topics: string[] }>();
    for (const topic of topicsOf(positions)) {
      const origin = this.#here(topic) ?? this.#before.get(topic);
      if (origin === undefined) continue;
      const key = `${origin.cluster} ${origin.group}`;
      const same = found.get(key);
      if (same === undefined) found.set(key, { ...origin, topics: [topic] });
      else same.topics.push(topic);
    }
    return found.size === 0 ? undefined : [...found.values()];
  }

  #isRead(topic: string): boolean {
    return this.#sources.some((source) => source.reads?.(topic) ?? true);
  }

  #here(topic: string): Origin | undefined {
    for (const [source, origin] of this.#known) if (source.reads?.(topic)) return origin;
    return undefined;
  }
}

function topicsOf(positions: Positions): string[] {
  return [...new Set(Object.keys(positions).map(topicOf))].sort();
}

function listed(topics: readonly string[]): string {
  return topics.length > shown ? `${topics.slice(0, shown).join(', ')} and ${topics.length - shown} more` : topics.join(', ');
}
