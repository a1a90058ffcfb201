import { type Command, InvalidArgumentError } from 'commander';
import type { Logger } from 'pino';
import { buildOf } from '../config.ts';
import { metricsOf, statusOf } from '../engine-status.ts';
import { createServer, listen } from '../http/server.ts';
import { packageVersion } from '../package-info.ts';
import { Progress } from '../progress.ts';
import { loadRules } from '../rules.ts';
import { demo } from './demo.ts';

export function demoCommand(program: Command, logger: (level: string) => Logger, stop: AbortSignal): void {
  program
    .command('demo')
    .description('the whole thing on a simulated day with attacks in it; no Kafka, no config')
    .option('--serve', 'afterwards leave health and metrics up until stopped')
    .option('--port <port>', 'where to serve them; 0: any that is free', portOf, 8080)
    .action(async ({ serve, port }: { serve?: boolean; port: number }) => {
      const log = logger('warn');
      const rules = await loadRules(['builtin']);
      const print = (text: string) => process.stdout.write(`${text}\n`);
      process.exitCode = await demo({
        rules,
        log,
        progress: new Progress(process.stderr),
        print,
        stop,
        serve: async (observed) => {
          if (!serve) {
            print(
              '\nNext: write a rule of your own (README, "A first rule"), or `npx streamgauge demo --serve` to look at /healthz and /metrics.',
            );
            return;
          }
          const version = { version: packageVersion(), ...buildOf(), driver: 'none' };
          const server = createServer({ log, status: statusOf(observed), metrics: metricsOf(observed), version });
          const address = await listen(server, '127.0.0.1', port);
          print(`\nserving ${address}/healthz ${address}/metrics ${address}/version until stopped (Ctrl-C)`);
          await new Promise<void>((resolve) => {
            if (stop.aborted) resolve();
            stop.addEventListener('abort', () => resolve(), { once: true });
          });
          await server.close();
        },
      });
    });
}

function portOf(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('Expected a port, 0 to 65535.');
  return Number(text);
}
