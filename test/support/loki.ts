/**
 * A real Grafana Loki 3.4.6 (single binary, 127.0.0.1, free ports, data in a temporary folder) for the suites that need one. In this order:
 * the one at LOKI_URL; a `loki` on the PATH; the one that `fetch-loki.sh` built into the cache. Otherwise `lokiUnavailable()` says why not,
 * and the suite skips with that reason. It takes about 10 s to be ready.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { freePorts } from './port.ts';
import { output, Program } from './program.ts';

const version = '3.4.6';
const cached = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'streamgauge', `loki-${version}`, 'loki');
const startForMs = 90_000;

export interface LokiLine {
  /** Nanoseconds since the epoch, as Loki says it. */
  readonly timestamp: string;
  readonly line: string;
  /** Labels and structured metadata together. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface Loki {
  readonly url: string;
  /** Lines of a log query, oldest first. */
  query(logql: string, fromMs: number, toMs: number): Promise<LokiLine[]>;
  /** Any GET, its JSON. Rejects with the body where the answer is not 200. */
  get(pathAndQuery: string): Promise<unknown>;
  halt(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Starts it again on the same port with the same data. */
  resume(): Promise<void>;
  stop(): Promise<void>;
}

export interface LokiConfig {
  /** Rule files by name, for the ruler; it looks every 5 s. */
  readonly rules?: Readonly<Record<string, string>>;
  /** Several: separated by commas. */
  readonly alertmanagerUrl?: string;
  /** `limits_config`, in YAML's flow form; by default samples of any age are taken. */
  readonly limits?: string;
  readonly authEnabled?: boolean;
  /** A whole config that ships (`docs/deploy/loki.yaml`): only its folders, addresses and how often its ruler looks and sends are changed. */
  readonly shipped?: string;
}

/** Why no Loki can be had here; undefined if one can. `own`: one that a test may configure and stop. Suites print it and skip. */
export function lokiUnavailable({ own }: { readonly own: boolean }): string | undefined {
  if (process.env.LOKI_URL && !own) return undefined;
  if (program() !== undefined) return undefined;
  if (process.env.LOKI_URL) return 'the Loki in LOKI_URL is not ours to configure and stop, and there is no program';
  const go = output('go', ['version']) === undefined ? 'install Go 1.23 or later, then' : 'Go is there:';
  return `no Loki ${version}: ${go} run test/support/fetch-loki.sh (about 7 minutes, once), or set LOKI_URL`;
}

/** The Loki at LOKI_URL, else one of our own. */
export async function anyLoki(): Promise<Loki> {
  return process.env.LOKI_URL ? new ForeignLoki(process.env.LOKI_URL.replace(/\/+$/, '')) : startLoki();
}

/** One of our own; resolves when it is ready. */
export async function startLoki(config: LokiConfig = {}): Promise<Loki> {
  const command = program();
  if (command === undefined) throw new Error(lokiUnavailable({ own: true }));
  const folder = mkdtempSync(path.join(tmpdir(), 'streamgauge-loki-'));
  const [http, grpc] = await freePorts(2);
  const tenantRules = path.join(folder, 'rules', 'fake');
  mkdirSync(tenantRules, { recursive: true });
  for (const [name, text] of Object.entries(config.rules ?? {})) writeFileSync(path.join(tenantRules, name), text);
  const text = config.shipped === undefined ? yaml(folder, http, grpc, config) : relocated(config.shipped, folder, http, grpc, config);
  writeFileSync(path.join(folder, 'loki.yaml'), text);
  const args = [`-config.file=${path.join(folder, 'loki.yaml')}`];
  const loki = new OwnLoki(folder, new Program({ command, args, folder, readyUrl: `http://127.0.0.1:${http}/ready`, startForMs }), http);
  await loki.resume();
  return loki;
}

