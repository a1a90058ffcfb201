import { createServer } from 'node:net';
import { onTestFinished } from 'vitest';

async function listening(): Promise<{ port: number; close: () => Promise<void> }> {
  // It hears whoever connects out, so that they can leave, and says nothing.
  const server = createServer((socket) => void socket.on('error', () => {}).resume());
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error(`no port in ${String(address)}`);
  return { port: address.port, close: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** A port of this machine that another program has while the test runs. */
export async function takenPort(): Promise<number> {
  const { port, close } = await listening();
  onTestFinished(close);
  return port;
}

/** A port of this machine that nobody had a moment ago. */
export async function freePort(): Promise<number> {
  const { port, close } = await listening();
  await close();
  return port;
}

/** Ports that nobody had a moment ago: held together, so that they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(Array.from({ length: count }, listening));
  await Promise.all(held.map(({ close }) => close()));
  return held.map(({ port }) => port);
}
