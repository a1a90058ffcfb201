import { copyFile, cp, mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  Journal,
  JournalFullError,
  type JournalOptions,
  type JournalRecord,
  type StoredRecord,
} from '../../../../src/source/drain/journal.ts';
import { RecordSlices } from '../../../../src/source/drain/record-slices.ts';

let root: string;
let dir: string;
let folders = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'journal-'));
});
beforeEach(() => {
  dir = join(root, String(folders++));
});
afterAll(() => rm(root, { recursive: true, force: true }));

function record(text: string, headers?: Record<string, string>, timestampMs = 1_700_000_000_000): JournalRecord {
  return { value: Buffer.from(text), timestampMs, headers };
}

function texts(records: readonly StoredRecord[]): string[] {
  return records.map((each) => `${each.offset}:${Buffer.from(each.value)}`);
}

/** Everything kept at the moment. */
async function all(journal: Journal, from = 0): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  for await (const batch of journal.readFrom(from, { until: journal.nextSequence })) records.push(...batch);
  return records;
}

async function withJournal<T>(options: Partial<JournalOptions>, use: (journal: Journal) => Promise<T>): Promise<T> {
  const journal = await Journal.open({ dir, ...options });
  try {
    return await use(journal);
  } finally {
    await journal.close();
  }
}

async function files(folder = dir): Promise<string[]> {
  return (await readdir(folder)).sort().map((name) => join(folder, name));
}

