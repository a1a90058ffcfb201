/** Shutdown in order and within a deadline, naming what was stuck. */
import type { EngineParts } from './engine-parts.ts';

export interface ShutdownStep {
  readonly name: string;
  readonly run: () => Promise<void>;
}

export interface StuckStep {
  readonly name: string;
  readonly reason: string;
}

/** No more input comes, what lies `between` is done with what came, and then nothing more goes out. */
export function shutdownSteps(parts: EngineParts, between: readonly ShutdownStep[]): ShutdownStep[] {
  const { sources, sinks, deadLetter, checkpoints } = parts;
  return [
    ...sources.map((source) => ({ name: `source ${source.name}`, run: () => source.stop() })),
    ...between,
    ...sinks.map((sink) => ({ name: `sink ${sink.name}`, run: () => sink.close() })),
    ...(deadLetter === undefined ? [] : [{ name: 'the dead letter', run: () => deadLetter.close() }]),
    ...(checkpoints?.close === undefined ? [] : [{ name: 'the checkpoints', run: async () => checkpoints.close?.() }]),
  ];
}

/** Runs the steps one after the other; a step that fails or outlasts its share of what is left of `deadlineMs` is named and passed over. */
export async function shutDown(steps: readonly ShutdownStep[], deadlineMs: number): Promise<StuckStep[]> {
  const stuck: StuckStep[] = [];
  const endMs = performance.now() + deadlineMs;
  for (const [index, step] of steps.entries()) {
    // Half of what is left, so that one stuck step leaves time for those after it; the last may have all.
    const leftMs = Math.max(100, endMs - performance.now());
    const limitMs = index === steps.length - 1 ? leftMs : leftMs / 2;
    const reason = await within(step.run(), limitMs);
    if (reason !== undefined) stuck.push({ name: step.name, reason });
  }
  return stuck;
}

async function within(task: Promise<void>, limitMs: number): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`not done after ${Math.round(limitMs)} ms`), limitMs);
  });
  try {
    return await Promise.race([task.then(() => undefined), late]);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    clearTimeout(timer);
  }
}
