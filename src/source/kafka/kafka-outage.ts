/** Whether the broker answers a group member, since when it does not, and when that has lasted for too long. */
import type { DependencyError } from '../../errors.ts';
import { connectForMsDefault, errorType, kafkaError, mayRecover, outageForMsDefault } from './kafka-client.ts';
import type { KafkaSourceOptions } from './kafka-options.ts';
import type { KafkaTopics } from './kafka-topics.ts';

export class KafkaOutage {
  readonly #options: KafkaSourceOptions;
  readonly #topics: KafkaTopics;
  #sinceMs: number | undefined;
  #stood = false;
  /** What began it; undefined while there is none. */
  problem: string | undefined;

  constructor(options: KafkaSourceOptions, topics: KafkaTopics) {
    this.#options = options;
    this.#topics = topics;
  }

  get lasts(): boolean {
    return this.#sinceMs !== undefined;
  }

  /** The broker answered. */
  over(): void {
    this.#sinceMs = undefined;
    this.problem = undefined;
    this.#stood = true;
  }

  /** Notes that it did not. Returns the failure that ends the run once it has lasted for too long, or cannot end by itself. */
  note(error: unknown): DependencyError | undefined {
    const now = performance.now();
    this.#sinceMs ??= now;
    const { group, connectForMs = connectForMsDefault, outageForMs = outageForMsDefault } = this.#options;
    const failure = kafkaError(this.#options, `consume ${this.#topics} as group ${group}`, error);
    // Whom we were before a kill still holds our name: the group answers, and lets go of it when that session ends.
    const stood = this.#stood || errorType(error) === 'UNRELEASED_INSTANCE_ID';
    if (!mayRecover(error) || now - this.#sinceMs > (stood ? outageForMs : connectForMs)) return failure;
    this.problem ??= failure.message;
    return undefined;
  }
}
