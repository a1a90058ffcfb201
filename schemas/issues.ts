/** zod's issues as sentences: what was expected, what was found, the nearest valid name. */
import { z } from 'zod';
import { didYouMean } from './nearest.ts';

export type Path = readonly PropertyKey[];

/** A mistake and where it is, in the terms of the value; `document.ts` adds file and line. */
export interface Fault {
  readonly path: Path;
  readonly text: string;
  readonly place?: 'key' | 'value';
}

type Issue = z.core.$ZodIssue;

/** A map that takes these keys and no others, and names them to whoever wrote another one. */
export function strict<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const keys = Object.keys(shape).join(', ');
  return z.strictObject(shape, { error: (issue) => (issue.code === 'unrecognized_keys' ? keys : undefined) });
}

/** Adds a mistake inside a transform; `text` is the whole sentence. The message of a plain `refine` is only what was expected. */
export function addFault(context: z.core.$RefinementCtx, fault: Fault): void {
  const params = { sentence: true, place: fault.place };
  context.addIssue({ code: 'custom', path: [...fault.path], message: fault.text, params, input: undefined });
}

/** Every issue as a fault. Issues must come from a parse with an empty error map: a message is then a schema's own text of what it expects. */
export function describeIssues(issues: readonly Issue[], value: unknown, secret: (path: Path) => boolean): Fault[] {
  return issues.flatMap((issue) => describe(issue, issue.path, value, secret));
}

function describe(issue: Issue, path: Path, root: unknown, secret: (path: Path) => boolean): Fault[] {
  const value = valueAt(root, path);
  const found = secret(path) ? '[secret]' : showValue(value);
  switch (issue.code) {
    case 'custom': {
      const whole = issue.params?.sentence === true && !secret(path);
      return [{ path, text: whole ? issue.message : `expected ${expectation(issue)}, found ${found}`, place: issue.params?.place }];
    }
    case 'unrecognized_keys': {
      const known = issue.message;
      return issue.keys.map((key) => ({
        path: [...path, key],
        place: 'key',
        text: `expected ${known === '' ? 'no keys' : `one of ${known}`}, found "${key}"${didYouMean(key, known.split(', '))}`,
      }));
    }
    case 'invalid_union':
      return describeUnion(issue, path, root, secret);
    case 'invalid_key':
      return [{ path, place: 'key', text: `expected ${issue.issues[0]?.message || 'a valid name'}, found "${String(path.at(-1))}"` }];
    default: {
      const hint =
        issue.code === 'invalid_value' && typeof value === 'string' && !secret(path) ? didYouMean(value, issue.values.map(String)) : '';
      return [{ path, text: `expected ${expectation(issue)}, found ${found}${hint}` }];
    }
  }
}

/** The mistakes of the one branch whose kind of value it is; else what the union as a whole expects. */
function describeUnion(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: Path,
  root: unknown,
  secret: (path: Path) => boolean,
): Fault[] {
  const wrongKind = (inner: Issue) => inner.path.length === 0 && (inner.code === 'invalid_type' || inner.code === 'invalid_value');
  const branch = issue.errors.find((errors) => !errors.some(wrongKind));
  if (branch !== undefined) return branch.flatMap((inner) => describe(inner, [...path, ...inner.path], root, secret));
  const value = valueAt(root, path);
  const expected = issue.message || issue.errors.flatMap((errors) => errors.map(expectation)).join(', or ');
  const names = issue.errors.flat().flatMap((inner) => (inner.code === 'invalid_value' ? inner.values.map(String) : []));
  const hint = typeof value === 'string' && !secret(path) ? didYouMean(value, names) : '';
  return [{ path, text: `expected ${expected}, found ${secret(path) ? '[secret]' : showValue(value)}${hint}` }];
}

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map',
  record: 'a map',
  array: 'a list',
  null: 'null',
};

function expectation(issue: Issue): string {
  const sentence = issue.code === 'custom' && issue.params?.sentence === true;
  if (issue.message !== '' && !sentence && issue.code !== 'unrecognized_keys') return issue.message;
  switch (issue.code) {
    case 'invalid_type':
      return kinds[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return issue.values.length === 1 ? showValue(issue.values[0]) : `one of ${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unitOf(issue.origin)}`;
    case 'too_big':
      return `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unitOf(issue.origin)}`;
    default:
      return 'another value';
  }
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' || origin === 'object' ? ' entries' : '';
}

/** A value as it is shown in a mistake: text quoted and cut, maps and lists by kind alone. */
export function showValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  return String(value);
}

/** The value a path leads to; undefined where it leads nowhere. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}
