import { describe, expect, test } from 'vitest';
import type { Finding, Sample } from '../../processors/detect/finding.ts';
import { SampleText } from '../../src/sample-text.ts';
import type { Source } from '../../src/source/source.ts';
import { sampleFinding } from '../contracts/sink-laws.ts';
import { MemorySource } from '../support/memory.ts';

/** An opening with samples at these offsets of `logs/0`. */
function opened(...offsets: number[]): Finding {
  const samples: Sample[] = offsets.map((offset) => ({ topic: 'logs', partition: 0, offset }));
  return { ...sampleFinding(0), activity: 'open', samples };
}

/** Texts that a source gives, and which records it was asked for. */
class AskedSource extends MemorySource {
  readonly asked: number[] = [];
  answer: (offset: number) => Promise<Buffer | null> = async (offset) => Buffer.from(`line ${offset}`);

  constructor() {
    super([]);
  }

  override read(_topic: string, _partition: number, offset: number): Promise<Uint8Array | null> {
    this.asked.push(offset);
    return this.answer(offset);
  }
}

function textOf(source: Source, clock = () => 0): SampleText {
  return new SampleText((topic) => (topic === 'logs' ? source : undefined), clock);
}

describe('the text of samples', () => {
  test('is read once for all findings that show the same record, neighbours one after the other', async () => {
    const source = new AskedSource();
    const findings = [opened(9, 3), opened(3, 5), opened(9)];
    await textOf(source).fill(findings, undefined);
    expect(source.asked).toEqual([3, 5, 9]);
    expect(findings.map(({ samples }) => samples.map(({ text }) => text))).toEqual([
      ['line 9', 'line 3'],
      ['line 3', 'line 5'],
      ['line 9'],
    ]);
  });

  test('comes from the batch at hand where it is there, and is not read for what goes on or ends', async () => {
    const source = new AskedSource();
    const goesOn: Finding = { ...opened(1), activity: 'update' };
    const findings = [opened(7, 8), goesOn];
    const records = [{ value: Buffer.from('at hand'), timestampMs: 0, offset: 7 }];
    await textOf(source).fill(findings, { topic: 'logs', partition: 0, dataset: 'app', format: 'json', records });
    expect(source.asked).toEqual([8]);
    expect(findings[0].samples.map(({ text }) => text)).toEqual(['at hand', 'line 8']);
    expect(goesOn.samples).toEqual([{ topic: 'logs', partition: 0, offset: 1 }]);
  });

  test('of many findings of a rule at one time is that of their first samples; the others say that they were not read', async () => {
    const source = new AskedSource();
    const findings = Array.from({ length: 14 }, (_, i) => opened(i, 100 + i, 200 + i));
    await textOf(source).fill(findings, undefined);
    expect(source.asked).toHaveLength(16);
    for (const [i, { samples }] of findings.entries()) expect(samples[0].text).toBe(`line ${i}`);
    const others = findings.flatMap(({ samples }) => samples).filter(({ text }) => text === undefined);
    expect(others).toHaveLength(42 - 16);
    for (const { unreadable } of others) expect(unreadable).toBe('not read: 42 records were wanted at once, 16 are read');
  });

  test('is the same whether findings come in one write or in two, and whatever is at hand', async () => {
    const findings = () =>
      ['a', 'b'].flatMap((rule) =>
        [1, 2].flatMap((timeMs) => Array.from({ length: 10 }, (_, i): Finding => ({ ...opened(i, 10 + i, 20 + timeMs), rule, timeMs }))),
      );
    const atOnce = findings();
    await textOf(new AskedSource()).fill(atOnce, undefined);
    const oneByOne = findings();
    const records = Array.from({ length: 30 }, (_, offset) => ({ value: Buffer.from(`line ${offset}`), timestampMs: 0, offset }));
    for (const rule of ['a', 'b'])
      for (const timeMs of [1, 2]) {
        const some = oneByOne.filter((finding) => finding.rule === rule && finding.timeMs === timeMs);
        await textOf(new AskedSource()).fill(some, { topic: 'logs', partition: 0, dataset: 'app', format: 'json', records });
      }
    expect(oneByOne).toEqual(atOnce);
    expect(atOnce.flatMap(({ samples }) => samples).some(({ unreadable }) => unreadable?.startsWith('not read'))).toBe(true);
  });

  test('is not waited for longer than five seconds, and a source that fails is asked on', async () => {
    const source = new AskedSource();
    let nowMs = 0;
    source.answer = async (offset) => {
      nowMs += 2_100;
      if (offset === 0) throw new Error('no answer');
      return Buffer.from('late');
    };
    const [finding] = [opened(0, 1, 2, 3)];
    await textOf(source, () => nowMs).fill([finding], undefined);
    expect(source.asked).toEqual([0, 1, 2]);
    expect(finding.samples.map(({ text, unreadable }) => text ?? unreadable)).toEqual([
      'no answer',
      'late',
      'late',
      'not read within 5000 ms',
    ]);
  });

  test('is cut to 1 KiB, never in the middle of a character; a record or a source that is gone says so', async () => {
    const source = new AskedSource();
    source.answer = async (offset) => (offset === 0 ? Buffer.from(`${'x'.repeat(1023)}ä`) : null);
    const finding = opened(0, 1);
    const elsewhere: Finding = { ...opened(), samples: [{ topic: 'other', partition: 0, offset: 0 }] };
    await textOf(source).fill([finding, elsewhere], undefined);
    expect(finding.samples[0].text).toBe('x'.repeat(1023));
    for (const sample of [finding.samples[1], elsewhere.samples[0]]) expect(sample.unreadable).toBe('the record is gone from its source');
  });
});
