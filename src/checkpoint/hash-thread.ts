/**
 * SHA-256 of much at once, in a thread of its own: parts that lie in shared memory go there without a copy, so hashing 80 MB costs this
 * thread 3 ms. (WebCrypto's digest, in Node's thread pool, costs it as much as hashing here: it copies, and makes promises and garbage.)
 * The thread is started when it is first needed, and keeps no process alive that has nothing to hash.
 */
import { Worker } from 'node:worker_threads';

/** Text, because what runs from the sources and what runs from a build have no file in common that a worker could be started from. */
const program = `
const { createHash } = require('node:crypto');
const { parentPort } = require('node:worker_threads');
parentPort.on('message', (parts) => {
  parentPort.postMessage(parts.map((part) => createHash('sha256').update(part).digest()));
});`;

/** So much goes there in one message. */
const partsPerMessage = 64;

interface Waiting {
  readonly resolve: (digests: readonly Uint8Array[]) => void;
  readonly reject: (error: Error) => void;
}

export class HashThread {
  #worker: Worker | undefined;
  /** One for each message that is not answered, in order. */
  #waiting: Waiting[] = [];

  /** The digest of each part, in order. Rejects if the thread cannot be started or ends. */
  async digests(parts: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const answers: Promise<readonly Uint8Array[]>[] = [];
    for (let from = 0; from < parts.length; from += partsPerMessage) answers.push(this.#ask(parts.slice(from, from + partsPerMessage)));
    return (await Promise.all(answers)).flat();
  }

  #ask(parts: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
    return new Promise((resolve, reject) => {
      this.#worker ??= this.#start();
      this.#waiting.push({ resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage(parts);
    });
  }

  #start(): Worker {
    const worker = new Worker(program, {
      eval: true,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 8 },
    });
    worker.on('message', (digests: readonly Uint8Array[]) => {
      this.#waiting.shift()?.resolve(digests);
      if (this.#waiting.length === 0) worker.unref();
    });
    const ended = (error: Error) => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    };
    worker.on('error', ended);
    worker.on('exit', (code) => ended(new Error(`the thread that hashes ended with ${code}`)));
    return worker;
  }
}
