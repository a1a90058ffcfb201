/** A program that tests start beside themselves: its output in a file, ended with the test run at the latest. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly folder: string;
  /** Answers 200 once it may be used. */
  readonly readyUrl: string;
  readonly startForMs: number;
}

export class Program {
  readonly #options: ProgramOptions;
  readonly #logFile: string;
  #child: ChildProcess | undefined;

  constructor(options: ProgramOptions) {
    this.#options = options;
    this.#logFile = path.join(options.folder, `${path.basename(options.command)}.log`);
  }

  /** Resolves when it is ready; rejects, with the end of what it said, if it is not in time. */
  async start(): Promise<void> {
    const { command, args, folder, readyUrl, startForMs } = this.#options;
    const log = openSync(this.#logFile, 'a');
    const child = spawn(command, args, { cwd: folder, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#child = child;
    // It must not outlive a test run that is cut short.
    const reap = () => child.kill('SIGKILL');
    process.once('exit', reap);
    child.once('exit', () => process.off('exit', reap));
    const deadlineMs = Date.now() + startForMs;
    while (!(await answers(readyUrl))) {
      if (child.exitCode === null && child.signalCode === null && Date.now() < deadlineMs) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      await this.halt('SIGKILL');
      throw new Error(`${command} was not ready at ${readyUrl} within ${startForMs} ms:\n${this.said().slice(-3000)}`);
    }
  }

  /** Resolves when the process has ended. */
  async halt(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  said(): string {
    return readFileSync(this.#logFile, 'utf8');
  }
}

/** What a command printed; undefined if it cannot be run. */
export function output(command: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch {
    return undefined;
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url);
    await answer.arrayBuffer();
    return answer.status === 200;
  } catch {
    return false;
  }
}
