/**
 * A rule's `where` over the rows of a batch. Compiled once; a call allocates nothing for ASCII text.
 *
 * What a field holds decides: text is compared as text; a number equals the same number, or text compares with it as it is written; a list
 * passes if any element does; a missing field and null pass only `null` and `exists: false`.
 */
import { type EventBatch, type FieldPlan, Kind, type Scalar } from '../decode/event-batch.ts';
import type { Condition, FieldTest } from '../rule.ts';
import { compileText, foldCase, literalOf, type TextTest } from './glob.ts';
import { type Family, parseIp, samePrefix } from './ip-address.ts';

export type RowTest = (events: EventBatch, row: number) => boolean;

/** A regular expression sees no more of a text than this: JavaScript's are not linear in time. */
export const maxRegexChars = 8192;

/** Compiles a condition and asks the plan for its fields. Throws a SyntaxError or RangeError for an expression or network that `parseRule` would refuse. */
export function compileCondition(condition: Condition, plan: FieldPlan): RowTest {
  switch (condition.op) {
    case 'all': {
      const tests = condition.of.map((part) => compileCondition(part, plan));
      if (tests.length === 1) return tests[0];
      return (events, row) => {
        for (let i = 0; i < tests.length; i++) if (!tests[i](events, row)) return false;
        return true;
      };
    }
    case 'any': {
      const tests = condition.of.map((part) => compileCondition(part, plan));
      if (tests.length === 1) return tests[0];
      return (events, row) => {
        for (let i = 0; i < tests.length; i++) if (tests[i](events, row)) return true;
        return false;
      };
    }
    case 'not': {
      const test = compileCondition(condition.of, plan);
      return (events, row) => !test(events, row);
    }
    case 'test':
      return compileTest(condition, plan.slot(condition.field));
  }
}

/** One value of a test, against each kind of thing a field can hold. */
interface ValueTest {
  text(value: string): boolean;
  number(value: number): boolean;
  boolean(value: boolean): boolean;
  /** What a missing field, null, or a list of nothing gives. */
  readonly missing: boolean;
}

const never = () => false;
const nullTest: ValueTest = { text: never, number: never, boolean: never, missing: true };

function compileTest(test: FieldTest, slot: number): RowTest {
  if (test.test === 'exists') {
    const wanted = test.values[0] === true;
    return (events, row) => exists(events, slot, row) === wanted;
  }
  const values = test.values.map((value) => compileValue(test, value));
  if (values.length === 1) return (events, row) => holds(values[0], events, slot, row);
  if (test.every) {
    return (events, row) => {
      for (let i = 0; i < values.length; i++) if (!holds(values[i], events, slot, row)) return false;
      return true;
    };
  }
  return (events, row) => {
    for (let i = 0; i < values.length; i++) if (holds(values[i], events, slot, row)) return true;
    return false;
  };
}

function exists(events: EventBatch, slot: number, row: number): boolean {
  const kind = events.kind(slot, row);
  if (kind !== Kind.list) return kind !== Kind.absent && kind !== Kind.null;
  const list = events.list(slot, row) as readonly Scalar[];
  for (let i = 0; i < list.length; i++) if (list[i] !== null) return true;
  return false;
}

function holds(value: ValueTest, events: EventBatch, slot: number, row: number): boolean {
  switch (events.kind(slot, row)) {
    case Kind.text:
      return value.text(events.text(slot, row) as string);
    case Kind.number:
      return value.number(events.number(slot, row));
    case Kind.boolean:
      return value.boolean(events.text(slot, row) === 'true');
    case Kind.list:
      return holdsInList(value, events.list(slot, row) as readonly Scalar[]);
    default:
      return value.missing;
  }
}

function holdsInList(value: ValueTest, list: readonly Scalar[]): boolean {
  if (list.length === 0) return value.missing;
  for (let i = 0; i < list.length; i++) {
    const element = list[i];
    if (typeof element === 'string') {
      if (value.text(element)) return true;
    } else if (typeof element === 'number') {
      if (value.number(element)) return true;
    } else if (element === null ? value.missing : value.boolean(element)) return true;
  }
  return false;
}

