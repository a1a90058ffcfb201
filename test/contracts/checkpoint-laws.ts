/** The law of every checkpoint store (`src/checkpoint/checkpoint.ts`), to be run over each implementation. */
import { randomFillSync } from 'node:crypto';
import { expect } from 'vitest';
import { bytesIn } from '../../processors/snapshot.ts';
import { joined, partBytes } from '../../processors/snapshot-parts.ts';
import { type Checkpoint, CheckpointError, type CheckpointStore } from '../../src/checkpoint/checkpoint.ts';
import { lawsOf } from './law.ts';

export interface CheckpointHarness {
  /** A new store over the same place, as after a restart. */
  store(options?: { readonly identity?: string; readonly warn?: (message: string) => void }): CheckpointStore;
  /** Bytes that the place holds for the store, looked at past it. */
  heldBytes(): Promise<number>;
  /** Leaves what a process leaves that is killed when the new parts of a save are there and the checkpoint is not. */
  saveHalf(checkpoint: Checkpoint): Promise<void>;
  /** Takes away, or changes, something of the newest checkpoint that only it has. */
  damageNewest(what: 'checkpoint' | 'part'): Promise<void>;
  dispose(): Promise<void>;
}

/** Parts of random bytes, no two alike; most in shared memory, as the engine's are. */
function partsOf(bytes: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes / partBytes) }, (_, i) => {
    const part = randomFillSync(new Uint8Array(Math.min(partBytes, bytes - i * partBytes)));
    if (i % 8 === 0) return part;
    const shared = new Uint8Array(new SharedArrayBuffer(part.length));
    shared.set(part);
    return shared;
  });
}

function checkpoint(index: number, state = partsOf(300)): Checkpoint {
  return { positions: { 'logs/0': index * 10, 'app.log/1': index }, state, marks: { 'kafka:findings': `{"0":${index}}` } };
}

/** A store may cut a state elsewhere than it was cut. */
function expectSame(found: Checkpoint | undefined, expected: Checkpoint): void {
  expect({ positions: found?.positions, marks: found?.marks }).toEqual({ positions: expected.positions, marks: expected.marks });
  expect(Buffer.from(joined(found?.state ?? [])).equals(joined(expected.state))).toBe(true);
}

