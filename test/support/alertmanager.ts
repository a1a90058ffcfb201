/**
 * A real Alertmanager (127.0.0.1, a free port, data in a temporary folder). In this order: the one at ALERTMANAGER_URL; the program on the
 * PATH (`prometheus-alertmanager` in Debian). Otherwise `alertmanagerUnavailable()` says why not, and the suite skips with that reason.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePorts } from './port.ts';
import { output, Program } from './program.ts';

export interface Alertmanager {
  readonly url: string;
  halt(): Promise<void>;
  /** Starts it again on the same port with the same data. */
  resume(): Promise<void>;
  /** Its log, down to why a notification was not sent. */
  said(): string;
  stop(): Promise<void>;
}

/** Why none can be had here that a test may configure; undefined if one can. */
export function alertmanagerUnavailable(): string | undefined {
  if (program() !== undefined) return undefined;
  if (process.env.ALERTMANAGER_URL) return 'the Alertmanager in ALERTMANAGER_URL is not ours to configure, and there is no program';
  return 'no Alertmanager: apt-get install prometheus-alertmanager (a few seconds, 20 MB), or put an `alertmanager` on the PATH';
}

/** Starts one with this configuration; resolves when it is ready. */
export async function startAlertmanager(config: string): Promise<Alertmanager> {
  const command = program();
  if (command === undefined) throw new Error(alertmanagerUnavailable());
  const folder = mkdtempSync(path.join(tmpdir(), 'streamgauge-alertmanager-'));
  const [port] = await freePorts(1);
  const configFile = path.join(folder, 'alertmanager.yaml');
  writeFileSync(configFile, config);
  const url = `http://127.0.0.1:${port}`;
  // Without a cluster address it is alone, and listens nowhere else.
  const args = [
    `--config.file=${configFile}`,
    `--storage.path=${path.join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--cluster.listen-address=',
    '--log.level=debug',
  ];
  const running = new Program({ command, args, folder, readyUrl: `${url}/-/ready`, startForMs: 30_000 });
  await running.start();
  return {
    url,
    halt: () => running.halt('SIGKILL'),
    resume: () => running.start(),
    said: () => running.said(),
    stop: async () => {
      await running.halt('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What `amtool check-config` says of a file; undefined where there is no amtool. Throws what is wrong with it. */
export function amtool(...args: string[]): string | undefined {
  return output('amtool', args);
}

function program(): string | undefined {
  return ['prometheus-alertmanager', 'alertmanager'].find((name) => output(name, ['--version']) !== undefined);
}
