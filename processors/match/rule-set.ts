/**
 * EventBatch row -> Match. All rules, by groups that count the same, compiled against one field plan and indexed by dataset and by an equality each rule demands, so
 * that an event is held only against rules that could apply to it: the cost does not grow with the number of rules.
 */
import { type EventBatch, type FieldPlan, Kind } from '../decode/event-batch.ts';
import type { Condition, Rule } from '../rule.ts';
import { hashText } from '../sketch/hash.ts';
import { compileCondition, type RequiredEquality, requiredEqualities } from './condition.ts';
import { foldCase } from './glob.ts';
import { compileKey, type KeyReader } from './key.ts';
import type { Match, RecordPlace } from './match.ts';

/** Takes the matches; the object is reused. */
export interface MatchIntake {
  match(match: Match, key: KeyReader): unknown;
  keyMissing(group: number): void;
  valueMissing(group: number): void;
}

interface CompiledRule {
  /** Of its group. */
  readonly index: number;
  readonly from: readonly string[];
  readonly demands: readonly RequiredEquality[];
  /** The condition is nothing but the equality that the index looks up. */
  readonly answeredByIndex: boolean;
  readonly applies: (events: EventBatch, row: number) => boolean;
  readonly key: KeyReader;
  readonly read: ValueReader;
  readonly counted: ((events: EventBatch, row: number) => boolean) | undefined;
  readonly slot: number;
}

/** What the measure wants of an event. */
type ValueReader = 'none' | 'number' | 'hash';

/** The rules one dataset's events are held against. */
interface Candidates {
  /** Rules that demand no equality: tried on every event. */
  readonly always: readonly CompiledRule[];
  /** Rules by the equality they demand: the slot to look at, then lower-case value -> rules. */
  readonly byValue: readonly { readonly slot: number; readonly rules: ReadonlyMap<string, readonly CompiledRule[]> }[];
}

/** Dataset names come from outside: past this many, the table is made anew. */
const maxDatasets = 1024;

export class RuleSet {
  private readonly compiled: readonly CompiledRule[];
  private readonly plan: FieldPlan;
  private readonly hashKey: Uint32Array;
  private readonly candidates = new Map<string, Candidates>();
  private readonly hash = new Uint32Array(2);
  private readonly current: Match;

  /** @param groups one rule of each group. */
  constructor(groups: readonly Rule[], plan: FieldPlan, hashKey: Uint32Array) {
    this.plan = plan;
    this.hashKey = hashKey;
    this.compiled = groups.map((rule, index) => compileRule(rule, index, plan));
    this.current = {
      group: 0,
      timeMs: 0,
      keyLow: 0,
      keyHigh: 0,
      number: 1,
      valueLow: 0,
      valueHigh: 0,
      counted: false,
      partition: 0,
      partitionHash: 0,
      offset: 0,
      sampleHash: 0,
      events: undefined as unknown as EventBatch,
      row: 0,
    };
  }

  /** Hands every match of one event to `into`. */
  match(events: EventBatch, row: number, place: RecordPlace, into: MatchIntake): void {
    const candidates = this.candidatesOf(events.dataset[row]);
    const { current } = this;
    current.events = events;
    current.row = row;
    current.timeMs = events.timeMs[row];
    current.partition = place.partition;
    current.partitionHash = place.partitionHash;
    current.offset = place.offset;
    current.sampleHash = place.sampleHash;
    for (const rule of candidates.always) this.tryRule(rule, events, row, into);
    for (const { slot, rules } of candidates.byValue) {
      const text = events.text(slot, row);
      if (text === undefined) {
        const list = events.list(slot, row);
        if (list !== undefined) this.tryList(list, rules, events, row, into);
        continue;
      }
      const found = rules.get(text) ?? rules.get(foldCase(text));
      if (found === undefined) continue;
      for (const rule of found) {
        if (rule.answeredByIndex) this.matchRule(rule, events, row, into);
        else this.tryRule(rule, events, row, into);
      }
    }
  }

  /** A list may hold several of the values a rule demands: the rule is tried once. */
  private tryList(
    list: readonly unknown[],
    rules: ReadonlyMap<string, readonly CompiledRule[]>,
    events: EventBatch,
    row: number,
    into: MatchIntake,
  ): void {
    const tried = new Set<CompiledRule>();
    for (const element of list) {
      for (const rule of rules.get(foldCase(String(element ?? ''))) ?? []) {
        if (tried.has(rule)) continue;
        tried.add(rule);
        this.tryRule(rule, events, row, into);
      }
    }
  }

