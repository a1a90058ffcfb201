import { test } from 'vitest';

/** A law is a test that says whose it is, over a harness of its own. */
export function lawsOf<Harness extends { dispose(): Promise<void> }>(name: string, makeHarness: () => Promise<Harness>) {
  return (sentence: string, body: (harness: Harness) => Promise<void>): void => {
    test(`${name}: ${sentence}`, async () => {
      const harness = await makeHarness();
      try {
        await body(harness);
      } finally {
        await harness.dispose();
      }
    });
  };
}
