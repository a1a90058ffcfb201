/**
 * Documentation that is true: what README and docs show is parsed, run and compared. An HTML comment before a fence says what it is:
 * `rule`, `config`, `sh`, `demo`, `record`, `output`, `finding`; with `file=PATH` it is written for the walk-through, `sh walk` and `sh run`
 * are steps of it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { Pipeline } from '../../processors/pipeline.ts';
import { parseRule } from '../../schemas/rule.ts';
import { unbuiltDetectors } from '../../schemas/unbuilt.ts';
import { parseConfig } from '../../src/config.ts';
import { builtinRulesFolder, loadRules } from '../../src/rules.ts';
import { builtCommand } from '../support/build.ts';
import { Command, command } from '../support/command.ts';
import { tempDir } from '../support/temp-dir.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const pages = [
  'README.md',
  'CHANGELOG.md',
  'processors/rules/README.md',
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
].filter((path) => path.endsWith('.md'));

interface Snippet {
  readonly page: string;
  readonly line: number;
  readonly marks: readonly string[];
  readonly file: string | undefined;
  readonly language: string;
  readonly text: string;
}

function snippetsOf(page: string): Snippet[] {
  const source = read(page);
  return [...source.matchAll(/^(?:<!-- ([^>]*?) -->\n)?```(\w*)\n([\s\S]*?)^```$/gm)].map((found) => {
    const words = (found[1] ?? '').split(' ').filter((word) => word !== '');
    return {
      page,
      line: source.slice(0, found.index).split('\n').length,
      marks: words.filter((word) => !word.startsWith('file=')),
      file: words.find((word) => word.startsWith('file='))?.slice('file='.length),
      language: found[2],
      text: found[3],
    };
  });
}

const snippets = pages.flatMap(snippetsOf);
const readme = snippets.filter(({ page }) => page === 'README.md');
const marked = (mark: string) => snippets.filter(({ marks }) => marks.includes(mark));
const where = ({ page, line }: Snippet) => `${page}:${line}`;

/** The only one of README with that mark. */
function the(mark: string): Snippet {
  const found = readme.filter(({ marks }) => marks.includes(mark));
  if (found.length !== 1) throw new Error(`README.md: expected one snippet marked "${mark}", found ${found.length}`);
  return found[0];
}

test('every mark is one that something here reads, and every shell snippet has one', () => {
  const known = ['rule', 'config', 'sh', 'walk', 'run', 'demo', 'record', 'output', 'finding'];
  expect(snippets.flatMap(({ marks }) => marks).filter((mark) => !known.includes(mark))).toEqual([]);
  expect(snippets.filter(({ language, marks }) => language === 'sh' && !marks.includes('sh')).map(where)).toEqual([]);
});

describe('rules and configs', () => {
  test('every YAML snippet says what it is, where another test does not know', () => {
    const elsewhere = ['docs/rules.md', 'docs/config.md'];
    const silent = snippets.filter(({ page, language, marks }) => language === 'yaml' && marks.length === 0 && !elsewhere.includes(page));
    expect(silent.map(where)).toEqual([]);
    expect(marked('rule').length).toBeGreaterThan(0);
    expect(marked('config').length).toBeGreaterThan(1);
  });

  test.each(marked('rule').map((snippet) => [where(snippet), snippet] as const))('the rule at %s parses', (_, { text }) => {
    expect(parseRule(text, 'rule.yaml').problems).toEqual([]);
  });

  test.each(marked('config').map((snippet) => [where(snippet), snippet] as const))('the config at %s is one', async (_, { text }) => {
    const env: Record<string, string> = { SECRET_FILE: 'sixteen characters and more' };
    for (const [, name] of text.matchAll(/\$\{(\w+)\}/g)) env[name] = 'secret';
    const config = parseConfig(text.replace(/(?<=\$\{)file:[^}]+/g, 'SECRET_FILE'), 'streamgauge.yaml', env);
    await expect(loadRules(['builtin'], config.overrides)).resolves.not.toHaveLength(0);
  });
});

