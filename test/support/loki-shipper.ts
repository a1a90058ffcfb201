/** The Loki sink as a run makes it without Kafka: a queue in a folder, shipped in the background. */
import { pino } from 'pino';
import { createQueueLog, type FindingLog } from '../../src/sink/finding-log.ts';
import { type LokiOptions, LokiWriter } from '../../src/sink/loki.ts';
import { LokiShipper } from '../../src/sink/loki-shipper.ts';

export function queuedLoki(dir: string, app: string, loki: LokiOptions): LokiShipper {
  return shipperFrom(createQueueLog({ dir }), app, loki);
}

export function shipperFrom(log: FindingLog, app: string, loki: LokiOptions): LokiShipper {
  return new LokiShipper({ log, writer: new LokiWriter(loki), labels: { app, env: 'test' }, logger: pino({ level: 'silent' }) });
}