function compileValue(test: FieldTest, value: Scalar): ValueTest {
  if (value === null) return nullTest;
  switch (test.test) {
    case 'equals':
      return equalsValue(value, test.cased);
    case 'contains':
    case 'startswith':
    case 'endswith':
      return asText(compileText(String(value), test.test, test.cased));
    case 're':
      return asText(expression(String(value), test.cased));
    case 'cidr':
      return { text: network(String(value)), number: never, boolean: never, missing: false };
    case 'gt':
      return ordering(Number(value), (a, b) => a > b);
    case 'gte':
      return ordering(Number(value), (a, b) => a >= b);
    case 'lt':
      return ordering(Number(value), (a, b) => a < b);
    default:
      return ordering(Number(value), (a, b) => a <= b);
  }
}

/** A test of text, given numbers and booleans as they are written. */
function asText(text: TextTest): ValueTest {
  const whenTrue = text('true');
  const whenFalse = text('false');
  return { text, number: (value) => text(String(value)), boolean: (value) => (value ? whenTrue : whenFalse), missing: false };
}

function equalsValue(value: string | number | boolean, cased: boolean): ValueTest {
  // A number has no wildcards, and neither has what it is written as.
  const text = compileText(String(value), 'equals', cased);
  const plain = asText(text);
  const literal = typeof value === 'string' ? literalOf(value) : String(value);
  if (literal === undefined) return plain;
  const number = Number(literal);
  if (String(number) === literal) return { ...plain, number: (other) => other === number };
  return { ...plain, number: never };
}

function expression(source: string, cased: boolean): TextTest {
  const pattern = new RegExp(source, cased ? '' : 'i');
  return (text) => pattern.test(text.length > maxRegexChars ? text.slice(0, maxRegexChars) : text);
}

function ordering(limit: number, holds: (value: number, limit: number) => boolean): ValueTest {
  return {
    // NaN, what text without a number gives, is neither above nor below anything.
    text: (value) => holds(value.trim() === '' ? Number.NaN : Number(value), limit),
    number: (value) => holds(value, limit),
    boolean: never,
    missing: false,
  };
}

function network(text: string): TextTest {
  const slash = text.indexOf('/');
  const wanted = new Uint32Array(4);
  const found = new Uint32Array(4);
  const address = slash < 0 ? text : text.slice(0, slash);
  const family: Family = parseIp(address, wanted);
  const longest = family === 4 ? 32 : 128;
  let bits = slash < 0 ? longest : Number(text.slice(slash + 1));
  // A network written as IPv4-mapped IPv6 has 96 bits before the IPv4 ones; with fewer it holds every IPv4 address.
  if (family === 4 && slash >= 0 && address.includes(':')) bits = Math.max(0, bits - 96);
  if (family === 0 || !Number.isInteger(bits) || bits < 0 || bits > longest) {
    throw new RangeError(`expected a network such as 10.0.0.0/8 or 2001:db8::/32, found ${JSON.stringify(text)}`);
  }
  return (value) => parseIp(value, found) === family && samePrefix(family, wanted, found, bits);
}

/** A field that must equal one of these for a condition to be true: text folded by `foldCase`, numbers and booleans as they are written. */
export interface RequiredEquality {
  readonly field: string;
  readonly values: readonly string[];
}

/**
 * Equalities that must hold for the condition to be true: what an index over rules may look up. A list in the event holds one if any
 * element does; a value of the event is compared by `foldCase` of its text. None are found where the condition promises none.
 */
export function requiredEqualities(condition: Condition): RequiredEquality[] {
  switch (condition.op) {
    case 'test':
      return equalityOf(condition);
    case 'all':
      return condition.of.flatMap(requiredEqualities);
    case 'any': {
      if (condition.of.length === 0) return [];
      // Every branch must ask for the field; then one of all their values must be there.
      const branches = condition.of.map(requiredEqualities);
      return branches[0].flatMap(({ field }) => {
        const alike = branches.map((branch) => branch.find((equality) => equality.field === field));
        if (alike.some((equality) => equality === undefined)) return [];
        return [{ field, values: [...new Set(alike.flatMap((equality) => equality?.values ?? []))] }];
      });
    }
    case 'not':
      return [];
  }
}

function equalityOf(test: FieldTest): RequiredEquality[] {
  if (test.test !== 'equals') return [];
  const values = test.values.map((value) => (value === null ? undefined : typeof value === 'string' ? literalOf(value) : String(value)));
  if (values.some((value) => value === undefined)) return [];
  const folded = values.map((value) => foldCase(value as string));
  return test.every
    ? folded.map((value) => ({ field: test.field, values: [value] }))
    : [{ field: test.field, values: [...new Set(folded)] }];
}