describe('commands', () => {
  const lines = marked('sh').flatMap((snippet) =>
    snippet.text
      .trim()
      .split('\n')
      .map((line) => [where(snippet), line] as const),
  );
  const prose = pages.flatMap((page) =>
    [...read(page).matchAll(/`(npx streamgauge [^`…]+|npm run [^`]+)`/g)].map((found) => [page, found[1]] as const),
  );
  const all = [...lines, ...prose].flatMap(([place, line]) => line.split('&&').map((part) => [place, part.trim()] as const));

  beforeAll(() => void builtCommand());

  test.each(all.filter(([, line]) => line.startsWith('npx')))('%s: %s', async (_, line) => {
    const [, program, name, ...words] = line.split(/\s+/);
    expect(program).toBe(Object.keys(packageJson.bin)[0]);
    const { code, stdout } = await command([name, '--help'], { cwd: root });
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: streamgauge ${name}`);
    for (const flag of words.filter((word) => word.startsWith('-'))) expect(stdout).toMatch(new RegExp(`(^|[ ,])${flag}\\b`, 'm'));
  });

  test('npm scripts that are named are there', () => {
    const named = all.map(([, line]) => /^npm run (?:-s )?(\S+)/.exec(line)?.[1]).filter((name) => name !== undefined);
    expect(named).toContain('demo');
    expect(named.filter((name) => !Object.hasOwn(packageJson.scripts, name))).toEqual([]);
  });

  test('every command line of a sh snippet is one that is checked here', () => {
    expect(all.filter(([, line]) => !/^(npx streamgauge|npm (ci|test|run) ?)/.test(line))).toEqual([]);
  });

  test('every command that there is stands in the README', async () => {
    const { stdout } = await command(['--help'], { cwd: root });
    const names = [...stdout.matchAll(/^ {2}([a-z]+) \[/gm)].map(([, name]) => name).filter((name) => name !== 'help');
    expect(names).toContain('backtest');
    expect(names.filter((name) => !new RegExp(`npx streamgauge ${name}\\b|npm run ${name}\\b`).test(read('README.md')))).toEqual([]);
  });
});

describe('paths and links', () => {
  const paths = pages.flatMap((page) =>
    [...read(page).matchAll(/`((?:docs|processors|schemas|src|test)\/[\w./-]*)`/g)].map((found) => [page, found[1]] as const),
  );

  test('every path into the sources exists', () => {
    expect(paths.length).toBeGreaterThan(60);
    expect(paths.filter(([, path]) => !existsSync(join(root, path)))).toEqual([]);
  });

  test('every file in the picture of the path exists', () => {
    const picture = readme.find(({ text }) => text.startsWith('POST /drain'))?.text ?? '';
    const folders = [
      'src/source/drain',
      'src',
      'processors',
      ...readdirSync(join(root, 'processors')).map((name) => join('processors', name)),
    ];
    const files = [...picture.matchAll(/[\w/-]+\.ts/g)].map(([name]) => name);
    expect(files.length).toBeGreaterThan(15);
    expect(
      files.filter((name) => ![root, ...folders.map((folder) => join(root, folder))].some((folder) => existsSync(join(folder, name)))),
    ).toEqual([]);
  });

  test('every link to another page or a heading leads somewhere', () => {
    const broken: string[] = [];
    for (const page of pages) {
      for (const [, target] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        const [path, heading] = target.split('#');
        const file = path === '' ? page : join(dirname(page), path);
        if (!existsSync(join(root, file))) broken.push(`${page}: ${target}`);
        else if (heading !== undefined && !headings(read(file)).includes(heading)) broken.push(`${page}: ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });

  /** As GitHub names them. */
  function headings(text: string): string[] {
    return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    );
  }
});