describe('a journal', () => {
  test('numbers records from 0 and gives them back with their headers and times, over a restart too', async () => {
    const headers = { 'logplex-drain-token': 'd.1', ünï: '☃' };
    await withJournal({}, async (journal) => {
      expect(await journal.append([record('a', headers, 1), record('b', headers, 1), record('c', undefined, 1)])).toBe(0);
      expect(await journal.append([record('', { x: 'y' }, 2.5)])).toBe(3);
      expect(await journal.append([])).toBe(4);
    });
    await withJournal({}, async (journal) => {
      expect(journal.nextSequence).toBe(4);
      expect(await journal.append([record('e')])).toBe(4);
      const kept = await all(journal);
      expect(texts(kept)).toEqual(['0:a', '1:b', '2:c', '3:', '4:e']);
      expect(kept.map((each) => each.headers)).toEqual([headers, headers, undefined, { x: 'y' }, undefined]);
      expect(kept.map((each) => each.timestampMs)).toEqual([1, 1, 1, 2.5, 1_700_000_000_000]);
      expect(texts(await all(journal, 2))).toEqual(['2:c', '3:', '4:e']);
    });
  });

  test('gives records of one piece of memory back as if each had come alone, from any number on', async () => {
    const headers = fc.option(fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 }), { maxKeys: 3 }), { nil: undefined });
    const record = fc.record({ gap: fc.nat(5), bytes: fc.nat(40), set: fc.nat(2) });
    await withJournal({ segmentBytes: 2000 }, async (journal) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(record, { minLength: 1, maxLength: 30 }),
          headers,
          headers,
          fc.nat(30),
          async (list, first, other, from) => {
            const bytes = Buffer.from(
              Array.from({ length: list.reduce((sum, { gap, bytes }) => sum + gap + bytes, 5) }, (_, i) => i % 251),
            );
            const slices = new RecordSlices(bytes, 1234.5, first);
            const set = slices.addHeaderSet(other ?? {});
            let at = 0;
            list.forEach(({ gap, bytes, set: wanted }, i) => {
              slices.add(at + gap, at + gap + bytes);
              at += gap + bytes;
              if (wanted === 2) slices.setHeaders(i, set);
            });
            const start = await journal.append(slices);
            const kept = (await all(journal, start + from)).map(({ offset, value, ...rest }) => ({ ...rest, value: Buffer.from(value) }));
            expect(kept).toEqual(slices.toRecords().slice(from));
            expect((await journal.read(start))?.value).toEqual(slices.toRecords()[0].value);
          },
        ),
        { seed: 20261121, numRuns: 50 },
      );
    });
  });

  test('lets appends that wait share a sync, and resolves none before it', async () => {
    let syncs = 0;
    const durable: number[] = [];
    const sync: JournalOptions['sync'] = async (file) => {
      const before = durable.length;
      await file.datasync();
      expect(durable.length).toBe(before);
      syncs++;
    };
    await withJournal({ sync }, async (journal) => {
      const appends = Array.from({ length: 200 }, (_, i) => journal.append([record(`${i}`)]).then((first) => durable.push(first)));
      await Promise.all(appends);
      expect(durable).toEqual(Array.from({ length: 200 }, (_, i) => i));
      expect(syncs).toBeLessThan(10);
    });
  });

  test('hands a reader what is appended later, and ends it when it is told to', async () => {
    await withJournal({ segmentBytes: 200 }, async (journal) => {
      const stop = new AbortController();
      const seen: string[] = [];
      const wanted = Array.from({ length: 100 }, (_, i) => `${i}:${i}`);
      const reading = (async () => {
        for await (const batch of journal.readFrom(0, { signal: stop.signal })) {
          seen.push(...texts(batch));
          if (seen.length === wanted.length) stop.abort();
        }
      })();
      for (let i = 0; i < wanted.length; i++) await journal.append([record(`${i}`)]);
      await reading;
      expect(seen).toEqual(wanted);
      expect((await files()).length).toBeGreaterThan(5);
    });
  });

  test('ends readers that wait when it is closed', async () => {
    const journal = await Journal.open({ dir });
    const reading = journal.readFrom(0).next();
    await journal.close();
    expect(await reading).toEqual({ value: undefined, done: true });
    await expect(journal.append([record('x')])).rejects.toThrow('closed');
  });

  test('reads one record by number, in any file, and says when there is none', async () => {
    await withJournal({ segmentBytes: 300_000 }, async (journal) => {
      for (let i = 0; i < 30; i++) await journal.append(Array.from({ length: 30 }, (_, j) => record(`${i * 30 + j} ${'x'.repeat(1000)}`)));
    });
    await withJournal({ segmentBytes: 300_000 }, async (journal) => {
      for (const sequence of [0, 29, 30, 449, 898, 899, 1]) {
        const found = await journal.read(sequence);
        expect(found?.offset).toBe(sequence);
        expect(Buffer.from(found?.value ?? []).toString()).toMatch(new RegExp(`^${sequence} x`));
      }
      for (const sequence of [-1, 900, 1.5, Number.NaN]) expect(await journal.read(sequence)).toBeUndefined();
    });
  });

  test('removes whole files before a number, and keeps as many bytes as it was told to', async () => {
    await withJournal({ segmentBytes: 1000, keepBytes: 0 }, async (journal) => {
      for (let i = 0; i < 50; i++) await journal.append([record('x'.repeat(100))]);
      const before = journal.bytes;
      await journal.trim(25);
      expect(journal.firstSequence).toBeLessThanOrEqual(25);
      expect(journal.firstSequence).toBeGreaterThan(15);
      expect(journal.bytes).toBeLessThan(before);
      expect((await all(journal))[0].offset).toBe(journal.firstSequence);
      expect(await journal.read(0)).toBeUndefined();
      await journal.trim(50);
      expect((await files()).filter((file) => file.endsWith('.journal'))).toHaveLength(1);
    });
    await withJournal({ segmentBytes: 1000, keepBytes: 3000 }, async (journal) => {
      for (let i = 0; i < 50; i++) await journal.append([record('x'.repeat(100))]);
      await journal.trim(100);
      expect(journal.bytes).toBeGreaterThan(2000);
      expect(journal.bytes).toBeLessThan(4100);
      expect(journal.nextSequence).toBe(100);
    });
  });

  test('refuses at its size cap, says when there is room again, and numbers on without a gap', async () => {
    await withJournal({ maxBytes: 4000, keepBytes: 0 }, async (journal) => {
      let kept = 0;
      const fill = async (): Promise<void> => {
        for (;;) {
          await journal.append([record('x'.repeat(100))]);
          kept++;
        }
      };
      await expect(fill()).rejects.toThrow(JournalFullError);
      expect(journal.bytes).toBeLessThanOrEqual(4000);
      const room = journal.room(60_000);
      await journal.trim(kept);
      await room;
      expect(await journal.append([record('y')])).toBe(kept);
      await journal.room(1);
    });
  });

  test('never gives out what a failing disk did not take, and goes on when it works again', async () => {
    let failing = false;
    const sync: JournalOptions['sync'] = (file) => (failing ? Promise.reject(new Error('EIO: i/o error')) : file.datasync());
    await withJournal({ sync }, async (journal) => {
      await journal.append([record('a')]);
      failing = true;
      await expect(journal.append([record('lost')])).rejects.toThrow('EIO');
      await expect(journal.append([record('lost too')])).rejects.toThrow('EIO');
      expect(journal.failure?.message).toContain('write failed');
      expect(texts(await all(journal))).toEqual(['0:a']);
      failing = false;
      expect(await journal.append([record('b')])).toBe(1);
      expect(journal.failure).toBeUndefined();
    });
    await withJournal({}, async (journal) => expect(texts(await all(journal))).toEqual(['0:a', '1:b']));
  });

  test('starts further on when a checkpoint remembers more than the folder holds', async () => {
    await withJournal({}, async (journal) => {
      await journal.startAt(1000);
      expect(await journal.append([record('a')])).toBe(1000);
      await journal.startAt(10);
      expect(await journal.append([record('b')])).toBe(1001);
      expect(texts(await all(journal))).toEqual(['1000:a', '1001:b']);
    });
    await withJournal({}, async (journal) => expect(journal.nextSequence).toBe(1002));
  });

  test('leaves nothing of a failed write behind when it starts further on', async () => {
    let failing = false;
    const sync: JournalOptions['sync'] = (file) => (failing ? Promise.reject(new Error('EIO')) : file.datasync());
    await withJournal({ sync }, async (journal) => {
      await journal.append([record('a')]);
      failing = true;
      await expect(journal.append([record('lost')])).rejects.toThrow('EIO');
      failing = false;
      await journal.startAt(10);
      await journal.append([record('b')]);
    });
    await withJournal({}, async (journal) => expect(texts(await all(journal))).toEqual(['0:a', '10:b']));
  });

  test('says what is wrong with a folder it cannot use', async () => {
    await mkdir(dir);
    await (await open(join(dir, 'file'), 'w')).close();
    await expect(Journal.open({ dir: join(dir, 'file') })).rejects.toThrow(/journal .*cannot be opened/);
  });
});