export function checkpointLaws(name: string, makeHarness: () => Promise<CheckpointHarness>): void {
  const law = lawsOf(name, makeHarness);

  law('where nothing was saved there is no checkpoint', async ({ store }) => {
    expect(await store().load()).toBeUndefined();
  });

  law('the newest of many saves is loaded: positions, marks and state', async ({ store }) => {
    const saver = store();
    const all = [1, 2, 3, 4, 5].map((index) => checkpoint(index));
    await Promise.all(all.map((each) => saver.save(each)));
    expectSame(await store().load(), all[4]);
    const next = { ...checkpoint(6), marks: undefined };
    await store().save(next);
    expectSame(await store().load(), next);
  });

  law('a state of nothing and one of 5 MB come back as they were', async ({ store }) => {
    const large = checkpoint(1, [...partsOf(5_000_000), new Uint8Array(0), new Uint8Array(partBytes), new Uint8Array(partBytes)]);
    await store().save(large);
    expectSame(await store().load(), large);
    const empty = checkpoint(2, []);
    const again = store();
    await again.load();
    await again.save(empty);
    expectSame(await store().load(), empty);
  });

  law('marks of 30,000 findings that are owed come back, and go when they are owed no more', async ({ store, heldBytes }) => {
    const owed = Array.from({ length: 30_000 }, (_, i) => [`${i.toString(16).padStart(32, '0')}/open/0`, 1_767_614_400_000 + i]);
    const long = {
      ...checkpoint(1),
      marks: { 'kafka:findings': JSON.stringify({ ends: { 0: 7 }, owed: { storm: owed } }), 'file:out': '12' },
    };
    const saver = store();
    await saver.save(long);
    expectSame(await store().load(), long);
    const again = store();
    await again.load();
    await again.save(long);
    expect(again.lastSave?.writtenBytes).toBeLessThan(4096);
    expect(await heldBytes()).toBeGreaterThan(1_500_000);
    const last = checkpoint(3);
    for (const each of [checkpoint(2), last]) await again.save(each);
    expect(await heldBytes()).toBeLessThan(8192);
    expectSame(await store().load(), last);
  });

  law('a checkpoint is given back with where its topics lie, and refused by name where that is not here', async ({ store }) => {
    const theirs = { ...checkpoint(1), origins: [{ cluster: 'a', group: 'shop', topics: ['logs'] }] };
    await store().save(theirs);
    expect((await store().load(() => undefined))?.origins).toEqual(theirs.origins);
    const load = store().load(({ positions, origins }) => `${Object.keys(positions)} in ${origins?.[0].cluster}: use cluster a`);
    await expect(load).rejects.toThrow(CheckpointError);
    await expect(load).rejects.toThrow(/belongs to another deployment: logs\/0,app\.log\/1 in a: use cluster a, or .* to start afresh/);
    expectSame(await store().load(), theirs);
  });

  law('what did not change is not written again, after a restart either', async ({ store, heldBytes }) => {
    const state = partsOf(2_000_000);
    const first = store();
    await first.save(checkpoint(1, state));
    expect(first.lastSave?.stateBytes).toBe(2_000_000);
    expect(first.lastSave?.writtenBytes).toBeGreaterThan(2_000_000);
    const before = await heldBytes();
    const changed = state.with(7, partsOf(partBytes)[0]);
    await first.save(checkpoint(2, changed));
    expect(first.lastSave?.stateBytes).toBe(2_000_000);
    expect(first.lastSave?.writtenBytes).toBeLessThan(partBytes + 4096);
    expect((await heldBytes()) - before).toBeLessThan(partBytes + 8192);
    expectSame(await store().load(), checkpoint(2, changed));

    const second = store();
    await second.load();
    await second.save(checkpoint(3, changed));
    expect(second.lastSave?.writtenBytes).toBeLessThan(4096);
    expectSame(await store().load(), checkpoint(3, changed));
  });

  law('the last two are kept, and what neither needs is let go', async ({ store, heldBytes, damageNewest }) => {
    const saver = store();
    const states = Array.from({ length: 8 }, () => partsOf(300_000));
    for (const [index, state] of states.entries()) await saver.save(checkpoint(index, state));
    expect(await heldBytes()).toBeLessThan(2 * 300_000 + 32_768);
    await damageNewest('checkpoint');
    expectSame(await store().load(), checkpoint(6, states[6]));
  });

  for (const what of ['checkpoint', 'part'] as const) {
    law(
      `with a damaged ${what} the one before it is taken, and told; the next save is the newest again`,
      async ({ store, damageNewest }) => {
        const [before, damaged, after] = [checkpoint(1), checkpoint(2), checkpoint(3)];
        const saver = store();
        await saver.save(before);
        await saver.save(damaged);
        await damageNewest(what);
        const warnings: string[] = [];
        const again = store({ warn: (message) => warnings.push(message) });
        expectSame(await again.load(), before);
        expect(warnings).toHaveLength(1);
        expect(warnings[0]).toMatch(/is damaged: .*; going on from .*, what was read since is read again/);
        await again.save(after);
        const quiet: string[] = [];
        expectSame(await store({ warn: (message) => quiet.push(message) }).load(), after);
        expect(quiet).toEqual([]);
      },
    );
  }

  law('where only damaged ones are left it is refused by name, with what to do', async ({ store, damageNewest }) => {
    await store().save(checkpoint(1));
    await damageNewest('checkpoint');
    const load = store().load();
    await expect(load).rejects.toThrow(CheckpointError);
    await expect(load).rejects.toThrow(/is damaged: [\s\S]*no whole checkpoint is left in .*: restore it, or .* to start afresh/);
  });

  law('a save that dies between its parts and its checkpoint changes nothing, and leaves nothing behind', async (harness) => {
    const { store, saveHalf, heldBytes } = harness;
    const [whole, half] = [checkpoint(1, partsOf(200_000)), checkpoint(2, partsOf(700_000))];
    await store().save(whole);
    await saveHalf(half);
    expect(await heldBytes()).toBeGreaterThan(900_000);
    const quiet: string[] = [];
    const again = store({ warn: (message) => quiet.push(message) });
    expectSame(await again.load(), whole);
    expect(quiet).toEqual([]);
    const next = checkpoint(3, whole.state as Uint8Array[]);
    await again.save(next);
    expect(await heldBytes()).toBeLessThan(bytesIn(whole.state) + 32_768);
    expectSame(await store().load(), next);
  });

  law('a checkpoint of another identity is refused by name, and stays', async ({ store }) => {
    const ours = checkpoint(1);
    await store({ identity: 'key 1' }).save(ours);
    const load = store({ identity: 'key 2' }).load();
    await expect(load).rejects.toThrow(CheckpointError);
    await expect(load).rejects.toThrow(/belongs to "key 1", this deployment is "key 2" \(another hash key\)/);
    expectSame(await store({ identity: 'key 1' }).load(), ours);
  });
}
