import { expect, test } from 'vitest';
import { Origins } from '../../src/origins.ts';
import { createFileSource } from '../../src/source/file/file.ts';
import { createStdinSource } from '../../src/source/file/stdin.ts';
import { KafkaSource } from '../../src/source/kafka/kafka.ts';
import type { Origin, Source } from '../../src/source/source.ts';

const kafka = (topics: string[], origin?: Origin): Source => {
  const source = new KafkaSource({ brokers: ['127.0.0.1:1'], driver: 'kafkajs', topics, group: 'shop', dataset: 'app', format: 'json' });
  source.origin = async () => origin;
  return source;
};
const files = (...path: string[]) => createFileSource({ path, dataset: 'app', cwd: '/srv/shop' });

async function of(...sources: Source[]): Promise<Origins> {
  const origins = new Origins(sources);
  await origins.ask(() => undefined);
  return origins;
}

test('positions of which none is read here are another deployment’s; one that is left is enough', async () => {
  const two = await of(kafka(['orders', '/logs-.*/']), files('app.log', 'old/*.log', '/var/log/web.log'));
  for (const mine of ['orders/0', 'logs-7/3', 'app.log/0', 'old/b.log/2', '/var/log/web.log/0']) {
    expect(two.refusal({ positions: { 'gone/0': 5, [mine]: 1 } })).toBeUndefined();
  }
  expect(two.refusal({ positions: {} })).toBeUndefined();
  expect(two.refusal({ positions: { 'order/0': 1, 'order/1': 1, 'logs/0': 1, 'app.log.1/0': 1, 'older/b.log/0': 1 } })).toBe(
    'it goes on in app.log.1, logs, older/b.log, order, of which no source here reads any (kafka:orders,/logs-.*/, ' +
      'file:app.log,old/*.log,/var/log/web.log): name in `sources` what it reads',
  );
  const stdin = await of(createStdinSource({ dataset: 'app' }));
  expect(stdin.refusal({ positions: { 'stdin/0': 9 } })).toBeUndefined();
  expect(stdin.refusal({ positions: { 'app.log/0': 9 } })).toMatch(/^it goes on in app\.log, of which/);
});

test('a source that cannot tell what is its own refuses nothing', async () => {
  const silent = { name: 'memory' } as Source;
  expect((await of(silent)).refusal({ positions: { 'logs/0': 1 } })).toBeUndefined();
});

test('a topic of the same name in another cluster is another deployment’s, also one that is read again after a while', async () => {
  const ours = await of(kafka(['logs', 'orders'], { cluster: 'one', group: 'shop' }), files('app.log'));
  const saved = ours.of({ 'logs/0': 1, 'logs/1': 2, 'app.log/0': 3 });
  expect(saved).toEqual([{ cluster: 'one', group: 'shop', topics: ['logs'] }]);
  const theirs = await of(kafka(['logs'], { cluster: 'two', group: 'shop' }), files('app.log'));
  expect(theirs.refusal({ positions: { 'logs/0': 1, 'app.log/0': 3 }, origins: saved })).toBe(
    'it goes on in topic logs of the Kafka cluster one, and topic logs of this config is in the cluster two: use `brokers` of the former',
  );
  const without = await of(files('app.log'));
  expect(without.refusal({ positions: { 'logs/0': 1, 'app.log/0': 3 }, origins: saved })).toBeUndefined();
  without.restored({ origins: saved });
  expect(without.of({ 'logs/0': 1, 'app.log/0': 3 })).toEqual(saved);
  expect(without.of({ 'app.log/0': 3 })).toBeUndefined();
});

test('what does not say where its topics lie is not held against anything, nor by a cluster without an id', async () => {
  const ours = await of(kafka(['logs'], { cluster: 'one', group: 'shop' }));
  expect(ours.refusal({ positions: { 'logs/0': 1 } })).toBeUndefined();
  const unnamed = await of(kafka(['logs']));
  expect(unnamed.refusal({ positions: { 'logs/0': 1 }, origins: [{ cluster: 'one', group: 'shop', topics: ['logs'] }] })).toBeUndefined();
});

test('a group that was renamed is told, and no reason', async () => {
  const ours = await of(kafka(['logs'], { cluster: 'one', group: 'new' }));
  const checkpoint = { positions: { 'logs/0': 1 }, origins: [{ cluster: 'one', group: 'shop', topics: ['gone', 'logs'] }] };
  expect(ours.refusal(checkpoint)).toBeUndefined();
  expect(ours.restored(checkpoint)).toEqual([
    'the checkpoint was taken under the group shop, this is new: going on where the checkpoint stands, not where new does; move the checkpoint away to begin there',
  ]);
  expect(ours.of(checkpoint.positions)).toEqual([{ cluster: 'one', group: 'new', topics: ['logs'] }]);
});

test('a source that cannot be asked is named', async () => {
  const away = { name: 'kafka:logs', origin: () => Promise.reject(new Error('away')) } as unknown as Source;
  const told: string[] = [];
  await expect(new Origins([away]).ask(({ name }) => told.push(name))).rejects.toThrow('away');
  expect(told).toEqual(['kafka:logs']);
});
