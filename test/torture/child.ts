/** The built command as a process that is killed, told to stop, and started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { builtCommand } from '../support/build.ts';

export interface ChildEnd {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Run from a build, the command lies beside it. */
const beside = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

export function commandFile(): string {
  return existsSync(beside) ? beside : builtCommand();
}

/** What may not outlive us. */
const living = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

const keptCharacters = 200_000;

export class Child {
  readonly ended: Promise<ChildEnd>;
  /** The end of what it said on standard error. */
  said = '';
  /** On standard output. */
  out = '';
  /** By `end('SIGKILL')`. */
  killed = false;
  readonly #child: ChildProcess;
  #over = false;
  readonly #waiting = new Set<() => void>();

  constructor(args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}) {
    const child = spawn(process.execPath, [commandFile(), ...args], {
      cwd,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    living.add(child);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.out += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.said = (this.said + text).slice(-keptCharacters);
      this.#look();
    });
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.#over = true;
        living.delete(child);
        this.#look();
        resolve({ code, signal });
      });
    });
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** Resolves with what `pattern` finds on standard error; rejects when the process ends without it. */
  says(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(this.said);
        if (found === null && !this.#over) return;
        this.#waiting.delete(look);
        if (found !== null) resolve(found);
        else reject(new Error(`ended before it said ${pattern}:\n${this.said.slice(-3000)}`));
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Where it listens, once it does. */
  async address(): Promise<string> {
    return (await this.says(/"address":"(http:[^"]+)"/))[1];
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<ChildEnd> {
    if (!this.#over) this.#child.kill(signal);
    if (!this.#over && signal === 'SIGKILL') this.killed = true;
    return this.ended;
  }

  #look(): void {
    for (const look of [...this.#waiting]) look();
  }
}
