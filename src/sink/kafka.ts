/**
 * Findings to a Kafka topic: key = the finding's uid, so that its updates stay in order in one partition and the topic can be compacted;
 * value = OCSF JSON; headers = CloudEvents in binary mode.
 */
import type { Finding } from '../../processors/detect/finding.ts';
import { cloudEventHeaders, findingJson } from '../../processors/detect/ocsf.ts';
import type { KafkaConnection } from '../source/kafka/kafka-client.ts';
import { KafkaWriter } from './kafka-writer.ts';
import type { Sink, SinkHealth } from './sink.ts';

export interface KafkaSinkOptions extends KafkaConnection {
  readonly topic: string;
}

export class KafkaSink implements Sink {
  readonly name: string;
  readonly #writer: KafkaWriter;

  /** Connects to nothing yet. Throws a DependencyError if a PEM file cannot be read. */
  constructor(options: KafkaSinkOptions) {
    this.name = `kafka:${options.topic}`;
    this.#writer = new KafkaWriter(options, 'findings');
  }

  /** Rejects with a DependencyError if the topic cannot be reached. */
  open(): Promise<void> {
    return this.#writer.open();
  }

  /** Resolves when every in-sync replica has them. One write at a time: a second one waits for the first, which keeps the order. */
  write(findings: readonly Finding[]): Promise<void> {
    return this.#writer.write(
      findings.map((finding) => ({
        key: finding.id,
        value: Buffer.from(findingJson(finding)),
        headers: cloudEventHeaders(finding),
      })),
    );
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  health(): SinkHealth {
    return this.#writer.health();
  }
}
