import { createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { DependencyError } from '../../src/errors.ts';
import { KafkaWriter } from '../../src/sink/kafka-writer.ts';

/** A broker that hangs up on everybody. */
async function brokenBroker(): Promise<{ address: string; tried: Promise<void> }> {
  let told = () => {};
  const tried = new Promise<void>((resolve) => {
    told = resolve;
  });
  const server = createServer((socket: Socket) => {
    told();
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { address: `127.0.0.1:${address.port}`, tried };
}

test('a stop does not sit out an outage of the broker: a write was tried for five minutes, and the process with it', async () => {
  const { address, tried } = await brokenBroker();
  const writer = new KafkaWriter({ brokers: [address], driver: 'kafkajs', topic: 'findings' }, 'findings');
  const writing = writer.write([{ key: 'a', value: 'b' }]);
  await tried;
  writer.stopWaiting();
  await expect(writing).rejects.toThrow(DependencyError);
  await expect(writing).rejects.toThrow(/could not write 1 findings to findings/);
  await writer.close();
}, 20_000);
