import type { FieldPlan } from './event-batch.ts';
import { datasetNames, type NameTable, ownForms, timeNames } from './fields.ts';
import { KeyCache } from './key-cache.ts';
import { keepsText, type TextKept, type ValueForm, valueForms } from './value-forms.ts';

/** Targets that are no slot of the plan: parts of a row that every event has, and what an envelope is told by. */
export const Special = { time: -1, dataset: -2, message: -3, innerText: -4, stream: -5, kubernetes: -6, otlp: -7 } as const;

/** Where a sender's value goes. */
export interface Target {
  /** A slot of the plan, or one of `Special`. */
  readonly slot: number;
  /** 0 is the best name; a value is not overwritten by one under a worse name. */
  readonly rank: number;
  readonly form: ValueForm | undefined;
  /** Whether the form leaves a number as it is. */
  readonly keepsNumbers: boolean;
  /** Whether the form leaves an ASCII text as it is; undefined for one that never does. */
  readonly keepsText: TextKept | undefined;
}

/** One dotted prefix of the names somebody wants. `children` has an entry for each way to cut the rest, so nested and dotted mean the same. */
export interface FieldNode {
  readonly targets: readonly Target[] | undefined;
  readonly children: FieldNames | undefined;
  /** The last scan that met it: a name that comes twice in a record is told by it. */
  seenIn: number;
}

const guesses = 64;

/**
 * The names of one level. Records of one sender have the same keys in the same order, so a walk over an object's keys first looks at the
 * key that stood at this place last time: a comparison of pointers instead of a look-up. Only a cache: it changes no answer.
 */
export class FieldNames {
  /** The same names by their bytes. */
  readonly keys = new KeyCache((key) => this.get(key));
  private readonly byName: ReadonlyMap<string, FieldNode>;
  private readonly lastKeys: string[] = new Array(guesses).fill('');
  private readonly lastNodes: (FieldNode | undefined)[] = new Array(guesses).fill(undefined);

  constructor(byName: ReadonlyMap<string, FieldNode>) {
    this.byName = byName;
    this.lastNodes.fill(byName.get(''));
  }

  get(name: string): FieldNode | undefined {
    return this.byName.get(name);
  }

  has(name: string): boolean {
    return this.byName.has(name);
  }

  /** The same as `get`, for the key at `place` of an object. */
  at(place: number, key: string): FieldNode | undefined {
    if (place >= guesses) return this.byName.get(key);
    if (this.lastKeys[place] === key) return this.lastNodes[place];
    const node = this.byName.get(key);
    this.lastKeys[place] = key;
    this.lastNodes[place] = node;
    return node;
  }
}

export interface FieldTableOptions {
  /** Sender's name (`|form` if it needs one) -> OpenTelemetry name: these go before the table's own. */
  readonly additions?: Readonly<Record<string, string>>;
  /** Whether somebody reads the message's text beside the slots (extractors do). */
  readonly wantsMessage?: boolean;
  /** Whether this table is for whole JSON records, whose time, dataset and envelope are found by name too. */
  readonly wholeRecords?: boolean;
}

interface Building {
  targets: Target[];
  children: Map<string, Building>;
}

/** Resolves the names of every slot once per plan. */
export function compileFields(plan: FieldPlan, names: NameTable, options: FieldTableOptions = {}): FieldNames {
  const root: Building = { targets: [], children: new Map() };
  const additions = Object.entries(options.additions ?? {});
  const add = (field: string, slot: number): void => {
    const form = Object.hasOwn(ownForms, field) ? ownForms[field] : undefined;
    const mine = additions.filter(([, target]) => target === field).map(([name]) => name);
    const candidates = [field, ...mine, ...(Object.hasOwn(names, field) ? names[field] : [])];
    if (options.wholeRecords) candidates.push(`attributes.${field}`, `resource.attributes.${field}`, `resource.${field}`);
    candidates.forEach((name, rank) => {
      addTarget(root, form === undefined || name.includes('|') ? name : `${name}|${form}`, slot, rank);
    });
  };
  plan.fields.forEach((field) => {
    add(field, plan.slot(field));
  });
  if (options.wantsMessage) add('message', Special.message);
  if (options.wholeRecords) {
    const times = additions.filter(([, target]) => timeNames.includes(target)).map(([name]) => name);
    [...times, ...timeNames].forEach((name, rank) => {
      addTarget(root, name, Special.time, rank);
    });
    datasetNames.forEach((name, rank) => {
      addTarget(root, name, Special.dataset, rank);
    });
    addTarget(root, 'log', Special.innerText, 0);
    addTarget(root, 'message', Special.innerText, 1);
    addTarget(root, 'stream', Special.stream, 0);
    addTarget(root, 'kubernetes', Special.kubernetes, 0);
    addTarget(root, 'resourceLogs', Special.otlp, 0);
  }
  return freeze(root).children ?? new FieldNames(new Map());
}

function addTarget(root: Building, candidate: string, slot: number, rank: number): void {
  const bar = candidate.lastIndexOf('|');
  const name = bar < 0 ? candidate : candidate.slice(0, bar);
  const formName = bar < 0 ? undefined : candidate.slice(bar + 1);
  if (formName !== undefined && !Object.hasOwn(valueForms, formName)) {
    throw new Error(`field "${candidate}": "${formName}" is no form of a value; the forms are ${Object.keys(valueForms).join(', ')}`);
  }
  const target: Target = {
    slot,
    rank: Math.min(rank, maxRank),
    form: formName === undefined ? undefined : valueForms[formName],
    keepsNumbers: formName === undefined || formName === 'number' || formName === 'id',
    keepsText: keepsText(formName),
  };
  place(root, name.split('.'), 0, target);
}

/** Enough for the longest list of names; twice as much is left for what an envelope says (`RowWriter.weaken`). */
export const maxRank = 79;

function place(node: Building, segments: readonly string[], from: number, target: Target): void {
  if (from === segments.length) {
    if (!node.targets.some((known) => known.slot === target.slot && known.rank <= target.rank)) node.targets.push(target);
    return;
  }
  let key = '';
  for (let to = from; to < segments.length; to++) {
    key = to === from ? segments[to] : `${key}.${segments[to]}`;
    let child = node.children.get(key);
    if (child === undefined) {
      child = { targets: [], children: new Map() };
      node.children.set(key, child);
    }
    place(child, segments, to + 1, target);
  }
}

function freeze(node: Building): FieldNode {
  const children = new Map<string, FieldNode>();
  for (const [key, child] of node.children) children.set(key, freeze(child));
  return {
    targets: node.targets.length > 0 ? node.targets : undefined,
    children: children.size > 0 ? new FieldNames(children) : undefined,
    seenIn: 0,
  };
}
