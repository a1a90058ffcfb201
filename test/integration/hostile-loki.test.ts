/**
 * The Loki sink against servers that answer wrongly, slowly, never or without end. Nothing is lost but what was refused by name, the health
 * says what is wrong while it is, and an answer takes neither memory nor time without bound.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sampleFinding } from '../contracts/sink-laws.ts';
import { queuedLoki } from '../support/loki-shipper.ts';
import { makeTempDir } from '../support/temp-dir.ts';

interface Push {
  /** Ids of the findings in it. */
  readonly ids: readonly string[];
  readonly response: ServerResponse;
  readonly request: IncomingMessage;
  /** As Loki does with what it takes. */
  store(ids?: readonly string[]): void;
}

type Behaviour = (push: Push) => void;

const answer =
  (status: number, body = '', headers: Record<string, string> = {}): Behaviour =>
  ({ response }) =>
    void response.writeHead(status, headers).end(body);

/** Refuses the first entry for its age and stores the others, as Loki does. */
const partly: Behaviour = ({ ids, response, store }) => {
  store(ids.slice(1));
  response.writeHead(400).end(`entry for stream '{job="findings"}' has timestamp too old: 2026-11-02T10:00:00Z`);
};

/** Stores all, then says nothing, or half of it. */
const takenWithoutAnswer: Behaviour = ({ ids, request, store }) => {
  store(ids);
  request.socket.destroy();
};
const halfAnAnswer: Behaviour = ({ request }) => {
  request.socket.end('HTTP/1.1 204 No Con');
};
const garbage: Behaviour = ({ request }) => {
  request.socket.end('220 mail.example.com ESMTP\r\n');
};

let streamed = 0;
/** As fast as it is read, until nobody does. */
const withoutEnd: Behaviour = ({ response }) => {
  response.writeHead(500);
  const more = (): void => {
    for (let room = true; room && !response.destroyed; streamed += 64 * 1024) room = response.write(Buffer.alloc(64 * 1024, 'x'));
  };
  response.on('drain', more);
  more();
};
/** A byte now and then, never silent for long. */
const drip: Behaviour = ({ response }) => {
  response.writeHead(500);
  const timer = setInterval(() => response.write('x'), 50);
  response.on('close', () => clearInterval(timer));
};

const cleanups: (() => Promise<unknown>)[] = [];

/** A server that does one after the other, and then stores all. */
async function hostile(behaviours: readonly Behaviour[]) {
  const left = [...behaviours];
  const stored = new Map<string, number>();
  let pushes = 0;
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    pushes++;
    const { streams } = JSON.parse(gunzipSync(Buffer.concat(parts)).toString());
    const ids: string[] = streams.flatMap(({ values }: { values: [string, string, { finding_id: string }][] }) =>
      values.map(([, , metadata]) => metadata.finding_id),
    );
    const store = (taken: readonly string[] = ids): void => {
      for (const id of taken) stored.set(id, (stored.get(id) ?? 0) + 1);
    };
    const next = left.shift();
    if (next !== undefined) return next({ ids, request, response, store });
    store();
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stored, pushes: () => pushes };
}

interface Row {
  readonly behaviours: readonly Behaviour[];
  /** What the health says meanwhile; none where a request is only tried again. */
  readonly trouble?: RegExp;
  readonly dropped?: Readonly<Record<string, number>>;
  /** How long an answer is waited for; else so long that a busy machine is no hostile server. */
  readonly answerForMs?: number;
}

/** So that whoever looks at the health meanwhile is not too late. */
const twice = (behaviour: Behaviour) => [behaviour, behaviour];

const rows: readonly (readonly [name: string, row: Row])[] = [
  ['that refuses one entry keeps the others, and the one is counted', { behaviours: [partly], dropped: { too_old: 1 } }],
  [
    'that is asked too much is asked again when it says',
    { behaviours: [answer(429, 'Ingestion rate limit exceeded', { 'retry-after': '1' })] },
  ],
  ['that has trouble is asked again', { behaviours: [answer(500, 'empty ring'), answer(502, '<html>'), answer(503)] }],
  [
    'that blocks ingestion with a 260 is no success',
    { behaviours: twice(answer(260, 'ingestion blocked')), trouble: /260 ingestion blocked/ },
  ],
  ['that sends us elsewhere is not followed', { behaviours: twice(answer(302, '', { location: 'http://192.0.2.1/' })), trouble: /302/ }],
  [
    'that never answers is given up and asked again',
    { behaviours: Array.from({ length: 3 }, () => () => {}), trouble: /timeout/i, answerForMs: 400 },
  ],
  ['that takes all and hangs up is sent it again', { behaviours: [takenWithoutAnswer] }],
  ['that sends half an answer is asked again', { behaviours: [halfAnAnswer] }],
  ['that is no HTTP server is asked again', { behaviours: [garbage, garbage] }],
  ['that answers without end is not listened to', { behaviours: [withoutEnd] }],
  ['that drips its answer is given up', { behaviours: [drip], answerForMs: 400 }],
  [
    'that is behind a wrong path says so until it is not',
    { behaviours: twice(answer(404, '404 page not found')), trouble: /404 page not found/ },
  ],
];

async function carriedOut({ behaviours, trouble, dropped = {}, answerForMs = 10_000 }: Row): Promise<void> {
  const { url, stored, pushes } = await hostile(behaviours);
  const dir = await makeTempDir();
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  const sink = queuedLoki(dir, `app-${randomBytes(4).toString('hex')}`, {
    ...{ url, maxAgeMs: Number.POSITIVE_INFINITY, retryForMs: 1500, answerForMs },
  });
  const findings = [sampleFinding(1), sampleFinding(2), sampleFinding(3)];
  await sink.open();
  await sink.write(findings);
  if (trouble !== undefined) {
    await expect
      .poll(() => sink.health(), { timeout: 10_000, interval: 20 })
      .toMatchObject({ ok: false, kept: true, reason: expect.stringMatching(trouble) });
  }
  expect(await sink.settled(20_000)).toBe(true);
  expect(sink.health()).toMatchObject({ ok: true, dropped });
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  const ids = findings.map(({ id }) => id);
  expect(ids.filter((id) => stored.has(id)).length).toBe(ids.length - lost);
  expect(pushes()).toBeGreaterThanOrEqual(behaviours.length);
  await sink.close();
}

/** They wait more than they work, so all go at once. */
const underWay = new Map<string, Promise<unknown>>();
beforeAll(() => {
  for (const [name, row] of rows)
    underWay.set(
      name,
      carriedOut(row).catch((error: unknown) => error),
    );
});
afterAll(async () => {
  for (const cleanup of cleanups) await cleanup();
});

test.each(rows)('a Loki %s', { timeout: 30_000 }, async (name) => {
  const failure = await underWay.get(name);
  if (failure !== undefined) throw failure;
});

test('of an answer without end little was read', () => {
  expect(streamed).toBeGreaterThan(0);
  expect(streamed).toBeLessThan(16 * 1024 ** 2);
});
