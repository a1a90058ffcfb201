/** Streams of events as property tests want them: few keys, times that walk forward with steps back, some of them further than a lateness. */
import fc from 'fast-check';
import type { TestEvent } from './events.ts';

export interface StreamShape {
  readonly partitions: number;
  /** Between two events of a partition. */
  readonly longestStepMs: number;
  readonly minLength: number;
  /** Where every partition begins. */
  readonly baseMs: number;
}

export function streamsOf({ partitions, longestStepMs, minLength, baseMs }: StreamShape): fc.Arbitrary<TestEvent[]> {
  const steps = fc.array(
    fc.record({
      partition: fc.nat(partitions - 1),
      stepMs: fc.integer({ min: -8_000, max: longestStepMs }),
      'client.address': fc.constantFrom('192.0.2.1', '192.0.2.2', '192.0.2.3'),
      'user.email': fc.constantFrom('a@x.org', 'b@x.org', 'c@x.org', 'd@x.org', 'e@x.org', 'f@x.org'),
      took: fc.integer({ min: 0, max: 100 }),
    }),
    { minLength, maxLength: 150 },
  );
  return steps.map((all) => {
    const now = new Map<number, number>();
    return all.map(({ stepMs, partition, ...fields }) => {
      const timeMs = (now.get(partition) ?? baseMs) + stepMs;
      now.set(partition, timeMs);
      return { timeMs, partition, ...fields };
    });
  });
}
