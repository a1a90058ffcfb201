/**
 * Sigma's `condition`: `and`, `or`, `not`, brackets, `1 of selection_*`, `all of them`. `not` binds closest, then `and`, then `or`.
 */
import type { Condition } from '../processors/rule.ts';
import { didYouMean } from './nearest.ts';

export class ConditionError extends Error {
  override name = 'ConditionError';
}

const maxDepth = 50;

/**
 * Parses a condition over named selections; `used` gets the names it speaks of. Throws `ConditionError` with what was expected and found.
 */
export function parseConditionText(text: string, selections: ReadonlyMap<string, Condition>, used: Set<string>): Condition {
  if (text.includes('|')) {
    throw new ConditionError(`expected no "|": counting is said by measure, key, window and detect, found ${JSON.stringify(text)}`);
  }
  const parser = new ConditionParser(text.match(/[()]|[^\s()]+/g) ?? [], selections, used);
  return parser.parse();
}

class ConditionParser {
  private at = 0;
  private readonly tokens: readonly string[];
  private readonly selections: ReadonlyMap<string, Condition>;
  private readonly used: Set<string>;

  constructor(tokens: readonly string[], selections: ReadonlyMap<string, Condition>, used: Set<string>) {
    this.tokens = tokens;
    this.selections = selections;
    this.used = used;
  }

  parse(): Condition {
    const condition = this.or(0);
    if (this.at < this.tokens.length) throw new ConditionError(`expected "and", "or" or the end, found "${this.tokens[this.at]}"`);
    return condition;
  }

  private or(depth: number): Condition {
    const of = [this.and(depth)];
    while (this.take('or')) of.push(this.and(depth));
    return of.length === 1 ? of[0] : { op: 'any', of };
  }

  private and(depth: number): Condition {
    const of = [this.not(depth)];
    while (this.take('and')) of.push(this.not(depth));
    return of.length === 1 ? of[0] : { op: 'all', of };
  }

  private not(depth: number): Condition {
    if (depth > maxDepth) throw new ConditionError(`expected at most ${maxDepth} levels of brackets and "not", found more`);
    if (this.take('not')) return { op: 'not', of: this.not(depth + 1) };
    if (!this.take('(')) return this.operand();
    const condition = this.or(depth + 1);
    if (!this.take(')')) throw new ConditionError(`expected ")", found ${this.shown()}`);
    return condition;
  }

  private operand(): Condition {
    const token = this.tokens[this.at];
    if (token === undefined || /^([()]|and|or|of)$/i.test(token)) {
      throw new ConditionError(`expected the name of a selection, found ${this.shown()}`);
    }
    this.at++;
    const isQuantifier = /^(1|any|all)$/i.test(token) && this.tokens[this.at]?.toLowerCase() === 'of';
    if (!isQuantifier) return this.selection(token);
    this.at++;
    const of = this.group();
    return { op: token.toLowerCase() === 'all' ? 'all' : 'any', of };
  }

  /** What follows `of`: `them` (all but names that begin with `_`) or a name with `*`. */
  private group(): Condition[] {
    const pattern = this.tokens[this.at];
    if (pattern === undefined || /^[()]$/.test(pattern)) {
      throw new ConditionError(`expected "them" or a name with * after "of", found ${this.shown()}`);
    }
    this.at++;
    const names = [...this.selections.keys()];
    const them = pattern.toLowerCase() === 'them';
    const expression = new RegExp(`^${pattern.replace(/[.+^${}[\]\\?-]/g, '\\$&').replaceAll('*', '.*')}$`);
    const chosen = names.filter((name) => (them ? !name.startsWith('_') : expression.test(name)));
    if (chosen.length === 0) {
      throw new ConditionError(`expected a selection that "${pattern}" names, found only ${names.join(', ')}${didYouMean(pattern, names)}`);
    }
    return chosen.map((name) => this.selection(name));
  }

  private selection(name: string): Condition {
    const found = this.selections.get(name);
    if (found === undefined) {
      const names = [...this.selections.keys()];
      throw new ConditionError(`expected one of the selections ${names.join(', ')}, found "${name}"${didYouMean(name, names)}`);
    }
    this.used.add(name);
    return found;
  }

  private take(word: string): boolean {
    if (this.tokens[this.at]?.toLowerCase() !== word) return false;
    this.at++;
    return true;
  }

  private shown(): string {
    const token = this.tokens[this.at];
    return token === undefined ? 'the end' : `"${token}"`;
  }
}
