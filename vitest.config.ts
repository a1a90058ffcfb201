import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 120_000,
    // Integration suites mostly wait, for a broker or a clock. Vitest's own choice on two cores is one file at a time, which takes twice as long.
    maxWorkers: 5,
    reporters: ['default'],
  },
});
