import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Match } from '../../processors/match/match.ts';
import type { Measure } from '../../processors/measure/measure.ts';
import { SnapshotReader, SnapshotWriter } from '../../processors/snapshot.ts';

/** One match in a law: where it counts, what it holds, and at which close it has arrived (at or before its own pane's). */
export interface LawEvent {
  slot: number;
  pane: number;
  arrival: number;
  number: number;
  valueLow: number;
  valueHigh: number;
  counted: boolean;
  timeMs: number;
  partition: number;
  offset: number;
}

export interface MeasureUnderLaw {
  name: string;
  windowPanes: number;
  /** How many panes before its first one a window can begin in. Default 0. */
  reach?: number;
  make(): Measure;
  /** The plain answer to the same question for the window that ends with `lastPane`, NaN if there is none. The events are those of its panes, and of its reach. */
  reference(events: readonly LawEvent[], lastPane: number): number;
  /** How far (relative) an answer that is not exact may be from the reference; by default six times the error it states. */
  tolerance?(error: number, events: readonly LawEvent[]): number;
}

const seed = 20261121;
const slots = 3;

/** A small deterministic generator (Bob Jenkins' mixing), so that an example is a handful of numbers and not a thousand events. */
export function randomFrom(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  };
}

interface Scenario {
  seed: number;
  /** How many events; spread over the panes with idle gaps, so that a slot can be quiet for a whole window. */
  events: number;
  /** How many different values; small ones recur in many panes. */
  values: number;
  panes: number;
  /** How many panes ahead of the closes a match may arrive. */
  ahead: number;
  /** 1: numbers up to 1,000 that are multiples of an eighth; else log-normal ones of either sign. */
  plain: boolean;
}

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  seed: fc.nat(2 ** 31),
  events: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 60 }) },
    { weight: 1, arbitrary: fc.integer({ min: 500, max: 4000 }) },
  ),
  values: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 200, max: 3000 })),
  panes: fc.integer({ min: 1, max: 60 }),
  ahead: fc.integer({ min: 0, max: 12 }),
  plain: fc.boolean(),
});

export function eventsOf(scenario: Scenario): LawEvent[] {
  const random = randomFrom(scenario.seed);
  const gapAfter = Math.floor(random() * scenario.panes);
  const gap = random() < 0.5 ? 0 : 30;
  const firstPane = 1_700_000_000;
  return Array.from({ length: scenario.events }, (_, offset) => {
    // Squared: some panes hold most of the events.
    const relative = Math.floor(random() ** 2 * scenario.panes);
    const pane = firstPane + relative + (relative > gapAfter ? gap : 0);
    const value = Math.floor(random() * scenario.values);
    const hash = randomFrom(value * 7919 + 13);
    const sign = random() < 0.9 ? 1 : -1;
    return {
      slot: Math.floor(random() ** 3 * slots),
      pane,
      arrival: Math.max(firstPane, pane - Math.floor(random() * (scenario.ahead + 1))),
      number: scenario.plain ? Math.floor(value * 2.7) / 8 : sign * Math.exp(4 + 2 * gaussian(random)),
      valueLow: Math.floor(hash() * 2 ** 32),
      valueHigh: Math.floor(hash() * 2 ** 32),
      counted: random() < 0.3,
      timeMs: pane * 1000 + Math.floor(random() * 4) * 250,
      partition: Math.floor(random() * 3),
      offset,
    };
  });
}

