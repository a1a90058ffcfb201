import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { generated } from '../../schemas/generate.ts';
import { parseRule } from '../../schemas/rule.ts';
import { parseConfig } from '../../src/config.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

describe('generated files are what the schemas say now (npm run schemas)', () => {
  for (const [path, text] of Object.entries(generated(read))) {
    test(path, () => {
      expect(read(path)).toBe(text);
    });
  }
});

test('no field in the reference goes without its meaning', () => {
  for (const page of ['docs/rules.md', 'docs/config.md']) expect(read(page)).not.toMatch(/^\|.*\|\s*\|$/m);
});

/** The YAML examples in a page. */
function examples(path: string): string[] {
  return [...read(path).matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text);
}

test('the examples in the rules reference are rules, or parts of one', () => {
  const whole = 'id: x\ntitle: X\nseverity: low\nkey: all\nmeasure: count\nwindow: 1h\ndetect: { above: 1 }\n';
  for (const example of examples('docs/rules.md')) {
    const document = parseDocument(whole);
    const part = parseDocument(example).toJS() as Record<string, unknown>;
    for (const [name, value] of Object.entries(part)) document.set(name, value);
    expect(parseRule(String(document), 'docs/rules.md').problems, example).toEqual([]);
  }
});

test('the example in the config reference is a config', () => {
  const [example] = examples('docs/config.md').map((text) => text.replace('file:/run/secrets/hash-key', 'HASH_KEY'));
  const config = parseConfig(example, 'streamgauge.yaml', { DRAIN_PASSWORD: 'x', HASH_KEY: '0001020304050607' });
  expect(config.hashKey?.reveal()).toEqual(Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7]));
  expect(config.sources.map(({ kind }) => kind)).toEqual(['kafka', 'drain', 'file']);
});
