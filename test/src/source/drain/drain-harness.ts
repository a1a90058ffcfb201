/** A drain on a real server on loopback, with an engine that keeps what it is handed. */
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { Counters } from '../../../../processors/counters.ts';
import type { RecordBatch, SourceRecord } from '../../../../processors/record.ts';
import { createServer, listen, type ServerLimits } from '../../../../src/http/server.ts';
import { createDrain, type Drain, type JournalDrainOptions } from '../../../../src/source/drain/http-drain.ts';
import type { Positions, RecordLoss } from '../../../../src/source/source.ts';
import { head, type RawAnswer, RawClient } from '../../../support/raw-http.ts';

export const password = 'app:s3cret';

export class DrainHarness {
  readonly drain: Drain;
  readonly app: FastifyInstance;
  readonly port: number;
  readonly stateDir: string;
  readonly batches: Omit<RecordBatch, 'records'>[] = [];
  readonly records: SourceRecord[] = [];
  readonly warnings: string[];
  readonly partitions: string[] = [];
  readonly losses: RecordLoss[] = [];
  private running: Promise<void> | undefined;
  private wake: () => void = () => {};

  private constructor(drain: Drain, app: FastifyInstance, stateDir: string, warnings: string[]) {
    this.drain = drain;
    this.app = app;
    this.port = (app.server.address() as AddressInfo).port;
    this.stateDir = stateDir;
    this.warnings = warnings;
  }

  static async start(options: Partial<JournalDrainOptions> = {}, limits?: ServerLimits): Promise<DrainHarness> {
    const stateDir = options.stateDir ?? (await mkdtemp(join(tmpdir(), 'drain-')));
    const warnings: string[] = [];
    const log = { info: () => {}, warn: (_: object, text: string) => void warnings.push(text) };
    const drain = await createDrain({ path: '/drain/logplex', credentials: [password], dataset: 'heroku', log, ...options, stateDir });
    const app = createServer({
      status: {
        sources: [
          {
            name: drain.name,
            get health() {
              return drain.health();
            },
          },
        ],
        sinks: [],
        reasons: () => [],
      },
      metrics: { counters: () => new Counters(), drains: () => [drain] },
      version: { version: '0.0.0', commit: 'unknown', builtAt: 'unknown', driver: 'none' },
      mounts: [drain],
      limits,
    });
    await listen(app, '127.0.0.1', 0);
    return new DrainHarness(drain, app, stateDir, warnings);
  }

  /** Lets the engine read. */
  run(positions: Positions = {}): this {
    this.running = this.drain.run(positions, {
      batch: async ({ records, ...batch }) => {
        this.batches.push(batch);
        this.records.push(...records.map((each) => ({ ...each, value: Buffer.from(each.value ?? []) })));
        this.wake();
      },
      partitions: (keys) => void this.partitions.push(...keys),
      ended: (key) => {
        throw new Error(`a drain never ends, but ${key} did`);
      },
      lost: (loss) => void this.losses.push(loss),
      revoked: async () => {},
    });
    return this;
  }

  /** What has been handed in, once there are so many. */
  async handedIn(count: number): Promise<string[]> {
    while (this.records.length < count) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.texts();
  }

  texts(): string[] {
    return this.records.map((each) => Buffer.from(each.value ?? []).toString());
  }

  /** One request on a connection of its own. */
  async post(body: string | Uint8Array, headers: Record<string, string | number> = {}, path = this.drain.path): Promise<RawAnswer> {
    const client = await RawClient.open(this.port);
    try {
      const bytes = Buffer.from(body);
      await client.write(Buffer.concat([Buffer.from(head(`POST ${path} HTTP/1.1`, { ...this.headers(bytes.length), ...headers })), bytes]));
      const answer = await client.answer();
      if (answer === undefined) throw new Error('the connection ended without an answer');
      return answer;
    } finally {
      client.close();
    }
  }

  headers(length: number): Record<string, string | number> {
    return { Authorization: basic(password), 'Content-Type': 'application/logplex-1', 'Content-Length': length };
  }

  /** Stops; the folder stays for a next start unless it is let go. */
  async stop(keepFolder = false): Promise<void> {
    await this.app.close();
    await this.drain.stop();
    await this.running;
    if (!keepFolder) await rm(this.stateDir, { recursive: true, force: true });
  }
}

export function basic(pair: string): string {
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

export function frame(message: string | Buffer): Buffer {
  const bytes = Buffer.from(message);
  return Buffer.concat([Buffer.from(`${bytes.length} `), bytes]);
}

export function line(text: string): string {
  return `<190>1 2022-12-05T20:26:20.860136+00:00 host app web.1 - ${text}\n`;
}
