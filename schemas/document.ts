/**
 * YAML text with the places of its values, and the mistakes in it: all of them at once, one a line,
 * `file:line: path: expected …, found …`, with the nearest valid name where there is one.
 */
import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';
import { describeIssues, type Fault, type Path } from './issues.ts';

export type Place = 'key' | 'value';

export interface YamlText {
  readonly file: string;
  readonly document: Document;
  readonly lines: LineCounter;
  /** What the text says as plain values; undefined where it could not be read (then there are problems). */
  readonly value: unknown;
  /** Syntax errors and duplicate keys. */
  readonly problems: string[];
}

/** Reads YAML. `edit` may change the document (fill in `${…}`) before plain values are made of it. Never throws on any text. */
export function readYaml(text: string, file: string, edit?: (document: Document, lineAt: (node: Node) => number) => string[]): YamlText {
  const lines = new LineCounter();
  let document: Document;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  } catch (error) {
    // The parser recurses: a text nested thousands deep ends its stack.
    return { file, document: parseDocument(''), lines, value: undefined, problems: [`${file}:1: ${messageOf(error)}`] };
  }
  const problems = document.errors.map((error) => `${file}:${lines.linePos(error.pos[0]).line}: ${yamlMistake(error.code, error.message)}`);
  if (problems.length > 0) return { file, document, lines, value: undefined, problems };
  problems.push(...(edit?.(document, (node) => lineOfNode(node, lines)) ?? []));
  try {
    return { file, document, lines, value: document.toJS({ maxAliasCount: 100 }), problems };
  } catch (error) {
    return { file, document, lines, value: undefined, problems: [...problems, `${file}:1: ${messageOf(error)}`] };
  }
}

export interface Discretion {
  /** Values that must not be shown. */
  readonly secret?: (path: Path) => boolean;
  /** Values of which a mistake has been told already. */
  readonly told?: (path: Path) => boolean;
}

/** Holds a document against a schema. */
export function validate<S extends z.ZodType>(
  schema: S,
  yaml: YamlText,
  { secret = () => false, told = () => false }: Discretion = {},
): { data?: z.output<S>; problems: string[] } {
  // An empty message from here is told apart from the texts that schemas carry themselves: those say what was expected.
  const result = schema.safeParse(yaml.value, { error: () => '' });
  if (result.success) return { data: result.data, problems: [] };
  const faults = describeIssues(result.error.issues, yaml.value, secret).filter(({ path }) => !told(path));
  return { problems: faults.map((fault) => problemOf(yaml, fault)) };
}

/** A fault with its file and line. */
export function problemOf(yaml: YamlText, fault: Fault): string {
  return problemAt(yaml.file, lineOf(yaml, fault.path, fault.place), fault);
}

export function problemAt(file: string, line: number, fault: Fault): string {
  const path = formatPath(fault.path);
  return `${file}:${line}: ${path === '' ? '' : `${path}: `}${fault.text}`;
}

/** Mistakes of one file in the order of its lines. */
export function byLine(problems: string[]): string[] {
  const line = (problem: string) => Number(/:(\d+): /.exec(problem)?.[1] ?? 0);
  return problems.sort((a, b) => line(a) - line(b));
}

/** The line (from 1) where a path stands; of the nearest thing above it where it is missing. */
export function lineOf(yaml: YamlText, path: Path, place: Place = 'value'): number {
  let node: unknown = yaml.document.contents;
  let line = isNode(node) ? lineOfNode(node, yaml.lines) : 1;
  for (const [depth, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(yaml.document);
    if (isMap(node)) {
      const pair = node.items.find((item) => (isScalar(item.key) ? String(item.key.value) : String(item.key)) === String(step));
      if (pair === undefined) return line;
      const useKey = (place === 'key' && depth === path.length - 1) || !isNode(pair.value) || !pair.value.range;
      const at = useKey ? pair.key : pair.value;
      if (isNode(at)) line = lineOfNode(at, yaml.lines);
      node = pair.value;
    } else if (isSeq(node)) {
      const item = node.items[Number(step)];
      if (!isNode(item)) return line;
      line = lineOfNode(item, yaml.lines);
      node = item;
    } else {
      return line;
    }
  }
  return line;
}

/** `where["client.address|re"]`, `sources[0].kafka.topics`. */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[\w-]+$/.test(String(step))) text += `${text === '' ? '' : '.'}${String(step)}`;
    else text += `[${JSON.stringify(String(step))}]`;
  }
  return text;
}

function lineOfNode(node: Node, lines: LineCounter): number {
  return node.range ? lines.linePos(node.range[0]).line : 1;
}

function yamlMistake(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'expected every key once in a map, found the same key again';
  return `expected valid YAML, found a mistake: ${message}`;
}

function messageOf(error: unknown): string {
  return `expected YAML that can be read, found: ${error instanceof Error ? error.message : String(error)}`;
}
