/**
 * Sends Logplex batches as fast as they are answered, over keep-alive connections, from a process of its own. Told by its parent, over IPC,
 * where to and for how long; answers how many were answered and what of its processor it took, so that it shows when it is the limit.
 */
import { Pool } from 'undici';

export interface Load {
  readonly port: number;
  readonly forMs: number;
  readonly expect: number;
  /** As many Logplex nodes: each sends its next batch when the last one was answered. */
  readonly connections: number;
}

export interface LoadResult {
  readonly answered: number;
  readonly tookMs: number;
  readonly processor: number;
}

export const authorization = `Basic ${Buffer.from('app:right').toString('base64')}`;
export const framesPerBody = 100;
const bodies = Array.from({ length: 64 }, (_, i) => logplexBody(i));
let sent = 0;

/** 100 router lines of a second, from a thousand addresses. */
function logplexBody(second: number): Buffer {
  const frames: Buffer[] = [];
  for (let i = 0; i < framesPerBody; i++) {
    const n = second * framesPerBody + i;
    const time = new Date(Date.UTC(2026, 0, 5, 12, 0, second, i * 10)).toISOString().replace('Z', '000+00:00');
    const address = `203.0.${(n * 7919) % 250}.${n % 4}`;
    const request = `method=GET path="/p/${(n * 31) % 977}" fwd="${address}" dyno=web.1 connect=0ms service=${n % 90}ms status=200 bytes=656`;
    const message = Buffer.from(`<158>1 ${time} host heroku router - at=info ${request}\n`);
    frames.push(Buffer.from(`${message.length} `), message);
  }
  return Buffer.concat(frames);
}

async function send({ port, forMs, expect, connections }: Load): Promise<LoadResult> {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections, pipelining: 1 });
  const start = performance.now();
  const used = process.cpuUsage();
  let answered = 0;
  const loop = async (): Promise<void> => {
    while (performance.now() - start < forMs) {
      sent++;
      const headers = {
        authorization,
        'content-type': 'application/logplex-1',
        'logplex-msg-count': String(framesPerBody),
        'logplex-frame-id': sent.toString(16).toUpperCase().padStart(32, '0'),
        'logplex-drain-token': 'd.fc6b856b-3332-4546-93de-7d0ee272c3bd',
        'user-agent': 'Logplex/v49',
      };
      const answer = await pool.request({ method: 'POST', path: '/drain/logplex', headers, body: bodies[sent % bodies.length] });
      await answer.body.dump();
      if (answer.statusCode !== expect) throw new Error(`answered ${answer.statusCode}, expected ${expect}`);
      answered++;
    }
  };
  await Promise.all(Array.from({ length: connections }, loop));
  const tookMs = performance.now() - start;
  const { user, system } = process.cpuUsage(used);
  await pool.close();
  return { answered, tookMs, processor: (user + system) / 1000 / tookMs };
}

if (process.send !== undefined && process.argv.includes('--drain-client')) {
  process.on('message', (load: Load) => {
    send(load).then(
      (result) => process.send?.(result),
      (error: Error) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}
