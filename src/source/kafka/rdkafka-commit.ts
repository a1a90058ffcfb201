/** Commits over librdkafka: asked for in one call, answered through the consumer's rounds. */
import { type RdConsumer, type RdError, type RdPartition, rdFailure } from './rdkafka-client.ts';

/** How long to wait for the answer to a commit. */
export const commitAnswerMs = 10_000;

/** Who waits for an answer. */
export type OffsetCommits = Set<(error: RdError | undefined, partitions: readonly RdPartition[]) => void>;

/** Not `commitSync`, which would hold up the event loop for as long as the broker does. Rejects with the protocol's error. */
export function commitAndWait(
  consumer: RdConsumer,
  answers: OffsetCommits,
  list: readonly Required<RdPartition>[],
  withinMs: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const wanted = new Set(list.map(placeOf));
    const settle = (error?: Error) => {
      clearTimeout(timer);
      answers.delete(answered);
      if (error) reject(error);
      else resolve();
    };
    const answered = (error: RdError | undefined, partitions: readonly RdPartition[]) => {
      // A late answer to a commit that was given up is not ours.
      if (partitions.length !== wanted.size || !partitions.every((one) => wanted.has(placeOf(one)))) return;
      settle(error ? rdFailure(error) : undefined);
    };
    const timer = setTimeout(() => settle(new Error(`no answer to a commit within ${withinMs} ms`)), withinMs);
    answers.add(answered);
    try {
      consumer.commit(list);
    } catch (error) {
      settle(rdFailure(error as RdError));
    }
  });
}

function placeOf({ topic, partition, offset }: RdPartition): string {
  return `${topic}/${partition}@${offset}`;
}
