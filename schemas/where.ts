/**
 * `where`: Sigma's detection syntax (SigmaHQ sigma-specification 2) to a `Condition`. A map means all of its fields, a list of maps any
 * of them, a list of values any of them, a list of plain texts is searched for in `message`; with `condition:` the other keys of the map
 * are named selections.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import type { Condition, FieldTest } from '../processors/rule.ts';
import { ConditionError, parseConditionText } from './condition-grammar.ts';
import { addFault, type Fault, type Path, showValue } from './issues.ts';
import { didYouMean } from './nearest.ts';
import { fieldPattern } from './scalars.ts';

type Report = (fault: Fault) => void;
type Scalar = string | number | boolean | null;
type Test = FieldTest['test'];

/** What each modifier does: the rules reference is written from this. */
export const modifiers: Readonly<Record<string, string>> = {
  contains: 'the text holds the value anywhere',
  startswith: 'the text begins with the value',
  endswith: 'the text ends with the value',
  re: 'a JavaScript regular expression finds something in the first 8192 characters of the text; with case, unless `re|i`',
  i: 'after `re` only: without case',
  cidr: 'the address (IPv4, IPv6, IPv4-mapped IPv6) lies in the network: `10.0.0.0/8`, `2001:db8::/32`',
  gt: 'the number is above the value',
  gte: 'the number is the value or above it',
  lt: 'the number is below the value',
  lte: 'the number is the value or below it',
  exists: '`true`: the field is there with some value; `false`: it is missing or null',
  all: 'every value of the list must be found, not just one',
  cased: 'upper and lower case differ',
};

const tests: readonly string[] = ['contains', 'startswith', 'endswith', 're', 'cidr', 'gt', 'gte', 'lt', 'lte', 'exists'];

/** A `where`, as a schema; a `Condition` once parsed. */
export const where = z
  .unknown()
  .transform((value, context): Condition => {
    const faults: Fault[] = [];
    const condition = parseWhere(value, (fault) => faults.push(fault));
    for (const fault of faults) addFault(context, fault);
    return faults.length > 0 ? z.NEVER : condition;
  })
  .meta({
    anyOf: [
      { type: 'object', description: 'field|modifier: value or list of values; or named selections and a condition' },
      { type: 'array', description: 'a list of maps (any of them), or of plain texts to find in the message' },
    ],
  });

/** Parses a `where`, telling every mistake. What it returns is only good if there was none. */
export function parseWhere(value: unknown, report: Report): Condition {
  if (isMap(value) && 'condition' in value) return parseNamed(value, report);
  return parseSelection(value, [], report);
}

function parseNamed(value: Record<string, unknown>, report: Report): Condition {
  const selections = new Map<string, Condition>();
  for (const [name, selection] of Object.entries(value)) {
    if (name === 'condition') continue;
    if (!/^\w+$/.test(name)) {
      const text = `expected the name of a selection (letters, digits, _) beside "condition", found "${name}"`;
      report({ path: [name], place: 'key', text });
    }
    selections.set(name, parseSelection(selection, [name], report));
  }
  const path = ['condition'];
  if (typeof value.condition !== 'string') {
    report({ path, text: `expected text such as "selection and not filter", found ${showValue(value.condition)}` });
    return nothing;
  }
  try {
    const used = new Set<string>();
    const condition = parseConditionText(value.condition, selections, used);
    for (const name of selections.keys()) {
      if (used.has(name) || name.startsWith('_')) continue;
      report({ path: [name], place: 'key', text: `expected the condition to use every selection, found none of "${name}" in it` });
    }
    return condition;
  } catch (error) {
    if (!(error instanceof ConditionError)) throw error;
    report({ path, text: error.message });
    return nothing;
  }
}

const nothing: Condition = { op: 'any', of: [] };

function parseSelection(value: unknown, path: Path, report: Report): Condition {
  if (isMap(value)) {
    const of = Object.entries(value).map(([key, wanted]) => parseField(key, wanted, [...path, key], report));
    return of.length === 1 ? of[0] : { op: 'all', of };
  }
  if (Array.isArray(value)) {
    if (value.length === 0) report({ path, text: 'expected at least one entry, found an empty list' });
    const keywords = value.filter((entry) => !isMap(entry));
    if (keywords.length === value.length) return keywordTest(keywords, path, report);
    const of = value.map((entry, index) => parseSelection(entry, [...path, index], report));
    return of.length === 1 ? of[0] : { op: 'any', of };
  }
  if (typeof value === 'string' || typeof value === 'number') return keywordTest([value], path, report);
  report({ path, text: `expected a map of fields, a list of them, or a list of texts to find in the message, found ${showValue(value)}` });
  return nothing;
}