describe('files that are written again', () => {
  const ring = { segmentBytes: 1000, keepBytes: 0, maxBytes: 20_000 };

  /** Fills files, and lets go of them, until most were written more than once. */
  async function goRound(journal: Journal): Promise<void> {
    for (let i = 0; i < 60; i++) {
      await journal.append([record(`${i}`.padEnd(100, '.')), record(`${i}`)]);
      if (i % 10 === 9) await journal.trim(2 * i - 8);
    }
  }

  async function diskBytes(): Promise<number> {
    let bytes = 0;
    for (const file of await files()) bytes += (await stat(file)).size;
    return bytes;
  }

  test('hold what was written last and nothing of before, whether they were closed or not', async () => {
    const damage: string[] = [];
    const onDamage = (text: string) => damage.push(text);
    await withJournal(ring, async (journal) => {
      await goRound(journal);
      const kept = texts(await all(journal));
      expect((await files()).some((file) => file.endsWith('.spare'))).toBe(true);
      const crashed = join(root, 'not-closed');
      await cp(dir, crashed, { recursive: true });
      const copy = await Journal.open({ ...ring, dir: crashed, onDamage });
      expect(texts(await all(copy))).toEqual(kept);
      expect(copy.bytes).toBe(journal.bytes);
      await goRound(copy);
      expect(copy.nextSequence).toBe(240);
      expect(texts(await all(copy)).at(-1)).toBe('239:59');
      await copy.close();
    });
    await withJournal({ ...ring, onDamage }, async (journal) => expect(texts(await all(journal)).at(-1)).toBe('119:59'));
    expect(damage).toEqual([]);
  });

  test('cut at any byte of the last write, hold every append before that', async () => {
    await withJournal(ring, async (journal) => {
      await goRound(journal);
      const before = texts(await all(journal));
      const last = (await files()).filter((file) => file.endsWith('.journal')).at(-1) as string;
      const old = await readFile(last);
      const next = journal.nextSequence;
      await journal.append([record('torn')]);
      const written = await readFile(last);
      const from = written.findIndex((byte, i) => byte !== old[i]);
      expect(written.length).toBe(old.length);
      for (let cut = from; cut < from + 60; cut++) {
        const crashed = join(root, `torn-${cut}`);
        await cp(dir, crashed, { recursive: true });
        await writeFile(join(crashed, last.slice(dir.length + 1)), Buffer.concat([written.subarray(0, cut), old.subarray(cut)]));
        const copy = await Journal.open({ ...ring, dir: crashed });
        const wholeWrite = copy.nextSequence === next + 1;
        expect(texts(await all(copy))).toEqual(wholeWrite ? [...before, `${next}:torn`] : before);
        expect(await copy.append([record('after')])).toBe(copy.nextSequence - 1);
        await copy.close();
      }
    });
  });

  test('are not written while somebody reads them', async () => {
    const value = (i: number) => record(`${i}`.padEnd(300_000, '.'));
    await withJournal({ segmentBytes: 3_000_000, keepBytes: 0 }, async (journal) => {
      for (let i = 0; i < 30; i++) await journal.append([value(i)]);
      const reader = journal.readFrom(0, { until: 60 });
      const read = [...((await reader.next()).value ?? [])];
      expect(read.length).toBeLessThan(5);
      await journal.trim(30);
      for (let i = 30; i < 60; i++) await journal.append([value(i)]);
      for await (const batch of reader) read.push(...batch);
      for (const { offset, value: bytes } of read) expect(Number.parseInt(Buffer.from(bytes).toString(), 10)).toBe(offset);
      const offsets = read.map(({ offset }) => offset);
      // The rest of the file that was being read, then what is still kept.
      expect(offsets.slice(0, 10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
      expect(offsets.at(-1)).toBe(59);
    });
  });

  test('make the folder no larger than one file more than it may be', async () => {
    await withJournal({ ...ring, maxBytes: 6000 }, async (journal) => {
      let most = 0;
      for (let i = 0; i < 300; i++) {
        await journal.append([record('x'.repeat(100))]);
        if (i % 30 === 0) await journal.trim(i);
        most = Math.max(most, await diskBytes());
      }
      expect(most).toBeGreaterThan(4000);
      expect(most).toBeLessThanOrEqual(6000 + 1000 + 300);
    });
  });
});

describe('after a crash', () => {
  test('cut at any byte of the last append, it holds every append before that and goes on', async () => {
    await withJournal({}, async (journal) => {
      for (let i = 0; i < 3; i++) await journal.append([record(`first of ${i}`, { n: `${i}` }), record(`second of ${i}`)]);
    });
    const [file] = await files();
    const whole = await readFile(file);
    const lastStart = whole.lastIndexOf('SGJ1');
    for (let length = lastStart; length < whole.length; length++) {
      const crashed = join(root, `crash-${length}`);
      await mkdir(crashed);
      const copy = join(crashed, file.slice(dir.length + 1));
      await copyFile(file, copy);
      await truncate(copy, length);
      const damage: string[] = [];
      const journal = await Journal.open({ dir: crashed, onDamage: (text) => damage.push(text) });
      expect(journal.nextSequence).toBe(4);
      expect(damage.length).toBe(length === lastStart ? 0 : 1);
      expect(await journal.append([record('after')])).toBe(4);
      expect(texts(await all(journal)).slice(-2)).toEqual(['3:second of 1', '4:after']);
      await journal.close();
    }
  });

  test('a last append with a hole or with rubbish behind it is cut too', async () => {
    await withJournal({}, async (journal) => {
      await journal.append([record('kept')]);
      await journal.append([record('x'.repeat(10_000))]);
    });
    const [file] = await files();
    const handle = await open(file, 'r+');
    await handle.write(Buffer.alloc(4096), 0, 4096, 5000);
    await handle.write(Buffer.from('SGJ1 and rubbish'), 0, 16, 10_500);
    await handle.close();
    await withJournal({}, async (journal) => {
      expect(journal.nextSequence).toBe(1);
      expect(texts(await all(journal))).toEqual(['0:kept']);
    });
  });

  test('any damage in the middle costs the appends it touched, is told, and shifts no number', async () => {
    await withJournal({}, async (journal) => {
      for (let i = 0; i < 40; i++) await journal.append([record(`a${i + 10}`), record(`b${i + 10}`)]);
    });
    const [file] = await files();
    const whole = await readFile(file);
    const entryBytes = whole.length / 40;
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 38 * entryBytes - 1 }),
        fc.uint8Array({ minLength: 1, maxLength: 30 }),
        async (at, rubbish) => {
          const folder = join(root, `damage-${runs++}`);
          await mkdir(folder);
          const damagedBytes = Buffer.from(whole);
          damagedBytes.set(rubbish, at);
          const handle = await open(join(folder, file.slice(dir.length + 1)), 'w');
          await handle.writeFile(damagedBytes);
          await handle.close();
          const touched = new Set<number>();
          for (let i = 0; i < rubbish.length; i++) {
            if (damagedBytes[at + i] !== whole[at + i]) touched.add(Math.floor((at + i) / entryBytes));
          }
          const damage: string[] = [];
          const journal = await Journal.open({ dir: folder, onDamage: (text) => damage.push(text) });
          const expected = Array.from({ length: 40 }, (_, i) =>
            touched.has(i) ? [] : [`${2 * i}:a${i + 10}`, `${2 * i + 1}:b${i + 10}`],
          ).flat();
          expect(texts(await all(journal))).toEqual(expected);
          expect(damage.length > 0).toBe(touched.size > 0);
          for (const entry of touched) expect(await journal.read(2 * entry)).toBeUndefined();
          expect(journal.nextSequence).toBe(80);
          await journal.close();
        },
      ),
      { seed: 20261121, numRuns: 60 },
    );
  });
});
