import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));
}

/** [file, imported module] of every import line; relative ones as paths from the root. */
function imports(folder: string): [string, string][] {
  return sources(folder).flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    return [...text.matchAll(/^(?:import|export)[^;']* from '([^']+)'|import\('([^']+)'\)/gm)].map((found): [string, string] => {
      const name = found[1] ?? found[2];
      return [file, name.startsWith('.') ? relative(root, join(root, file, '..', name)) : name];
    });
  });
}

function offending(folder: string, bad: (imported: string, file: string) => boolean): string[] {
  return imports(folder)
    .filter(([file, imported]) => bad(imported, file))
    .map(([file, imported]) => `${file} imports ${imported}`);
}

test('processors import no program, no client, no file system, no timer', () => {
  const allowed = new Set(['node:crypto', 'node:buffer']);
  expect(offending('processors', (name) => name.startsWith('src/') || name.startsWith('schemas/') || name.startsWith('test/'))).toEqual([]);
  expect(offending('processors', (name) => !name.startsWith('processors/') && !allowed.has(name))).toEqual([]);
});

test('processors take no clock, no randomness and no environment', () => {
  const outside = /Date\.now\(|new Date\(\)|Math\.random\(|process\.(env|argv|cwd|hrtime|now|std|on)|performance\.|setTimeout|setInterval/;
  expect(sources('processors').filter((file) => outside.test(readFileSync(join(root, file), 'utf8')))).toEqual([]);
});

test('schemas import no program', () => {
  expect(offending('schemas', (name) => name.startsWith('src/') || name.startsWith('test/'))).toEqual([]);
});

test('the engine knows contracts, never a client', () => {
  const ends = /^src\/(source|sink|checkpoint)\/(?!source|sink|checkpoint|dead-letter)|kafkajs|undici|fastify/;
  const engine = ['engine.ts', 'engine-parts.ts', 'live-state.ts', 'shutdown.ts'].map((file) => join('src', file));
  expect(offending('src', (name, file) => engine.includes(file) && ends.test(name))).toEqual([]);
});

test('stages meet only in the pipeline', () => {
  const later: Record<string, RegExp> = {
    decode: /^processors\/(match|window|detect|measure)\//,
    match: /^processors\/(window|detect|measure)\//,
    window: /^processors\/(detect|decode)\//,
    measure: /^processors\/(window|detect|decode)\//,
    sketch: /^processors\/(window|detect|decode|match|measure)\//,
  };
  for (const [stage, bad] of Object.entries(later)) expect(offending(`processors/${stage}`, (name) => bad.test(name))).toEqual([]);
});

test('the environment is read in one place', () => {
  const readers = sources('src').filter((file) => /process\.env/.test(readFileSync(join(root, file), 'utf8')));
  expect(readers).toEqual([join('src', 'config.ts')]);
});

test('no files import each other, not even by way of others', () => {
  const imported = new Map<string, string[]>();
  for (const [file, name] of ['schemas', 'processors', 'src'].flatMap(imports)) imported.set(file, [...(imported.get(file) ?? []), name]);
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]) => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
    else if (!done.has(file)) for (const next of imported.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of imported.keys()) visit(file, []);
  expect(circles).toEqual([]);
});
