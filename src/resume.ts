/** How a run begins that has a place for checkpoints: from the newest one, if it is this deployment's. */
import type { Logger } from 'pino';
import { bytesIn } from '../processors/snapshot.ts';
import type { AllSinks } from './all-sinks.ts';
import type { CheckpointStore } from './checkpoint/checkpoint.ts';
import type { LiveState } from './live-state.ts';
import type { Origins } from './origins.ts';

export interface ResumeParts {
  readonly checkpoints: CheckpointStore;
  readonly origins: Origins;
  readonly sinks: AllSinks;
  readonly state: LiveState;
  readonly log: Logger;
}

/** After the origins are known, before anything is read or written. Throws a CheckpointError for a checkpoint that must not be used. */
export async function resume({ checkpoints, origins, sinks, state, log }: ResumeParts): Promise<void> {
  const checkpoint = await checkpoints.load((found) => origins.refusal(found));
  await sinks.resume(checkpoint?.marks);
  if (checkpoint === undefined) {
    // Killed before its first checkpoint, a run would otherwise not know what it wrote.
    if (sinks.hasMarks) await checkpoints.save({ positions: {}, state: [state.pipeline.snapshot()], marks: await sinks.marks() });
    return;
  }
  const beginAnew = state.restore(checkpoint);
  for (const remark of origins.restored(checkpoint)) log.warn(remark);
  const { positions } = checkpoint;
  log.info({ positions, stateBytes: bytesIn(checkpoint.state), beginAnew }, 'restored from the checkpoint');
}
