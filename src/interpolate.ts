/** `${NAME}`, `${NAME:-default}` and `${file:path}` in the texts of a config; `$${` is `${` itself. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Document, isPair, isScalar, isSeq, type Node, visit } from 'yaml';
import { formatPath } from '../schemas/document.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A file of a secret holds a line, not a disk. */
const maxFileBytes = 1 << 20;

export class Interpolation {
  /** Texts that came of a substitution: whoever shows one shows `[secret]`. */
  readonly filled = new Set<unknown>();
  /** What stands in for texts that could not be filled in: no more needs to be said of them. */
  readonly failed = new Set<unknown>();
  /** The files that were read, absolute. */
  readonly files = new Set<string>();
  private readonly env: Environment;
  private readonly baseDir: string;
  private readonly file: string;

  /** @param baseDir where the relative paths of `${file:…}` begin. */
  constructor(file: string, env: Environment, baseDir: string) {
    this.file = file;
    this.env = env;
    this.baseDir = baseDir;
  }

  /** Fills in every text of a document, and returns what could not be, `file:line: path: …`. */
  fill(document: Document, lineAt: (node: Node) => number): string[] {
    const problems: string[] = [];
    visit(document, {
      Scalar: (key, node, ancestors) => {
        if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('${')) return;
        let told = false;
        const text = this.fillText(node.value, (reason) => {
          told = true;
          problems.push(`${this.file}:${lineAt(node)}: ${pathOf(node, ancestors)}: ${reason}`);
        });
        if (text !== node.value.replaceAll('$${', '${')) this.filled.add(text);
        node.value = told ? `not filled in: ${this.failed.size}` : text;
        if (told) this.failed.add(node.value);
      },
    });
    return problems;
  }

  private fillText(text: string, problem: (reason: string) => void): string {
    return text.replace(/\$\$\{|\$\{([^{}]*)\}|\$\{/g, (whole: string, inside: string | undefined) => {
      if (whole === '$${') return '${';
      if (inside === undefined) {
        problem('expected a } after every ${ ($${ is a ${ as it stands), found none');
        return '';
      }
      return inside.startsWith('file:') ? this.fromFile(inside.slice(5), problem) : this.fromEnvironment(inside, problem);
    });
  }

  private fromFile(path: string, problem: (reason: string) => void): string {
    try {
      const file = resolve(this.baseDir, path);
      this.files.add(file);
      const bytes = readFileSync(file);
      if (bytes.length > maxFileBytes) throw new Error(`it has ${bytes.length} bytes, more than ${maxFileBytes}`);
      return bytes.toString('utf8').replace(/\r?\n$/, '');
    } catch (error) {
      problem(`expected a file that can be read at ${path}, found: ${(error as Error).message}`);
      return '';
    }
  }

  private fromEnvironment(inside: string, problem: (reason: string) => void): string {
    const [, name, fallback] = /^([A-Za-z_]\w*)(?::-(.*))?$/s.exec(inside) ?? [];
    if (name === undefined) {
      problem(`expected \${NAME}, \${NAME:-default} or \${file:path}, found ${JSON.stringify(`\${${inside}}`)}`);
      return '';
    }
    const value = this.env[name];
    // As in a shell: `:-` also stands in for a variable that is set to nothing.
    if (fallback !== undefined) return value === undefined || value === '' ? fallback : value;
    if (value === undefined) problem(`expected the environment variable ${name} to be set (or a default, \${${name}:-…}), found nothing`);
    return value ?? '';
  }
}

function pathOf(node: Node, ancestors: readonly unknown[]): string {
  const path: PropertyKey[] = [];
  const chain = [...ancestors, node];
  for (const [index, ancestor] of chain.entries()) {
    if (isPair(ancestor)) path.push(isScalar(ancestor.key) ? String(ancestor.key.value) : String(ancestor.key));
    else if (isSeq(ancestor)) path.push(ancestor.items.indexOf(chain[index + 1]));
  }
  return formatPath(path);
}