function keywordTest(values: readonly unknown[], path: Path, report: Report): FieldTest {
  for (const [index, value] of values.entries()) {
    if (typeof value !== 'string' && typeof value !== 'number') {
      report({ path: [...path, index], text: `expected text to find in the message, found ${showValue(value)}` });
    }
  }
  return { op: 'test', field: 'message', test: 'contains', values: values as Scalar[], every: false, cased: false };
}

/** One `field|modifier…: value`. A name that begins with `|` speaks of the message, as Sigma's keywords with modifiers do. */
function parseField(key: string, wanted: unknown, path: Path, report: Report): FieldTest {
  const [name, ...words] = key.split('|');
  const keyword = name === '' && words.length > 0;
  const field = keyword ? 'message' : name;
  if (!fieldPattern.test(field)) {
    report({ path, place: 'key', text: `expected the name of a field, without spaces, brackets, commas or ?, found "${name}"` });
  }
  const { test, every, cased } = parseModifiers(words, keyword, path, report);
  const listed = Array.isArray(wanted);
  const values: readonly unknown[] = listed ? wanted : [wanted];
  if (values.length === 0) report({ path, text: 'expected at least one value, found an empty list' });
  for (const [index, value] of values.entries()) {
    const text = faultOfValue(test, value, cased);
    if (text !== undefined) report({ path: listed ? [...path, index] : path, text });
  }
  if (test === 'exists' && listed) report({ path, text: 'expected true or false, found a list' });
  const parsed = isOrdering(test) ? values.map(Number) : (values as Scalar[]);
  return { op: 'test', field, test, values: parsed, every, cased };
}

function parseModifiers(words: readonly string[], keyword: boolean, path: Path, report: Report) {
  let test: Test | undefined;
  let insensitive = false;
  let every = false;
  let cased = false;
  for (const word of words) {
    if (word === 'all') every = true;
    else if (word === 'cased') cased = true;
    else if (word === 'i' && test === 're') insensitive = true;
    else if (!tests.includes(word)) {
      const names = Object.keys(modifiers);
      const text = `expected a modifier (${names.join(', ')}), found "${word}"${didYouMean(word, names)}`;
      report({ path, place: 'key', text });
    } else if (test !== undefined) {
      report({ path, place: 'key', text: `expected one modifier that compares, found "${test}" and "${word}"` });
    } else test = word as Test;
  }
  test ??= keyword ? 'contains' : 'equals';
  return { test, every, cased: test === 're' ? !insensitive : cased };
}

function isOrdering(test: Test): boolean {
  return test === 'gt' || test === 'gte' || test === 'lt' || test === 'lte';
}

/** What is wrong with one value of a test; undefined if nothing. */
function faultOfValue(test: Test, value: unknown, cased: boolean): string | undefined {
  const found = showValue(value);
  if (value !== null && !['string', 'number', 'boolean'].includes(typeof value)) {
    const hint = isMap(value) ? ' (named selections need `condition:` beside them)' : '';
    return `expected a value or a list of values, found ${found}${hint}`;
  }
  if (test === 'equals') return undefined;
  if (test === 'exists') return typeof value === 'boolean' ? undefined : `expected true or false, found ${found}`;
  if (isOrdering(test)) {
    const isNumber = Number.isFinite(typeof value === 'string' && value.trim() !== '' ? Number(value) : value);
    return isNumber ? undefined : `expected a number, found ${found}`;
  }
  if (test === 'cidr') {
    const fits = typeof value === 'string' && isNetwork(value);
    return fits ? undefined : `expected a network such as 10.0.0.0/8 or 2001:db8::/32, found ${found}`;
  }
  if (value === null || typeof value === 'boolean') return `expected text, found ${found}`;
  if (test !== 're') return undefined;
  try {
    new RegExp(String(value), cased ? '' : 'i');
    return undefined;
  } catch (error) {
    return `expected a JavaScript regular expression, found ${found} (${(error as Error).message})`;
  }
}

function isNetwork(text: string): boolean {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const family = address.includes('%') ? 0 : isIP(address);
  if (family === 0) return false;
  if (slash < 0) return true;
  const bits = text.slice(slash + 1);
  return /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
