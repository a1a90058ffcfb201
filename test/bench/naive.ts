/** Memory of sliding distinct counts: ours against the design one would write first. The same load, a process each. */
import { runChild } from './child.ts';
import type { Figure } from './figure.ts';
import type { NaiveAnswer } from './naive-child.ts';

export async function benchNaive(_print?: (line: string) => void, keys = 100_000): Promise<Figure[]> {
  const ours = (await runChild('./naive-child.js', ['ours', String(keys)])) as NaiveAnswer;
  const naive = (await runChild('./naive-child.js', ['naive', String(keys)])) as NaiveAnswer;
  const apart = Math.abs(ours.heaviest / naive.heaviest - 1);
  if (!(apart < 0.15)) throw new Error(`the two designs count the heaviest key as ${ours.heaviest} and ${naive.heaviest}`);
  const perKey = (answer: NaiveAnswer, bytes: number) => bytes / answer.activeKeys;
  const load = `${keys / 1000}k Zipf keys, ${ours.activeKeys} active, window of 10 panes`;
  return [
    { name: 'RSS of naive over ours', value: naive.rssBytes / ours.rssBytes, unit: 'x', note: load },
    {
      name: 'heap of naive over ours',
      value: naive.heapBytes / ours.heapBytes,
      unit: 'x',
      note: 'heap and array buffers after a collection',
    },
    { name: 'RSS a key, ours', value: perKey(ours, ours.rssBytes), unit: 'B', note: `heap ${perKey(ours, ours.heapBytes).toFixed(0)} B` },
    {
      name: 'RSS a key, naive',
      value: perKey(naive, naive.rssBytes),
      unit: 'B',
      note: `heap ${perKey(naive, naive.heapBytes).toFixed(0)} B`,
    },
    {
      name: 'update time of naive over ours',
      value: naive.updateNs / ours.updateNs,
      unit: 'x',
      note: `ours ${ours.updateNs.toFixed(0)} ns`,
    },
  ];
}