class ForeignLoki implements Loki {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  async query(logql: string, fromMs: number, toMs: number): Promise<LokiLine[]> {
    const limits = `start=${BigInt(fromMs) * 1_000_000n}&end=${BigInt(toMs) * 1_000_000n}&limit=5000&direction=forward`;
    const found = (await this.get(`/loki/api/v1/query_range?query=${encodeURIComponent(logql)}&${limits}`)) as {
      data: { result: { stream: Record<string, string>; values: [string, string][] }[] };
    };
    const lines = found.data.result.flatMap(({ stream, values }) =>
      values.map(([timestamp, line]): LokiLine => ({ timestamp, line, fields: stream })),
    );
    return lines.sort((a, b) => Number(BigInt(a.timestamp) - BigInt(b.timestamp)));
  }

  async get(pathAndQuery: string): Promise<unknown> {
    const answer = await fetch(`${this.url}${pathAndQuery}`);
    const body = await answer.text();
    if (answer.status !== 200) throw new Error(`Loki answered ${answer.status} to ${pathAndQuery}: ${body}`);
    return JSON.parse(body);
  }

  halt(_signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    return Promise.reject(new Error('the Loki in LOKI_URL is not ours to stop'));
  }

  resume(): Promise<void> {
    return Promise.reject(new Error('the Loki in LOKI_URL is not ours to start'));
  }

  async stop(): Promise<void> {}
}

class OwnLoki extends ForeignLoki {
  readonly #folder: string;
  readonly #program: Program;

  constructor(folder: string, program: Program, port: number) {
    super(`http://127.0.0.1:${port}`);
    this.#folder = folder;
    this.#program = program;
  }

  override halt(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    return this.#program.halt(signal);
  }

  override resume(): Promise<void> {
    return this.#program.start();
  }

  override async stop(): Promise<void> {
    await this.#program.halt('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Debian's `loki` is another program: Grafana's says so itself. */
function program(): string | undefined {
  if (output('loki', ['-version'])?.startsWith('loki, version')) return 'loki';
  return existsSync(cached) ? cached : undefined;
}

/** Ingesters are asked for lines of any time (not of the last 3 hours alone), so that those of last month are found before they are flushed. */
function yaml(folder: string, http: number, grpc: number, config: LokiConfig): string {
  return `auth_enabled: ${config.authEnabled ?? false}
analytics: { reporting_enabled: false }
server: { http_listen_address: 127.0.0.1, http_listen_port: ${http}, grpc_listen_address: 127.0.0.1, grpc_listen_port: ${grpc}, log_level: warn }
common:
  instance_addr: 127.0.0.1
  path_prefix: ${folder}
  replication_factor: 1
  ring: { kvstore: { store: inmemory } }
  storage: { filesystem: { chunks_directory: ${folder}/chunks, rules_directory: ${folder}/rules } }
schema_config:
  configs: [ { from: 2020-10-24, store: tsdb, object_store: filesystem, schema: v13, index: { prefix: index_, period: 24h } } ]
ingester: { lifecycler: { min_ready_duration: 0s }, query_store_max_look_back_period: -1ns }
limits_config: ${config.limits ?? '{ reject_old_samples: false }'}
ruler:
  storage: { type: local, local: { directory: ${folder}/rules } }
  rule_path: ${folder}/rules-temp
  alertmanager_url: ${config.alertmanagerUrl ?? 'http://127.0.0.1:9'}
  enable_alertmanager_v2: true
  ring: { kvstore: { store: inmemory } }
  enable_api: true
  evaluation_interval: 5s
  poll_interval: 5s
`;
}

/** The same config on this machine: `/loki` and the rules folder lie in `folder`. */
function relocated(text: string, folder: string, http: number, grpc: number, config: LokiConfig): string {
  const moved = parse(text, (_, value: unknown) =>
    typeof value === 'string' ? value.replace(/^\/etc\/loki\/rules/, `${folder}/rules`).replace(/^\/loki(?=\/|$)/, folder) : value,
  ) as { server: object; ruler: object };
  const address = '127.0.0.1';
  const server = {
    ...moved.server,
    http_listen_address: address,
    http_listen_port: http,
    grpc_listen_address: address,
    grpc_listen_port: grpc,
  };
  const often = { evaluation_interval: '5s', poll_interval: '5s', resend_delay: '2s' };
  const ruler = { ...moved.ruler, ...often, alertmanager_url: config.alertmanagerUrl ?? 'http://127.0.0.1:9' };
  return stringify({ ...moved, server, ruler });
}