function gaussian(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

export function matchOf(event: LawEvent): Match {
  const { timeMs, number, valueLow, valueHigh, counted, partition, offset } = event;
  // The fields that measures read; the rest is for the stages before them.
  return { timeMs, number, valueLow, valueHigh, counted, partitionHash: partition + 1, offset } as Match;
}

export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const list = [...items];
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

function groupBy(events: readonly LawEvent[], field: 'arrival' | 'pane'): Map<number, LawEvent[]> {
  const groups = new Map<number, LawEvent[]>();
  for (const event of events) {
    const group = groups.get(event[field]);
    if (group) group.push(event);
    else groups.set(event[field], [event]);
  }
  return groups;
}

interface Hooks {
  /** The law's `reach`: panes that stay so much longer. */
  reach?: number;
  /** Called instead of `add`. */
  feed?(measure: Measure, event: LawEvent): void;
  /** Before pane is closed. May return another measure to go on with. */
  beforeClose?(measure: Measure, pane: number, touched: readonly number[]): Measure;
  /** Whether old panes are expired at this close. */
  expires?(pane: number): boolean;
  afterClose?(measure: Measure, pane: number): void;
}

/** Feeds the events in the order given (each at its `arrival`), closes every pane, and gives back the values and errors at every close. */
export function valuesAtCloses(start: Measure, events: readonly LawEvent[], windowPanes: number, hooks: Hooks = {}): number[] {
  let measure = start;
  const values: number[] = [];
  const first = Math.min(...events.map((event) => event.arrival));
  const last = Math.max(...events.map((event) => event.pane));
  const byArrival = groupBy(events, 'arrival');
  const slotsOfPane = groupBy(events, 'pane');
  for (let pane = first; pane <= last; pane++) {
    for (const event of byArrival.get(pane) ?? []) {
      if (hooks.feed) hooks.feed(measure, event);
      else measure.add(event.slot, event.pane, matchOf(event));
    }
    const touched = [...new Set((slotsOfPane.get(pane) ?? []).map((event) => event.slot))];
    measure = hooks.beforeClose?.(measure, pane, touched) ?? measure;
    for (const slot of touched) measure.close(slot, pane);
    for (let slot = 0; slot < slots; slot++) {
      if (hooks.expires?.(pane) ?? true) measure.expire(slot, pane - windowPanes + 1 - (hooks.reach ?? 0));
      values.push(measure.value(slot, pane - windowPanes + 1, pane), measure.valueError(slot, pane - windowPanes + 1, pane));
    }
    hooks.afterClose?.(measure, pane);
  }
  return values;
}

function law(name: string, check: (scenario: Scenario, events: LawEvent[], random: () => number) => void, runs = 60): void {
  it(`${name} (seed ${seed})`, () => {
    fc.assert(
      fc.property(scenarios, (scenario) => check(scenario, eventsOf(scenario), randomFrom(scenario.seed + 1))),
      { seed, numRuns: runs },
    );
  });
}

function copied(measure: Measure, make: () => Measure): Measure {
  const out = new SnapshotWriter();
  measure.snapshot(out);
  const copy = make();
  const reader = new SnapshotReader(out.done().slice());
  copy.restore(reader);
  expect(reader.finished).toBe(true);
  return copy;
}

function inOrder(events: readonly LawEvent[]): LawEvent[] {
  return events.map((event) => ({ ...event, arrival: event.pane })).sort((a, b) => a.timeMs - b.timeMs);
}

/** The laws of `Measure`; every implementation passes all of them. */
export function describeMeasureLaws({ name, windowPanes, reach = 0, make, reference, tolerance }: MeasureUnderLaw): void {
  law(`${name}: any order of arrival, panes ahead included, gives the values of order`, (_scenario, events, random) => {
    const expected = valuesAtCloses(make(), inOrder(events), windowPanes, { reach });
    // The closes of the two start at different panes if the first match is early: compare from the end.
    const found = valuesAtCloses(make(), shuffled(events, random), windowPanes, { reach, expires: () => random() < 0.5 });
    expect(found.slice(found.length - expected.length)).toEqual(expected);
  });

  law(`${name}: matches split over instances and merged give the values of the whole`, (_scenario, events, random) => {
    const expected = valuesAtCloses(make(), inOrder(events), windowPanes, { reach });
    const parts = Array.from({ length: 1 + Math.floor(random() * 4) }, make);
    const out = new SnapshotWriter();
    const found = valuesAtCloses(make(), shuffled(events, random), windowPanes, {
      reach,
      feed: (_whole, event) => parts[Math.floor(random() * parts.length)].add(event.slot, event.pane, matchOf(event)),
      beforeClose: (whole, pane, touched) => {
        for (const part of parts) {
          for (const slot of touched) {
            out.reset();
            part.encode(slot, pane, out);
            whole.merge(slot, pane, new SnapshotReader(out.done().slice()));
            part.close(slot, pane);
            part.expire(slot, pane - windowPanes + 1 - reach);
          }
        }
        return whole;
      },
    });
    expect(found.slice(found.length - expected.length)).toEqual(expected);
  });

  law(`${name}: a snapshot restored at any close goes on as if nothing had been`, (_scenario, events, random) => {
    const expected = valuesAtCloses(make(), events, windowPanes, { reach });
    const found = valuesAtCloses(make(), events, windowPanes, {
      reach,
      beforeClose: (measure) => (random() < 0.3 ? copied(measure, make) : measure),
    });
    expect(found).toEqual(expected);
  });

  law(`${name}: moved together at any close it goes on as if nothing had been`, (_scenario, events, random) => {
    const expected = valuesAtCloses(make(), events, windowPanes, { reach });
    const found = valuesAtCloses(make(), events, windowPanes, {
      reach,
      beforeClose: (measure) => {
        if (random() < 0.3) {
          const before = measure.bytes();
          measure.compact();
          expect(measure.bytes()).toBeLessThanOrEqual(before);
        }
        return measure;
      },
    });
    expect(found).toEqual(expected);
  });

  law(`${name}: what is held is the same after a restore`, (_scenario, events, random) => {
    const before = make();
    const all = events.filter(() => random() < 0.9);
    if (all.length > 0) valuesAtCloses(before, all, windowPanes, { reach });
    before.release(0);
    const after = copied(before, make);
    expect(after.bytes()).toBe(before.bytes());
    expect(after.spareBytes()).toBe(before.spareBytes());
  });

  law(`${name}: what is left after expiry is what the remaining panes alone would have made`, (_scenario, events, random) => {
    const measure = make();
    valuesAtCloses(measure, events, windowPanes, { reach });
    const last = Math.max(...events.map((event) => event.pane));
    const first = last - Math.floor(random() * windowPanes);
    const left = events.filter((event) => event.pane >= first);
    const rebuilt = make();
    if (left.length > 0) valuesAtCloses(rebuilt, left, windowPanes, { reach });
    for (let slot = 0; slot < slots; slot++) {
      const empty = measure.expire(slot, first);
      expect(empty).toBe(!left.some((event) => event.slot === slot));
      const error = measure.valueError(slot, first, last);
      const value = measure.value(slot, first, last);
      const again = rebuilt.value(slot, first, last);
      // A slot that is dense stays so; what the rest alone would have made may be exact.
      if (error === rebuilt.valueError(slot, first, last)) expect(value).toBe(again);
      else expect(Math.abs(value - again)).toBeLessThanOrEqual(6 * error * again + 1e-9);
      measure.release(slot);
      expect(measure.value(slot, first, last)).toBeNaN();
    }
  });

  law(`${name}: a closed pane, encoded and merged into an empty slot, keeps its value`, (_scenario, events) => {
    const out = new SnapshotWriter();
    valuesAtCloses(make(), events, windowPanes, {
      reach,
      afterClose: (measure, pane) => {
        for (let slot = 0; slot < slots; slot++) {
          const other = make();
          for (let each = pane - reach; each <= pane; each++) {
            out.reset();
            measure.encode(slot, each, out);
            const reader = new SnapshotReader(out.done().slice());
            other.merge(7, each, reader);
            expect(reader.finished).toBe(true);
            other.close(7, each);
          }
          expect(other.value(7, pane, pane)).toEqual(measure.value(slot, pane, pane));
        }
      },
    });
  });

  law(`${name}: every value is the plain answer, or as near to it as it says`, (_scenario, events) => {
    valuesAtCloses(make(), events, windowPanes, {
      reach,
      afterClose: (measure, pane) => {
        for (let slot = 0; slot < slots; slot++) {
          const inWindow = events.filter((event) => event.slot === slot && event.pane > pane - windowPanes - reach && event.pane <= pane);
          const value = measure.value(slot, pane - windowPanes + 1, pane);
          const expected = reference(inWindow, pane);
          const bound = measure.atMost?.(slot, pane - windowPanes + 1) ?? Number.POSITIVE_INFINITY;
          if (!Number.isNaN(value)) expect(bound).toBeGreaterThanOrEqual(value);
          const error = measure.valueError(slot, pane - windowPanes + 1, pane);
          if (error === 0) expect(value).toEqual(expected);
          else expect(Math.abs(value - expected)).toBeLessThanOrEqual((tolerance?.(error, inWindow) ?? 6 * error) * Math.abs(expected));
        }
      },
    });
  });

  law(
    `${name}: slots that are given back leave no memory behind`,
    (_scenario, events) => {
      const measure = make();
      const round = () => {
        valuesAtCloses(measure, events, windowPanes, { reach });
        for (let slot = 0; slot < slots; slot++) measure.release(slot);
      };
      round();
      const once = measure.bytes();
      for (let i = 0; i < 3; i++) round();
      expect(measure.bytes()).toBe(once);
    },
    20,
  );
}
