/** The real command as a process: what a user starts, reads, signals and kills. Ended with the test that started it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { onTestFinished } from 'vitest';
import { builtCommand } from './build.ts';

export interface CommandOptions {
  readonly cwd: string;
  /** Beside PATH and HOME; nothing else of the test's own environment is passed on. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to standard input, which is then closed. */
  readonly input?: string | Uint8Array;
}

export interface Ended {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Command {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  private hasEnded = false;
  private readonly waiting = new Set<() => void>();

  private constructor(child: ChildProcess, input: string | Uint8Array | undefined) {
    this.child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.heard('stdout', text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.heard('stderr', text));
    // A command that ends before it has read everything is no failure of the test's.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input ?? '');
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.hasEnded = true;
        for (const look of this.waiting) look();
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  /** `whenOver` is when it is killed at the latest: with the test, or, given `afterAll`, with its file. */
  static start(
    args: readonly string[],
    { cwd, env, input }: CommandOptions,
    whenOver: (end: () => Promise<void>) => void = onTestFinished,
  ): Command {
    const child = spawn(process.execPath, [builtCommand(), ...args], {
      cwd,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const command = new Command(child, input);
    whenOver(async () => {
      await command.kill();
    });
    return command;
  }

  /** What `pattern` finds first in the output, once it does. Rejects, with the output, when the command ends without it. */
  async says(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stderr'): Promise<RegExpExecArray> {
    return this.until(`${stream} says ${pattern}`, () => pattern.exec(this[stream]) ?? undefined);
  }

  /** What `look` returns, once it returns anything; it is asked again whenever the command has said something. */
  private until<T>(what: string, look: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const again = () => {
        const found = look();
        if (found === undefined && !this.hasEnded) return;
        this.waiting.delete(again);
        if (found !== undefined) resolve(found);
        else reject(new Error(`ended before ${what}:\n${this.stdout}\n${this.stderr}`));
      };
      this.waiting.add(again);
      again();
    });
  }

  /** The address `run` or `demo --serve` listens on, once it does. */
  async address(): Promise<string> {
    return (await this.says(/"address":"(http:[^"]+)"/))[1];
  }

  /** Asks it to stop and waits until it has. */
  stop(signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM'): Promise<Ended> {
    this.child.kill(signal);
    return this.ended;
  }

  /** `kill -9`. */
  kill(): Promise<Ended> {
    if (!this.hasEnded) this.child.kill('SIGKILL');
    return this.ended;
  }

  private heard(stream: 'stdout' | 'stderr', text: string): void {
    this[stream] += text;
    for (const look of [...this.waiting]) look();
  }
}

/** Runs the command to its end. */
export function command(args: readonly string[], options: CommandOptions): Promise<Ended> {
  return Command.start(args, options).ended;
}
