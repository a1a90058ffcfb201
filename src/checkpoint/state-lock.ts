/**
 * One process for a state folder: two would write the same checkpoints, and trim each other's journals.
 *
 * Each binds a socket of its own in the folder, and only then looks at the others': one that answers has an owner that lives, and who finds
 * one gives way; one that refuses is what a killed process left, and is removed. The kernel ends a socket with its process, so that no hand
 * is needed after a kill, and a process id that comes again (1, in every container) means nothing. That a name is never used twice makes
 * removing safe, and that everybody binds before he looks makes two winners impossible: of two that start at once, the one that looks last
 * sees the other. Containers of one machine that share the folder see each other; machines that share it over a network do not.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DependencyError, UsageError } from '../errors.ts';

/** The state folder belongs to a process that lives. */
export class StateLockedError extends UsageError {
  override name = 'StateLockedError';
}

export interface StateLock {
  release(): Promise<void>;
}

const pattern = /^lock-[\da-f]{16}\.sock$/;
/** `sun_path` of the smallest kind of Unix, without its end. */
const longestPath = 103;
/** Of two that start at once each may see the other: they try again, not at the same time. */
const tries = 3;
const answerForMs = 2_000;
/** What a file system says that has no sockets. */
const noSockets = new Set(['EOPNOTSUPP', 'ENOTSUP', 'EPERM', 'EINVAL', 'ENOSYS', 'EACCES']);

/**
 * Takes the folder, which is made where it is missing. Throws a `StateLockedError` that names the owner, a `DependencyError` where the
 * folder cannot be written. Where no socket can be there it warns and goes on without a lock.
 */
export async function lockState(dir: string, warn: (message: string) => void): Promise<StateLock> {
  try {
    await mkdir(dir, { recursive: true });
  } catch (error) {
    throw new DependencyError(`the state folder ${dir} cannot be made: ${(error as Error).message}`, { cause: error });
  }
  for (let attempt = 1; ; attempt++) {
    const mine = await bind(dir, warn);
    if (mine === undefined) return { release: async () => {} };
    const owner = await livingOwner(dir, mine.name);
    if (owner === undefined) return { release: () => unbind(mine) };
    await unbind(mine);
    if (attempt === tries) {
      throw new StateLockedError([
        `the state folder ${dir} belongs to another streamgauge (${owner}): stop that one, or give this one a \`state.dir\` of its own`,
      ]);
    }
    await sleep(50 + Math.random() * 100 * attempt);
  }
}

interface Bound {
  readonly name: string;
  readonly path: string;
  readonly server: Server;
}

async function bind(dir: string, warn: (message: string) => void): Promise<Bound | undefined> {
  const name = `lock-${randomBytes(8).toString('hex')}.sock`;
  const about = `process ${process.pid} on ${hostname()}, since ${new Date(Date.now() - process.uptime() * 1000).toISOString()}`;
  const server = createServer((socket) => socket.on('error', () => {}).end(about));
  // It is there to be asked, and must not keep a process alive that is done.
  server.unref();
  try {
    await inFolder(dir, name, (path) => new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve)));
    return { name, path: join(dir, name), server };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined || !noSockets.has(code)) {
      throw new DependencyError(`the state folder ${dir} cannot be locked: ${message}`, { cause: error });
    }
    warn(`the state folder ${dir} cannot be locked (${message}): make sure that no two processes use it`);
    return undefined;
  }
}

async function unbind({ server, path }: Bound): Promise<void> {
  await new Promise((resolve) => server.close(resolve));
  await rm(path, { force: true }).catch(() => {});
}

/** What the owner of another lock says of itself; undefined if there is none. Removes what dead ones left. */
async function livingOwner(dir: string, mine: string): Promise<string | undefined> {
  for (const name of await readdir(dir)) {
    if (!pattern.test(name) || name === mine) continue;
    const owner = await inFolder(dir, name, ask);
    if (owner !== undefined) return owner;
    await rm(join(dir, name), { force: true }).catch(() => {});
  }
  return undefined;
}

/** Undefined if nobody listens. Who listens and does not answer is alive, if not well. */
function ask(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let said = '';
    const socket = createConnection(path);
    socket.setTimeout(answerForMs, () => socket.destroy());
    socket.on('data', (bytes) => {
      said += bytes.toString();
    });
    socket.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED' || code === 'ENOENT' ? undefined : 'unknown'));
    socket.on('close', () => resolve(said || 'a process that does not answer'));
  });
}

/** A socket's path may be 103 bytes long; Linux has a shorter one for every folder that is open. */
async function inFolder<T>(dir: string, name: string, use: (path: string) => Promise<T>): Promise<T> {
  const path = join(dir, name);
  if (Buffer.byteLength(path) <= longestPath) return use(path);
  if (process.platform !== 'linux') {
    throw Object.assign(new Error(`its path is longer than the ${longestPath} bytes a socket may have`), { code: 'EINVAL' });
  }
  const folder = openSync(dir, 'r');
  try {
    return await use(`/proc/self/fd/${folder}/${name}`);
  } finally {
    closeSync(folder);
  }
}
