/**
 * A drain with a topic behind it: a request is answered 2xx once the broker has its records. Nothing goes to the engine from here; a Kafka
 * source, here or in another process, reads the topic.
 */
import type { FastifyInstance } from 'fastify';
import { isDatasetName } from '../../../processors/decode/dataset-header.ts';
import { UsageError } from '../../errors.ts';
import type { DrainCounters } from '../drain/drain-counters.ts';
import { DrainEndpoint } from '../drain/drain-endpoint.ts';
import { type DrainOptions, problemsOf } from '../drain/drain-options.ts';
import type { DrainKind } from '../drain/drain-records.ts';
import type { Drain } from '../drain/http-drain.ts';
import type { SourceHealth } from '../source.ts';
import type { KafkaConnection } from './kafka-client.ts';
import { KafkaKeeper } from './kafka-keeper.ts';

export interface KafkaDrainOptions extends DrainOptions {
  readonly kafka: KafkaConnection & { readonly topic: string };
}

export class KafkaDrain implements Drain {
  readonly name: string;
  readonly path: string;
  readonly journalBytes = 0;
  readonly #endpoint: DrainEndpoint;
  readonly #keeper: KafkaKeeper;
  readonly #stopped = new AbortController();
  #registered = false;

  /** Connects to nothing yet. Throws a `UsageError` for options that make no sense, a `DependencyError` for a PEM file. */
  constructor(options: KafkaDrainOptions) {
    const { dataset } = options;
    const problems = problemsOf(options);
    if (!isDatasetName(dataset)) {
      const expected = 'with `to: kafka` expected a name of at most 128 ASCII characters, without spaces';
      problems.push(`drain.dataset: ${expected}, found ${JSON.stringify(dataset.slice(0, 200))}`);
    }
    if (problems.length > 0) throw new UsageError(problems);
    this.name = `drain:${options.path}`;
    this.path = options.path;
    this.#keeper = new KafkaKeeper(options.kafka, dataset);
    this.#endpoint = new DrainEndpoint(options, this.#keeper, options.log ?? { info: () => {}, warn: () => {} });
  }

  get kind(): DrainKind {
    return this.#endpoint.kind;
  }

  get counters(): DrainCounters {
    return this.#endpoint.counters;
  }

  get dedupe(): Drain['dedupe'] {
    return this.#endpoint.dedupe;
  }

  register(app: FastifyInstance): void {
    this.#registered = true;
    this.#endpoint.register(app);
    app.addHook('onClose', () => this.#keeper.close());
  }

  /** Resolves after `stop`; rejects with a DependencyError if the topic cannot be reached at the start. */
  async run(): Promise<void> {
    const { signal } = this.#stopped;
    if (signal.aborted) return;
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    // Whoever stops need not wait until the broker is found, or is not.
    await Promise.race([this.#keeper.open(), stopped]);
    await stopped;
  }

  async commit(): Promise<void> {}

  async read(): Promise<null> {
    return null;
  }

  /** Requests are taken until the server closes. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    if (!this.#registered) await this.#keeper.close();
  }

  /** Nothing comes from here. */
  reads(): boolean {
    return false;
  }

  health(): SourceHealth {
    const reason = this.#keeper.trouble;
    return { ok: reason === undefined, ...(reason === undefined ? {} : { reason }), driver: this.#keeper.driver };
  }
}