  private tryRule(rule: CompiledRule, events: EventBatch, row: number, into: MatchIntake): void {
    if (!rule.applies(events, row)) return;
    this.matchRule(rule, events, row, into);
  }

  /** The event is one of the rule's: takes its key and value. */
  private matchRule(rule: CompiledRule, events: EventBatch, row: number, into: MatchIntake): void {
    const { key, read, slot } = rule;
    const { current } = this;
    if (!key.read(events, row, this.hashKey)) {
      into.keyMissing(rule.index);
      return;
    }
    current.group = rule.index;
    current.keyLow = key.low;
    current.keyHigh = key.high;
    current.number = 1;
    if (rule.counted !== undefined) current.counted = rule.counted(events, row);
    if (read === 'none') {
      into.match(current, key);
    } else if (read === 'number') {
      current.number = events.number(slot, row);
      if (Number.isNaN(current.number)) into.valueMissing(rule.index);
      else into.match(current, key);
    } else {
      this.matchValues(rule, events, row, into);
    }
  }

  /** A field that holds a list counts each element as a value. */
  private matchValues(rule: CompiledRule, events: EventBatch, row: number, into: MatchIntake): void {
    const { current, hash } = this;
    const kind = events.kind(rule.slot, row);
    if (kind === Kind.absent || kind === Kind.null) {
      into.valueMissing(rule.index);
      return;
    }
    if (kind !== Kind.list) {
      events.hash(rule.slot, row, hash);
      current.valueLow = hash[0];
      current.valueHigh = hash[1];
      into.match(current, rule.key);
      return;
    }
    for (const element of events.list(rule.slot, row) ?? []) {
      hashText(String(element ?? ''), this.hashKey, hash);
      current.valueLow = hash[0];
      current.valueHigh = hash[1];
      into.match(current, rule.key);
    }
  }

  private candidatesOf(dataset: string): Candidates {
    const known = this.candidates.get(dataset);
    if (known !== undefined) return known;
    if (this.candidates.size >= maxDatasets) this.candidates.clear();
    const made = indexRules(
      this.compiled.filter(({ from }) => takesDataset(from, dataset)),
      this.plan,
    );
    this.candidates.set(dataset, made);
    return made;
  }
}

/** `from: [heroku]` takes `heroku` and `heroku.router`; no `from` takes everything. */
function takesDataset(from: readonly string[], dataset: string): boolean {
  return from.length === 0 || from.some((name) => dataset === name || dataset.startsWith(`${name}.`));
}

function compileRule(rule: Rule, index: number, plan: FieldPlan): CompiledRule {
  const { measure } = rule;
  const field = 'field' in measure ? measure.field : undefined;
  return {
    index,
    from: rule.from,
    demands: requiredEqualities(rule.where),
    answeredByIndex: isOneTextEquality(rule.where),
    applies: compileCondition(rule.where, plan),
    key: compileKey(rule.key, plan),
    read: field === undefined ? 'none' : measure.kind === 'distinct' ? 'hash' : 'number',
    counted: measure.kind === 'ratio' ? compileCondition(measure.of, plan) : undefined,
    slot: field === undefined ? -1 : plan.slot(field),
  };
}

/** Files each rule under the demanded equality that has the fewest values: the most selective, as far as the rule itself can tell. */
function indexRules(compiled: readonly CompiledRule[], plan: FieldPlan): Candidates {
  const always: CompiledRule[] = [];
  const bySlot = new Map<number, Map<string, CompiledRule[]>>();
  for (const rule of compiled) {
    const [best] = rule.demands.toSorted((a, b) => a.values.length - b.values.length);
    if (best === undefined) {
      always.push(rule);
      continue;
    }
    const slot = plan.slot(best.field);
    const values = bySlot.get(slot) ?? new Map<string, CompiledRule[]>();
    bySlot.set(slot, values);
    for (const value of new Set(best.values.map((each) => foldCase(String(each ?? ''))))) {
      values.set(value, [...(values.get(value) ?? []), rule]);
    }
  }
  return { always, byValue: [...bySlot].map(([slot, byText]) => ({ slot, rules: byText })) };
}

/** Whether the condition is one field that must equal one of some texts, case aside: then whoever found the rule by the text knows that it holds. */
function isOneTextEquality(condition: Condition): boolean {
  if (condition.op === 'all' && condition.of.length === 1) return isOneTextEquality(condition.of[0]);
  if (condition.op !== 'test' || condition.test !== 'equals' || condition.every || condition.cased) return false;
  return condition.values.every((value) => typeof value === 'string' && value !== '') && requiredEqualities(condition).length === 1;
}
