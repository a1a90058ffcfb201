/** Runs a compiled module of this folder in a process of its own, so that its memory and its compiled code are its own too. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Resolves with the message the child sends; its output goes where ours does. Rejects if it ends without one. */
export function runChild(module: string, args: readonly string[] = []): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL(module, import.meta.url)), [...args], { execArgv: ['--expose-gc'], stdio: 'inherit' });
    let answer: { readonly message: unknown } | undefined;
    child.once('error', reject);
    child.on('message', (message) => {
      answer = { message };
    });
    child.once('exit', (code, signal) => {
      if (answer !== undefined && code === 0) resolve(answer.message);
      else reject(new Error(`${module} ${args.join(' ')} ended with ${signal ?? code} ${answer === undefined ? 'and said nothing' : ''}`));
    });
  });
}

/** The child's answer; resolves when it is on its way. */
export function answerParent(message: object): Promise<void> {
  return new Promise((resolve, reject) => {
    if (process.send === undefined) throw new Error('started by hand: there is no parent to answer');
    process.send(message, undefined, undefined, (error) => (error ? reject(error) : resolve()));
  });
}