describe('claims', () => {
  test('the detectors that are not there yet are those the code refuses', () => {
    const line = /<!-- unbuilt detectors -->([^;]*);/.exec(read('README.md'))?.[1] ?? '';
    expect([...line.matchAll(/`(\w+)`/g)].map(([, name]) => name).sort()).toEqual(Object.keys(unbuiltDetectors).sort());
  });

  test('metrics that are named are there', () => {
    const named = pages.flatMap((page) => [...read(page).matchAll(/`streamgauge_(\w+\w)`/g)].map(([, name]) => name));
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((name) => !read('src/http/metrics.ts').includes(`'${name}'`))).toEqual([]);
  });

  test('the rules that ship are those of the changelog', () => {
    const shipped = readdirSync(builtinRulesFolder(), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const text = read('CHANGELOG.md');
    expect(shipped.map(({ name }) => name).filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });

  test('the line whose path is drawn is read as the picture says', async () => {
    const rules = (await loadRules(['builtin']))
      .filter(({ id }) => id === 'http_path_scan')
      .map((rule) => ({ ...rule, detect: [{ kind: 'above' as const, threshold: 0, forMs: 0 }] }));
    const pipeline = new Pipeline(rules);
    const value = Buffer.from(the('record').text.trim());
    const timestampMs = Date.parse('2025-06-17T10:12:20Z');
    const records = [{ value, offset: 4711, timestampMs }];
    const found = [
      ...pipeline.process({ topic: '/drain/logplex', partition: 0, dataset: 'heroku', format: 'logplex', records }),
      ...pipeline.finish(),
    ];
    const paneEndMs = Date.parse('2025-06-17T10:12:20Z');
    expect(found).toMatchObject([
      { key: { 'client.address': '203.0.113.77' }, openedMs: paneEndMs - 5_000, windowEndMs: paneEndMs, value: 1 },
    ]);
  });
});

describe('what the README shows of a run', () => {
  beforeAll(() => void builtCommand());

  test('the demo begins as shown', async () => {
    const { code, stdout } = await command(['demo'], { cwd: await tempDir() });
    expect(code).toBe(0);
    const shown = the('demo').text.trimEnd();
    expect(shown.split('\n').length).toBeGreaterThan(5);
    expect(stdout.slice(0, shown.length)).toBe(shown);
  }, 120_000);

  test('the first rule: its test passes, the backtest finds what is shown, and a live run finds the same', async () => {
    const cwd = await tempDir();
    for (const { file, text } of readme.filter((snippet) => snippet.file !== undefined)) {
      const path = join(cwd, file ?? '');
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
    }
    const [checked, tested] = await walk(cwd);
    const shown = readme.filter(({ marks }) => marks.includes('output'));
    expect(steady(checked.stdout)).toBe(steady(shown[0].text));
    expect(steady(tested.stderr)).toBe(steady(shown[1].text));
    const finding = JSON.parse(tested.stdout) as { finding_info: { uid: string } };
    expect(finding).toMatchObject(JSON.parse(the('finding').text));

    // Any free port: the README's is the one a test must not take for granted.
    const config = join(cwd, 'streamgauge.yaml');
    await writeFile(config, `${await readFile(config, 'utf8')}\nhttp: { listen: "127.0.0.1:0" }\n`);
    const live = Command.start(words(the('run').text), { cwd });
    await live.address();
    const metrics = await eventually(async () => {
      const text = await (await fetch(`${await live.address()}/metrics`)).text();
      return /streamgauge_findings_total\{.*activity="open"\} 1/.test(text) ? text : undefined;
    });
    expect(metrics).toContain('rule="wordpress_probe"');
    expect(await live.stop()).toMatchObject({ code: 0 });
    const written = (await readFile(join(cwd, 'data', 'findings.jsonl'), 'utf8')).trimEnd().split('\n');
    expect(written.map((line) => (JSON.parse(line) as typeof finding).finding_info.uid)).toEqual([finding.finding_info.uid]);
  }, 60_000);

  async function walk(cwd: string) {
    const ended = [];
    for (const { text } of readme.filter(({ marks }) => marks.includes('walk'))) {
      const result = await command(words(text), { cwd });
      expect(result.code, `${text}${result.stdout}${result.stderr}`).toBe(0);
      ended.push(result);
    }
    return ended;
  }

  /** `npx streamgauge check ./rules` -> its arguments. */
  function words(line: string): string[] {
    return line.trim().split(/\s+/).slice(2);
  }

  /** How long it took is no part of what is shown. */
  function steady(text: string): string {
    return text.replace(/in [\d.]+ s \(\d+\/s\)/g, 'in … s').trimEnd();
  }

  /** Asks until there is an answer; the test's own limit ends it. */
  async function eventually<T>(ask: () => Promise<T | undefined>): Promise<T> {
    for (;;) {
      const answer = await ask();
      if (answer !== undefined) return answer;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
});
