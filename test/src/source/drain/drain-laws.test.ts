import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDrain, type Drain } from '../../../../src/source/drain/http-drain.ts';
import { Journal } from '../../../../src/source/drain/journal.ts';
import type { Source } from '../../../../src/source/source.ts';
import { type SourceHarness, sourceLaws } from '../../../contracts/source-laws.ts';

const path = '/drain/logplex';

/** The laws are about what is handed in, so lines are put into the journal as they are: no HTTP body could carry all of them. */
async function harness(): Promise<SourceHarness> {
  const stateDir = await mkdtemp(join(tmpdir(), 'drain-laws-'));
  let open: Promise<Drain> | undefined;
  return {
    partitions: [path],
    source: () => {
      const drain = createDrain({ path, credentials: ['a:b'], dataset: 'x', stateDir, journal: { segmentBytes: 20_000, keepBytes: 0 } });
      open = drain;
      return opened(drain);
    },
    write: async (_, lines) => {
      const journal = await Journal.open({ dir: join(stateDir, 'journal', 'drain+logplex') });
      for (let i = 0; i < lines.length; i += 100) {
        await journal.append(lines.slice(i, i + 100).map((each) => ({ value: Buffer.from(each, 'latin1'), timestampMs: 1 })));
      }
      await journal.close();
    },
    dispose: async () => {
      await (await open)?.stop();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

/** A drain is opened before it is a source; the laws make sources without waiting. */
function opened(opening: Promise<Drain>): Source {
  let drain: Drain | undefined;
  return {
    name: `drain:${path}`,
    run: async (positions, into) => {
      drain = await opening;
      return drain.run(positions, into);
    },
    commit: async (positions) => (await opening).commit(positions),
    read: async (topic, partition, offset) => (await opening).read(topic, partition, offset),
    stop: async () => (await opening).stop(),
    health: () => drain?.health() ?? { ok: true },
  };
}

sourceLaws('drain', harness);
